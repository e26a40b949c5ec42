"""Published numbers beside ours: whether they agree within a tolerance, and whether their order is ours."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from typing import Literal

from ..errors import RobexError
from .claims import Verdict, check_steps, judge
from .statistics import Kind, Scores

Agreement = Literal["within tolerance", "differs", "cannot tell"]
Order = Literal["same order", "other order", "order undecided"]

_Z = 1.96
_SHARE_TOLERANCE = 0.02
_RELATIVE_TOLERANCE = 0.1
_ROUNDING = 1e-9


@dataclass(frozen=True, kw_only=True)
class Published:
    """A number as a paper prints it. printed: its text (`0.390` has three digits).

    tolerance: absolute. std: their "+-"; std_means: what it is, if they say so; runs: of how many seeds, for
    `seeds`. All are in the paper's unit; scale turns it into ours (0.01: percent into shares).
    """

    printed: str
    tolerance: float | None = None
    std: float | None = None
    std_means: Literal["seeds", "standard-error", "ci95"] | None = None
    runs: int | None = None
    scale: float = 1.0

    def __post_init__(self) -> None:
        try:
            finite = Decimal(self.printed.strip()).is_finite()
        except InvalidOperation:
            finite = False
        if not finite:
            raise RobexError(f'published value "{self.printed}" is not a number')
        if self.tolerance is not None and not (math.isfinite(self.tolerance) and self.tolerance >= 0):
            raise RobexError(f"published value {self.printed}: the tolerance must be at least 0")
        if self.std_means is not None and self.std is None:
            raise RobexError(f"published value {self.printed}: std_means is given and std is not")
        if self.std_means == "seeds" and (self.runs is None or self.runs < 1):
            raise RobexError(f"published value {self.printed}: std_means: seeds needs the number of runs")

    @property
    def value(self) -> float:
        return float(Decimal(self.printed.strip())) * self.scale

    @property
    def last_digit(self) -> float:
        """One unit of the last printed digit."""
        exponent = Decimal(self.printed.strip()).as_tuple().exponent
        assert isinstance(exponent, int)
        return 10.0**exponent * self.scale

    @property
    def standard_error(self) -> float:
        """Of their mean; 0 where they do not say what their "+-" is."""
        if self.std is None or self.std_means is None:
            return 0.0
        s = self.std * self.scale
        if self.std_means == "seeds":
            return s / math.sqrt(self.runs or 1)
        return s if self.std_means == "standard-error" else s / _Z

    def default_tolerance(self, *, share: bool) -> float:
        """max(half a unit of the last printed digit, 0.02 for shares in [0, 1] and else 10 % of the
        value)."""
        return max(self.last_digit / 2, _SHARE_TOLERANCE if share else _RELATIVE_TOLERANCE * abs(self.value))


@dataclass(frozen=True)
class Agreed:
    """low, high: 95 % bounds of ours minus theirs (None: ours has no interval). default: nobody gave the
    tolerance. unused_std: their "+-" where it did not enter, in our unit."""

    agreement: Agreement
    ours: float
    theirs: float
    tolerance: float
    default: bool
    low: float | None
    high: float | None
    unused_std: float | None

    @property
    def too_wide(self) -> bool:
        """No value of ours with so wide an interval would be within the tolerance."""
        return self.low is not None and self.high is not None and self.high - self.low > 2 * self.tolerance


def compare_published(
    ours: float, low: float | None, high: float | None, theirs: Published, *, share: bool
) -> Agreed:
    """Ours m [L, H] against theirs v with standard error se: lo = (m-v) - sqrt((m-L)^2 + (1.96 se)^2), hi =
    (m-v) + sqrt((H-m)^2 + (1.96 se)^2). `within tolerance` if -delta <= lo and hi <= delta, `differs` if lo
    > delta or hi < -delta, else, or without an interval, `cannot tell`. The last bits of decimal numbers do
    not decide. share: a share in [0, 1]."""
    default = theirs.tolerance is None
    given = None if theirs.tolerance is None else theirs.tolerance * theirs.scale
    delta = theirs.default_tolerance(share=share) if given is None else given
    unused = theirs.std * theirs.scale if theirs.std is not None and theirs.std_means is None else None
    v = theirs.value
    if low is None or high is None or not math.isfinite(ours):
        return Agreed("cannot tell", ours, v, delta, default, None, None, unused)
    noise = _Z * theirs.standard_error
    lo = (ours - v) - math.hypot(ours - low, noise)
    hi = (ours - v) + math.hypot(high - ours, noise)
    edge = delta + _ROUNDING * max(abs(ours), abs(v), delta)
    agreement: Agreement = "cannot tell"
    if -edge <= lo and hi <= edge:
        agreement = "within tolerance"
    elif lo > edge or hi < -edge:
        agreement = "differs"
    return Agreed(agreement, ours, v, delta, default, lo, hi, unused)


def order_of(verdict: Verdict) -> Order:
    """What a claim about their order says of it."""
    words: dict[str, Order] = {"supported": "same order", "contradicted": "other order"}
    return words.get(verdict.judgement, "order undecided")


def published_steps(values: Mapping[str, float]) -> list[tuple[str, str]]:
    """(lower, upper) labels of neighbouring published values. Equal values say nothing about each other, so
    each is compared with every label of the next larger value."""
    levels: dict[float, list[str]] = {}
    for label in sorted(values, key=lambda label: (values[label], label)):
        levels.setdefault(values[label], []).append(label)
    rising = list(levels.values())
    return [(lower, upper) for below, above in pairwise(rising) for lower in below for upper in above]


def check_order(
    values: Mapping[str, float],
    read: Callable[[str], Scores],
    kind: Kind,
    *,
    quantile: float | None = None,
) -> tuple[Order, Verdict] | None:
    """Whether our rows lie in the published order of their values; None if no two published values differ."""
    steps = check_steps(published_steps(values), read, kind, quantile=quantile)
    if not steps:
        return None
    verdict = judge(steps)
    return order_of(verdict), verdict
