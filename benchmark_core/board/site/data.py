"""What the page's script knows of a block: orders, what the drawer says about a number, fields of the CSV.

Written tersely, for most of the page's size is here: what many numbers share stands once, in a table of
strings; ranks and ties stand as numbers; record keys in base64.
"""

from __future__ import annotations

import base64
import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from .. import words
from ..formats import MINUS, plural, significant
from ..model import Block, Cell, Column, Row, Table
from ..records import render_csv
from ..statistics import Estimate
from ..strips import column_name, interval_over, producers
from .facts import SHORT, Facts
from .places import Ranked

#: In place of a field of the CSV: what the script takes from elsewhere.
KEYS, RANK_LOW, RANK_HIGH, TIES = -1, -2, -3, -4
_ELSEWHERE = {"keys": KEYS, "rank_lo": RANK_LOW, "rank_hi": RANK_HIGH, "ties": TIES}


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


class BlockData:
    def __init__(self, facts: Facts, strings: Strings, table: Table, block: Block) -> None:
        self.facts, self.strings, self.block = facts, strings, block
        self.csv_head, self.csv_columns, self.csv_cells = _csv(table, block)

    def made(self, places: Sequence[Ranked], *, flags: bool) -> dict[str, Any]:
        block = self.block
        heads = [" · ".join([column_name(c), *producers(c)]) for c in block.columns]
        return {
            "csv": self.csv_head,
            "head": [*block.labels, *heads, "cells", *(["flags"] if flags else [])],
            "columns": [
                {
                    "name": column_title(column),
                    "about": about(self.facts.manifest, column),
                    "unit": column.unit,
                    "order": places[i].order,
                    "ranked": places[i].ranked,
                    "rest": places[i].rest_title,
                    "of": places[i].of,
                    "lanes": places[i].lanes,
                    "places": [p.compact if p else 0 for p in places[i].places] if places[i].ranking else 0,
                    "csv": self.csv_columns[i],
                }
                for i, column in enumerate(block.columns)
            ],
            "labels": [[_quoted(row.at[label]) for label in block.labels] for row in block.rows],
            "cells": [
                [self._cell(row, c, self.csv_cells[c].get(r, "")) for c in range(len(block.columns))]
                for r, row in enumerate(block.rows)
            ],
        }

    def _cell(self, row: Row, c: int, fields: str) -> Any:
        """What the drawer says about a number, and its fields in the CSV: how it was estimated and where it
        comes from (indices into strings and origins), record keys, values by seed, fields, what misses."""
        column, cell = self.block.columns[c], row.cells[c]
        if cell.estimate is None:
            return 0
        at = {**self.block.at, **row.at, **column.at}
        seeds = self.facts.seeds(at, column.metric, cell)
        origin = self.facts.origin(seeds)
        on = " · ".join(filter(None, (at.get("dataset", ""), origin.dataset)))
        keys = bytes.fromhex("".join(key[:SHORT] for key in [s.key for s in seeds] or cell.keys))
        found = [
            self.strings.add(_how(column, cell.estimate, cell.done)),
            self.strings.origin(on, origin.ran, origin.passes, origin.versions),
            base64.b64encode(keys).decode(),
            _by_seed(column, cell),
            fields,
        ]
        if cell.done < cell.of:
            found.append(self.facts.missing(at, seeds))
        return found


def column_title(column: Column) -> str:
    return " · ".join([column.metric, *producers(column)])


def about(manifest: Mapping[str, Any], column: Column) -> str:
    """`Share of ... Higher is better. Shown in %.`"""
    metric = manifest["metrics"].get(column.metric, {})
    better = {"higher": "Higher is better.", "lower": "Lower is better."}.get(column.direction or "", "")
    said = [(metric.get("summary") or "").strip(), better]
    if column.unit == "%":
        said.append("Shown in %.")
    if column.average == "median":
        said.append("The median over the samples.")
    if (failure := metric.get("failure")) is not None:
        said.append(f"A sample without a valid result counts as {_number(failure)}.")
    return " ".join(filter(None, said))


def _number(failure: Any) -> str:
    """A failure value as the manifest has it (`inf`, `1.0`)."""
    return significant(float(failure))


def _how(column: Column, estimate: Estimate, ran: int) -> str:
    """`Mean over 5 seeds × 200 samples; 95 % interval over seeds and samples`. ran: seeds measured."""
    average = "Median" if column.average == "median" else "Mean"
    over = f"{average} over {plural(ran or estimate.seeds, 'seed')} × {plural(estimate.n, 'sample')}"
    if estimate.state == "incomplete":
        return f"{over}; incomplete, so without interval and rank"
    if estimate.low is None:
        return f"{over}; no interval"
    over_what = interval_over(column, estimate)
    kind = "Wilson, " if column.kind == "bernoulli" and over_what != "seeds" else ""
    scope = "holds for new runs" if estimate.scope == "new runs" else "holds for these trained models"
    said = [f"{over}; 95 % interval ({kind}over {over_what}), {scope}"]
    said += words.notes(estimate, column.metric, column.kind, ran)
    return ". ".join(text.rstrip(".") for text in said) + "."


def _by_seed(column: Column, cell: Cell) -> str:
    return " ".join("–" if v is None else _terse(v * column.scale) for v in cell.by_seed)


def _terse(value: float) -> str:
    """Four digits; the script writes the minus signs."""
    return significant(value, 4).replace(MINUS, "-")


def _csv(table: Table, block: Block) -> tuple[str, list[list[str | int | None]], list[dict[int, str]]]:
    """The lines of the CSV form, taken apart: the header; for each column its fields (a number: that label of
    the row, or taken from elsewhere; None: it differs from row to row); for each column and row the others, a
    tab between."""
    text = render_csv([replace(table, blocks=(block,))])
    head, *lines = list(csv.reader(io.StringIO(text))) or [[]]
    places = [
        (r, c)
        for r, row in enumerate(block.rows)
        for c, cell in enumerate(row.cells)
        if cell.estimate is not None
    ]
    by_column: list[dict[int, list[str]]] = [{} for _ in block.columns]
    for (r, c), line in zip(places, lines, strict=True):
        by_column[c][r] = [_quoted(f.replace("\t", " ")) for f in line]
    known = {head.index(c): i for i, c in enumerate(block.labels)}
    known |= {head.index(name): code for name, code in _ELSEWHERE.items() if name in head}
    shared: list[list[str | int | None]] = []
    own: list[dict[int, str]] = []
    for found in by_column:
        fields: list[str | int | None] = []
        for i, values in enumerate(zip(*found.values(), strict=True)):
            fields.append(known.get(i, values[0] if len(set(values)) == 1 else None))
        shared.append(fields)
        own.append(
            {
                r: "\t".join(f for f, told in zip(line, fields, strict=True) if told is None)
                for r, line in found.items()
            }
        )
    return ",".join(head), shared, own


def _quoted(text: str) -> str:
    """A field as CSV writes it."""
    return '"' + text.replace('"', '""') + '"' if re.search(r'[",\r\n]', text) else text
