"""One try at a job: whatever the method raises becomes an Outcome."""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Callable

from ..errors import one_line
from ..store import DamagedNode
from .execute import Worker
from .executors.base import Outcome
from .job import Job


def attempt(worker: Worker, job: Job, report: Callable[[int, int], None]) -> Outcome:
    key = job.node.key
    try:
        # What a method prints must not get between the results on stdout.
        with contextlib.redirect_stdout(sys.stderr):
            return Outcome(key, "done", worker.execute(job, report))
    except DamagedNode as error:
        return Outcome(key, "damaged", message=str(error), damaged_key=error.key)
    except MemoryError as error:
        return Outcome(key, "memory", message=f"out of memory: {error}", trace=traceback.format_exc())
    except Exception as error:
        return Outcome(key, "failed", message=one_line(error), trace=traceback.format_exc())
