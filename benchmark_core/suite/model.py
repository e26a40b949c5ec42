"""A validated suite: what to cross, how often, within which limits. Plain data, made by `suite.read`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt

from ..spec import Count, Kind, MethodRef

Select = Literal["all", "correct", "negative", "class-balanced"]
Targets = Literal["none", "random", "next", "opposite", "all"]
Over = Literal["mean", "best", "worst"]


@dataclass(frozen=True, kw_only=True)
class Wish:
    """Which test samples a method works on. samples: how many at most (None: all of them).

    select: `all`, those the model classifies `correct`ly, those it gives an unfavourable class (`negative`),
    or equally many of each class. targets: none, or classes other than the one the model predicts: a random
    one, the next one, the other one (`opposite`, two classes only), or each in turn (`all`); `negative`
    samples aim at the favourable class. over: how the scores of several targets of a sample become one.
    """

    select: Select = "all"
    samples: int | None = None
    targets: Targets = "none"
    over: Over = "mean"

    @property
    def needs_model(self) -> bool:
        """Whether the selection depends on what a model predicts."""
        return self.select in ("correct", "negative") or self.targets != "none"


@dataclass(frozen=True)
class Entry:
    """One method of a suite after grids are expanded.

    label: unique within its kind; boards show it. wish: what attacks, explainers and (for predictions)
    metrics work on; None for other kinds. on: labels of attacks whose outputs an explainer also explains
    ("clean" for none). reference: label of the defense a metric compares with. file, line, column: its place.
    """

    ref: MethodRef
    label: str
    line: int
    column: int
    wish: Wish | None = None
    on: tuple[str, ...] = ("clean",)
    reference: str | None = None
    file: str = ""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds of a run. They cannot change results, but for `threads`, which is therefore fixed by the suite.

    node_timeout: seconds a node may take. memory: GiB a worker may hold. threads: per node. device: cpu, cuda
    or auto. batch_size: samples a pass. retries: how often a node whose worker was lost is tried again.
    cells: the plan refuses more.
    """

    node_timeout: Annotated[float, Gt(0)] = 3600.0
    memory: Annotated[float, Gt(0)] | None = None
    threads: Count = 1
    device: Literal["auto", "cpu", "cuda"] = "cpu"
    batch_size: Count = 256
    retries: Annotated[int, Ge(0)] = 1
    cells: Count = 200_000


@dataclass(frozen=True, kw_only=True)
class Board:
    """A leaderboard. rows: the coordinates a row stands for; everything else makes columns.

    metrics: labels to show (default: all that fit). rank_by: the label of the metric it is sorted by
    (default: the first). expected: a file of published values.
    """

    name: str
    rows: tuple[Literal["dataset", "model", "defense", "attack", "explainer", "on"], ...]
    metrics: tuple[str, ...] = ()
    rank_by: str | None = None
    expected: str | None = None


@dataclass(frozen=True)
class Suite:
    """A suite after validation. entries: kind -> its methods in the order of the file.

    include, exclude: rules that map coordinates to lists of labels; a cell stays if it fits one of `include`
    (when there are any) and none of `exclude`. source: (file name, text) of the suite and of what it extends.
    digest: sha256 of the sources and overrides.
    """

    name: str
    version: int
    seeds: int
    seed: int
    entries: Mapping[Kind, tuple[Entry, ...]]
    limits: Limits
    boards: tuple[Board, ...]
    include: tuple[Mapping[str, tuple[str, ...]], ...] = ()
    exclude: tuple[Mapping[str, tuple[str, ...]], ...] = ()
    plugins: tuple[str, ...] = ()
    description: str = ""
    file: str = ""
    digest: str = ""
    source: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    overrides: Mapping[str, Any] = field(default_factory=dict)

    def of(self, kind: Kind) -> tuple[Entry, ...]:
        return self.entries.get(kind, ())

    def entry(self, kind: Kind, label: str) -> Entry:
        return next(e for e in self.of(kind) if e.label == label)
