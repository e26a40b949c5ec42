"""Cells of two suites or rows that have equal coordinates, each compared: paired by seed and sample, or why
they cannot be.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from ..store import Store
from . import words
from .cells import COORDINATES, Place, Reader, Samples, Seed, kind_of, rule_of
from .columns import WORST
from .formats import count, plural
from .pairs import Pair, compare_common, compare_pair
from .provenance import reasons
from .scores import Kind, Scores
from .sides import defenders, direction_of
from .standing import worst_of
from .statistics import Estimate, Scope, estimate_rows

if TYPE_CHECKING:
    import numpy as np

Verdict = Literal["worse", "better", "differs", "no statement", "tie", "identical", "not comparable"]

#: In the order in which they are listed. `tie`: cannot be separated.
VERDICTS: tuple[Verdict, ...] = (
    "worse", "better", "differs", "no statement", "tie", "identical", "not comparable",
)  # fmt: skip


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
    seeds, n: what was measured; scope: what that says something about. note: why `pair` and `common` together
    allow no statement. limited: on how many samples the sides differ, where p cannot be smaller for that.
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
    limited: int | None = None

    @property
    def scale(self) -> float:
        """Shares are stored as fractions and shown in percent."""
        return 100.0 if self.unit == "%" else 1.0

    @property
    def scope(self) -> Scope:
        """`these runs` where no seed differs from another on either side: what the pair rests on."""
        sides = {side.scope for side in (self.left, self.right) if side is not None}
        return "these runs" if sides == {"these runs"} else "new runs"

    @property
    def differs(self) -> bool:
        return self.verdict in ("worse", "better", "differs", "no statement")


class _NotComparable(Exception):
    """Why two cells cannot be compared."""


@dataclass
class Matcher:
    """Compares the cells of two sides that have equal coordinates. rows: in which coordinates two rows
    differ; they say from whose side directions are read."""

    left: Side
    right: Side
    left_reader: Reader
    right_reader: Reader
    left_name: str
    right_name: str
    head: Mapping[str, str]
    rows: Collection[str] = ()

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
                self.found.append(self._compare(at, [a], [b]))
            elif has[0]:
                self.only_left.append(at)
            elif has[1]:
                self.only_right.append(at)
            else:
                self.unmeasured += 1

    def match_worst(self, left: Mapping[Place, list[Seed]], right: Mapping[Place, list[Seed]]) -> None:
        """The columns of worst cases over attacks that a board would have, each after its attacks."""
        mine, theirs = _by_attack(self.left.manifest, left), _by_attack(self.right.manifest, right)
        for place, attacks in mine.items():
            others = theirs.get(place, {})
            if set(attacks) != set(others) or not (
                _same_samples(self.left_reader, attacks) and _same_samples(self.right_reader, others)
            ):
                continue
            named = {**dict(place), "attack": f"{WORST} of {len(attacks)}"}
            at = {**self.head, **{c: named[c] for c in (*COORDINATES, "metric") if c in named}}
            cell = self._compare(at, list(attacks.values()), [others[attack] for attack in attacks])
            rest = {c: label for c, label in cell.at.items() if c != "attack"}
            last = max(
                i
                for i, one in enumerate(self.found)
                if one.metric == cell.metric and rest.items() <= one.at.items() and "attack" in one.at
            )
            self.found.insert(last + 1, cell)

    def reasons(self, *, methods: bool) -> list[str]:
        return reasons(self.left_reader, self._seen[0], self.right_reader, self._seen[1], methods=methods)

    @property
    def warnings(self) -> list[str]:
        return list(dict.fromkeys([*self.left_reader.damaged, *self.right_reader.damaged]))

    def _compare(
        self, at: Mapping[str, str], a: Sequence[Sequence[Seed]], b: Sequence[Sequence[Seed]]
    ) -> ComparedCell:
        """a, b: the seeds of the cell; of several attacks their worst case is compared."""
        metric = at["metric"]
        mine, theirs = self.left.manifest["metrics"][metric], self.right.manifest["metrics"][metric]
        rule, higher = rule_of(theirs), defenders(theirs) == "higher"
        sides = ((self.left_reader, a), (self.right_reader, b))
        rows = [rule.applied(_scores(reader, seeds, higher=higher)) for reader, seeds in sides]
        kind = kind_of(theirs, rows)
        low, high = theirs["range"]
        limits = (-math.inf if low is None else low, math.inf if high is None else high)
        left, right = (
            estimate_rows(rows, kind, limits, quantile=rule.quantile, infinite=rule.infinite)
            if mine["scores"] == theirs["scores"]
            else [
                estimate_rows([row], about["scores"])[0]
                for row, about in zip(rows, (mine, theirs), strict=True)
            ]
        )
        cell = ComparedCell(
            {c: label for c, label in at.items() if c != "metric"},
            metric, theirs["unit"], direction_of(theirs, self.rows), kind, "not comparable", left, right,
            len(b[0]), rows[1].samples,
        )  # fmt: skip
        try:
            self._check_metric(metric, mine, theirs)
            for of_left, of_right in zip(a, b, strict=True):
                self._check_samples(metric, kind, of_left, of_right, rows)
            if _identical(*rows):  # no number on either side is nothing to test
                nothing = None if right.value is None else Pair(0.0, 0.0, 0.0, 1.0, 1.0)
                return replace(cell, verdict="identical", pair=nothing)
            for name, estimate in ((self.left_name, left), (self.right_name, right)):
                self._check_state(name, estimate, metric)
            pair = compare_pair(rows[1], rows[0], kind, quantile=rule.quantile)
            partly = (
                kind == "conditional" and rule.quantile is None and not all(_all_valid(row) for row in rows)
            )
            common = compare_common(rows[1], rows[0]) if partly else None
        except _NotComparable as why:
            return replace(cell, reason=str(why))
        except ValueError as why:  # counts rows as they are passed to `compare_pair`
            said = str(why).replace("row 0 ", f"{self.right_name} ").replace("row 1 ", f"{self.left_name} ")
            return replace(cell, reason=said)
        note = words.different_samples(pair.difference, common.difference) if common else None
        limited = None if kind == "set" or rule.quantile is not None else _limited(pair, rows, kind)
        return replace(cell, verdict="tie", pair=pair, common=common, note=note or "", limited=limited)

    def _check_metric(self, metric: str, mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
        parts = {"kind": "scores", "unit": "unit", "direction": "direction", "average": "average",
                 "failure value": "failure", "method": "name"}  # fmt: skip
        for what, key in parts.items():
            if mine.get(key) != theirs.get(key):
                raise _NotComparable(
                    f"{metric} is another metric here and there: its {what} is "
                    f"{mine.get(key) or 'none'} and {theirs.get(key) or 'none'}"
                )

    def _check_samples(
        self, metric: str, kind: Kind, a: Sequence[Seed], b: Sequence[Seed], rows: Sequence[Scores]
    ) -> None:
        names = (self.left_name, self.right_name)
        for name, row in zip(names, rows, strict=True):
            done = sum(v is not None for v in row.values)
            if done < len(row.values):
                of = plural(len(row.values), "seed")
                raise _NotComparable(f"{name} has {done} of {of}{_what_both_have(rows, a, b)}")
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


def _scores(reader: Reader, attacks: Sequence[Sequence[Seed]], *, higher: bool) -> Scores:
    """The scores of a cell, or sample by sample the worst over several attacks."""
    if len(attacks) == 1:
        return reader.scores(attacks[0])
    worst = worst_of([reader.scores(seeds) for seeds in attacks], higher=higher)
    assert worst is not None
    return worst


def _by_attack(
    manifest: Mapping[str, Any], cells: Mapping[Place, list[Seed]]
) -> dict[Place, dict[str, list[Seed]]]:
    """Cells whose metric has a worst case over several attacks: their place without the attack -> attack ->
    seeds."""
    found: dict[Place, dict[str, list[Seed]]] = {}
    for place, seeds in cells.items():
        at = dict(place)
        about = manifest["metrics"][at["metric"]]
        joins = about["consumes"] == ["perturbation"] and about["scores"] == "bernoulli"
        if joins and about["direction"] is not None and "attack" in at:
            rest = tuple(pair for pair in place if pair[0] != "attack")
            found.setdefault(rest, {})[at["attack"]] = seeds
    return {place: attacks for place, attacks in found.items() if len(attacks) > 1}


def _same_samples(reader: Reader, attacks: Mapping[str, Sequence[Seed]]) -> bool:
    """Whether all attacks were measured, on the same samples seed by seed."""
    if not all(map(reader.has_any, attacks.values())):
        return False
    used = [[reader.samples(one.selection) for one in seeds] for seeds in attacks.values()]
    return all(one == used[0] for one in used)


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


def _what_both_have(rows: Sequence[Scores], a: Sequence[Seed], b: Sequence[Seed]) -> str:
    """Whoever makes a few numbers of somebody else's again wants to know whether they are the same."""
    if [one.seed for one in a] != [one.seed for one in b]:
        return ""
    left, right = ([Scores([v], [m], 0) for v, m in zip(row.values, row.valid, strict=True)] for row in rows)
    same = [
        _identical(x, y)
        for x, y in zip(left, right, strict=True)
        if x.values[0] is not None and y.values[0] is not None
    ]
    if not same:
        return ""
    if all(same):
        return "; what both have is identical"
    return f"; {count(same.count(False))} of the {count(len(same))} that both have differ"


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


def _limited(pair: Pair, rows: Sequence[Scores], kind: Kind) -> int | None:
    """x, where p is the smallest that x samples allow, 2^(1-x): those on which 0/1 scores differ in the seed
    with most of them, else all."""
    x = rows[0].samples
    if kind == "bernoulli":
        x = max(
            int((a != b).sum())
            for a, b in zip(rows[0].values, rows[1].values, strict=True)
            if a is not None and b is not None
        )
    return x if pair.difference != 0 and math.isclose(pair.p, 2.0 ** (1 - x)) else None


def _all_valid(row: Scores) -> bool:
    return all(valid is None or bool(valid.all()) for valid in row.valid)
