"""The headline pictures of a dataset: robust accuracy against explanation quality, better up and right.

Everything here is geometry in pixels; the template draws it. A picture sets two columns against each other;
its front is that of its own marks (`blocks.pareto_front`), and a mark that is clearly dominated is hollow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from .. import words
from ..blocks import Axis, pareto_front
from ..formats import MINUS, count, fixed, significant
from ..headline import Place
from ..model import Column
from ..standing import PairList
from .labels import LEFT, RIGHT, Name, place, short

WIDTH, HEIGHT = 558, 372
BOTTOM = 322
TOP_MARGIN = 14
LEVEL = 18
MOST_SERIES = 4  # hues and shapes that a reader can tell apart


@dataclass(frozen=True)
class Mark:
    """x, y: centre. left .. bottom: ends of the bars. hollow: clearly dominated. title: what a pointer over
    it reads."""

    x: float
    y: float
    left: float
    right: float
    top: float
    bottom: float
    series: int
    hollow: bool
    unranked: bool
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
    left_out: str
    top: float
    shift: float
    alt: str
    compared: bool

    left: float = LEFT
    right: float = RIGHT

    @property
    def height(self) -> float:
        return HEIGHT + self.shift


def pictures(
    title: str,
    robust: Sequence[Place],
    explained: Sequence[Place],
    explainers: Sequence[str],
    controls: Collection[str] = (),
    ideals: Collection[str] = (),
) -> list[Picture]:
    """The pictures of one dataset and model: one, or one an explainer when there are more than four or when
    each has a column of its own. No control is a mark.

    robust: a place for each defense. explained: one for each defense and explainer. explainers: in the order
    of the suite, so that a colour means the same in all pictures.
    """
    by_defense = {p.at["defense"]: p for p in robust if _is_finite(p) and not p.is_one_of(controls)}
    joined = [(by_defense[p.at["defense"]], p) for p in explained if p.at["defense"] in by_defense]
    joined = [(x, y) for x, y in joined if _is_finite(y)]
    points = [(x, y) for x, y in joined if not y.is_one_of(controls)]
    if not points:
        return []
    shown = {y.at["explainer"] for _, y in points}
    series = [name for name in explainers if name in shown]
    left_out = _left_out([y for _, y in joined if y.is_one_of(controls)], ideals)
    x_column = points[0][0].column
    x_steps = _steps(*((0.0, 100.0) if x_column.unit == "%" else _span(p for p, _ in points)), most=6)
    y_steps = _steps(*_span(p for _, p in points), most=6)
    if len(series) <= MOST_SERIES and len({id(y.column) for _, y in points}) == 1:
        return [_Drawing(points, series, x_steps, y_steps).picture(title, left_out)]
    return [
        _Drawing([p for p in points if p[1].at["explainer"] == name], [name], x_steps, y_steps).picture(
            f"{title} · {name}", left_out
        )
        for name in series
    ]


def _is_finite(place: Place) -> bool:
    """It has a place on an axis: the median distance of an attack that mostly fails has none."""
    return place.value is not None and math.isfinite(place.value)


def _left_out(places: Sequence[Place], ideals: Collection[str]) -> str:
    """`Left out: control random (0.9 to 1.2), reference real-sample (0.3).`"""
    values: dict[str, list[float]] = {}
    for p in places:
        values.setdefault(p.at["explainer"], []).append(p.value or 0.0)
    said = [
        f"{'reference' if name in ideals else 'control'} {name} "
        f"({' to '.join(dict.fromkeys(significant(end(found)) for end in (min, max)))})"
        for name, found in values.items()
    ]
    return f"Left out: {', '.join(said)}." if said else ""


class _Drawing:
    """One picture: its points, (x, y) each, on axes that all pictures of a dataset share."""

    def __init__(
        self,
        points: Sequence[tuple[Place, Place]],
        series: Sequence[str],
        x_steps: Sequence[float],
        y_steps: Sequence[float],
    ) -> None:
        self.points, self.series = points, series
        self.x_steps, self.y_steps = x_steps, y_steps
        self.x_column, self.y_column = (p.column for p in points[0])
        alike = all(len({id(p.column) for p in axis}) == 1 for axis in zip(*points, strict=True))
        self.compared = alike and None not in (self.x_column.ranking, self.y_column.ranking)
        self.ranked = [k for k, point in enumerate(points) if all(_is_ranked(p) for p in point)]
        self.beaten_by = self._beaten() if self.compared else {}

    def _beaten(self) -> dict[int, list[int]]:
        """The points that others clearly dominate, and which."""
        x, y = ([self.points[k][axis] for k in self.ranked] for axis in (0, 1))
        if not x:
            return {}
        found = pareto_front(_axis(x), _axis(y)).dominated_by
        return {k: [self.ranked[j] for j in by] for k, by in zip(self.ranked, found, strict=True) if by}

    def picture(self, title: str, left_out: str) -> Picture:
        names, levels = self._names()
        self.top = TOP_MARGIN + LEVEL * (levels + 1) + 6
        shift = self.top - 56
        self.bottom = BOTTOM + shift
        below = sorted(range(len(self.points)), key=lambda k: k not in self.beaten_by)
        marks = tuple(self._mark(k) for k in below)
        x_name, y_name = (_axis_name(c) for c in (self.x_column, self.y_column))
        beaten = len(self.beaten_by)
        return Picture(
            title, x_name, y_name,
            tuple(Tick(self._x(v), _tick(v, self.x_steps)) for v in self.x_steps),
            tuple(Tick(self._y(v), _tick(v, self.y_steps)) for v in self.y_steps),
            marks, self._labels(names), self._front(), tuple(self.series), self._note(), left_out,
            self.top, shift,
            f"{title}: {len(marks)} rows, {x_name} across, {y_name} up; {beaten} clearly beaten. "
            "The boards below hold the same numbers.", self.compared,
        )  # fmt: skip

    # -- marks --

    def _mark(self, k: int) -> Mark:
        x, y = self.points[k]
        assert x.value is not None
        assert y.value is not None
        xs = x.bounds or (x.value, x.value)
        ys = y.bounds or (y.value, y.value)
        left, right = sorted(self._x(v) for v in xs)
        top, bottom = sorted(self._y(v) for v in ys)
        unranked = self.compared and k not in self.ranked
        said = ", not ranked" if unranked else ""
        if by := self.beaten_by.get(k):
            said = f", clearly beaten by {words.listed([self._name(j) for j in by], 1)}"
        return Mark(
            self._x(x.value), self._y(y.value),
            max(left, LEFT), min(right, RIGHT), max(top, self.top), min(bottom, self.bottom),
            self.series.index(y.at["explainer"]), bool(by), unranked,
            f"{self._name(k)}: {significant(x.value)}, {significant(y.value)}{said}",
        )  # fmt: skip

    def _name(self, k: int) -> str:
        at = self.points[k][1].at
        return f"{at['defense']} × {at['explainer']}" if len(self.series) > 1 else at["defense"]

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
        """Through the ranked rows that no estimate exceeds on both axes; nothing where rows were not
        compared."""
        if not self.compared:
            return ()
        best = -math.inf
        path = []
        good = {k: [_sign(p.column) * (p.value or 0.0) for p in self.points[k]] for k in self.ranked}
        for k in sorted(good, key=lambda k: (-good[k][0], -good[k][1])):
            if k not in self.beaten_by and good[k][1] > best:
                best = good[k][1]
                x, y = self.points[k]
                path.append((self._x(x.value or 0.0), self._y(y.value or 0.0)))
        return tuple(path) if len(path) > 1 else ()

    # -- words --

    def _note(self) -> str:
        if not self.compared:
            return "No front is drawn: the rows were not compared."
        return "Dotted marks are not ranked." if len(self.ranked) < len(self.points) else ""

    def _names(self) -> tuple[list[Name], int]:
        """Names to print with the x of their mark: neighbours that cannot be separated share one."""
        by_defense: dict[str, list[int]] = {}
        for k, (x, _) in enumerate(self.points):
            by_defense.setdefault(x.at["defense"], []).append(k)
        places = {name: self.points[ks[0]][0] for name, ks in by_defense.items()}
        at = {name: self._x(p.value or 0.0) for name, p in places.items()}
        tied = _ties(list(places.values()))
        groups: list[list[str]] = []
        for name in sorted(at, key=lambda name: at[name]):
            if groups and all(tied(places[other], places[name]) for other in groups[-1]):
                groups[-1].append(name)
            else:
                groups.append([name])
        names = [
            (
                " ≈ ".join(group),
                sum(at[name] for name in group) / len(group),
                [k for name in group for k in by_defense[name]],
            )
            for group in groups
        ]
        names, placed = place(names)
        self._placed = placed
        return names, max([1, *(level for _, level in placed if level is not None)])

    def _labels(self, names: Sequence[Name]) -> tuple[Label, ...]:
        labels = []
        for (text, x, ks), (centre, level) in zip(names, self._placed, strict=True):
            if level is None:
                continue
            top = min(self._y(self.points[k][1].value or 0.0) for k in ks)
            labels.append(
                Label(short(text), text, round(centre, 1), self.top - 6 - LEVEL * level, round(x, 1), top)
            )
        return tuple(labels)


def _is_ranked(place: Place) -> bool:
    ranking = place.column.ranking
    return ranking is not None and ranking.standings[place.row] is not None


def _sign(column: Column) -> int:
    return -1 if column.direction == "lower" else 1


def _axis(places: Sequence[Place]) -> Axis:
    """The column of these ranked places, as a front takes it."""
    column = places[0].column
    assert column.ranking is not None
    assert isinstance(column.ranking.pairs, PairList)
    return Axis(
        [p.value or 0.0 for p in places], [p.row for p in places], column.ranking.pairs, column.ranking.of,
        "lower" if column.direction == "lower" else "higher",
    )  # fmt: skip


def _ties(places: Sequence[Place]) -> Callable[[Place, Place], bool]:
    """Whether the column of two places ranks both and cannot separate them."""
    apart: dict[int, set[tuple[int, int]]] = {}
    for p in places:
        if p.column.ranking is not None and id(p.column) not in apart:
            assert isinstance(p.column.ranking.pairs, PairList)
            apart[id(p.column)] = set(map(tuple, p.column.ranking.pairs.separated().tolist()))

    def tied(a: Place, b: Place) -> bool:
        return (
            a.column is b.column
            and _is_ranked(a)
            and _is_ranked(b)
            and not {(a.row, b.row), (b.row, a.row)} & apart[id(a.column)]
        )

    return tied


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
