"""What a scheduler sends to an executor: a node with what a worker needs to know beyond the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..plan.model import Node


@dataclass(frozen=True)
class Job:
    """models: key of a training node -> the node, to rebuild its network. producer: the node whose result is
    measured, for `rerun`. suite: name, version and digest for the record."""

    node: Node
    models: Mapping[str, Node]
    producer: Node | None
    threads: int
    device: str
    batch_size: int
    suite: Mapping[str, Any] = field(default_factory=dict)
