"""Kernel density estimates and Gaussian mixtures, beside scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from .. import gmm, kde  # noqa: F401 - registers the operations
from . import Case

CHUNK = 1 << 20


def _kde(n: int, total: int, d: int, h: float) -> Callable[[Generator], tuple[Any, ...]]:
    """Points 3 from the origin; the first queries are points, and one lies far away."""

    def make(g: Generator) -> tuple[Any, ...]:
        points = 3 + torch.randn(total, d, generator=g)
        x = 3 + torch.randn(n, d, generator=g)
        x[: min(n, total) // 2] = points[: min(n, total) // 2]
        x[-1:] += 5
        return x, points, h, CHUNK

    return make


def _edges(g: Generator) -> tuple[Any, ...]:
    """Infinite and NaN queries, and points that are all the same."""
    x = torch.zeros(4, 3)
    x[1, 0], x[2, 1], x[3, 2] = torch.inf, -torch.inf, torch.nan
    return x, torch.ones(70, 3), 0.5, CHUNK


def _gmm(n: int, k: int, d: int, full: bool) -> Callable[[Generator], tuple[Any, ...]]:
    """Small ones have components of weight 0."""

    def make(g: Generator) -> tuple[Any, ...]:
        weights = torch.rand(k, generator=g)
        if n < 100:
            weights = weights * (torch.arange(k) % 3 != 1)
        roots = 0.5 + torch.rand(k, d, generator=g)
        if full:
            roots = torch.diag_embed(roots) + torch.randn(k, d, d, generator=g).triu(1) / d**0.5
        return (
            2 * torch.randn(n, d, generator=g),
            weights / weights.sum(),
            torch.randn(k, d, generator=g),
            roots,
            CHUNK,
        )

    return make


def _kernel_density(args: tuple[Any, ...]) -> Callable[[], Any]:
    from sklearn.neighbors import KernelDensity

    x, points, h, _ = args
    fitted = KernelDensity(bandwidth=h).fit(points.numpy())
    return lambda: fitted.score_samples(x.numpy())


def _gaussian_mixture(args: tuple[Any, ...]) -> Callable[[], Any]:
    from sklearn.mixture import GaussianMixture

    x, weights, means, roots, _ = (a.numpy() if isinstance(a, Tensor) else a for a in args)
    fitted = GaussianMixture(len(weights), covariance_type="diag" if roots.ndim == 2 else "full")
    fitted.weights_, fitted.means_, fitted.precisions_cholesky_ = weights, means, roots
    return lambda: fitted.score_samples(x)


def _kde_flops(args: tuple[Any, ...]) -> float:
    x, points = args[:2]
    return 2.0 * len(x) * points.numel()


def _gmm_flops(args: tuple[Any, ...]) -> float:
    x, roots = args[0], args[3]
    return 3.0 * len(x) * roots.numel()


# A density in one feature has log densities of a few units, in a hundred features of hundreds: the error
# in float32 is that of squared distances about the mean, some 1e-7 of ||a||^2 + ||b||^2, over 2 h^2.
CASES = [
    *(
        case
        for name, atol in (("kde_logpdf", 2e-5), ("kde_score", 1e-5))
        for case in (
            Case(name, "0x9x3", _kde(0, 9, 3, 1.0)),
            Case(name, "1x1x1", _kde(1, 1, 1, 0.7), rtol=1e-5, atol=atol),
            Case(name, "70x130x5", _kde(70, 130, 5, 0.5), rtol=1e-5, atol=atol),
            Case(name, "9x70x45", _kde(9, 70, 45, 1.5), rtol=1e-5, atol=4 * atol),
            Case(name, "edges-4x70x3", _edges, rtol=1e-5, atol=atol),
        )
    ),
    *(
        case
        for name in ("gmm_logpdf", "gmm_score")
        for full in (False, True)
        for case in (
            Case(name, "full-0x2x3" if full else "0x2x3", _gmm(0, 2, 3, full)),
            Case(name, "full-5x1x1" if full else "5x1x1", _gmm(5, 1, 1, full), rtol=1e-5, atol=1e-5),
            Case(name, "full-70x7x66" if full else "70x7x66", _gmm(70, 7, 66, full), rtol=1e-5, atol=1e-4),
        )
    ),
    *(
        Case("kde_logpdf", size, make, use="bench", flops=_kde_flops, peer=("scikit-learn", _kernel_density))
        for size, make in (
            ("1000x20000x13", _kde(1000, 20_000, 13, 0.5)),
            ("1000x6000x784", _kde(1000, 6000, 784, 3.0)),
        )
    ),
    *(
        Case("kde_score", size, make, use="bench", flops=lambda args: 2 * _kde_flops(args))
        for size, make in (
            ("1000x20000x13", _kde(1000, 20_000, 13, 0.5)),
            ("1000x6000x784", _kde(1000, 6000, 784, 3.0)),
        )
    ),
    *(
        Case(
            "gmm_logpdf", size, make, use="bench", flops=_gmm_flops, peer=("scikit-learn", _gaussian_mixture)
        )
        for size, make in (
            ("8192x10x784", _gmm(8192, 10, 784, False)),
            ("8192x5x64-full", _gmm(8192, 5, 64, True)),
        )
    ),
    *(
        Case("gmm_score", size, make, use="bench", flops=lambda args: 2 * _gmm_flops(args))
        for size, make in (
            ("8192x10x784", _gmm(8192, 10, 784, False)),
            ("8192x5x64-full", _gmm(8192, 5, 64, True)),
        )
    ),
]
