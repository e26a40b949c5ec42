"""Runs one node: reads its inputs from the store, calls the method, checks and stores the result.

This is what happens inside a worker, whatever the executor; it knows nothing of scheduling.
"""

from __future__ import annotations

import time

import torch

from ..errors import RobexError
from ..registry import Registry
from ..store import Store
from ..store.codec import decode, encode
from .batches import Report
from .cost import reset_peak_memory
from .draws import sub_seed
from .guard import process_unchanged
from .inputs import Inputs
from .job import Job
from .record import record_of
from .stages import Stages


class Worker:
    """Executes jobs one after another on one store, keeping recent inputs in memory."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self.store = store
        self._inputs = Inputs(store, registry)

    def execute(self, job: Job, report: Report) -> float:
        """Run a node and store its result; returns the seconds it took in all."""
        started = time.perf_counter()
        node = job.node
        torch.set_num_threads(job.threads)
        reset_peak_memory()
        device = _device(job.device)
        self._inputs.check_identity(node)
        run = Stages(self._inputs, job, device, report)
        who = f"{node.method.kind} {node.method.name}" if node.method else node.stage
        # Methods draw from the context; what they draw from a global generator is at least seeded.
        with process_unchanged(sub_seed(node.seed, "global"), who):
            result = run.run()
            run.lent.check(who)
        self._inputs.check_identity(node)  # a file that its params name may have changed meanwhile
        seconds = time.perf_counter() - started
        record = record_of(run, seconds)
        ours = self.store.write(record, result)
        # Remembered as it is read from the store; what somebody else stored first may be another.
        if ours and node.stage not in ("measure", "train"):
            self._inputs.keep(node.key, device, decode(*encode(result)), record["cost"])
        return seconds


def _device(wanted: str) -> torch.device:
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cuda" and not torch.cuda.is_available():
        raise RobexError("limits: device is cuda, but torch sees no GPU here; use device: cpu or auto")
    return torch.device(wanted)
