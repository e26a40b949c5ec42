"""What a method must leave as it found it in the process that other nodes share with it."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import numpy as np
import torch
from torch.nn.modules import module as torch_module

from .checks import BrokenContract
from .draws import seeded


@contextlib.contextmanager
def process_unchanged(seed: int, who: str) -> Iterator[None]:
    """Global generators are seeded inside and as they were outside, and so are the environment variables,
    the filters of warnings and numpy's handling of errors, which many a library sets. Whatever else was
    changed is put back and breaks the contract. A process that was forked inside does not come out: it would
    do the rest of the run a second time."""
    process = os.getpid()
    environ, filters, numpy_errors = dict(os.environ.items()), list(warnings.filters), np.geterr()
    before = [read() for _, read, _ in _SETTINGS]
    changed: list[str] = []
    try:
        with seeded(seed):
            yield
    finally:
        if os.getpid() != process:
            _end(sys.exc_info()[1])
        if dict(os.environ.items()) != environ:
            os.environ.clear()
            os.environ.update(environ)
        if warnings.filters != filters:
            warnings.filters[:] = filters  # type: ignore[index]
            with warnings.catch_warnings():  # which tells python that they changed
                pass
        np.seterr(**numpy_errors)
        for (name, read, write), old in zip(_SETTINGS, before, strict=True):
            if read() != old:
                write(old)
                changed.append(name)
    if changed:
        raise BrokenContract(f"{who} changed the process's {changed[0]}; put it back")


def _end(error: BaseException | None) -> NoReturn:
    """End a process as Python would, with nothing done that is another process's to do."""
    if isinstance(error, SystemExit):
        os._exit(error.code if isinstance(error.code, int) else error.code is not None)
    if error is not None:
        traceback.print_exception(error)
    os._exit(error is not None)


def _folder() -> str:
    with contextlib.suppress(OSError):  # somebody removed it
        return os.getcwd()
    return ""


def _change_folder(path: str) -> None:
    if path:
        os.chdir(path)


def _handlers() -> tuple[Any, ...]:
    return tuple(signal.getsignal(one) for one in _SIGNALS)


def _set_handlers(handlers: tuple[Any, ...]) -> None:
    if threading.current_thread() is threading.main_thread():  # nobody else can have changed them
        for one, handler in zip(_SIGNALS, handlers, strict=True):
            signal.signal(one, handler)


_SIGNALS = tuple(getattr(signal, one) for one in ("SIGINT", "SIGTERM", "SIGALRM") if hasattr(signal, one))


def _alarm() -> tuple[bool, float]:
    """(whether it will ring, seconds between its rings)"""
    if not hasattr(signal, "getitimer"):
        return False, 0.0
    left, every = signal.getitimer(signal.ITIMER_REAL)
    return left > 0, every


def _no_alarm(before: tuple[bool, float]) -> None:
    """Whoever set one sets it anew for every node."""
    signal.setitimer(signal.ITIMER_REAL, 0.0)


#: Where torch keeps precisions that can be read and set each by itself (2.9 on).
_PRECISIONS: list[Any] = [
    place
    for place in (
        *(getattr(torch.backends.cudnn, name, None) for name in ("conv", "rnn")),
        getattr(torch.backends.cuda, "matmul", None),
        *(getattr(torch.backends.mkldnn, name, None) for name in ("matmul", "conv", "rnn")),
    )
    if hasattr(place, "fp32_precision")
]


def _precision() -> tuple[Any, ...]:
    try:
        of_all = torch.get_float32_matmul_precision()
    except RuntimeError:  # somebody set the places one by one
        of_all = None
    tf32 = () if _PRECISIONS else (torch.backends.cudnn.allow_tf32,)
    return of_all, *(place.fp32_precision for place in _PRECISIONS), *tf32


def _set_precision(before: tuple[Any, ...]) -> None:
    of_all, *each = before
    for place, value in zip(_PRECISIONS, each, strict=False):
        place.fp32_precision = value
    if not _PRECISIONS:
        torch.backends.cudnn.allow_tf32 = each[0]
    if of_all is not None:
        torch.set_float32_matmul_precision(of_all)
    for place, value in zip(_PRECISIONS, each, strict=False):  # which the line before set too
        place.fp32_precision = value


def _kernels() -> tuple[Any, ...]:
    cudnn = torch.backends.cudnn
    return torch.backends.mkldnn.enabled, cudnn.enabled, cudnn.benchmark, cudnn.deterministic


def _set_kernels(before: tuple[Any, ...]) -> None:
    cudnn = torch.backends.cudnn
    torch.backends.mkldnn.enabled, cudnn.enabled, cudnn.benchmark, cudnn.deterministic = before


_AUTOCAST = ("cpu", "cuda")


def _autocast() -> tuple[Any, ...]:
    return tuple((torch.is_autocast_enabled(d), torch.get_autocast_dtype(d)) for d in _AUTOCAST)


def _set_autocast(before: tuple[Any, ...]) -> None:
    for device, (enabled, dtype) in zip(_AUTOCAST, before, strict=True):
        torch.set_autocast_enabled(device, enabled)
        torch.set_autocast_dtype(device, dtype)


def _anomalies() -> tuple[bool, bool]:
    return torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()


#: Hooks that torch calls for every module of the process.
_MODULE_HOOKS = [
    found
    for name, found in vars(torch_module).items()
    if name.startswith("_global_") and isinstance(found, dict)
]


def _module_hooks() -> list[dict[int, Any]]:
    return [dict(hooks) for hooks in _MODULE_HOOKS]


def _set_module_hooks(before: list[dict[int, Any]]) -> None:
    for hooks, old in zip(_MODULE_HOOKS, before, strict=True):
        hooks.clear()
        hooks.update(old)


#: (name, read, write) of what belongs to the whole process.
_SETTINGS: tuple[tuple[str, Callable[[], Any], Callable[[Any], Any]], ...] = (
    ("working directory", _folder, _change_folder),
    ("signal handlers", _handlers, _set_handlers),
    ("number of torch threads", torch.get_num_threads, torch.set_num_threads),
    ("default dtype of torch", torch.get_default_dtype, torch.set_default_dtype),
    # None, not the CPU: a default device that is set slows every call of torch down
    (
        "default device of torch",
        torch.get_default_device,
        lambda device: torch.set_default_device(None if device.type == "cpu" else device),
    ),
    ("gradient mode of torch", torch.is_grad_enabled, torch.set_grad_enabled),
    (
        "determinism of torch",
        torch.are_deterministic_algorithms_enabled,
        torch.use_deterministic_algorithms,
    ),
    ("precision of torch", _precision, _set_precision),
    ("choice of torch's kernels", _kernels, _set_kernels),
    ("autocast of torch", _autocast, _set_autocast),
    ("anomaly detection of torch", _anomalies, lambda old: torch.autograd.set_detect_anomaly(*old)),
    ("hooks of all torch modules", _module_hooks, _set_module_hooks),
    ("alarm", _alarm, _no_alarm),
)
