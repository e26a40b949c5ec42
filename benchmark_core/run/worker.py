"""The main loop of a worker process: receive a job, run it, answer. The forkserver imports this module ahead
of time, so that a new worker has torch at once.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from multiprocessing.connection import Connection, wait

import torch
import torch._dynamo  # the first optimiser imports it for a second: once here, not in every worker

from ..registry import Registry
from ..store import Store
from .attempt import attempt
from .execute import Worker
from .executors.base import Began, Progressed

#: At most this often progress inside a node is told to the scheduler, seconds.
_REPORT_EVERY = 0.2


def main(pipe: Connection, store: str, plugin_files: tuple[str, ...]) -> None:
    """Serve jobs until the pipe closes. Ctrl-C is the scheduler's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A group of its own, so that it can be killed together with what its nodes start.
    os.setpgid(0, 0)
    threading.Thread(target=_end_with_the_scheduler, daemon=True).start()
    torch.set_num_threads(1)
    worker = Worker(Store(store, create=False), Registry.load(plugin_files))
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            job = pipe.recv()
            pipe.send(Began(job.node.key))
            last = time.monotonic()

            def report(done: int, total: int, key: str = job.node.key) -> None:
                nonlocal last
                if time.monotonic() - last >= _REPORT_EVERY:
                    last = time.monotonic()
                    pipe.send(Progressed(key, done, total))

            pipe.send(attempt(worker, job, report))


def _end_with_the_scheduler() -> None:
    """A scheduler that was killed cannot stop its workers: they notice by themselves."""
    scheduler = multiprocessing.parent_process()
    assert scheduler is not None
    wait([scheduler.sentinel])
    os.killpg(0, signal.SIGKILL)
