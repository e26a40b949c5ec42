"""How numbers look: estimates with their interval, counts, times, sizes; text for terminals without UTF-8.

The estimate and its interval always have the same decimals, chosen by the width of the interval:
  * `96.8 ±1.0`: half the width to one significant digit, to two when it starts with 1;
  * `0.30 [0.12, 0.91]`: bounds where one arm is more than 1.5 times the other. Decimals show the leading
    digit of the arms' geometric mean (of half the width where an arm is 0), one more when it is below 3.55;
  * `3.2e-5 ±0.4e-5`: one exponent for all numbers, where more than four decimals would be needed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

MINUS = "\N{MINUS SIGN}"
_LOPSIDED = 1.5
_MAX_DECIMALS = 6
_ASCII = str.maketrans(
    {
        "×": "x", "·": ".", "–": "-", MINUS: "-", "±": "+-", "↑": "^", "↓": "v", "✓": "ok", "✕": "FAIL",
        "…": "...", "→": "->", "≥": ">=", "≤": "<=", "ⓘ": "(i)",
        "⚑": "!", "▲": "^", "▼": "v", "≠": "!=", "≈": "~", "⚠": "!",
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
    def symmetric(self) -> bool:
        """Whether one `±` says it: the arms differ by at most half."""
        if self.low is None or self.high is None or self.is_point:
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
        half = (self.high - self.low) / 2
        if self.symmetric:
            return _decimals(half, 1.95)
        arms = math.sqrt((self.value - self.low) * (self.high - self.value))
        return _decimals(arms if arms > 0 else half, 3.55)


def show_interval(interval: Interval, decimals: int | None = None) -> str:
    """`96.8 ±1.0`, `0.30 [0.12, 0.91]`, `3.2e-5 ±0.4e-5`, `0.500 (all equal)`, or `84.3` without an interval.

    decimals: those of the whole column at least; otherwise what the interval allows.
    """
    value, low, high = interval.value, interval.low, interval.high
    own = interval.decimals
    if low is None or high is None or own is None:
        return significant(value)
    size = max(abs(value), abs(low), abs(high))
    if own > 4 and not interval.is_point and 0 < size < 1e-3:
        return _with_exponent(interval)
    if interval.is_point:
        return f"{_bare(value, own)} (all equal)"
    places = min(own if decimals is None else max(own, decimals), _MAX_DECIMALS)
    if interval.symmetric:
        return f"{fixed(value, places)} ±{fixed((high - low) / 2, places)}"
    shown, *bounds = (_bare(number, places) for number in (value, low, high))
    return f"{shown} [{bounds[0]}, {bounds[1]}]"


def significant(value: float, digits: int = 3) -> str:
    """`84.3`, `0.00123`, `1.23e-5`, `1,234`: three significant digits, whole numbers in full."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else f"{value}".replace("-", MINUS)
    exponent = math.floor(math.log10(abs(value)))
    if -4 <= exponent < 7:
        return fixed(value, max(0, digits - 1 - exponent))
    return _exponential(value, exponent, digits - 1)


def fixed(value: float, decimals: int) -> str:
    """A number with so many decimals, thousands separators and a proper minus; never `-0`."""
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


def ascii_text(text: str) -> str:
    """The same for a terminal whose locale is not UTF-8."""
    return text.translate(_ASCII)


def _decimals(width: float, extra_below: float) -> int:
    """Places that show the leading digit of a width, one more when it is small. At least 0."""
    exponent = math.floor(math.log10(width))
    return max(0, -exponent + (width / 10.0**exponent < extra_below))


def _bare(number: float, places: int) -> str:
    """Exact ends of a range without decimals: `0`, `100`."""
    return fixed(number, 0 if number in (0.0, 100.0) else places)


def _with_exponent(interval: Interval) -> str:
    assert interval.low is not None
    assert interval.high is not None
    half = (interval.high - interval.low) / 2
    exponent = math.floor(math.log10(max(abs(interval.value), half)))
    scaled = Interval(*(x / 10.0**exponent for x in (interval.value, interval.low, interval.high)))
    places = scaled.decimals or 0

    def show(x: float) -> str:
        return "0" if x == 0 else _exponential(x, exponent, places)

    if interval.symmetric:
        return f"{show(interval.value)} ±{show(half)}"
    return f"{show(interval.value)} [{show(interval.low)}, {show(interval.high)}]"


def _exponential(value: float, exponent: int, decimals: int) -> str:
    return f"{fixed(value / 10.0**exponent, decimals)}e{exponent}"
