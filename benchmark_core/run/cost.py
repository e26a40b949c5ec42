"""What a node costs: seconds of its method, passes through its networks, memory."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from typing import Any

import psutil
import torch
from torch import Tensor, nn

from .counted import CountedModel


class Stopwatch:
    """Seconds of the method alone: without loading inputs and storing results."""

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self.seconds = 0.0

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        started = self._now()
        yield
        self.seconds = self._now() - started

    def _now(self) -> float:
        if self._cuda:
            torch.cuda.synchronize()
        return time.perf_counter()


class TrainingCounter:
    """Counts the samples a network in training passes forward and backward, adversary included."""

    def __init__(self, network: nn.Module) -> None:
        self.counts = CountedModel(nn.Identity())
        self._hook = network.register_forward_hook(self._forward)

    def _forward(self, module: nn.Module, args: Any, out: Any) -> None:
        if isinstance(out, Tensor):
            self.counts._count(out)

    def remove(self) -> None:
        self._hook.remove()


def reset_peak_memory() -> None:
    """Start the peak of resident memory anew (Linux); elsewhere the peak is the process's."""
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "wb", buffering=0) as file:
        file.write(b"5")


def peak_memory() -> int:
    """Bytes of resident memory at most since the node began."""
    with contextlib.suppress(OSError, ValueError), open("/proc/self/status", "rb", buffering=0) as file:
        status = file.read()
        return int(status[status.index(b"VmHWM:") + 6 :].split(maxsplit=1)[0]) * 1024
    return psutil.Process(os.getpid()).memory_info().rss
