"""Ordered claims, `claim: Strong < Medium < Weak < Standard`: what the data say about an order of values."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from ..errors import RobexError, did_you_mean
from .intervals import ALPHA
from .pairs import compare_pair
from .statistics import Kind, Scores

Judgement = Literal["supported", "contradicted", "undecided"]

_PART = re.compile(r'\s*(?:"([^"]+)"|([^<>="\s][^<>"]*?))\s*(<|$)')


@dataclass(frozen=True)
class Step:
    """One step `lower < upper` of a claim: difference lower minus upper, and its one-sided p."""

    lower: str
    upper: str
    difference: float
    p: float


@dataclass(frozen=True)
class Verdict:
    """p: the claim's, the largest of its steps. step: the one that decides: the weakest, or, if the claim is
    contradicted, the one that most clearly goes the other way; p_against is the p value of that."""

    judgement: Judgement
    p: float
    step: Step
    p_against: float


def parse_claim(text: str, known: Collection[str] = ()) -> tuple[str, ...]:
    """`A < B < C` -> its labels in ascending order of values. A label that contains < or > stands in double
    quotes.

    known: the labels that exist (none: all do). Raises RobexError.
    """
    labels: list[str] = []
    at = 0
    while at <= len(text) and (not labels or text[at - 1] == "<"):
        part = _PART.match(text, at)
        if part is None:
            raise RobexError(f'claim "{text}": write values in ascending order, as in "A < B < C"')
        labels.append(part[1] or part[2])
        at = part.end()
    if at < len(text) or len(labels) < 2:
        raise RobexError(f'claim "{text}": write values in ascending order, as in "A < B < C"')
    for label in labels:
        if known and label not in known:
            hint = did_you_mean(label, known) or f"; rows are: {', '.join(known)}"
            raise RobexError(f'claim "{text}": no row is called "{label}"{hint}')
        if labels.count(label) > 1:
            raise RobexError(f'claim "{text}": "{label}" stands there twice')
    return tuple(labels)


def check_claim(
    labels: Sequence[str], read: Callable[[str], Scores], kind: Kind, *, quantile: float | None = None
) -> Verdict:
    """Judges a claim by comparing neighbours, each pair without the board's other rows. read: a label's
    scores."""
    return judge(check_steps(pairwise(labels), read, kind, quantile=quantile))


def check_steps(
    steps: Iterable[tuple[str, str]],
    read: Callable[[str], Scores],
    kind: Kind,
    *,
    quantile: float | None = None,
) -> list[Step]:
    """(lower, upper) pairs with their one-sided p: p/2 if the difference has the claimed sign, else 1 -
    p/2."""
    found = []
    for lower, upper in steps:
        pair = compare_pair(read(lower), read(upper), kind, quantile=quantile)
        p = pair.p / 2 if pair.difference < 0 else 1 - pair.p / 2
        found.append(Step(lower, upper, pair.difference, p))
    return found


def judge(steps: Sequence[Step]) -> Verdict:
    """`supported`: the largest p is below 0.05 (all steps must hold, so nothing needs correction).
    `contradicted`: some step has 1 - p < 0.05 / (number of steps). Else `undecided`."""
    weakest = max(steps, key=lambda step: step.p)
    against = 1 - weakest.p
    if weakest.p < ALPHA:
        return Verdict("supported", weakest.p, weakest, against)
    judgement: Judgement = "contradicted" if against < ALPHA / len(steps) else "undecided"
    return Verdict(judgement, weakest.p, weakest, against)
