"""The fast gradient sign method: PGD with one full step."""

from __future__ import annotations

from torch import Tensor, nn

from benchmark_core import Attack, Context, Perturbation

from .catalogue import FGSMParams
from .iterated import ascend


class FGSM(Attack):
    """x_adv = clip(x + eps sign(grad_x CE(model(x), y))); with targets, minus the gradient towards them."""

    params: FGSMParams

    def perturb(self, model: nn.Module, x: Tensor, y: Tensor, ctx: Context) -> Perturbation:
        eps = self.params.eps
        return ascend(
            model, x, y, ctx, norm="linf", eps=eps, alpha=eps, steps=1, random_start=False, keep="last"
        )
