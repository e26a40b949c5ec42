"""One try at a job: whatever the method raises becomes an Outcome."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from ..errors import RobexError, one_line
from ..store import DamagedNode, StoreError
from .execute import Worker
from .executors.base import Outcome
from .job import Job
from .stopping import Stopped

#: Code that the author of a method cannot mend.
_LIBRARIES = frozenset({"benchmark_core", "torch", "numpy", "scipy", "sklearn", "safetensors"})


class TimedOut(BaseException):
    """A node took longer than it may. No Exception: methods catch those."""


def attempt(worker: Worker, job: Job, report: Callable[[int, int], None]) -> Outcome:
    """Raises Stopped and TimedOut only."""
    key = job.node.key
    try:
        with _stdout_to_stderr():
            return Outcome(key, "done", worker.execute(job, report))
    except (Stopped, TimedOut):
        raise
    except DamagedNode as error:
        return Outcome(key, "damaged", message=str(error), damaged_key=error.key)
    except StoreError as error:
        return Outcome(key, "unstored", message=str(error))
    except MemoryError as error:
        return Outcome(key, "memory", message=f"out of memory: {error}", trace=traceback.format_exc())
    except SystemExit as error:
        message = f"called sys.exit({error.code!r}){_place(error)}; raise an error instead"
        return Outcome(key, "failed", message=message, trace=traceback.format_exc())
    except BaseException as error:  # KeyboardInterrupt too: Ctrl-C is Stopped
        message = f"{one_line(error)}{_place(error)}"
        return Outcome(key, "failed", message=message, trace=traceback.format_exc())


@contextlib.contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    """What a method prints must not get between the results on stdout, nor what native code and programs that
    it starts print."""
    try:
        kept = os.dup(1)
    except OSError:  # closed: there is nothing to keep clean
        yield
        return
    try:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
        with contextlib.suppress(OSError):
            os.dup2(2, 1)
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def _place(error: BaseException) -> str:
    """` (my_bench/noise.py:31)`: the innermost line of a plugin, for errors that nobody worded for users."""
    if isinstance(error, RobexError):
        return ""
    place = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        module = frame.f_globals.get("__name__", "")
        top = module.partition(".")[0]
        if top not in _LIBRARIES and top not in sys.stdlib_module_names:
            path = Path(frame.f_code.co_filename)
            place = f" ({path.parent.name}/{path.name}:{line})" if "." in module else f" ({path.name}:{line})"
    return place
