"""What reading any part of a suite file takes: known keys, checked values, lists. What is wrong goes to
`problems`, with its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import did_you_mean
from .fields import Checker
from .nodes import Node, Problems, show


def refuse_unknown_keys(node: Node, known: list[str], owner: str, problems: Problems) -> None:
    for key in node.value:
        if key not in known:
            problems.add(
                node.keys[key],
                f'{owner} has no key "{key}"{did_you_mean(key, known) or "."} It has: {", ".join(known)}',
            )


def checked(node: Node, checker: Checker, prefix: str, problems: Problems) -> dict[str, Any]:
    """The checked values of those keys of a mapping that the checker knows. prefix: of its messages."""
    values = {}
    for key, child in node.value.items():
        if key in checker.annotations:
            value, wrong = checker.check(key, child.plain(), child, child.mark.source.folder)
            for w in wrong:
                problems.add(w.node.mark, f"{prefix}{w.message}")
            if not wrong:
                values[key] = value
    return values


def mapping_of(root: Node, name: str, types: Mapping[str, Any], problems: Problems) -> dict[str, Any]:
    """The checked values of a section that is a mapping, such as `limits`; none when it is not given."""
    node = root.value.get(name)
    if node is None:
        return {}
    if not isinstance(node.value, dict):
        problems.add(node.mark, f"{name} must be a mapping of {', '.join(types)}, got {show(node.plain())}")
        return {}
    refuse_unknown_keys(node, list(types), name, problems)
    return checked(node, Checker(types), f"{name}: ", problems)


def list_of(root: Node, name: str, what: str, problems: Problems) -> list[Node]:
    """The items of a section that is a list, such as `boards`; none when it is not given."""
    node = root.value.get(name)
    if node is None:
        return []
    if not isinstance(node.value, list):
        got = "nothing" if node.value is None else show(node.plain())
        problems.add(node.mark, f"{name} must be a list of {what}, got {got}")
        return []
    return node.value


def why(error: Exception) -> str:
    """Why a path that the suite names leads to no text."""
    if isinstance(error, FileNotFoundError):
        return "no such file"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
