"""Params and specs of the built-in attacks. Light: no torch here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from benchmark_core import Count, Eps, MethodSpec, Positive

Ball = Literal["linf", "l2", "l1"]
Loss = Literal["auto", "ce", "cw", "dlr"]
Iterate = Literal["auto", "best", "last"]


@dataclass(frozen=True, kw_only=True)
class NoneParams:
    """The inputs as they are: accuracy under it is clean accuracy."""


@dataclass(frozen=True, kw_only=True)
class NoiseParams:
    """Uniform noise in the eps-ball, without a look at the model's gradient: what any attack must beat.

    eps: radius of the ball, in input units.
    norm: the ball, linf, l2 or l1.
    draws: tries a sample; the first that succeeds is kept, otherwise the last.
    """

    eps: Eps
    norm: Ball = "linf"
    draws: Count = 10


@dataclass(frozen=True, kw_only=True)
class FGSMParams:
    """Fast gradient sign method: one step of size eps along the sign of the gradient.

    eps: radius of the linf ball and length of the step, in input units.
    """

    eps: Eps


@dataclass(frozen=True, kw_only=True)
class PGDParams:
    """Projected gradient ascent of the loss in an eps-ball.

    eps: radius of the ball, in input units.
    norm: the ball, linf, l2 or l1. Steps follow sign(g) in linf and g / ||g||_2 in l2 and l1.
    steps: gradient steps of one run.
    step_size: length of a step in input units (per feature in linf, Euclidean in l2 and l1);
        2.5 eps / steps when left out.
    random_start: begin at a uniform point of the ball rather than at the input.
    restarts: runs from new random points; a sample keeps the best.
    loss: ce (cross-entropy, computed as log-odds, which cannot vanish by saturation), cw (margin), dlr
        (margin over the spread of the logits; three classes or more), or auto: ce of logits brought to one
        scale, so that multiplying its logits makes no network look more robust (inside a training, ce).
    iterate: which iterate is the result. best: one that succeeds before one that does not, then the highest
        loss; samples stop at their first success when only success counts. last: the final one, as in the
        paper. auto: best, but last inside a training.
    """

    eps: Eps
    norm: Ball = "linf"
    steps: Count = 40
    step_size: Positive | None = None
    random_start: bool = True
    restarts: Count = 1
    loss: Loss = "auto"
    iterate: Iterate = "auto"

    def __post_init__(self) -> None:
        if self.restarts > 1 and not self.random_start:
            raise ValueError(
                f"restarts: {self.restarts} runs from one start are equal; set random_start: true"
            )


_HERE = "benchmark_plugins.attacks"

SPECS: tuple[MethodSpec, ...] = (
    MethodSpec.attack(
        "none",
        f"{_HERE}.none:NoAttack",
        params=NoneParams,
        targeted=True,
        deterministic=True,
        cite="null control",
    ),
    MethodSpec.attack(
        "noise",
        f"{_HERE}.noise:Noise",
        params=NoiseParams,
        targeted=True,
        control=True,
        cite="null control",
    ),
    MethodSpec.attack(
        "fgsm",
        f"{_HERE}.fgsm:FGSM",
        params=FGSMParams,
        norm="linf",
        targeted=True,
        deterministic=True,
        cite="Goodfellow, Shlens, Szegedy: Explaining and harnessing adversarial examples (ICLR 2015). "
        "arXiv:1412.6572",
    ),
    MethodSpec.attack(
        "pgd",
        f"{_HERE}.pgd:PGD",
        params=PGDParams,
        targeted=True,
        early_exit=True,
        cite="Madry, Makelov, Schmidt, Tsipras, Vladu: Towards deep learning models resistant to adversarial "
        "attacks (ICLR 2018). arXiv:1706.06083",
    ),
)
