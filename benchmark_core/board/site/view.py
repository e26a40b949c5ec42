"""What a board looks like on the page: every string, width and order that the template and the script show.

Ranks come from the table and are never computed here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from .. import words
from ..cells import COORDINATES
from ..formats import count
from ..model import Block, Flag, Ranking, Row, Table
from ..strips import (
    STATE_NOTES,
    board_verdict,
    cells_text,
    column_name,
    interval_over,
    is_apart,
    lacking,
    producer_name,
    producers,
    row_notes,
    share_text,
    title_of,
)
from .data import BlockData, Strings, about, column_title
from .facts import Facts
from .places import Place, Ranked

#: Rows of a block that are shown before "show all" is pressed.
MOST_ROWS = 1000
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
class RowView:
    index: int
    labels: tuple[str, ...]
    numbers: tuple[Number, ...]
    cells: str
    flags: tuple[Flag, ...]
    incomplete: str
    control: bool
    reference: bool
    place: Place | None
    late: bool = False

    @property
    def look(self) -> str:
        """Its classes: no row is separated as better than one that leads."""
        leads = self.place is not None and self.place.leads
        return " ".join(name for name, is_one in (("control", self.control), ("lead", leads)) if is_one)


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
    footer: str
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


class Boards:
    """Makes the views of one suite's tables."""

    def __init__(self, facts: Facts, strings: Strings, again: str, first_id: int = 0) -> None:
        self.facts, self.strings = facts, strings
        self.again = strings.add(again)
        self.made = first_id

    def block(self, table: Table, block: Block) -> BlockView:
        self.made += 1
        for_all = (*_worst(table), *table.notes) if block is table.blocks[-1] else ()
        places = [Ranked(block, i) for i in range(len(block.columns))]
        by = block.ordered_by
        has_ranks = any(place.ranking is not None for place in places)
        texts = [
            cells_text(column, [row.cells[i] for row in block.rows]) for i, column in enumerate(block.columns)
        ]
        strips = [_numbers(column_texts) for column_texts in texts]
        default = places[by] if by is not None else Ranked(block, None)
        views = [
            RowView(
                r,
                tuple(row.at[label] for label in block.labels),
                tuple(strip[r] for strip in strips),
                f"{count(row.done)}/{count(row.of)}",
                _by_word(row.flags),
                self._incomplete(block, r, row),
                row.control,
                row.reference,
                default.places[r],
            )
            for r, row in enumerate(block.rows)
        ]
        flags = any(v.flags or v.incomplete or v.control for v in views)
        where = " · ".join(
            producer_name(c, label)
            for c, label in block.at.items()
            if label and (c, label) != ("on", "clean")
        )
        ordered = [replace(views[r], late=i >= MOST_ROWS) for i, r in enumerate(default.order)]
        lanes = max((place.lanes for place in places), default=0)
        title = table.board[:1].upper() + table.board[1:]
        return BlockView(
            f"b{self.made}", title, where, self._parts(block), self._verdict(block),
            block.labels, _groups(self.facts.manifest, block), tuple(ordered[: default.ranked]),
            tuple(ordered[default.ranked :]), default.rest_title, by, has_ranks, flags,
            max(3, lanes), (*self._notes(block, default.ranking), *for_all), _footer(block),
            {"again": self.again, "title": f"{title} · {where}",
             **BlockData(self.facts, self.strings, table, block).made(places, flags=flags)},
        )  # fmt: skip

    # -- words --

    def _parts(self, block: Block) -> str:
        parts = title_of(block)
        named = sum(c in block.at and (c, block.at[c]) != ("on", "clean") for c in COORDINATES)
        return " · ".join(p for p in parts[named:] if not p.startswith(("ordered by", "ranked by")))

    def _verdict(self, block: Block) -> str:
        return board_verdict(block) if len(block.rows) > 1 else ""

    def _notes(self, block: Block, ranking: Ranking | None) -> tuple[str, ...]:
        """What a reader must know about the block's numbers; a number's drawer has its own."""
        cells = [
            (c, cell.estimate) for row in block.rows for c, cell in zip(block.columns, row.cells, strict=True)
        ]
        estimates = [(c, e) for c, e in cells if e is not None]
        notes: list[str] = []
        if starred := [
            text for state, text in STATE_NOTES.items() if any(e.state == state for _, e in estimates)
        ]:
            notes.append(f"* {'; '.join(starred)}: shown, not ranked.")
        if any(e.value is None and e.not_numbers for _, e in estimates):
            notes.append("NaN (k): k scores are not a number.")
        if medians := dict.fromkeys(c.metric for c in block.columns if c.average == "median"):
            notes.append(f"Medians over the samples, not means: {', '.join(medians)}.")
        if other := dict.fromkeys(column_name(c) for i, c in enumerate(block.columns) if is_apart(block, i)):
            notes.append(f"Not comparable, measured on different samples: {', '.join(other)}.")
        if ranking is not None and block.ordered_by is not None:
            notes += row_notes(block, block.ordered_by)
        return tuple(dict.fromkeys(notes))

    def _incomplete(self, block: Block, r: int, row: Row) -> str:
        """Why cells of a row are missing, and which columns do not rank it; empty when none is."""
        if row.done == row.of:
            return ""
        missing = []
        for column, cell in zip(block.columns, row.cells, strict=True):
            if cell.done < cell.of and not cell.derived:
                at = {**block.at, **row.at, **column.at}
                why = self.facts.missing(at, self.facts.seeds(at, column.metric, cell))
                missing.append(f"{column_title(column)}: {why}" if why else column_title(column))
        return words.incomplete(row.done, row.of, "; ".join(missing), lacking(block, [r]))


def _worst(table: Table) -> list[str]:
    """What the columns of a worst case are."""
    columns = [c for block in table.blocks for c in block.columns if c.derived and "attack" in c.at]
    named = dict.fromkeys(c.at["attack"] for c in columns)
    return [f"{name}: sample by sample, what these attacks leave at worst." for name in named]


def _footer(block: Block) -> str:
    """What intervals and ranks of a block claim; empty where nothing is ranked."""
    if all(column.ranking is None for column in block.columns):
        return ""
    by_basis = bases([block])
    if not by_basis:
        return ""
    first, *others = by_basis
    some = (f"; of {words.listed(list(by_basis[over]))} over {over}" for over in others)
    return words.footer("".join([first, *some]))


def bases(blocks: Sequence[Block]) -> dict[str, dict[str, None]]:
    """What intervals rest on, and the metrics for which they do: what most of them rest on first."""
    found: dict[str, list[str]] = {}
    for block in blocks:
        for row in block.rows:
            for column, cell in zip(block.columns, row.cells, strict=True):
                if cell.estimate is not None and (over := interval_over(column, cell.estimate)):
                    found.setdefault(over, []).append(column.metric)
    return {
        over: dict.fromkeys(found[over]) for over in sorted(found, key=lambda o: (-len(found[o]), -len(o)))
    }


def _by_word(flags: Sequence[Flag]) -> tuple[Flag, ...]:
    """Each word once, with all that its flags say."""
    found: dict[tuple[str, bool], list[str]] = {}
    for flag in flags:
        found.setdefault((flag.word, flag.warning), []).append(flag.text)
    return tuple(Flag(word, "\n".join(texts), warning) for (word, warning), texts in found.items())


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
        share = any(share_text(row.cells[i].estimate) for i, _ in columns for row in block.rows)
        name = column_name(columns[0][1]) + (" (valid %)" if share else "")
        described = about(manifest, columns[0][1])
        heads = tuple(
            Head(
                i,
                name,
                described,
                " · ".join(producers(column)),
            )
            for i, column in columns
        )
        groups.append(Group(name, described, heads))
    return tuple(groups)
