"""What happens during a run, told to the display, to `--json` and to plugins (`on_event`)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar


@dataclass(frozen=True)
class Event:
    """Base of all events; `kind` is its name in JSON."""

    kind: ClassVar[str] = "event"

    def to_json(self) -> dict[str, Any]:
        return {"event": self.kind, **dataclasses.asdict(self)}


@dataclass(frozen=True)
class RunStarted(Event):
    """totals, cached, todo: stage -> number of nodes; expected_seconds: estimate for what is to run."""

    kind: ClassVar[str] = "run-started"
    suite: str
    version: int
    store: str
    totals: Mapping[str, int]
    cached: Mapping[str, int]
    todo: Mapping[str, int]
    jobs: int
    expected_seconds: float | None = None


@dataclass(frozen=True)
class NodeStarted(Event):
    kind: ClassVar[str] = "node-started"
    key: str
    stage: str
    title: str


@dataclass(frozen=True)
class NodeProgress(Event):
    kind: ClassVar[str] = "node-progress"
    key: str
    done: int
    total: int


@dataclass(frozen=True)
class NodeFinished(Event):
    """seconds: wall time of the whole node; expected_left: estimate for the rest of the run."""

    kind: ClassVar[str] = "node-finished"
    key: str
    stage: str
    title: str
    seconds: float
    expected_left: float | None = None


@dataclass(frozen=True)
class NodeFailed(Event):
    """reason: `error`, `timeout`, `memory` or `worker lost`; blocked: how many nodes cannot run now."""

    kind: ClassVar[str] = "node-failed"
    key: str
    stage: str
    title: str
    reason: str
    message: str
    blocked: int
    where: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Warned(Event):
    """Something the user should know that stops nothing."""

    kind: ClassVar[str] = "warning"
    message: str


@dataclass(frozen=True)
class RunFinished(Event):
    """done counts cached nodes too. blocked: nodes not run because something they need failed."""

    kind: ClassVar[str] = "run-finished"
    done: int
    failed: int
    blocked: int
    total: int
    cells_done: int
    cells: int
    seconds: float
    interrupted: bool
