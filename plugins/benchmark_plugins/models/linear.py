"""Multinomial logistic regression."""

from __future__ import annotations

from torch import nn

from benchmark_core import Context, Model, Task

from .network import Network, input_size


class Linear(Model):
    """logits = W z + b, z the normalised, flattened input (which is also `features`)."""

    def build(self, task: Task, ctx: Context) -> nn.Module:
        return Network(task, nn.Flatten(), input_size(task), normalise=self.params.normalise)
