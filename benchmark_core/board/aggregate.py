"""From a suite's manifest and its records to tables: which cells make rows and columns, and their estimates.

Scores are read one column at a time, so that memory does not grow with the number of columns.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from itertools import groupby
from typing import Any

from ..errors import RobexError, did_you_mean
from ..store import Store
from . import gates
from .across import completed
from .cells import COORDINATES, Reader, Rule, Seed, is_binary, rule_of
from .grid import Grid, Pairs, grids_of
from .model import Block, Cell, Column, Flag, Ranking, Row, Table
from .moments import Kept
from .ranks import Some
from .standing import rank, reordered, worst_of
from .statistics import Scores, estimate_column

_HELD_BYTES = 256 * 2**20  # of a column that is worked on

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


def make_board(store: Store | None, manifest: Mapping[str, Any], board: Mapping[str, Any]) -> Table:
    """The table of one board, from whatever the store holds of it now (None: nothing). Damaged nodes are set
    aside."""
    reader = Reader(store, set_aside=True)
    try:
        with _undisturbed():
            return completed(_Maker(reader, manifest, board).table(), manifest)
    finally:
        reader.close()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """On one thread, so that sums do not depend on how many the machine has, nor do small products wait for
    others; and without looking for garbage: a large board has millions of objects, and none is."""
    import numpy  # noqa: F401  its threads can be set once it is there
    from threadpoolctl import threadpool_limits

    collects = gc.isenabled()
    gc.disable()
    try:
        with threadpool_limits(1):
            yield
    finally:
        if collects:
            gc.enable()


class _Rows(Sequence[Scores | None]):
    """The scores of a column, one a row (None: it does not apply), read when they are asked for. While a
    column is worked on it stays in memory if it is not too large; afterwards only the row asked for last
    does."""

    def __init__(self, read: Callable[[int], Scores | None], count: int) -> None:
        self._read, self._count = read, count
        self.done: dict[int, int] = {}  # seeds that are there, of the rows read so far
        self._held: dict[int, Scores | None] = {}
        self._free = _HELD_BYTES

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, row: Any) -> Any:
        if row in self._held:
            return self._held[row]
        scores = self._read(range(self._count)[row])
        there = [] if scores is None else [v.nbytes for v in scores.values if v is not None]
        self.done[row], size = len(there), sum(there)
        if size > self._free and self._held:
            self._held.clear()
            self._free = 0
        self._free -= size
        self._held[row] = scores
        return scores

    def release(self) -> None:
        self._held.clear()
        self._free = 0


@dataclass
class _Made:
    """A column under construction: its cells and scores, one a row."""

    column: Column
    cells: list[Cell]
    scores: _Rows
    seeds: list[Seed]
    results: list[tuple[str, ...]]
    samples: set[tuple[int, str, str]]


@dataclass
class _Maker:
    reader: Reader
    manifest: Mapping[str, Any]
    board: Mapping[str, Any]
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
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
        grids = grids_of(self.manifest, self.board["rows"], self._metrics, self.board.get("without"))
        made = tuple(self._block(grid) for grid in sorted(grids, key=lambda grid: self._rank(grid.block)))
        return Table(
            self.manifest["suite"],
            self.manifest["version"],
            self.board["name"],
            made,
            (*self.warnings, *self.reader.damaged),
        )

    # -- which cells --

    def _rank(self, pairs: Iterable[tuple[str, str]]) -> list[tuple[int, int]]:
        """Sorts coordinates by the order of the suite; `clean` comes before attacks."""
        return [(COORDINATES.index(c), self._order[c].get(label, 0)) for c, label in pairs]

    # -- one block --

    def _block(self, grid: Grid) -> Block:
        block = grid.block
        rows = sorted(grid.rows, key=self._rank)
        heads = sorted(grid.heads, key=lambda h: (self._order["metric"][h[0]], self._rank(h[1])))
        constant = self._constant(heads)
        fixed = _same([dict(row) for row in rows])
        if len(rows) == 1:  # something has to name the row
            fixed.popitem()
        names = [" · ".join(label for _, label in row) for row in rows]
        made: list[_Made] = []
        for metric, pairs in heads:
            wanted = grid.seeds((metric, pairs), rows)
            shown = {c: label for c, label in pairs if c not in constant}
            made.append(self._column(metric, dict(pairs), shown, wanted, names))
        made = self._with_worst_cases(made, names)
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

    def _constant(self, heads: Sequence[tuple[str, Pairs]]) -> dict[str, str]:
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
            """Ranked rows by rank, estimate and name, then complete ones by name, then the rest by name.
            Where nothing is ranked, complete ones by estimate."""
            estimate, standing = rows[i].cells[by].estimate, ranking.standings[i] if ranking else None
            value = None if estimate is None else estimate.value
            if estimate is None or value is None or estimate.state in ("incomplete", "nan"):
                return 2, 0.0, 0.0, rows[i].name
            if standing is None:
                return 1, 0.0, 0.0 if ranking else sign * value, rows[i].name
            return 0, standing.low, sign * value, rows[i].name

        return sorted(range(len(rows)), key=place)

    # -- one column --

    def _column(
        self,
        metric: str,
        at: dict[str, str],
        shown: dict[str, str],
        wanted: Sequence[Sequence[Seed]],
        names: Sequence[str],
    ) -> _Made:
        """The cells of a column."""
        about = self.manifest["metrics"][metric]
        rule, reader = rule_of(about), self.reader
        rows, every = wanted, [one for seeds in wanted for one in seeds]
        reader.fetch(every)

        def read(row: int) -> Scores | None:
            return rule.applied(reader.scores(rows[row])) if rows[row] else None

        scores = _Rows(read, len(rows))
        known = (reader.samples(key) for key in dict.fromkeys(one.selection for one in every))
        # Rows that aim differently do not compare, even on the same samples.
        seen = {(s.count, s.index, s.aims) for s in known if s is not None}
        column = Column(
            metric, at, shown, about["unit"], about["direction"], rule.kind, len(seen) <= 1,
            average=about.get("average", "mean"),
        )  # fmt: skip
        if rule.kind == "bernoulli" and not all(s is None or is_binary(s) for s in scores):
            rule = replace(rule, kind="score")  # the mean over several targets of a sample
            column = replace(column, kind="score")
        made_with = sorted(reader.environments(every))
        if len(made_with) > 1:
            self.warnings.append(gates.mixed(" ".join([metric, *shown.values()]), made_with))
        keys = [tuple([one.key for one in seeds]) for seeds in rows]
        cells, kept = self._estimated(about, rule, scores, keys, [len(seeds) for seeds in rows])
        # Of these only what an attack noted is asked for.
        results = [tuple([one.result for one in seeds]) if "attack" in at else () for seeds in rows]
        reader.hold(every)
        return self._ranked(_Made(column, cells, scores, every, results, seen), rule, names, kept)

    def _estimated(
        self,
        about: Mapping[str, Any],
        rule: Rule,
        scores: _Rows,
        keys: Sequence[tuple[str, ...]],
        of: Sequence[int],
        *,
        derived: bool = False,
    ) -> tuple[list[Cell], Kept]:
        """The cells of a column, and what comparing them needs."""
        low, high = about["range"]
        limits = (-math.inf if low is None else low, math.inf if high is None else high)
        applies = [i for i, count in enumerate(of) if count]
        kept = Kept(applies)
        found = estimate_column(
            Some(scores, applies),
            rule.kind,
            limits,
            quantile=rule.quantile,
            infinite=rule.infinite,
            kept=kept,
        )
        cells = [Cell(None, 0, 0)] * len(of)
        for i, (estimate, means) in zip(applies, found, strict=True):
            cells[i] = Cell(estimate, scores.done[i], of[i], keys[i], means, derived)
        return cells, kept

    def _ranked(self, made: _Made, rule: Rule, names: Sequence[str], kept: Kept) -> _Made:
        """The column with what comparing its rows says. Its scores are not kept."""
        made.column = replace(made.column, ranking=self._ranking(made, rule, names, kept))
        made.scores.release()
        return made

    def _with_worst_cases(self, made: list[_Made], names: Sequence[str]) -> list[_Made]:
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
                found.append(self._worst(about, attacks, names))
        return found

    def _worst(self, about: Mapping[str, Any], attacks: Sequence[_Made], names: Sequence[str]) -> _Made:
        label = f"{WORST} of {len(attacks)}"
        first, rows = attacks[0].column, range(len(attacks[0].cells))

        def read(row: int) -> Scores | None:
            return worst_of([one.scores[row] for one in attacks], higher=about["direction"] == "higher")

        cells = [[one.cells[i] for one in attacks] for i in rows]
        keys = [tuple(key for cell in row for key in cell.keys) for row in cells]
        of = [max(cell.of for cell in row) if all(cell.of for cell in row) else 0 for row in cells]
        column = replace(
            first,
            at={**first.at, "attack": label},
            shown={**first.shown, "attack": label},
            comparable=all(one.column.comparable for one in attacks),
        )
        self.reader.fetch(one for made in attacks for one in made.seeds)
        scores, rule = _Rows(read, len(rows)), rule_of(about)
        if not all(s is None or is_binary(s) for s in scores):
            rule = replace(rule, kind="score")
        column = replace(column, kind=rule.kind)
        made, kept = self._estimated(about, rule, scores, keys, of, derived=True)
        found = _Made(column, made, scores, [], [()] * len(made), attacks[0].samples)
        return self._ranked(found, rule, names, kept)

    def _ranking(self, made: _Made, rule: Rule, names: Sequence[str], kept: Kept) -> Ranking | None:
        column = made.column
        ranked = sum(c.estimate is not None and c.estimate.state == "ok" for c in made.cells)
        if column.direction is None or not column.comparable or ranked < 2:
            return None
        estimates = [cell.estimate for cell in made.cells]
        return rank(column, names, estimates, made.scores, quantile=rule.quantile, kept=kept)

    def _flags(self, made: Sequence[_Made], rows: Sequence[Mapping[str, str]]) -> list[list[Flag]]:
        """What looks odd about each row."""
        self.reader.look_up(
            key for m in made if "attack" in m.column.at for results in m.results for key in results
        )
        views = [gates.View(m.column, m.cells, m.scores, m.results, m.samples) for m in made]
        return gates.flags(views, rows, self.manifest, self.reader.vanished)


def _same(rows: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Coordinates that all rows share."""
    return {c: label for c, label in rows[0].items() if all(row[c] == label for row in rows)}
