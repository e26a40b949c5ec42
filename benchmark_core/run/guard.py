"""What a method must leave as it found it: the inputs that other nodes read from memory, and the process."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .checks import BrokenContract
from .draws import seeded
from .inputs import Inputs, tensors_of
from .job import Job

_NETWORKS = ("model", "reference_model")


@contextlib.contextmanager
def inputs_unchanged(from_store: Inputs, job: Job, device: torch.device, who: str) -> Iterator[None]:
    """BrokenContract when a tensor or a network of the node's inputs was changed in place inside. What is in
    memory is not what is stored any more then, so it is read anew."""
    shared, networks = _shared(from_store, job, device)
    before = [tensor._version for _, tensor in shared], [_set_up(n) for _, n in networks]
    try:
        yield
    except BaseException:  # it may have changed them before it failed
        for key in job.node.inputs.values():
            from_store.forget(key)
        raise
    after = [tensor._version for _, tensor in shared], [_set_up(n) for _, n in networks]
    if before != after:
        changed = [role for (role, _), a, b in zip(shared, before[0], after[0], strict=True) if a != b]
        changed += [f"{role}'s hooks, mode or gradients" for role, _ in networks]
        for key in job.node.inputs.values():
            from_store.forget(key)
        raise BrokenContract(f"{who} changed the {changed[0]} it was given; work on a copy")


@contextlib.contextmanager
def process_unchanged(seed: int, who: str) -> Iterator[None]:
    """Global generators are seeded inside and as they were outside, and so are the environment variables,
    which many a library sets. Whatever else was changed is put back and breaks the contract."""
    environ, numpy_state, python_state = dict(os.environ), np.random.get_state(), random.getstate()  # noqa: NPY002
    before = [read() for _, read, _ in _SETTINGS]
    changed: list[str] = []
    np.random.seed(seed)  # noqa: NPY002
    random.seed(seed)
    try:
        with seeded(seed):
            yield
    finally:
        np.random.set_state(numpy_state)  # noqa: NPY002
        random.setstate(python_state)
        if dict(os.environ) != environ:
            os.environ.clear()
            os.environ.update(environ)
        for (name, read, write), old in zip(_SETTINGS, before, strict=True):
            if read() != old:
                write(old)
                changed.append(name)
    if changed:
        raise BrokenContract(f"{who} changed the process's {changed[0]}; put it back")


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


_SIGNALS = (signal.SIGINT, signal.SIGTERM)

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
)


def _shared(
    from_store: Inputs, job: Job, device: torch.device
) -> tuple[list[tuple[str, Tensor]], list[tuple[str, nn.Module]]]:
    """(role, tensor) and (role, network) of all that other nodes read from this process's memory."""
    inputs = job.node.inputs
    tensors = [
        (role.removeprefix("state:"), tensor)
        for role, key in inputs.items()
        if role not in _NETWORKS
        for tensor in tensors_of(from_store.result(key, device))
    ]
    networks = [(role, from_store.model(inputs[role], job, device)) for role in _NETWORKS if role in inputs]
    weights = [
        (f"weights of the {role}", tensor)
        for role, network in networks
        for tensor in (*network.parameters(), *network.buffers())
    ]
    return tensors + weights, networks


def _set_up(network: nn.Module) -> list[tuple[int, int, bool, bool]]:
    """What a method may leave behind in a network besides its weights: hooks, training mode, gradients."""
    return [
        (
            len(module._forward_hooks),
            len(module._forward_pre_hooks),
            module.training,
            any(p.requires_grad for p in module.parameters(recurse=False)),
        )
        for module in network.modules()
    ]
