"""Exact k nearest neighbours, computed in blocks, so that memory never holds queries x points."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from .dispatch import FUSED, Op, blocks, jit, next_power_of_2, tl

Distance = Literal["l2", "l1", "cosine"]

_SPARE = 8
"""Candidates kept beyond k; they let almost every query be proved exact (see `_proved`)."""


@torch.no_grad()
def knn(
    queries: Tensor, points: Tensor, k: int, metric: Distance = "l2", *, chunk: int = 1 << 22
) -> tuple[Tensor, Tensor]:
    """The k points nearest to every query: distances (n, k), ascending, and indices (n, k) into `points`.

    queries: (n, ...) and points: (N, ...), flattened to d features, of one float dtype and device.
    metric: l2 = ||a - b||_2, l1 = ||a - b||_1, cosine = 1 - a.b / (||a|| ||b||); an all-zero row has
    cosine distance 1 to everything, as in scikit-learn.
    chunk: numbers in the largest intermediate (never less than (k + 8) d), beside one copy of the points. It
    changes speed, not the result.

    Exact: the distances of the winners come from differences, never from ||a||^2 + ||b||^2 - 2 a.b, and no
    point that is nearer by more than the rounding of such a distance is missed. Among equal distances any
    point may win. Half precision is computed in float32. A query with NaN gets NaN distances.
    Raises ValueError when k is not in 1..N, when dtypes, devices or features of the two differ, or when a
    point is not finite.
    """
    if not (queries.is_floating_point() and (queries.dtype, queries.device) == (points.dtype, points.device)):
        raise ValueError(
            f"knn: queries ({queries.dtype}, {queries.device}) and points ({points.dtype}, {points.device}) "
            "must share one float dtype and one device"
        )
    if not 1 <= k <= len(points):
        raise ValueError(f"knn: k must be in 1..{len(points)}, the number of points; got {k}")
    if queries.shape[1:] != points.shape[1:]:
        raise ValueError(
            f"knn: queries {tuple(queries.shape)} and points {tuple(points.shape)} differ in features"
        )
    dtype = queries.dtype
    work = dtype if dtype in (torch.float32, torch.float64) else torch.float32
    q = queries.reshape(len(queries), math.prod(queries.shape[1:])).to(work)
    p = points.reshape(len(points), math.prod(points.shape[1:])).to(work)
    if not p.sum().isfinite():
        raise ValueError("knn: points hold NaN or infinite values; clean the data")
    if metric == "cosine":
        q, p = _unit_rows(q, p)
    distances, indices = q.new_empty(len(q), k), torch.empty(len(q), k, dtype=torch.int64, device=q.device)
    m = k if metric == "l1" else min(k + _SPARE, len(p))
    mean = p.mean(0)
    done = 0
    for part in q.split(max(1, chunk // m)) if len(q) else ():
        bounds, found = _CANDIDATES(part, p, mean, m, metric == "l1", chunk)
        rows = slice(done, done := done + len(part))
        if metric == "l1":
            distances[rows], indices[rows] = bounds, found
        else:
            distances[rows], indices[rows] = _proved(part, p, k, bounds, found, chunk)
    if metric == "cosine":  # 1 - a.b = ||a - b||^2 / 2 for unit rows, without cancellation
        distances = distances.square() / 2
    return distances.to(dtype), indices


def smallest(scores: Callable[[int, int], Tensor], total: int, k: int, step: int) -> tuple[Tensor, Tensor]:
    """Running top-k: the k smallest of `total` >= 1 scores for each of n queries, ascending, with indices.

    scores: (start, stop) -> (n, stop - start) the scores of a block of at most `step` points.
    """
    values, indices = _smallest_of(scores(0, min(step, total)), min(k, step, total))
    for start in range(step, total, step):
        stop = min(start + step, total)
        value, index = _smallest_of(scores(start, stop), min(k, stop - start))
        value, index = torch.cat([values, value], 1), torch.cat([indices, index + start], 1)
        values, order = value.topk(min(k, stop), largest=False)
        indices = index.gather(1, order)
    return values, indices


def _smallest_of(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """`scores.topk(k, largest=False)` of (n, N), faster for k << N.

    The k smallest lie in the k groups with the smallest minima: sort those only. Groups are columns g apart.
    """
    n, total = scores.shape
    size = math.isqrt(total // k)
    if size < 2:
        return scores.topk(k, largest=False)
    g = total // size
    minima = scores[:, : g * size].view(n, size, g).amin(1)
    groups = minima.topk(k, largest=False, sorted=False).indices
    columns = torch.arange(size, device=scores.device)[:, None] * g
    rest = torch.arange(g * size, total, device=scores.device).expand(n, -1)
    index = torch.cat([(groups[:, None] + columns).flatten(1), rest], 1)
    value, order = scores.gather(1, index).topk(k, largest=False)
    return value, index.gather(1, order)


def _blocks(q: Tensor, chunk: int) -> tuple[Tensor, ...]:
    """Queries in parts small enough to meet many points at once; in few features, where selecting takes the
    time, so small that their distances stay in a cache."""
    return q.split(max(1, min(64 if q.shape[1] <= DIRECT_FEATURES else 256, math.isqrt(chunk))))


def _by_differences(q: Tensor, p: Tensor, k: int, chunk: int, order: float) -> tuple[Tensor, Tensor]:
    """The k nearest in the norm of this order: accurate, and slow in many features."""
    found = []
    for a in _blocks(q, chunk):

        def distances(start: int, stop: int, a: Tensor = a) -> Tensor:
            return torch.cdist(a, p[start:stop], p=order, compute_mode="donot_use_mm_for_euclid_dist")

        found.append(smallest(distances, len(p), k, max(1, chunk // max(1, len(a)))))
    values, indices = (torch.cat(part) for part in zip(*found, strict=True))
    return values, indices


def _proved(q: Tensor, p: Tensor, k: int, bounds: Tensor, found: Tensor, chunk: int) -> tuple[Tensor, Tensor]:
    """The k nearest in l2 from candidates and their lower bounds (see `_candidates`), by differences.

    If the k-th is no farther than the largest bound among the candidates, no other point is nearer. Queries
    without that proof (many near-duplicates far from the mean) are searched again by differences.
    """
    near, order = _distances(q, p, found, chunk).topk(k, largest=False)
    found = found.gather(1, order)
    if bounds.shape[1] < len(p):
        doubtful = ~(near[:, -1].square() <= bounds[:, -1])
        if doubtful.any():
            near[doubtful], found[doubtful] = _by_differences(q[doubtful], p, k, chunk, 2.0)
    return near, found


def _candidates(q: Tensor, p: Tensor, mean: Tensor, m: int, l1: bool, chunk: int) -> tuple[Tensor, Tensor]:
    """The m points of smallest L, a lower bound of ||a - b||_2^2: L, ascending, and indices (n, m). For l1,
    the m nearest and their distances.

    Let s = ||a||^2 + ||b||^2 about the mean (distances are the same about any origin; there s is small) and u
    the unit roundoff. The product form s - 2 a.b of ||a - b||^2 errs by less than 2 (d + 8) u s, the form by
    differences by less than that again, so L = s - 2 a.b - 4 (d + 8) u s is a lower bound of both.
    """
    if l1:
        return _by_differences(q, p, m, chunk, 1.0)
    slack = _slack(q.shape[1], _unit_roundoff(q.dtype))
    b = p - mean
    b2 = (1 - slack) * torch.linalg.vector_norm(b, dim=1).square()
    found = []
    for part in _blocks(q, chunk):
        a = part - mean
        a2 = (1 - slack) * torch.linalg.vector_norm(a, dim=1, keepdim=True).square()

        def lower_bounds(start: int, stop: int, a: Tensor = a, a2: Tensor = a2) -> Tensor:
            return torch.addmm(b2[start:stop], a, b[start:stop].T, alpha=-2).add_(a2)

        found.append(smallest(lower_bounds, len(p), m, max(1, chunk // max(1, len(a)))))
    bounds, indices = (torch.cat(part) for part in zip(*found, strict=True))
    return bounds, indices


def _slack(d: int, unit_roundoff: float) -> float:
    return 4 * (d + 8) * unit_roundoff


def _distances(q: Tensor, p: Tensor, index: Tensor, chunk: int) -> Tensor:
    """(n, m) l2 distances from q[i] to p[index[i, j]], a few queries at a time: the rows fit in a cache."""
    few = max(1, min(chunk, 1 << 18) // max(1, index.shape[1] * q.shape[1]))
    return torch.cat(
        [
            torch.linalg.vector_norm(
                p.index_select(0, i.flatten()).view(*i.shape, -1).sub_(a[:, None]), dim=2
            )
            for a, i in zip(q.split(few), index.split(few), strict=True)
        ]
    )


def _unit_roundoff(dtype: torch.dtype) -> float:
    """Of one matrix product; float32 products may be set to run in tf32 or bf16."""
    if dtype == torch.float64:
        return 2.0**-53
    return {"highest": 2.0**-24, "high": 2.0**-11, "medium": 2.0**-8}[torch.get_float32_matmul_precision()]


def _unit_rows(q: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
    """Rows scaled to length 1; two extra features make zero rows orthogonal to all others."""
    units = []
    for rows, extra in ((q, (1.0, 0.0)), (p, (0.0, 1.0))):
        size = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
        zero = size == 0
        unit = rows / size.masked_fill(zero, 1)
        units.append(torch.cat([unit, zero * rows.new_tensor(extra)], 1))
    return units[0], units[1]


# --- the program -----------------------------------------------------------------------------------------

DIRECT_FEATURES = 32
"""Up to so many features, programs take squared distances from differences; beyond, from matrix products."""


@jit
def square_distances(
    x, points, mean, row, column, n, total, d, slack,
    DIRECT: tl.constexpr, QUERIES: tl.constexpr, POINTS: tl.constexpr, FEATURES: tl.constexpr,
):  # fmt: skip
    """||x_r - p_c||^2 of one tile in float32: (QUERIES, POINTS). By differences feature by feature, or
    s - 2 a.b - slack s about the mean, s = ||a||^2 + ||b||^2."""
    result = tl.zeros((QUERIES, POINTS), tl.float32)
    if DIRECT:
        for f in range(d):
            a = tl.load(x + row * d + f, mask=row < n, other=0.0).to(tl.float32)
            b = tl.load(points + column * d + f, mask=column < total, other=0.0).to(tl.float32)
            difference = a[:, None] - b[None, :]
            result += difference * difference
    else:
        a2 = tl.zeros((QUERIES,), tl.float32)
        b2 = tl.zeros((POINTS,), tl.float32)
        for first in range(0, d, FEATURES):
            f = first + tl.arange(0, FEATURES)
            inside = (row < n)[:, None] & (f < d)[None, :]
            a = tl.load(x + row[:, None] * d + f[None, :], mask=inside, other=0.0).to(tl.float32)
            a -= tl.load(mean + f, mask=f < d, other=0.0)[None, :]
            inside = (column < total)[:, None] & (f < d)[None, :]
            b = tl.load(points + column[:, None] * d + f[None, :], mask=inside, other=0.0).to(tl.float32)
            b -= tl.load(mean + f, mask=f < d, other=0.0)[None, :]
            a2 += tl.sum(a * a, axis=1)
            b2 += tl.sum(b * b, axis=1)
            result = tl.dot(a, tl.trans(b), result, input_precision="ieee")
        result = (1 - slack) * (a2[:, None] + b2[None, :]) - 2 * result
    return result


@jit
def _knn_program(
    x, points, mean, bounds, indices, slack, n, total, d, share,
    L1: tl.constexpr, DIRECT: tl.constexpr, QUERIES: tl.constexpr, POINTS: tl.constexpr,
    FEATURES: tl.constexpr, SLOTS: tl.constexpr,
):  # fmt: skip
    """The SLOTS smallest of ||a - b||_1, or of ||a - b||^2 less its possible error, among one share of the
    points: (n, shares, SLOTS), in any order, inf in empty slots. While a tile holds a number below the
    largest kept, its least takes the place of the largest. NaN and inf count as the largest number."""
    row = tl.program_id(0).to(tl.int64) * QUERIES + tl.arange(0, QUERIES)
    begin = tl.program_id(1).to(tl.int64) * share
    end = tl.minimum(begin + share, total)
    slot = tl.arange(0, SLOTS)[None, :]
    best = tl.full((QUERIES, SLOTS), float("inf"), tl.float32)
    which = tl.zeros((QUERIES, SLOTS), tl.int32)
    j = tl.arange(0, POINTS)
    for start in range(begin, end, POINTS):
        column = start + j
        if L1:
            score = tl.zeros((QUERIES, POINTS), tl.float32)
            for f in range(d):
                a = tl.load(x + row * d + f, mask=row < n, other=0.0)
                b = tl.load(points + column * d + f, mask=column < end, other=0.0)
                score += tl.abs(a[:, None] - b[None, :])
        else:
            score = square_distances(
                x, points, mean, row, column, n, end, d, slack, DIRECT, QUERIES, POINTS, FEATURES
            )
        score = tl.where(score < 3e38, score, 3e38)
        score = tl.where((column < end)[None, :] & (row < n)[:, None], score, float("inf"))
        worst, place = tl.max(best, axis=1, return_indices=True)
        least, at = tl.min(score, axis=1, return_indices=True)
        going = tl.max((least < worst).to(tl.int32), axis=0)
        while going > 0:
            swap = (slot == place[:, None]) & (least < worst)[:, None]
            best = tl.where(swap, least[:, None], best)
            which = tl.where(swap, (start - begin).to(tl.int32) + at[:, None], which)
            score = tl.where(j[None, :] == at[:, None], float("inf"), score)
            worst, place = tl.max(best, axis=1, return_indices=True)
            least, at = tl.min(score, axis=1, return_indices=True)
            going = tl.max((least < worst).to(tl.int32), axis=0)
    out = (row * tl.num_programs(1) + tl.program_id(1))[:, None] * SLOTS + slot
    tl.store(bounds + out, best, mask=(row < n)[:, None])
    tl.store(indices + out, begin + which, mask=(row < n)[:, None])


def _candidates_triton(
    q: Tensor, p: Tensor, mean: Tensor, m: int, l1: bool, chunk: int
) -> tuple[Tensor, Tensor]:
    if m > _MAX_SLOTS:
        return _candidates(q, p, mean, m, l1, chunk)
    (n, d), total = q.shape, len(p)
    direct, slots = d <= DIRECT_FEATURES, max(16, next_power_of_2(m))
    size, tile = (32, TILE) if slots <= 64 else (16, TILE // 2)  # what fits into registers
    (programs,) = blocks(n, size)
    shares, share = shares_of(total, programs)
    bounds = torch.empty(n, shares, slots, dtype=torch.float32, device=q.device)
    indices = torch.empty(n, shares, slots, dtype=torch.int64, device=q.device)
    if n:
        _knn_program[programs, shares](
            q, p, mean, bounds, indices, 0.0 if l1 else _slack(d, 2.0**-24), n, total, d, share,
            L1=l1, DIRECT=direct, QUERIES=size, POINTS=tile, FEATURES=16, SLOTS=slots, num_warps=8, **FUSED,
        )  # fmt: skip
    best, order = bounds.flatten(1).topk(m, largest=False)
    found = indices.flatten(1).gather(1, order)
    if l1:
        best = torch.where(best < _LARGE, best, torch.inf)
        best = torch.where(q.isnan().any(1, keepdim=True), torch.nan, best)
    elif direct:  # differences already: nothing is left to prove
        best = torch.full_like(best, torch.inf)
    return best, found


def shares_of(total: int, programs: int) -> tuple[int, int]:
    """Into how many shares of whole tiles, and how large ones, to cut the points, that `programs` programs a
    share fill a device."""
    (tiles,) = blocks(total, TILE)
    share = -(-tiles // max(1, min(tiles, 512 // max(1, programs)))) * TILE
    return -(-total // share), share


def _fake(q: Tensor, p: Tensor, mean: Tensor, m: int, l1: bool, chunk: int) -> tuple[Tensor, Tensor]:
    bounds = q.new_empty(len(q), m)
    return bounds, torch.empty_like(bounds, dtype=torch.int64)


TILE = 64
"""Points that a program meets at once."""

_MAX_SLOTS = 128
"""More candidates than this are sought by the reference."""

_LARGE = 3e38
"""Programs take NaN and larger numbers for this one."""

_CANDIDATES = Op("knn_candidates", _candidates, _candidates_triton, fake=_fake)
