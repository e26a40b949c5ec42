"""What the page says first: a verdict on each dataset, and how to read the pictures."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import product

from .. import words
from ..formats import plural
from ..headline import Headline
from ..model import Block, Column, Table
from ..standing import PairList
from ..strips import cells_text, share_text, told_name, verdict_of
from .places import Ranked
from .tradeoff import Picture

_MOST = 3
_NAMED = 3  # rows of which each has its number


def verdict(
    tables: Sequence[Table], chosen: Headline, controls: Collection[str]
) -> list[tuple[str, list[str]]]:
    """(dataset, sentences) for the first datasets. Where a headline has no verdict, that is said."""
    blocks = [block for table in tables for block in table.blocks]
    if not any(column.ranking for block in blocks for column in block.columns):
        several = any(len(block.rows) > 1 for block in blocks)
        text = "No row is ranked: the order shown is the order of the estimates." if several else ""
        return [("", [text])] if text else []
    said: dict[str, dict[str, str]] = {}  # by dataset and metric
    leads: dict[str, list[_Lead]] = {}
    names: dict[str, dict[str, None]] = {}
    asked = [column for column in (chosen.robust, chosen.explained) if column is not None]
    for column in asked:
        for block in _beside(tables, column):
            dataset = block.at.get("dataset", "")
            names.setdefault(dataset, {}).update({at: None for c, at in block.at.items() if c == "model"})
            at = _where(block, column, controls)
            said.setdefault(dataset, {})[column.metric] = _told(block, column, at)
            if at is not None and block.columns[at].ranking is not None:
                leads.setdefault(dataset, []).append(_Lead(block, at))
    if "" not in said:
        for sentences, column in product(said.values(), asked):
            sentences.setdefault(column.metric, _not_measured(column))
    found = [
        (
            " · ".join([dataset, *names[dataset]]),
            [
                *(text for column in asked if (text := of.get(column.metric, ""))),
                *_traded(leads.get(dataset, [])),
            ],
        )
        for dataset, of in said.items()
    ]
    found = [(name, sentences) for name, sentences in found if sentences]
    more = len(found) - _MOST
    rest = [("", [f"{plural(more, 'more dataset')}: see their boards."])] if more > 0 else []
    return [*found[:_MOST], *rest]


def _beside(tables: Sequence[Table], column: Column) -> Sequence[Block]:
    """The blocks of the board that has this column."""
    return next((t.blocks for t in tables if any(c is column for b in t.blocks for c in b.columns)), ())


def _where(block: Block, column: Column, controls: Collection[str]) -> int | None:
    """A headline's column in a block; where the block lacks it, the first of its metric that no control
    made."""
    of_metric = [(i, c) for i, c in enumerate(block.columns) if c.metric == column.metric]
    alike = [i for i, c in of_metric if dict(c.shown) == dict(column.shown)]
    others = [i for i, c in of_metric if not set(c.at.values()) & set(controls)]
    return next(iter([*alike, *others]), None)


def _told(block: Block, column: Column, at: int | None) -> str:
    """The verdict on a column with the numbers of those at its top, and of the first below."""
    if len(block.rows) == 1:
        return ""
    if at is None:
        return _not_measured(column)
    ranking = block.columns[at].ranking
    if ranking is None:
        return f"No row is ranked on {told_name(block.columns[at])}."
    text, numbers = verdict_of(block, at), _Lead(block, at).numbers
    first, rest = text[: len(ranking.verdict)], text[len(ranking.verdict) :]
    return (f"{first.removesuffix('.')}: {numbers}." if numbers else first) + rest


def _not_measured(column: Column) -> str:
    return f"{capital(column.metric)} is not measured here."


@dataclass(frozen=True)
class _Lead:
    """Who leads a column of a block, and its numbers as the board prints them."""

    block: Block
    column: int

    @property
    def ranked(self) -> list[int]:
        """Its ranked rows, in the order of the board."""
        places = Ranked(self.block, self.column)
        return [r for r in places.order if places.places[r] is not None]

    @property
    def top(self) -> list[int]:
        """The rows that none is separated from as better."""
        ranking = self.block.columns[self.column].ranking
        standings = ranking.standings if ranking else ()
        return [r for r in self.ranked if (s := standings[r]) is not None and s.low == 1]

    def number(self, row: int) -> str:
        """`78 ±5`."""
        cells = [r.cells[self.column] for r in self.block.rows]
        text = cells_text(self.block.columns[self.column], cells)[row]
        return _unbroken(text.removesuffix(share_text(cells[row].estimate)))

    @property
    def unit(self) -> str:
        return f"\N{NO-BREAK SPACE}{unit}" if (unit := self.block.columns[self.column].unit) else ""

    @property
    def numbers(self) -> str:
        """`78 ±5 %, 13 [9, 16] ahead of AT 0.05`, `84 ±2 and 83 ±2 %`; of more than three rows the first and
        the last. Ahead: in the column's direction, sample by sample, so that it may be sure where the
        intervals of both rows overlap."""
        top, ranked = self.top, self.ranked
        if not top:
            return ""
        lower = " (lower is better)" if self.block.columns[self.column].direction == "lower" else ""
        if len(top) == 1:
            then = [self._ahead(top[0], r) for r in ranked if r != top[0]][:1]
            return f"{self.number(top[0])}{self.unit}{lower}{''.join(then)}"
        if len(top) > _NAMED:
            return f"{self.number(top[0])} to {self.number(top[-1])}{self.unit}{lower}"
        return words.listed([self.number(r) for r in top]) + self.unit + lower

    def _ahead(self, row: int, other: int) -> str:
        """`, 13 [9, 16] ahead of AT 0.05`; what the other has where it is not separated."""
        column, name = self.block.columns[self.column], self.block.rows[other].name
        assert column.ranking is not None
        pairs = column.ranking.pairs
        assert isinstance(pairs, PairList)
        here = (pairs.better == row) & ((pairs.first == other) | (pairs.second == other))
        if not here.any():
            return f", then {name} with {self.number(other)}{self.unit}"
        found = pairs[int(here.argmax())]
        sign = column.scale if found.difference > 0 else -column.scale
        ends = [None if x is None else sign * x for x in (found.low, found.high)]
        low, high = ends if sign > 0 else ends[::-1]
        return f", {_unbroken(words.with_bounds(sign * found.difference, low, high))} ahead of {name}"


def _unbroken(text: str) -> str:
    """A number and its interval, on one line."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def _traded(leads: Sequence[_Lead]) -> list[str]:
    """What is at the top of robustness and of explanations, or what the step from one top to the other
    costs; nothing where a column separates none of its rows, or is led by a control."""
    if len({lead.block.columns[lead.column].metric for lead in leads}) < 2 or len(leads) > 2:
        return []
    x, y = leads
    rows, others = (lead.block.rows for lead in leads)
    if any(set(row.at) & {"attack"} or "defense" not in row.at for row in (*rows, *others)):
        return []
    if len({row.at["defense"] for row in rows}) < len(rows):
        return []
    if any(len(lead.top) == len(lead.ranked) for lead in leads) or any(others[r].control for r in y.top):
        return []
    robust = [rows[r].at["defense"] for r in x.top]
    both = [others[r].name for r in y.top if others[r].at["defense"] in robust]
    if both:
        return [f"At the top of both: {words.listed(both, _NAMED)}."]
    at = {row.at["defense"]: r for r, row in enumerate(rows)}
    best = next((r for r in y.ranked if others[r].at["defense"] == robust[0]), None)
    first = y.top[0]
    start = at.get(others[first].at["defense"])
    if best is None or start not in x.ranked:
        return []
    (a, b), (c, d) = ((x.number(start), x.number(x.top[0])), (y.number(first), y.number(best)))
    return [
        f"No row is at the top of both: from {others[first].name} to {others[best].name}, "
        f"{x.block.columns[x.column].metric} goes from {a} to {b}{x.unit} and "
        f"{y.block.columns[y.column].metric} from {c} to {d}{y.unit}."
    ]


def reading(drawn: Sequence[Picture]) -> str:
    """How to read the pictures."""
    said = ["Each mark is one defense and explainer with its 95 % intervals; better is up and to the right."]
    if any(" ≈ " in label.full for p in drawn for label in p.labels):
        said.append("Defenses joined by ≈ cannot be separated in robustness.")
    if any(p.compared for p in drawn):
        said.append(
            "Hollow marks are clearly beaten by another row of their picture (Holm over both columns)."
        )
        said.append(f"Filled marks are the front: {words.FRONT[:1].lower()}{words.FRONT[1:]}")
    if any(p.front for p in drawn):
        said.append("The dashed line joins those that no estimate exceeds on both axes.")
    return " ".join(said)


def capital(text: str) -> str:
    """As at the start of a sentence."""
    return text[:1].upper() + text[1:]
