"""Being told to stop: by Ctrl-C, SIGTERM (clusters and containers send it) or SIGHUP (a closed terminal)."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


#: Asked so often, the process ends at once, as if nobody had listened; workers end with it.
_ENOUGH = 3


class Stopped(KeyboardInterrupt):
    """Somebody wants this process to stop. A KeyboardInterrupt that is none was raised by a method."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


class Stopper:
    """What was asked for since `listening` began."""

    def __init__(self) -> None:
        self.asked: int | None = None
        self._times = 0
        self._closing = False

    def check(self) -> None:
        """Raises Stopped when a method swallowed the first one."""
        if self.asked is not None:
            raise Stopped(self.asked)

    def closing(self) -> None:
        """From now on signals are noted and nothing more: the run is being stopped already."""
        self._closing = True

    def hear(self, number: int, frame: Any) -> None:
        self.asked = number
        self._times += 1
        if self._times >= _ENOUGH:  # a method swallows them all, or a file system hangs
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        if not self._closing:
            raise Stopped(number)


@contextlib.contextmanager
def listening() -> Iterator[Stopper]:
    """Signals raise Stopped inside, once in the main thread; elsewhere they are left to whoever has them."""
    stopper = Stopper()
    if threading.current_thread() is not threading.main_thread():
        yield stopper
        return
    # What nohup and the shell's & have set to be ignored stays ignored.
    heard = [one for one in SIGNALS if signal.getsignal(one) is not signal.SIG_IGN]
    before = [signal.signal(one, stopper.hear) for one in heard]
    try:
        yield stopper
    finally:
        for one, handler in zip(heard, before, strict=True):
            signal.signal(one, handler)
