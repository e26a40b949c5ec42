"""Where a column's ranking puts the rows of a block: their order, rank intervals and groups of ties.

The page's script says the same from the same few numbers when a reader sorts by another column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..model import Block, Cell
from ..ranks import ALPHABET, Standing, letter

BAR = 60
LANES = 6


@dataclass(frozen=True)
class Place:
    """A row in the ranking of a column of `of` rows. first, groups: the number of its first group of rows
    that cannot be separated, and of how many it is part. lanes: of the column. leads: no row is separated as
    better, while some row is from another."""

    low: int
    high: int
    first: int
    groups: int
    of: int
    lanes: int
    leads: bool

    @property
    def rank(self) -> str:
        return f"{self.low}" if self.low == self.high else f"{self.low}–{self.high}"

    @property
    def bar(self) -> tuple[str, str]:
        """Left and width on the scale 1..n, in px."""
        width = max(2.0, (self.high - self.low + 1) / self.of * BAR)
        return f"{(self.low - 1) / self.of * BAR:.1f}", f"{width:.1f}"

    @property
    def ties(self) -> list[tuple[str, int]]:
        """The letters of its groups with the lane each is drawn in: groups that overlap get different
        lanes."""
        last = self.first + self.groups - 1
        if self.groups > LANES:
            return [(f"{letter(self.first)} … {letter(last)}", 0)]
        return [(letter(g), g % self.lanes) for g in range(self.first, last + 1)]

    @property
    def compact(self) -> list[int]:
        return [self.low, self.high, self.first, self.groups]


class Ranked:
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
        self.rest_title = _title(block, by, self.order[self.ranked :])
        self.of = self.ranking.of if self.ranking else 0
        groups = [_groups(s) if s is not None else (0, 0) for s in standings]
        self.lanes = min(LANES, max(3, *(n for _, n in groups)))
        apart = any(s.low > 1 for s in standings if s is not None)
        self.places = [
            Place(s.low, s.high, *groups[r], self.of, self.lanes, apart and s.low == 1) if s else None
            for r, s in enumerate(standings)
        ]


def _groups(standing: Standing) -> tuple[int, int]:
    """The number of the first group in `abc` or `(53)(54)`, and how many: groups of a row are neighbours."""
    if "(" not in standing.ties:
        return (ALPHABET.index(standing.ties[0]), len(standing.ties)) if standing.ties else (0, 0)
    letters, _, numbers = standing.ties.partition("(")
    many = len(letters) + numbers.count("(") + 1
    return (ALPHABET.index(letters[0]) if letters else int(numbers.partition(")")[0]) - 1), many


def _title(block: Block, by: int | None, rest: Sequence[int]) -> str:
    """Of the rows that a column does not rank."""
    if not rest or by is None:
        return ""
    if all(block.rows[r].reference for r in rest):
        return "References: shown, never ranked"
    cells = [block.rows[r].cells[by] for r in rest]
    if not all(cell.done < cell.of for cell in cells):
        return "Not ranked by this column"
    elsewhere = any(c.ranking is not None and c.ranking.standings[r] for c in block.columns for r in rest)
    return "Incomplete: listed, " + ("not ranked by this column" if elsewhere else "never ranked")


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
