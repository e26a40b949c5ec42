"""Values that many nodes read and none can change: every reader gets an instance of its own."""

from __future__ import annotations

import dataclasses
import math
import mmap
import os
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

#: A tensor begins where torch would let it begin, bytes.
_ALIGNED = 64
#: Up to so many bytes copying is faster than mapping.
_SMALL = 1 << 16


class Frozen:
    """A result whose tensors nobody can reach. On the CPU they lie in a file without a name (in memory, where
    the system has such), mapped copy-on-write for every reader: a page is copied when it is written to, so
    that an instance of a task of gigabytes costs microseconds. On other devices, and when they are small,
    tensors are copied."""

    def __init__(self, value: Any) -> None:
        self._value = value
        self._file: Any = None
        #: All tensors, for reading only.
        self.tensors: list[Tensor]
        tensors = [t for t in tensors_of(value) if t.device.type == "cpu"]
        ends = 0
        places: dict[int, tuple[int, torch.dtype, torch.Size]] = {}
        for tensor in tensors:
            places[id(tensor)] = ends, tensor.dtype, tensor.shape
            ends += -(-tensor.nbytes // _ALIGNED) * _ALIGNED
        if ends <= _SMALL:
            self._value = own(value)
            self.tensors = list(tensors_of(self._value))
            return
        self._file, self._size = _nameless_file(), ends
        weakref.finalize(self, self._file.close)
        os.ftruncate(self._file.fileno(), ends)
        shared = mmap.mmap(self._file.fileno(), ends)
        for tensor in tensors:
            _view(shared, places[id(tensor)]).copy_(tensor.detach())
        # What is left of the value are its shape and the places of its tensors.
        self._value = _map(value, lambda t: _Place(places[id(t)]) if id(t) in places else own(t))
        held = _map(self._value, lambda t: _view(shared, t.place) if isinstance(t, _Place) else t)
        self.tensors = list(tensors_of(held))

    def instance(self) -> Any:
        """The value, in memory of its own."""
        memory = mmap.mmap(self._file.fileno(), self._size, access=mmap.ACCESS_COPY) if self._file else None

        def tensor_of(tensor: Any) -> Tensor:
            return _view(memory, tensor.place) if isinstance(tensor, _Place) else tensor.clone()

        return _map(self._value, tensor_of)


@dataclasses.dataclass(frozen=True)
class _Place:
    """Where in the file a tensor lies: (offset, dtype, shape)."""

    place: tuple[int, torch.dtype, torch.Size]


def tensors_of(value: Any) -> Iterator[Tensor]:
    """All tensors of a result."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from tensors_of(inner)
    elif dataclasses.is_dataclass(value):
        for f in dataclasses.fields(value):
            yield from tensors_of(getattr(value, f.name))


def to(value: Any, device: torch.device) -> Any:
    """A result with all its tensors on the device."""
    return _map(value, lambda tensor: tensor.to(device))


def own(value: Any) -> Any:
    """A result with all its tensors copied, without their graph."""
    return _map(value, lambda tensor: tensor.detach().clone())


def _map(value: Any, change: Callable[[Any], Any]) -> Any:
    """A result with all its tensors changed."""
    if isinstance(value, (Tensor, _Place)):
        return change(value)
    if isinstance(value, Mapping):
        return {k: _map(v, change) for k, v in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: _map(getattr(value, f.name), change) for f in dataclasses.fields(value)}
        return dataclasses.replace(value, **fields)
    return value


def _view(memory: Any, place: tuple[int, torch.dtype, torch.Size]) -> Tensor:
    offset, dtype, shape = place
    count = math.prod(shape)
    if not count:
        return torch.empty(shape, dtype=dtype)
    return torch.frombuffer(memory, dtype=dtype, count=count, offset=offset).view(shape)


def _nameless_file() -> Any:
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("robex"), "w+b", buffering=0)
    return tempfile.TemporaryFile(buffering=0)
