"""From whose side a metric's direction is read: a defense wants what an attack leaves to be good, the attack
wants it to be bad.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from .model import Block, Column, opposite


def attackers(about: Mapping[str, Any]) -> str | None:
    """The direction that an attack wants. about: the metric in the manifest; older ones do not say whom it
    judges, and are read as they stand."""
    return opposite(about["direction"]) if about.get("judges") == "defense" else about["direction"]


def turned(about: Mapping[str, Any], rows: Collection[str]) -> bool:
    """Whether a board with these coordinates in its rows ranks attacks by what the metric says of the
    network: a column has one network then, and what is good for it is bad for the attack."""
    ranks_attacks = "attack" in rows and not {"model", "defense"} & set(rows)
    return ranks_attacks and attackers(about) != about["direction"]


def direction_of(about: Mapping[str, Any], rows: Collection[str]) -> str | None:
    """The metric's direction on such a board."""
    return attackers(about) if turned(about, rows) else about["direction"]


def notes(blocks: Iterable[Block]) -> tuple[str, ...]:
    """Said once a board that has such columns."""
    columns: list[Column] = [column for block in blocks for column in block.columns if column.turned]
    told = ", ".join(dict.fromkeys(f"{column.direction} {column.metric}" for column in columns))
    return (f"Ranked from the attacker's side, where the stronger attack is better: {told}.",) if told else ()
