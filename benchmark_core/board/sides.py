"""From whose side a metric's direction is read: a defense wants what an attack leaves to be good, the attack
wants it to be bad, and what costs the attack much is good for the defense.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from .model import Block, Column, opposite


def attackers(about: Mapping[str, Any]) -> str | None:
    """The direction that an attack wants. about: the metric in the manifest; older ones do not say whom it
    judges, and are read as they stand."""
    return opposite(about["direction"]) if about.get("judges") == "defense" else about["direction"]


def defenders(about: Mapping[str, Any]) -> str | None:
    """The direction that a defense wants of what attacks made: a long way to go, where they want a short
    one."""
    return opposite(about["direction"]) if about.get("judges") == "attack" else about["direction"]


def direction_of(about: Mapping[str, Any], rows: Collection[str]) -> str | None:
    """The metric's direction on a board with these coordinates in its rows. Where they are attacks alone, a
    column has one network, and what is good for it is bad for them; where they are networks alone, a column
    has one attack."""
    attacks, networks = "attack" in rows, bool({"model", "defense"} & set(rows))
    if attacks == networks:
        return about["direction"]
    return attackers(about) if attacks else defenders(about)


def notes(blocks: Iterable[Block], rows: Collection[str]) -> tuple[str, ...]:
    """Said once a board that has columns whose direction is not the metric's own."""
    columns: list[Column] = [column for block in blocks for column in block.columns if column.turned]
    told = ", ".join(dict.fromkeys(f"{column.direction} {column.metric}" for column in columns))
    if not told:
        return ()
    if "attack" in rows:
        return (f"Ranked from the attacker's side, where the stronger attack is better: {told}.",)
    return (f"Ranked from the defense's side, where what is harder to attack is better: {told}.",)
