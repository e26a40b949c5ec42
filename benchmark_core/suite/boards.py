"""The leaderboards that a suite asks for: their rows, metrics, order and file of published values."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .fields import Checker
from .keys import BOARD_TYPES, NAME_PATTERN
from .labels import Labels
from .model import Board
from .nodes import Node, Problems, locate, show
from .rules import fitting
from .sections import checked, list_of, refuse_unknown_keys, why


def read_boards(root: Node, labels: Mapping[str, Labels], problems: Problems) -> tuple[Board, ...]:
    """All boards of the suite; what names metrics names their labels."""
    boards: dict[str, Board] = {}
    checker = Checker(BOARD_TYPES)
    nodes = list_of(root, "boards", "boards such as {name: robustness, rows: [dataset, defense]}", problems)
    for node in nodes:
        if not isinstance(node.value, dict):
            problems.add(node.mark, f"a board is a mapping with name and rows, got {show(node.plain())}")
            continue
        refuse_unknown_keys(node, list(BOARD_TYPES), "a board", problems)
        name = node.value["name"].value if "name" in node.value else None
        owner = f"board {name}: " if isinstance(name, str) else "board: "
        fields = checked(node, checker, owner, problems)
        for key in ("name", "rows"):
            if key not in node.value:
                problems.add(node.mark, f"{owner}{key} is required")
        board = _board(node, fields, owner, labels, problems)
        if board and boards.setdefault(board.name, board) is not board:
            problems.add(node.value["name"].mark, f'two boards are called "{board.name}"')
    return tuple(boards.values())


def _board(
    node: Node, fields: Mapping[str, Any], owner: str, labels: Mapping[str, Labels], problems: Problems
) -> Board | None:
    """One board, or None without a good name and rows. fields: its values that were fine."""
    metrics: tuple[str, ...] = ()
    if "metrics" in fields:
        metrics = fitting(node.value["metrics"], "metric", labels, problems)
    rank_by = _rank_by(node, fields, owner, metrics, labels["metric"], problems)
    rows = fields.get("rows", ())
    if len(set(rows)) < len(rows):
        twice = next(r for r in rows if rows.count(r) > 1)
        problems.add(node.value["rows"].mark, f"{owner}rows names {twice} twice")
    expected = _expected(node, fields, owner, problems)
    if "name" not in fields or "rows" not in fields:
        return None
    if not re.fullmatch(NAME_PATTERN, fields["name"]):
        problems.add(
            node.value["name"].mark,
            f"board: name must be of letters, digits, '-', '_' and '.', got {show(fields['name'])}",
        )
    return Board(name=fields["name"], rows=rows, metrics=metrics, rank_by=rank_by, expected=expected)


def _rank_by(
    node: Node,
    fields: Mapping[str, Any],
    owner: str,
    metrics: tuple[str, ...],
    known: Labels,
    problems: Problems,
) -> str | None:
    """The label of the metric that sorts the board: one that it shows. metrics: those it names, if any."""
    if "rank_by" not in fields:
        return None
    mark, pattern = node.value["rank_by"].mark, fields["rank_by"]
    found = known.find(pattern, mark, problems)
    if not found:
        return None
    if metrics:
        shown = [x for x in found if x in metrics]
        if not shown:
            problems.add(mark, f'{owner}rank_by "{pattern}" is not among its metrics: {", ".join(metrics)}')
            return None
        found = shown
    if len(found) > 1:
        problems.add(mark, f'{owner}rank_by "{pattern}" fits several metrics: {", ".join(found)}; name one')
    return found[0]


def _expected(node: Node, fields: Mapping[str, Any], owner: str, problems: Problems) -> str | None:
    """The path of the published values, from the working folder."""
    if "expected" not in fields:
        return None
    expected = os.path.normpath(node.value["expected"].mark.source.folder / fields["expected"])
    try:
        reason = "" if locate(Path(), expected).is_file() else "no such file"
    except OSError as error:
        reason = why(error)
    if reason:
        problems.add(node.value["expected"].mark, f"{owner}expected: {reason}: {expected}")
    return expected
