"""The attack that does nothing: accuracy under it is clean accuracy."""

from __future__ import annotations

from torch import Tensor, nn

from benchmark_core import Attack, Context, Perturbation


class NoAttack(Attack):
    """x_adv = x."""

    def perturb(self, model: nn.Module, x: Tensor, y: Tensor, ctx: Context) -> Perturbation:
        return Perturbation(x)
