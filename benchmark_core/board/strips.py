"""What a block shows as strings: headers, cells, title and notes. Text, Markdown, LaTeX and the page take
them from here, so that all forms say the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from . import formats, words
from .cells import COORDINATES
from .formats import Interval, count, plural
from .model import Block, Cell, Column, Ranking, Row, Standing
from .ranks import ALPHABET
from .statistics import MIN_SAMPLES, MIN_SEEDS_OF_SETS, Estimate

_ARROWS = {"higher": "↑", "lower": "↓", None: ""}
STATE_NOTES = {
    "few-samples": f"few-samples (fewer than {MIN_SAMPLES})",
    "few-seeds": f"few-seeds (fewer than {MIN_SEEDS_OF_SETS}, one number each)",
    "low-validity": "low-validity (fewer than 95 % of the samples have a valid result)",
    "reference": "reference (what real data itself scores)",
}


@dataclass
class Strip:
    """One printed column: its header lines and cells."""

    head: list[str]
    cells: list[str]
    numbers: bool = True


def rows_shown(block: Block, top: int | None = None, *, incomplete: bool = False) -> list[int]:
    """The rows of a form that shows at most `top` of them. incomplete: and those further down that lack
    cells."""
    rows = enumerate(block.rows)
    return [i for i, row in rows if top is None or i < top or (incomplete and row.done < row.of)]


def hidden_text(block: Block, shown: Sequence[int]) -> str:
    """`12 more rows (--all), 1 incomplete row (--incomplete)`; nothing where all are shown."""
    hidden = [block.rows[i] for i in set(range(len(block.rows))) - set(shown)]
    lacking = sum(row.done < row.of for row in hidden)
    parts = [f"{plural(more, 'more row')} (--all)"] if (more := len(hidden) - lacking) else []
    parts += [f"{plural(lacking, 'incomplete row')} (--incomplete)"] if lacking else []
    return ", ".join(parts)


def strips_of(block: Block, shown: Sequence[int]) -> list[Strip]:
    """shown: which rows, as `rows_shown` has them."""
    rows, strips = [block.rows[i] for i in shown], []
    if (ranking := ranking_of(block)) is not None:
        standings = [ranking.standings[i] for i in shown]
        strips.append(Strip(["rank"], [rank_text(s) for s in standings], False))
        strips.append(Strip(["ties"], [ties_text(s.ties if s else "") for s in standings], False))
    strips += [Strip([label], [row.at[label] for row in rows], False) for label in block.labels]
    named, sizes = any(c.shown for c in block.columns), len(_samples(block)) > 1
    for i, column in enumerate(block.columns):
        cells = [row.cells[i] for row in rows]
        strips.append(Strip(_head(column, cells, named=named, sizes=sizes), cells_text(column, cells)))
    strips.append(Strip(["cells"], [f"{count(row.done)}/{count(row.of)}" for row in rows], False))
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


def ties_text(ties: str) -> str:
    """Letters of the groups of rows that cannot be separated, each in a place of its own: `ab`, ` b`."""
    if "(" in ties:
        return ties
    last = max(map(ALPHABET.index, ties), default=-1)
    return "".join(sign if sign in ties else " " for sign in ALPHABET[: last + 1])


def flags_text(row: Row) -> str:
    """The flags of a row, each once: `⚑ like noise`, `ⓘ control` for a null method, `ⓘ reference`."""
    control = ["ⓘ reference" if row.reference else "ⓘ control"] if row.control else []
    return ", ".join(dict.fromkeys([*control, *(f"⚑ {flag.word}" for flag in row.flags)]))


def _head(column: Column, cells: Sequence[Cell], *, named: bool, sizes: bool) -> list[str]:
    """named, sizes: whether columns of its block have names beside their metrics, and different n."""
    first = column_name(column)
    if any(share_text(cell.estimate) for cell in cells):
        first += " (valid %)"
    lines = [first]
    if named:
        lines.append(" · ".join(producers(column)))
    if sizes:
        own = sorted({cell.estimate.n for cell in cells if cell.estimate is not None and cell.estimate.n})
        lines.append(f"n = {_span(own)}" if own else "")
    return lines


def producer_name(coordinate: str, label: str) -> str:
    """`pgd`, or `on pgd` for explanations of what an attack made."""
    return f"on {label}" if coordinate == "on" and label != "clean" else label


def producers(column: Column) -> list[str]:
    """What tells a column from others of its metric: `pgd`; `saliency`, `on pgd`; or `clean` alone."""
    named = [(c, label) for c, label in column.shown.items() if (c, label) != ("on", "clean")]
    return [producer_name(c, label) for c, label in named or column.shown.items()]


def column_name(column: Column) -> str:
    """`accuracy % ↑`, `distance (median) ↓`."""
    median = "(median)" if column.average == "median" else ""
    return " ".join(part for part in (column.metric, median, column.unit, _ARROWS[column.direction]) if part)


def told_name(column: Column) -> str:
    """In a sentence: `implausibility (ecco, on pgd)`, the metric and what made that which it measures."""
    made = [
        producer_name(c, label)
        for c, label in column.at.items()
        if (c, label) != ("on", "clean") and (c in column.shown or c in ("attack", "explainer", "on"))
    ]
    return f"{column.metric} ({', '.join(made)})" if made else column.metric


def verdict_of(block: Block, column: int) -> str:
    """The first sentence about a column, and whether all at its top are controls; nothing where nothing is
    ranked."""
    ranking = block.columns[column].ranking
    if ranking is None:
        return ""
    top = [row for row, s in zip(block.rows, ranking.standings, strict=True) if s is not None and s.low == 1]
    if not top or not all(row.control for row in top):
        return ranking.verdict
    who = "It is a control" if len(top) == 1 else "All of them are controls"
    return f"{ranking.verdict} {who}, which every method should beat."


def board_verdict(block: Block) -> str:
    """That of the column by which the rows are ranked, and if it separates none, what their order is."""
    if block.ordered_by is None or (ranking := ranking_of(block)) is None:
        return ""
    said = verdict_of(block, block.ordered_by)
    if ranking.of > 1 and not any(s and (s.low, s.high) != (1, ranking.of) for s in ranking.standings):
        said += f" {words.ORDER_OF_ESTIMATES}"
    return said


def interval_over(column: Column, estimate: Estimate) -> Literal["", "seeds and samples", "samples", "seeds"]:
    """What the interval of a cell rests on; nothing without one. Seeds that see samples of their own have no
    components."""
    if estimate.low is None:
        return ""
    return words.interval_over(column.kind, estimate.seeds, crossed=estimate.components is not None)


def is_apart(block: Block, column: int) -> bool:
    """Whether its rows were measured on different samples: one row alone was not."""
    rows = sum(row.cells[column].estimate is not None for row in block.rows)
    return rows > 1 and not block.columns[column].comparable


def lacking(block: Block, rows: Sequence[int]) -> list[str]:
    """The columns that lack cells of these rows, if others rank one of the rows; else nothing."""
    ranked = any(c.ranking is not None and c.ranking.standings[r] for c in block.columns for r in rows)
    return [
        " · ".join([column.metric, *producers(column)])
        for i, column in enumerate(block.columns)
        if ranked and any(cell.done < cell.of for cell in (block.rows[r].cells[i] for r in rows))
    ]


def cells_text(column: Column, cells: Sequence[Cell]) -> list[str]:
    """The cells of a column, written alike."""
    found = [i for c in cells if (i := _interval(column, c.estimate)) is not None]
    decimals = None
    if column.unit == "%":  # one rule for a whole column of shares; exact 0 and 100 keep their own
        own = [i.decimals for i in found if i.decimals is not None and i.value not in (0.0, 100.0)]
        decimals = max(own, default=None)
    exponent = formats.column_exponent(found)
    return [cell_text(column, cell, decimals, exponent) for cell in cells]


def cell_text(
    column: Column, cell: Cell, decimals: int | None, exponent: int | Literal["own"] | None = "own"
) -> str:
    """decimals, exponent: those of the column (as formats.show_interval)."""
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
        return f"{formats.show_interval(Interval(interval.value), None, exponent)} ({cell.done}/{cell.of})"
    text = formats.show_interval(interval, decimals, exponent)
    if interval.is_point and column.average == "median":  # most scores are equal, not all
        bare = formats.significant(interval.value)
        text = f"{bare} [{bare}, {bare}]"
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
        name = " ".join([column_name(column), *producers(column)])
        parts.append(f"{'ranked' if column.ranking else 'ordered'} by {name}")
    if any(e.low is not None for e in _estimates(block)):
        parts.append("± half a 95 % interval")
    return parts


def row_notes(block: Block, column: int) -> list[str]:
    """What must be said about the rows of a column, each sentence once with the rows that it is about."""
    found: dict[str, list[str]] = {}
    about, complete = block.columns[column], 0
    for row in block.rows:
        cell = row.cells[column]
        if cell.estimate is not None and cell.estimate.state != "incomplete":
            complete += 1
            for text in words.notes(cell.estimate, about.metric, about.kind, cell.done):
                found.setdefault(text, []).append(row.name)
    return [
        text if len(rows) == complete else f"{words.listed(rows, words.NAMES)}: {text}"
        for text, rows in found.items()
    ]


def notes_of(block: Block) -> list[str]:
    """What the numbers above cannot say."""
    estimates = list(_estimates(block))
    notes = []
    if verdict := board_verdict(block):
        notes.append(verdict)
    if medians := dict.fromkeys(c.metric for c in block.columns if c.average == "median"):
        notes.append(f"Medians over the samples, not means: {', '.join(medians)}.")
    if states := [text for state, text in STATE_NOTES.items() if any(e.state == state for e in estimates)]:
        notes.append(f"* {'; '.join(states)}: shown, not ranked.")
    if any(e.value is None and e.not_numbers for e in estimates):
        notes.append("NaN (k): k scores are not a number.")
    if missing := sum(row.of - row.done for row in block.rows):
        rows = [r for r, row in enumerate(block.rows) if row.done < row.of]
        by = lacking(block, rows)
        they = f"not ranked by {words.listed(by, words.NAMES)}" if by else "they are not ranked"
        notes.append(f"Incomplete: {plural(missing, 'cell')} of {plural(len(rows), 'row')} missing; {they}.")
    if other := [column_name(c) for i, c in enumerate(block.columns) if is_apart(block, i)]:
        notes.append(f"Not comparable, measured on different samples: {', '.join(dict.fromkeys(other))}.")
    # what the suite ran: seeds whose scores are all equal count as one in a cell, and not here
    seeds = {cell.of for row in block.rows for cell in row.cells if cell.of and cell.done == cell.of}
    if seeds == {1}:
        notes.append(words.ONE_SEED)
    elif seeds == {2}:
        notes.append(words.TWO_SEEDS)
    equal = {
        column_name(column): cell.done
        for row in block.rows
        for column, cell in zip(block.columns, row.cells, strict=True)
        if cell.done > 1 and cell.estimate is not None and cell.estimate.seeds == 1
    }
    for ran in dict.fromkeys(equal.values()):
        names = words.listed([name for name, done in equal.items() if done == ran], words.NAMES)
        notes.append(f"{names}: {words.EQUAL_SEEDS.format(seeds=ran)}")
    flags: dict[str, list[str]] = {}
    for row in block.rows:
        for flag in row.flags:
            flags.setdefault(flag.word, []).append(f"{row.name}: {flag.text}")
    for word, texts in flags.items():
        more = f" ({len(texts) - 1} more: on the page)" if len(texts) > 1 else ""
        notes.append(f"⚑ {word}: {texts[0]}{more}")
    return notes


def key_of(blocks: Sequence[tuple[Block, Sequence[int]]], *, across: bool) -> str:
    """What the signs in these rows mean, each that occurs; for all blocks together. across: there are tables
    over datasets too."""
    rows = [block.rows[i] for block, shown in blocks for i in shown]
    cells = [cell for row in rows for cell in row.cells]
    rankings = [ranking for block, _ in blocks if (ranking := ranking_of(block)) is not None]
    found = {
        "rows that share a letter cannot be separated": any(rankings),
        "rank 2–4: somewhere from 2 to 4": any(
            s is not None and s.low < s.high for ranking in rankings for s in ranking.standings
        ),
        "cells: measured/planned": bool(rows),
        "78 (2/3): two of three seeds are measured": any(0 < cell.done < cell.of for cell in cells),
        "–: not measured": any(cell.of and not cell.done for cell in cells),
        "·: does not apply": any(cell.estimate is None for cell in cells),
        "ⓘ control: a null method, which every real one should beat": any(
            row.control and not row.reference for row in rows
        ),
        "ⓘ reference: what real data itself scores; nothing has to beat it, and it is not ranked": any(
            row.reference for row in rows
        ),
        "wins-ties-losses: over datasets, rows it is separated from and better, not separated from, worse": (
            across
        ),
    }
    told = [text for text, occurs in found.items() if occurs]
    return f"How to read it: {'; '.join(told)}." if told else ""


def _estimates(block: Block) -> Iterator[Estimate]:
    return (cell.estimate for row in block.rows for cell in row.cells if cell.estimate is not None)


def _samples(block: Block) -> set[int]:
    return {e.n for e in _estimates(block) if e.n}


def _span(numbers: Sequence[int]) -> str:
    first, last = count(numbers[0]), count(numbers[-1])
    return first if first == last else f"{first} to {last}"
