"""Nearest neighbours: the candidates, which the public function proves and orders by differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from .. import knn  # noqa: F401 - registers the operation
from . import Case


def _inputs(n: int, total: int, d: int, m: int, l1: bool, offset: float = 0.0) -> Callable[[Generator], Any]:
    """Whole numbers in a third of the features, for ties; the first queries are points."""

    def make(g: Generator) -> tuple[Any, ...]:
        points = offset + torch.randn(total, d, generator=g)
        points[:, ::3] = points[:, ::3].round()
        q = offset + torch.randn(n, d, generator=g)
        q[: min(n, total) // 2] = points[: min(n, total) // 2]
        return q, points, points.mean(0), m, l1, 1 << 22

    return make


def _edges(l1: bool) -> Callable[[Generator], Any]:
    """A NaN query, an infinite one, and points that are all the same."""

    def make(g: Generator) -> tuple[Any, ...]:
        q = torch.zeros(3, 2)
        q[1, 0], q[2, 1] = torch.nan, torch.inf
        return q, torch.ones(70, 2), torch.ones(2), 9, l1, 1 << 22

    return make


def nearest(args: tuple[Any, ...], got: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor]) -> None:
    """Right candidates are not unique. Against all distances in float64: nothing outside them is below the
    largest lower bound or nearer, by more than a rounding, than the last of them; for l1, distances too."""
    q, points, mean, m, l1, _ = args
    bounds, found = got
    assert bounds.dtype == expected[0].dtype
    assert bounds.shape == found.shape == (len(q), m)
    assert all(len(set(row)) == m for row in found.tolist())
    assert bool(((found >= 0) & (found < len(points))).all())
    sane = q.isfinite().all(1)
    if l1:
        torch.testing.assert_close(bounds, expected[0], rtol=1e-5, atol=1e-6, equal_nan=True)
    q, points, mean = (a[:, :].double() if a.ndim == 2 else a.double() for a in (q[sane], points, mean))
    bounds, found = bounds[sane].double(), found[sane]
    away = torch.cdist(q, points, 1.0 if l1 else 2.0, compute_mode="donot_use_mm_for_euclid_dist")
    size = (q - mean).square().sum(1, keepdim=True) + (points - mean).square().sum(1)
    last = away.gather(1, found).amax(1, keepdim=True)
    outside = torch.ones_like(away, dtype=torch.bool).scatter_(1, found, False)
    if l1:
        assert bool((away[outside] >= (last * (1 - 1e-5)).expand_as(away)[outside]).all())
        return
    roundings = 8 * (q.shape[1] + 8) * 2.0**-24 * (size + size.gather(1, found).amax(1, keepdim=True))
    assert bool((away.square() + roundings >= last.square())[outside].all())
    top = torch.where(bounds[:, -1:].isinf(), 0, bounds[:, -1:])
    assert bool((away.square() >= top - 1e-12)[outside].all())


def _flops(args: tuple[Any, ...]) -> float:
    q, points = args[:2]
    return 2.0 * len(q) * points.numel()


def _neighbours(args: tuple[Any, ...]) -> Callable[[], Any]:
    from sklearn.neighbors import NearestNeighbors

    q, points, _, m, l1, _ = args
    found = NearestNeighbors(n_neighbors=m, metric="manhattan" if l1 else "euclidean", algorithm="brute")
    found.fit(points.numpy())
    return lambda: found.kneighbors(q.numpy())


FLOAT = (torch.float32,)
CASES = [
    *(
        Case(
            "knn_candidates",
            f"{'l1-' if l1 else ''}{n}x{total}x{d}-{m}",
            _inputs(n, total, d, m, l1, offset),
            dtypes=FLOAT,
            same=nearest,
        )
        for l1 in (False, True)
        for n, total, d, m, offset in (
            (0, 9, 2, 3, 0.0),
            (1, 1, 1, 1, 0.0),
            (5, 40, 1, 9, 0.0),
            (35, 150, 6, 20, 100.0),
            (4, 70, 40, 12, 3.0),
        )
    ),
    Case("knn_candidates", "edges-3x70x2-9", _edges(False), dtypes=FLOAT, same=nearest),
    Case("knn_candidates", "l1-edges-3x70x2-9", _edges(True), dtypes=FLOAT, same=nearest),
    *(
        Case(
            "knn_candidates",
            f"{'l1-' if l1 else ''}{n}x{total}x{d}-{m}",
            _inputs(n, total, d, m, l1),
            use="bench",
            dtypes=FLOAT,
            same=nearest,
            flops=_flops,
            peer=("scikit-learn", _neighbours),
        )
        for n, total, d, m, l1 in (
            (1000, 10_000, 8, 28, False),
            (500, 6000, 784, 108, False),
            (1000, 10_000, 8, 20, True),
        )
    ),
]
