"""Projected gradient ascent in linf, l2 and l1 balls."""

from __future__ import annotations

from torch import Tensor, nn

from benchmark_core import Attack, Context, Perturbation

from .catalogue import PGDParams
from .iterated import ascend


class PGD(Attack):
    """x_{k+1} = clip(x + project(x_k + alpha step(grad_x L(x_k)) - x)); alpha = 2.5 eps / steps by default.

    Under `ctx.goal == "success"` samples leave at their first success and restarts go to the others; the
    samples that succeed are the same as when all steps are run.
    """

    params: PGDParams

    def perturb(self, model: nn.Module, x: Tensor, y: Tensor, ctx: Context) -> Perturbation:
        p = self.params
        keep = p.iterate
        if keep == "auto":
            keep = "last" if ctx.goal == "training" else "best"
        return ascend(
            model,
            x,
            y,
            ctx,
            norm=p.norm,
            eps=p.eps,
            alpha=2.5 * p.eps / p.steps if p.step_size is None else p.step_size,
            steps=p.steps,
            random_start=p.random_start,
            restarts=p.restarts,
            loss=p.loss,
            keep=keep,
        )
