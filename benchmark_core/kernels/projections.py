"""Euclidean projections onto the balls that bound perturbations, and uniform draws from them.

All of them treat a batch d: (n, *shape) sample by sample, keep dtype and device, and leave d as it is.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..random import SampleRandom
from .dispatch import work_dtype


def feature_dims(d: Tensor) -> tuple[int, ...]:
    """Every dimension but the first."""
    return tuple(range(1, d.ndim))


def project_linf(d: Tensor, eps: float) -> Tensor:
    """argmin ||p - d||_2 over ||p||_inf <= eps, which is clip(d, -eps, eps). d: (n, *shape)."""
    return d.clamp(-eps, eps)


def project_l2(d: Tensor, eps: float) -> Tensor:
    """argmin ||p - d||_2 over ||p||_2 <= eps, which is d min(1, eps / ||d||_2). d: (n, *shape).

    Points inside the ball come back bit for bit.
    """
    norm = torch.linalg.vector_norm(d, dim=feature_dims(d), keepdim=True)
    return d * (eps / norm).masked_fill(norm <= eps, 1)


def project_l1(d: Tensor, eps: float) -> Tensor:
    """argmin ||p - d||_2 over ||p||_1 <= eps, which is sign(d) max(|d| - theta, 0). d: (n, *shape).

    With u = |d| in descending order, rho is the largest k with u_k > (sum_{j<=k} u_j - eps) / k, and theta
    that bound at k = rho: O(F log F) a sample. Points inside the ball come back bit for bit.

    Source: Duchi, Shalev-Shwartz, Singer, Chandra: Efficient projections onto the l1-ball (ICML 2008).
    """
    flat = d.flatten(1)
    a = flat.to(work_dtype(d)).abs()
    inside = a.sum(1, keepdim=True) <= eps
    # theta moves with u, so u may be shifted: with the largest at 0 the sums do not swallow a small eps; what
    # is eps below the largest becomes 0, however large it is
    a -= a.amax(1, keepdim=True)
    u = a.clamp_min(-eps).sort(dim=1, descending=True).values
    k = torch.arange(1, a.shape[1] + 1, dtype=a.dtype, device=d.device)
    bound = u.cumsum(1).sub_(eps).div_(k)
    rho = (u > bound).sum(1, keepdim=True).clamp_min(1)  # 0 only for eps = 0, where rho = 1 gives p = 0
    p = a.sub_(bound.gather(1, rho - 1)).clamp_min_(0).copysign_(flat)
    return torch.where(inside, flat, p.to(d.dtype)).view_as(d)


PROJECTIONS = {"linf": project_linf, "l2": project_l2, "l1": project_l1}


def uniform_in_ball(norm: str, eps: float, random: SampleRandom, like: Tensor) -> Tensor:
    """Points drawn uniformly from the eps-ball of `norm` (linf, l2 or l1), shaped as `like`: (n, *shape).

    linf: each feature uniform. l2: a normal direction at radius eps U^(1/F). l1: signs times the first F of
    F + 1 exponentials over their sum (the coordinates of a uniform point of the simplex).
    """
    shape, features = like.shape[1:], math.prod(like.shape[1:])
    if norm == "linf":
        return random.uniform(*shape, low=-eps, high=eps).to(like)
    if norm == "l2":
        direction = random.normal(features).to(like)
        radius = eps * random.uniform(1).to(like) ** (1 / features)
        d = direction * (radius / torch.linalg.vector_norm(direction, dim=1, keepdim=True))
    elif norm == "l1":
        u = random.uniform(features + 1, low=-1.0).to(like)
        exponential = -torch.log1p(-u.abs().clamp_max(1 - 2.0**-24))
        d = eps * u.sign() * exponential / exponential.sum(1, keepdim=True)
        d = d[:, :features]
    else:
        raise ValueError(f"uniform_in_ball: no ball of norm {norm!r}; there are linf, l2 and l1")
    return d.reshape(like.shape)
