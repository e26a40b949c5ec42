"""Proximal steps and projections on few features: random, at thresholds, ties, boxes of every kind."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from .. import prox  # noqa: F401 - registers the operations
from . import Case

POWERS = {"0": 0.0, "half": 0.5, "two-thirds": 2 / 3, "1": 1.0}


def _box(kind: str, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    low, high = {"features": (-0.5, 1.5), "scalar": (-0.75, 0.5), "none": (-math.inf, math.inf)}[kind]
    form = shape[1:] if kind == "features" else ()
    return torch.full(form, low), torch.full(form, high)


def _steps(
    *shape: int, p: float, box: str = "features", tau: float = 0.25
) -> Callable[[Generator], tuple[Any, ...]]:
    """w, g with zeros; a threshold for every feature, 0 among them."""

    def make(g: Generator) -> tuple[Any, ...]:
        w = torch.randn(shape, generator=g) * torch.randint(0, 3, shape, generator=g)
        gradient = torch.randn(shape, generator=g) * torch.randint(0, 2, shape, generator=g)
        t = tau * torch.randint(0, 4, shape[1:], generator=g)
        low, high = _box(box, shape)
        return w, gradient, 0.3, t, low, high, p

    return make


def _thresholds(p: float) -> Callable[[Generator], tuple[Any, ...]]:
    """y just below and just above the threshold of tau = 1/2."""

    def make(g: Generator) -> tuple[Any, ...]:
        tau = 0.5
        limit = {0: (2 * tau) ** 0.5, 0.5: 1.5 * tau ** (2 / 3), 1: tau}.get(
            p, 2 / 3 * (3 * (2 * tau) ** 3) ** 0.25
        )
        y = limit * torch.tensor([0.5, 0.98, 1 - 1e-6, 1.0, 1 + 1e-6, 1.02, 4.0]).repeat(9, 1)
        sign = torch.randint(0, 2, y.shape, generator=g) * 2 - 1
        return y * sign, torch.tensor(tau), torch.tensor(-math.inf), torch.tensor(math.inf), p

    return make


def _spoiled(p: float) -> Callable[[Generator], tuple[Any, ...]]:
    """NaN stays, what is infinite goes to the box, and no y passes an infinite threshold."""

    def make(g: Generator) -> tuple[Any, ...]:
        y = torch.tensor([math.nan, math.inf, -math.inf, 1.0, -2.0, 0.0]).repeat(3, 1)
        tau = torch.tensor([0.5, 0.5, 0.5, 0.0, math.inf, 0.5])
        return y, tau, torch.full((6,), -1.5), torch.full((6,), 3.0), p

    return make


def _alone(make: Callable[[Generator], tuple[Any, ...]]) -> Callable[[Generator], tuple[Any, ...]]:
    """The arguments of prox_lp from those of prox_step."""

    def alone(g: Generator) -> tuple[Any, ...]:
        w, _, _, tau, low, high, p = make(g)
        return w, tau, low, high, p

    return alone


def _as_good(args: tuple[Any, ...], got: Tensor, expected: Tensor) -> None:
    """At a threshold two points are equally good: what must agree is the objective."""
    if len(args) == 7:
        w, gradient, alpha, *rest = args
        y = w - alpha * gradient
    else:
        y, *rest = args
    tau, low, high, p = rest
    half = got.dtype != torch.float32
    eps = torch.finfo(got.dtype).eps
    y, tau, w, best = (v.double() for v in (y, tau, got, expected))
    edge = 1 + (eps if half else 0)
    assert bool(((w >= low * edge) & (w <= high * edge)).all()), "outside the box"

    def objective(w: Tensor) -> Tensor:
        return (y - w).square() / 2 + tau * ((w != 0).double() if p == 0 else w.abs() ** p)

    excess = objective(w) - objective(best)
    allowed = (4 * eps if half else 1e-6) * (1 + y.square() + tau)
    assert bool((excess <= allowed).all()), f"worse by up to {float((excess - allowed).max()):.2g}"
    close = (w - best).abs() <= (eps if half else 4e-6) * (1 + best.abs())
    tie = excess.abs() <= allowed
    assert bool((close | (tie & ((w == 0) | (best == 0)))).all()), "another point, and no tie"


def _groups(*shape: int, dims: list[int], tau: float = 1.0) -> Callable[[Generator], tuple[Any, ...]]:
    def make(g: Generator) -> tuple[Any, ...]:
        y = torch.randn(shape, generator=g)
        if shape[0]:
            y[0] = 0
        form = [1 if d in dims else s for d, s in enumerate(shape)]
        return y, tau * math.prod(shape[d] for d in dims) ** 0.5 * torch.rand(form, generator=g) * 1.5, dims

    return make


def _few(
    *shape: int, m: int, box: str = "features", channels: bool = False, ties: bool = False
) -> Callable[[Generator], tuple[Any, ...]]:
    def make(g: Generator) -> tuple[Any, ...]:
        y = torch.randint(-3, 4, shape, generator=g) / 2 if ties else torch.randn(shape, generator=g)
        return y, m, *_box(box, shape), channels

    return make


def _spoiled_rows(channels: bool) -> Callable[[Generator], tuple[Any, ...]]:
    """NaN is always among the few, then what is infinite."""

    def make(g: Generator) -> tuple[Any, ...]:
        y = torch.randn(3, 2, 5, 5, generator=g)
        y[0, 1, 2, 2], y[1, 0, 1, 3], y[1, 1, 4, 4], y[2, 0, 0, 1] = math.nan, math.inf, -math.inf, math.nan
        y[2, 1, 3, 3] = math.inf
        return y, 3, torch.full((2, 5, 5), -0.5), torch.full((2, 5, 5), 1.5), channels

    return make


def _as_near(args: tuple[Any, ...], got: Tensor, expected: Tensor) -> None:
    """Gains that float32 cannot tell apart may change places: what must agree is the distance."""
    y, m, low, high, channels = args
    eps = 1e-6 if got.dtype == torch.float32 else 2 * torch.finfo(got.dtype).eps
    changed = (got != 0).any(1) if channels else got != 0
    assert int(changed.flatten(1).sum(1).max()) <= m if len(y) else True, "more features than allowed"
    z = y.clamp(low, high)
    assert bool(((got == 0) | ((got - z).abs() <= eps * z.abs())).all()), "neither 0 nor clip(y)"
    far, best = (((y.double() - v.double()) ** 2).flatten(1).sum(1) for v in (got, expected))
    assert bool((far <= best + 4 * eps * (1 + (y.double() ** 2).flatten(1).sum(1))).all()), "farther away"


def _named(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


CASES = [
    *(
        Case(op, f"{name}-{_named(shape)}-{box}", make(_steps(*shape, p=p, box=box)), same=_as_good)
        for op, make in (("prox_step", lambda m: m), ("prox_lp", _alone))
        for name, p in POWERS.items()
        for shape, box in (
            ((7, 37), "features"),
            ((5, 1, 9, 9), "scalar"),
            ((3, 1), "none"),
            ((0, 4), "none"),
        )
    ),
    *(Case("prox_lp", f"{name}-thresholds", _thresholds(p), same=_as_good) for name, p in POWERS.items()),
    *(Case("prox_lp", f"{name}-spoiled", _spoiled(p)) for name, p in POWERS.items()),
    *(
        Case("prox_step", f"{name}-{_named(shape)}", _steps(*shape, p=p), use="bench", same=_as_good)
        for name, p in POWERS.items()
        for shape in ((256, 3, 32, 32), (8192, 3, 32, 32))
    ),
    Case("prox_lp", "half-8192x3x32x32", _alone(_steps(8192, 3, 32, 32, p=0.5)), use="bench", same=_as_good),
    *(
        Case(
            "group_soft_threshold",
            f"{_named(shape)}-by-{_named(tuple(dims))}",
            _groups(*shape, dims=dims),
            atol=2e-6,
        )
        for shape, dims in (
            ((5, 3, 7, 9), [1]),
            ((5, 3, 7, 9), [2, 3]),
            ((5, 3, 7, 9), [1, 2, 3]),
            ((5, 4, 6), [0, 2]),
            ((3, 1), [1]),
            ((0, 4), [1]),
        )
    ),
    *(
        Case(
            "group_soft_threshold",
            f"{_named(shape)}-by-{_named(tuple(dims))}",
            _groups(*shape, dims=dims),
            use="bench",
        )
        for shape, dims in (((256, 3, 32, 32), [1]), ((8192, 3, 32, 32), [1]), ((8192, 3, 32, 32), [2, 3]))
    ),
    *(
        Case("topk_box_projection", name, make, same=_as_near)
        for name, make in {
            "7x37-m5": _few(7, 37, m=5),
            "7x37-m0": _few(7, 37, m=0),
            "7x37-m37": _few(7, 37, m=37, box="scalar"),
            "7x37-m36-no-box": _few(7, 37, m=36, box="none"),
            "5x40-ties": _few(5, 40, m=9, ties=True),
            "3x3x11x9-pixels": _few(3, 3, 11, 9, m=7, channels=True),
            "5x123x123-long": _few(5, 1, 123, 123, m=100),
            "5x3x45x45": _few(5, 3, 45, 45, m=900),
            "0x5": _few(0, 5, m=2),
            "3x1": _few(3, 1, m=0),
        }.items()
    ),
    *(
        Case(
            "topk_box_projection", f"spoiled-{'pixels' if channels else 'features'}", _spoiled_rows(channels)
        )
        for channels in (False, True)
    ),
    *(
        Case(
            "topk_box_projection",
            f"{_named(shape)}-m{m}" + ("-pixels" if channels else ""),
            _few(*shape, m=m, channels=channels),
            use="bench",
        )
        for shape, m, channels in (
            ((256, 3, 32, 32), 100, False),
            ((8192, 3, 32, 32), 100, False),
            ((8192, 3, 32, 32), 100, True),
            ((65536, 16), 3, False),
        )
    ),
]
