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
    chunk: numbers in the largest intermediate (never less than (k + 8) d). It changes speed, not the result.

    Exact: the distances of the winners come from differences, never from ||a||^2 + ||b||^2 - 2 a.b, and no
    point that is nearer by more than the rounding of such a distance is missed. Among equal distances any
    point may win. Half precision is computed in float32.
    Raises ValueError when k is not in 1..N or when dtypes, devices or features of the two differ.
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
    if metric == "cosine":
        q, p = _unit_rows(q, p)
    if not len(q):
        return q.new_empty(0, k, dtype=dtype), torch.empty(0, k, dtype=torch.int64, device=q.device)

    rows = min(len(q), max(1, math.isqrt(chunk)))
    search = _l1 if metric == "l1" else _l2
    parts = [search(part, p, k, chunk) for part in q.split(rows)]
    distances, indices = (torch.cat(part) for part in zip(*parts, strict=True))
    if metric == "cosine":  # 1 - a.b = ||a - b||^2 / 2 for unit rows, without cancellation
        distances = distances.square() / 2
    return distances.to(dtype), indices


def smallest(
    scores: Callable[[int, int], Tensor], n: int, total: int, k: int, step: int
) -> tuple[Tensor, Tensor]:
    """Running top-k: the k smallest of `total` scores for each of n queries, ascending, with their indices.

    scores: (start, stop) -> (n, stop - start) the scores of a block of at most `step` points.
    """
    values: Tensor | None = None
    indices: Tensor | None = None
    for start in range(0, total, step):
        stop = min(start + step, total)
        value, index = scores(start, stop).topk(min(k, stop - start), largest=False)
        index = index + start
        if values is not None and indices is not None:
            value, index = torch.cat([values, value], 1), torch.cat([indices, index], 1)
            value, order = value.topk(min(k, value.shape[1]), largest=False)
            index = index.gather(1, order)
        values, indices = value, index
    if values is None or indices is None:
        raise ValueError(f"nearest neighbours of {n} queries among no points")
    return values, indices


def _cdist(q: Tensor, p: Tensor, k: int, chunk: int, order: float) -> tuple[Tensor, Tensor]:
    """Distances by differences: slow and accurate."""
    return smallest(
        lambda a, b: torch.cdist(q, p[a:b], p=order, compute_mode="donot_use_mm_for_euclid_dist"),
        len(q),
        len(p),
        k,
        max(1, chunk // len(q)),
    )


def _l1(q: Tensor, p: Tensor, k: int, chunk: int) -> tuple[Tensor, Tensor]:
    return _cdist(q, p, k, chunk, 1.0)


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
    centred = q - mean
    q2 = (1 - slack) * centred.square().sum(1, keepdim=True)

    def lower_bounds(start: int, stop: int) -> Tensor:
        block = p[start:stop] - mean
        p2 = (1 - slack) * block.square().sum(1)
        return torch.addmm(p2, centred, block.T, alpha=-2).add_(q2)

    bounds, candidates = smallest(lower_bounds, len(q), len(p), m, max(1, chunk // len(q)))
    rows = max(1, chunk // (m * max(1, q.shape[1])))
    exact = torch.cat(
        [
            torch.linalg.vector_norm(part[:, None] - p[index], dim=2)
            for part, index in zip(q.split(rows), candidates.split(rows), strict=True)
        ]
    )
    distances, order = exact.topk(k, largest=False)
    indices = candidates.gather(1, order)
    if m < len(p):
        doubtful = ~(distances[:, -1].square() <= bounds[:, -1])
        if doubtful.any():
            distances[doubtful], indices[doubtful] = _cdist(q[doubtful], p, k, chunk, 2.0)
    return distances, indices


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
