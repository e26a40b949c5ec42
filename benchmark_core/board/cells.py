"""The cells of a suite and their scores, read from a store: for boards, for comparing two stores, and for a
board beside a paper.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from itertools import repeat
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from zlib import crc32

from ..errors import RobexError
from ..store import DamagedNode, Store
from ..store.cells import cells_in
from ..store.store import RESULT
from .formats import plural
from .statistics import Kind, Scores

if TYPE_CHECKING:
    import numpy as np

    from ..store.index import Fact, Facts, Held

#: Coordinates in the order in which they are shown; seeds are averaged.
COORDINATES = ("dataset", "model", "defense", "attack", "explainer", "on")

#: (coordinate, label) pairs in the order in which they are shown, `metric` last; seeds are left out.
Place = tuple[tuple[str, str], ...]

#: Larger arrays stay in the files of their nodes; smaller ones are held by the index.
SMALL = 4096

_AT_ONCE = 2**26  # scores of a column that are unpacked in one go


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


def is_binary(scores: Scores) -> bool:
    """Whether all scores are 0, 1 or no number."""
    return all(
        v is None or v.dtype.kind == "b" or bool(((v == 0) | (v == 1) | (v != v)).all())
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
        self._stacked: dict[str, tuple[np.ndarray | None, np.ndarray | None]] = {}  # arrays of a whole column
        self._column: tuple[dict[str, int], Held, list[list[Any]]] | None = None  # held in one piece
        self._abouts: dict[str, list[Any]] = {}  # texts that many facts share
        self._seen: dict[tuple[str, ...], tuple[int, bool]] = {}
        self._records: dict[str, Mapping[str, Any] | None] = {}
        self._samples: dict[str, Samples | None] = {}
        self._vanished: dict[str, float | None] = {}

    def has_any(self, seeds: Iterable[Seed]) -> bool:
        return self.store is not None and any(self.store.has(one.key) for one in seeds)

    def fetch(self, seeds: Iterable[Seed]) -> None:
        """Makes ready what the index holds of these cells, in one go; what was made ready before goes."""
        seeds = list(seeds)
        keys = list(dict.fromkeys([one.key for one in seeds]))
        rest = [key for key in dict.fromkeys([one.selection for one in seeds]) if key not in self._samples]
        column = None if self.store is None else self._index().column(keys)
        self.look_up(rest if column is not None else [*keys, *rest])
        if column is None:
            return
        abouts = [self._about(text) for text in column.texts]
        self._column = dict(zip(keys, range(len(keys)), strict=True)), column, abouts
        if len(abouts) == 1 and abouts[0][0] == "scores":
            self._stacked = self._stack(keys, abouts[0], column.data)

    def hold(self, seeds: Iterable[Seed]) -> None:
        """Keeps what was found of a column in one piece as well: the next board reads that at once."""
        keys = dict.fromkeys([one.key for one in seeds]) if self._found else ()
        if keys and all(key in self._found for key in keys):
            self._index().hold([self._found[key] for key in keys])

    def look_up(self, keys: Iterable[str]) -> None:
        """The same for any nodes."""
        self._held, self._found, self._stacked, self._column = dict.fromkeys(keys), {}, {}, None
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
        selections = tuple([one.selection for one in seeds])
        if selections not in self._seen:
            known = [s for key in selections if (s := self.samples(key)) is not None]
            least = min((s.count for s in known), default=0)
            self._seen[selections] = least, len({s.index for s in known}) <= 1
        arrays = [self._stacked.get(one.key) or self._arrays(one.key) for one in seeds]
        return Scores([v for v, _ in arrays], [m for _, m in arrays], *self._seen[selections])

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

    def environments(self, seeds: Iterable[Seed]) -> set[str]:
        """The same of several seeds, those whose scores are stored."""
        keys = [one.key for one in seeds]
        if self._column is not None and self._column[0].keys() == set(keys):
            return {about[1] for about in self._column[2] if about[0] == "scores"}
        found = {id(fact[0]): fact[0][1] for key in keys if (fact := self._fact("scores", key))}
        return set(found.values())

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
        if key not in self._held and self._column is not None and key in self._column[0]:
            places, column, abouts = self._column
            at = places[key]
            end = column.starts[at + 1] if at + 1 < len(places) else len(column.data)
            self._held[key] = abouts[column.which[at]], column.data[column.starts[at] : end]
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
                found = (
                    _about_samples(record, tensors)
                    if what == "samples"
                    else self._about_scores(record, tensors)
                )
        except DamagedNode as error:
            if what != "notes":  # of those only a hint would be missing
                self._note(error)
            return None
        if stamp is not None:
            self._found[key] = Fact(key, *stamp, json.dumps(found[0]), found[1])
            self._index().add(self._found[key])
        return found

    def _about_scores(self, record: Mapping[str, Any], tensors: Mapping[str, Any]) -> tuple[list[Any], bytes]:
        """[scores, environment, n, dtype, place in file or None, bytes held, whether bits, masked].

        Scores that are all 0 or 1 are held as bits, and so are masks; other values if they are small, else
        their CRC.
        """
        import numpy as np

        values = tensors["values"]
        binary = bool(((values == 0) | (values == 1)).all())
        data = np.packbits(values == 1).tobytes() if binary else values.tobytes()
        place = None
        if not binary and len(data) > SMALL:
            place, data = _place(self._path(record["key"]), "values"), crc32(data).to_bytes(4, "little")
        mask = tensors.get("valid")
        rest = b"" if mask is None else np.packbits(mask).tobytes()
        about = [
            "scores",
            environment_of(record),
            len(values),
            values.dtype.str,
            place,
            len(data),
            binary,
            mask is not None,
        ]
        return about, data + rest

    def _arrays(self, key: str) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Values and mask of one seed."""
        import numpy as np

        fact = self._fact("scores", key)
        if fact is None:
            return None, None
        (_, _, n, dtype, place, held, binary, masked), data = fact
        if place is not None:
            values = np.empty(n, dtype)
            if not self._fill(values, key, place, int.from_bytes(data[:held], "little")):
                return None, None
        elif binary:
            values = np.unpackbits(np.frombuffer(data, np.uint8, held), count=n).view(bool)
        else:
            values = np.frombuffer(data, dtype, n)
        if not masked:
            return values, None
        return values, np.unpackbits(np.frombuffer(data, np.uint8, offset=held), count=n).view(bool)

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

    def _stack(
        self, keys: Sequence[str], about: Sequence[Any], data: bytes
    ) -> dict[str, tuple[np.ndarray | None, np.ndarray | None]]:
        """Values and masks of nodes that are alike and held one after the other."""
        import numpy as np

        _, _, n, dtype, place, held, binary, masked = about
        if not data or n * len(keys) > _AT_ONCE:
            return {}
        raw = np.frombuffer(data, np.uint8).reshape(len(keys), -1)

        def bits(packed: np.ndarray) -> np.ndarray:
            return np.unpackbits(packed, axis=1, count=n).view(bool)

        if place is not None:
            values: Any = np.empty((len(keys), n), dtype)
            crcs = np.ascontiguousarray(raw[:, :held]).view("<u4")[:, 0].tolist()
            read = map(self._fill, values, keys, repeat(place), crcs)
            values = [row if there else None for row, there in zip(values, read, strict=True)]
        else:
            values = bits(raw[:, :held]) if binary else np.ascontiguousarray(raw[:, :held]).view(dtype)
        masks = bits(raw[:, held:]) if masked else repeat(None)
        return dict(zip(keys, zip(values, masks, strict=False), strict=True))

    def _about(self, text: str) -> list[Any]:
        if text not in self._abouts:
            self._abouts[text] = json.loads(text)
        return self._abouts[text]

    def _path(self, key: str) -> str:
        assert self.store is not None
        return f"{self.store.nodes}/{key[:2]}/{key}/{RESULT}"


def _about_samples(record: Mapping[str, Any], tensors: Mapping[str, Any]) -> tuple[list[Any], bytes]:
    """[samples, how many test samples, a digest of which, how targets were chosen, key of the task]."""
    import numpy as np

    index = np.unique(tensors["index"])  # with several targets a sample stands there repeatedly
    aims = str(record.get("identity", {}).get("wish", {}).get("targets", ""))
    task = record.get("inputs", {}).get("task", "")
    return ["samples", len(index), sha256(index.astype("<i8").tobytes()).hexdigest(), aims, task], b""


def _place(path: str, name: str) -> int:
    """Where a tensor begins in a safetensors file: a length (8 bytes), a JSON header so long, the data."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        return 8 + length + int(json.loads(file.read(length))[name]["data_offsets"][0])
