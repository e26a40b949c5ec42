"""One step of a gradient attack in an eps-ball: move, project, clip to the box, in one pass over memory.

    x_{k+1} = clip(x + project(x_k + alpha s(g) - x), lower, upper),    s(g) = sign(g), or g / ||g||_2

Ball first, then box: since x lies in the box, clipping shrinks every |x_{k+1} - x|, so the result lies in
both. x_k, g, x: (n, *shape) of one dtype, x inside the box; lower, upper broadcast against (*shape). The
results are new tensors. A gradient's size does not matter, only its direction; a step has no derivative.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .dispatch import (
    EXACT,
    Op,
    blocks,
    clip,
    jit,
    next_power_of_2,
    periodic,
    periodic_index,
    row_tile,
    tl,
)
from .projections import feature_dims, project_l1, project_l2

MAX_ROW = 8192
"""Features of a sample that one program holds in registers; longer samples are read twice (l2) or oftener."""


def linf_step(
    x_k: Tensor, g: Tensor, x: Tensor, alpha: float, eps: float, lower: Tensor, upper: Tensor
) -> Tensor:
    """clip(x_k + alpha sign(g)) to [x - eps, x + eps] and [lower, upper]: (n, *shape)."""
    return _LINF(x_k, g, x, alpha, eps, lower, upper)


def linf_bounds(x: Tensor, eps: float, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
    """The ball within the box, (n, *shape) each: both hold x, so that one clip does for two."""
    least, most = x - eps, x + eps
    return torch.maximum(least, lower, out=least), torch.minimum(most, upper, out=most)


def linf_step_(x_k: Tensor, g: Tensor, alpha: float, least: Tensor, most: Tensor) -> Tensor:
    """`linf_step` with kept `linf_bounds`, for many steps on a CPU: (n, *shape). g is overwritten.

    On a GPU `linf_step` makes one pass over memory and reads less.
    """
    return torch.add(x_k, g.sign_(), alpha=alpha).clamp_(least, most)


def l2_step(
    x_k: Tensor, g: Tensor, x: Tensor, alpha: float, eps: float, lower: Tensor, upper: Tensor
) -> Tensor:
    """Move by alpha g / ||g||_2, project d = x_k + ... - x on ||d||_2 <= eps, clip: (n, *shape).

    Past MAX_ROW features ||d||_2^2 is made of ||x_k - x||^2 + 2 alpha <x_k - x, g> / ||g|| + alpha^2, which
    is exact to float32 for x_k in the ball and loses digits when x_k lies many eps outside.
    """
    return _L2(x_k, g, x, alpha, eps, lower, upper)


def l1_step(
    x_k: Tensor, g: Tensor, x: Tensor, alpha: float, eps: float, lower: Tensor, upper: Tensor
) -> Tensor:
    """Move by alpha g / ||g||_2 as in l2, project on ||d||_1 <= eps, clip: (n, *shape).

    The Euclidean step is projected gradient ascent proper: step and projection share one geometry; what makes
    the result sparse is the projection (see `project_l1`).
    """
    return _L1(x_k, g, x, alpha, eps, lower, upper)


STEPS = {"linf": linf_step, "l2": l2_step, "l1": l1_step}


def unit_l2(g: Tensor) -> Tensor:
    """g / ||g||_2 sample by sample, 0 where g is 0. The largest entry is scaled to 1 first, so that gradients
    of any size keep their direction: ||g||_2 alone underflows in float32 at entries of 1e-23."""
    dims = feature_dims(g)
    g = g / _nonzero(g.abs().amax(dims, keepdim=True))  # several times as fast as torch's norm of order inf
    return g.div_(_nonzero(torch.linalg.vector_norm(g, dim=dims, keepdim=True)))


def _nonzero(norm: Tensor) -> Tensor:
    return norm.masked_fill(norm == 0, 1)


# --- the references --------------------------------------------------------------------------------------


def _linf(
    x_k: Tensor, g: Tensor, x: Tensor, alpha: float, eps: float, lower: Tensor, upper: Tensor
) -> Tensor:
    side = g.sign()
    moved = torch.add(x_k, side, alpha=alpha)
    torch.maximum(moved, torch.sub(x, eps, out=side), out=moved)
    torch.minimum(moved, torch.add(x, eps, out=side), out=moved)
    return moved.clamp_(lower, upper)  # two clips are one: both intervals hold x


def _l2(x_k: Tensor, g: Tensor, x: Tensor, alpha: float, eps: float, lower: Tensor, upper: Tensor) -> Tensor:
    d = (x_k - x).add_(unit_l2(g), alpha=alpha)
    return project_l2(d, eps).add_(x).clamp_(lower, upper)


def _l1(x_k: Tensor, g: Tensor, x: Tensor, alpha: float, eps: float, lower: Tensor, upper: Tensor) -> Tensor:
    d = (x_k - x).add_(unit_l2(g), alpha=alpha)
    return project_l1(d, eps).add_(x).clamp_(lower, upper)


# --- the programs ----------------------------------------------------------------------------------------


@jit
def _linf_program(x_k, g, x, lower, upper, out, alpha, eps, n, period, BLOCK: tl.constexpr):
    start = tl.program_id(0).to(tl.int64) * BLOCK
    j = tl.arange(0, BLOCK)
    i = start + j
    inside = i < n
    box = periodic_index(start, j, period)
    low = tl.load(lower + box, mask=inside).to(tl.float32)
    high = tl.load(upper + box, mask=inside).to(tl.float32)
    a = tl.load(x_k + i, mask=inside).to(tl.float32)
    b = tl.load(g + i, mask=inside).to(tl.float32)
    c = tl.load(x + i, mask=inside).to(tl.float32)
    sign = tl.where(b > 0, 1.0, tl.where(b < 0, -1.0, 0.0))
    moved = a + alpha * sign
    moved = clip(clip(moved, c - eps, c + eps), low, high)
    tl.store(out + i, moved.to(out.dtype.element_ty), mask=inside)


@jit
def _row_program(
    x_k, g, x, lower, upper, out, alpha, eps, n, features, period,
    L1: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Whole samples in registers: one read, one write."""
    r = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)[:, None]
    j = tl.arange(0, BLOCK)[None, :]
    inside = (r < n) & (j < features)
    i = r * features + j
    b = tl.load(g + i, mask=inside, other=0.0).to(tl.float32)
    c = tl.load(x + i, mask=inside, other=0.0).to(tl.float32)
    e = tl.load(x_k + i, mask=inside, other=0.0).to(tl.float32) - c
    largest = tl.max(tl.abs(b), axis=1, keep_dims=True)
    b = b / tl.where(largest == 0, 1.0, largest)
    norm = tl.sqrt(tl.sum(b * b, axis=1, keep_dims=True))
    d = e + alpha * (b / tl.where(norm == 0, 1.0, norm))  # one NaN makes the sample NaN, as in the reference
    if L1:
        d = _project_l1(d, eps)
    else:
        size = tl.sqrt(tl.sum(d * d, axis=1, keep_dims=True))
        d = d * tl.where(size <= eps, 1.0, eps / size)
    box = periodic_index(r * features, j, period)
    low = tl.load(lower + box, mask=inside).to(tl.float32)
    high = tl.load(upper + box, mask=inside).to(tl.float32)
    moved = clip(c + d, low, high)
    tl.store(out + i, moved.to(out.dtype.element_ty), mask=inside)


@jit
def _project_l1(d, eps):
    """The projection of every row of d: (R, F) with zeros in empty places. Newton's steps from the left on
    sum_i max(|d_i| - theta, 0) = eps, which is piecewise linear and convex in theta: each drops entries below
    theta, and theta is exact once none is dropped. Each divides excess times slope by at least four, so there
    are few. As in `project_l1`, entries are taken relative to the largest."""
    a = tl.abs(d)
    largest = tl.max(a, axis=1, keep_dims=True)
    u = a - largest
    theta = -eps + tl.zeros_like(largest)
    count = tl.sum((u > theta).to(tl.float32), axis=1, keep_dims=True)
    dropped = 1
    while dropped > 0:
        above = u > theta
        total = tl.sum(tl.where(above, u, 0.0), axis=1, keep_dims=True)
        theta = tl.maximum(theta, (total - eps) / tl.maximum(count, 1.0))
        left = tl.sum((u > theta).to(tl.float32), axis=1, keep_dims=True)
        dropped = tl.max((left < count).to(tl.int32))
        count = left
    p = tl.maximum(u - theta, 0.0)
    size = tl.sum(a, axis=1, keep_dims=True)
    broken = (size != size) | (largest == float("inf"))
    p = tl.where(broken, size - size, tl.where(d < 0, -p, p))  # NaN
    return tl.where(size <= eps, d, p)


# --- longer samples: sums of blocks first ----------------------------------------------------------------


@jit
def _sums_program(x_k, g, x, sums, features, chunks, BLOCK: tl.constexpr):
    """Of a block of one sample: m = max |g|, sum (g/m)^2, sum (x_k - x) g/m, sum (x_k - x)^2."""
    chunk = tl.program_id(0) % chunks
    row = (tl.program_id(0) // chunks).to(tl.int64)
    j = chunk * BLOCK + tl.arange(0, BLOCK)
    inside = j < features
    i = row * features + j
    b = tl.load(g + i, mask=inside, other=0.0).to(tl.float32)
    c = tl.load(x + i, mask=inside, other=0.0).to(tl.float32)
    e = tl.load(x_k + i, mask=inside, other=0.0).to(tl.float32) - c
    largest = tl.max(tl.abs(b), axis=0)
    b = b / tl.where(largest == 0, 1.0, largest)
    place = sums + (row * chunks + chunk) * 4
    tl.store(place, largest)
    tl.store(place + 1, tl.sum(b * b, axis=0))
    tl.store(place + 2, tl.sum(e * b, axis=0))
    tl.store(place + 3, tl.sum(e * e, axis=0))


@jit
def _direction(sums, row, chunks, alpha, CHUNKS: tl.constexpr):
    """From a sample's sums: the largest |g|, alpha over the norm of g / largest, and ||d||_2."""
    k = tl.arange(0, CHUNKS)
    place = sums + (row * chunks + k) * 4
    m = tl.load(place, mask=k < chunks, other=0.0)
    largest = tl.max(m, axis=0)
    largest = tl.where(largest == 0, 1.0, largest)
    m = m / largest
    norm = tl.sqrt(tl.sum(m * m * tl.load(place + 1, mask=k < chunks, other=0.0), axis=0))
    slope = tl.where(norm == 0, 0.0, alpha / norm)
    along = tl.sum(m * tl.load(place + 2, mask=k < chunks, other=0.0), axis=0)
    before = tl.sum(tl.load(place + 3, mask=k < chunks, other=0.0), axis=0)
    square = before + 2 * slope * along + slope * slope * norm * norm
    return largest, slope, tl.sqrt(tl.where(square < 0, 0.0, square))


@jit
def _l2_block_program(
    x_k, g, x, lower, upper, out, sums, alpha, eps, features, chunks, period,
    CHUNKS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    chunk = tl.program_id(0) % chunks
    row = (tl.program_id(0) // chunks).to(tl.int64)
    largest, slope, size = _direction(sums, row, chunks, alpha, CHUNKS)
    scale = tl.where(size <= eps, 1.0, eps / size)
    j = tl.arange(0, BLOCK)
    start = row * features + chunk * BLOCK
    inside = chunk * BLOCK + j < features
    b = tl.load(g + start + j, mask=inside, other=0.0).to(tl.float32)
    c = tl.load(x + start + j, mask=inside, other=0.0).to(tl.float32)
    e = tl.load(x_k + start + j, mask=inside, other=0.0).to(tl.float32) - c
    box = periodic_index(start, j, period)
    low = tl.load(lower + box, mask=inside).to(tl.float32)
    high = tl.load(upper + box, mask=inside).to(tl.float32)
    moved = clip(c + (e + slope * (b / largest)) * scale, low, high)
    tl.store(out + start + j, moved.to(out.dtype.element_ty), mask=inside)


@jit
def _l1_long_program(
    x_k, g, x, lower, upper, out, d, sums, alpha, eps, features, chunks, period,
    CHUNKS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """`_project_l1` for one sample, block after block; d: (n, features) holds the sample between."""
    row = tl.program_id(0).to(tl.int64)
    largest, slope, _ = _direction(sums, row, chunks, alpha, CHUNKS)
    j = tl.arange(0, BLOCK)
    most = tl.zeros([BLOCK], tl.float32)
    size = tl.zeros([BLOCK], tl.float32)
    for start in range(0, features, BLOCK):
        inside = start + j < features
        i = row * features + start + j
        b = tl.load(g + i, mask=inside, other=0.0).to(tl.float32)
        c = tl.load(x + i, mask=inside, other=0.0).to(tl.float32)
        e = tl.load(x_k + i, mask=inside, other=0.0).to(tl.float32) - c
        moved = e + slope * (b / largest)
        tl.store(d + i, moved, mask=inside)
        most = tl.maximum(most, tl.abs(moved))
        size += tl.abs(moved)
    tl.debug_barrier()  # other threads may read what this one wrote
    greatest = tl.max(most, axis=0)
    l1 = tl.sum(size, axis=0)
    within = l1 <= eps
    broken = (l1 != l1) | (greatest == float("inf"))
    theta = -eps
    count = -1.0
    dropped = 1
    while dropped > 0:
        above = tl.zeros([BLOCK], tl.float32)
        total = tl.zeros([BLOCK], tl.float32)
        for start in range(0, features, BLOCK):
            u = (
                tl.abs(tl.load(d + row * features + start + j, mask=start + j < features, other=0.0))
                - greatest
            )
            u = tl.where(start + j < features, u, -float("inf"))
            above += (u > theta).to(tl.float32)
            total += tl.where(u > theta, u, 0.0)
        left = tl.sum(above, axis=0)
        dropped = ((count < 0) | (left < count)).to(tl.int32)
        count = left
        theta = tl.maximum(theta, (tl.sum(total, axis=0) - eps) / tl.maximum(count, 1.0))
        dropped = tl.where(within, 0, dropped)
    for start in range(0, features, BLOCK):
        inside = start + j < features
        i = row * features + start + j
        c = tl.load(x + i, mask=inside, other=0.0).to(tl.float32)
        moved = tl.load(d + i, mask=inside, other=0.0)
        p = tl.maximum(tl.abs(moved) - greatest - theta, 0.0)
        p = tl.where(within, moved, tl.where(broken, l1 - l1, tl.where(moved < 0, -p, p)))
        box = periodic_index(row * features + start, j, period)
        low = tl.load(lower + box, mask=inside).to(tl.float32)
        high = tl.load(upper + box, mask=inside).to(tl.float32)
        p = clip(c + p, low, high)
        tl.store(out + i, p.to(out.dtype.element_ty), mask=inside)


# --- the launches ----------------------------------------------------------------------------------------


def _linf_triton(
    x_k: Tensor, g: Tensor, x: Tensor, alpha: float, eps: float, lower: Tensor, upper: Tensor
) -> Tensor:
    out = torch.empty_like(x_k)
    if out.numel():
        low, high, period = periodic(x_k, lower, upper)
        _linf_program[blocks(out.numel(), 1024)](
            x_k, g, x, low, high, out, alpha, eps, out.numel(), period, BLOCK=1024, **EXACT
        )
    return out


def _l2_triton(
    x_k: Tensor, g: Tensor, x: Tensor, alpha: float, eps: float, lower: Tensor, upper: Tensor
) -> Tensor:
    if math.prod(x_k.shape[1:]) > MAX_ROW:
        return _long_triton(x_k, g, x, alpha, eps, lower, upper, l1=False)
    return _row_triton(x_k, g, x, alpha, eps, lower, upper, l1=False)


def _l1_triton(
    x_k: Tensor, g: Tensor, x: Tensor, alpha: float, eps: float, lower: Tensor, upper: Tensor
) -> Tensor:
    if math.prod(x_k.shape[1:]) > MAX_ROW:
        return _long_triton(x_k, g, x, alpha, eps, lower, upper, l1=True)
    return _row_triton(x_k, g, x, alpha, eps, lower, upper, l1=True)


def _row_triton(
    x_k: Tensor, g: Tensor, x: Tensor, alpha: float, eps: float, lower: Tensor, upper: Tensor, *, l1: bool
) -> Tensor:
    out = torch.empty_like(x_k)
    if out.numel():
        n, features = len(x_k), math.prod(x_k.shape[1:])
        tile = row_tile(features)
        low, high, period = periodic(x_k, lower, upper)
        _row_program[blocks(n, tile["ROWS"])](
            x_k, g, x, low, high, out, alpha, eps, n, features, period, L1=l1, **tile
        )
    return out


def _long_triton(
    x_k: Tensor, g: Tensor, x: Tensor, alpha: float, eps: float, lower: Tensor, upper: Tensor, *, l1: bool
) -> Tensor:
    out, block = torch.empty_like(x_k), 4096
    n, features = len(x_k), math.prod(x_k.shape[1:])
    if not n:
        return out
    (chunks,) = blocks(features, block)
    sums = torch.empty(n, chunks, 4, dtype=torch.float32, device=x_k.device)
    low, high, period = periodic(x_k, lower, upper)
    sizes = {"CHUNKS": next_power_of_2(chunks), "BLOCK": block} | EXACT
    _sums_program[n * chunks,](x_k, g, x, sums, features, chunks, BLOCK=block, num_warps=8, **EXACT)
    if l1:
        d = torch.empty(n, features, dtype=torch.float32, device=x_k.device)
        _l1_long_program[n,](
            x_k, g, x, low, high, out, d, sums, alpha, eps, features, chunks, period, **sizes, num_warps=16
        )
    else:
        _l2_block_program[n * chunks,](
            x_k, g, x, low, high, out, sums, alpha, eps, features, chunks, period, **sizes, num_warps=8
        )
    return out


_LINF = Op("linf_step", _linf, _linf_triton)
_L2 = Op("l2_step", _l2, _l2_triton)
_L1 = Op("l1_step", _l1, _l1_triton)
