"""A table for machines, as CSV or JSON: full float64 in the unit that is shown (shares in percent, as the
column `unit` says). CSV has a line for each cell, published values in columns of their own beside it; what
holds over blocks and defenses, and published orders and claims, stand in JSON.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .across_table import across_json, defenses_json
from .cells import COORDINATES
from .formats import count, finite, plural
from .intervals import ALPHA
from .model import Block, Cell, Column, Table
from .strips import notes_of, row_notes, rows_shown, verdict_of

if TYPE_CHECKING:
    from .reproduction import Checked, CheckedValue


def render_csv(
    tables: Sequence[Table],
    top: int | None = None,
    *,
    incomplete: bool = False,
    checked: Mapping[tuple[str, str], Checked] | None = None,
) -> str:
    """top: rows a block; incomplete: and those further down that lack cells. checked: what was published, by
    suite and board: with it each line ends in the fields of its published value, empty where there is none.
    The second value of one cell (from another source) is `published_2`, and so on.
    """
    from .checked_forms import CSV_FIELDS, csv_fields

    told = {of: _by_cell(one) for of, one in (checked or {}).items()}
    most = max((len(values) for cells in told.values() for values in cells.values()), default=0)
    out = io.StringIO()
    writer: csv.DictWriter[str] | None = None
    for table in tables:
        published = told.get((table.suite, table.board), {})
        for block, i, column, cell in _lines(table, top, incomplete=incomplete):
            row = block.rows[i]
            at = {**block.at, **row.at, **column.at}
            record = {
                "suite": table.suite,
                "version": table.version,
                "board": table.board,
                **{c: at.get(c, "") for c in COORDINATES},
                "metric": column.metric,
                "unit": column.unit,
                "direction": column.direction,
                "average": column.average,
                **_numbers(column, cell, i),
                "keys": " ".join(cell.keys),
                "comparable": column.comparable,
                "control": "" if not row.control else "reference" if row.reference else "control",
                "flags": "; ".join(dict.fromkeys(flag.word for flag in row.flags)),
            }
            values = [csv_fields(v, column.scale) for v in published.get(_cell_of(column.metric, at), ())]
            for k in range(most):
                fields = values[k] if k < len(values) else dict.fromkeys(CSV_FIELDS)
                record |= {f"{name}_{k + 1}" if k else name: value for name, value in fields.items()}
            if writer is None:
                writer = csv.DictWriter(out, list(record), lineterminator="\n")
                writer.writeheader()
            writer.writerow(record)
    return out.getvalue()


def not_in_csv(
    tables: Sequence[Table],
    top: int | None = None,
    *,
    incomplete: bool = False,
    checked: Mapping[tuple[str, str], Checked] | None = None,
) -> list[str]:
    """What a CSV of these rows does not say and the other forms do, a sentence each."""
    told = list(dict.fromkeys(warning for table in tables for warning in table.warnings))
    for table in tables:
        if (found := (checked or {}).get((table.suite, table.board))) is None:
            continue
        there = {
            _cell_of(column.metric, {**block.at, **block.rows[i].at, **column.at})
            for block, i, column, _ in _lines(table, top, incomplete=incomplete)
        }
        values = _by_cell(found)
        if hidden := sum(len(some) for of, some in values.items() if of not in there):
            told.append(
                f"{table.board}: {count(hidden)} of {plural(len(found.values), 'published value')} "
                f"{'is' if hidden == 1 else 'are'} about rows that are not shown (--all)"
            )
        left = [
            plural(len(o), w) for o, w in ((found.orders, "published order"), (found.claims, "claim")) if o
        ]
        if left:
            told.append(f"{table.board}: {' and '.join(left)}: CSV has no place for them, --format json has")
    return told


def _lines(table: Table, top: int | None, *, incomplete: bool) -> Iterator[tuple[Block, int, Column, Cell]]:
    """The cells that have a line of their own, with the index of their row."""
    for block in table.blocks:
        for i in rows_shown(block, top, incomplete=incomplete):
            for column, cell in zip(block.columns, block.rows[i].cells, strict=True):
                if cell.estimate is not None:
                    yield block, i, column, cell


_CellOf = tuple[str, frozenset[tuple[str, str]]]


def _cell_of(metric: str, at: Mapping[str, str]) -> _CellOf:
    return metric, frozenset(at.items())


def _by_cell(found: Checked) -> dict[_CellOf, list[CheckedValue]]:
    cells: dict[_CellOf, list[CheckedValue]] = {}
    for value in found.values:
        spot = value.value.spot
        cells.setdefault(_cell_of(spot.metric, spot.at), []).append(value)
    return cells


def render_json(
    tables: Sequence[Table],
    top: int | None = None,
    *,
    incomplete: bool = False,
    checked: Mapping[tuple[str, str], Checked] | None = None,
) -> str:
    """checked: what was published beside ours, by suite and board."""
    from .checked_forms import checked_json

    found = {of: checked_json(one) for of, one in (checked or {}).items()}
    document = [
        {**_table_json(t, top, incomplete=incomplete), "expected": found.get((t.suite, t.board))}
        for t in tables
    ]
    return json.dumps(finite(document), indent=1, allow_nan=False) + "\n"


def _table_json(table: Table, top: int | None, *, incomplete: bool) -> dict[str, Any]:
    return {
        "suite": table.suite,
        "version": table.version,
        "board": table.board,
        "warnings": list(table.warnings),
        "blocks": [
            {
                "at": dict(block.at),
                "ordered_by": block.ordered_by,
                "notes": notes_of(block),
                "columns": [
                    {
                        "metric": column.metric,
                        "at": dict(column.at),
                        "unit": column.unit,
                        "direction": column.direction,
                        "kind": column.kind,
                        "average": column.average,
                        "comparable": column.comparable,
                        **_comparisons(block, i),
                    }
                    for i, column in enumerate(block.columns)
                ],
                "rows": [
                    {
                        "at": dict(row.at),
                        "done": row.done,
                        "of": row.of,
                        "control": row.control,
                        "reference": row.reference,
                        "flags": [{"word": flag.word, "text": flag.text} for flag in row.flags],
                        "cells": [
                            None if cell.estimate is None else _numbers(column, cell, i)
                            for column, cell in zip(block.columns, row.cells, strict=True)
                        ],
                    }
                    for i in rows_shown(block, top, incomplete=incomplete)
                    for row in [block.rows[i]]
                ],
            }
            for block in table.blocks
        ],
        "notes": list(table.notes),
        "across": [across_json(across) for across in table.across],
        "across_defenses": [defenses_json(one) for one in table.defenses],
    }


def _comparisons(block: Block, i: int) -> dict[str, Any]:
    """What comparing the rows of a column says: JSON."""
    column, ranking = block.columns[i], block.columns[i].ranking
    if ranking is None:
        return {"ranked": 0, "pairs": []}
    names = [row.name for row in block.rows]
    return {
        "ranked": ranking.of,
        "family": ranking.of * (ranking.of - 1) // 2,
        "alpha": ALPHA,
        "verdict": verdict_of(block, i),
        "notes": row_notes(block, i),
        "pairs": [
            {
                "rows": [names[p.first], names[p.second]],
                "difference": p.difference * column.scale,
                "lo": None if p.low is None else p.low * column.scale,
                "hi": None if p.high is None else p.high * column.scale,
                "p": p.p,
                "p_holm": p.p_adjusted,
                "better": None if p.better is None else names[p.better],
            }
            for p in ranking.pairs
        ],
    }


def _numbers(column: Column, cell: Cell, row: int) -> dict[str, Any]:
    """The columns of CSV and the cells of JSON. row: where it stands in its block."""
    estimate = cell.estimate
    assert estimate is not None
    standing = column.ranking.standings[row] if column.ranking else None

    def scaled(x: float | None, scale: float = column.scale) -> float | None:
        return None if x is None else x * scale

    share = estimate.share
    return {
        "value": scaled(estimate.value),
        "lo": scaled(estimate.low),
        "hi": scaled(estimate.high),
        "n": estimate.n,
        "seeds": estimate.seeds,
        "scope": estimate.scope,
        "state": estimate.state,
        "not_numbers": estimate.not_numbers,
        "valid_share": scaled(share.value, 1.0) if share else None,
        "valid_lo": scaled(share.low, 1.0) if share else None,
        "valid_hi": scaled(share.high, 1.0) if share else None,
        "rank_lo": standing.low if standing else None,
        "rank_hi": standing.high if standing else None,
        "ties": standing.ties if standing else None,
        "done": cell.done,
        "of": cell.of,
        "keys": list(cell.keys),
    }
