"""Sanity gates: results that cannot be right, or that say less than they seem to, flagged with both numbers.

A gate never changes a number or a rank.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

from . import words
from .formats import count
from .model import Cell, Column, Flag
from .pairs import compare_pair
from .standing import PairList
from .statistics import ALPHA, Scores
from .strips import producers

#: A share of blind samples above this is worth a flag.
VANISHED = 0.01


@dataclass(frozen=True)
class View:
    """A column as the gates see it: for each row its cell, its scores and what was measured, a key a seed.

    samples: what tells apart the samples, and their targets, that its rows were measured on.
    """

    column: Column
    cells: Sequence[Cell]
    scores: Sequence[Scores | None]
    results: Sequence[tuple[str, ...]]
    samples: Collection[tuple[int, str, str]] = ()


def flags(
    views: Sequence[View],
    rows: Sequence[Mapping[str, str]],
    manifest: Mapping[str, Any],
    vanished: Callable[[str], float | None],
) -> list[list[Flag]]:
    """The flags of each row. vanished: key of an attack's record -> share of samples without a gradient."""
    found: list[list[Flag]] = [[] for _ in rows]
    stronger = _stronger_pairs(views, manifest)
    for i in range(len(rows)):
        found[i] += _not_numbers(views, i)
        found[i] += _stronger_does_worse(stronger, i)
        found[i] += _blind(views, i, vanished)
    for i, flag in _like_control(views, rows, manifest):
        found[i].append(flag)
    return found


def mixed(column: str, environments: Sequence[str]) -> str:
    """The warning about a column whose numbers were not all made alike."""
    return (
        f"{column}: made in {len(environments)} environments ({'; '.join(environments)}). Small differences "
        "between rows may come from them; run the suite anew in one place to be sure."
    )


def _not_numbers(views: Sequence[View], i: int) -> list[Flag]:
    flags = []
    for view in views:
        estimate = view.cells[i].estimate
        if estimate is not None and estimate.not_numbers:
            said = words.not_numbers(estimate.not_numbers, estimate.n * max(estimate.seeds, 1))
            flags.append(Flag("NaN", f"{_head(view.column)}: {said}"))
    return flags


def _stronger_pairs(views: Sequence[View], manifest: Mapping[str, Any]) -> list[tuple[View, View, str]]:
    """Columns of one metric, the second under an attack that searches at least all that the first's does."""
    methods = manifest.get("methods", {}).get("attack", {})
    of_metric: dict[str, list[View]] = {}
    for view in views:
        if view.column.kind == "bernoulli" and view.column.direction and "attack" in view.column.at:
            of_metric.setdefault(view.column.metric, []).append(view)
    return [
        (weak, strong, why)
        for group in of_metric.values()
        for weak, strong in permutations(group, 2)
        if len(weak.samples) == 1 and set(weak.samples) == set(strong.samples)
        if (why := _is_stronger(*(methods.get(v.column.at["attack"]) for v in (weak, strong))))
    ]


def _stronger_does_worse(pairs: Sequence[tuple[View, View, str]], i: int) -> list[Flag]:
    """PGD above FGSM, or accuracy that rises with eps: a stronger attack must not leave more correct."""
    flags = []
    for weak, strong, why in pairs:
        ours, theirs = weak.cells[i].estimate, strong.cells[i].estimate
        if ours is None or theirs is None or {ours.state, theirs.state} != {"ok"}:
            continue
        first, second = strong.scores[i], weak.scores[i]
        assert first is not None
        assert second is not None
        pair = compare_pair(first, second, "bernoulli")
        rises = pair.difference > 0 if weak.column.direction == "higher" else pair.difference < 0
        if rises and pair.p < ALPHA:
            a, b = weak.column, strong.column
            flags.append(
                Flag(
                    why,
                    f"{a.metric} under {b.at['attack']} is {_value(theirs.value, b)}, under {a.at['attack']} "
                    f"{_value(ours.value, a)}. The stronger attack should not leave more; look at "
                    "vanished gradients, the step size, and the number of steps and restarts.",
                )
            )
    return flags


def _is_stronger(weak: Mapping[str, Any] | None, strong: Mapping[str, Any] | None) -> str | None:
    """The word of the flag if `strong` searches at least all that `weak` does, else None."""
    if weak is None or strong is None:
        return None
    p, q = dict(weak["params"]), dict(strong["params"])
    if (weak["name"], strong["name"]) == ("fgsm", "pgd"):
        same = p.get("eps") == q.get("eps") and q.get("norm", "linf") == "linf"
        return "pgd above fgsm" if same else None
    if weak["name"] != strong["name"] or "eps" not in p or "eps" not in q:
        return None
    small, large = p.pop("eps"), q.pop("eps")
    return "rises with eps" if p == q and small < large else None


def _blind(views: Sequence[View], i: int, vanished: Callable[[str], float | None]) -> list[Flag]:
    worst: dict[str, float] = {}
    for view in views:
        attack = view.column.at.get("attack")
        for result in view.results[i] if attack else ():
            share = vanished(result)
            if attack and share is not None and share > VANISHED:
                worst[attack] = max(worst.get(attack, 0.0), share)
    return [
        Flag(
            "vanished gradients",
            f"{attack} met no usable gradient on up to {100 * share:.2g} % of the samples of a seed, so what "
            "it leaves correct may not be robust. Try loss: cw or dlr, other starts, or an attack without "
            "gradients.",
        )
        for attack, share in worst.items()
    ]


def _like_control(
    views: Sequence[View], rows: Sequence[Mapping[str, str]], manifest: Mapping[str, Any]
) -> list[tuple[int, Flag]]:
    """Rows that are not separated as better than the null control beside them."""
    controls = set(manifest.get("controls", ())) - set(manifest.get("ideals", ()))
    kind = next((k for k in ("explainer", "attack") if any(row.get(k) in controls for row in rows)), None)
    if kind is None:
        return []
    null_rows: dict[tuple[str, ...], list[int]] = {}  # by where they stand otherwise
    for c, row in enumerate(rows):
        if row[kind] in controls:
            null_rows.setdefault(_beside(row, kind), []).append(c)
    real = set(range(len(rows))) - {i for i, row in enumerate(rows) if row[kind] in manifest["controls"]}
    found = []
    for view in views:
        ranking = view.column.ranking
        if ranking is None or view.column.kind == "set":
            continue
        assert isinstance(ranking.pairs, PairList)
        better = set(map(tuple, ranking.pairs.separated().tolist()))
        for i in sorted(real):
            for c in null_rows.get(_beside(rows[i], kind), ()):
                ours, theirs = view.cells[i].estimate, view.cells[c].estimate
                if (i, c) in better or None in (ranking.standings[i], ranking.standings[c]):
                    continue
                assert ours is not None
                assert theirs is not None
                found.append(
                    (
                        i,
                        Flag(
                            "like noise",
                            f"{view.column.metric} is {_value(ours.value, view.column)}, of the control "
                            f"{rows[c][kind]} {_value(theirs.value, view.column)}: not separated as better "
                            "than a method that knows nothing. Either the method fails here, or the metric "
                            "does not see what it does.",
                        ),
                    )
                )
    return found


def _beside(row: Mapping[str, str], kind: str) -> tuple[str, ...]:
    """Where a row stands, but for this coordinate."""
    return tuple(label for k, label in row.items() if k != kind)


def _head(column: Column) -> str:
    return " · ".join([column.metric, *producers(column)])


def _value(value: float | None, column: Column) -> str:
    if value is None:
        return "not a number"
    shown = f"{column.scale * value:.3g}" if abs(value) < 1000 else count(round(value))
    return f"{shown} %" if column.unit == "%" else shown
