"""In which order the rows and columns of a block stand, by which column rows are ranked, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .model import Block, Column, Row


def ordering(columns: Sequence[Column], wish: str | None, about: Mapping[str, Any]) -> int | None:
    """The place of the first column of the metric to rank by (its worst case before single attacks); without
    a wish that of the first with a direction that measures what an attack or explainer made, else of the
    first with one. about: what the manifest says of metrics.
    """
    fitting = [
        (i, c)
        for i, c in enumerate(columns)
        if c.direction is not None and (wish is None or c.metric == wish)
    ]
    if not fitting:
        return None
    made = [(i, c) for i, c in fitting if set(about[c.metric]["consumes"]) - {"prediction"}]
    metric = (made or fitting)[0][1].metric
    worst = [i for i, c in fitting if c.metric == metric and c.derived]
    return worst[0] if worst else next(i for i, c in fitting if c.metric == metric)


def ranked_first(columns: Sequence[Column], by: int | None) -> list[int]:
    """The columns as they are shown: of the metric that ranks the rows before the others, and the one that
    does before all, so that what is too narrow for a table has it."""
    if by is None:
        return list(range(len(columns)))
    metric = columns[by].metric
    return sorted(range(len(columns)), key=lambda i: (columns[i].metric != metric, i != by, i))


def why_ordered(blocks: Iterable[Block], metrics: Sequence[str]) -> tuple[str, ...]:
    """Said where nobody asked for the column that orders rows, and it is not of the first metric that could.
    metrics: of the board, in the order of the suite."""
    by = {
        block.columns[block.ordered_by].metric: None
        for block in blocks
        if block.ordered_by is not None
        if block.columns[block.ordered_by].metric
        != min((c.metric for c in block.columns if c.direction), key=metrics.index)
    }
    return tuple(
        f"Rows are ordered by {metric}: the suite names no rank_by, and this is its first metric of what "
        "an attack or explainer made."
        for metric in by
    )


def in_order(columns: Sequence[Column], rows: Sequence[Row], by: int | None) -> list[int]:
    """The rows as they are shown."""
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
