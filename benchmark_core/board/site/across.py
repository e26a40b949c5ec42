"""What the page says across datasets: wins, ties and losses, and the picture of mean ranks where it may be
drawn. Everything here is geometry in pixels; the template draws it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .. import across_table, words
from ..formats import fixed
from ..model import Across, Table
from ..table import Strip

WIDTH = 558
LEFT, TOP, STEP, LANE = 240, 16, 22, 10
MOST_ROWS = 40  # more are a table only
_LONGEST = 28


@dataclass(frozen=True)
class RankMark:
    """A row: its name, and where its mean rank lies."""

    name: str
    full: str
    x: float
    y: float
    title: str


@dataclass(frozen=True)
class RankBar:
    """Rows that cannot be separated, from one height to another."""

    x: float
    top: float
    bottom: float


@dataclass(frozen=True)
class RankPicture:
    axis: str
    ticks: tuple[tuple[float, int], ...]
    marks: tuple[RankMark, ...]
    bars: tuple[RankBar, ...]
    right: float
    bottom: float
    alt: str

    @property
    def height(self) -> float:
        return self.bottom + 48


@dataclass(frozen=True)
class AcrossPart:
    """One column over datasets."""

    title: str
    column: str
    strips: tuple[Strip, ...]
    notes: tuple[str, ...]
    picture: RankPicture | None

    @property
    def rows(self) -> list[tuple[str, ...]]:
        return list(zip(*(s.cells for s in self.strips), strict=True))


@dataclass(frozen=True)
class AcrossView:
    """A board over datasets. first: the column that orders it; others: folded."""

    board: str
    first: AcrossPart
    others: tuple[AcrossPart, ...]


def across_view(table: Table) -> AcrossView | None:
    if not table.across:
        return None
    first, *others = (_part(a) for a in table.across)
    return AcrossView(table.board[:1].upper() + table.board[1:], first, tuple(others))


def _part(across: Across) -> AcrossPart:
    _, over, column = across_table.title_of(across)
    strips, notes = tuple(across_table.strips_of(across)), tuple(across_table.notes_of(across))
    return AcrossPart(f"{over} · {column}", column, strips, notes, rank_picture(across))


def rank_picture(across: Across) -> RankPicture | None:
    """The critical-difference plot: mean ranks as dots, the best on top, bars beside rows that cannot be
    separated. None where blocks are too few."""
    found, k = across.critical, len(across.compared)
    if found is None or k > MOST_ROWS:
        return None
    names = [across.rows[i].name for i in across.compared]
    order = sorted(range(k), key=lambda i: (found.mean_ranks[i], names[i]))
    height = {row: TOP + STEP * place for place, row in enumerate(order)}
    bars = _lanes([(height[group[0]], height[group[-1]]) for group in found.groups if len(group) > 1])
    right = WIDTH - 16 - LANE * (1 + max((lane for lane, _, _ in bars), default=-1))

    def x(rank: float) -> float:
        return round(LEFT + (right - LEFT) * (rank - 1) / (k - 1), 1)

    step = max(1, (k - 1) // 8)
    marks = [
        RankMark(
            _short(names[i]), names[i], x(found.mean_ranks[i]), height[i],
            f"{names[i]}: mean rank {fixed(found.mean_ranks[i], 2)}",
        )
        for i in order
    ]  # fmt: skip
    return RankPicture(
        words.MEAN_RANK_AXIS.format(k=k),
        tuple((x(rank), rank) for rank in range(1, k + 1, step)),
        tuple(marks),
        tuple(RankBar(right + LANE * (lane + 1), top - 6, bottom + 6) for lane, top, bottom in bars),
        right,
        TOP + STEP * (k - 1) + 14,
        f"Mean ranks of {k} rows over {len(across.blocks)} datasets; the table above holds the same numbers.",
    )


def _lanes(spans: Sequence[tuple[float, float]]) -> list[tuple[int, float, float]]:
    """(lane, top, bottom): spans that overlap get different lanes."""
    ends: list[float] = []
    found = []
    for top, bottom in spans:
        lane = next((i for i, end in enumerate(ends) if end < top), len(ends))
        ends[lane : lane + 1] = [bottom]
        found.append((lane, top, bottom))
    return found


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
