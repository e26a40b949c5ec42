"""A table as text for a terminal, Markdown, LaTeX, CSV or JSON: the same rows in the same order everywhere.

Text and Markdown show rounded numbers; CSV and JSON hold full float64 in the unit that is shown (shares in
percent, as the column `unit` says).
"""

from __future__ import annotations

import csv
import io
import json
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from . import formats, words
from .aggregate import COORDINATES
from .formats import Interval, count, plural
from .model import Block, Cell, Column, Ranking, Row, Standing, Table
from .statistics import ALPHA, MIN_SAMPLES, MIN_SEEDS_OF_SETS, Estimate

Format = Literal["text", "md", "tex", "csv", "json"]
FORMATS: tuple[Format, ...] = ("text", "md", "tex", "csv", "json")

_ARROWS = {"higher": "↑", "lower": "↓", None: ""}
STATE_NOTES = {
    "few-samples": f"few-samples (fewer than {MIN_SAMPLES})",
    "few-seeds": f"few-seeds (fewer than {MIN_SEEDS_OF_SETS}, one number each)",
    "low-validity": "low-validity (fewer than 95 % of the samples have a valid result)",
}
_GAP = "  "


def render(
    tables: Sequence[Table],
    form: Format,
    *,
    width: int = 100,
    wide: bool = False,
    top: int | None = None,
    unicode: bool = True,
) -> str:
    """All tables in one form, ending in a newline. width, wide, unicode: text only. top: rows a block."""
    several = len({table.suite for table in tables}) > 1
    names = [
        [*([table.suite] if several else []), *([table.board] if len(tables) > 1 else [])] for table in tables
    ]
    if form == "csv":
        return _csv(tables, top)
    if form == "json":
        return json.dumps([_json(table, top) for table in tables], indent=1, allow_nan=False) + "\n"
    if form == "tex":
        from .latex import render_latex

        return render_latex(tables, top=top)
    if form == "md":
        return "\n".join(_markdown(table, top, name) for table, name in zip(tables, names, strict=True))
    text = "\n".join(
        _text(table, None if wide else width, top, name, unicode=unicode)
        for table, name in zip(tables, names, strict=True)
    )
    return text if unicode else formats.ascii_text(text)


# --- what a block shows --------------------------------------------------------------------------------


@dataclass
class Strip:
    """One printed column: its header lines and cells."""

    head: list[str]
    cells: list[str]
    numbers: bool = True


def strips_of(block: Block, rows: Sequence[Row]) -> list[Strip]:
    strips = []
    if (ranking := ranking_of(block)) is not None:
        standings = ranking.standings[: len(rows)]
        strips.append(Strip(["rank"], [rank_text(s) for s in standings], False))
        strips.append(Strip(["ties"], [ties_text(s) for s in standings], False))
    strips += [Strip([label], [row.at[label] for row in rows], False) for label in block.labels]
    for i, column in enumerate(block.columns):
        cells = [row.cells[i] for row in rows]
        strips.append(Strip(_head(block, i, cells), cells_text(column, cells)))
    strips.append(Strip(["cells"], [f"{row.done}/{row.of}" for row in rows], False))
    if any(row.flags or row.control for row in rows):
        strips.append(Strip(["flags"], [flags_text(row) for row in rows], False))
    return strips


def ranking_of(block: Block) -> Ranking | None:
    """The comparisons by which the rows are ranked, if there are any."""
    return None if block.ordered_by is None else block.columns[block.ordered_by].ranking


def rank_text(standing: Standing | None) -> str:
    """`2–3`, or `4` when that is certain; nothing for a row that is not ranked."""
    if standing is None:
        return ""
    return str(standing.low) if standing.low == standing.high else f"{standing.low}–{standing.high}"


def ties_text(standing: Standing | None) -> str:
    """Letters of the groups of rows that cannot be separated, each in a place of its own: `ab`, ` b`."""
    if standing is None or "(" in standing.ties:
        return standing.ties if standing else ""
    alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    last = max(map(alphabet.index, standing.ties), default=-1)
    return "".join(sign if sign in standing.ties else " " for sign in alphabet[: last + 1])


def flags_text(row: Row) -> str:
    """The flags of a row, each once: `⚑ like noise`, or `ⓘ control` for a null method."""
    control = ["ⓘ control"] if row.control else []
    return ", ".join(dict.fromkeys([*control, *(f"⚑ {flag.word}" for flag in row.flags)]))


def _head(block: Block, i: int, cells: Sequence[Cell]) -> list[str]:
    column = block.columns[i]
    first = column_name(column)
    if any(share_text(cell.estimate) for cell in cells):
        first += " (valid %)"
    lines = [first]
    producers = " · ".join(producer_name(c, label) for c, label in column.shown.items())
    if any(c.shown for c in block.columns):
        lines.append(producers)
    if len(_samples(block)) > 1:
        own = sorted({cell.estimate.n for cell in cells if cell.estimate is not None and cell.estimate.n})
        lines.append(f"n = {_span(own)}" if own else "")
    return lines


def producer_name(coordinate: str, label: str) -> str:
    """`pgd`, or `on pgd` for explanations of what an attack made."""
    return f"on {label}" if coordinate == "on" and label != "clean" else label


def column_name(column: Column) -> str:
    """`accuracy % ↑`."""
    return " ".join(part for part in (column.metric, column.unit, _ARROWS[column.direction]) if part)


def cells_text(column: Column, cells: Sequence[Cell]) -> list[str]:
    decimals = None
    if column.unit == "%":  # one rule for a whole column of shares; exact 0 and 100 keep their own
        found = [_interval(column, c.estimate) for c in cells]
        own = [i.decimals for i in found if i and i.decimals is not None and i.value not in (0.0, 100.0)]
        decimals = max(own, default=None)
    return [cell_text(column, cell, decimals) for cell in cells]


def cell_text(column: Column, cell: Cell, decimals: int | None) -> str:
    estimate = cell.estimate
    if estimate is None:
        return "·"
    if not cell.done:
        return "–"
    if estimate.value is None:
        return f"NaN ({count(estimate.not_numbers)})" if estimate.not_numbers else "none valid"
    interval = _interval(column, estimate)
    assert interval is not None
    if estimate.state == "incomplete":
        return f"{formats.significant(interval.value)} ({cell.done}/{cell.of})"
    text = formats.show_interval(interval, decimals)
    if interval.low is None and estimate.seeds == 1:
        text += " (1 seed)"
    return text + share_text(estimate) + ("*" if estimate.state in STATE_NOTES else "")


def share_text(estimate: Estimate | None) -> str:
    """` (94 ±2)`, the valid share of a conditional score in percent; nothing where all are valid."""
    share = estimate.share if estimate is not None else None
    if share is None or share.value in (None, 1.0):
        return ""
    return f" ({formats.show_interval(_scaled(share, 100.0))})"


def _interval(column: Column, estimate: Estimate | None) -> Interval | None:
    if estimate is None or estimate.value is None:
        return None
    return _scaled(estimate, column.scale)


def _scaled(estimate: Estimate, scale: float) -> Interval:
    value, low, high = (
        None if x is None else x * scale for x in (estimate.value, estimate.low, estimate.high)
    )
    assert value is not None
    return Interval(value, low, high)


def title_of(block: Block) -> list[str]:
    """`digits`, `mlp`, `5 seeds × 360 samples`, ..."""
    parts = [
        producer_name(c, block.at[c])
        for c in COORDINATES
        if c in block.at and (c, block.at[c]) != ("on", "clean")
    ]
    seeds = sorted({cell.of for row in block.rows for cell in row.cells if cell.of})
    samples = sorted(_samples(block))
    if seeds and samples:
        parts.append(
            f"{_span(seeds)} seed{'' if seeds[-1] == 1 else 's'} × "
            f"{_span(samples)} sample{'' if samples[-1] == 1 else 's'}"
        )
    if block.ordered_by is not None and len(block.rows) > 1:
        column = block.columns[block.ordered_by]
        name = " ".join([column_name(column), *column.shown.values()])
        parts.append(f"{'ranked' if column.ranking else 'ordered'} by {name}")
    if any(e.low is not None for e in _estimates(block)):
        parts.append("± half a 95 % interval")
    return parts


def notes_of(block: Block) -> list[str]:
    """What the numbers above cannot say."""
    estimates = list(_estimates(block))
    notes = []
    if (ranking := ranking_of(block)) is not None:
        notes.append(ranking.verdict)
    if states := [text for state, text in STATE_NOTES.items() if any(e.state == state for e in estimates)]:
        notes.append(f"* {'; '.join(states)}")
    if any(e.value is None and e.not_numbers for e in estimates):
        notes.append("NaN (k): k scores are not a number.")
    if missing := sum(row.of - row.done for row in block.rows):
        rows = sum(row.done < row.of for row in block.rows)
        notes.append(
            f"Incomplete: {plural(missing, 'cell')} of {plural(rows, 'row')} missing, shown without interval."
        )
    if other := [column_name(c) for c in block.columns if not c.comparable]:
        notes.append(f"Not comparable, measured on different samples: {', '.join(dict.fromkeys(other))}.")
    seeds = {e.seeds for e in estimates if e.state != "incomplete" and e.seeds}
    if seeds == {1}:
        notes.append(words.ONE_SEED)
    elif seeds == {2}:
        notes.append(words.TWO_SEEDS)
    flags: dict[str, list[str]] = {}
    for row in block.rows:
        for flag in row.flags:
            flags.setdefault(flag.word, []).append(f"{row.name}: {flag.text}")
    for word, texts in flags.items():
        more = f" ({len(texts) - 1} more: robex report)" if len(texts) > 1 else ""
        notes.append(f"⚑ {word}: {texts[0]}{more}")
    return notes


def _estimates(block: Block) -> Iterator[Estimate]:
    return (cell.estimate for row in block.rows for cell in row.cells if cell.estimate is not None)


def _samples(block: Block) -> set[int]:
    return {e.n for e in _estimates(block) if e.n}


def _span(numbers: Sequence[int]) -> str:
    first, last = count(numbers[0]), count(numbers[-1])
    return first if first == last else f"{first} to {last}"


# --- text ----------------------------------------------------------------------------------------------


def _text(table: Table, width: int | None, top: int | None, name: Sequence[str], *, unicode: bool) -> str:
    blocks = []
    for block in table.blocks:
        rows = block.rows[:top]
        strips = strips_of(block, rows)
        lines = _wrapped([*name, *title_of(block)], width)
        kept, dropped = _fitting(strips, width, unicode)
        lines += _aligned(kept, unicode)
        if dropped:
            lines.append(f"+{plural(dropped, 'column')}: --wide")
        if hidden := len(block.rows) - len(rows):
            lines.append(f"{plural(hidden, 'more row')} (--all)")
        starred = any("*" in cell for strip in kept for cell in strip.cells)
        told = [note for note in notes_of(block) if starred or not note.startswith("* ")]
        notes = [line for note in told for line in textwrap.wrap(note, width or 100)]
        blocks.append("\n".join([*lines, *notes]) + "\n")
    return "\n".join([*blocks, *(f"{warning}\n" for warning in table.warnings)])


def _fitting(strips: list[Strip], width: int | None, unicode: bool) -> tuple[list[Strip], int]:
    """The columns that fit, and how many on the right do not. The labels and one number always stay."""
    kept = list(strips)
    least = next((i for i, s in enumerate(strips) if s.numbers), len(strips)) + 1
    while width is not None and len(kept) > least:
        if max(map(len, _aligned(kept, unicode))) <= width:
            break
        kept.pop()
    return kept, len(strips) - len(kept)


def _aligned(strips: Sequence[Strip], unicode: bool) -> list[str]:
    """Lines of equal columns. Neighbours under one metric name share it: it is written once, above all."""
    plain = (lambda text: text) if unicode else formats.ascii_text
    height = max(len(s.head) for s in strips)
    groups: list[tuple[str, list[list[str]]]] = []
    for strip in strips:
        cells = [plain(cell) for cell in strip.cells]
        name, *below = map(plain, strip.head)
        lines = [*below, *[""] * (height - 1 - len(below)), *(_lined_up(cells) if strip.numbers else cells)]
        wide = max(map(len, lines))
        column = [line.ljust(wide) for line in lines]
        if groups and groups[-1][0] == name:
            groups[-1][1].append(column)
        else:
            groups.append((name, [column]))
    parts = []
    for name, columns in groups:
        lines = [name, *(_GAP.join(cells) for cells in zip(*columns, strict=True))]
        wide = max(map(len, lines))
        parts.append([line.ljust(wide) for line in lines])
    return [_GAP.join(line).rstrip() for line in zip(*parts, strict=True)]


def _lined_up(cells: Sequence[str]) -> list[str]:
    """Estimates with their right ends under each other, so that equal decimals align."""
    heads = [cell.strip().partition(" ") for cell in cells]
    wide = max((len(head) for head, _, _ in heads), default=0)
    return [f"{head:>{wide}}{gap}{rest}" for head, gap, rest in heads]


def _wrapped(parts: Sequence[str], width: int | None) -> list[str]:
    """Parts joined by dots, on as many lines as they need."""
    lines: list[str] = []
    for part in parts:
        if lines and (width is None or len(lines[-1]) + 3 + len(part) <= width):
            lines[-1] += f" · {part}"
        else:
            lines.append(part)
    return lines


# --- Markdown, CSV, JSON -------------------------------------------------------------------------------


def _markdown(table: Table, top: int | None, name: Sequence[str]) -> str:
    from tabulate import tabulate

    blocks = []
    for block in table.blocks:
        strips = strips_of(block, block.rows[:top])
        title = " · ".join([*name, *title_of(block)])
        heads = [_escaped("<br>".join(filter(None, s.head))) for s in strips]
        rows = [[_escaped(cell) for cell in cells] for cells in zip(*(s.cells for s in strips), strict=True)]
        grid = tabulate(rows, heads, tablefmt="pipe", disable_numparse=True)
        notes = "".join(f"\n{_escaped(note)}\n" for note in notes_of(block))
        blocks.append(f"**{_escaped(title)}**\n\n{grid}\n{notes}")
    return "\n".join([*blocks, *(f"{_escaped(warning)}\n" for warning in table.warnings)])


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*")


def _csv(tables: Sequence[Table], top: int | None) -> str:
    out = io.StringIO()
    writer: csv.DictWriter[str] | None = None
    for table in tables:
        for block in table.blocks:
            for i, row in enumerate(block.rows[:top]):
                for column, cell in zip(block.columns, row.cells, strict=True):
                    if cell.estimate is None:
                        continue
                    at = {**block.at, **row.at, **column.at}
                    record = {
                        "suite": table.suite,
                        "version": table.version,
                        "board": table.board,
                        **{c: at.get(c, "") for c in COORDINATES},
                        "metric": column.metric,
                        "unit": column.unit,
                        "direction": column.direction,
                        **_numbers(column, cell, i),
                        "keys": " ".join(cell.keys),
                        "comparable": column.comparable,
                        "flags": "; ".join(dict.fromkeys(flag.word for flag in row.flags)),
                    }
                    if writer is None:
                        writer = csv.DictWriter(out, list(record), lineterminator="\n")
                        writer.writeheader()
                    writer.writerow(record)
    return out.getvalue()


def _json(table: Table, top: int | None) -> dict[str, Any]:
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
                        "comparable": column.comparable,
                        **_comparisons(column, block),
                    }
                    for column in block.columns
                ],
                "rows": [
                    {
                        "at": dict(row.at),
                        "done": row.done,
                        "of": row.of,
                        "control": row.control,
                        "flags": [{"word": flag.word, "text": flag.text} for flag in row.flags],
                        "cells": [
                            None if cell.estimate is None else _numbers(column, cell, i)
                            for column, cell in zip(block.columns, row.cells, strict=True)
                        ],
                    }
                    for i, row in enumerate(block.rows[:top])
                ],
            }
            for block in table.blocks
        ],
    }


def _comparisons(column: Column, block: Block) -> dict[str, Any]:
    """What comparing the rows of a column says: JSON."""
    ranking = column.ranking
    if ranking is None:
        return {"ranked": 0, "pairs": []}
    names = [row.name for row in block.rows]
    return {
        "ranked": ranking.of,
        "family": ranking.of * (ranking.of - 1) // 2,
        "alpha": ALPHA,
        "verdict": ranking.verdict,
        "notes": list(ranking.notes),
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
