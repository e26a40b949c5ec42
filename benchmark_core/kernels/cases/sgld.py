"""Langevin steps, with and without a box, for rows whose numbers need 64 bits too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator

from .. import sgld  # noqa: F401 - registers the operation
from . import Case


def _inputs(
    *shape: int, box: str = "none", seed: int = 1, offset: int = 0, first: int = 0
) -> Callable[[Generator], Any]:
    def make(g: Generator) -> tuple[Any, ...]:
        x, grad = torch.randn(shape, generator=g), torch.randn(shape, generator=g)
        low = torch.full(shape[1:], -1.0) if box in ("low", "both") else None
        high = torch.full(shape[1:], 0.5) if box == "both" else None
        return x, grad, 0.5, 0.25, seed, offset, low, high, first

    return make


def _eager(args: tuple[Any, ...]) -> Callable[[], Any]:
    x, grad, step, noise, *_ = args
    return lambda: x - step / 2 * grad + noise * torch.randn_like(x)


# Triton's logarithm, sine and cosine against torch's: the noise differs by some 1e-6
CASES = [
    *(
        Case("sgld_step", "x".join(map(str, shape)) + f"-{box}", _inputs(*shape, box=box), atol=4e-6)
        for shape in ((0, 5), (3, 1), (5, 7), (2, 3, 33, 31), (300, 16))
        for box in ("none", "both")
    ),
    Case("sgld_step", "low-3x784", _inputs(3, 784, box="low", offset=77, first=5), atol=4e-6),
    Case(
        "sgld_step", "wide-3x20", _inputs(3, 20, seed=2**62 + 3, offset=2**31 - 1, first=2**32 - 2), atol=4e-6
    ),
    *(
        Case(
            "sgld_step",
            "x".join(map(str, shape)),
            _inputs(*shape, box=box),
            use="bench",
            atol=4e-6,
            peer=("torch.randn", _eager),
        )
        for shape, box in (((65536, 16), "none"), ((8192, 784), "none"), ((8192, 3, 32, 32), "both"))
    ),
]
