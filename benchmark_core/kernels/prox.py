"""Proximal operators that make perturbations sparse, and projections on few changed features, exact in a box.

prox(y) = argmin over w in [low, high] of (y - w)^2 / 2 + tau |w|^p, element by element. All functions keep
dtype and device and leave their arguments as they are. Half precision is computed in float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from .dispatch import EXACT, Op, blocks, clip, jit, periodic, periodic_index, row_tile, tl, work_dtype

Bound = Tensor | float


def prox_lp(y: Tensor, tau: Bound, p: float, low: Bound = -math.inf, high: Bound = math.inf) -> Tensor:
    """The minimiser for p in {0, 1/2, 2/3, 1}; |w|^0 counts w != 0. y: any shape.

    tau >= 0: a number or a tensor that broadcasts, one threshold a coordinate. low <= 0 <= high: the box.
    Where two points are equally good the one nearer to zero is taken. For p < 1 clipping the free minimiser
    is not exact in a box; the answer is the best of 0, the clipped free minimiser and clip(y).
    Raises ValueError for another p.

    Source: Cao, Sun, Xu 2013, Fast image deconvolution using closed-form thresholding formulas of L_q
    (q = 1/2, 2/3) regularization; p = 0 in a box: Sadiku, Wagner, Nagarajan, Pokutta 2025, arXiv:2410.15723.
    """
    _check_power(p)
    return _PROX(y, *_tensors(y, tau, low, high), float(p))


def prox_step(
    w: Tensor, g: Tensor, alpha: float, tau: Bound, p: float, low: Bound = -math.inf, high: Bound = math.inf
) -> Tensor:
    """One proximal gradient step, prox_lp(w - alpha g, tau, p, low, high), in one pass. w, g: the same shape.

    The step of size alpha on f(w) + lambda |w|^p has tau = alpha lambda.
    """
    _check_power(p)
    return _STEP(w, g, alpha, *_tensors(w, tau, low, high), float(p))


def _check_power(p: float) -> None:
    if p not in _FREE:
        raise ValueError(f"prox_lp: p must be one of {', '.join(map(str, _FREE))}, got {p}")


def _tensors(y: Tensor, *bounds: Bound) -> list[Tensor]:
    work = {"dtype": work_dtype(y), "device": y.device}
    return [b.to(**work) if isinstance(b, Tensor) else torch.full((), b, **work) for b in bounds]


def _step(w: Tensor, g: Tensor, alpha: float, tau: Tensor, low: Tensor, high: Tensor, p: float) -> Tensor:
    y = torch.sub(w.to(work_dtype(w)), g.to(work_dtype(w)), alpha=alpha)
    return _prox(y, tau, low, high, p).to(w.dtype)


def _prox(y: Tensor, tau: Tensor, low: Tensor, high: Tensor, p: float) -> Tensor:
    work, t, low, high = (v.to(work_dtype(y)) for v in (y, tau, low, high))
    if p == 1:  # convex and separable: clipping the free minimiser is exact
        return _soft(work, t).clamp(low, high).to(y.dtype)
    z = work.clamp(low, high)
    if p == 0:
        return torch.where(_gain(work, z) <= 2 * t, 0, z).to(y.dtype)
    best, least = torch.where(work.abs() < math.inf, 0, z), torch.zeros_like(work)
    for point in (_FREE[p](work, t).clamp(low, high), z):
        value = t * point.abs() ** p - _gain(work, point) / 2
        better = value < least
        best, least = torch.where(better, point, best), torch.where(better, value, least)
    return best.to(y.dtype)


def _gain(y: Tensor, z: Tensor) -> Tensor:
    """y^2 - (y - z)^2 = z (2 y - z), without cancellation: what z saves of the distance to y against 0."""
    return (y - z).add_(y).mul_(z)


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
    return _GROUP(y, *_tensors(y, tau), sorted(d % y.ndim for d in dims))


def _group(y: Tensor, tau: Tensor, dims: list[int]) -> Tensor:
    work = y.to(work_dtype(y))
    norm = torch.linalg.vector_norm(work, dim=dims, keepdim=True)
    scale = torch.where(norm > tau, 1 - tau / torch.where(norm > 0, norm, 1), 0)
    return (work * scale).to(y.dtype)


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
    return _TOPK(y, m, *_tensors(y, low, high), channels)


def _topk(y: Tensor, m: int, low: Tensor, high: Tensor, channels: bool) -> Tensor:
    work, low, high = (v.to(work_dtype(y)) for v in (y, low, high))
    z = work.clamp(low, high)
    gain = torch.where(z == 0, 0, _gain(work, z))  # of infinite y too
    if channels:
        gain = gain.sum(1, keepdim=True)
    flat = gain.flatten(1)
    if m >= flat.shape[1]:
        return z.to(y.dtype)
    order = torch.argsort(flat, dim=1, descending=True, stable=True)[:, :m]
    keep = torch.zeros_like(flat, dtype=torch.bool).scatter_(1, order, True).view_as(gain)
    return torch.where(keep, z, 0).to(y.dtype)


# --- the programs ----------------------------------------------------------------------------------------


@jit
def _minimiser(y, tau, low, high, POWER: tl.constexpr):
    """The minimiser in the box for p = 0, 1/2, 2/3, 1 (POWER 0, 1, 2, 3).

    The free minimiser for p < 1 is w = s^2 or s^3, s the largest root of s^3 - |y| s + tau / 2 (p = 1/2) or
    s^4 - |y| s + 2 tau / 3 (p = 2/3), where it is a minimum. Newton's steps fall to it from |y|^(1/2) or
    |y|^(1/3) and end in float32 after five; below the threshold, where there is none, 0 is better anyway.
    """
    z = clip(y, low, high)
    a = tl.abs(y)
    if POWER == 0:
        best = tl.where(_gained(y, z) <= 2 * tau, 0.0, z)
    elif POWER == 3:
        w = tl.where(a <= tau, 0.0, a - tau)
        best = clip(tl.where(y < 0, -w, w), low, high)
    else:
        if POWER == 1:
            s = tl.sqrt(a)
            least_s = 0.8 * s
            for _ in tl.static_range(5):
                slope = tl.maximum(3 * s * s - a, 1e-37)
                s = tl.maximum(s - ((s * s - a) * s + tau / 2) / slope, least_s)
            w = s * s
        else:
            s = tl.exp2(tl.log2(a) / 3)
            least_s = 0.79 * s
            for _ in tl.static_range(5):
                slope = tl.maximum(4 * s * s * s - a, 1e-37)
                s = tl.maximum(s - ((s * s * s - a) * s + tau / 1.5) / slope, least_s)
            w = s * s * s
        w = clip(tl.where(y < 0, -w, w), low, high)
        value = _objective(y, w, tau, POWER)
        best = tl.where(value < 0, w, tl.where(a < float("inf"), 0.0, z))
        least = tl.where(value < 0, value, 0.0)
        best = tl.where(_objective(y, z, tau, POWER) < least, z, best)
    return best


@jit
def _gained(y, z):
    return tl.where(z == 0, 0.0, z * (y + (y - z)))


@jit
def _objective(y, w, tau, POWER: tl.constexpr):
    """Less that of 0."""
    a = tl.abs(w)
    size = tl.sqrt(a) if POWER == 1 else tl.exp2(tl.log2(a) / 1.5)
    return tau * size - _gained(y, w) / 2


@jit
def _prox_program(
    w, g, tau, low, high, out, alpha, n, period, POWER: tl.constexpr, STEP: tl.constexpr, BLOCK: tl.constexpr
):
    start = tl.program_id(0).to(tl.int64) * BLOCK
    j = tl.arange(0, BLOCK)
    i = start + j
    inside = i < n
    y = tl.load(w + i, mask=inside).to(tl.float32)
    if STEP:
        y -= alpha * tl.load(g + i, mask=inside).to(tl.float32)
    k = periodic_index(start, j, period)
    t = tl.load(tau + k, mask=inside).to(tl.float32)
    a = tl.load(low + k, mask=inside).to(tl.float32)
    b = tl.load(high + k, mask=inside).to(tl.float32)
    tl.store(out + i, _minimiser(y, t, a, b, POWER).to(out.dtype.element_ty), mask=inside)


@jit
def _group_program(y, tau, out, groups, size, inner, SIZE: tl.constexpr, ROWS: tl.constexpr):
    """Groups of `size` elements, `inner` apart, whole in registers: y is (groups / inner, size, inner)."""
    r = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)[:, None]
    k = tl.arange(0, SIZE)[None, :]
    inside = (r < groups) & (k < size)
    i = (r // inner) * size * inner + k * inner + r % inner
    a = tl.load(y + i, mask=inside, other=0.0).to(tl.float32)
    t = tl.load(tau + r, mask=r < groups, other=0.0).to(tl.float32)
    norm = tl.sqrt(tl.sum(a * a, axis=1, keep_dims=True))
    scale = tl.where(norm > t, 1 - t / tl.where(norm > 0, norm, 1.0), 0.0)
    tl.store(out + i, (a * scale).to(out.dtype.element_ty), mask=inside)


@jit
def _topk_program(
    y, low, high, out, n, m, features, period,
    CHANNELS: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Gains of whole samples in registers. Gains are not negative, so their order is that of their bits: the
    m-th largest is found bit by bit, and of those equal to it the first fill up."""
    r = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)[:, None]
    j = tl.arange(0, BLOCK)[None, :]
    inside = (r < n) & (j < features)
    gain = tl.zeros([ROWS, BLOCK], tl.float32)
    for c in range(CHANNELS):
        i = (r * CHANNELS + c) * features + j
        k = periodic_index(r * CHANNELS * features, c * features + j, period)
        a = tl.load(y + i, mask=inside, other=0.0).to(tl.float32)
        least = tl.load(low + k, mask=inside, other=0.0).to(tl.float32)
        z = clip(a, least, tl.load(high + k, mask=inside, other=0.0).to(tl.float32))
        gain += _gained(a, z)
    bits = tl.abs(gain).to(tl.int32, bitcast=True)  # no negative zero
    bits = tl.where(gain == gain, bits, 2147483647)  # NaN first
    bits = tl.where(inside, bits, -1)
    kth = tl.zeros([ROWS, 1], tl.int32)
    for b in range(31):
        more = kth | (1 << (30 - b))
        kth = tl.where(tl.sum((bits >= more).to(tl.int32), axis=1, keep_dims=True) >= m, more, kth)
    above = bits > kth
    free = m - tl.sum(above.to(tl.int32), axis=1, keep_dims=True)
    equal = bits == kth
    keep = above | (equal & (tl.cumsum(equal.to(tl.int32), axis=1) <= free))
    for c in range(CHANNELS):
        i = (r * CHANNELS + c) * features + j
        k = periodic_index(r * CHANNELS * features, c * features + j, period)
        a = tl.load(y + i, mask=inside, other=0.0).to(tl.float32)
        least = tl.load(low + k, mask=inside, other=0.0).to(tl.float32)
        z = clip(a, least, tl.load(high + k, mask=inside, other=0.0).to(tl.float32))
        tl.store(out + i, tl.where(keep, z, 0.0).to(out.dtype.element_ty), mask=inside)


# --- the launches ----------------------------------------------------------------------------------------

MAX_GROUP = 8192
"""Elements of a group, and features of a sample in top-k, that one program holds in registers; larger ones
take the reference."""


def _step_triton(
    w: Tensor, g: Tensor, alpha: float, tau: Tensor, low: Tensor, high: Tensor, p: float
) -> Tensor:
    out, n = torch.empty_like(w), w.numel()
    if n:
        t, low, high, period = periodic(w, tau, low, high)
        _prox_program[blocks(n, 1024)](
            *(w, g, t, low, high, out, alpha, n, period),
            **{"POWER": list(_FREE).index(p), "STEP": g is not w, "BLOCK": 1024, **EXACT},
        )
    return out


def _prox_triton(y: Tensor, tau: Tensor, low: Tensor, high: Tensor, p: float) -> Tensor:
    return _step_triton(y, y, 0.0, tau, low, high, p)


def _group_triton(y: Tensor, tau: Tensor, dims: list[int]) -> Tensor:
    first, last = dims[0], dims[-1] + 1
    size = math.prod(y.shape[d] for d in dims)
    if dims != list(range(first, last)) or size > MAX_GROUP:
        return _group(y, tau, dims)
    out = torch.empty_like(y)
    if y.numel():
        inner = math.prod(y.shape[last:])
        shape = [1 if d in dims else s for d, s in enumerate(y.shape)]
        tile = row_tile(size)
        groups = y.numel() // size
        _group_program[blocks(groups, tile["ROWS"])](
            *(y, tau.expand(shape).contiguous(), out, groups, size, inner),
            **{"SIZE": tile.pop("BLOCK"), **tile},
        )
    return out


def _topk_triton(y: Tensor, m: int, low: Tensor, high: Tensor, channels: bool) -> Tensor:
    n, c = len(y), y.shape[1] if channels else 1
    features = math.prod(y.shape[1:]) // max(1, c)
    if m >= features or features > MAX_GROUP:
        return _topk(y, m, low, high, channels)
    out = torch.empty_like(y)
    if y.numel():
        tile = row_tile(features)
        low, high, period = periodic(y, low, high)
        _topk_program[blocks(n, tile["ROWS"])](y, low, high, out, n, m, features, period, CHANNELS=c, **tile)
    return out


_PROX = Op("prox_lp", _prox, _prox_triton)
_STEP = Op("prox_step", _step, _step_triton)
_GROUP = Op("group_soft_threshold", _group, _group_triton)
_TOPK = Op("topk_box_projection", _topk, _topk_triton)
