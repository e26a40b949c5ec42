"""Deletion: how fast the model loses its prediction when the features an attribution names are taken away."""

from __future__ import annotations

import torch
from benchmark_core import Attribution, Metric, MetricContext, Scores
from torch import Tensor, nn

from .plugin import DeletionParams


class Deletion(Metric):
    """The area under p_c(x with its k most important features at the training mean) over k / d in [0, 1].

    c = argmax f(x); k takes steps + 1 values from 0 to d, the number of features; trapezoidal rule. Of
    equally important features the first goes first.
    """

    params: DeletionParams

    def measure(self, result: Attribution, model: nn.Module, ctx: MetricContext) -> Scores:
        """Scores: (n,), in [0, 1]. steps + 1 forward passes a sample."""
        x = ctx.x
        importance = result.values.flatten(1)
        if self.params.order == "magnitude":
            importance = importance.abs()
        place = importance.argsort(dim=1, descending=True, stable=True).argsort(1).view_as(x)  # 0 goes first
        mean = ctx.task.mean.to(x).expand_as(x[0])
        c = ctx.logits(model, x).argmax(1, keepdim=True)
        steps, d = self.params.steps, importance.shape[1]
        deleted = sorted({round(j * d / steps) for j in range(steps + 1)})

        def probability(k: int) -> Tensor:
            return ctx.logits(model, torch.where(place < k, mean, x)).softmax(1).gather(1, c)

        p = torch.cat([probability(k) for k in deleted], 1)
        return Scores(torch.trapezoid(p, torch.tensor(deleted).to(p) / d, dim=1))
