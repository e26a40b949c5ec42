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
        with _streams_kept():
            return Outcome(key, "done", worker.execute(job, report))
    except (Stopped, TimedOut):
        raise
    except DamagedNode as error:
        return Outcome(key, "damaged", message=str(error), damaged_key=error.key)
    except StoreError as error:
        return Outcome(key, "unstored", message=str(error))
    except MemoryError as error:
        return Outcome(key, "memory", message=f"out of memory: {error}", trace=_trace())
    except SystemExit as error:
        message = f"called sys.exit({error.code!r}){_place(error)}; raise an error instead"
        return Outcome(key, "failed", message=message, trace=_trace())
    except BaseException as error:  # KeyboardInterrupt too: Ctrl-C is Stopped
        message = f"{one_line(error)}{_place(error)}"
        return Outcome(key, "failed", message=message, trace=_trace())


def _trace() -> str:
    """The traceback, as any file takes it."""
    return traceback.format_exc().encode("utf-8", "backslashreplace").decode()


@contextlib.contextmanager
def _streams_kept() -> Iterator[None]:
    """What a method prints must not get between the results on stdout, nor what native code and programs that
    it starts print. Streams that it replaces or closes are there again afterwards."""
    before = {name: getattr(sys, name) for name in ("stdin", "stdout", "stderr")}
    kept: dict[int, int] = {}
    for file in (1, 2):
        with contextlib.suppress(OSError):  # closed: there is nothing to keep
            kept[file] = os.dup(file)
    try:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            sys.stdout.flush()
        if 1 in kept:
            with contextlib.suppress(OSError):
                os.dup2(2, 1)
            sys.stdout = sys.stderr
        yield
    finally:
        for file, copy in kept.items():
            os.dup2(copy, file)
            os.close(copy)
        for name, stream in before.items():
            setattr(sys, name, stream)
        for name, file in (("stdout", 1), ("stderr", 2)):
            if getattr(before[name], "closed", False) and file in kept:
                setattr(sys, name, open(file, "w", errors="backslashreplace", closefd=False))  # noqa: SIM115


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
