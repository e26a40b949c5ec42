"""The one table model behind every format: blocks of rows and columns, each cell with its estimate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .statistics import Estimate


@dataclass(frozen=True)
class Column:
    """One metric under fixed coordinates (attack, explainer, ... that are no rows).

    at: all of them. shown: those that the header names, because the title does not.
    kind: how it is scored. comparable: every row was measured on the same samples.
    """

    metric: str
    at: Mapping[str, str]
    shown: Mapping[str, str]
    unit: str
    direction: str | None
    kind: str
    comparable: bool = True

    @property
    def scale(self) -> float:
        """Shares are stored as fractions and shown in percent."""
        return 100.0 if self.unit == "%" else 1.0


@dataclass(frozen=True)
class Cell:
    """A row in a column. done, of: seeds measured and planned; of = 0: the metric does not apply.

    estimate: None when it does not apply.
    """

    estimate: Estimate | None
    done: int
    of: int


@dataclass(frozen=True)
class Row:
    """at: its coordinates. cells: one for each column of the block."""

    at: Mapping[str, str]
    cells: tuple[Cell, ...]

    @property
    def name(self) -> str:
        return " · ".join(self.at.values())

    @property
    def done(self) -> int:
        return sum(cell.done for cell in self.cells)

    @property
    def of(self) -> int:
        return sum(cell.of for cell in self.cells)


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
class Table:
    """A board of a suite. warnings: what the reader must know about its making (damaged records)."""

    suite: str
    version: int
    board: str
    blocks: tuple[Block, ...]
    warnings: tuple[str, ...] = ()
