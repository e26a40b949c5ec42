"""Cells, nodes, keys and seeds: a suite as a DAG of work that is shared wherever it is the same."""

from .build import build_plan
from .keys import ENGINE_REVISION, key_of, seed_of
from .model import COORDINATES, STAGES, Cell, Node, Plan, Stage

__all__ = [
    "COORDINATES",
    "ENGINE_REVISION",
    "STAGES",
    "Cell",
    "Node",
    "Plan",
    "Stage",
    "build_plan",
    "key_of",
    "seed_of",
]
