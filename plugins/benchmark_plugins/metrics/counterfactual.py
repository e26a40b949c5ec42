"""Metrics on counterfactuals: do they reach the target, how far away, and how typical of the target class."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from benchmark_core import Counterfactual, Metric, MetricContext, Scores
from benchmark_core.kernels.knn import knn
from benchmark_core.kernels.ssim import ssim_knn

from .catalogue_counterfactual import (
    CostParams,
    ImplausibilityParams,
    LofParams,
    SparsityParams,
    UnfaithfulnessParams,
    ValidityParams,
)

Distance = Literal["auto", "l2", "l1", "cosine", "ssim"]


class Validity(Metric):
    """1 when the model, asked again, gives x' the target t: argmax_c f_c(x') = t, or p_t(x') >= threshold."""

    params: ValidityParams

    def measure(self, result: Counterfactual, model: nn.Module, ctx: MetricContext) -> Scores:
        if self.params.rule == "argmax":
            return Scores(_reached(result, model, ctx).to(result.x_cf.dtype))
        p = ctx.logits(model, result.x_cf).softmax(1)
        p_target = p.gather(1, _target(ctx)[:, None]).squeeze(1)
        return Scores((p_target >= self.params.threshold).to(result.x_cf.dtype))


class CounterfactualCost(Metric):
    """||x' - x|| over all features of a sample, in the l1, l2 or linf norm."""

    params: CostParams

    def measure(self, result: Counterfactual, model: nn.Module, ctx: MetricContext) -> Scores:
        order = {"l1": 1.0, "l2": 2.0, "linf": torch.inf}[self.params.norm]
        size = torch.linalg.vector_norm((result.x_cf - ctx.x).flatten(1), order, dim=1)
        return Scores(size, _among(self.params.among, result, model, ctx))


class Sparsity(Metric):
    """#{i : |x'_i - x_i| > atol + rtol |x_i|}, as CARLA counts with numpy's isclose."""

    params: SparsityParams

    def measure(self, result: Counterfactual, model: nn.Module, ctx: MetricContext) -> Scores:
        kept = torch.isclose(result.x_cf, ctx.x, rtol=self.params.rtol, atol=self.params.atol)
        changed = (~kept).flatten(1).sum(1).to(result.x_cf.dtype)
        return Scores(changed, _among(self.params.among, result, model, ctx))


class Lof(Metric):
    """LOF_k(x') = mean over o in N_k(x') of lrd(o) / lrd(x'), all among training points of the target class.

    lrd(a) = 1 / (mean over o in N_k(a) of max(d(a, o), d_k(o)) + 1e-10), N_k(a) the k nearest training points
    and d_k(o) the distance from o to its own k-th neighbour (Breunig et al. 2000). x' is nobody's neighbour:
    this is -score_samples(x') of scikit-learn's LocalOutlierFactor(n_neighbors=k, novelty=True).
    Raises ValueError when a target class has fewer than two training points.
    """

    params: LofParams

    def measure(self, result: Counterfactual, model: nn.Module, ctx: MetricContext) -> Scores:
        index = _index(ctx)
        scores = result.x_cf.new_empty(len(result.x_cf))
        for c, rows, start, stop in _by_target(index, ctx):
            k = int(index["k"][c])
            if k < 1:
                raise ValueError(
                    f"lof: class {ctx.task.classes[c]!r} has {stop - start} training points, a local density "
                    "needs two; leave the class out of the targets"
                )
            k_distance = index["distances"][start:stop, k - 1]
            distances, neighbours = knn(
                result.x_cf[rows], _points(index, start, stop, ctx), k, self.params.distance
            )
            lrd = _density(distances, k_distance[neighbours])
            own = index["neighbours"][start:stop, :k]
            lrd_train = _density(index["distances"][start:stop, :k], k_distance[own])
            scores[rows] = lrd_train[neighbours].mean(1) / lrd
        return Scores(scores)


class Implausibility(Metric):
    """Mean distance from x' to its k nearest training points of the target class (Altmeyer et al. 2024).

    The published numbers take k = 100 with l2 on standardised tables and (1 - SSIM) / 2 on images. For ssim
    the box of the task is scaled to [0, 1] by its smallest lower and largest upper bound, and borders are
    mirrored, as Julia's `assess_ssim` does. Raises ValueError when a target class has no training points.
    """

    params: ImplausibilityParams

    def measure(self, result: Counterfactual, model: nn.Module, ctx: MetricContext) -> Scores:
        index = _index(ctx)
        scores = result.x_cf.new_empty(len(result.x_cf))
        done = 0
        for c, rows, start, stop in _by_target(index, ctx):
            if start == stop:
                raise ValueError(
                    f"implausibility: class {ctx.task.classes[c]!r} has no training points to compare with; "
                    "leave the class out of the targets"
                )
            points = _points(index, start, stop, ctx)
            scores[rows] = _mean_distance(
                result.x_cf[rows], points, self.params.k, self.params.distance, self.params.borders, ctx
            )
            done += len(rows)
            ctx.progress(done, len(scores))
        return Scores(scores, _among(self.params.among, result, model, ctx))


class Unfaithfulness(Metric):
    """Mean distance from x' to the `keep` samples of lowest energy that Langevin dynamics draws from the
    model for the target class (Altmeyer et al. 2024; state sgld-samples)."""

    params: UnfaithfulnessParams

    def measure(self, result: Counterfactual, model: nn.Module, ctx: MetricContext) -> Scores:
        p = self.params
        samples = ctx.states["sgld"]["x"][:, : p.keep].to(result.x_cf)
        scores = result.x_cf.new_empty(len(result.x_cf))
        target = _target(ctx)
        for c in target.unique().tolist():
            rows = target == c
            scores[rows] = _mean_distance(result.x_cf[rows], samples[c], p.keep, p.distance, p.borders, ctx)
        if p.scale == "published":
            scores *= p.keep / p.chains
        return Scores(scores, _among(p.among, result, model, ctx))


def _target(ctx: MetricContext) -> Tensor:
    if ctx.target is None:
        raise ValueError("counterfactuals are scored against their targets; select samples with targets")
    return ctx.target


def _reached(result: Counterfactual, model: nn.Module, ctx: MetricContext) -> Tensor:
    """(n,) bool: a fresh prediction on x' is the target."""
    return ctx.logits(model, result.x_cf).argmax(1) == _target(ctx)


def _mean_distance(
    x: Tensor, points: Tensor, k: int, distance: Distance, borders: str, ctx: MetricContext
) -> Tensor:
    """Mean distance from x (m, *shape) to its min(k, N) nearest of the points (N, *shape): (m,)."""
    k = min(k, len(points))
    if distance == "auto":
        distance = "ssim" if ctx.task.is_image else "l2"
    if distance == "ssim":
        low = ctx.task.lower.min().to(x)
        width = ctx.task.upper.max().to(x) - low
        nearest, _ = ssim_knn((x - low) / width, (points - low) / width, k, crop=borders == "crop")
    else:
        nearest, _ = knn(x, points, k, distance)
    return nearest.mean(1)


def _among(among: str, result: Counterfactual, model: nn.Module, ctx: MetricContext) -> Tensor | None:
    return _reached(result, model, ctx) if among == "valid" else None


def _index(ctx: MetricContext) -> Mapping[str, Tensor]:
    """The neighbour index beside the inputs, its distances in their dtype."""
    return {
        name: tensor.to(ctx.x) if tensor.is_floating_point() else tensor.to(ctx.x.device)
        for name, tensor in ctx.states["index"].items()
    }


def _by_target(index: Mapping[str, Tensor], ctx: MetricContext) -> Iterator[tuple[int, Tensor, int, int]]:
    """For every class aimed at: the class, the rows that aim at it, and the slots of its training points."""
    target, offsets = _target(ctx), index["offsets"].tolist()
    for c in target.unique().tolist():
        yield c, (target == c).nonzero().squeeze(1), offsets[c], offsets[c + 1]


def _points(index: Mapping[str, Tensor], start: int, stop: int, ctx: MetricContext) -> Tensor:
    """Training points in these slots of the neighbour index, beside the inputs."""
    return ctx.task.x_train[index["order"][start:stop].to(ctx.task.x_train.device)].to(ctx.x)


def _density(distances: Tensor, k_distance: Tensor) -> Tensor:
    """Local reachability density from distances (n, k) to neighbours and the k-distances of those."""
    return 1 / (torch.maximum(distances, k_distance).mean(1) + 1e-10)
