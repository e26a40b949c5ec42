"""The cross product as a map: rows are defenses, columns explainers on clean and attacked inputs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..formats import MINUS
from ..headline import Place
from ..strips import cell_text, column_name
from .facts import Facts

STEPS = 10


@dataclass(frozen=True)
class Square:
    """text: the printed number, or the word for why there is none. step: 0 light to 9 dark; None: hatched."""

    text: str
    step: int | None


@dataclass(frozen=True)
class CrossMap:
    title: str
    metric: str
    about: str
    columns: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, tuple[Square, ...]], ...]


def cross_map(
    facts: Facts, title: str, places: Sequence[Place], labels: Mapping[str, Sequence[str]]
) -> CrossMap | None:
    """The map of one dataset and model for one metric; None when there is nothing to show."""
    if not any(p.cell.estimate is not None for p in places):
        return None
    by_place = {(p.at["defense"], p.at["explainer"], p.at.get("on", "clean")): p for p in places}
    defenses = [d for d in labels["defense"] if any(key[0] == d for key in by_place)]
    columns = [
        (e, on)
        for e in labels["explainer"]
        for on in ("clean", *labels["attack"])
        if any(key[1:] == (e, on) for key in by_place)
    ]
    printed = {key: _printed(p) for key, p in by_place.items()}
    numbers = {key: n for key, text in printed.items() if (n := _number(text)) is not None}
    low, high = min(numbers.values(), default=0.0), max(numbers.values(), default=0.0)
    direction = places[0].column.direction

    def square(defense: str, column: tuple[str, str]) -> Square:
        key = (defense, *column)
        if key in numbers:
            share = (numbers[key] - low) / (high - low) if high > low else 0.5
            step = min(STEPS - 1, int((1 - share if direction == "lower" else share) * STEPS))
            return Square(printed[key], step)
        place = by_place.get(key)
        if place is None:
            return Square("not planned", None)
        word = facts.word(place.at, facts.seeds(place.at, place.column.metric, place.cell))
        return Square(word or printed[key] or "no value", None)

    rows = tuple((d, tuple(square(d, column) for column in columns)) for d in defenses)
    dark = {"higher": "higher, better", "lower": "lower, better", None: "higher"}[direction]
    metric = column_name(places[0].column)
    return CrossMap(title, metric, f"Darker is {dark}.", tuple(columns), rows)


def _printed(place: Place) -> str:
    cell: Any = place.cell
    if cell.estimate is None or not cell.done or cell.done < cell.of:
        return ""
    text = cell_text(place.column, cell, None)
    return text.partition(" ")[0] if text[:1].isdigit() or text[:1] == MINUS else text


def _number(text: str) -> float | None:
    """The number as it is printed, so that equal prints look equal."""
    plain = text.replace(MINUS, "-").replace(",", "").rstrip("*")
    return float(plain) if re.fullmatch(r"-?[\d.]+(e-?\d+)?", plain) else None
