"""Runs a plugin's code while it registers: within a time limit, and so that it changes nothing for others."""

from __future__ import annotations

import locale
import os
import random
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from typing import Any

from .errors import RobexError

VARIABLE = "ROBEX_PLUGIN_TIMEOUT"
DEFAULT_SECONDS = 30.0


class PluginStopped(RobexError):
    """A plugin that took too long or wanted to end the program. `__cause__` knows where it was."""


class _TookTooLong(BaseException):
    """No `except Exception` of a plugin swallows it."""


class _Interrupted(KeyboardInterrupt):
    """Ctrl-C of the user, not a `KeyboardInterrupt` that a plugin raises."""


def seconds_allowed() -> float:
    """The limit for one plugin: the variable ROBEX_PLUGIN_TIMEOUT in seconds, 30 without it."""
    text = os.environ.get(VARIABLE, "") or str(DEFAULT_SECONDS)
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e6:
        raise RobexError(f"{VARIABLE} must be a number of seconds more than 0, got {text!r}")
    return seconds


@contextmanager
def guarded(plugin: str) -> Iterator[None]:
    """What the plugin's code raises in here comes out as an Exception: `PluginStopped` for too long a time
    and for attempts to end the program.

    What it prints goes to stderr; it cannot change warning filters, random states, locale, working folder,
    signal handlers or torch's defaults. `sys.path` and the environment are its own business. The time limit
    works by SIGALRM on the main thread; elsewhere a line on stderr says what one is waiting for.
    """
    seconds = seconds_allowed()
    advice = (
        f"leave it out with ROBEX_PLUGINS=-{plugin}, or give it more time with {VARIABLE}={seconds * 4:g}"
    )
    if plugin.startswith("file:"):
        advice = f"mend the file, or give it more time with {VARIABLE}={seconds * 4:g}"
    try:
        with ExitStack() as undo:
            undo.enter_context(warnings.catch_warnings())
            undo.enter_context(_stdout_to_stderr())
            for restore in _restorers():
                undo.callback(restore)
            undo.enter_context(_limited(seconds, f'robex: plugin "{plugin}" is still loading; {advice}'))
            yield
    except _Interrupted:
        raise KeyboardInterrupt from None
    except _TookTooLong as error:
        raise PluginStopped(f"it took longer than {seconds:g} s to load; {advice}") from error
    except Exception:
        raise
    except BaseException as error:
        what = f"{type(error).__name__}{f': {error}' if str(error) else ''}"
        raise PluginStopped(f"it tried to end the program ({what})") from error


@contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    """For Python's prints and for those of native code and child processes: stdout is for results."""
    with redirect_stdout(sys.stderr):
        try:
            kept = os.dup(1)
        except OSError:  # closed
            yield
            return
        try:
            with suppress(OSError):
                os.dup2(2, 1)
            yield
        finally:
            os.dup2(kept, 1)
            os.close(kept)


@contextmanager
def _limited(seconds: float, waiting: str) -> Iterator[None]:
    on_main = threading.current_thread() is threading.main_thread() and hasattr(signal, "setitimer")
    # With signals it speaks only when code outside Python does not let the signal through.
    watch = threading.Timer(seconds + 5 * on_main, lambda: print(waiting, file=sys.stderr, flush=True))
    watch.daemon = True
    watch.start()
    try:
        if on_main:
            with _alarm(seconds):
                yield
        else:
            yield
    finally:
        watch.cancel()


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    def too_long(*_: Any) -> None:
        raise _TookTooLong

    def interrupted(*_: Any) -> None:
        raise _Interrupted

    alarm, interrupt = signal.getsignal(signal.SIGALRM), signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGALRM, too_long)
    if interrupt is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupted)
    started = time.monotonic()
    # Again every second: code may swallow the first one, in a bare `except` or in a `__del__`.
    before, interval = signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in ((signal.SIGALRM, alarm), (signal.SIGINT, interrupt)):
            if handler is not None:  # None: it was not set by Python
                signal.signal(number, handler)
        if before:  # somebody else's alarm goes on
            left = max(0.001, before - (time.monotonic() - started))
            signal.setitimer(signal.ITIMER_REAL, left, interval)


def _restorers() -> Iterator[Callable[[], Any]]:
    """Functions that put back what a plugin may have changed. Only what is imported already has a state."""
    state = random.getstate()
    yield lambda: random.setstate(state)
    words = locale.setlocale(locale.LC_ALL)
    yield lambda: locale.setlocale(locale.LC_ALL, words)
    depth = sys.getrecursionlimit()
    yield lambda: sys.setrecursionlimit(depth)
    try:
        folder = os.getcwd()
        yield lambda: os.chdir(folder)
    except OSError:  # the folder is gone
        pass
    if numbers := sys.modules.get("numpy.random"):
        drawn = numbers.get_state()
        yield lambda: numbers.set_state(drawn)
    torch = sys.modules.get("torch")
    if torch is None:
        yield _torch_defaults
    else:
        kept, dtype, grad = torch.get_rng_state(), torch.get_default_dtype(), torch.is_grad_enabled()
        yield lambda: torch.set_rng_state(kept)
        yield lambda: torch.set_default_dtype(dtype)
        yield lambda: torch.set_grad_enabled(grad)


def _torch_defaults() -> None:
    """Of a torch that the plugin imported: what it is without anybody's changes."""
    if torch := sys.modules.get("torch"):
        torch.set_default_dtype(torch.float32)
        torch.set_grad_enabled(True)
