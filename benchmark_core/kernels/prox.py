"""Proximal operators that make perturbations sparse, and projections on few changed features, exact in a box.

prox(y) = argmin over w in [low, high] of (y - w)^2 / 2 + tau |w|^p, element by element. All functions keep
dtype and device and leave their arguments as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

Bound = Tensor | float


def prox_lp(y: Tensor, tau: Bound, p: float, low: Bound = -math.inf, high: Bound = math.inf) -> Tensor:
    """The minimiser for p in {0, 1/2, 2/3, 1}; |w|^0 counts w != 0. y: any shape.

    tau >= 0: a number or a tensor that broadcasts, one threshold a coordinate. low <= 0 <= high: the box.
    Where two points are equally good the one nearer to zero is taken. For p < 1 clipping the free minimiser
    is not exact in a box; the answer is the best of 0, the clipped free minimiser and clip(y).
    Half precision is computed in float32. Raises ValueError for another p.

    Source: Cao, Sun, Xu 2013, Fast image deconvolution using closed-form thresholding formulas of L_q
    (q = 1/2, 2/3) regularization; p = 0 in a box: Sadiku, Wagner, Nagarajan, Pokutta 2025, arXiv:2410.15723.
    """
    if p not in _FREE:
        raise ValueError(f"prox_lp: p must be one of {', '.join(map(str, _FREE))}, got {p}")
    work = y.to(torch.float32) if y.dtype in (torch.float16, torch.bfloat16) else y
    t = torch.as_tensor(tau, dtype=work.dtype, device=work.device)
    if p == 1:  # convex and separable: clipping the free minimiser is exact
        return _soft(work, t).clamp(low, high).to(y.dtype)  # type: ignore[arg-type]
    z = work.clamp(low, high)  # type: ignore[arg-type]
    if p == 0:
        return torch.where(work.square() - (work - z).square() > 2 * t, z, 0).to(y.dtype)
    w = _FREE[p](work, t).clamp(low, high)  # type: ignore[arg-type]
    best, least = torch.zeros_like(work), work.square() / 2
    for point in (w, z):
        value = (work - point).square() / 2 + t * point.abs() ** p
        better = value < least
        best, least = torch.where(better, point, best), torch.where(better, value, least)
    return best.to(y.dtype)


def _soft(y: Tensor, tau: Tensor) -> Tensor:
    return (y.abs() - tau).clamp_min(0).copysign(y)


def _hard(y: Tensor, tau: Tensor) -> Tensor:
    return torch.where(y.square() > 2 * tau, y, 0)


def _half(y: Tensor, tau: Tensor) -> Tensor:
    """p = 1/2: 2/3 |y| (1 + cos(2 pi / 3 - 2 phi / 3)), cos phi = tau / 4 (|y| / 3)^(-3/2), beyond the
    threshold 3/2 tau^(2/3)."""
    a = y.abs()
    beyond = a > 1.5 * tau ** (2 / 3)
    cosine = (tau / 4 * (torch.where(beyond, a, 1) / 3) ** -1.5).clamp(max=1)
    w = 2 / 3 * a * (1 + torch.cos(2 * math.pi / 3 - 2 / 3 * torch.arccos(cosine)))
    return torch.where(beyond, w, 0).copysign(y)


def _two_thirds(y: Tensor, tau: Tensor) -> Tensor:
    """p = 2/3: ((A + sqrt(2 |y| / A - A^2)) / 2)^3 with A = 2 / sqrt(3) (2 tau)^(1/4) cosh(phi / 3)^(1/2),
    cosh phi = 27 y^2 / 16 (2 tau)^(-3/2), beyond the threshold 2/3 (3 (2 tau)^3)^(1/4)."""
    a, lam = y.abs(), 2 * tau
    beyond = (a > 2 / 3 * (3 * lam**3) ** 0.25) & (lam > 0)
    lam_safe = torch.where(lam > 0, lam, 1)
    phi = torch.arccosh((27 / 16 * y.square() * lam_safe**-1.5).clamp_min(1))
    big_a = 2 / math.sqrt(3) * lam_safe**0.25 * torch.cosh(phi / 3).sqrt()
    w = ((big_a + (2 * a / big_a - big_a.square()).clamp_min(0).sqrt()) / 2) ** 3
    return torch.where(lam > 0, torch.where(beyond, w, 0), a).copysign(y)


_FREE: dict[float, Callable[[Tensor, Tensor], Tensor]] = {0: _hard, 0.5: _half, 2 / 3: _two_thirds, 1: _soft}


def group_soft_threshold(y: Tensor, tau: Bound, dims: tuple[int, ...]) -> Tensor:
    """argmin_w ||y - w||_2^2 / 2 + tau sum_g ||w_g||_2: max(0, 1 - tau / ||y_g||_2) y_g.

    dims: the dimensions that make up a group; the others number the groups. tau broadcasts against them.
    """
    norm = torch.linalg.vector_norm(y, dim=dims, keepdim=True)
    scale = torch.where(norm > tau, 1 - tau / torch.where(norm > 0, norm, 1), 0)
    return y * scale


def topk_box_projection(
    y: Tensor, m: int, low: Bound = -math.inf, high: Bound = math.inf, *, channels: bool = False
) -> Tensor:
    """argmin ||y - w||_2 over low <= w <= high with at most m of w's features not 0. y: (n, *shape).

    z = clip(y) on the m features with the largest gain y^2 - (y - z)^2, 0 elsewhere; low <= 0 <= high.
    channels: a pixel of (n, C, H, W) counts as one feature, its gain is the sum over channels.
    Of equal gains the first features are taken. Raises ValueError for m < 0.

    Source: Sadiku, Wagner, Nagarajan, Pokutta 2025, arXiv:2410.15723.
    """
    if m < 0:
        raise ValueError(f"topk_box_projection: m must be at least 0, got {m}")
    z = y.clamp(low, high)  # type: ignore[arg-type]
    gain = y.square() - (y - z).square()
    if channels:
        gain = gain.sum(1, keepdim=True)
    flat = gain.flatten(1)
    if m >= flat.shape[1]:
        return z
    order = torch.argsort(flat, dim=1, descending=True, stable=True)[:, :m]
    keep = torch.zeros_like(flat, dtype=torch.bool).scatter_(1, order, True).view_as(gain)
    return torch.where(keep, z, 0)
