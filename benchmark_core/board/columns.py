"""The columns of a block: cells with their estimates, what comparing them says, and worst cases over attacks.

Scores are read one column at a time, so that memory does not grow with the number of columns.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, groupby
from typing import Any

from . import gates, sides
from .cells import Reader, Rule, rule_of
from .grid import Asked
from .model import Cell, Column, Flag, Ranking
from .moments import Kept
from .pairs import Pair
from .ranks import Some
from .reading import Rows
from .scores import Scores, Stacked
from .standing import rank, worse, worst_of
from .statistics import estimate_column

#: The attack that a column of worst cases names.
WORST = "worst"


@dataclass
class Made:
    """A column under construction: its cells and scores, one a row."""

    column: Column
    cells: list[Cell]
    scores: Rows
    asked: Asked | None  # None: made from other columns
    samples: set[tuple[int, str, str]]
    against: Mapping[tuple[int, int], Pair] = field(default_factory=dict)  # rows and their null controls


@dataclass(frozen=True)
class Lines:
    """The rows of a block: what they are called, which of them are references, and the null controls beside
    real methods."""

    names: Sequence[str]
    references: Collection[int]
    beside: Sequence[tuple[int, int]]


@dataclass
class Columns:
    """Makes the columns of a board. warnings: takes what its reader must know."""

    reader: Reader
    manifest: Mapping[str, Any]
    rows: Sequence[str]
    warnings: list[str] = field(default_factory=list)

    def is_reference(self, at: Mapping[str, str]) -> bool:
        """Whether what stands at these coordinates is there to be looked at, not to be beaten."""
        return any(at.get(c) in self.manifest.get("ideals", ()) for c in ("attack", "explainer"))

    def made(
        self,
        metric: str,
        at: dict[str, str],
        shown: dict[str, str],
        asked: Asked,
        lines: Lines,
    ) -> Made:
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
        seen = {(s.count, s.index, s.aims) for s in known if s is not None}
        direction = sides.direction_of(about, self.rows)
        column = Column(
            metric, at, shown, about["unit"], direction, rule.kind,
            average=about.get("average", "mean"), turned=direction != about["direction"],
            opposed=direction != sides.defenders(about),
        )  # fmt: skip
        if rule.kind == "bernoulli" and not scores.binary():
            rule = replace(rule, kind="score")  # the mean over several targets of a sample
            column = replace(column, kind="score")
        every = list(dict.fromkeys(chain.from_iterable(asked.keys)))
        made_with = sorted(reader.environments(every))
        if len(made_with) > 1:
            self.warnings.append(gates.mixed(" ".join([metric, *shown.values()]), made_with))
        references = range(len(lines.names)) if self.is_reference(at) else lines.references
        cells, kept = self._estimated(about, rule, scores, asked.keys, list(map(len, asked.keys)), references)
        column = replace(column, comparable=self._alike(asked, cells))
        reader.hold(every)
        return self._ranked(Made(column, cells, scores, asked, seen), rule, lines, kept)

    def _alike(self, asked: Asked, cells: Sequence[Cell]) -> bool:
        """Whether all rows that could be ranked were measured on the same samples, seed by seed: those of two
        seeds may differ (`select: correct`), and rows that are not ranked have no say."""
        ranked = (i for i, cell in enumerate(cells) if cell.estimate and cell.estimate.state == "ok")
        # Rows that aim differently do not compare, even on the same samples.
        seen = {
            tuple((s.count, s.index, s.aims) for key in of_row if (s := self.reader.samples(key)) is not None)
            for of_row in dict.fromkeys(asked.selections[i] for i in ranked)
        }
        return len(seen) <= 1

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

    def _ranked(self, made: Made, rule: Rule, lines: Lines, kept: Kept) -> Made:
        """The column with what comparing its rows says. Its scores are not kept."""
        made.against = gates.against_controls(made.column, made.cells, made.scores, lines.beside)
        made.column = replace(made.column, ranking=self._ranking(made, rule, lines.names, kept))
        made.scores.release()
        return made

    def with_worst_cases(self, made: list[Made], lines: Lines) -> list[Made]:
        """After the columns of a metric on several attacks, one for the worst of them, sample by sample."""
        found: list[Made] = []
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

    def _worst(self, about: Mapping[str, Any], attacks: Sequence[Made], lines: Lines) -> Made:
        label = f"{WORST} of {len(attacks)}"
        first, rows = attacks[0].column, range(len(attacks[0].cells))

        def read(row: int) -> Scores | None:
            return worst_of([one.scores[row] for one in attacks], higher=sides.defenders(about) == "higher")

        cells = [[one.cells[i] for one in attacks] for i in rows]
        keys = [tuple(key for cell in row for key in cell.keys) for row in cells]
        of = [max(cell.of for cell in row) if all(cell.of for cell in row) else 0 for row in cells]
        column = replace(
            first,
            at={**first.at, "attack": label},
            shown={**first.shown, "attack": label},
            comparable=all(one.column.comparable for one in attacks),
            derived=True,
        )
        rule, whole = rule_of(about), self._worst_at_once(about, attacks)
        if whole is None:
            self.reader.column(*([of for one in attacks if one.asked for of in one.asked[i]] for i in (0, 1)))
        scores = Rows(read, len(rows), whole)
        if not scores.binary():
            rule = replace(rule, kind="score")
        column = replace(column, kind=rule.kind)
        made, kept = self._estimated(about, rule, scores, keys, of, lines.references, derived=True)
        return self._ranked(Made(column, made, scores, None, attacks[0].samples), rule, lines, kept)

    def _worst_at_once(self, about: Mapping[str, Any], attacks: Sequence[Made]) -> Stacked | None:
        """The worst cases of all rows, where nothing is missing and all are alike."""
        worst: Stacked | None = None
        for one in attacks:
            assert one.asked is not None
            found = self.reader.column(one.asked.keys, one.asked.selections)
            if found is None or about.get("failure") is not None:
                return None
            worst = found if worst is None else worse(worst, found, higher=sides.defenders(about) == "higher")
            if worst is None:
                return None
        return worst

    def _ranking(self, made: Made, rule: Rule, names: Sequence[str], kept: Kept) -> Ranking | None:
        column = made.column
        ranked = sum(c.estimate is not None and c.estimate.state == "ok" for c in made.cells)
        if column.direction is None or not column.comparable or ranked < 2:
            return None
        estimates = [cell.estimate for cell in made.cells]
        return rank(column, names, estimates, made.scores, quantile=rule.quantile, kept=kept)

    def flags(self, made: Sequence[Made], rows: Sequence[Mapping[str, str]]) -> list[list[Flag]]:
        """What looks odd about each row."""
        measured = [
            m.asked.results
            if m.asked and ("attack" in m.column.at or "attack" in rows[0])
            else [()] * len(rows)
            for m in made
        ]
        self.reader.look_up(key for of_column in measured for of_row in of_column for key in of_row)
        views = [
            gates.View(m.column, m.cells, m.scores, results, m.samples, m.against)
            for m, results in zip(made, measured, strict=True)
        ]
        return gates.flags(views, rows, self.manifest, self.reader.vanished)
