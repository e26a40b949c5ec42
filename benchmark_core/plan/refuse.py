"""Suites that no plan is made of: those with far too many cells, and those with a board that stays empty."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ..errors import Problem, RobexError, SuiteErrors
from ..suite.model import Suite
from .model import Cell


def refuse_huge(suite: Suite, per_model: int) -> None:
    """Points of the product that rules or misfits leave out cost time too: more than ten times the limit is
    refused before anything is crossed. per_model: cells that one trained model stands for."""
    most = suite.limits.cells
    trained = suite.seeds * math.prod(len(suite.of(kind)) for kind in ("dataset", "model", "defense"))
    if (points := trained * per_model) > 10 * most:
        raise RobexError(
            f"{suite.file}: it crosses to {points:,} cells before its rules, the limit is {most:,}; list "
            "less, or raise limits: cells"
        )


def refuse_many(suite: Suite, cells: int) -> None:
    """The limit itself, as cells are made."""
    if cells > suite.limits.cells:
        raise RobexError(
            f"{suite.file}: more than {suite.limits.cells:,} cells; prune it with exclude, "
            "or raise limits: cells"
        )


def refuse_empty_boards(suite: Suite, cells: Iterable[Cell]) -> None:
    """A board that can show nothing is a mistake to tell before anything runs."""
    shapes = {(frozenset(cell.coordinates), cell.coordinates["metric"]) for cell in cells}
    empty: list[Problem] = []
    for board in suite.boards if shapes else ():
        fits = any(
            coordinates >= set(board.rows) and (not board.metrics or metric in board.metrics)
            for coordinates, metric in shapes
        )
        if not fits:
            wanted = f"{', '.join(board.metrics)}" if board.metrics else "any metric"
            rows = " and ".join(board.rows)
            why = (
                f"board {board.name} stays empty: no cell has {rows} and {wanted}; accuracy has no "
                "attack, for example, and robust-accuracy no explainer"
            )
            empty.append(Problem(suite.file, 0, 0, why))
    if empty:
        raise SuiteErrors(empty, suite)
