"""Multilayer perceptron."""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from benchmark_core import Context, Model, Task

from .network import Network, input_size

ACTIVATIONS = {"relu": nn.ReLU, "swish": nn.SiLU, "tanh": nn.Tanh}


class MLP(Model):
    """h_0 = normalised, flattened input; h_i = act(W_i h_{i-1} + b_i); logits = W h_L + b."""

    def build(self, task: Task, ctx: Context) -> nn.Module:
        widths = (input_size(task), *self.params.hidden)
        activation = ACTIVATIONS[self.params.activation]
        layers: list[nn.Module] = [nn.Flatten()]
        for n_in, n_out in pairwise(widths):
            layers += [nn.Linear(n_in, n_out), activation()]
        return Network(task, nn.Sequential(*layers), widths[-1], normalise=self.params.normalise)
