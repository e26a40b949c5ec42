"""What differs between two stores, suites or rows: cells with equal coordinates, with Holm's correction over
all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..errors import RobexError, did_you_mean
from . import words
from .cells import Place, Reader, Seed, cells_of
from .intervals import ALPHA
from .matching import ComparedCell, Matcher, Side, Verdict
from .p_values import holm
from .pairs import Pair
from .provenance import of_rows


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
        """Something is compared and nothing differs, every common cell could be compared, and no cell of the
        left side is gone."""
        bad = self.only_left or self.of("not comparable") or any(cell.differs for cell in self.cells)
        return bool(self.cells) and not bad


def compare_suites(pairs: Sequence[tuple[Side | None, Side | None]], left: str, right: str) -> Comparison:
    """Suites side by side, cell by cell. None: a side without the suite that the other has. left, right: how
    the sides are called."""
    found: list[ComparedCell] = []
    only: tuple[list[Mapping[str, str]], list[Mapping[str, str]]] = ([], [])
    unmeasured, why, warnings = 0, [], []
    for a, b in pairs:
        mine, theirs = a or b, b or a
        assert mine is not None
        assert theirs is not None
        head = {"suite": mine.manifest["suite"]} if len(pairs) > 1 else {}
        matcher = Matcher(mine, theirs, Reader(mine.store), Reader(theirs.store), left, right, head)
        matcher.match(cells_of(mine.manifest) if a else {}, cells_of(theirs.manifest) if b else {})
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
    apart = {c for c in a if a[c] != b[c]}
    matcher = Matcher(side, side, reader, reader, left, right, {}, apart)
    matcher.match(*parts)
    matcher.match_worst(*parts)
    return Comparison(
        left, right, _adjusted(matcher.found), tuple(matcher.only_left), tuple(matcher.only_right),
        matcher.unmeasured, (*of_rows(side.manifest, a, b), *matcher.reasons(methods=False)), True,
        tuple(matcher.warnings),
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
