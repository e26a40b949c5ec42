"""What a scheduler asks of an executor: take jobs, report what became of them, stop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from ..job import Job

Status = Literal["done", "failed", "damaged", "timeout", "memory", "lost", "unstored"]


@dataclass(frozen=True)
class Outcome:
    """What became of a job. unstored: the store cannot be written. damaged_key: the input whose stored result
    failed its checksum."""

    key: str
    status: Status
    seconds: float = 0.0
    message: str = ""
    trace: str = ""
    damaged_key: str = ""


def timed_out(key: str, seconds: float) -> Outcome:
    return Outcome(key, "timeout", message=f"timed out after {seconds:g} s (limits: node_timeout)")


@dataclass(frozen=True)
class Began:
    """A worker has taken the job: its time counts from now, not from the worker's start."""

    key: str


@dataclass(frozen=True)
class Progressed:
    """A job that runs got on."""

    key: str
    done: int
    total: int


class Executor(Protocol):
    """Runs jobs somewhere. `slots`: how many at once."""

    slots: int

    def submit(self, job: Job) -> None:
        """Start a job; at most `slots` may be under way."""

    def wait(self, timeout: float) -> list[Outcome | Progressed]:
        """What happened, waiting at most `timeout` seconds for the first thing."""
        ...

    def close(self) -> None:
        """Stop everything at once; jobs under way are lost."""
