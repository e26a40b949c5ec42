"""What differs between two stores, suites or rows: cells with equal coordinates, paired by seed and sample,
with Holm's correction over all of them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from ..errors import RobexError, did_you_mean
from ..store import Store
from . import words
from .cells import Place, Reader, Samples, Seed, cells_of, kind_of, shown
from .formats import Interval, ascii_text, count, plural, show_interval, significant
from .pairs import Pair, compare_common, compare_pair, holm
from .provenance import reasons
from .statistics import ALPHA, Estimate, Kind, Scores, estimate_rows

if TYPE_CHECKING:
    import numpy as np

Verdict = Literal["worse", "better", "differs", "no statement", "tie", "identical", "not comparable"]

#: In the order in which they are listed. `tie`: cannot be separated.
VERDICTS: tuple[Verdict, ...] = (
    "worse", "better", "differs", "no statement", "tie", "identical", "not comparable",
)  # fmt: skip
SYMBOLS: Mapping[Verdict, str] = {"worse": "▼", "better": "▲", "differs": "≠", "no statement": "?"}
_ASCII = str.maketrans({"▼": "v", "▲": "^", "≠": "!"})
_MOST_LISTED = 5
_LEAST_NAME = 16


@dataclass(frozen=True)
class Side:
    """One side of a comparison: a suite in a store, with the name that texts give it."""

    name: str
    store: Store
    manifest: Mapping[str, Any]


@dataclass(frozen=True)
class ComparedCell:
    """A cell on both sides. at: its coordinates (with `suite` when several are compared, without `metric`).

    pair: right minus left, adjusted over all cells; None when not comparable, and `reason` says why.
    common: the same on samples that are valid on both sides, where a conditional metric is not valid on all.
    seeds, n: what the comparison rests on. note: why `pair` and `common` together allow no statement.
    """

    at: Mapping[str, str]
    metric: str
    unit: str
    direction: str | None
    kind: Kind
    verdict: Verdict
    left: Estimate | None
    right: Estimate | None
    seeds: int
    n: int
    pair: Pair | None = None
    common: Pair | None = None
    reason: str = ""
    note: str = ""

    @property
    def scale(self) -> float:
        """Shares are stored as fractions and shown in percent."""
        return 100.0 if self.unit == "%" else 1.0

    @property
    def differs(self) -> bool:
        return self.verdict in ("worse", "better", "differs", "no statement")


@dataclass(frozen=True)
class Comparison:
    """left, right: how the sides are called. only_left, only_right: cells that the other side lacks.

    unmeasured: planned on both sides and measured on neither. reasons: what differs in how the sides were
    made. rows: two rows of one suite are compared, not two suites. warnings: damaged records.
    """

    left: str
    right: str
    cells: tuple[ComparedCell, ...]
    only_left: tuple[Mapping[str, str], ...] = ()
    only_right: tuple[Mapping[str, str], ...] = ()
    unmeasured: int = 0
    reasons: tuple[str, ...] = ()
    rows: bool = False
    warnings: tuple[str, ...] = ()

    def of(self, *verdicts: Verdict) -> list[ComparedCell]:
        return [cell for cell in self.cells if cell.verdict in verdicts]

    @property
    def tests(self) -> int:
        """How many comparisons are corrected for each other."""
        return sum(cell.pair is not None for cell in self.cells)

    @property
    def passes(self) -> bool:
        """Nothing differs, every common cell could be compared, and no cell of the left side is gone."""
        return not (self.only_left or self.of("not comparable") or any(cell.differs for cell in self.cells))


def compare_suites(pairs: Sequence[tuple[Side, Side]], left: str, right: str) -> Comparison:
    """Suites side by side, cell by cell. left, right: how the sides are called."""
    found: list[ComparedCell] = []
    only: tuple[list[Mapping[str, str]], list[Mapping[str, str]]] = ([], [])
    unmeasured, why, warnings = 0, [], []
    for a, b in pairs:
        head = {"suite": a.manifest["suite"]} if len(pairs) > 1 else {}
        matcher = _Matcher(a, b, Reader(a.store), Reader(b.store), left, right, head)
        matcher.match(cells_of(a.manifest), cells_of(b.manifest))
        found += matcher.found
        only[0].extend(matcher.only_left)
        only[1].extend(matcher.only_right)
        unmeasured += matcher.unmeasured
        why += matcher.reasons(methods=True)
        warnings += matcher.warnings
    return Comparison(
        left, right, _adjusted(found), tuple(only[0]), tuple(only[1]), unmeasured,
        tuple(dict.fromkeys(why)), warnings=tuple(warnings),
    )  # fmt: skip


def compare_two_rows(side: Side, left: str, right: str) -> Comparison:
    """Two rows of a suite, column by column. left, right: labels of defenses, or names of rows such as
    `AT 0.1 · saliency`. Raises RobexError."""
    a, b = row_of(side.manifest, left), row_of(side.manifest, right)
    if a == b:
        raise RobexError(f'"{left}" and "{right}" are the same row; name two')
    if set(a) != set(b):
        raise RobexError(
            f'"{left}" names {words.listed(list(a))} and "{right}" {words.listed(list(b))}; '
            "give both rows by the same coordinates"
        )
    cells = cells_of(side.manifest)
    parts: list[dict[Place, list[Seed]]] = []
    for row in (a, b):
        fits = {p: seeds for p, seeds in cells.items() if row.items() <= dict(p).items()}
        if not fits:
            raise RobexError(f'suite {side.manifest["suite"]} has no cell at "{" · ".join(row.values())}"')
        parts.append({tuple(pair for pair in p if pair[0] not in row): seeds for p, seeds in fits.items()})
    reader = Reader(side.store)
    matcher = _Matcher(side, side, reader, reader, left, right, {})
    matcher.match(*parts)
    return Comparison(
        left, right, _adjusted(matcher.found), tuple(matcher.only_left), tuple(matcher.only_right),
        matcher.unmeasured, tuple(matcher.reasons(methods=False)), True, tuple(matcher.warnings),
    )  # fmt: skip


def row_of(manifest: Mapping[str, Any], name: str) -> dict[str, str]:
    """The coordinates that a row's name stands for: the label of a defense, or labels joined by ` · `.

    Raises RobexError when a part is no label, or the label of methods of two kinds that are not yet named.
    """
    labels = {
        k: manifest["labels"].get(k, []) for k in ("defense", "explainer", "attack", "model", "dataset")
    }
    found: dict[str, str] = {}
    parts = [name] if any(name in known for known in labels.values()) else name.split(" · ")
    for part in map(str.strip, parts):
        kind = next((k for k, known in labels.items() if part in known and k not in found), None)
        if kind is not None:
            found[kind] = part
        elif "on" not in found and (part == "clean" or part.removeprefix("on ") in labels["attack"]):
            found["on"] = part.removeprefix("on ")
        else:
            known = [*labels["defense"], *labels["explainer"]]
            hint = did_you_mean(part, known) or f"; rows are: {', '.join(known)}"
            raise RobexError(f'no row of suite {manifest["suite"]} is called "{part}"{hint}')
    return found


# --- matching and comparing ----------------------------------------------------------------------------


class _NotComparable(Exception):
    """Why two cells cannot be compared."""


@dataclass
class _Matcher:
    """Compares the cells of two sides that have equal coordinates."""

    left: Side
    right: Side
    left_reader: Reader
    right_reader: Reader
    left_name: str
    right_name: str
    head: Mapping[str, str]

    def __post_init__(self) -> None:
        self.found: list[ComparedCell] = []
        self.only_left: list[Mapping[str, str]] = []
        self.only_right: list[Mapping[str, str]] = []
        self.unmeasured = 0
        self._seen: tuple[list[Seed], list[Seed]] = ([], [])

    def match(self, left: Mapping[Place, list[Seed]], right: Mapping[Place, list[Seed]]) -> None:
        for place in dict.fromkeys((*left, *right)):
            a, b = left.get(place, []), right.get(place, [])
            has = self.left_reader.has_any(a), self.right_reader.has_any(b)
            at = {**self.head, **dict(place)}
            if all(has):
                self._seen[0].extend(a)
                self._seen[1].extend(b)
                self.found.append(self._compare(at, a, b))
            elif has[0]:
                self.only_left.append(at)
            elif has[1]:
                self.only_right.append(at)
            else:
                self.unmeasured += 1

    def reasons(self, *, methods: bool) -> list[str]:
        return reasons(self.left_reader, self._seen[0], self.right_reader, self._seen[1], methods=methods)

    @property
    def warnings(self) -> list[str]:
        return list(dict.fromkeys([*self.left_reader.damaged, *self.right_reader.damaged]))

    def _compare(self, at: Mapping[str, str], a: Sequence[Seed], b: Sequence[Seed]) -> ComparedCell:
        metric = at["metric"]
        mine, theirs = self.left.manifest["metrics"][metric], self.right.manifest["metrics"][metric]
        rows = [self.left_reader.scores(a), self.right_reader.scores(b)]
        kind = kind_of(theirs, rows)
        low, high = theirs["range"]
        limits = (-math.inf if low is None else low, math.inf if high is None else high)
        left, right = (
            estimate_rows(rows, kind, limits)
            if mine["scores"] == theirs["scores"]
            else [
                estimate_rows([row], about["scores"])[0]
                for row, about in zip(rows, (mine, theirs), strict=True)
            ]
        )
        cell = ComparedCell(
            {c: label for c, label in at.items() if c != "metric"},
            metric, theirs["unit"], theirs["direction"], kind, "not comparable", left, right,
            len(b), rows[1].samples,
        )  # fmt: skip
        try:
            self._check_metric(metric, mine, theirs)
            self._check_samples(metric, kind, a, b, rows)
            if _identical(*rows):
                nothing = Pair(0.0, 0.0, 0.0, 1.0, 1.0)
                return replace(cell, verdict="identical", pair=nothing)
            for name, estimate in ((self.left_name, left), (self.right_name, right)):
                self._check_state(name, estimate, metric)
            pair = compare_pair(rows[1], rows[0], kind)
            partly = kind == "conditional" and not all(_all_valid(row) for row in rows)
            common = compare_common(rows[1], rows[0]) if partly else None
        except (_NotComparable, ValueError) as why:
            return replace(cell, reason=str(why))
        note = words.different_samples(pair.difference, common.difference) if common else None
        return replace(cell, verdict="tie", pair=pair, common=common, note=note or "")

    def _check_metric(self, metric: str, mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
        for what, key in (("kind", "scores"), ("unit", "unit"), ("direction", "direction")):
            if mine[key] != theirs[key]:
                raise _NotComparable(
                    f"{metric} is another metric here and there: its {what} is "
                    f"{mine[key] or 'none'} and {theirs[key] or 'none'}"
                )

    def _check_samples(
        self, metric: str, kind: Kind, a: Sequence[Seed], b: Sequence[Seed], rows: Sequence[Scores]
    ) -> None:
        names = (self.left_name, self.right_name)
        for name, row in zip(names, rows, strict=True):
            done = sum(v is not None for v in row.values)
            if done < len(row.values):
                raise _NotComparable(f"{name} has {done} of {plural(len(row.values), 'seed')}")
        seeds = [[one.seed for one in side] for side in (a, b)]
        if seeds[0] != seeds[1]:
            raise _NotComparable(
                f"{names[0]} has {plural(len(a), 'seed')} and {names[1]} {count(len(b))}"
                if len(a) != len(b)
                else f"{names[0]} and {names[1]} have different seeds"
            )
        for one, other in zip(a, b, strict=True):
            mine, theirs = self.left_reader.samples(one.selection), self.right_reader.samples(other.selection)
            if mine is None or theirs is None:
                raise _NotComparable("which samples were used is not stored")
            if (what := _different(mine, theirs, kind)) == "targets":
                raise _NotComparable(f"{names[0]} aims at targets: {mine.aims}, {names[1]} at {theirs.aims}")
            if what is not None:
                raise _NotComparable(words.not_comparable(*names, what))

    def _check_state(self, name: str, estimate: Estimate, metric: str) -> None:
        """Rows that a board would not rank are not compared here either, but for few valid samples."""
        if estimate.state == "nan":
            total = estimate.n * max(estimate.seeds, 1)
            bad = estimate.not_numbers
            said = words.not_numbers(bad, total) if bad else words.no_valid_sample()
            raise _NotComparable(f"{name}: {said.removesuffix(' Not ranked.')}")
        if estimate.state == "few-samples":
            raise _NotComparable(words.few_samples(estimate.n))
        if estimate.state == "few-seeds":
            raise _NotComparable(words.few_seeds_of_set(metric, estimate.seeds))


def _different(
    mine: Samples, theirs: Samples, kind: Kind
) -> Literal["data versions", "sets of size", "samples", "targets"] | None:
    if mine.data and theirs.data and mine.data != theirs.data:
        return "data versions"
    if kind == "set" and mine.count != theirs.count:
        return "sets of size"
    if mine.index != theirs.index:
        return "samples"
    return "targets" if mine.aims != theirs.aims else None


def _identical(left: Scores, right: Scores) -> bool:
    """Bit by bit the same scores where they are defined, and defined on the same samples."""
    import numpy as np

    def same(a: np.ndarray | None, b: np.ndarray | None) -> bool:
        if a is None or b is None:
            return a is b
        return a.shape == b.shape and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")

    def defined(row: Scores) -> list[np.ndarray | None]:
        return [
            v if v is None or m is None else np.where(m, v, 0.0)
            for v, m in zip(row.values, row.valid, strict=True)
        ]

    return all(map(same, defined(left), defined(right))) and all(map(same, left.valid, right.valid))


def _all_valid(row: Scores) -> bool:
    return all(valid is None or bool(valid.all()) for valid in row.valid)


def _adjusted(cells: Sequence[ComparedCell]) -> tuple[ComparedCell, ...]:
    """p values adjusted over all cells, and what they say."""
    import numpy as np

    adjusted = iter(holm(np.array([cell.pair.p for cell in cells if cell.pair is not None])))
    found = []
    for cell in cells:
        if cell.pair is not None:
            pair = replace(cell.pair, p_holm=float(next(adjusted)))
            cell = replace(cell, pair=pair, verdict=_verdict(cell, pair))
        found.append(cell)
    return tuple(found)


def _verdict(cell: ComparedCell, pair: Pair) -> Verdict:
    if cell.verdict == "identical" or pair.p_holm >= ALPHA:
        return cell.verdict
    if cell.note:
        return "no statement"
    if cell.direction is None:
        return "differs"
    return "better" if (pair.difference > 0) == (cell.direction == "higher") else "worse"


# --- text and JSON -------------------------------------------------------------------------------------


def render_comparison(
    found: Comparison, *, everything: bool = False, width: int = 100, unicode: bool = True
) -> str:
    """The comparison as text, ending in a newline. everything: also the cells that cannot be separated."""
    text = "\n".join(_lines(found, everything=everything or found.rows, width=width)) + "\n"
    return text if unicode else ascii_text(text.translate(_ASCII))


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


def _lines(found: Comparison, *, everything: bool, width: int) -> Iterator[str]:
    yield _counts(found)
    if rests := _rests_on(found.cells):
        yield rests
    wanted: list[Verdict] = [v for v in VERDICTS[:-1] if everything or v not in ("tie", "identical")]
    if listed := [cell for v in wanted for cell in found.of(v)]:
        yield from _table(found, listed, width, p=everything)
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
    if found.reasons and (everything or not found.passes):
        yield f"Why they may differ: {'; '.join(found.reasons)}"
    yield from found.warnings


def _counts(found: Comparison) -> str:
    cells = plural(len(found.cells), "column" if found.rows else "cell")
    parts = [f"{cells} on both sides", f"{count(len(found.only_left))} only left"]
    parts.append(f"{count(len(found.only_right))} only right")
    if found.unmeasured:
        parts.append(f"{count(found.unmeasured)} not measured")
    return f"{', '.join(parts)}. Paired by sample; Holm over {plural(found.tests, 'test')}."


def _rests_on(cells: Iterable[ComparedCell]) -> str:
    """`5 seeds × 200 to 1,000 samples`, and what few seeds mean."""
    compared = [cell for cell in cells if cell.pair is not None and cell.n]
    if not compared:
        return ""
    seeds, samples = {cell.seeds for cell in compared}, {cell.n for cell in compared}
    text = f"{_span(seeds, 'seed')} × {_span(samples, 'sample')}"
    few = {1: words.ONE_SEED, 2: words.TWO_SEEDS}.get(max(seeds))
    return f"{text}. {few}" if few else text


def _span(numbers: set[int], noun: str) -> str:
    first, last = min(numbers), max(numbers)
    return plural(last, noun) if first == last else f"{count(first)} to {plural(last, noun)}"


def _table(found: Comparison, cells: Sequence[ComparedCell], width: int, *, p: bool) -> Iterator[str]:
    """The cells in equal columns, with the difference on common samples below where it says more."""
    heads = (found.left, found.right) if found.rows else ("left", "right")
    rows = [["", "column" if found.rows else "cell", *heads, "difference", *(["adjusted p"] if p else [])]]
    marked = max((len(cell.verdict) for cell in cells if cell.verdict in SYMBOLS), default=0)
    for cell in cells:
        symbol = SYMBOLS.get(cell.verdict)
        mark = f"{cell.verdict:{marked}} {symbol}" if symbol else ""
        shown_p = [words.show_p(cell.pair.p_holm) if cell.pair else ""] if p else []
        rows.append([mark, _name(found, cell), *_numbers(cell), _difference(cell), *shown_p])
    if not any(row[0] for row in rows):
        rows = [row[1:] for row in rows]
    at = len(rows[0]) - len(rows[0][-4 - p :])  # the column of names: it gives way on narrow terminals
    wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
    others = sum(wide) - wide[at] + 2 * (len(wide) - 1)
    wide[at] = min(wide[at], max(_LEAST_NAME, width - others))
    for row, cell in zip(rows, (None, *cells), strict=True):
        row[at] = row[at] if len(row[at]) <= wide[at] else f"{row[at][: wide[at] - 1].rstrip()}…"
        yield "  ".join(text.ljust(w) for text, w in zip(row, wide, strict=True)).rstrip()
        if cell is not None and cell.common is not None:
            yield f"    on samples valid on both sides: {_pair_text(cell.common, cell.scale)}"


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
        return "NaN"
    bounds = (None if b is None else scale * b for b in (estimate.low, estimate.high))
    text = show_interval(Interval(scale * estimate.value, *bounds))
    share = estimate.share
    if share is not None and share.value not in (None, 1.0):
        text += f" ({_shown(replace(share, share=None), 100.0)} % valid)"
    return text


def _difference(cell: ComparedCell) -> str:
    if cell.verdict == "identical":
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
        more.append(f"{count(number['identical'])} identical")
    points = [abs(c.pair.difference) for c in found.of("tie") if c.unit == "%" and c.pair is not None]
    if points:
        more.append(f"largest: {significant(100 * max(points), 2)} points")
    text = f"{count(differ)} {'differs' if differ == 1 else 'differ'}, {count(same)} cannot be separated"
    text += f" ({', '.join(more)})" if more else ""
    if bad := number["not comparable"]:
        text += f", {count(bad)} not comparable"
    check = ", --check exits 1" if differ or bad else ""
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
        "unit": cell.unit,
        "direction": cell.direction,
        "verdict": cell.verdict,
        "left": side(cell.left),
        "right": side(cell.right),
        "pair": pair,
        "valid_on_both": scaled(cell.common),
        "reason": cell.reason,
        "note": cell.note,
    }
