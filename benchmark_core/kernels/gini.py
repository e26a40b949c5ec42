"""The Gini index of non-negative vectors: how unequally a total is spread over its entries."""

from __future__ import annotations

import torch
from torch import Tensor

from .dispatch import Op, blocks, jit, row_tile, tl, work_dtype

MAX_ROW = 4096
"""Entries of a row that one program sorts in registers; longer rows take the reference."""


def gini(a: Tensor) -> Tensor:
    """G = sum_i (2i - d - 1) a_(i) / (d sum_i a_i), a_(1) <= ... <= a_(d): (n,).

    a: (n, d), entries >= 0; a row whose sum is 0, infinite or NaN has none (NaN). G = 0 when all entries are
    equal, 1 - 1/d when one entry holds everything; G does not change when a row is scaled. It equals the mean
    absolute difference sum_ij |a_i - a_j| / (2 d sum_i a_i), in O(d log d).
    """
    return _GINI(a)


def _gini(a: Tensor) -> Tensor:
    d = a.shape[1]
    work = work_dtype(a)
    ordered = a.to(work).sort(dim=1).values
    rank = torch.arange(1 - d, d, 2, dtype=work, device=a.device)
    return ((ordered @ rank) / (d * ordered.sum(1))).to(a.dtype)


@jit
def _gini_program(a, out, n, d, ROWS: tl.constexpr, BLOCK: tl.constexpr):
    r = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    i = tl.arange(0, BLOCK)[None, :]
    rows = r[:, None]
    # empty places sort to the end; a row of zeros where there is no row
    empty = tl.where(i < d, 0.0, float("inf"))
    values = tl.load(a + rows * d + i, mask=(rows < n) & (i < d), other=0.0).to(tl.float32)
    total = tl.sum(values, axis=1)  # before they are sorted, which may lose NaN
    ordered = tl.where(i < d, tl.sort(values + empty, dim=1), 0.0)
    ranked = tl.sum(ordered * (2 * i - (d - 1)).to(tl.float32), axis=1)
    tl.store(out + r, (ranked / (d * total)).to(out.dtype.element_ty), mask=r < n)


def _gini_triton(a: Tensor) -> Tensor:
    n, d = a.shape
    if not 0 < d <= MAX_ROW:
        return _gini(a)
    out = a.new_empty(n)
    if n:
        tile = row_tile(d)
        _gini_program[blocks(n, tile["ROWS"])](a, out, n, d, **tile)
    return out


_GINI = Op("gini", _gini, _gini_triton, fake=lambda a: a.new_empty(len(a)))
