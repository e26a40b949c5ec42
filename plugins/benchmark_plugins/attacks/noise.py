"""Uniform noise in the eps-ball: the null control of the attacks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmark_core import Attack, Context, Perturbation
from benchmark_core.kernels.projections import uniform_in_ball

from .catalogue import NoiseParams
from .losses import succeeds


class Noise(Attack):
    """x_adv = clip(x + u), u uniform in the ball; the first of `draws` tries that succeeds, else the last."""

    params: NoiseParams

    @torch.no_grad()
    def perturb(self, model: nn.Module, x: Tensor, y: Tensor, ctx: Context) -> Perturbation:
        p, target, random = self.params, ctx.target, ctx.random
        lower, upper = ctx.task.lower.to(x), ctx.task.upper.to(x)
        x_adv, rows = torch.empty_like(x), torch.arange(len(x), device=x.device)
        for draw in range(p.draws):
            noise = uniform_in_ball(p.norm, p.eps, random, x[rows])
            x_adv[rows] = (x[rows] + noise).clamp(lower, upper)
            ctx.progress(draw + 1, p.draws)
            if draw + 1 == p.draws:
                break
            stay = ~succeeds(model(x_adv[rows]), y, target)
            rows, y, random = rows[stay], y[stay], random.take(stay.cpu())
            target = None if target is None else target[stay]
            if len(rows) == 0:
                break
        return Perturbation(x_adv)
