"""From a suite's manifest and its records to tables: which cells make rows and columns, and their estimates.

Scores are read one column at a time, so that memory does not grow with the board.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from itertools import groupby
from typing import TYPE_CHECKING, Any

from ..errors import RobexError, did_you_mean
from ..store import DamagedNode, Store
from . import gates
from .model import Block, Cell, Column, Flag, Ranking, Row, Table
from .standing import by_seed, rank, reordered, worst_of
from .statistics import Scores, estimate_rows

if TYPE_CHECKING:
    import numpy as np

#: Coordinates in the order in which they are shown; seeds are averaged.
COORDINATES = ("dataset", "model", "defense", "attack", "explainer", "on")

#: The attack that a column of worst cases names.
WORST = "worst"

_DEFAULT_BOARDS = (
    {
        "name": "robustness",
        "rows": ("dataset", "model", "defense"),
        "consumes": {"prediction", "perturbation"},
        "without": "explainer",  # what explanations cost belongs on the other board
    },
    {
        "name": "explanations",
        "rows": ("dataset", "model", "defense", "explainer"),
        "consumes": {"attribution", "counterfactual", "synthesis"},
        "without": None,
    },
)


def boards_of(manifest: Mapping[str, Any], name: str | None = None) -> list[dict[str, Any]]:
    """The boards of a suite: its own, else `robustness` and `explanations` where it has such metrics.

    name: only this one. Raises RobexError when there is none.
    """
    boards = [dict(board) for board in manifest["boards"]]
    if not boards:
        for default in _DEFAULT_BOARDS:
            metrics = [
                label
                for label, metric in manifest["metrics"].items()
                if default["consumes"] & set(metric["consumes"])
            ]
            if metrics:
                boards.append(
                    {
                        "name": default["name"],
                        "rows": default["rows"],
                        "metrics": metrics,
                        "rank_by": None,
                        "without": default["without"],
                    }
                )
    if name is None:
        return boards
    known = [board["name"] for board in boards]
    if name not in known:
        hint = did_you_mean(name, known) or f"; it has: {', '.join(known)}"
        raise RobexError(f'suite {manifest["suite"]} has no board called "{name}"{hint}')
    return [board for board in boards if board["name"] == name]


def make_board(store: Store, manifest: Mapping[str, Any], board: Mapping[str, Any]) -> Table:
    """The table of one board, from whatever the store holds of it now."""
    return _Maker(store, manifest, board).table()


@dataclass(frozen=True)
class _Place:
    """Where a cell stands: (coordinate, label) pairs of its block, row and column, and the metric."""

    block: tuple[tuple[str, str], ...]
    row: tuple[tuple[str, str], ...]
    metric: str
    column: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class _Wanted:
    """One seed of a cell: the keys of its scores, of the samples it was measured on, and of what was
    measured."""

    seed: int
    key: str
    selection: str
    result: str


@dataclass
class _Made:
    """A column under construction: its cells and scores, one a row (None: it does not apply)."""

    column: Column
    cells: list[Cell]
    scores: list[Scores | None]
    results: list[tuple[str, ...]]
    samples: set[tuple[int, bytes]]


@dataclass
class _Maker:
    store: Store
    manifest: Mapping[str, Any]
    board: Mapping[str, Any]
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._samples: dict[str, tuple[int, bytes] | None] = {}
        self._made_with: dict[str, str] = {}  # key of a record -> what can change its last digits
        labels = self.manifest["labels"]
        kinds = {"on": "attack"}
        self._order = {
            c: {label: i for i, label in enumerate(labels.get(kinds.get(c, c), []), start=1)}
            for c in (*COORDINATES, "metric")
        }
        patterns = self.board["metrics"] or ("*",)
        known = self.manifest["metrics"]
        self._metrics = list(dict.fromkeys(m for p in patterns for m in known if fnmatchcase(m, p)))
        self._order["metric"] = {m: i for i, m in enumerate(self._metrics)}

    def table(self) -> Table:
        if changed := self.manifest.get("overrides"):
            shown = ", ".join(f"{name} {value}" for name, value in changed.items())
            self.warnings.append(f"A quick look, not the whole suite: {shown}.")
        blocks: dict[tuple[tuple[str, str], ...], dict[_Place, list[_Wanted]]] = {}
        for place, wanted in self._cells().items():
            blocks.setdefault(place.block, {})[place] = wanted
        return Table(
            self.manifest["suite"],
            self.manifest["version"],
            self.board["name"],
            tuple(self._block(block, blocks[block]) for block in sorted(blocks, key=self._rank)),
            tuple(self.warnings),
        )

    # -- which cells --

    def _cells(self) -> dict[_Place, list[_Wanted]]:
        rows = self.board["rows"]
        metrics = set(self._metrics)
        cells: dict[_Place, list[_Wanted]] = {}
        for at, key, selection, result in self.manifest["cells"]:
            if at["metric"] not in metrics or any(c not in at for c in rows):
                continue
            if self.board.get("without") in at:
                continue
            place = _Place(
                tuple((c, at[c]) for c in COORDINATES if c == "dataset" and c in rows),
                tuple((c, at[c]) for c in COORDINATES if c != "dataset" and c in rows),
                at["metric"],
                tuple((c, at[c]) for c in COORDINATES if c in at and c not in rows),
            )
            cells.setdefault(place, []).append(_Wanted(at["seed"], key, selection, result))
        return cells

    def _rank(self, pairs: Iterable[tuple[str, str]]) -> list[tuple[int, int]]:
        """Sorts coordinates by the order of the suite; `clean` comes before attacks."""
        return [(COORDINATES.index(c), self._order[c].get(label, 0)) for c, label in pairs]

    # -- one block --

    def _block(self, block: tuple[tuple[str, str], ...], cells: Mapping[_Place, list[_Wanted]]) -> Block:
        rows = list(dict.fromkeys(sorted((p.row for p in cells), key=self._rank)))
        heads = sorted(
            {(p.metric, p.column) for p in cells},
            key=lambda h: (self._order["metric"][h[0]], self._rank(h[1])),
        )
        constant = self._constant(heads)
        fixed = _same([dict(row) for row in rows])
        if len(rows) == 1:  # something has to name the row
            fixed.popitem()
        names = [" · ".join(label for _, label in row) for row in rows]
        made: list[_Made] = []
        for metric, pairs in heads:
            wanted = [cells.get(_Place(block, row, metric, pairs), []) for row in rows]
            shown = {c: label for c, label in pairs if c not in constant}
            made.append(self._column(metric, dict(pairs), shown, wanted))
        made = self._with_worst_cases(made)
        for one in made:
            one.column = replace(one.column, ranking=self._ranking(one, names))
        flags = self._flags(made, [dict(row) for row in rows])
        controls = set(self.manifest.get("controls", ()))
        made_rows = [
            Row(
                dict(row),
                tuple(one.cells[i] for one in made),
                tuple(flags[i]),
                any(label in controls for c, label in row if c in ("attack", "explainer")),
            )
            for i, row in enumerate(rows)
        ]
        columns = [one.column for one in made]
        by = self._ordering(columns)
        order = self._order_of(columns, made_rows, by)
        return Block(
            {**dict(block), **constant, **fixed},
            tuple(c for c, _ in rows[0] if c not in fixed),
            tuple(reordered(column, order) for column in columns),
            tuple(made_rows[i] for i in order),
            by,
        )

    def _constant(self, heads: Sequence[tuple[str, tuple[tuple[str, str], ...]]]) -> dict[str, str]:
        """Coordinates that all columns share: the title has them, not every header."""
        first, *others = (set(pairs) for _, pairs in heads)
        shared = first.intersection(*others)
        return {c: label for c, label in heads[0][1] if (c, label) in shared}

    def _ordering(self, columns: Sequence[Column]) -> int | None:
        """The first column of the metric to rank by (its worst case before single attacks); without a wish
        the first that has a direction."""
        wish = self.board["rank_by"]
        fitting = [
            (i, c)
            for i, c in enumerate(columns)
            if c.direction is not None and (wish is None or c.metric == wish)
        ]
        if not fitting:
            return None
        metric = fitting[0][1].metric
        worst = [i for i, c in fitting if c.metric == metric and c.at.get("attack", "").startswith(WORST)]
        return worst[0] if worst else fitting[0][0]

    def _order_of(self, columns: Sequence[Column], rows: Sequence[Row], by: int | None) -> list[int]:
        if by is None:
            return list(range(len(rows)))
        ranking, sign = columns[by].ranking, -1.0 if columns[by].direction == "higher" else 1.0

        def place(i: int) -> tuple[int, float, float, str]:
            """Ranked rows by rank, estimate and name, then complete ones, then the rest by name."""
            estimate, standing = rows[i].cells[by].estimate, ranking.standings[i] if ranking else None
            value = None if estimate is None else estimate.value
            if estimate is None or value is None or estimate.state in ("incomplete", "nan"):
                return 2, 0.0, 0.0, rows[i].name
            return 0 if standing else 1, standing.low if standing else 0, sign * value, rows[i].name

        return sorted(range(len(rows)), key=place)

    # -- one column --

    def _column(
        self,
        metric: str,
        at: dict[str, str],
        shown: dict[str, str],
        wanted: Sequence[Sequence[_Wanted]],
    ) -> _Made:
        """The cells of a column."""
        about = self.manifest["metrics"][metric]
        seeds = [sorted(w, key=lambda one: one.seed) for w in wanted]
        scores = [self._scores(w) if w else None for w in seeds]
        seen = {s for w in seeds for one in w if (s := self._samples_of(one.selection)) is not None}
        keys = [tuple(one.key for one in w) for w in seeds]
        column = Column(metric, at, shown, about["unit"], about["direction"], about["scores"], len(seen) <= 1)
        if about["scores"] == "bernoulli" and not all(map(_is_binary, scores)):
            about = {**about, "scores": "score"}  # the mean over several targets of a sample
            column = replace(column, kind="score")
        if (
            len(
                mixed := sorted(
                    {self._made_with[k] for of_row in keys for k in of_row if k in self._made_with}
                )
            )
            > 1
        ):
            head = " ".join([metric, *shown.values()])
            self.warnings.append(gates.mixed(head, mixed))
        cells = self._estimated(about, scores, keys, [len(w) for w in seeds])
        return _Made(column, cells, scores, [tuple(one.result for one in w) for w in seeds], seen)

    def _estimated(
        self,
        about: Mapping[str, Any],
        scores: Sequence[Scores | None],
        keys: Sequence[tuple[str, ...]],
        of: Sequence[int],
        *,
        derived: bool = False,
    ) -> list[Cell]:
        low, high = about["range"]
        limits = (-math.inf if low is None else low, math.inf if high is None else high)
        there = [s for s in scores if s is not None]
        estimates = iter(estimate_rows(there, about["scores"], limits))
        return [
            Cell(None, 0, 0)
            if s is None
            else Cell(
                next(estimates), sum(v is not None for v in s.values), of[i], keys[i], by_seed(s), derived
            )
            for i, s in enumerate(scores)
        ]

    def _with_worst_cases(self, made: list[_Made]) -> list[_Made]:
        """After the columns of a metric on several attacks, one for the worst of them, sample by sample."""
        found: list[_Made] = []
        for metric, group in groupby(made, key=lambda one: one.column.metric):
            ones = list(group)
            found.extend(ones)
            about = self.manifest["metrics"][metric]
            attacks = [one for one in ones if "attack" in one.column.at]
            samples = set().union(*(one.samples for one in attacks))
            others = {tuple((c, v) for c, v in one.column.at.items() if c != "attack") for one in attacks}
            if (
                about["consumes"] == ["perturbation"]
                and about["scores"] == "bernoulli"
                and about["direction"] is not None
                and len(attacks) > 1
                and len(others) == 1
                and len(samples) <= 1
            ):
                found.append(self._worst(about, attacks))
        return found

    def _worst(self, about: Mapping[str, Any], attacks: Sequence[_Made]) -> _Made:
        label = f"{WORST} of {len(attacks)}"
        first = attacks[0].column
        scores = [
            worst_of([one.scores[i] for one in attacks], higher=about["direction"] == "higher")
            for i in range(len(attacks[0].cells))
        ]
        keys = [
            tuple(key for one in attacks for key in one.cells[i].keys) for i in range(len(attacks[0].cells))
        ]
        of = [max(one.cells[i].of for one in attacks) for i in range(len(attacks[0].cells))]
        column = replace(
            first,
            at={**first.at, "attack": label},
            shown={**first.shown, "attack": label},
            comparable=all(one.column.comparable for one in attacks),
        )
        cells = self._estimated(about, scores, keys, of, derived=True)
        return _Made(column, cells, scores, [()] * len(cells), attacks[0].samples)

    def _ranking(self, made: _Made, names: Sequence[str]) -> Ranking | None:
        column = made.column
        ranked = sum(c.estimate is not None and c.estimate.state == "ok" for c in made.cells)
        if column.direction is None or not column.comparable or ranked < 2:
            return None
        return rank(column, names, [cell.estimate for cell in made.cells], made.scores)

    def _flags(self, made: Sequence[_Made], rows: Sequence[Mapping[str, str]]) -> list[list[Flag]]:
        """What looks odd about each row."""
        views = [gates.View(m.column, m.cells, m.scores, m.results) for m in made]
        return gates.flags(views, rows, self.manifest, self._vanished)

    def _vanished(self, result: str) -> float | None:
        """The share of samples on which an attack met no gradient, from its record."""
        try:
            return self.store.record(result)["notes"].get("vanished_gradient")
        except DamagedNode:
            return None

    def _scores(self, wanted: Sequence[_Wanted]) -> Scores:
        values: list[np.ndarray | None] = []
        valid: list[np.ndarray | None] = []
        for w in wanted:
            tensors = self._tensors(w.key) or {}
            values.append(tensors.get("values"))
            valid.append(tensors.get("valid"))
        seen = [self._samples_of(w.selection) for w in wanted]
        counts = [s[0] for s in seen if s is not None]
        return Scores(values, valid, min(counts, default=0), len({s for s in seen if s is not None}) <= 1)

    def _samples_of(self, selection: str) -> tuple[int, bytes] | None:
        """How many test samples a selection holds, and which: equal for equal samples. None: not known."""
        if selection not in self._samples:
            found = None
            if tensors := self._tensors(selection):
                import numpy as np

                # Rows that aim differently do not compare, even on the same samples.
                index = np.unique(tensors["index"])
                aims = self.store.record(selection)["identity"].get("wish", {}).get("targets", "")
                found = (len(index), index.tobytes() + str(aims).encode())
            self._samples[selection] = found
        return self._samples[selection]

    def _tensors(self, key: str) -> dict[str, Any] | None:
        if not self.store.has(key):
            return None
        try:
            record = self.store.record(key)
            self._made_with[key] = gates.environment_of(record)
            return self.store.tensors(key, record, numpy=True)
        except DamagedNode as error:
            with contextlib.suppress(OSError):
                self.store.set_aside(key)  # the next run computes it again
            self.warnings.append(
                f"{self.store.path}: {error}; it counts as missing until the suite runs again"
            )
            return None


def _same(rows: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Coordinates that all rows share."""
    return {c: label for c, label in rows[0].items() if all(row[c] == label for row in rows)}


def _is_binary(scores: Scores | None) -> bool:
    values = [] if scores is None else [v for v in scores.values if v is not None]
    return all(bool(((v == 0) | (v == 1) | (v != v)).all()) for v in values)
