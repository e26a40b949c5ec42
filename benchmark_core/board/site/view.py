"""What a board looks like on the page: every string, width and order that the template and the script show.

Ranks come from the table and are never computed here.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from .. import table as tables
from .. import words
from ..formats import count, plural, significant
from ..model import Block, Cell, Column, Flag, Ranking, Row, Table
from ..statistics import Estimate
from . import copies
from .facts import SHORT, Facts

#: Rows of a block that are shown before "show all" is pressed.
MOST_ROWS = 1000
BAR = 60
#: In place of a field of the CSV: the record keys, as the drawer shows them.
KEYS = -1
LANES = 6
_WIDEST = 24


@dataclass(frozen=True)
class Number:
    """text: the estimate; rest: its interval. wide, wide_rest: classes that align both within a column.

    press: it opens the drawer.
    """

    text: str
    rest: str = ""
    wide: int = 0
    wide_rest: int = 0
    press: bool = True


@dataclass(frozen=True)
class Tie:
    letter: str
    lane: int


@dataclass(frozen=True)
class Place:
    """A row in the ranking of a column. x, width: its bar on the scale 1..n, in px."""

    rank: str
    x: float
    width: float
    ties: tuple[Tie, ...]

    @property
    def compact(self) -> list[Any]:
        return [self.rank, self.x, self.width, "|".join(f"{t.letter}{t.lane}" for t in self.ties)]


@dataclass(frozen=True)
class RowView:
    index: int
    labels: tuple[str, ...]
    numbers: tuple[Number, ...]
    cells: str
    flags: tuple[Flag, ...]
    incomplete: str
    control: bool
    place: Place | None
    late: bool = False


@dataclass(frozen=True)
class Head:
    """A header cell: metric, unit and direction, and what tells columns of one metric apart."""

    column: int
    name: str
    about: str
    under: str = ""


@dataclass(frozen=True)
class Group:
    """Neighbouring columns of one metric under one name."""

    name: str
    about: str
    heads: tuple[Head, ...]


@dataclass(frozen=True)
class BlockView:
    id: str
    title: str
    where: str
    parts: str
    verdict: str
    labels: tuple[str, ...]
    groups: tuple[Group, ...]
    ranked: tuple[RowView, ...]
    rest: tuple[RowView, ...]
    rest_title: str
    by: int | None
    has_ranks: bool
    has_flags: bool
    lanes: int
    notes: tuple[str, ...]
    data: Mapping[str, Any]

    @property
    def rows(self) -> tuple[RowView, ...]:
        return self.ranked + self.rest

    @property
    def tall(self) -> bool:
        return any(head.under for group in self.groups for head in group.heads)

    @property
    def flagged(self) -> int:
        return sum(bool(row.incomplete) or any(f.warning for f in row.flags) for row in self.rows)

    @property
    def n_columns(self) -> int:
        heads = sum(len(group.heads) for group in self.groups)
        return heads + len(self.labels) + 1 + 2 * self.has_ranks + self.has_flags


class Strings:
    """A table of strings, and one of origins (indices into it): what many numbers share is written once."""

    def __init__(self) -> None:
        self._at: dict[str, int] = {}
        self._origins: dict[tuple[int, ...], int] = {}

    def origin(self, *texts: str) -> int:
        return self._origins.setdefault(tuple(map(self.add, texts)), len(self._origins))

    @property
    def origins(self) -> list[tuple[int, ...]]:
        return list(self._origins)

    def add(self, text: str) -> int:
        return self._at.setdefault(text, len(self._at))

    @property
    def all(self) -> list[str]:
        return list(self._at)


class Boards:
    """Makes the views of one suite's tables."""

    def __init__(self, facts: Facts, strings: Strings, again: str, first_id: int = 0) -> None:
        self.facts, self.strings = facts, strings
        self.again = strings.add(again)
        self.made = first_id

    def block(self, table: Table, block: Block) -> BlockView:
        self.made += 1
        places = [_Ranked(block, i) for i in range(len(block.columns))]
        by = block.ordered_by
        has_ranks = any(place.ranking is not None for place in places)
        texts = [
            tables.cells_text(column, [row.cells[i] for row in block.rows])
            for i, column in enumerate(block.columns)
        ]
        strips = [_numbers(column_texts) for column_texts in texts]
        default = places[by] if by is not None else _Ranked(block, None)
        views = [
            RowView(
                r,
                tuple(row.at[label] for label in block.labels),
                tuple(strip[r] for strip in strips),
                f"{count(row.done)}/{count(row.of)}",
                row.flags,
                self._incomplete(block, row),
                row.control,
                default.places[r],
            )
            for r, row in enumerate(block.rows)
        ]
        flags = any(v.flags or v.incomplete or v.control for v in views)
        where = " · ".join(
            tables.producer_name(c, label)
            for c, label in block.at.items()
            if label and (c, label) != ("on", "clean")
        )
        ordered = [replace(views[r], late=i >= MOST_ROWS) for i, r in enumerate(default.order)]
        lanes = max((len(p.ties) for place in places for p in place.places if p), default=0)
        title = table.board[:1].upper() + table.board[1:]
        return BlockView(
            f"b{self.made}", title, where, self._parts(block), self._verdict(block, default.ranking),
            block.labels, _groups(self.facts.manifest, block), tuple(ordered[: default.ranked]),
            tuple(ordered[default.ranked :]), default.rest_title, by, has_ranks, flags,
            min(LANES, max(3, lanes)), self._notes(block, default.ranking),
            self._data(table, block, places, views, f"{title} · {where}"),
        )  # fmt: skip

    # -- words --

    def _parts(self, block: Block) -> str:
        parts = tables.title_of(block)
        named = sum(c in block.at and (c, block.at[c]) != ("on", "clean") for c in tables.COORDINATES)
        return " · ".join(p for p in parts[named:] if not p.startswith(("ordered by", "ranked by")))

    def _verdict(self, block: Block, ranking: Ranking | None) -> str:
        if len(block.rows) == 1:
            return ""
        return ranking.verdict if ranking is not None else ""

    def _notes(self, block: Block, ranking: Ranking | None) -> tuple[str, ...]:
        """What a reader must know about the block's numbers; a number's drawer has its own."""
        cells = [
            (c, cell.estimate) for row in block.rows for c, cell in zip(block.columns, row.cells, strict=True)
        ]
        estimates = [(c, e) for c, e in cells if e is not None]
        notes: list[str] = []
        if starred := [
            text for state, text in tables.STATE_NOTES.items() if any(e.state == state for _, e in estimates)
        ]:
            notes.append(f"* {'; '.join(starred)}: shown, not ranked.")
        if any(e.value is None and e.not_numbers for _, e in estimates):
            notes.append("NaN (k): k scores are not a number.")
        if other := dict.fromkeys(tables.column_name(c) for c in block.columns if not c.comparable):
            notes.append(f"Not comparable, measured on different samples: {', '.join(other)}.")
        if ranking is not None:
            notes += ranking.notes
        whole = [(c, e) for c, e in estimates if e.low is not None]
        if whole and any(column.ranking is not None for column in block.columns):
            kind = "set" if all(c.kind == "set" for c, _ in whole) else "score"
            notes.append(words.footer(words.interval_over(kind, max(e.seeds for _, e in whole))))
        return tuple(dict.fromkeys(notes))

    def _incomplete(self, block: Block, row: Row) -> str:
        """Why cells of a row are missing; empty when none is."""
        if row.done == row.of:
            return ""
        missing = []
        for column, cell in zip(block.columns, row.cells, strict=True):
            if cell.done < cell.of and not cell.derived:
                at = {**block.at, **row.at, **column.at}
                why = self.facts.missing(at, self.facts.seeds(at, column.metric, cell))
                missing.append(f"{_column_title(column)}: {why}" if why else _column_title(column))
        return words.incomplete(row.done, row.of, "; ".join(missing))

    # -- the drawer and the copies --

    def _data(
        self,
        table: Table,
        block: Block,
        places: Sequence[_Ranked],
        views: Sequence[RowView],
        title: str,
    ) -> dict[str, Any]:
        csv_head, csv_columns, csv_cells = _csv(table, block)
        heads = [tables.column_name(c) + "".join(f" · {s}" for s in c.shown.values()) for c in block.columns]
        flags = ["flags"] if any(v.flags or v.incomplete or v.control for v in views) else []
        return {
            "title": title,
            "again": self.again,
            "csv": csv_head,
            "head": [*block.labels, *heads, "cells", *flags],
            "columns": [
                {
                    "name": _column_title(column),
                    "about": _about(self.facts.manifest, column),
                    "order": places[i].order,
                    "ranked": places[i].ranked,
                    "rest": places[i].rest_title,
                    "of": places[i].of,
                    "places": [p.compact if p else 0 for p in places[i].places] if places[i].ranking else 0,
                    "csv": csv_columns[i],
                }
                for i, column in enumerate(block.columns)
            ],
            "labels": [copies.quoted(v.labels) for v in views],
            "cells": [
                [self._cell(block, row, c, csv_cells[c].get(r, "")) for c in range(len(block.columns))]
                for r, row in enumerate(block.rows)
            ],
        }

    def _cell(self, block: Block, row: Row, c: int, fields: str) -> Any:
        """What the drawer says about a number, and its fields in the CSV: how it was estimated and where it
        comes from (indices into strings and origins), record keys, values by seed, fields, what misses."""
        column, cell = block.columns[c], row.cells[c]
        if cell.estimate is None:
            return 0
        at = {**block.at, **row.at, **column.at}
        seeds = self.facts.seeds(at, column.metric, cell)
        origin = self.facts.origin(seeds)
        on = " · ".join(filter(None, (at.get("dataset", ""), origin.dataset)))
        found = [
            self.strings.add(_how(column, cell.estimate)),
            self.strings.origin(on, origin.ran, origin.passes, origin.versions),
            " ".join(key[:SHORT] for key in [s.key for s in seeds] or cell.keys),
            _by_seed(column, cell),
            fields,
        ]
        if cell.done < cell.of:
            found.append(self.facts.missing(at, seeds))
        return found


class _Ranked:
    """A column's order and places; without a ranking the order of the estimates."""

    def __init__(self, block: Block, by: int | None) -> None:
        self.ranking = block.columns[by].ranking if by is not None else None
        rows = range(len(block.rows))
        cells = [block.rows[r].cells[by] if by is not None else None for r in rows]
        names = [row.name for row in block.rows]
        direction = block.columns[by].direction if by is not None else None
        sign = 1.0 if direction == "lower" else -1.0
        standings = self.ranking.standings if self.ranking else [None] * len(names)

        def place(r: int) -> tuple[Any, ...]:
            standing, goodness = standings[r], _value(cells[r])
            if by is None:
                return (0, r)
            if self.ranking is not None:
                if standing is None:
                    return (1, _measured(cells[r]), 0.0, 0.0, names[r])
                return (0, 0, standing.low, sign * (goodness or 0.0), names[r])
            return (goodness is None, _measured(cells[r]), 0, sign * (goodness or 0.0), names[r])

        self.order = sorted(rows, key=place)
        counted = (
            [s is not None for s in standings] if self.ranking else [_value(c) is not None for c in cells]
        )
        self.ranked = sum(counted) if by is not None else len(names)
        self.rest_title = self._title([block.rows[r] for r in self.order[self.ranked :]], cells)
        lanes = _lanes([s.ties for r in self.order if (s := standings[r]) is not None])
        of = self.of = self.ranking.of if self.ranking else 0
        self.places: list[Place | None] = [
            Place(
                f"{s.low}" if s.low == s.high else f"{s.low}–{s.high}",
                round((s.low - 1) / of * BAR, 1), round(max(2.0, (s.high - s.low + 1) / of * BAR), 1),
                tuple(Tie(name, lane) for name, lane in lanes[s.ties]),
            )
            if s is not None
            else None
            for s in standings
        ]  # fmt: skip

    def _title(self, rest: Sequence[Row], cells: Sequence[Cell | None]) -> str:
        if not rest:
            return ""
        if all(row.done < row.of for row in rest):
            return "Incomplete: listed, never ranked"
        return "Not ranked by this column"


def _value(cell: Cell | None) -> float | None:
    e = cell.estimate if cell else None
    if e is None or e.state in ("incomplete", "nan"):
        return None
    return e.value


def _measured(cell: Cell | None) -> int:
    """Where a row without rank goes: shown first, then incomplete, then what does not apply."""
    if cell is None or cell.estimate is None:
        return 2
    return 0 if _value(cell) is not None else 1


def _lanes(ties: Sequence[str]) -> dict[str, list[tuple[str, int]]]:
    """The letters of every row with the lane each is drawn in: groups that overlap get different lanes."""
    split = {text: re.findall(r"\(\d+\)|.", text) for text in ties}
    most = max((len(letters) for letters in split.values()), default=0)
    lanes = min(LANES, max(3, most))
    order = {name: i for i, name in enumerate(dict.fromkeys(n for text in ties for n in split[text]))}
    return {
        text: [(n, order[n] % lanes) for n in letters]
        if len(letters) <= LANES
        else [(f"{letters[0]} … {letters[-1]}", 0)]
        for text, letters in split.items()
    }


def _numbers(texts: Sequence[str]) -> list[Number]:
    """Estimate and interval apart, with widths that line them up within the column."""
    parts = [
        text.partition(" ") if text[:1].isdigit() or text[:1] == "−" else (text, "", "") for text in texts
    ]
    wide = min(_WIDEST, max((len(head) for head, _, _ in parts), default=0))
    wide_rest = min(_WIDEST, max((len(rest) for _, _, rest in parts), default=0))
    return [Number(head, rest, wide, wide_rest, head != "·") for head, _, rest in parts]


def _groups(manifest: Mapping[str, Any], block: Block) -> tuple[Group, ...]:
    counted = enumerate(block.columns)
    groups = []
    for _, members in groupby(counted, key=lambda c: (c[1].metric, bool(c[1].shown))):
        columns = list(members)
        share = any(tables.share_text(row.cells[i].estimate) for i, _ in columns for row in block.rows)
        name = tables.column_name(columns[0][1]) + (" (valid %)" if share else "")
        about = _about(manifest, columns[0][1])
        heads = tuple(
            Head(
                i,
                name,
                about,
                " · ".join(tables.producer_name(c, label) for c, label in column.shown.items()),
            )
            for i, column in columns
        )
        groups.append(Group(name, about, heads))
    return tuple(groups)


def _column_title(column: Column) -> str:
    return " · ".join([column.metric, *(tables.producer_name(c, label) for c, label in column.shown.items())])


def _about(manifest: Mapping[str, Any], column: Column) -> str:
    """`accuracy: share of ...; higher is better`."""
    metric = manifest["metrics"].get(column.metric, {})
    better = {"higher": "Higher is better.", "lower": "Lower is better."}.get(column.direction or "", "")
    summary = (metric.get("summary") or "").strip()
    return " ".join(filter(None, (summary, better, "Shown in %." if column.unit == "%" else "")))


def _how(column: Column, estimate: Estimate) -> str:
    """`Mean over 5 seeds × 200 samples; 95 % interval over seeds and samples`."""
    over = f"Mean over {plural(estimate.seeds, 'seed')} × {plural(estimate.n, 'sample')}"
    if estimate.state == "incomplete":
        return f"{over}; incomplete, so without interval and rank"
    if estimate.low is None:
        return f"{over}; no interval"
    over_what = words.interval_over(column.kind, estimate.seeds)
    kind = "Wilson, " if column.kind == "bernoulli" else ""
    scope = "holds for new runs" if estimate.scope == "new runs" else "holds for these trained models"
    said = [f"{over}; 95 % interval ({kind}over {over_what}), {scope}"]
    said += words.notes(estimate, column.metric, column.kind)
    return ". ".join(text.rstrip(".") for text in said) + "."


def _by_seed(column: Column, cell: Cell) -> str:
    return ", ".join("–" if v is None else significant(v * column.scale, 4) for v in cell.by_seed)


def _csv(table: Table, block: Block) -> tuple[str, list[list[str | int | None]], list[dict[int, str]]]:
    """The lines of the CSV form, taken apart: the header; for each column its fields (a number: that label of
    the row, or KEYS; None: it differs from row to row); for each column and row the others, a tab between."""
    text = tables.render([replace(table, blocks=(block,))], "csv")
    head, *lines = list(csv.reader(io.StringIO(text))) or [[]]
    places = [
        (r, c)
        for r, row in enumerate(block.rows)
        for c, cell in enumerate(row.cells)
        if cell.estimate is not None
    ]
    by_column: list[dict[int, list[str]]] = [{} for _ in block.columns]
    for (r, c), line in zip(places, lines, strict=True):
        by_column[c][r] = copies.quoted(f.replace("\t", " ") for f in line)
    labels = {head.index(c): i for i, c in enumerate(block.labels)}
    if "keys" in head:
        labels[head.index("keys")] = KEYS
    shared: list[list[str | int | None]] = []
    own: list[dict[int, str]] = []
    for found in by_column:
        columns = list(zip(*found.values(), strict=True))
        fields: list[str | int | None] = []
        for i, values in enumerate(columns):
            fields.append(labels.get(i, values[0] if len(set(values)) == 1 else None))
        shared.append(fields)
        own.append(
            {
                r: "\t".join(f for f, known in zip(line, fields, strict=True) if known is None)
                for r, line in found.items()
            }
        )
    return ",".join(head), shared, own
