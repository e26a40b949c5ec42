"""Metrics of what a method cost: time and gradient evaluations, from the record of the node that ran it."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from benchmark_core import Cost, Metric, MetricContext, Scores


class Runtime(Metric):
    """Wall seconds per sample: seconds of the node / samples it worked on."""

    def measure(self, result: Any, model: nn.Module, ctx: MetricContext) -> Scores:
        cost = _known(ctx, "runtime")
        return _per_sample(cost.seconds, cost)


class GradientCalls(Metric):
    """Backward passes per sample; a batch of n through `backward` counts n."""

    def measure(self, result: Any, model: nn.Module, ctx: MetricContext) -> Scores:
        cost = _known(ctx, "gradient-calls")
        return _per_sample(cost.backward, cost)


def _known(ctx: MetricContext, name: str) -> Cost:
    if ctx.cost is None:
        raise ValueError(f"{name}: the result came without a cost; measure a node that the engine ran")
    if ctx.cost.samples < 1:
        raise ValueError(f"{name}: the method worked on no samples, so it has no cost per sample")
    return ctx.cost


def _per_sample(total: float, cost: Cost) -> Scores:
    return Scores(torch.tensor([total / cost.samples], dtype=torch.float64))
