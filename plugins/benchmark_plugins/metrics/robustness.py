"""Metrics of accuracy and robustness: what a fresh prediction says about clean and attacked inputs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmark_core import Metric, MetricContext, Perturbation, Prediction, Scores

from .catalogue_robustness import PerturbationNormParams

ORDER = {"l0": 0, "l1": 1, "l2": 2, "linf": torch.inf}


def correct(model: nn.Module, x: Tensor, ctx: MetricContext) -> Tensor:
    """(n,) bool: the model says ctx.y at x."""
    return ctx.logits(model, x).argmax(1) == ctx.y


def turned(model: nn.Module, x_adv: Tensor, ctx: MetricContext) -> Tensor:
    """(n,) bool: the model says ctx.target at x_adv; without targets, anything but ctx.y."""
    prediction = ctx.logits(model, x_adv).argmax(1)
    return prediction != ctx.y if ctx.target is None else prediction == ctx.target


class Accuracy(Metric):
    """1 where argmax_k z_k(x) = y, else 0."""

    def measure(self, result: Prediction, model: nn.Module, ctx: MetricContext) -> Scores:
        return Scores((result.logits.argmax(1) == ctx.y).float())


class RobustAccuracy(Metric):
    """1 where argmax_k z_k(x_adv) = y, else 0: the label is kept, whatever a targeted attack aimed at."""

    def measure(self, result: Perturbation, model: nn.Module, ctx: MetricContext) -> Scores:
        return Scores(correct(model, result.x_adv, ctx).float())


class AttackSuccessRate(Metric):
    """1 where the prediction at x_adv is the target (without targets: is not y), else 0; defined where the
    prediction at x is y."""

    def measure(self, result: Perturbation, model: nn.Module, ctx: MetricContext) -> Scores:
        return Scores(turned(model, result.x_adv, ctx).float(), valid=correct(model, ctx.x, ctx))


class PerturbationNorm(Metric):
    """||x_adv - x||_p, l0 counting the entries that differ; over successes (see AttackSuccessRate) or all."""

    params: PerturbationNormParams

    def measure(self, result: Perturbation, model: nn.Module, ctx: MetricContext) -> Scores:
        d = (result.x_adv - ctx.x).flatten(1)
        norms = torch.linalg.vector_norm(d, ORDER[self.params.norm], dim=1)
        if self.params.among == "all":
            return Scores(norms)
        return Scores(norms, valid=correct(model, ctx.x, ctx) & turned(model, result.x_adv, ctx))


class Transfer(Metric):
    """Success of x_adv, made on `model`, against the reference model, as in AttackSuccessRate; defined where
    both models say y at x."""

    def measure(self, result: Perturbation, model: nn.Module, ctx: MetricContext) -> Scores:
        other = ctx.reference_model
        if other is None:
            raise ValueError(
                "transfer: there is no other model; name a defense by `reference: LABEL` in the suite"
            )
        both = correct(model, ctx.x, ctx) & correct(other, ctx.x, ctx)
        return Scores(turned(other, result.x_adv, ctx).float(), valid=both)
