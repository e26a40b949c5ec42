"""The keys of a suite file and of its sections: types that the loader checks and the JSON Schema shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from annotated_types import Ge, MinLen

from ..spec import Count, Kind, param_types
from .methods import WISH_TYPES, plural
from .model import Board, Limits

#: section -> the kind of its entries, in the order of the engine.
SECTIONS: Mapping[str, Kind] = {
    plural(k): k for k in ("dataset", "model", "defense", "attack", "explainer", "metric")
}
REQUIRED = ("suite", "datasets", "models", "defenses", "metrics")

NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"

#: Keys with one value.
HEAD_TYPES: Mapping[str, Any] = {
    "suite": str,
    "version": Count,
    "description": str,
    "seeds": Count,
    "seed": Annotated[int, Ge(0)],
    **WISH_TYPES,
}
LIMIT_TYPES = param_types(Limits)
_board = param_types(Board)
_rows = _board["rows"]
BOARD_TYPES: Mapping[str, Any] = {
    **_board,
    "rows": Annotated[_rows, MinLen(1)],
    "rank_by": str,
    "expected": str,
}
RULE_KEYS = (*SECTIONS.values(), "on")
RULE_TYPES: Mapping[str, Any] = dict.fromkeys(RULE_KEYS, str | Annotated[tuple[str, ...], MinLen(1)])

#: Every key of a suite file, with what editors say about it.
SUITE_KEYS: Mapping[str, str] = {
    "suite": "Name of the suite: letters, digits, '-', '_' and '.'.",
    "version": "Version of the suite; raise it when its numbers stop being comparable. Default 1.",
    "description": "What the suite measures, for readers.",
    "extends": "A suite to build on, relative to this file. Keys given here replace its; limits merge.",
    "plugins": "Python files with further methods, relative to this file.",
    "seeds": "How many repetitions with different seeds. Default 5.",
    "seed": "The number all seeds derive from. Default 0.",
    "datasets": "Datasets: names, or mappings with use and params. A list where a scalar belongs is a grid.",
    "models": "Architectures: names, or mappings with use and params.",
    "defenses": "Ways to get weights: names, or mappings with use and params.",
    "attacks": "Attacks: names, or mappings with use and params.",
    "explainers": "Explainers: names, or mappings with use and params.",
    "metrics": "What is measured: names, or mappings with use and params.",
    "samples": "How many test samples a method works on, unless its entry says otherwise. Default all.",
    "select": "Which test samples: all, correct, negative or class-balanced. Default all.",
    "targets": "Classes to aim at, for methods that can: none, random, next, opposite or all.",
    "over": "How the scores of several targets of a sample become one: mean, best or worst.",
    "include": "Rules; a cell stays if it fits one of them.",
    "exclude": "Rules; a cell that fits one of them is left out.",
    "limits": "Bounds of a run.",
    "boards": "Leaderboards to make.",
}
