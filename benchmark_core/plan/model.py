"""What a plan is made of: nodes (work, known by a key) and cells (points of the cross product)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ..spec import MethodRef
from ..suite.model import Suite, Wish

Stage = Literal["load", "train", "select", "prepare", "predict", "attack", "explain", "measure"]
STAGES: tuple[Stage, ...] = ("load", "train", "select", "prepare", "predict", "attack", "explain", "measure")

#: The coordinates of a cell, in the order in which they are shown.
COORDINATES = ("dataset", "model", "defense", "seed", "attack", "explainer", "on", "metric")


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One unit of work.

    identity: everything that can change its result; `key` is its hash. inputs: role -> key of the node whose
    result plays it (`task`, `model`, `selection`, `result`, `on`, `reference_model`, `reference_result`,
    `state:NAME`). method: what runs (None for selections and predictions). builds: the architecture a
    training node starts from. where: coordinates of the first cell that needs it, for people.
    """

    key: str
    stage: Stage
    identity: Mapping[str, Any]
    inputs: Mapping[str, str]
    method: MethodRef | None
    seed: int
    where: Mapping[str, Any]
    builds: MethodRef | None = None
    wish: Wish | None = None
    goal: str | None = None
    aims: bool = True

    @property
    def title(self) -> str:
        """`pgd eps=0.1 · Strong-AT · digits · seed 2`."""
        order = {
            "load": ("dataset",),
            "train": ("defense", "model", "dataset"),
            "select": ("dataset",),
            "prepare": ("dataset",),
            "predict": ("defense", "model", "dataset"),
            "attack": ("attack", "defense", "model", "dataset"),
            "explain": ("explainer", "on", "defense", "model", "dataset"),
            "measure": ("metric", "attack", "explainer", "on", "defense", "model", "dataset"),
        }[self.stage]
        parts = [str(self.where[c]) for c in order if self.where.get(c) not in (None, "clean")]
        if self.stage == "prepare" and self.method:
            parts.insert(0, self.method.name)
        if self.stage not in ("load", "select") and "seed" in self.where:
            parts.append(f"seed {self.where['seed']}")
        return " · ".join(parts)


@dataclass(frozen=True, slots=True)
class Cell:
    """One point of the cross product and the key of the measurement that fills it.

    selection: key of the samples it was measured on; result: key of what was measured.
    """

    coordinates: Mapping[str, Any]
    key: str
    selection: str
    result: str


@dataclass(frozen=True)
class Plan:
    """A suite as a DAG. nodes stand in an order in which every node follows its inputs."""

    suite: Suite
    nodes: Mapping[str, Node]
    cells: tuple[Cell, ...]
    left_out: Counter[str] = field(default_factory=Counter)

    def needed(self, has: Any, only: Sequence[str] = ()) -> dict[str, Node]:
        """The nodes that have to run: missing measurements and the selections that boards align them by (or
        the nodes whose key starts with one of `only`), and whatever of their inputs is missing too.
        `has(key)` says what is stored."""
        if only:
            wanted = [key for key in self.nodes if key.startswith(tuple(only))]
        else:
            wanted = [key for cell in self.cells for key in (cell.key, cell.selection)]
        todo: set[str] = set()
        stack = list(dict.fromkeys(wanted))
        while stack:
            key = stack.pop()
            if key not in todo and not has(key):
                todo.add(key)
                stack.extend(self.nodes[key].inputs.values())
        return {key: node for key, node in self.nodes.items() if key in todo}

    def selected(self, only: Sequence[str] = ()) -> set[str]:
        """Keys of all nodes, or of those whose key starts with one of `only` and of all they are made
        from."""
        if not only:
            return set(self.nodes)
        found: set[str] = set()
        stack = [key for key in self.nodes if key.startswith(tuple(only))]
        while stack:
            key = stack.pop()
            if key not in found:
                found.add(key)
                stack.extend(self.nodes[key].inputs.values())
        return found
