"""How numbers look: estimates with their interval, counts, times, sizes; text for terminals without UTF-8.

The estimate and its interval always have the same decimals, chosen by the width of the interval:
  * `96.8 ±1.0`: half the width to one significant digit, to two when it starts with 1;
  * `0.30 [0.12, 0.91]`: bounds where one arm is more than 1.5 times the other. Decimals show the leading
    digit of the arms' geometric mean (of half the width where an arm is 0), one more when it is below 3.55;
  * `3.2e-5 ±0.4e-5`: one exponent for all numbers, where more than four decimals would be needed. A column
    is written alike, all of it with one exponent or none of it with any, unless its numbers differ too much.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

MINUS = "\N{MINUS SIGN}"
INFINITY = "\N{INFINITY}"
_LOPSIDED = 1.5
_MAX_DECIMALS = 6
_ASCII = str.maketrans(
    {
        "×": "x", "·": ".", "–": "-", MINUS: "-", "±": "+-", "↑": "^", "↓": "v", "✓": "ok", "✕": "FAIL",
        "…": "...", "→": "->", "≥": ">=", "≤": "<=", "ⓘ": "(i)",
        "∞": "inf", "⚑": "!", "▲": "^", "▼": "v", "≠": "!=", "≈": "~", "⚠": "!",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Interval:
    """An estimate and its bounds in the unit that is shown (shares in percent); low None: no interval."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def is_point(self) -> bool:
        """The interval has no width: every score is the same."""
        return self.low is not None and self.low == self.high

    @property
    def is_finite(self) -> bool:
        return all(x is None or math.isfinite(x) for x in (self.value, self.low, self.high))

    @property
    def symmetric(self) -> bool:
        """Whether one `±` says it: the arms differ by at most half."""
        if self.low is None or self.high is None or self.is_point or not self.is_finite:
            return False
        arms = sorted((self.value - self.low, self.high - self.value))
        return arms[1] <= _LOPSIDED * arms[0]

    @property
    def decimals(self) -> int | None:
        """Decimals that the interval allows (more than six are never shown); None without an interval."""
        if self.low is None or self.high is None:
            return None
        if self.is_point:
            return 3
        if not self.is_finite:  # the arm that ends says how fine the number is
            arms = [a for a in (self.value - self.low, self.high - self.value) if math.isfinite(a) and a > 0]
            return _decimals(arms[0], 3.55) if arms else None
        half = (self.high - self.low) / 2
        if self.symmetric:
            return _decimals(half, 1.95)
        arms = math.sqrt((self.value - self.low) * (self.high - self.value))
        return _decimals(arms if arms > 0 else half, 3.55)

    @property
    def exponent(self) -> int | None:
        """The power of ten with which it is written by itself; None: without."""
        size = max(abs(x) for x in (self.value, self.low, self.high) if x is not None)
        if not self.is_finite or self.is_point or size == 0:
            return None
        if self.low is None or self.high is None:
            power = math.floor(math.log10(size))
            return None if -4 <= power < 7 else power
        if (self.decimals or 0) <= 4 or size >= 1e-3:
            return None
        return math.floor(math.log10(max(abs(self.value), (self.high - self.low) / 2)))


def column_exponent(intervals: Sequence[Interval]) -> int | Literal["own"] | None:
    """One power of ten for numbers that stand under each other: that of the largest where each would be
    written with one. Where some would not, none if six decimals do for all, else that of the smallest;
    but each its own where that would write the largest with more than four digits before the point."""
    small = [(i, p) for i in intervals if (p := i.exponent) is not None and p < 0]
    powers = [p for _, p in small]
    if len(small) == len(intervals):
        return max(powers, default=None)
    if all((i.decimals or 2 - p) <= _MAX_DECIMALS for i, p in small):
        return None
    largest = max((abs(i.value) for i in intervals if math.isfinite(i.value)), default=0.0)
    return "own" if largest >= 1e4 * 10.0 ** min(powers) else min(powers)


def show_interval(
    interval: Interval, decimals: int | None = None, exponent: int | Literal["own"] | None = "own"
) -> str:
    """`96.8 ±1.0`, `0.30 [0.12, 0.91]`, `3.2e-5 ±0.4e-5`, `0.500 (all equal)`, or `84.3` without an interval.

    decimals: those of the whole column at least; otherwise what the interval allows. exponent: that of the
    whole column (None: it has none).
    """
    value, low, high = interval.value, interval.low, interval.high
    own = interval.decimals
    power = interval.exponent if exponent == "own" else exponent
    if power is not None and interval.is_finite and not interval.is_point:
        return _with_exponent(interval, power)
    if low is None or high is None:
        return significant(value, least=-9 if exponent is None else -4)
    if own is None or not math.isfinite(value):
        return f"{significant(value)} [{significant(low)}, {significant(high)}]"
    if interval.is_point:
        return f"{_bare(value, own)} (all equal)"
    places = min(own if decimals is None else max(own, decimals), _MAX_DECIMALS)
    if interval.symmetric:
        half = (high - low) / 2
        return f"{fixed(value, places)} ±{_half(half, fixed(half, places))}"
    shown, *bounds = (_bare(number, places) for number in (value, low, high))
    return f"{shown} [{bounds[0]}, {bounds[1]}]"


def significant(value: float, digits: int = 3, *, least: int = -4) -> str:
    """`84.3`, `0.00123`, `1.23e-5`, `1,234`: three significant digits, whole numbers in full.

    least: the smallest power of ten that is written without an exponent.
    """
    if math.isinf(value):
        return INFINITY if value > 0 else MINUS + INFINITY
    if value == 0 or math.isnan(value):
        return "0" if value == 0 else "nan"
    exponent = _power(value, digits)
    if least <= exponent < 7:
        return fixed(value, max(0, digits - 1 - exponent))
    return _exponential(value, exponent, digits - 1)


def fixed(value: float, decimals: int) -> str:
    """A number with so many decimals, thousands separators and a proper minus; never `-0`."""
    if math.isinf(value):
        return INFINITY if value > 0 else MINUS + INFINITY
    text = f"{value:,.{decimals}f}"
    if text.startswith("-"):
        text = MINUS + text[1:] if text.strip("-0.,") else text[1:]
    return text


def count(number: int) -> str:
    """`1,000`."""
    return f"{number:,}".replace("-", MINUS)


def plural(number: int, noun: str) -> str:
    """`1 cell`, `1,000 cells`."""
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float, *, whole: bool = False) -> str:
    """`0.4 s`, `38 s`, `4 min 05 s`, `3 h 12 min`. whole: no fractions of a second, as on a clock."""
    if seconds < 9.95 and not whole:
        return "0 s" if seconds == 0 else "< 0.1 s" if seconds < 0.05 else f"{seconds:.1f} s"
    rounded = round(seconds)
    if rounded < 60:
        return f"{rounded} s"
    if rounded < 3600:
        return f"{rounded // 60} min {rounded % 60:02} s"
    minutes = round(seconds / 60)
    return f"{count(minutes // 60)} h {minutes % 60:02} min"


def rough_duration(seconds: float) -> str:
    """For estimates: `38 s`, `4 min`, `3 h 12 min`."""
    if seconds < 59.5:
        return "< 1 s" if seconds < 0.95 else f"{round(seconds)} s"
    return duration(60.0 * round(seconds / 60)).removesuffix(" 00 s")


def size(number: float) -> str:
    """`812 B`, `310 MB`, `1.2 GB`: powers of 1000."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 999.5 or unit == "GB":
            return f"{number:.1f} {unit}" if unit != "B" and number < 9.95 else f"{round(number):,} {unit}"
        number /= 1000
    raise AssertionError


def finite(value: Any) -> Any:
    """A document as JSON can hold it: where that has no number stand the texts `inf`, `-inf` and `nan`."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    return [finite(inner) for inner in value] if isinstance(value, list | tuple) else value


def ascii_text(text: str) -> str:
    """The same for a terminal whose locale is not UTF-8."""
    return text.translate(_ASCII)


def _decimals(width: float, extra_below: float) -> int:
    """Places that show the leading digit of a width, one more when it is small. At least 0."""
    exponent = math.floor(math.log10(width))
    return max(0, -exponent + (width / 10.0**exponent < extra_below))


def _half(half: float, text: str) -> str:
    """Half a width; with an exponent of its own where its text reads 0."""
    return text if text.partition("e")[0].strip("0.") else significant(half, 1)


def _power(value: float, digits: int) -> int:
    """Of ten, in a number that is rounded to so many digits."""
    return int(f"{abs(value):.{digits - 1}e}".partition("e")[2])


def _bare(number: float, places: int) -> str:
    """Exact ends of a range without decimals: `0`, `100`."""
    return fixed(number, 0 if number in (0.0, 100.0) else places)


def _with_exponent(interval: Interval, exponent: int) -> str:
    value, low, high = interval.value, interval.low, interval.high
    if low is None or high is None:
        if value == 0:
            return "0"
        return _exponential(value, exponent, max(0, 2 + exponent - _power(value, 3)))
    scaled = Interval(*(x / 10.0**exponent for x in (value, low, high)))
    places = min(scaled.decimals or 0, _MAX_DECIMALS)

    def show(x: float) -> str:
        return "0" if x == 0 else _exponential(x, exponent, places)

    if interval.symmetric:
        return f"{show(value)} ±{_half((high - low) / 2, show((high - low) / 2))}"
    return f"{show(value)} [{show(low)}, {show(high)}]"


def _exponential(value: float, exponent: int, decimals: int) -> str:
    return f"{fixed(value / 10.0**exponent, decimals)}e{exponent}"
