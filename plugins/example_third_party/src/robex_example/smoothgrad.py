"""SmoothGrad: saliency averaged over noisy copies of the input."""

from __future__ import annotations

import torch
from benchmark_core import Attribution, Context, Explainer
from torch import Tensor, nn

from .plugin import SmoothGradParams


class SmoothGrad(Explainer):
    """A(x) = 1/m sum_j grad F_c(x + sigma u_j), u_j ~ N(0, I), c = argmax F(x).

    sigma = noise (upper - lower), feature by feature.
    """

    params: SmoothGradParams

    def explain(self, model: nn.Module, x: Tensor, y: Tensor, ctx: Context) -> Attribution:
        """x: (n, *shape). Values: (n, *shape), in logits per input unit."""
        p = self.params
        sigma = p.noise * (ctx.task.upper - ctx.task.lower).to(x)
        with torch.no_grad():
            c = model(x).argmax(1, keepdim=True)
        total = torch.zeros_like(x)
        for draw in range(p.draws):
            u = ctx.random.normal(*x.shape[1:]).to(x)  # belongs to the samples, not to the batch
            z = (x + sigma * u).requires_grad_()
            (gradient,) = torch.autograd.grad(model(z).gather(1, c).sum(), z)
            total += gradient
            ctx.progress(draw + 1, p.draws)
        return Attribution(total / p.draws)
