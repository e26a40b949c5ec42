"""DeepFool in l2: walk to the nearest class boundary of the model's linearisation until the model errs."""

from __future__ import annotations

import torch
from benchmark_core import Attack, Context, Perturbation
from torch import Tensor, nn

from .plugin import DeepFoolParams

BEYOND = 1e-4
"""Added to every step's length, as in the authors' code: a point on a boundary would else stay there."""


class DeepFool(Attack):
    """x_{i+1} = clip(x_0 + (1 + overshoot) sum_{j<=i} r_j), r_i = (|g_k| / ||w_k||_2 + 1e-4) w_k / ||w_k||_2.

    g_k = f_k(x_i) - f_y(x_i) and w_k = grad g_k(x_i), for the class k != y of least |g_k| / ||w_k||_2.
    Samples leave at their first success; those that the model has wrong already stay as they are.
    """

    params: DeepFoolParams

    def perturb(self, model: nn.Module, x: Tensor, y: Tensor, ctx: Context) -> Perturbation:
        """x: (n, *shape), y: (n,)."""
        p = self.params
        lower, upper = ctx.task.lower.to(x), ctx.task.upper.to(x)
        x_adv, way = x.clone(), torch.zeros_like(x)
        rows = torch.arange(len(x), device=x.device)  # samples that the model still gets right
        for step in range(p.steps):
            with torch.no_grad():
                rows = rows[model(x_adv[rows]).argmax(1) == y[rows]]
            if len(rows) == 0:
                break
            way[rows] += self._to_boundary(model, x_adv[rows], y[rows])
            x_adv[rows] = (x[rows] + (1 + p.overshoot) * way[rows]).clamp(lower, upper)
            ctx.progress(step + 1, p.steps)
        return Perturbation(x_adv)

    def _to_boundary(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        """r for samples x (n, *shape) of classes y (n,)."""
        z = x.detach().requires_grad_()
        f = model(z)
        others = f.detach().scatter(1, y[:, None], -torch.inf)
        k = others.topk(min(self.params.candidates, f.shape[1] - 1), dim=1).indices
        g = f.gather(1, k) - f.gather(1, y[:, None])
        # one backward pass a class, for all samples at once
        w = torch.stack([torch.autograd.grad(g_k.sum(), z, retain_graph=True)[0] for g_k in g.unbind(1)], 1)
        w = w.flatten(2)  # (n, candidates, features)
        length = w.norm(dim=2).clamp_min(1e-12)  # where the gradient vanished, w / length = 0: no step
        distance = g.detach().abs() / length
        nearest = distance.argmin(1, keepdim=True)
        direction = (w / length[..., None]).gather(1, nearest[..., None].expand(-1, 1, w.shape[2]))[:, 0]
        return ((distance.gather(1, nearest) + BEYOND) * direction).view_as(x)
