"""The cells of a suite and their scores, read from a store one cell at a time: what comparing two stores, or
a board with a paper, needs besides the table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..store import DamagedNode, Store
from .aggregate import COORDINATES
from .statistics import Kind, Scores

#: (coordinate, label) pairs in the order in which they are shown, `metric` last; seeds are left out.
Place = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Seed:
    """One seed of a cell: the keys of its scores and of the samples it was measured on."""

    seed: int
    key: str
    selection: str


@dataclass(frozen=True)
class Samples:
    """What a seed was measured on. index: rows of the test set, as bytes. aims: how targets were chosen.

    data: digest of the data set's tensors; empty when it is not known.
    """

    count: int
    index: bytes
    aims: str
    data: str


def cells_of(manifest: Mapping[str, Any]) -> dict[Place, list[Seed]]:
    """All cells of a suite, each with its seeds in ascending order."""
    cells: dict[Place, list[Seed]] = {}
    for at, key, selection, *_ in manifest["cells"]:
        place = tuple((c, at[c]) for c in (*COORDINATES, "metric") if c in at)
        cells.setdefault(place, []).append(Seed(at["seed"], key, selection))
    for seeds in cells.values():
        seeds.sort(key=lambda one: one.seed)
    return cells


def shown(place: Iterable[tuple[str, str]]) -> list[str]:
    """The labels of a place as titles have them: `on pgd` for explanations of what an attack made."""
    return [
        f"on {label}" if c == "on" else label for c, label in place if (c, label) not in (("on", "clean"),)
    ]


def kind_of(about: Mapping[str, Any], scores: Iterable[Scores]) -> Kind:
    """How a metric is scored. Means of 0/1 scores over several targets are no longer 0/1."""
    kind: Kind = about["scores"]
    if kind == "bernoulli":
        values = (v for row in scores for v in row.values if v is not None)
        if not all(bool(((v == 0) | (v == 1) | (v != v)).all()) for v in values):
            return "score"
    return kind


class Reader:
    """Reads a store for comparisons. Nothing is changed; what is damaged counts as missing, see `damaged`."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.damaged: list[str] = []
        self._records: dict[str, Mapping[str, Any] | None] = {}
        self._samples: dict[str, Samples | None] = {}

    def has_any(self, seeds: Iterable[Seed]) -> bool:
        return any(self.store.has(one.key) for one in seeds)

    def scores(self, seeds: Sequence[Seed]) -> Scores:
        """The scores of a cell; None where a seed is missing."""
        tensors = [self._tensors(one.key) or {} for one in seeds]
        seen = [self.samples(one.selection) for one in seeds]
        known = [s for s in seen if s is not None]
        return Scores(
            [t.get("values") for t in tensors],
            [t.get("valid") for t in tensors],
            min((s.count for s in known), default=0),
            len({s.index for s in known}) <= 1,
        )

    def samples(self, selection: str) -> Samples | None:
        """Which samples a selection holds; None when it is not stored."""
        if selection not in self._samples:
            found = None
            tensors, record = self._tensors(selection), self.record(selection)
            if tensors is not None and record is not None:
                import numpy as np

                index = np.unique(tensors["index"])  # with several targets a sample stands there repeatedly
                aims = record.get("identity", {}).get("wish", {}).get("targets", "")
                data = self.record(record.get("inputs", {}).get("task", "")) or {}
                digest = next((a["sha256"] for a in data.get("artifacts", {}).values()), "")
                found = Samples(len(index), index.tobytes(), str(aims), digest)
            self._samples[selection] = found
        return self._samples[selection]

    def record(self, key: str) -> Mapping[str, Any] | None:
        if key not in self._records:
            self._records[key] = self._read_record(key)
        return self._records[key]

    def _read_record(self, key: str) -> Mapping[str, Any] | None:
        if not key or not self.store.has(key):
            return None
        try:
            return self.store.record(key)
        except DamagedNode as error:
            self._note(error)
            return None

    def _tensors(self, key: str) -> dict[str, Any] | None:
        record = self.record(key)
        if record is None:
            return None
        try:
            return self.store.tensors(key, record, numpy=True)
        except DamagedNode as error:
            self._note(error)
            return None

    def _note(self, error: DamagedNode) -> None:
        self.damaged.append(f"{self.store.path}: {error}; it counts as missing until the suite runs again")
