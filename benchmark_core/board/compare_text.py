"""A comparison as text and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from . import layout, words
from .cells import shown
from .compare import Comparison
from .formats import Interval, ascii_text, count, plural, show_interval, significant
from .intervals import ALPHA
from .matching import VERDICTS, ComparedCell, Verdict
from .pairs import Pair
from .statistics import Estimate

SYMBOLS: Mapping[Verdict, str] = {"worse": "▼", "better": "▲", "differs": "≠", "no statement": "?"}
_ASCII = str.maketrans({"▼": "v", "▲": "^", "≠": "!"})
_MOST_LISTED = 5
_NOT_A_BOARD = (
    "p is adjusted over the {columns} compared here; a board adjusts over all pairs of its column and pools "
    "the variance of seeds, so the two may disagree: docs/statistics.md"
)


def render_comparison(
    found: Comparison, *, everything: bool = False, width: int | None = 100, unicode: bool = True
) -> str:
    """The comparison as text, ending in a newline. everything: also the cells that cannot be separated.
    width: of the lines; None: as long as they need to be."""

    def plain(text: str) -> str:
        return text if unicode else ascii_text(text.translate(_ASCII))

    return "".join(f"{line}\n" for line in _lines(found, plain, everything or found.rows, width))


def comparison_json(found: Comparison) -> dict[str, Any]:
    """Everything as JSON, in the unit that is shown (shares in percent), full float64."""
    return {
        "left": found.left,
        "right": found.right,
        "tests": found.tests,
        "alpha": ALPHA,
        "differ": sum(cell.differs for cell in found.cells),
        "passes": found.passes,
        "cells": [_cell_json(cell) for cell in found.cells],
        "only_left": [dict(at) for at in found.only_left],
        "only_right": [dict(at) for at in found.only_right],
        "unmeasured": found.unmeasured,
        "why": list(found.reasons),
        "warnings": list(found.warnings),
    }


def _lines(
    found: Comparison, plain: Callable[[str], str], everything: bool, width: int | None
) -> Iterator[str]:
    yield from layout.wrapped(plain(_counts(found)), width)
    if rests := _rests_on(found):
        yield from layout.wrapped(plain(rests), width)
    wanted: list[Verdict] = [v for v in VERDICTS[:-1] if everything or v not in ("tie", "identical")]
    if listed := [cell for v in wanted for cell in found.of(v)]:
        yield from _table(found, listed, plain, width, p=everything)
    for line in _below(found, everything):
        yield from layout.wrapped(plain(line), width)


def _below(found: Comparison, everything: bool) -> Iterator[str]:
    """What is said after the numbers."""
    if found.rows:
        said = list(_pairs(found))
        yield from said[:_MOST_LISTED]
        if len(said) > _MOST_LISTED:
            yield f"... and {count(len(said) - _MOST_LISTED)} more, as the table says"
    for note, cells in _grouped((cell.note, _name(found, cell)) for cell in found.cells if cell.note):
        yield from _some(
            f"{words.listed(cells[:1])}: {note}" if len(cells) == 1 else note, cells[1:], everything
        )
    for reason, cells in _grouped((c.reason, _name(found, c)) for c in found.of("not comparable")):
        yield from _some(f"{plural(len(cells), 'cell')} not compared: {reason}", cells, everything)
    for side, cells in (("left", found.only_left), ("right", found.only_right)):
        if cells and (everything or side == "left"):
            yield from _some(f"Only {side}:", [" · ".join(shown(at.items())) for at in cells], everything)
    yield _summary(found, everything=everything)
    if found.rows and found.tests:
        yield _NOT_A_BOARD.format(columns=plural(found.tests, "column"))
    if found.reasons and (everything or len(found.of("identical")) < len(found.cells)):
        yield f"Why they may differ: {'; '.join(found.reasons)}"
    yield from found.warnings


def _pairs(found: Comparison) -> Iterator[str]:
    """Who is better on what; of rows that cannot be separated, only where a single column is compared."""
    compared = [cell for cell in found.cells if cell.pair is not None]
    for cell in compared:
        assert cell.pair is not None
        higher = cell.direction == "higher"
        if cell.verdict in ("better", "worse") or (cell.verdict == "tie" and len(compared) == 1):
            yield words.pair(
                found.right, found.left, _name(found, cell), cell.pair, higher=higher, scale=cell.scale
            )


def _counts(found: Comparison) -> str:
    cells = plural(len(found.cells), "column" if found.rows else "cell")
    parts = [f"{cells} on both sides", f"{count(len(found.only_left))} only left"]
    parts.append(f"{count(len(found.only_right))} only right")
    if found.unmeasured:
        parts.append(f"{count(found.unmeasured)} not measured")
    return f"{', '.join(parts)}. Paired by sample; Holm over {plural(found.tests, 'test')}."


def _rests_on(found: Comparison) -> str:
    """`5 seeds × 200 to 1,000 samples, scope: new runs`, and what few seeds mean."""
    compared = [cell for cell in found.cells if cell.pair is not None and cell.n]
    if not compared:
        return ""
    seeds, samples = {cell.seeds for cell in compared}, {cell.n for cell in compared}
    text = f"{_span(seeds, 'seed')} × {_span(samples, 'sample')}"
    runs = [cell for cell in compared if cell.scope == "these runs"]
    if 0 < len(runs) < len(compared):
        those = f"{plural(len(runs), 'column' if found.rows else 'cell')} where no seed differs from another"
        text += f", scope: new runs; in {those}: these runs"
    else:
        text += f", scope: {compared[0].scope}"
    few = {1: words.ONE_SEED, 2: words.TWO_SEEDS}.get(max(seeds))
    if len(runs) == len(compared) and min(seeds) > 1:
        few = words.EQUAL_SEEDS.format(seeds=max(seeds))
    return f"{text}. {few}" if few else f"{text}."


def _span(numbers: set[int], noun: str) -> str:
    first, last = min(numbers), max(numbers)
    return plural(last, noun) if first == last else f"{count(first)} to {plural(last, noun)}"


def _table(
    found: Comparison,
    cells: Sequence[ComparedCell],
    plain: Callable[[str], str],
    width: int | None,
    *,
    p: bool,
) -> Iterator[str]:
    """The cells in equal columns, with what validity says below."""
    sides = (found.left, found.right) if found.rows else ("left", "right")
    marked = max((len(cell.verdict) for cell in cells if cell.verdict in SYMBOLS), default=0)
    marks = [f"{c.verdict:{marked}} {SYMBOLS[c.verdict]}" if c.verdict in SYMBOLS else "" for c in cells]
    who = plain(f"{found.right} is") if found.rows and any(marks) else ""
    gap = max(len(who), *(len(plain(mark)) for mark in marks)) + 2 if any(marks) else 0
    heads = [f"{who:{gap}}" + ("column" if found.rows else "cell"), *sides, "difference"]
    rows = []
    for mark, cell in zip(marks, cells, strict=True):
        shown_p = [words.show_p(cell.pair.p_holm) if cell.pair else ""] if p else []
        name = f"{plain(mark):{gap}}{_name(found, cell)}"
        rows.append([plain(text) for text in (name, *_numbers(cell), _difference(cell), *shown_p)])
    heads += ["adjusted p"] if p else []
    yield from layout.table(list(map(plain, heads)), rows, width, [plain(_validity(c)) for c in cells])


def _name(found: Comparison, cell: ComparedCell) -> str:
    """The coordinates in which the cells differ, the metric and its unit."""
    everywhere = found.cells or (cell,)
    varies = [
        (c, label)
        for c, label in cell.at.items()
        if c in ("suite", "on") or len({other.at.get(c) for other in everywhere}) > 1
    ]
    return " · ".join([*shown(varies), f"{cell.metric} {cell.unit}".rstrip()])


def _numbers(cell: ComparedCell) -> tuple[str, str]:
    left, right = (_shown(e, cell.scale) for e in (cell.left, cell.right))
    return left, right


def _shown(estimate: Estimate | None, scale: float) -> str:
    if estimate is None:
        return "–"
    if estimate.value is None:
        return f"NaN ({count(estimate.not_numbers)})" if estimate.not_numbers else "none valid"
    bounds = (None if b is None else scale * b for b in (estimate.low, estimate.high))
    return show_interval(Interval(scale * estimate.value, *bounds))


def _validity(cell: ComparedCell) -> str:
    """On how many samples the two sides are defined, and their difference where both are; then what limits
    p."""
    shares = [None if e is None or e.share is None else e.share for e in (cell.left, cell.right)]
    parts = []
    if any(share is not None and share.value not in (None, 1.0) for share in shares):
        left, right = ("–" if share is None else _shown(share, 100.0) for share in shares)
        parts.append(f"valid on {left} and {right} % of samples")
    if cell.common is not None:
        parts.append(f"on samples valid on both sides: {_pair_text(cell.common, cell.scale)}")
    if cell.limited is not None and cell.pair is not None:
        on = f"the {count(cell.limited)} samples" if cell.limited > 1 else "the one sample"
        parts.append(
            f"p limited by {on} on which they differ (before adjusting: {words.show_p(cell.pair.p)})"
        )
    return "; ".join(parts)


def _difference(cell: ComparedCell) -> str:
    if cell.verdict == "identical" and cell.pair is not None:
        return "identical"
    return "–" if cell.pair is None else _pair_text(cell.pair, cell.scale)


def _pair_text(pair: Pair, scale: float) -> str:
    bounds = (None if b is None else scale * b for b in (pair.low, pair.high))
    return words.with_bounds(scale * pair.difference, *bounds)


def _grouped(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, list[str]]]:
    groups: dict[str, list[str]] = {}
    for reason, name in pairs:
        groups.setdefault(reason, []).append(name)
    return list(groups.items())


def _some(head: str, names: Sequence[str], everything: bool) -> Iterator[str]:
    yield head
    kept = names if everything else names[:_MOST_LISTED]
    yield from (f"    {name}" for name in kept)
    if len(kept) < len(names):
        yield f"    and {count(len(names) - len(kept))} more (--all)"


def _summary(found: Comparison, *, everything: bool) -> str:
    number = Counter(cell.verdict for cell in found.cells)
    differ = sum(cell.differs for cell in found.cells)
    same = number["tie"] + number["identical"]
    more = []
    if number["identical"]:
        every = number["identical"] == len(found.cells) > 1
        more.append(f"{'all ' if every else ''}{count(number['identical'])} identical")
    points = [abs(c.pair.difference) for c in found.of("tie") if c.unit == "%" and c.pair is not None]
    if points:
        more.append(f"largest: {significant(100 * max(points), 2)} points")
    text = f"{count(differ)} {'differs' if differ == 1 else 'differ'}, {count(same)} cannot be separated"
    text += f" ({', '.join(more)})" if more else ""
    if bad := number["not comparable"]:
        text += f", {count(bad)} not comparable"
    check = "" if found.passes else ", --check exits 1"
    return f"{text}." + ("" if everything else f"   --all lists them{check}")


def _cell_json(cell: ComparedCell) -> dict[str, Any]:
    def scaled(pair: Pair | None) -> dict[str, Any] | None:
        if pair is None:
            return None
        low, high = (None if b is None else cell.scale * b for b in (pair.low, pair.high))
        return {"difference": cell.scale * pair.difference, "lo": low, "hi": high, "p": pair.p}

    def side(estimate: Estimate | None) -> dict[str, Any] | None:
        if estimate is None:
            return None
        numbers = (estimate.value, estimate.low, estimate.high)
        value, low, high = (None if x is None else cell.scale * x for x in numbers)
        return {
            "value": value, "lo": low, "hi": high, "n": estimate.n, "seeds": estimate.seeds,
            "scope": estimate.scope, "state": estimate.state,
            "valid_share": estimate.share.value if estimate.share else None,
        }  # fmt: skip

    pair = scaled(cell.pair)
    if pair is not None and cell.pair is not None:
        pair["p_holm"] = cell.pair.p_holm
    return {
        "at": dict(cell.at),
        "metric": cell.metric,
        "seeds": cell.seeds,
        "n": cell.n,
        "scope": cell.scope,
        "unit": cell.unit,
        "direction": cell.direction,
        "verdict": cell.verdict,
        "better": {"better": "right", "worse": "left"}.get(cell.verdict),
        "left": side(cell.left),
        "right": side(cell.right),
        "pair": pair,
        "valid_on_both": scaled(cell.common),
        "p_limited_by": cell.limited,
        "reason": cell.reason,
        "note": cell.note,
    }
