"""Steps in a ball: plain samples and those at an edge (zero gradients, ties, a step far outside)."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from .. import steps  # noqa: F401 - registers the operations
from . import Case


def _inputs(
    *shape: int, eps: float, alpha: float, box: str = "features"
) -> Callable[[Generator], tuple[Any, ...]]:
    """x in a box of [0, 1] or wider, x_k in the eps-ball, a gradient with zeros, one sample without any."""

    def make(g: Generator) -> tuple[Any, ...]:
        lower, upper = torch.zeros(shape[1:]), torch.ones(shape[1:])
        if box == "scalar":
            lower, upper = torch.tensor(0.0), torch.tensor(1.0)
        elif box == "infinite":
            lower, upper = torch.full(shape[1:], -math.inf), torch.full(shape[1:], math.inf)
        x = torch.rand(shape, generator=g)
        d = torch.randn(shape, generator=g)
        features = math.prod(shape[1:])
        x_k = (x + eps * d / max(1, features) ** 0.5).clamp(0, 1)
        gradient = torch.randn(shape, generator=g) * torch.randint(0, 3, shape, generator=g)
        if shape[0] > 2:
            gradient[1] = 0
            gradient[2] *= 1e-30  # squares underflow
        return x_k, gradient, x, alpha, eps, lower, upper

    return make


def _ties(g: Generator) -> tuple[Any, ...]:
    """Many equal entries: thresholds are met exactly."""
    x = torch.full((6, 40), 0.5)
    gradient = torch.randint(-1, 2, (6, 40), generator=g).float()
    return x, gradient, x, 4.0, 1.5, torch.full((40,), -8.0), torch.full((40,), 8.0)


def _spoiled(*shape: int) -> Callable[[Generator], tuple[Any, ...]]:
    """NaN at one place of each of the first three samples: in x_k, g and x. It stays where the norm is linf,
    save in g, and takes the whole sample else."""

    def make(g: Generator) -> tuple[Any, ...]:
        args = _inputs(*shape, eps=0.5, alpha=0.2)(g)
        for i, a in enumerate(args[:3]):
            a.flatten(1)[i, 7] = torch.nan
        return args

    return make


def _foolbox(norm: str) -> Callable[[tuple[Any, ...]], Callable[[], Tensor]]:
    """Normalise, step, project and clip as foolbox's attacks do it. On the l1 ball it only scales."""

    def prepare(args: tuple[Any, ...]) -> Callable[[], Tensor]:
        import eagerpy as ep
        from foolbox.attacks import L2PGD, LinfPGD

        attack = {"linf": LinfPGD, "l2": L2PGD}[norm]()
        x_k, g, x, alpha, eps, _, _ = args
        x_k, g, x = ep.astensors(x_k, g, x)

        def step() -> Tensor:
            moved = x_k + alpha * attack.normalize(g, x=x_k, bounds=(0, 1))
            return attack.project(moved, x, eps).clip(0, 1).raw

        return step

    return prepare


def _adv_lib(args: tuple[Any, ...]) -> Callable[[], Tensor]:
    """The same step as l2's, then adv-lib's exact projection on the l1 ball."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it compares versions by distutils
        from adv_lib.utils.projections import l1_ball_euclidean_projection as project

    x_k, g, x, alpha, eps, _, _ = args

    def step() -> Tensor:
        length = g.flatten(1).norm(dim=1).clamp_min(1e-12).view(-1, *(1,) * (g.ndim - 1))
        d = (x_k + alpha * g / length - x).flatten(1)
        return (x + project(d, eps, inplace=True).view_as(x)).clamp_(0, 1)

    return step


FLOAT = (torch.float32,)
EPS = {"linf": 0.1, "l2": 0.5, "l1": 2.0}
CASES = [
    case
    for norm, eps in EPS.items()
    for case in (
        *(
            Case(
                f"{norm}_step", "x".join(map(str, shape)), _inputs(*shape, eps=eps, alpha=eps / 4), atol=2e-6
            )
            for shape in ((7, 13), (3, 1), (0, 5), (5, 3, 33, 31), (2, 123, 123), (5, 1, 1))
        ),
        Case(f"{norm}_step", "beyond-7x50", _inputs(7, 50, eps=eps, alpha=3 * eps, box="scalar"), atol=2e-6),
        Case(f"{norm}_step", "no-box-7x50", _inputs(7, 50, eps=eps, alpha=eps, box="infinite"), atol=2e-6),
        Case(f"{norm}_step", "no-ball-3x50", _inputs(3, 50, eps=0.0, alpha=eps), atol=2e-6),
        Case(f"{norm}_step", "ties-6x40", _ties, atol=2e-6),
        Case(f"{norm}_step", "nan-4x50", _spoiled(4, 50), atol=2e-6),
        Case(f"{norm}_step", "nan-3x91x91", _spoiled(3, 91, 91), dtypes=FLOAT, atol=2e-6),
        *(
            Case(
                f"{norm}_step",
                "x".join(map(str, shape)),
                _inputs(*shape, eps=eps, alpha=eps / 4),
                use="bench",
                peer=("adv-lib", _adv_lib) if norm == "l1" else ("foolbox", _foolbox(norm)),
            )
            for shape in ((65536, 16), (256, 3, 32, 32), (8192, 3, 32, 32), (256, 3, 224, 224))
        ),
    )
]
