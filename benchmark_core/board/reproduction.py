"""Published values and claims beside what was measured: whether they agree, and in which words."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from ..store import Store
from . import words
from .cells import COORDINATES, Reader, Samples, cells_of, kind_of, rule_of, shown
from .claims import Verdict, check_claim
from .expected import Claim, Expected, PublishedValue, Spot, spots_of
from .formats import Interval, show_interval
from .model import Block, Cell, Column, Row, Table
from .published import Agreed, Order, check_order, compare_published
from .standing import worst_of
from .statistics import Scores

Said = Literal[
    "within tolerance", "differs", "cannot tell",
    "same order", "other order", "order undecided",
    "supported", "contradicted", "undecided",
]  # fmt: skip


@dataclass(frozen=True)
class CheckedValue:
    """A published value beside ours. All texts are in the paper's unit. agreed: None without our value."""

    value: PublishedValue
    name: str
    verdict: Said
    published: str
    here: str
    difference: str
    sentence: str
    agreed: Agreed | None


@dataclass(frozen=True)
class CheckedOrder:
    """A claim, or the published order of the rows of one column. found: None when it cannot be judged."""

    name: str
    order: str
    verdict: Said
    sentence: str
    found: Verdict | None


@dataclass(frozen=True)
class Checked:
    """Everything an `expected:` file says about a board, beside what was measured."""

    board: str
    file: str
    values: tuple[CheckedValue, ...]
    claims: tuple[CheckedOrder, ...]
    orders: tuple[CheckedOrder, ...]

    @property
    def differs(self) -> bool:
        """Something published or claimed is clearly not what was measured."""
        bad = ("differs", "contradicted")
        return any(found.verdict in bad for found in (*self.values, *self.claims))


def check_expected(expected: Expected, store: Store, manifest: Mapping[str, Any], table: Table) -> Checked:
    """Judges an `expected:` file by a board. table: the one that `make_board` gives for the same board."""
    checker = _Checker(store, manifest, table)
    return Checked(
        table.board,
        expected.file,
        tuple(map(checker.value, expected.values)),
        tuple(map(checker.claim, expected.claims)),
        tuple(checker.orders(expected.values)),
    )


class _Undecided(Exception):
    """Why an order cannot be judged."""


@dataclass(frozen=True)
class _Placed:
    """A cell of the board and where it stands."""

    block: Block
    row: Row
    column: Column
    cell: Cell

    @property
    def row_name(self) -> str:
        return " · ".join(self.row.at[c] for c in self.block.labels) or self.row.name

    @property
    def column_name(self) -> str:
        """`mnist · pgd · robust-accuracy`."""
        return self._name({})

    @property
    def name(self) -> str:
        """`mnist · Strong-AT · pgd · robust-accuracy`."""
        return self._name({c: self.row.at[c] for c in self.block.labels or self.row.at})

    def shared_name(self, spots: Iterable[Spot]) -> str:
        """Where all of these cells are, this one among them: `mnist · Strong-AT · robust-accuracy`."""
        places = [spot.at for spot in spots]
        apart = {c for c in COORDINATES if len({at.get(c) for at in places}) > 1}
        return self._name({c: self.row.at[c] for c in self.block.labels}, apart)

    def _name(self, row: Mapping[str, str], apart: Collection[str] = ()) -> str:
        dataset = {c: label for c, label in self.block.at.items() if c == "dataset"}
        labels = {**dataset, **row, **self.column.shown}
        place = [(c, labels[c]) for c in COORDINATES if c in labels and c not in apart]
        return " · ".join([*shown(place), self.column.metric])


class _Checker:
    def __init__(self, store: Store, manifest: Mapping[str, Any], table: Table) -> None:
        self.manifest, self.reader = manifest, Reader(store)
        self.places = {
            spot: _Placed(block, row, column, cell) for spot, block, row, column, cell in spots_of(table)
        }
        self.seeds = {one.key: one for seeds in cells_of(manifest).values() for one in seeds}

    # -- values --

    def value(self, value: PublishedValue) -> CheckedValue:
        at = self.places[value.spot]
        column, cell = at.column, at.cell
        number, estimate = value.number, cell.estimate
        printed = number.printed if number.std is None else f"{number.printed} ±{number.std:g}"
        name = at.name
        if estimate is None or estimate.value is None or estimate.state in ("incomplete", "nan"):
            why = _why_missing(cell)
            return CheckedValue(value, name, "cannot tell", printed, "–", "–", f"Cannot tell: {why}.", None)
        agreed = compare_published(
            estimate.value, estimate.low, estimate.high, number, share=column.unit == "%"
        )
        unit = 1 / number.scale
        bounds = [None if b is None else unit * b for b in (estimate.low, estimate.high)]
        here = show_interval(Interval(unit * estimate.value, *bounds))
        apart = [None if b is None else unit * b for b in (agreed.low, agreed.high)]
        sentences = [words.published(agreed, estimate.low, estimate.high, scale=unit)]
        if agreed.default and agreed.agreement != "cannot tell":
            sentences.append(words.DEFAULT_TOLERANCE)
        if agreed.unused_std is not None:
            sentences.append(words.unused_std(f"{number.std:g}"))
        difference = words.with_bounds(unit * (agreed.ours - agreed.theirs), *apart)
        return CheckedValue(
            value, name, agreed.agreement, printed, here, difference, " ".join(sentences), agreed
        )

    # -- orders --

    def claim(self, claim: Claim) -> CheckedOrder:
        spots = dict(zip(claim.labels, claim.spots, strict=True))
        at = self.places[claim.spots[0]]
        name = at.shared_name(claim.spots)
        try:
            scores = self._scores(spots)
            about = self._about(at.column)
            found = check_claim(
                claim.labels, scores.__getitem__, kind_of(about, scores.values()),
                quantile=rule_of(about).quantile,
            )  # fmt: skip
        except (_Undecided, ValueError) as why:
            return CheckedOrder(name, claim.text, "undecided", f"Undecided: {why}", None)
        return CheckedOrder(name, claim.text, found.judgement, words.claim(found), found)

    def orders(self, values: Sequence[PublishedValue]) -> Iterator[CheckedOrder]:
        """The published order of the rows of each column that has two different published values or more."""
        columns: dict[Any, list[PublishedValue]] = {}
        for value in values:
            spot = value.spot
            columns.setdefault((spot.block, spot.metric, spot.column), []).append(value)
        for group in columns.values():
            by_source: dict[str, list[PublishedValue]] = {"": group}
            if len({value.spot for value in group}) < len(group):  # one order for each source
                by_source = {}
                for value in group:
                    by_source.setdefault(value.source, []).append(value)
            for source, some in by_source.items():
                found = self._order(some, source)
                if found is not None:
                    yield found

    def _order(self, values: Sequence[PublishedValue], source: str) -> CheckedOrder | None:
        spots: dict[str, Spot] = {}
        published: dict[str, float] = {}
        for value in values:
            label = self.places[value.spot].row_name
            spots[label], published[label] = value.spot, value.number.value
        if len(set(published.values())) < 2:
            return None
        at = self.places[values[0].spot]
        name = " · ".join(filter(None, [at.column_name, source]))
        text = _order_text(published)
        try:
            scores = self._scores(spots)
            about = self._about(at.column)
            kind = kind_of(about, scores.values())
            judged = check_order(published, scores.__getitem__, kind, quantile=rule_of(about).quantile)
        except (_Undecided, ValueError) as why:
            return CheckedOrder(name, text, "order undecided", f"Order undecided: {why}", None)
        assert judged is not None  # two values differ
        order, verdict = judged
        return CheckedOrder(name, text, order, _order_sentence(order, verdict), verdict)

    def _scores(self, spots: Mapping[str, Spot]) -> dict[str, Scores]:
        """The scores of each label. Raises _Undecided unless a board would rank all of them, or show them as
        references."""
        for label, spot in spots.items():
            at = self.places[spot]
            estimate = at.cell.estimate
            if estimate is None or estimate.state in ("incomplete", "nan"):
                raise _Undecided(f"{label}: {_why_missing(at.cell)}.")
            if estimate.state not in ("ok", "reference"):  # each pair is compared on its own
                share = estimate.share.value if estimate.share else None
                said = {
                    "few-samples": words.few_samples(estimate.n),
                    "few-seeds": words.few_seeds_of_set(at.column.metric, estimate.seeds),
                    "low-validity": words.low_validity(share or 0.0),
                }[estimate.state]
                raise _Undecided(f"{label}: {said}")
        used = [self._samples_of(self.places[spot].cell) for spot in spots.values()]
        if any(one != used[0] for one in used):
            raise _Undecided("these rows were measured on different samples.")
        return {label: self._read(self.places[spot]) for label, spot in spots.items()}

    def _read(self, at: _Placed) -> Scores:
        cell, rule = at.cell, rule_of(self._about(at.column))
        seeds = [self.seeds[key] for key in cell.keys]
        if not cell.derived:
            return rule.applied(self.reader.scores(seeds))
        attacks = [seeds[i : i + cell.of] for i in range(0, len(seeds), cell.of)]
        worst = worst_of([self.reader.scores(s) for s in attacks], higher=at.column.direction == "higher")
        assert worst is not None
        return rule.applied(worst)

    def _samples_of(self, cell: Cell) -> list[Samples | None]:
        """Seed by seed. Seeds may share a record, so that it does not tell whose it is."""
        return [self.reader.samples(self.seeds[key].selection) for key in cell.keys[: cell.of]]

    def _about(self, column: Column) -> Mapping[str, Any]:
        return self.manifest["metrics"][column.metric]


def _why_missing(cell: Cell) -> str:
    estimate = cell.estimate
    if cell.done < cell.of:
        return "not measured yet" if not cell.done else f"only {cell.done} of {cell.of} seeds are measured"
    bad = estimate.not_numbers if estimate is not None else 0
    return f"{bad} scores are not a number" if bad else "no valid sample"


def _order_text(published: Mapping[str, float]) -> str:
    """`A < B = C`, as published."""
    labels = sorted(published, key=lambda label: (published[label], label))
    text = labels[0]
    for before, label in pairwise(labels):
        text += f" {'=' if published[before] == published[label] else '<'} {label}"
    return text


def _order_sentence(order: Order, verdict: Verdict) -> str:
    return f"{order.capitalize()}: {words.claim(verdict).partition(': ')[2]}"
