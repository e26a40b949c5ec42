"""Points on a path, sums of gradients along it, and the Gini index of what comes out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator

from .. import gini, path  # noqa: F401 - registers the operations
from . import Case

Make = Callable[[Generator], tuple[Any, ...]]


def _points(k: int, *shape: int, one_baseline: bool = False) -> Make:
    def make(g: Generator) -> tuple[Any, ...]:
        baseline = torch.rand((1, *shape[1:]) if one_baseline else shape, generator=g)
        return torch.rand(shape, generator=g), baseline, torch.linspace(0, 1, k)

    return make


def _sums(k: int, *shape: int) -> Make:
    def make(g: Generator) -> tuple[Any, ...]:
        weight = torch.rand(k, generator=g)
        total, grad = torch.randn(shape, generator=g), torch.randn(k, *shape, generator=g)
        return total, grad, weight / max(1, k)

    return make


def _rows(n: int, d: int, kind: str = "random") -> Make:
    """Rows with a positive sum, unless they are spoiled."""

    def make(g: Generator) -> tuple[Any, ...]:
        a = torch.rand(n, d, generator=g)
        if kind == "ties":
            a = torch.randint(0, 3, (n, d), generator=g).float() + torch.eye(1, d)
        elif kind == "one":
            a = torch.eye(n, d)
        elif kind == "spoiled":
            a[0], a[1, -1], a[2, d // 2] = 0, torch.nan, torch.inf
        return (a,)

    return make


CASES = [
    *(
        Case("path_points", name, make, atol=1e-6)
        for name, make in {
            "7-of-5x3x9x11": _points(7, 5, 3, 9, 11),
            "33-of-5x13-one-baseline": _points(33, 5, 13, one_baseline=True),
            "1-of-1x1": _points(1, 1, 1),
            "3-of-0x4": _points(3, 0, 4),
            "0-of-3x4": _points(0, 3, 4),
        }.items()
    ),
    Case("path_points", "32-of-64x3x32x32", _points(32, 64, 3, 32, 32, one_baseline=True), use="bench"),
    Case("path_points", "32-of-16x3x224x224", _points(32, 16, 3, 224, 224, one_baseline=True), use="bench"),
    *(
        Case("path_accumulate", name, make, atol=1e-5)
        for name, make in {
            "7-of-5x3x9x11": _sums(7, 5, 3, 9, 11),
            "300-of-2x3": _sums(300, 2, 3),
            "1-of-1x1": _sums(1, 1, 1),
            "3-of-0x4": _sums(3, 0, 4),
            "0-of-3x4": _sums(0, 3, 4),
        }.items()
    ),
    Case("path_accumulate", "32-of-64x3x32x32", _sums(32, 64, 3, 32, 32), use="bench"),
    Case("path_accumulate", "32-of-16x3x224x224", _sums(32, 16, 3, 224, 224), use="bench"),
    *(
        Case("gini", name, make, atol=2e-6)
        for name, make in {
            "7x37": _rows(7, 37),
            "70x5-ties": _rows(70, 5, "ties"),
            "9x9-one": _rows(9, 9, "one"),
            "3x1": _rows(3, 1),
            "0x5": _rows(0, 5),
            "4x37-spoiled": _rows(4, 37, "spoiled"),
            "3x200": _rows(3, 200),
            "2x5000-long": _rows(2, 5000),
        }.items()
    ),
    Case("gini", "1024x784", _rows(1024, 784), use="bench"),
    Case("gini", "16384x3072", _rows(16384, 3072), use="bench"),
]
