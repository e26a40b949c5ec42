"""Where names stand above a picture, in lines over one another, so that each can point down at its mark."""

from __future__ import annotations

from collections.abc import Sequence

#: A name above a picture, the x that it points at, and its points.
Name = tuple[str, float, list[int]]

LEFT, RIGHT = 66, 542
MOST_LEVELS = 6
_MOST = 34  # characters
_NEAR = 14  # px between marks that one line can point at
_CHARACTER = 8.0  # width in px that a character never exceeds on average, also at the size of small screens


def place(names: list[Name]) -> tuple[list[Name], list[tuple[float, int | None]]]:
    """The names with their places as `stack` has them; one that has none joins a neighbour at its side."""
    while True:
        found = stack([(text, x) for text, x, _ in names])
        lost = (i for i, (_, level) in enumerate(found) if level is None)
        pairs = [(i - 1, i) for i in lost if i and names[i][1] - names[i - 1][1] <= _NEAR]
        if not pairs:
            return names, found
        i, j = pairs[0]
        joined = (f"{names[i][0]}, {names[j][0]}", (names[i][1] + names[j][1]) / 2, names[i][2] + names[j][2])
        names = [*names[:i], joined, *names[j + 1 :]]


def stack(names: Sequence[tuple[str, float]]) -> list[tuple[float, int | None]]:
    """(centre, level) of each name: neither a name nor the line to its mark crosses another name. None where
    no level is free: the name is left out, its mark has it as a title.

    Centred over their marks, if any is lost all to one side of them: the way that loses the fewest.
    """
    left = [_levels(names, side) for side in (0, -1)]
    right = [_levels(names[::-1], side)[::-1] for side in (0, 1)]
    return min(left + right, key=lambda places: sum(level is None for _, level in places))


def _levels(names: Sequence[tuple[str, float]], side: int) -> list[tuple[float, int | None]]:
    """The same in the order of the names. side: where most of a name stands, left (-1) or right (1) of its
    line."""
    placed: list[tuple[float, float, float, int]] = []
    found: list[tuple[float, int | None]] = []
    for text, x in names:
        half = len(short(text)) * _CHARACTER / 2
        centre = min(max(x + side * (half - 3), LEFT + half), RIGHT + 12 - half)
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


def short(text: str) -> str:
    """Of a long name both ends, for names that begin alike; of names joined by ≈ the first."""
    if len(text) <= _MOST:
        return text
    return text[: _MOST - 1] + "…" if " ≈ " in text else f"{text[:16]}…{text[-17:]}"
