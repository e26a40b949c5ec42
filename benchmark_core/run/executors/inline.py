"""Runs jobs in the calling process, one at a time. A node that takes too long is interrupted as Ctrl-C would;
one that never returns to Python, or takes too much memory, only `local` can stop.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

from ...registry import Registry
from ...store import Store
from ..attempt import TimedOut, attempt
from ..execute import Worker
from ..job import Job
from .base import Outcome, Progressed, timed_out


class InlineExecutor:
    """node_timeout: seconds."""

    slots = 1

    def __init__(self, store: Store, registry: Registry, *, node_timeout: float) -> None:
        self._worker = Worker(store, registry)
        self._timeout = node_timeout
        self._job: Job | None = None

    def submit(self, job: Job) -> None:
        self._job = job

    def wait(self, timeout: float) -> list[Outcome | Progressed]:
        assert self._job is not None
        job, self._job = self._job, None
        try:
            with _alarm(self._timeout):
                return [attempt(self._worker, job, lambda done, total: None)]
        except TimedOut:
            return [timed_out(job.node.key, self._timeout)]

    def close(self) -> None:
        self._job = None


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Raises TimedOut inside after so many seconds, and again every second, should a method swallow it. Only
    the main thread of a Unix process can be alarmed."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(number: int, frame: Any) -> None:
        if armed:
            raise TimedOut

    armed = True
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, min(seconds, _LONGEST), 1.0)
    try:
        yield
    finally:
        armed = False
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        if before is not None:  # else it was not set from python, which cannot set it again
            signal.signal(signal.SIGALRM, before)


#: setitimer takes no more, seconds.
_LONGEST = 1e8
