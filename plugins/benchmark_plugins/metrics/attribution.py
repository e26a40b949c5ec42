"""Metrics on attributions: completeness, sparseness, and how much they change with the input."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmark_core import Attribution, Metric, MetricContext, Scores
from benchmark_core.kernels.gini import gini

from .catalogue_attribution import MaxSensitivityParams, StabilityParams

GINI_OFFSET = 1e-7
"""Added to every |value| (Chalasani et al. 2020): an attribution that is zero everywhere then has G = 0."""


class CompletenessGap(Metric):
    """|sum_i A_i - (F(x) - F(baseline))|, in units of the explained output (Sundararajan et al. 2017).

    Defined only for explainers that promise completeness and so return `delta`; for the others no sample
    is valid.
    """

    def measure(self, result: Attribution, model: nn.Module, ctx: MetricContext) -> Scores:
        total = result.values.flatten(1).sum(1)
        if result.delta is None:
            return Scores(torch.zeros_like(total), valid=torch.zeros_like(total, dtype=torch.bool))
        if result.delta.shape != total.shape:
            raise ValueError(
                f"completeness-gap: delta has shape {tuple(result.delta.shape)}, the attribution "
                f"{len(total)} samples; an explainer returns one delta per sample"
            )
        return Scores((total - result.delta).abs())


class GiniSparseness(Metric):
    """G = sum_i (2i - d - 1) a_(i) / (d sum_i a_i), a = |A| + 1e-7 ascending (Chalasani et al. 2020, eq. 9).

    0 for equal values, 1 - 1/d (up to the 1e-7) when one feature holds everything. Higher is more concise.
    Every entry counts, so the channels of a pixel are features of their own.
    """

    def measure(self, result: Attribution, model: nn.Module, ctx: MetricContext) -> Scores:
        return Scores(gini(result.values.flatten(1).abs() + GINI_OFFSET))


class Stability(Metric):
    """max over x' of ||A(x) - A(x')||_2 / ||x - x'||_2, divided by ||A(x)||_2 when `relative`.

    x' = clip(x + u), u uniform in [-radius, radius] per feature, clipped to the task's box: a lower bound on
    the local Lipschitz constant (Alvarez-Melis and Jaakkola 2018) that grows with `draws`. The explainer is
    asked once for all x'. An x' that the clip puts back on x says nothing and is left out; a sample
    is not valid when that holds for all of them, or when `relative` meets A(x) = 0.
    """

    params: StabilityParams

    def measure(self, result: Attribution, model: nn.Module, ctx: MetricContext) -> Scores:
        change, way = _nearby_changes(result, ctx, self.params.radius, self.params.draws)
        moved = way > 0
        ratio = torch.where(moved, change / torch.where(moved, way, 1), 0).amax(1)
        valid = moved.any(1)
        return _relative(ratio, result, valid) if self.params.relative else Scores(ratio, valid)


class MaxSensitivity(Metric):
    """max over x' of ||A(x) - A(x')||_2 / ||A(x)||_2, x' as for `stability` (Yeh et al. 2019).

    A sample with A(x) = 0 is not valid.
    """

    params: MaxSensitivityParams

    def measure(self, result: Attribution, model: nn.Module, ctx: MetricContext) -> Scores:
        change, _ = _nearby_changes(result, ctx, self.params.radius, self.params.draws)
        return _relative(change.amax(1), result, torch.ones_like(change[:, 0], dtype=torch.bool))


def _nearby_changes(
    result: Attribution, ctx: MetricContext, radius: float, draws: int
) -> tuple[Tensor, Tensor]:
    """||A(x) - A(x')||_2 and ||x - x'||_2 for `draws` inputs x' near each x: two of shape (n, draws)."""
    if ctx.rerun is None:
        raise RuntimeError(
            "this metric reruns the explainer; the context it was given cannot (ctx.rerun is None)"
        )
    x = ctx.x
    u = ctx.random.uniform(draws, *x.shape[1:], low=-radius, high=radius).to(x)
    near = (x[:, None] + u).clamp(ctx.task.lower.to(x), ctx.task.upper.to(x))
    rows = torch.arange(len(x), device=x.device).repeat_interleave(draws)
    other = ctx.rerun(near.flatten(0, 1), rows).values.view(near.shape)
    change = (other - result.values[:, None]).flatten(2)
    return change.norm(dim=2), (near - x[:, None]).flatten(2).norm(dim=2)


def _relative(score: Tensor, result: Attribution, valid: Tensor) -> Scores:
    """score / ||A(x)||_2, where that is defined."""
    length = result.values.flatten(1).norm(dim=1)
    defined = length > 0
    return Scores(score / torch.where(defined, length, 1), valid & defined)
