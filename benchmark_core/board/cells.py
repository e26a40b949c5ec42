"""The cells of a suite and their scores, read from a store: for boards, for comparing two stores, and for a
board beside a paper.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from zlib import crc32

from ..errors import RobexError
from ..store import DamagedNode, Store
from ..store.cells import cells_in
from ..store.store import RESULT
from .formats import plural
from .held import Piece, arrays_of, samples_held, scores_held
from .scores import Kind, Scores, Stacked

if TYPE_CHECKING:
    import numpy as np

    from ..store.index import Fact, Facts

#: Coordinates in the order in which they are shown; seeds are averaged.
COORDINATES = ("dataset", "model", "defense", "attack", "explainer", "on")

#: (coordinate, label) pairs in the order in which they are shown, `metric` last; seeds are left out.
Place = tuple[tuple[str, str], ...]


class Seed(NamedTuple):
    """One seed of a cell: the keys of its scores, of the samples it was measured on, and of what was
    measured."""

    seed: int
    key: str
    selection: str
    result: str = ""


@dataclass(frozen=True)
class Samples:
    """What a seed was measured on. index: a digest of the rows of the test set. aims: how targets were
    chosen. data: digest of the data set's tensors; empty when it is not known.
    """

    count: int
    index: str
    aims: str
    data: str


def cells_of(manifest: Mapping[str, Any]) -> dict[Place, list[Seed]]:
    """All cells of a suite, each with its seeds in ascending order."""
    cells: dict[Place, list[Seed]] = {}
    for at, key, selection, _ in cells_in(manifest).listed():
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


@dataclass(frozen=True)
class Rule:
    """How the scores of a metric make a number. quantile: 0.5 for a median, None for a mean. failure: what a
    sample without a valid result counts as."""

    kind: Kind
    quantile: float | None = None
    failure: float | None = None

    @property
    def infinite(self) -> bool:
        """Whether an infinite score is legal."""
        return self.failure is not None and self.failure in (float("inf"), float("-inf"))

    def applied(self, row: Scores) -> Scores:
        """The scores as they count."""
        if self.failure is None:
            return row
        from .quantiles import with_failure

        return with_failure(row, self.failure)


def rule_of(about: Mapping[str, Any]) -> Rule:
    """The rule of a manifest's metric. With a failure value all samples count."""
    failure = about.get("failure")
    kind: Kind = "score" if failure is not None and about["scores"] == "conditional" else about["scores"]
    quantile = 0.5 if about.get("average", "mean") == "median" else None
    return Rule(kind, quantile, None if failure is None else float(failure))


def kind_of(about: Mapping[str, Any], scores: Iterable[Scores]) -> Kind:
    """How a metric is scored. Means of 0/1 scores over several targets are no longer 0/1."""
    kind = rule_of(about).kind
    return "score" if kind == "bernoulli" and not all(map(is_binary, scores)) else kind


def is_binary(scores: Scores | Stacked) -> bool:
    """Whether all scores are 0, 1 or no number (nor is infinity: that row alone is `nan`)."""
    import numpy as np

    return all(
        v is None or v.dtype.kind == "b" or bool(((v == 0) | (v == 1) | ~np.isfinite(v)).all())
        for v in scores.values
    )


def environment_of(record: Mapping[str, Any]) -> str:
    """What may change the last digits of a number or its time: `torch 2.13.0 on cpu, AMD EPYC, 1 thread`."""
    environment = record.get("environment", {})
    device = str(record.get("device", "?"))
    chip = environment.get("gpu") if device.startswith("cuda") else environment.get("cpu")
    torch = environment.get("packages", {}).get("torch", "?")
    return f"torch {torch} on {device}, {chip or '?'}, {plural(record.get('threads', 1), 'thread')}"


class Reader:
    """Reads scores and what belongs to them. What is damaged counts as missing, see `damaged`.

    A node is opened and checked once; the store's index then holds what was found, and its small arrays.
    store None: nothing is stored. set_aside: damaged nodes are set aside, so that the next run computes them
    again; otherwise nothing but the index is changed.
    """

    def __init__(self, store: Store | None, *, set_aside: bool = False) -> None:
        self.store = store
        self.damaged: list[str] = []
        self._set_aside = set_aside
        self._facts: Facts | None = None
        self._held: dict[str, tuple[list[Any], bytes] | None] = {}  # of the nodes fetched last
        self._found: dict[str, Fact] = {}  # the same, as the index has it
        self._piece: Piece | None = None  # a column that is held in one piece, and its arrays
        self._stack: tuple[np.ndarray, np.ndarray | None, Sequence[bool]] | None = None
        self._abouts: dict[str, list[Any]] = {}  # texts that many facts share
        self._seen: dict[tuple[str, ...], tuple[int, bool]] = {}
        self._records: dict[str, Mapping[str, Any] | None] = {}
        self._samples: dict[str, Samples | None] = {}
        self._vanished: dict[str, float | None] = {}

    def has_any(self, seeds: Iterable[Seed]) -> bool:
        return self.store is not None and any(self.store.has(one.key) for one in seeds)

    def expect(self, columns: Iterable[Iterable[tuple[str, ...]]]) -> None:
        """Says which columns will be read, each a tuple of seeds a row."""
        if self.store is not None:
            self._index().expect([list(dict.fromkeys(chain.from_iterable(keys))) for keys in columns])

    def fetch(self, seeds: Iterable[Seed]) -> None:
        """Makes ready what the index holds of these cells, in one go; what was made ready before goes."""
        seeds = list(seeds)
        keys, selections = ([getattr(one, name) for one in seeds] for name in ("key", "selection"))
        self._fetch(list(dict.fromkeys(keys)), selections)

    def column(
        self, keys: Sequence[tuple[str, ...]], selections: Sequence[tuple[str, ...]]
    ) -> Stacked | None:
        """The same of a column, a tuple of seeds a row: all its scores, where nothing is missing or
        unlike."""
        every = dict.fromkeys(chain.from_iterable(keys))
        kinds = dict.fromkeys(selections)
        self._fetch(list(every), chain.from_iterable(kinds))
        if self._stack is None or len(set(map(len, keys))) > 1 or len(every) < len(keys) * len(keys[0]):
            return None
        values, masks, there = self._stack
        asked = {self._asked(of_row) for of_row in kinds}
        if len(asked) > 1 or not all(there):
            return None
        shape = (len(keys), len(keys[0]), values.shape[1])
        return Stacked(values.reshape(shape), None if masks is None else masks.reshape(shape), *asked.pop())

    def _fetch(self, keys: list[str], selections: Iterable[str]) -> None:
        rest = [key for key in dict.fromkeys(selections) if key not in self._samples]
        held = None if self.store is None or not keys else self._index().column(keys)
        self.look_up(rest if held is not None else [*keys, *rest])
        if held is not None:
            self._piece = Piece(keys, held, [self._about(text) for text in held.texts])
            self._stack = self._piece.stack(self._fill)

    def hold(self, keys: Iterable[str]) -> None:
        """Keeps what was found of a column in one piece as well: the next board reads that at once."""
        every = dict.fromkeys(keys) if self._found else ()
        if every and all(key in self._found for key in every):
            self._index().hold([self._found[key] for key in every])

    def look_up(self, keys: Iterable[str]) -> None:
        """The same for any nodes."""
        self._held, self._found, self._stack, self._piece = dict.fromkeys(keys), {}, None, None
        if self.store is not None:
            for fact in self._index().get(list(self._held)):
                self._held[fact.key] = self._about(fact.text), fact.data
                self._found[fact.key] = fact

    def close(self) -> None:
        """Writes what is new to the index."""
        if self._facts is not None:
            self._facts.close()
            self._facts = None

    def scores(self, seeds: Sequence[Seed]) -> Scores:
        """The scores of a cell; None where a seed is missing."""
        return self.row(tuple([one.key for one in seeds]), tuple([one.selection for one in seeds]))

    def row(self, keys: tuple[str, ...], selections: tuple[str, ...]) -> Scores:
        """The same, from what its seeds are called."""
        arrays = [self._arrays(key) for key in keys]
        return Scores([v for v, _ in arrays], [m for _, m in arrays], *self._asked(selections))

    def _asked(self, selections: tuple[str, ...]) -> tuple[int, bool]:
        """How many samples were asked for, and whether all seeds saw the same ones."""
        if selections not in self._seen:
            known = [s for key in selections if (s := self.samples(key)) is not None]
            least = min((s.count for s in known), default=0)
            self._seen[selections] = least, len({s.index for s in known}) <= 1
        return self._seen[selections]

    def samples(self, selection: str) -> Samples | None:
        """Which samples a selection holds; None when it is not stored."""
        if selection not in self._samples:
            found = None
            if (fact := self._fact("samples", selection)) is not None:
                count, index, aims, task = fact[0][1:]
                data = self.record(task) or {}
                digest = next((a["sha256"] for a in data.get("artifacts", {}).values()), "")
                found = Samples(count, index, aims, digest)
            self._samples[selection] = found
        return self._samples[selection]

    def environment(self, key: str) -> str | None:
        """What may have changed the last digits of a cell's scores; None when they are not stored."""
        fact = self._fact("scores", key)
        return None if fact is None else fact[0][1]

    def environments(self, keys: Sequence[str]) -> set[str]:
        """The same of several seeds, those whose scores are stored."""
        if self._piece is not None and self._piece.keys == keys:
            return {about[1] for about in self._piece.abouts if about[0] == "scores"}
        return {fact[0][1] for key in keys if (fact := self._fact("scores", key))}

    def vanished(self, result: str) -> float | None:
        """The share of samples on which an attack met no gradient, from its record."""
        if result not in self._vanished:
            fact = self._fact("notes", result)
            self._vanished[result] = None if fact is None else fact[0][1]
        return self._vanished[result]

    def record(self, key: str) -> Mapping[str, Any] | None:
        if key not in self._records:
            self._records[key] = self._read_record(key)
        return self._records[key]

    # -- from a node --

    def _index(self) -> Facts:
        if self._facts is None:
            from ..store.index import Facts

            assert self.store is not None
            self._facts = Facts(self.store)
        return self._facts

    def _read_record(self, key: str) -> dict[str, Any] | None:
        if not key or self.store is None or not self.store.has(key):
            return None
        try:
            return self.store.record(key)
        except DamagedNode as error:
            self._note(error)
            return None

    def _note(self, error: DamagedNode) -> None:
        assert self.store is not None
        if self._set_aside:
            with suppress(RobexError, OSError):
                self.store.set_aside(error.key)
        self.damaged.append(f"{self.store.path}: {error}; it counts as missing until the suite runs again")

    def _fact(self, what: Literal["scores", "samples", "notes"], key: str) -> tuple[list[Any], bytes] | None:
        """[what, ...] about a node and its small arrays, from the index or else from its files."""
        if key not in self._held and self._piece is not None and key in self._piece.places:
            self._held[key] = self._piece.fact(key)
        if key not in self._held and self.store is not None:
            for fact in self._index().get([key]):
                self._held[key] = self._about(fact.text), fact.data
        held = self._held.get(key)
        if held is None or held[0][0] != what:
            held = self._held[key] = self._take_in(what, key)
        return held

    def _take_in(
        self, what: Literal["scores", "samples", "notes"], key: str
    ) -> tuple[list[Any], bytes] | None:
        from ..store.index import Fact

        if self.store is None:
            return None
        stamp = self._index().stamp(key)
        if stamp is None and (what == "notes" or not self.store.has(key)):
            return None
        try:
            record = self.store.record(key)
            if what == "notes":
                found: tuple[list[Any], bytes] = [what, record.get("notes", {}).get("vanished_gradient")], b""
            else:
                tensors = self.store.tensors(key, record, numpy=True)
                if (needed := {"scores": "values", "samples": "index"}[what]) not in tensors:
                    said = f"the suite takes record {key[:12]} for {what}, and it holds no {needed}"
                    self.damaged.append(f"{self.store.path}: {said}")
                    return None
                found = (
                    samples_held(record, tensors)
                    if what == "samples"
                    else scores_held(tensors, environment_of(record), self._path(key))
                )
        except DamagedNode as error:
            if what != "notes":  # of those only a hint would be missing
                self._note(error)
            return None
        if stamp is not None:
            self._found[key] = Fact(key, *stamp, json.dumps(found[0]), found[1])
            self._index().add(self._found[key])
        return found

    def _arrays(self, key: str) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Values and mask of one seed."""
        if self._stack is not None and self._piece is not None and key in self._piece.places:
            (values, masks, there), at = self._stack, self._piece.places[key]
            return (values[at] if there[at] else None), (None if masks is None else masks[at])
        fact = self._fact("scores", key)
        return (None, None) if fact is None else arrays_of(key, *fact, self._fill)

    def _fill(self, out: np.ndarray, key: str, place: int, crc: int) -> bool:
        """Reads an array from a node's file; False when the node has gone or changed since it was looked
        up."""
        try:
            with open(self._path(key), "rb", buffering=0) as file:
                file.seek(place)
                file.readinto(out.data)
        except FileNotFoundError:
            return False
        if crc32(out.data) != crc:
            self._note(DamagedNode(key, f"does not match its checksum ({RESULT})"))
            return False
        return True

    def _about(self, text: str) -> list[Any]:
        if text not in self._abouts:
            self._abouts[text] = json.loads(text)
        return self._abouts[text]

    def _path(self, key: str) -> str:
        assert self.store is not None
        return f"{self.store.nodes}/{key[:2]}/{key}/{RESULT}"
