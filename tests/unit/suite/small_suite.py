"""A plugin of methods that are never run, the start of a small suite of them, and what tests ask of one."""

from __future__ import annotations

from typing import Any

from benchmark_core.suite import Suite

PLUGIN = '''
from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Le, MinLen
from benchmark_core import (
    AttackRef, Count, Eps, ExplainerRef, File, MethodSpec, Number, Operational, Unit, hookimpl
)


@dataclass(frozen=True, kw_only=True)
class Pgd:
    """Projected gradient descent.

    eps: radius of the ball. steps: how many steps. norm: the ball. batch: samples a pass.
    """

    eps: Eps
    steps: Count = 40
    step_size: Unit | None = None
    restarts: Annotated[int, Ge(1), Le(100)] = 1
    norm: Literal["linf", "l2", "l1"] = "linf"
    random_start: bool = True
    batch: Annotated[Count, Operational()] = 64


@dataclass(frozen=True, kw_only=True)
class Fgsm:
    """One signed step."""

    eps: Eps = 0.1


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Uniform noise in a range.

    low, high: the range.
    """

    low: Number = 0.0
    high: Number = 1.0

    def __post_init__(self):
        if self.low > self.high:
            raise ValueError(f"low must be at most high, got {self.low} and {self.high}")


@dataclass(frozen=True, kw_only=True)
class Mlp:
    """Dense layers."""

    hidden: tuple[int, ...] = (64,)
    window: tuple[float, float] = (0.0, 1.0)
    name: str = "mlp"
    dropout: float | Literal["auto"] = "auto"
    parts: Annotated[tuple[str, ...], MinLen(1)] = ("a",)


@dataclass(frozen=True, kw_only=True)
class Adversarial:
    """Trains on an attack's output."""

    attack: AttackRef
    weight: Unit = 0.5


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """Weights from a file."""

    path: File
    probe: AttackRef | None = None


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """Several attacks; the worst counts."""

    members: tuple[AttackRef, ...]


@dataclass(frozen=True, kw_only=True)
class Broken:
    """Its check has a bug."""

    x: int = 0

    def __post_init__(self):
        raise KeyError("oops")


@dataclass(frozen=True, kw_only=True)
class Smooth:
    """Averages another explainer."""

    inner: ExplainerRef
    draws: Count = 10


A = "fake_implementations:Any"


@hookimpl
def register_methods():
    yield MethodSpec.dataset("wine", A, input="tabular")
    yield MethodSpec.dataset("digits", A, input="image")
    yield MethodSpec.model("mlp", A, params=Mlp)
    yield MethodSpec.defense("standard", A)
    yield MethodSpec.defense("adversarial-training", A, params=Adversarial)
    yield MethodSpec.defense("pretrained", A, params=Pretrained)
    yield MethodSpec.attack("pgd", A, params=Pgd, norm="linf", targeted=True, cite="Madry 2018")
    yield MethodSpec.attack("fgsm", A, params=Fgsm, norm="linf")
    yield MethodSpec.attack("noise", A, params=Noise)
    yield MethodSpec.attack("ensemble", A, params=Ensemble, targeted=True)
    yield MethodSpec.attack("broken", A, params=Broken)
    yield MethodSpec.explainer("saliency", A, produces="attribution")
    yield MethodSpec.explainer("smooth", A, params=Smooth, produces="attribution")
    yield MethodSpec.explainer("ecco", A, produces="counterfactual")
    yield MethodSpec.metric("accuracy", A, consumes=("prediction",), direction="higher")
    yield MethodSpec.metric("robust-accuracy", A, consumes=("perturbation",), direction="higher")
    yield MethodSpec.metric("validity", A, consumes=("counterfactual",), direction="higher")
    yield MethodSpec.metric("gap", A, consumes=("prediction",), direction="lower", reference="model")
    yield MethodSpec.state("density", A, params=Fgsm)
'''

HEAD = """\
suite: small
datasets: [wine]
models: [mlp]
defenses: [standard]
metrics: [accuracy]
"""


def labels(suite: Suite, kind: Any = "attack") -> list[str]:
    return [e.label for e in suite.of(kind)]


def defended(entry: str, metrics: str = "[accuracy]") -> str:
    return HEAD.replace("[standard]", f"[standard, {entry}]").replace("[accuracy]", metrics)
