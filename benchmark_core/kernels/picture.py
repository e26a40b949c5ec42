"""The roofline of measured rows as one SVG: how near each operation comes to what bounds it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from .bench import Row

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 460, 340, 62, 16, 40, 44
_COLOURS = {"ours": "#0b6e99", "eager": "#b4540a", "compile": "#6b4fa0", "peer": "#5a6b2f"}
_MARKS = {"ours": "circle", "eager": "square", "compile": "diamond", "peer": "cross"}


@dataclass(frozen=True)
class _Axis:
    """A logarithmic axis from `low` to `high` over pixels `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
        return [10.0**k for k in range(first, last + 1)]


def roofline(rows: Sequence[Row]) -> str:
    """One panel for what memory bounds (GB/s over bytes moved), one for what computing bounds (TFLOP/s over
    operations). The line on top is the peak measured in the same run. Raises ValueError for no rows."""
    if not rows:
        raise ValueError("no rows to draw")
    panels = []
    for bound, label, unit, across in (
        ("copy", "bounded by memory", "GB/s", "bytes moved"),
        ("matrix", "bounded by computing", "TFLOP/s", "floating-point operations"),
    ):
        points = [row for row in rows if row.bound == bound]
        if points:
            panels.append(_panel(points, len(panels) * _WIDTH, label, unit, across))
    wide = len(panels) * _WIDTH
    shown = [p for p in _COLOURS if any(row.provider.startswith(p) for row in rows)]
    legend = "".join(
        f'<g transform="translate({_LEFT + 90 * i},{_HEIGHT + 12})">{_mark(name, 0, 0, name)}'
        f'<text x="10" y="4">{name}</text></g>'
        for i, name in enumerate(shown)
    )
    title = escape(f"{rows[0].device}, torch {rows[0].torch}, {rows[-1].date}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {_HEIGHT + 28}" '
        f'font-family="system-ui, sans-serif" font-size="11" fill="#222" role="img" aria-label="{title}">'
        f'<rect width="100%" height="100%" fill="#fff"/>'
        f'<text x="{_LEFT}" y="16" font-size="13">{title}</text>{"".join(panels)}{legend}</svg>\n'
    )


def _panel(rows: Sequence[Row], offset: int, label: str, unit: str, across: str) -> str:
    xs = [_work(row) for row in rows]
    ys = [_rate(row) for row in rows]
    peaks = sorted({row.peak for row in rows})
    x = _Axis(min(xs) / 2, max(xs) * 2, _LEFT, _WIDTH - _RIGHT)
    y = _Axis(min(ys) / 2, max(*ys, *peaks) * 1.6, _HEIGHT - _BOTTOM, _TOP)
    parts = [f'<text x="{_LEFT}" y="{_TOP - 8}">{label}</text>']
    for tick in x.ticks():
        parts.append(_line(x(tick), _TOP, x(tick), _HEIGHT - _BOTTOM, "#e4e4e4"))
        parts.append(_text(x(tick), _HEIGHT - _BOTTOM + 15, _power(tick), "middle"))
    for tick in y.ticks():
        parts.append(_line(_LEFT, y(tick), _WIDTH - _RIGHT, y(tick), "#e4e4e4"))
        parts.append(_text(_LEFT - 6, y(tick) + 4, f"{tick:g}", "end"))
    dashed = ' stroke-dasharray="5 3"'
    parts += [_line(_LEFT, y(peak), _WIDTH - _RIGHT, y(peak), "#222", dashed) for peak in peaks]
    parts.append(_text(_WIDTH - _RIGHT, y(peaks[-1]) - 5, f"measured peak {peaks[-1]:.3g} {unit}", "end"))
    parts += [_mark(row.provider, x(_work(row)), y(_rate(row)), _about(row, unit)) for row in rows]
    parts.append(_text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 10, across, "middle"))
    parts.append(_text(8, _TOP - 8, unit, "start"))
    return f'<g transform="translate({offset},0)">{"".join(parts)}</g>'


def _work(row: Row) -> float:
    return float(row.bytes if row.flops is None else row.flops)


def _rate(row: Row) -> float:
    return row.gb_s if row.tflop_s is None else row.tflop_s


def _about(row: Row, unit: str) -> str:
    return f"{row.op} {row.size} {row.dtype}, {row.provider}: {_rate(row):.3g} {unit}, {row.share:.0%}"


def _mark(provider: str, x: float, y: float, title: str) -> str:
    name = provider.partition(":")[0]
    shape = {
        "circle": '<circle r="4"/>',
        "square": '<rect x="-3.5" y="-3.5" width="7" height="7"/>',
        "diamond": '<path d="M0-5 5 0 0 5-5 0Z"/>',
        "cross": '<path d="M-4-4 4 4M4-4-4 4" stroke-width="2"/>',
    }[_MARKS[name]]
    colour = _COLOURS[name]
    return (
        f'<g transform="translate({x:.1f},{y:.1f})" fill="{colour}" fill-opacity=".75" stroke="{colour}">'
        f"<title>{escape(title)}</title>{shape}</g>"
    )


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, more: str = "") -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"{more}/>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _power(value: float) -> str:
    digits = str(round(math.log10(value))).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"10{digits}"
