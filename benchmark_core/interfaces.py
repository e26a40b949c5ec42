"""The contracts between engine and methods: one verb a kind, the context it is given, the results it returns.

Contracts that hold for every method (the conformance tests check them):
  * shapes, dtype and device are kept; inputs, weights, gradients, train/eval mode and the global random
    state are left as they were;
  * the same seed gives the same result, and the result of a sample does not depend on its batch: sum losses,
    never average them, and draw random numbers from `ctx.random`, whose draws belong to samples;
  * inputs live in the task's own range; bounds, eps-balls and immutable features are respected.

Models arrive frozen (no parameter needs a gradient), in eval mode, and counted: `model(x)` gives logits
(n, K), `model.features(x)` the penultimate layer (n, F).
This module imports torch for type checking only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from .random import SampleRandom

Goal = Literal["success", "perturbation", "training"]


# --- data and results ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Task:
    """A classification problem, split and scaled.

    x_*: (N, *shape) float32 inside [lower, upper]; y_*: (N,) int64 in 0..K-1.
    lower, upper: (*shape) the box that every input, perturbed or not, lies in.
    mutable: (*shape) bool, the features that recourse may change.
    mean, std: (*shape) or broadcastable, of the training inputs: models normalise with them.
    features: names of the features (tabular; empty for images). favourable: the class that recourse aims at.
    """

    x_train: Tensor
    y_train: Tensor
    x_test: Tensor
    y_test: Tensor
    lower: Tensor
    upper: Tensor
    mutable: Tensor
    mean: Tensor
    std: Tensor
    classes: tuple[str, ...]
    features: tuple[str, ...] = ()
    favourable: int | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample: (F,) or (C, H, W)."""
        return tuple(self.x_train.shape[1:])

    @property
    def n_classes(self) -> int:
        return len(self.classes)

    @property
    def is_image(self) -> bool:
        return len(self.shape) == 3


@dataclass(frozen=True)
class Selection:
    """Which test samples a method works on. index, y: (n,) rows of the test set and their labels;
    target: (n,) classes to aim at, or None. With `targets: all` a sample stands once per target."""

    index: Tensor
    y: Tensor
    target: Tensor | None = None


@dataclass(frozen=True)
class Prediction:
    """logits: (n, K) of the model on the selected samples."""

    logits: Tensor


@dataclass(frozen=True)
class Perturbation:
    """x_adv: (n, *shape). notes: {name: (n,)} per-sample facts for the record (their means are shown)."""

    x_adv: Tensor
    notes: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Attribution:
    """values: (n, *shape), how much each input feature contributed.

    delta: (n,) F(x) - F(baseline), for methods whose values promise to add up to it (completeness).
    """

    values: Tensor
    delta: Tensor | None = None
    notes: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Counterfactual:
    """x_cf: (n, *shape), inputs that should be classified as `ctx.target`."""

    x_cf: Tensor
    notes: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Synthesis:
    """images: (m, *shape) made from the model alone; labels: (m,) the classes they stand for."""

    images: Tensor
    labels: Tensor
    notes: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Scores:
    """values: (n,) one number a sample in the order of the selection ((1,) for set-level metrics).

    valid: (n,) bool, where the score is defined; None means everywhere. Invalid values are ignored.
    """

    values: Tensor
    valid: Tensor | None = None


Result = Prediction | Perturbation | Attribution | Counterfactual | Synthesis


# --- context -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cost:
    """What a node cost: wall seconds, samples through forward and backward passes, samples worked on."""

    seconds: float
    forward: int
    backward: int
    samples: int


def _silent(done: int, total: int) -> None:
    pass


@dataclass(kw_only=True)
class Context:
    """What a method may know and use besides its arguments.

    generator: a seeded CPU generator for draws that concern the whole call (shuffles, initial weights).
    random: draws that belong to the samples at hand, independent of how they are batched.
    target: (n,) the classes to aim at, for the samples at hand; None when the selection has no targets.
    goal: what the caller of an attack will use: only whether it succeeds (stop at the first success), the
    perturbation itself, or the loss at it (`training`: no bookkeeping beyond the last iterate).
    states: the prepared states that the spec `needs`.
    progress: call it as `ctx.progress(done, total)`.
    """

    task: Task
    device: torch.device
    generator: torch.Generator
    random: SampleRandom
    batch_size: int = 256
    target: Tensor | None = None
    goal: Goal = "perturbation"
    states: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)
    progress: Callable[[int, int], None] = _silent
    notes: dict[str, float] = field(default_factory=dict)
    make: Callable[[Any], Any] | None = None

    def note(self, name: str, value: float) -> None:
        """Keep a number in the node's record (a final training loss, a share of failures)."""
        self.notes[name] = float(value)

    def method(self, ref: Any) -> Any:
        """The method that a `MethodRef` param names, ready to use: `ctx.method(self.params.attack)`."""
        if self.make is None:
            raise RuntimeError("this context cannot make methods; the engine gives one that can")
        return self.make(ref)


@dataclass(kw_only=True)
class MetricContext(Context):
    """What a metric also knows: the inputs the result was made from, and how it was made.

    x, y: (n, *shape), (n,) the inputs (adversarial ones when the explainer ran `on` an attack) and labels.
    cost: what the producing node cost (None for predictions made on the way).
    rerun: (x', rows) -> the producing method's result on other inputs; `rows` (m,) says which selected sample
    each x' stands for. The passes it makes are counted as the metric's.
    reference_model, reference_result: what `reference: LABEL` names in the suite.
    """

    x: Tensor
    y: Tensor
    cost: Cost | None = None
    rerun: Callable[[Tensor, Tensor], Any] | None = None
    reference_model: nn.Module | None = None
    reference_result: Any = None

    def logits(self, model: nn.Module, x: Tensor) -> Tensor:
        """model(x) without gradients, in batches of `batch_size`: (n, K)."""
        import torch

        with torch.no_grad():
            return torch.cat([model(batch) for batch in x.split(self.batch_size)])


# --- one verb a kind -----------------------------------------------------------------------------------


class Method:
    """A method is made with its validated params and keeps nothing else."""

    def __init__(self, params: Any) -> None:
        self.params = params


class Dataset(Method, ABC):
    @abstractmethod
    def load(self, ctx: DataContext) -> Task:
        """Read, split and scale the data."""


class Model(Method, ABC):
    @abstractmethod
    def build(self, task: Task, ctx: Context) -> nn.Module:
        """An untrained network: logits by `forward`, the penultimate layer by `features`, normalisation
        inside. torch's global generator is seeded for the initial weights."""


class Defense(Method, ABC):
    @abstractmethod
    def train(self, model: nn.Module, task: Task, ctx: Context) -> nn.Module:
        """Train `model` (in place is fine) and return it."""


class Attack(Method, ABC):
    @abstractmethod
    def perturb(self, model: nn.Module, x: Tensor, y: Tensor, ctx: Context) -> Perturbation:
        """Inputs x (n, *shape) with labels y (n,), changed within the attack's limits and the task's box,
        so that the model errs, or says `ctx.target` when that is given."""


class Explainer(Method, ABC):
    @abstractmethod
    def explain(
        self, model: nn.Module, x: Tensor, y: Tensor, ctx: Context
    ) -> Attribution | Counterfactual | Synthesis:
        """Explain the model at x (n, *shape) with labels y (n,); counterfactuals aim at `ctx.target`."""


class Metric(Method, ABC):
    @abstractmethod
    def measure(self, result: Any, model: nn.Module, ctx: MetricContext) -> Scores:
        """Score a result, one number a sample wherever that exists."""


class State(Method, ABC):
    @abstractmethod
    def prepare(self, model: nn.Module | None, task: Task, ctx: Context) -> Mapping[str, Tensor]:
        """Tensors made once and shared by every method that names this state. `model` is None for states
        made from the task alone."""


@dataclass(kw_only=True)
class DataContext:
    """What a dataset may use: where its files lie (the folder of `ROBEX_DATA`, or the cache) and a seed-free
    progress callback. `file(name)` gives the path of a declared file after checking its sha256."""

    file: Callable[[str], str]
    progress: Callable[[int, int], None] = _silent
