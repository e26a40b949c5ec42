"""Runs jobs in the calling process, one at a time. No hard limits: `local` has those."""

from __future__ import annotations

from ...registry import Registry
from ...store import Store
from ..attempt import attempt
from ..execute import Worker
from ..job import Job
from .base import Outcome, Progressed


class InlineExecutor:
    slots = 1

    def __init__(self, store: Store, registry: Registry) -> None:
        self._worker = Worker(store, registry)
        self._job: Job | None = None

    def submit(self, job: Job) -> None:
        self._job = job

    def wait(self, timeout: float) -> list[Outcome | Progressed]:
        assert self._job is not None
        job, self._job = self._job, None
        return [attempt(self._worker, job, lambda done, total: None)]

    def close(self) -> None:
        self._job = None
