"""The one table model behind every format: blocks of rows and columns, each cell with its estimate.

What a board has by the million is a NamedTuple: a frozen dataclass takes several times as long to make.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from .blocks import CriticalDifference, WinsTiesLosses
from .correlation import Correlation
from .ranks import Standing
from .statistics import Estimate


@dataclass(frozen=True)
class Pair:
    """Two rows of a column (indices into the block's rows) and what separates them.

    difference: first minus second, with its unadjusted interval. p_adjusted: after Holm over the column.
    better: the row separated as better, or None.
    """

    first: int
    second: int
    difference: float
    low: float | None
    high: float | None
    p: float
    p_adjusted: float
    better: int | None


@dataclass(frozen=True)
class Ranking:
    """The comparisons of one column. standings: one a row of the block, None where it is not ranked.

    of: how many rows are ranked. pairs: all comparisons (only the separated ones above 50 rows).
    verdict: one sentence on the top.
    """

    standings: tuple[Standing | None, ...]
    of: int
    pairs: Sequence[Pair]
    verdict: str


@dataclass(frozen=True)
class Flag:
    """Something odd about a row: a word for the pill, and what was seen, why it is odd, what to look at."""

    word: str
    text: str
    warning: bool = True


def opposite(direction: str | None) -> str | None:
    return {"higher": "lower", "lower": "higher", None: None}[direction]


@dataclass(frozen=True)
class Column:
    """One metric under fixed coordinates (attack, explainer, ... that are no rows).

    at: all of them. shown: those that the header names, because the title does not.
    kind: how it is scored. comparable: every row was measured on the same samples.
    ranking: what comparing its rows says; None for one row, or where nothing can be ranked.
    average: `mean` or `median` over the samples. derived: made from other columns, as the worst case over
    attacks is. turned: `direction` is the opposite of the metric's own: that of the rows, where the metric
    judges what they meet. opposed: it is the opposite of what a defense wants.
    """

    metric: str
    at: Mapping[str, str]
    shown: Mapping[str, str]
    unit: str
    direction: str | None
    kind: str
    comparable: bool = True
    ranking: Ranking | None = None
    average: str = "mean"
    turned: bool = False
    opposed: bool = False
    derived: bool = False

    @property
    def scale(self) -> float:
        """Shares are stored as fractions and shown in percent."""
        return 100.0 if self.unit == "%" else 1.0


class Cell(NamedTuple):
    """A row in a column. done, of: seeds measured and planned; of = 0: the metric does not apply.

    estimate: None when it does not apply. derived: made from other columns, such as the worst case over
    attacks. keys: of the records, one a seed, in order of the seeds; by_seed:
    the mean score of each (None where it is missing).
    """

    estimate: Estimate | None
    done: int
    of: int
    keys: tuple[str, ...] = ()
    by_seed: tuple[float | None, ...] = ()
    derived: bool = False


@dataclass(frozen=True)
class Row:
    """at: its coordinates. cells: one for each column of the block. control: a null method, or a reference:
    what real data itself scores, never ranked."""

    at: Mapping[str, str]
    cells: tuple[Cell, ...]
    flags: tuple[Flag, ...] = ()
    control: bool = False
    reference: bool = False

    @property
    def name(self) -> str:
        return " · ".join(self.at.values())

    @property
    def done(self) -> int:
        return sum(cell.done for cell in self.cells if not cell.derived)

    @property
    def of(self) -> int:
        return sum(cell.of for cell in self.cells if not cell.derived)


@dataclass(frozen=True)
class Block:
    """Rows that share a dataset. at: what the title says (the dataset, and coordinates that never vary).

    labels: the coordinates that tell rows apart. ordered_by: index of the column that orders the rows.
    """

    at: Mapping[str, str]
    labels: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    ordered_by: int | None = None


@dataclass(frozen=True)
class AcrossRow:
    """A row over all blocks. at: its coordinates. record: over blocks, rows it is separated from and better,
    not separated from, worse. ranked: in how many blocks it is. mean: over blocks, None unless complete."""

    at: Mapping[str, str]
    record: WinsTiesLosses
    ranked: int
    mean: float | None

    @property
    def name(self) -> str:
        return " · ".join(self.at.values())


@dataclass(frozen=True)
class Across:
    """One column over the blocks that have it (two or more). blocks: their titles, in order.

    rows: most wins less losses first, then by name, those ranked nowhere last: an order to read by, no
    ranking. critical: of the complete rows (`compared`, indices into rows); None with fewer than `needed`
    blocks or two such rows.
    """

    column: Column
    blocks: tuple[Mapping[str, str], ...]
    rows: tuple[AcrossRow, ...]
    critical: CriticalDifference | None
    compared: tuple[int, ...]
    needed: int


@dataclass(frozen=True)
class AcrossDefenses:
    """Robustness against explanations over the defenses of one dataset, model and explainer (`at`).

    found: their rank correlation, both turned so that more is better. attack: that of the robust column.
    """

    at: Mapping[str, str]
    robust: Column
    attack: str
    explained: Column
    found: Correlation


@dataclass(frozen=True)
class Table:
    """A board of a suite. warnings: what the reader must know about its making (damaged records).
    notes: what holds for all of its blocks, such as the params that all attacks share. across: its columns
    over blocks; empty with one block. defenses: where its explanations meet another board's robustness."""

    suite: str
    version: int
    board: str
    blocks: tuple[Block, ...]
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    across: tuple[Across, ...] = ()
    defenses: tuple[AcrossDefenses, ...] = ()
