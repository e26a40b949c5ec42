"""Sanity gates: results that cannot be right, or that say less than they seem to, flagged with both numbers.

A gate never changes a number or a rank.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import permutations
from typing import Any

from ..errors import cut, printable
from . import sides, words
from .formats import significant
from .intervals import ALPHA
from .model import Cell, Column, Flag
from .p_values import holm
from .pairs import Pair, compare_pair
from .scores import Scores
from .strips import producers

_NAMED = 4  # environments in a warning

#: A share of blind samples above this is worth a flag.
VANISHED = 0.01


@dataclass(frozen=True)
class View:
    """A column as the gates see it: for each row its cell, its scores and what was measured, a key a seed.

    samples: what tells apart the samples, and their targets, that its rows were measured on. against: what
    `against_controls` found.
    """

    column: Column
    cells: Sequence[Cell]
    scores: Sequence[Scores | None]
    results: Sequence[tuple[str, ...]]
    samples: Collection[tuple[int, str, str]] = ()
    against: Mapping[tuple[int, int], Pair] = field(default_factory=dict)


def flags(
    views: Sequence[View],
    rows: Sequence[Mapping[str, str]],
    manifest: Mapping[str, Any],
    vanished: Callable[[str], float | None],
) -> list[list[Flag]]:
    """The flags of each row. vanished: key of an attack's record -> share of samples without a gradient."""
    found: list[list[Flag]] = [[] for _ in rows]
    columns, beside = _stronger_columns(views, manifest), _stronger_rows(rows, manifest)
    held = [view for view in views if _may_rise(view, manifest)]
    for i, row in enumerate(rows):
        cells = [((weak, i), (strong, i), why) for weak, strong, why in columns]
        cells += [((view, weak), (view, i), why) for view in held for weak, why in beside.get(i, ())]
        found[i] += _not_numbers(views, i)
        found[i] += _stronger_does_worse(cells, rows)
        found[i] += _blind(views, i, row.get("attack"), vanished)
        found[i] += [flag for view in views for flag in _like_control(view, i, rows, manifest)]
    return found


def mixed(column: str, environments: Sequence[str]) -> str:
    """The warning about a column whose numbers were not all made alike."""
    told = "; ".join(cut(printable(each)) for each in environments[:_NAMED])
    more = f"; and {len(environments) - _NAMED} more" if len(environments) > _NAMED else ""
    return (
        f"{cut(printable(column))}: made in {len(environments)} environments ({told}{more}). Small "
        "differences between rows may come from them; run the suite anew in one place to be sure."
    )


def _not_numbers(views: Sequence[View], i: int) -> list[Flag]:
    flags = []
    for view in views:
        estimate = view.cells[i].estimate
        if estimate is not None and estimate.not_numbers:
            said = words.not_numbers(estimate.not_numbers, estimate.n * max(estimate.seeds, 1))
            flags.append(Flag("NaN", f"{_head(view.column)}: {said}"))
    return flags


#: A cell: its column, and the place of its row.
_At = tuple[View, int]


def _may_rise(view: View, manifest: Mapping[str, Any]) -> bool:
    """Whether the column says what attacks leave: shares of one set of samples that judge the defense."""
    judges = manifest["metrics"][view.column.metric].get("judges", "defense")
    shares = view.column.kind == "bernoulli" and view.column.direction is not None
    return shares and judges == "defense" and len(view.samples) == 1


def _stronger_columns(views: Sequence[View], manifest: Mapping[str, Any]) -> list[tuple[View, View, str]]:
    """Columns of one metric that differ in the attack alone, the second under one that searches at least all
    that the first's does."""
    alike: dict[tuple[str, ...], list[View]] = {}
    for view in views:
        if "attack" in view.column.at and _may_rise(view, manifest):
            elsewhere = _elsewhere(view.column.at, "attack")
            alike.setdefault((view.column.metric, *elsewhere), []).append(view)
    return [
        (weak, strong, why)
        for group in alike.values()
        for weak, strong in permutations(group, 2)
        if set(weak.samples) == set(strong.samples)
        if (why := _is_stronger(weak.column.at["attack"], strong.column.at["attack"], manifest))
    ]


def _stronger_rows(
    rows: Sequence[Mapping[str, str]], manifest: Mapping[str, Any]
) -> dict[int, list[tuple[int, str]]]:
    """The same where attacks are rows: for each row the weaker ones that stand where it stands otherwise."""
    found: dict[int, list[tuple[int, str]]] = {}
    alike: dict[tuple[str, ...], list[int]] = {}
    for i, row in enumerate(rows):
        if "attack" in row:
            alike.setdefault(_elsewhere(row, "attack"), []).append(i)
    for group in alike.values():
        for weak, strong in permutations(group, 2):
            if why := _is_stronger(rows[weak]["attack"], rows[strong]["attack"], manifest):
                found.setdefault(strong, []).append((weak, why))
    return found


def _stronger_does_worse(
    cells: Iterable[tuple[_At, _At, str]], rows: Sequence[Mapping[str, str]]
) -> Iterator[Flag]:
    """PGD above FGSM, or accuracy that rises with eps: a stronger attack must not leave more correct. cells:
    under the weaker attack, under the stronger one, and the word of the flag."""
    for (weak, j), (strong, i), why in cells:
        ours, theirs = weak.cells[j].estimate, strong.cells[i].estimate
        if ours is None or theirs is None or {ours.state, theirs.state} != {"ok"}:
            continue
        first, second = strong.scores[i], weak.scores[j]
        assert first is not None
        assert second is not None
        pair = compare_pair(first, second, "bernoulli")
        a, b = weak.column, strong.column
        higher = (a.direction == "higher") != a.turned
        if (pair.difference > 0) == higher and pair.p < ALPHA:
            attacks = [{**rows[k], **c.at}["attack"] for k, c in ((i, b), (j, a))]
            yield Flag(
                why,
                f"{a.metric} under {attacks[0]} is {_value(theirs.value, b)}, under {attacks[1]} "
                f"{_value(ours.value, a)}. The stronger attack should not leave more; look at "
                "vanished gradients, the step size, and the number of steps and restarts.",
            )


def _is_stronger(first: str, second: str, manifest: Mapping[str, Any]) -> str | None:
    """The word of the flag if the second attack searches at least all that the first does, else None."""
    methods = manifest.get("methods", {}).get("attack", {})
    weak, strong = methods.get(first), methods.get(second)
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


def _blind(
    views: Sequence[View], i: int, of_row: str | None, vanished: Callable[[str], float | None]
) -> list[Flag]:
    worst: dict[str, float] = {}
    for view in views:
        attack = view.column.at.get("attack", of_row)
        for result in view.results[i] if attack else ():
            share = vanished(result)
            if attack and share is not None and share > VANISHED:
                worst[attack] = max(worst.get(attack, 0.0), share)
    return [
        Flag(
            "vanished gradients",
            f"{attack} met no usable gradient on up to {words.percent(share)} of the samples of a seed, so "
            "what it leaves correct may not be robust. Try loss: cw or dlr, other starts, or an attack "
            "without gradients.",
        )
        for attack, share in worst.items()
    ]


def beside_controls(rows: Sequence[Mapping[str, str]], manifest: Mapping[str, Any]) -> list[tuple[int, int]]:
    """(row, null control): the rows of real methods, each with the controls that stand where it stands
    otherwise."""
    ideals = set(manifest.get("ideals", ()))
    controls = set(manifest.get("controls", ())) - ideals
    kind = next((k for k in ("explainer", "attack") if any(row.get(k) in controls for row in rows)), None)
    if kind is None:
        return []
    null_rows: dict[tuple[str, ...], list[int]] = {}
    for c, row in enumerate(rows):
        if row[kind] in controls:
            null_rows.setdefault(_elsewhere(row, kind), []).append(c)
    real = [i for i, row in enumerate(rows) if row[kind] not in controls | ideals]
    return [(i, c) for i in real for c in null_rows.get(_elsewhere(rows[i], kind), ())]


def against_controls(
    column: Column, cells: Sequence[Cell], scores: Sequence[Scores | None], beside: Sequence[tuple[int, int]]
) -> dict[tuple[int, int], Pair]:
    """Ranked rows less the null control beside them, each pair by its own variance: no other row of the board
    decides whether a method beats doing nothing. Adjusted over these pairs."""
    import numpy as np

    if not beside or column.direction is None or not column.comparable or column.kind == "set":
        return {}
    states = [None if cell.estimate is None else cell.estimate.state for cell in cells]
    quantile = 0.5 if column.average == "median" else None
    found: dict[tuple[int, int], Pair] = {}
    for i, c in beside:
        ours, theirs = (scores[row] if states[row] == "ok" else None for row in (i, c))
        if ours is not None and theirs is not None:
            found[i, c] = compare_pair(ours, theirs, column.kind, quantile=quantile)  # type: ignore[arg-type]
    adjusted = holm(np.array([pair.p for pair in found.values()])).tolist()
    return {at: replace(pair, p_holm=p) for (at, pair), p in zip(found.items(), adjusted, strict=True)}


def _like_control(
    view: View, i: int, rows: Sequence[Mapping[str, str]], manifest: Mapping[str, Any]
) -> Iterator[Flag]:
    """A row that is not separated as better than the null control beside it, or is separated as worse. An
    attack is better where it harms more, whichever way the board is ranked."""
    column = view.column
    for (row, c), pair in view.against.items():
        if row != i:
            continue
        kind, control = next((k, label) for k, label in rows[c].items() if rows[i][k] != label)
        about = manifest["metrics"][column.metric]
        better = sides.attackers(about) if kind == "attack" else column.direction
        if pair.separated and (pair.difference > 0) == (better == "higher"):
            continue
        ours, theirs = (_value(e.value if (e := view.cells[k].estimate) else None, column) for k in (i, c))
        said = f"{column.metric} is {ours}, of the control {control} {theirs}"
        tested = words.tested(pair, column.scale)
        if pair.separated:
            yield Flag(
                "worse than control",
                f"{said}: separated as worse than this null method, compared with it alone ({tested}). "
                "Look at the method's params and whether it converged, and whether the metric rewards "
                "doing nothing.",
            )
        else:
            yield Flag(
                "like noise",
                f"{said}: not separated as better than this null method ({tested}). Either the method fails "
                "here, or the metric does not see what it does: look at its params, and at what the metric "
                "measures.",
            )


def _elsewhere(row: Mapping[str, str], kind: str) -> tuple[str, ...]:
    """Where a row stands, but for this coordinate."""
    return tuple(label for k, label in row.items() if k != kind)


def _head(column: Column) -> str:
    return " · ".join([column.metric, *producers(column)])


def _value(value: float | None, column: Column) -> str:
    if value is None:
        return "not a number"
    shown = significant(column.scale * value)
    return f"{shown} %" if column.unit == "%" else shown
