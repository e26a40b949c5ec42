"""Runs jobs in worker processes of this machine: forkserver workers with torch already imported, killed hard
when a node exceeds its time or memory, replaced when they die.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

import psutil

from ...errors import RobexError
from ..job import Job
from .base import Began, Outcome, Progressed, timed_out

#: How often memory and deadlines are looked at, seconds.
_POLL = 0.2
#: How long a new worker may take until it begins its first job, seconds.
_START = 120.0
#: So many workers more than there are slots may end in a row before they begin a job.
_STILLBORN = 3


@dataclass
class _Slot:
    process: Any
    pipe: Connection
    job: Job | None = None
    began: bool = False
    deadline: float = float("inf")


class LocalExecutor:
    """node_timeout: seconds; memory: GiB a worker may hold (None: no bound)."""

    def __init__(
        self,
        store: str,
        plugin_files: Sequence[str],
        *,
        jobs: int,
        node_timeout: float,
        memory: float | None,
    ) -> None:
        self.slots = jobs
        self._arguments = (store, tuple(plugin_files))
        self._timeout = node_timeout
        self._memory = memory
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["benchmark_core.run.worker"])
        self._slots: list[_Slot] = []
        self._next_look = 0.0
        self._stillborn = 0
        try:
            for _ in range(jobs):
                self._slots.append(self._start())
        except BaseException:
            self.close()
            raise

    def submit(self, job: Job) -> None:
        slot = next(s for s in self._slots if s.job is None)
        slot.job = job
        slot.deadline = time.monotonic() + _START + self._timeout
        # A worker that died while idle is found by `wait`: its pipe reads as closed.
        with contextlib.suppress(OSError):
            slot.pipe.send(job)

    def wait(self, timeout: float) -> list[Outcome | Progressed]:
        end = time.monotonic() + timeout
        while True:
            news = self._news(min(_POLL, max(0.0, end - time.monotonic())))
            if news or time.monotonic() >= end:
                return news

    def close(self) -> None:
        for slot in self._slots:
            self._kill(slot)
        self._slots = []

    def _news(self, timeout: float) -> list[Outcome | Progressed]:
        busy = {slot.pipe: slot for slot in self._slots if slot.job is not None}
        news: list[Outcome | Progressed] = []
        for pipe in wait(list(busy), timeout):
            slot = busy[pipe]  # type: ignore[index]
            try:
                message = slot.pipe.recv()
            except (EOFError, OSError):
                news.append(self._lost(slot))
                continue
            if isinstance(message, Began):
                slot.deadline = time.monotonic() + self._timeout
                slot.began, self._stillborn = True, 0
                continue
            news.append(message)
            if isinstance(message, Outcome):
                slot.job = None
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + _POLL
            news += [found for slot in busy.values() if slot.job and (found := self._beyond(slot, now))]
        return news

    def _beyond(self, slot: _Slot, now: float) -> Outcome | None:
        """The end of a job that exceeds a limit."""
        assert slot.job is not None
        if now > slot.deadline:
            return self._abort(slot, timed_out(slot.job.node.key, self._timeout))
        if self._memory is not None and (held := _resident(slot.process.pid) / 2**30) > self._memory:
            message = f"held {held:.1f} GiB, more than {self._memory:g} GiB (limits: memory)"
            return self._abort(slot, Outcome(slot.job.node.key, "memory", message=message))
        return None

    def _lost(self, slot: _Slot) -> Outcome:
        slot.process.join(5)
        code = slot.process.exitcode
        if code is not None and code < 0:
            how = f"was killed by {signal.Signals(-code).name}"
        else:
            how = f"ended with exit code {code}"
        assert slot.job is not None
        message = f"its worker {how}; too little memory, or a crash in native code"
        if not slot.began:
            message = f"its worker {how} before it began anything"
            self._stillborn += 1
        if self._stillborn > self.slots + _STILLBORN:
            raise RobexError(
                f"workers do not start: the last {self._stillborn} ended before they began anything (the "
                f"last one {how}); --jobs 1 runs without workers"
            )
        return self._abort(slot, Outcome(slot.job.node.key, "lost", message=message))

    def _abort(self, slot: _Slot, outcome: Outcome) -> Outcome:
        slot.job = None
        self._kill(slot)
        self._slots[self._slots.index(slot)] = self._start()
        return outcome

    def _start(self) -> _Slot:
        from ..worker import main

        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=main, args=(theirs, *self._arguments), daemon=True)
        try:
            with _signals_blocked():
                process.start()
        except OSError as error:
            raise RobexError(f"cannot start a worker: {error.strerror or error}; try fewer --jobs") from error
        theirs.close()
        return _Slot(process, ours)

    def _kill(self, slot: _Slot) -> None:
        slot.pipe.close()
        with contextlib.suppress(psutil.Error):  # those that left the worker's group
            for child in psutil.Process(slot.process.pid).children(recursive=True):
                child.kill()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(slot.process.pid, signal.SIGKILL)
        slot.process.kill()
        slot.process.join(5)
        if slot.process.is_alive():
            raise RobexError(f"worker {slot.process.pid} cannot be killed; it may wait on a dead file system")


@contextlib.contextmanager
def _signals_blocked() -> Iterator[None]:
    """The forkserver and its workers never see Ctrl-C, not even while they import torch: a terminal sends it
    to all processes, and stopping them is the scheduler's work. Nor does one come in the middle of here."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _resident(pid: int) -> int:
    """Bytes that a worker and what it started hold."""
    held = 0
    with contextlib.suppress(psutil.Error):
        worker = psutil.Process(pid)
        held = worker.memory_info().rss
        for child in worker.children(recursive=True):
            with contextlib.suppress(psutil.Error):
                held += child.memory_info().rss
    return held
