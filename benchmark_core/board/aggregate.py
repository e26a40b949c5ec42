"""From a suite's manifest and its records to tables: which cells make rows and columns, and their estimates.

Scores are read one column at a time, so that memory does not grow with the number of columns.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from itertools import chain, groupby
from typing import Any

from ..errors import RobexError, did_you_mean
from ..store import Store
from . import gates, sides
from .across import completed
from .cells import COORDINATES, Reader, Rule, rule_of
from .grid import Asked, Grid, Head, Pairs, grids_of
from .model import Block, Cell, Column, Flag, Ranking, Row, Table
from .moments import Kept
from .pairs import Pair
from .ranks import Some
from .reading import Rows
from .scores import Scores, Stacked
from .standing import rank, reordered, worse, worst_of
from .statistics import estimate_column

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
        if not gc.get_freeze_count():  # what was made counts as old: looked through some day, not now
            gc.freeze()
            gc.unfreeze()
        if collects:
            gc.enable()


@dataclass
class _Made:
    """A column under construction: its cells and scores, one a row."""

    column: Column
    cells: list[Cell]
    scores: Rows
    asked: Asked | None  # None: made from other columns
    samples: set[tuple[int, str, str]]
    against: Mapping[tuple[int, int], Pair] = field(default_factory=dict)  # rows and their null controls


@dataclass(frozen=True)
class _Laid:
    """A block of which nothing is read yet: its rows, and the cells of every column."""

    block: Pairs
    rows: Sequence[Pairs]
    heads: Mapping[Head, Asked]


@dataclass(frozen=True)
class _Lines:
    """The rows of a block: what they are called, which of them are references, and the null controls beside
    real methods."""

    names: Sequence[str]
    references: Collection[int]
    beside: Sequence[tuple[int, int]]


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
        laid = [self._laid(grid) for grid in sorted(grids, key=lambda grid: self._rank(grid.block))]
        self.reader.expect(asked.keys for one in laid for asked in one.heads.values())
        made = tuple(map(self._block, laid))
        return Table(
            self.manifest["suite"],
            self.manifest["version"],
            self.board["name"],
            made,
            (*self.warnings, *self.reader.damaged),
            (*self._why_ordered(made), *sides.notes(made)),
        )

    # -- which cells --

    def _rank(self, pairs: Iterable[tuple[str, str]]) -> list[tuple[int, int]]:
        """Sorts coordinates by the order of the suite; `clean` comes before attacks."""
        return [(COORDINATES.index(c), self._order[c].get(label, 0)) for c, label in pairs]

    # -- one block --

    def _laid(self, grid: Grid) -> _Laid:
        rows = sorted(grid.rows, key=self._rank)
        heads = sorted(grid.heads, key=lambda h: (self._order["metric"][h[0]], self._rank(h[1])))
        return _Laid(grid.block, rows, {head: grid.asked(head, rows) for head in heads})

    def _block(self, laid: _Laid) -> Block:
        block, rows = laid.block, laid.rows
        constant = self._constant(list(laid.heads))
        fixed = _same([dict(row) for row in rows])
        if len(rows) == 1:  # something has to name the row
            fixed.popitem()
        places = [dict(row) for row in rows]
        references = {i for i, at in enumerate(places) if self._is_reference({**dict(block), **at})}
        lines = _Lines(
            [" · ".join(at.values()) for at in places],
            references,
            gates.beside_controls(places, self.manifest),
        )
        made: list[_Made] = []
        for (metric, pairs), asked in laid.heads.items():
            shown = {c: label for c, label in pairs if c not in constant}
            made.append(self._column(metric, dict(pairs), shown, asked, lines))
        made = self._with_worst_cases(made, lines)
        flags = self._flags(made, places)
        controls = set(self.manifest.get("controls", ()))
        made_rows = [
            Row(
                dict(row),
                tuple(one.cells[i] for one in made),
                tuple(flags[i]),
                any(label in controls for c, label in row if c in ("attack", "explainer")),
                i in references,
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

    def _is_reference(self, at: Mapping[str, str]) -> bool:
        return any(at.get(c) in self.manifest.get("ideals", ()) for c in ("attack", "explainer"))

    def _constant(self, heads: Sequence[tuple[str, Pairs]]) -> dict[str, str]:
        """Coordinates that all columns share: the title has them, not every header."""
        first, *others = (set(pairs) for _, pairs in heads)
        shared = first.intersection(*others)
        return {c: label for c, label in heads[0][1] if (c, label) in shared}

    def _ordering(self, columns: Sequence[Column]) -> int | None:
        """The first column of the metric to rank by (its worst case before single attacks); without a wish
        that of the first with a direction that measures what an attack or explainer made, else of the first
        with one."""
        wish, about = self.board["rank_by"], self.manifest["metrics"]
        fitting = [
            (i, c)
            for i, c in enumerate(columns)
            if c.direction is not None and (wish is None or c.metric == wish)
        ]
        if not fitting:
            return None
        made = [(i, c) for i, c in fitting if set(about[c.metric]["consumes"]) - {"prediction"}]
        metric = (made or fitting)[0][1].metric
        worst = [i for i, c in fitting if c.metric == metric and c.at.get("attack", "").startswith(WORST)]
        return worst[0] if worst else next(i for i, c in fitting if c.metric == metric)

    def _why_ordered(self, blocks: Iterable[Block]) -> tuple[str, ...]:
        """Said where nobody asked for the column that orders rows and it is not the first that could."""
        by = {
            block.columns[block.ordered_by].metric: None
            for block in blocks
            if self.board["rank_by"] is None and block.ordered_by is not None
            if next(c.metric for c in block.columns if c.direction) != block.columns[block.ordered_by].metric
        }
        return tuple(
            f"Rows are ordered by {metric}: the suite names no rank_by, and this is its first metric of what "
            "an attack or explainer made."
            for metric in by
        )

    def _order_of(self, columns: Sequence[Column], rows: Sequence[Row], by: int | None) -> list[int]:
        if by is None:
            return list(range(len(rows)))
        ranking, sign = columns[by].ranking, -1.0 if columns[by].direction == "higher" else 1.0

        def place(i: int) -> tuple[int, float, float, str]:
            """Ranked rows by rank, estimate and name, then complete ones by name, references last, then the
            rest by name. Where nothing is ranked, complete ones by estimate."""
            estimate, standing = rows[i].cells[by].estimate, ranking.standings[i] if ranking else None
            value = None if estimate is None else estimate.value
            if estimate is None or value is None or estimate.state in ("incomplete", "nan"):
                return 2, 0.0, 0.0, rows[i].name
            if standing is None:
                reference = float(rows[i].reference)
                return 1, reference, 0.0 if ranking else sign * value, rows[i].name
            return 0, standing.low, sign * value, rows[i].name

        return sorted(range(len(rows)), key=place)

    # -- one column --

    def _column(
        self,
        metric: str,
        at: dict[str, str],
        shown: dict[str, str],
        asked: Asked,
        lines: _Lines,
    ) -> _Made:
        """The cells of a column."""
        about = self.manifest["metrics"][metric]
        rule, reader = rule_of(about), self.reader
        whole = reader.column(asked.keys, asked.selections)

        def read(row: int) -> Scores | None:
            return (
                rule.applied(reader.row(asked.keys[row], asked.selections[row])) if asked.keys[row] else None
            )

        scores = Rows(read, len(lines.names), whole if rule.failure is None else None)
        selections = dict.fromkeys(chain.from_iterable(dict.fromkeys(asked.selections)))
        known = (reader.samples(key) for key in selections)
        # Rows that aim differently do not compare, even on the same samples.
        seen = {(s.count, s.index, s.aims) for s in known if s is not None}
        turned = sides.turned(about, self.board["rows"])
        column = Column(
            metric, at, shown, about["unit"], sides.attackers(about) if turned else about["direction"],
            rule.kind, len(seen) <= 1, average=about.get("average", "mean"), turned=turned,
        )  # fmt: skip
        if rule.kind == "bernoulli" and not scores.binary():
            rule = replace(rule, kind="score")  # the mean over several targets of a sample
            column = replace(column, kind="score")
        every = list(dict.fromkeys(chain.from_iterable(asked.keys)))
        made_with = sorted(reader.environments(every))
        if len(made_with) > 1:
            self.warnings.append(gates.mixed(" ".join([metric, *shown.values()]), made_with))
        references = range(len(lines.names)) if self._is_reference(at) else lines.references
        cells, kept = self._estimated(about, rule, scores, asked.keys, list(map(len, asked.keys)), references)
        reader.hold(every)
        return self._ranked(_Made(column, cells, scores, asked, seen), rule, lines, kept)

    def _estimated(
        self,
        about: Mapping[str, Any],
        rule: Rule,
        scores: Rows,
        keys: Sequence[tuple[str, ...]],
        of: Sequence[int],
        references: Collection[int],
        *,
        derived: bool = False,
    ) -> tuple[list[Cell], Kept]:
        """The cells of a column, and what comparing them needs."""
        low, high = about["range"]
        limits = (-math.inf if low is None else low, math.inf if high is None else high)
        applies = [i for i, count in enumerate(of) if count]
        kept = Kept(applies)
        found = estimate_column(
            Some(scores, applies) if scores.whole is None else scores.whole,
            rule.kind,
            limits,
            quantile=rule.quantile,
            infinite=rule.infinite,
            kept=kept,
            references=[place for place, i in enumerate(applies) if i in references],
        )
        cells = [Cell(None, 0, 0)] * len(of)
        for i, (estimate, means) in zip(applies, found, strict=True):
            cells[i] = Cell(estimate, scores.done(i), of[i], keys[i], means, derived)
        return cells, kept

    def _ranked(self, made: _Made, rule: Rule, lines: _Lines, kept: Kept) -> _Made:
        """The column with what comparing its rows says. Its scores are not kept."""
        made.against = gates.against_controls(made.column, made.cells, made.scores, lines.beside)
        made.column = replace(made.column, ranking=self._ranking(made, rule, lines.names, kept))
        made.scores.release()
        return made

    def _with_worst_cases(self, made: list[_Made], lines: _Lines) -> list[_Made]:
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
                found.append(self._worst(about, attacks, lines))
        return found

    def _worst(self, about: Mapping[str, Any], attacks: Sequence[_Made], lines: _Lines) -> _Made:
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
        rule, whole = rule_of(about), self._worst_at_once(about, attacks)
        if whole is None:
            self.reader.column(*([of for one in attacks if one.asked for of in one.asked[i]] for i in (0, 1)))
        scores = Rows(read, len(rows), whole)
        if not scores.binary():
            rule = replace(rule, kind="score")
        column = replace(column, kind=rule.kind)
        made, kept = self._estimated(about, rule, scores, keys, of, lines.references, derived=True)
        return self._ranked(_Made(column, made, scores, None, attacks[0].samples), rule, lines, kept)

    def _worst_at_once(self, about: Mapping[str, Any], attacks: Sequence[_Made]) -> Stacked | None:
        """The worst cases of all rows, where nothing is missing and all are alike."""
        worst: Stacked | None = None
        for one in attacks:
            assert one.asked is not None
            found = self.reader.column(one.asked.keys, one.asked.selections)
            if found is None or about.get("failure") is not None:
                return None
            worst = found if worst is None else worse(worst, found, higher=about["direction"] == "higher")
            if worst is None:
                return None
        return worst

    def _ranking(self, made: _Made, rule: Rule, names: Sequence[str], kept: Kept) -> Ranking | None:
        column = made.column
        ranked = sum(c.estimate is not None and c.estimate.state == "ok" for c in made.cells)
        if column.direction is None or not column.comparable or ranked < 2:
            return None
        estimates = [cell.estimate for cell in made.cells]
        return rank(column, names, estimates, made.scores, quantile=rule.quantile, kept=kept)

    def _flags(self, made: Sequence[_Made], rows: Sequence[Mapping[str, str]]) -> list[list[Flag]]:
        """What looks odd about each row."""
        measured = [
            m.asked.results if m.asked and "attack" in m.column.at else [()] * len(rows) for m in made
        ]
        self.reader.look_up(key for of_column in measured for of_row in of_column for key in of_row)
        views = [
            gates.View(m.column, m.cells, m.scores, results, m.samples, m.against)
            for m, results in zip(made, measured, strict=True)
        ]
        return gates.flags(views, rows, self.manifest, self.reader.vanished)


def _same(rows: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Coordinates that all rows share."""
    return {c: label for c, label in rows[0].items() if all(row[c] == label for row in rows)}
