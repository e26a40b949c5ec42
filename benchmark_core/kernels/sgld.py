"""One step of stochastic gradient Langevin dynamics, its noise from a counter-based generator: the noise of a
chain depends on the seed, the chain's number and the step's, never on the batch or the device.

Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011, Parallel random numbers: as easy as 1, 2, 3) with the seed as
key, normals by Box and Muller.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .dispatch import EXACT, Op, jit, next_power_of_2, tl

Words = NDArray[np.uint64]

_ROUND_A, _ROUND_B = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)

_BLOCK = 1 << 16
"""Counters hashed at once. Smaller blocks would stay in a core's cache, but starting a hundred operations for
each costs more than that saves."""


def sgld_step(
    x: Tensor,
    grad: Tensor,
    step: float,
    noise: float,
    seed: int,
    offset: int,
    low: Tensor | None = None,
    high: Tensor | None = None,
    *,
    first: int = 0,
) -> Tensor:
    """clip(x - step / 2 grad + noise u, low, high), u ~ N(0, I): x's shape, dtype and device.

    x, grad: (n, *shape), of one dtype. low, high: (*shape), the box; left out: none.
    seed: whole number in [0, 2^63), say of a run; offset: in [0, 2^31), say the number of the step.
    first: number of the first row; the rows first .. first + n - 1 get the noise they would get in any other
    batch. u has 2^32 radii, the largest 6.77, and as many angles; it is float32 (float64 for x in float64).
    Half precision is computed in float32. A NaN stays NaN.
    Raises ValueError for shapes or dtypes that do not fit, and for numbers out of range.
    """
    if x.shape != grad.shape or x.dtype != grad.dtype:
        raise ValueError(
            f"sgld_step: x {tuple(x.shape)} {x.dtype} and grad {tuple(grad.shape)} {grad.dtype} differ"
        )
    for bound in (low, high):
        if bound is not None and (bound.shape, bound.dtype) != (x.shape[1:], x.dtype):
            raise ValueError(
                f"sgld_step: a bound is {tuple(bound.shape)} {bound.dtype}, "
                f"needs {tuple(x.shape[1:])} {x.dtype}"
            )
    if not (0 <= seed < 1 << 63 and 0 <= offset < 1 << 31 and first >= 0):
        raise ValueError(
            "sgld_step: seed must be in [0, 2^63), offset in [0, 2^31) and first at least 0; "
            f"got {seed}, {offset} and {first}"
        )
    return _SGLD_STEP(x, grad, step, noise, seed, offset, low, high, first)


def _sgld_step(
    x: Tensor,
    grad: Tensor,
    step: float,
    noise: float,
    seed: int,
    offset: int,
    low: Tensor | None,
    high: Tensor | None,
    first: int,
) -> Tensor:
    work = torch.float64 if x.dtype == torch.float64 else torch.float32
    u = normals(len(x), math.prod(x.shape[1:]), seed, offset, first, x.new_empty(0, dtype=work))
    moved = u.view(x.shape).mul_(noise).add_(x).sub_(grad.to(work), alpha=step / 2)
    if low is not None:
        torch.maximum(moved, low.to(work), out=moved)
    if high is not None:
        torch.minimum(moved, high.to(work), out=moved)
    return moved.to(x.dtype)


def normals(n: int, features: int, seed: int, offset: int, first: int, like: Tensor) -> Tensor:
    """(n, features) of N(0, 1), as `sgld_step` adds, in like's dtype (float32 or float64) and on its device.

    With B = 4 ceil(features / 16), the counter (b, offset, row mod 2^32, row div 2^32) gives the features b,
    b + B, b + 2 B and b + 3 B of a row: neighbours in memory come from neighbouring counters.
    """
    counters = _counters(features)
    u = torch.empty(n, 4, counters, dtype=like.dtype)
    b, step = np.arange(counters, dtype=np.uint64), np.full(1, offset, np.uint64)
    rows = max(1, _BLOCK // max(1, counters))
    for start in range(0, n, rows):
        part = u[start : start + rows]
        row = np.arange(first + start, first + start + len(part), dtype=np.uint64)[:, None]
        high = row >> _HALF
        words = philox(seed, b, step, row & _LOW, high[:1] if high[0] == high[-1] else high)
        bits = [torch.from_numpy(w.view(np.int64)).to(like.dtype) for w in words]
        for lane in (0, 2):
            # the half keeps the logarithm finite
            radius = bits[lane].add_(0.5).mul_(2.0**-32).log_().mul_(-2).sqrt_()
            angle = bits[lane + 1].mul_(2.0**-31 * math.pi)
            torch.mul(radius, angle.cos(), out=part[:, lane])
            torch.mul(radius, angle.sin_(), out=part[:, lane + 1])
    return u.flatten(1)[:, :features].contiguous().to(like.device)


def _counters(features: int) -> int:
    """B: a multiple of 4, so that rows are read and written 16 bytes at a time where features are one."""
    return -(-features // 16) * 4


def philox(seed: int, c0: Words, c1: Words, c2: Words, c3: Words) -> tuple[Words, Words, Words, Words]:
    """Philox4x32-10 of counters under the 64 bits of the seed: c of 32 bits each, of shapes that broadcast.

    In numpy, whose unsigned integers shift as the definition wants. The words mix in two rounds; before that
    what depends on the row alone is computed once a row.
    """
    keys = [
        (np.uint64(seed + r * 0x9E3779B9 & 0xFFFFFFFF), np.uint64((seed >> 32) + r * 0xBB67AE85 & 0xFFFFFFFF))
        for r in range(10)
    ]
    for k0, k1 in keys[:2]:
        a, b = c0 * _ROUND_A, c2 * _ROUND_B
        c0, c1, c2, c3 = (b >> _HALF) ^ (c1 ^ k0), b & _LOW, (a >> _HALF) ^ (c3 ^ k1), a & _LOW
    words: Words = np.empty((6, *np.broadcast_shapes(c0.shape, c2.shape)), np.uint64)
    words[0], words[1], words[2], words[3] = c0, c1, c2, c3
    c0, c1, c2, c3, a, b = words
    for k0, k1 in keys[2:]:
        np.multiply(c0, _ROUND_A, out=a)
        np.multiply(c2, _ROUND_B, out=b)
        np.right_shift(b, _HALF, out=c0)
        np.right_shift(a, _HALF, out=c2)
        c0 ^= c1
        c0 ^= k0
        c2 ^= c3
        c2 ^= k1
        np.bitwise_and(b, _LOW, out=c1)
        np.bitwise_and(a, _LOW, out=c3)
    return c0, c1, c2, c3


@jit
def _sgld_program(
    x, grad, low, high, out, half_step, noise, seed, offset, first, n, features, counters4,
    HAS_LOW: tl.constexpr, HAS_HIGH: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """ROWS rows and BLOCK counters of each, four features a counter."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)[:, None]
    b = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)[None, :]
    counters = counters4 * 4
    number = row + first
    zero = tl.zeros((ROWS, BLOCK), tl.int32)
    i0, i1, i2, i3 = tl.philox(
        seed, zero + b, zero + offset, zero + number.to(tl.int32), zero + (number >> 32).to(tl.int32)
    )
    for lane in tl.static_range(4):
        bits, turn = (i0, i1) if lane < 2 else (i2, i3)
        log = tl.log((bits.to(tl.float32) + 0.5) * 2.3283064365386963e-10)
        radius = tl.sqrt(tl.maximum(-2 * log, 0.0))
        angle = turn.to(tl.float32) * 1.4629180792671596e-09
        u = radius * (tl.cos(angle) if lane % 2 == 0 else tl.sin(angle))
        feature = lane * counters + b
        inside = (row < n) & (b < counters) & (feature < features)
        i = row * features + feature
        g = tl.load(grad + i, mask=inside).to(tl.float32)
        moved = tl.load(x + i, mask=inside).to(tl.float32) + noise * u - half_step * g
        if HAS_LOW:
            bound = tl.load(low + feature, mask=feature < features).to(tl.float32)
            moved = tl.where(moved < bound, bound, moved)
        if HAS_HIGH:
            bound = tl.load(high + feature, mask=feature < features).to(tl.float32)
            moved = tl.where(moved > bound, bound, moved)
        tl.store(out + i, moved.to(out.dtype.element_ty), mask=inside)


def _sgld_triton(
    x: Tensor,
    grad: Tensor,
    step: float,
    noise: float,
    seed: int,
    offset: int,
    low: Tensor | None,
    high: Tensor | None,
    first: int,
) -> Tensor:
    out = torch.empty_like(x)
    if not x.numel():
        return out
    features = x.numel() // len(x)
    counters = _counters(features)
    block = min(512, next_power_of_2(counters))
    rows = 512 // block
    _sgld_program[-(-len(x) // rows), -(-counters // block)](
        x, grad, x if low is None else low, x if high is None else high, out,
        step / 2, noise, seed, offset, first, len(x), features, counters // 4,
        HAS_LOW=low is not None, HAS_HIGH=high is not None, ROWS=rows, BLOCK=block, **EXACT,
    )  # fmt: skip
    return out


_SGLD_STEP = Op("sgld_step", _sgld_step, _sgld_triton)
