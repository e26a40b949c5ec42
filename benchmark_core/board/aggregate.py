"""From a suite's manifest and its records to tables: which cells make rows and columns, and their estimates.

Scores are read one column at a time, so that memory does not grow with the board.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from ..errors import RobexError, did_you_mean
from ..store import DamagedNode, Store
from .model import Block, Cell, Column, Row, Table
from .statistics import Scores, estimate_rows

if TYPE_CHECKING:
    import numpy as np

#: Coordinates in the order in which they are shown; seeds are averaged.
COORDINATES = ("dataset", "model", "defense", "attack", "explainer", "on")

_DEFAULT_BOARDS = (
    {
        "name": "robustness",
        "rows": ("dataset", "model", "defense"),
        "consumes": {"prediction", "perturbation"},
    },
    {
        "name": "explanations",
        "rows": ("dataset", "model", "defense", "explainer"),
        "consumes": {"attribution", "counterfactual", "synthesis"},
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
                    {"name": default["name"], "rows": default["rows"], "metrics": metrics, "rank_by": None}
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
    """One seed of a cell: the keys of its scores and of the samples it was measured on."""

    seed: int
    key: str
    selection: str


@dataclass
class _Maker:
    store: Store
    manifest: Mapping[str, Any]
    board: Mapping[str, Any]
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._samples: dict[str, tuple[int, bytes] | None] = {}
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
        for at, key, selection, _ in self.manifest["cells"]:
            if at["metric"] not in metrics or any(c not in at for c in rows):
                continue
            place = _Place(
                tuple((c, at[c]) for c in COORDINATES if c == "dataset" and c in rows),
                tuple((c, at[c]) for c in COORDINATES if c != "dataset" and c in rows),
                at["metric"],
                tuple((c, at[c]) for c in COORDINATES if c in at and c not in rows),
            )
            cells.setdefault(place, []).append(_Wanted(at["seed"], key, selection))
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
        columns, by_column = [], []
        for metric, pairs in heads:
            wanted = [cells.get(_Place(block, row, metric, pairs), []) for row in rows]
            about = self.manifest["metrics"][metric]
            made, comparable = self._column(about, wanted)
            columns.append(
                Column(
                    metric,
                    dict(pairs),
                    {c: label for c, label in pairs if c not in constant},
                    about["unit"],
                    about["direction"],
                    about["scores"],
                    comparable,
                )
            )
            by_column.append(made)
        made_rows = [Row(dict(row), tuple(column[i] for column in by_column)) for i, row in enumerate(rows)]
        labels = tuple(c for c, _ in rows[0] if c not in fixed)
        by = self._ordering(columns)
        return Block(
            {**dict(block), **constant, **fixed},
            labels,
            tuple(columns),
            tuple(made_rows if by is None else _ordered(made_rows, by, columns[by].direction)),
            by,
        )

    def _constant(self, heads: Sequence[tuple[str, tuple[tuple[str, str], ...]]]) -> dict[str, str]:
        """Coordinates that all columns share: the title has them, not every header."""
        first, *others = (set(pairs) for _, pairs in heads)
        shared = first.intersection(*others)
        return {c: label for c, label in heads[0][1] if (c, label) in shared}

    def _ordering(self, columns: Sequence[Column]) -> int | None:
        """The first column of the metric to order by; without a wish the first that has a direction."""
        wish = self.board["rank_by"]
        for i, column in enumerate(columns):
            if column.direction is not None and wish in (None, column.metric):
                return i
        return None

    # -- one column --

    def _column(
        self, about: Mapping[str, Any], wanted: Sequence[Sequence[_Wanted]]
    ) -> tuple[list[Cell], bool]:
        """The cells of a column, and whether all rows saw the same samples."""
        applies = [i for i, seeds in enumerate(wanted) if seeds]
        scores = {i: self._scores(sorted(wanted[i], key=lambda w: w.seed)) for i in applies}
        seen = {
            samples
            for i in applies
            for w in wanted[i]
            if (samples := self._samples_of(w.selection)) is not None
        }
        low, high = about["range"]
        limits = (-math.inf if low is None else low, math.inf if high is None else high)
        estimates = dict(
            zip(applies, estimate_rows(list(scores.values()), about["scores"], limits), strict=True)
        )
        cells = [
            Cell(estimates[i], sum(v is not None for v in scores[i].values), len(wanted[i]))
            if i in estimates
            else Cell(None, 0, 0)
            for i in range(len(wanted))
        ]
        return cells, len(seen) <= 1

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

                index = np.unique(tensors["index"])
                found = (len(index), index.tobytes())
            self._samples[selection] = found
        return self._samples[selection]

    def _tensors(self, key: str) -> dict[str, Any] | None:
        if not self.store.has(key):
            return None
        try:
            return self.store.tensors(key, numpy=True)
        except DamagedNode as error:
            self.warnings.append(
                f"{self.store.path}: {error}; it counts as missing until the suite runs again"
            )
            return None


def _same(rows: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Coordinates that all rows share."""
    return {c: label for c, label in rows[0].items() if all(row[c] == label for row in rows)}


def _ordered(rows: Sequence[Row], by: int, direction: str | None) -> list[Row]:
    """By the estimate of one column, the best first; rows that have no full one last, by name."""
    sign = -1.0 if direction == "higher" else 1.0

    def place(row: Row) -> tuple[bool, float, str]:
        estimate = row.cells[by].estimate
        if estimate is None or estimate.value is None or estimate.state in ("incomplete", "nan"):
            return True, 0.0, row.name
        return False, sign * estimate.value, row.name

    return sorted(rows, key=place)
