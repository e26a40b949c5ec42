"""The headline picture of a dataset: robust accuracy against explanation quality, better up and right.

Everything here is geometry in pixels; the template draws it. A mark is hollow when its row is clearly beaten:
another is separated as better on one axis and, on the other, not separated as worse and at least as good.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..formats import MINUS, count, fixed, significant
from ..model import Block, Cell, Column, Pair, Row, Table
from ..statistics import ALPHA

WIDTH, HEIGHT = 558, 372
LEFT, RIGHT, BOTTOM = 55, 542, 322
TOP_MARGIN = 14
LEVEL = 18
MOST_SERIES = 4  # hues and shapes that a reader can tell apart
MOST_LEVELS = 6
_CHARACTER = 8.0  # width in px that a character never exceeds on average, also at the size of small screens


@dataclass(frozen=True)
class Place:
    """A cell with the column and the row it stands in. at: all of its coordinates."""

    at: Mapping[str, str]
    block: Block
    column: Column
    row: int
    cell: Cell

    @property
    def whole(self) -> Row:
        return self.block.rows[self.row]

    @property
    def value(self) -> float | None:
        """In the unit that is shown; None where there is no complete estimate."""
        e = self.cell.estimate
        if e is None or e.value is None or e.state in ("incomplete", "nan"):
            return None
        return e.value * self.column.scale

    @property
    def bounds(self) -> tuple[float, float] | None:
        e = self.cell.estimate
        if e is None or e.low is None or e.high is None:
            return None
        return e.low * self.column.scale, e.high * self.column.scale


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


def places_of(tables: Iterable[Table], metric: str, **fixed_at: str) -> list[Place]:
    """All cells of a metric with these coordinates, each place once (the first board that has it)."""
    found: dict[frozenset[tuple[str, str]], Place] = {}
    for table in tables:
        for block in table.blocks:
            for c, column in enumerate(block.columns):
                if column.metric != metric:
                    continue
                for i, row in enumerate(block.rows):
                    at = {**block.at, **row.at, **column.at}
                    if all(at.get(k, label) == label for k, label in fixed_at.items()):
                        found.setdefault(frozenset(at.items()), Place(at, block, column, i, row.cells[c]))
    return list(found.values())


def pictures(
    title: str, robust: Sequence[Place], explained: Sequence[Place], explainers: Sequence[str]
) -> list[Picture]:
    """The pictures of one dataset and model: one, or one an explainer when there are more than four.

    robust: a place for each defense. explained: one for each defense and explainer. explainers: in the order
    of the suite, so that a colour means the same in all pictures.
    """
    by_defense = {p.at["defense"]: p for p in robust if p.value is not None}
    joined = [(by_defense[p.at["defense"]], p) for p in explained if p.at["defense"] in by_defense]
    points = [
        (x, y) for x, y in joined if y.value is not None and not y.whole.control and not x.whole.control
    ]
    if not points:
        return []
    shown = {y.at["explainer"] for _, y in points}
    series = [name for name in explainers if name in shown]
    controls = [y.value for _, y in joined if y.whole.control and y.value is not None]
    drawing = _Drawing(title, points, controls)
    if len(series) <= MOST_SERIES:
        return [drawing.picture(title, series)]
    return [drawing.picture(f"{title} · {name}", [name]) for name in series]


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
        self.names = [[(id(p.column), p.row) for p in axis] for axis in zip(*points, strict=True)]
        self.good = [
            [(-1 if p.column.direction == "lower" else 1) * (p.value or 0.0) for p in axis]
            for axis in zip(*points, strict=True)
        ]
        self.separated = _separations(points)
        self.hollow = [self._beaten(k) for k in range(len(points))]

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

    def _beaten(self, k: int) -> bool:
        return any(self._beats(j, k) for j in range(len(self.points)) if j != k)

    def _beats(self, j: int, k: int) -> bool:
        on = [(self._separated(axis, j, k), self._at_least(axis, j, k)) for axis in (0, 1)]
        return any(a[0] > 0 and b[0] >= 0 and b[1] for a, b in (on, on[::-1]))

    def _separated(self, axis: int, j: int, k: int) -> int:
        """1: j is separated from k as better; -1: as worse; 0: not separated."""
        a, b = self.names[axis][j], self.names[axis][k]
        return ((a, b) in self.separated[axis]) - ((b, a) in self.separated[axis])

    def _at_least(self, axis: int, j: int, k: int) -> bool:
        return self.good[axis][j] >= self.good[axis][k]

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
        return x.column.ranking is not None and x.column is other.column and self._separated(0, j, k) == 0

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


def _separations(
    points: Sequence[tuple[Place, Place]],
) -> tuple[set[tuple[tuple[int, int], tuple[int, int]]], set[tuple[tuple[int, int], tuple[int, int]]]]:
    """For each axis the (better, worse) rows that are separated, with Holm over both columns together.

    A column of more than 50 rows keeps only the pairs that it separates by itself: no other can be separated
    here, since p times a larger number of tests is larger.
    """
    tests: list[tuple[float, int, tuple[int, int], tuple[int, int]]] = []
    total = 0
    for axis in (0, 1):
        columns = {id(p[axis].column): p[axis].column for p in points}
        for name, column in columns.items():
            if column.ranking is None:
                continue
            ranked = column.ranking.of
            total += ranked * (ranked - 1) // 2
            tests += [(pair.p, axis, *_better(pair, name, column)) for pair in column.ranking.pairs]
    found: tuple[set, set] = (set(), set())
    reached = 0.0
    for r, (p, axis, better, worse) in enumerate(sorted(tests)):
        reached = max(reached, min(1.0, (total - r) * p))
        if reached >= ALPHA:
            break
        found[axis].add((better, worse))
    return found


def _better(pair: Pair, name: int, column: Column) -> tuple[tuple[int, int], tuple[int, int]]:
    first_wins = (pair.difference > 0) == (column.direction == "higher")
    a, b = (name, pair.first), (name, pair.second)
    return (a, b) if first_wins else (b, a)


# --- axes ----------------------------------------------------------------------------------------------


def _axis_name(column: Column) -> str:
    unit = f", {column.unit}" if column.unit else ""
    attack = column.at.get("attack", "")
    under = f", {attack}" if attack.startswith("worst") else f" under {attack}" if attack else ""
    return f"{column.metric}{under}{unit}"


def _span(places: Iterable[Place]) -> tuple[float, float]:
    ends = [end for p in places for end in (p.bounds or (p.value or 0.0, p.value or 0.0))]
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
