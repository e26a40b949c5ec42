"""The headline picture of a dataset: robust accuracy against explanation quality, better up and right.

Everything here is geometry in pixels; the template draws it. A mark is hollow when its row is clearly beaten:
another is separated as better on one axis and, on the other, not separated as worse and at least as good.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..formats import MINUS, count, fixed, significant
from ..headline import Place
from ..model import Column
from ..standing import PairList
from ..statistics import ALPHA

if TYPE_CHECKING:
    import numpy as np

WIDTH, HEIGHT = 558, 372
LEFT, RIGHT, BOTTOM = 55, 542, 322
TOP_MARGIN = 14
LEVEL = 18
MOST_SERIES = 4  # hues and shapes that a reader can tell apart
MOST_LEVELS = 6
_CHARACTER = 8.0  # width in px that a character never exceeds on average, also at the size of small screens


@dataclass(frozen=True)
class Mark:
    """x, y: centre. left .. bottom: ends of the bars. title: what a pointer over it reads."""

    x: float
    y: float
    left: float
    right: float
    top: float
    bottom: float
    series: int
    hollow: bool
    title: str


@dataclass(frozen=True)
class Label:
    """A name above the picture, with a line from (line, bottom) down to its mark at `until`."""

    text: str
    full: str
    x: float
    y: float
    line: float
    until: float


@dataclass(frozen=True)
class Tick:
    at: float
    text: str


@dataclass(frozen=True)
class Picture:
    title: str
    x_name: str
    y_name: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    marks: tuple[Mark, ...]
    labels: tuple[Label, ...]
    front: tuple[tuple[float, float], ...]
    series: tuple[str, ...]
    note: str
    top: float
    shift: float
    alt: str

    @property
    def height(self) -> float:
        return HEIGHT + self.shift


def pictures(
    title: str, robust: Sequence[Place], explained: Sequence[Place], explainers: Sequence[str]
) -> list[Picture]:
    """The pictures of one dataset and model: one, or one an explainer when there are more than four.

    robust: a place for each defense. explained: one for each defense and explainer. explainers: in the order
    of the suite, so that a colour means the same in all pictures.
    """
    by_defense = {p.at["defense"]: p for p in robust if _is_finite(p)}
    joined = [(by_defense[p.at["defense"]], p) for p in explained if p.at["defense"] in by_defense]
    points = [(x, y) for x, y in joined if _is_finite(y) and not y.whole.control and not x.whole.control]
    if not points:
        return []
    shown = {y.at["explainer"] for _, y in points}
    series = [name for name in explainers if name in shown]
    controls = [y.value or 0.0 for _, y in joined if y.whole.control and _is_finite(y)]
    drawing = _Drawing(title, points, controls)
    if len(series) <= MOST_SERIES:
        return [drawing.picture(title, series)]
    return [drawing.picture(f"{title} · {name}", [name]) for name in series]


def _is_finite(place: Place) -> bool:
    """It has a place on an axis: the median distance of an attack that mostly fails has none."""
    return place.value is not None and math.isfinite(place.value)


class _Drawing:
    """Axes, front and names that all pictures of a dataset share."""

    def __init__(self, title: str, points: Sequence[tuple[Place, Place]], controls: Sequence[float]) -> None:
        self.points = points
        (x, y) = points[0]
        self.x_column, self.y_column = x.column, y.column
        self.controls = controls
        x_span = (0.0, 100.0) if x.column.unit == "%" else _span(p for p, _ in points)
        self.x_steps = _steps(*x_span, most=6)
        self.y_steps = _steps(*_span(p for _, p in points), most=6)
        self.good = [
            [(-1 if p.column.direction == "lower" else 1) * (p.value or 0.0) for p in axis]
            for axis in zip(*points, strict=True)
        ]
        self.separated = _separations(points)
        self.hollow = _beaten(self.separated, self.good)

    def picture(self, title: str, series: Sequence[str]) -> Picture:
        chosen = [k for k, (_, y) in enumerate(self.points) if y.at["explainer"] in series]
        names, levels = self._names(chosen)
        self.top = TOP_MARGIN + LEVEL * (levels + 1) + 6
        shift = self.top - 56
        self.bottom = BOTTOM + shift
        marks = tuple(self._mark(k, series) for k in sorted(chosen, key=lambda k: not self.hollow[k]))
        front = self._front()
        x_name, y_name = (_axis_name(c) for c in (self.x_column, self.y_column))
        beaten = sum(self.hollow[k] for k in chosen)
        return Picture(
            title, x_name, y_name,
            tuple(Tick(self._x(v), _tick(v, self.x_steps)) for v in self.x_steps),
            tuple(Tick(self._y(v), _tick(v, self.y_steps)) for v in self.y_steps),
            marks, self._labels(names, chosen, levels), front, tuple(series), self._note(), self.top, shift,
            f"{title}: {len(chosen)} rows, {x_name} across, {y_name} up; {beaten} clearly beaten. "
            "The boards below hold the same numbers.",
        )  # fmt: skip

    # -- marks --

    def _mark(self, k: int, series: Sequence[str]) -> Mark:
        x, y = self.points[k]
        assert x.value is not None
        assert y.value is not None
        xs = x.bounds or (x.value, x.value)
        ys = y.bounds or (y.value, y.value)
        left, right = sorted(self._x(v) for v in xs)
        top, bottom = sorted(self._y(v) for v in ys)
        name = f"{y.at['defense']} × {y.at['explainer']}"
        beaten = ", clearly beaten" if self.hollow[k] else ""
        return Mark(
            self._x(x.value), self._y(y.value),
            max(left, LEFT), min(right, RIGHT), max(top, self.top), min(bottom, self.bottom),
            series.index(y.at["explainer"]), self.hollow[k],
            f"{name}: {significant(x.value)}, {significant(y.value)}{beaten}",
        )  # fmt: skip

    def _x(self, value: float) -> float:
        low, high = self.x_steps[0], self.x_steps[-1]
        share = (value - low) / (high - low)
        return round(LEFT + (RIGHT - LEFT) * (1 - share if self.x_column.direction == "lower" else share), 1)

    def _y(self, value: float) -> float:
        low, high = self.y_steps[0], self.y_steps[-1]
        share = (value - low) / (high - low)
        up = 1 - share if self.y_column.direction == "lower" else share
        return round(self.bottom - (self.bottom - self.top) * up, 1)

    # -- the front --

    def _front(self) -> tuple[tuple[float, float], ...]:
        """Through the rows that no estimate exceeds on both axes; nothing where rows were not compared."""
        if not self._compared:
            return ()
        best = -math.inf
        path = []
        for k in sorted(range(len(self.points)), key=lambda k: (-self.good[0][k], -self.good[1][k])):
            if not self.hollow[k] and self.good[1][k] > best:
                best = self.good[1][k]
                x, y = self.points[k]
                path.append((self._x(x.value or 0.0), self._y(y.value or 0.0)))
        return tuple(path) if len(path) > 1 else ()

    @property
    def _compared(self) -> bool:
        return self.x_column.ranking is not None or self.y_column.ranking is not None

    # -- words --

    def _note(self) -> str:
        if not self.controls:
            return ""
        low, high = (significant(f(self.controls)) for f in (min, max))
        inside = f"{low} to {high}" if low != high else low
        return f"random control: {inside}, left out"

    def _names(self, chosen: Sequence[int]) -> tuple[list[tuple[str, float, list[int]]], int]:
        """Names to print with the x of their mark: neighbours that cannot be separated share one."""
        by_defense: dict[str, list[int]] = {}
        for k in chosen:
            by_defense.setdefault(self.points[k][0].at["defense"], []).append(k)
        ordered = sorted(
            by_defense.items(), key=lambda item: self._x(self.points[item[1][0]][0].value or 0.0)
        )
        groups: list[list[str]] = []
        for name, ks in ordered:
            tied = groups and all(self._tied(by_defense[other][0], ks[0]) for other in groups[-1])
            if tied:
                groups[-1].append(name)
            else:
                groups.append([name])
        names = []
        for group in groups:
            ks = [k for name in group for k in by_defense[name]]
            xs = [self._x(self.points[by_defense[name][0]][0].value or 0.0) for name in group]
            names.append((" ≈ ".join(group), sum(xs) / len(xs), ks))
        placed = _stack([(text, x) for text, x, _ in names])
        self._placed = placed
        return names, max([1, *(level for _, level in placed if level is not None)])

    def _tied(self, j: int, k: int) -> bool:
        x, other = self.points[j][0], self.points[k][0]
        return x.column.ranking is not None and x.column is other.column and not self.separated[0][j, k]

    def _labels(
        self, names: Sequence[tuple[str, float, list[int]]], chosen: Sequence[int], levels: int
    ) -> tuple[Label, ...]:
        labels = []
        for (text, x, ks), (centre, level) in zip(names, self._placed, strict=True):
            if level is None:
                continue
            top = min(self._y(self.points[k][1].value or 0.0) for k in ks if k in chosen)
            labels.append(
                Label(_short(text), text, round(centre, 1), self.top - 6 - LEVEL * level, round(x, 1), top)
            )
        return tuple(labels)


def _beaten(separated: Sequence[np.ndarray], good: Sequence[Sequence[float]]) -> list[bool]:
    """The points that another one clearly beats."""
    import numpy as np

    values = [np.array(axis) for axis in good]
    at_least = [v[:, None] >= v for v in values]
    beats = [(separated[a] > 0) & (separated[1 - a] >= 0) & at_least[1 - a] for a in (0, 1)]
    return [bool(column.any()) for column in (beats[0] | beats[1]).T]


def _separations(points: Sequence[tuple[Place, Place]]) -> tuple[np.ndarray, np.ndarray]:
    """For each axis (P, P): 1 where a point is separated from another as better, -1 as worse, with Holm over
    both columns together.

    A column of more than 50 rows keeps only the pairs that it separates by itself: no other can be separated
    here, since p times a larger number of tests is larger.
    """
    import numpy as np

    total, tests = 0, []  # of each column: p, axis, column, the rows that are better and worse
    columns = [list({id(p[axis].column): p[axis].column for p in points}.values()) for axis in (0, 1)]
    for axis in (0, 1):
        for c, column in enumerate(columns[axis]):
            if column.ranking is None:
                continue
            total += column.ranking.of * (column.ranking.of - 1) // 2
            pairs = column.ranking.pairs
            assert isinstance(pairs, PairList)
            ahead = (pairs.difference > 0) == (column.direction == "higher")
            better = np.where(ahead, pairs.first, pairs.second)
            worse = np.where(ahead, pairs.second, pairs.first)
            tests.append((pairs.p, np.full(len(pairs), axis), np.full(len(pairs), c), better, worse))
    found = []
    p, on, of, better, worse = (
        (np.concatenate(x) for x in zip(*tests, strict=True)) if tests else [np.zeros(0, dtype=int)] * 5
    )
    order = np.argsort(p, kind="stable")
    adjusted = np.maximum.accumulate(np.minimum(1.0, (total - np.arange(len(p))) * p[order]))
    kept = np.zeros(len(p), dtype=bool)
    kept[order[adjusted < ALPHA]] = True
    for axis in (0, 1):
        signs = np.zeros((len(points), len(points)), dtype=np.int8)
        for c, column in enumerate(columns[axis]):
            mine = [k for k, point in enumerate(points) if point[axis].column is column]
            rows = [points[k][axis].row for k in mine]
            size = max(rows) + 1
            chosen = kept & (on == axis) & (of == c) & (better < size) & (worse < size)
            table = np.zeros((size, size), dtype=np.int8)
            table[better[chosen], worse[chosen]] = 1
            table -= table.T
            signs[np.ix_(mine, mine)] = table[np.ix_(rows, rows)]
        found.append(signs)
    return found[0], found[1]


# --- axes ----------------------------------------------------------------------------------------------


def _axis_name(column: Column) -> str:
    unit = f", {column.unit}" if column.unit else ""
    attack = column.at.get("attack", "")
    under = f", {attack}" if attack.startswith("worst") else f" under {attack}" if attack else ""
    return f"{column.metric}{under}{unit}"


def _span(places: Iterable[Place]) -> tuple[float, float]:
    ends = [end for p in places for end in (p.value or 0.0, *(p.bounds or ())) if math.isfinite(end)]
    return min(ends), max(ends)


def _steps(low: float, high: float, most: int) -> list[float]:
    """Round numbers from at most `low` to at least `high`, at most `most` of them plus one."""
    if high <= low:
        low, high = low - (abs(low) or 1.0) / 2, high + (abs(high) or 1.0) / 2
    raw = (high - low) / (most - 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [i * step for i in range(first, last + 1)]


def _tick(value: float, steps: Sequence[float]) -> str:
    step = steps[1] - steps[0]
    places = next((d for d in range(7) if abs(round(step, d) - step) < step * 1e-6), None)
    if places is None:
        return f"{value:.3g}".replace("-", MINUS)
    return count(round(value)) if places == 0 else fixed(value, places)


# --- names above the picture ---------------------------------------------------------------------------


def _stack(names: Sequence[tuple[str, float]]) -> list[tuple[float, int | None]]:
    """(centre, level) of each name, from left to right: neither a name nor the line to its mark crosses
    another name. None where no level is free: the name is left out, its mark has it as a title."""
    placed: list[tuple[float, float, float, int]] = []
    found: list[tuple[float, int | None]] = []
    for text, x in names:
        half = len(_short(text)) * _CHARACTER / 2
        centre = min(max(x, LEFT + half - 40), RIGHT + 12 - half)
        left, right = centre - half, centre + half

        def crosses(level: int, left: float = left, right: float = right, x: float = x) -> bool:
            return any(
                (at == level and left < their_right + 8 and right > their_left - 8)
                or (at < level and their_left - 4 < x < their_right + 4)
                or (at > level and left - 4 < line < right + 4)
                for their_left, their_right, line, at in placed
            )

        level = next((k for k in range(MOST_LEVELS) if not crosses(k)), None)
        if level is not None:
            placed.append((left, right, x, level))
        found.append((centre, level))
    return found


def _short(text: str) -> str:
    return text if len(text) <= 34 else text[:33] + "…"
