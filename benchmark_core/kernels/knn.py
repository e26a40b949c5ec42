"""Exact k nearest neighbours, computed in blocks, so that memory never holds queries x points."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

Distance = Literal["l2", "l1", "cosine"]

_SPARE = 8
"""Candidates kept beyond k; they let almost every query be proved exact (see `_l2`)."""


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
    if not len(q):
        return q.new_empty(0, k, dtype=dtype), torch.empty(0, k, dtype=torch.int64, device=q.device)

    if metric == "l1":
        distances, indices = _by_differences(q, p, k, chunk, 1.0)
    else:
        distances, indices = _l2(q, p, k, chunk)
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
    """Queries in parts small enough to meet many points at once."""
    return q.split(max(1, min(256, math.isqrt(chunk))))


def _by_differences(q: Tensor, p: Tensor, k: int, chunk: int, order: float) -> tuple[Tensor, Tensor]:
    """The k nearest in the norm of this order: accurate, and slow in many features."""
    found = []
    for a in _blocks(q, chunk):

        def distances(start: int, stop: int, a: Tensor = a) -> Tensor:
            return torch.cdist(a, p[start:stop], p=order, compute_mode="donot_use_mm_for_euclid_dist")

        found.append(smallest(distances, len(p), k, max(1, chunk // len(a))))
    values, indices = (torch.cat(part) for part in zip(*found, strict=True))
    return values, indices


def _l2(q: Tensor, p: Tensor, k: int, chunk: int) -> tuple[Tensor, Tensor]:
    """Candidates by matrix products, winners by differences, and a proof for each query that none was missed.

    Let s = ||a||^2 + ||b||^2 and u the unit roundoff. The product form s - 2 a.b of ||a - b||^2 errs by less
    than 2 (d + 8) u s, the form by differences by less than that again, so L = s - 2 a.b - 4 (d + 8) u s is a
    lower bound of both. The candidates are the points of smallest L. If the k-th of them, by differences, is
    no farther than the largest L among them, no other point is nearer. Queries without that proof (many
    near-duplicates far from the mean) are searched again by differences.
    """
    m = min(k + _SPARE, len(p))
    slack = 4 * (q.shape[1] + 8) * _unit_roundoff(q.dtype)
    mean = p.mean(0)  # distances are the same about any origin; about the mean, s and the error are small
    b = p - mean
    b2 = (1 - slack) * torch.linalg.vector_norm(b, dim=1).square()
    distances, indices = q.new_empty(len(q), k), torch.empty(len(q), k, dtype=torch.int64, device=q.device)
    done = 0
    for part in _blocks(q, chunk):
        a = part - mean
        a2 = (1 - slack) * torch.linalg.vector_norm(a, dim=1, keepdim=True).square()

        def lower_bounds(start: int, stop: int, a: Tensor = a, a2: Tensor = a2) -> Tensor:
            return torch.addmm(b2[start:stop], a, b[start:stop].T, alpha=-2).add_(a2)

        bounds, candidates = smallest(lower_bounds, len(p), m, max(1, chunk // len(a)))
        near, order = _distances(part, p, candidates, chunk).topk(k, largest=False)
        found = candidates.gather(1, order)
        if m < len(p):
            doubtful = ~(near[:, -1].square() <= bounds[:, -1])
            if doubtful.any():
                near[doubtful], found[doubtful] = _by_differences(part[doubtful], p, k, chunk, 2.0)
        rows = slice(done, done := done + len(part))
        distances[rows], indices[rows] = near, found
    return distances, indices


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
