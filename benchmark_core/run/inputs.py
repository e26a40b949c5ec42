"""What nodes are made from: stored results and networks, recent ones kept in memory, and methods whose code
is what the plan says.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import RobexError
from ..interfaces import Context, Task
from ..plan.keys import engine_identity, method_identity
from ..plan.model import Node
from ..random import SampleRandom
from ..registry import Registry
from ..spec import FileContent, MethodRef, has_marker, param_types
from ..store import Store
from .draws import generator, seeded, sub_seed
from .job import Job

#: Results kept in memory between nodes of one process: a trained model serves dozens of nodes in a row.
_CACHED_RESULTS = 24


class Inputs:
    """Reads from one store, keeping what was read last."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self.store = store
        self.registry = registry
        self._recent: OrderedDict[tuple[str, str], Any] = OrderedDict()
        self._checked: set[tuple[str, str]] = set()

    def create(self, ref: MethodRef) -> Any:
        """A method, after making sure that its code is what the key says."""
        method = self.registry.create(ref)
        if (ref.kind, ref.name) not in self._checked:
            self.registry.check_code(self.registry.get(ref.kind, ref.name))
            self._checked.add((ref.kind, ref.name))
        return method

    def check_identity(self, node: Node) -> None:
        """RobexError if a node was planned with other code than this process has."""
        planned = [node.identity[part] for part in ("method", "builds") if part in node.identity]
        refs = [ref for ref in (node.method, node.builds) if ref is not None]
        here = [method_identity(ref, self.registry) for ref in refs]
        if planned != here or node.identity["engine"] != engine_identity(self.registry):
            raise RobexError(
                f"{node.title}: code or files changed since the plan; run the same command again"
            )

    def check_files(self, node: Node) -> None:
        """The files that a method's params name must still be those that the key names."""
        if node.method is not None and _names_files(node.method):
            self.check_identity(node)

    def result(self, key: str, device: torch.device) -> Any:
        """The stored result of a node, on the device."""
        if (key, str(device)) in self._recent:
            self._recent.move_to_end((key, str(device)))
            return self._recent[key, str(device)]
        return self.keep(key, device, to(self.store.result(key), device))

    def model(self, key: str, job: Job, device: torch.device) -> nn.Module:
        """A trained network, rebuilt from its architecture and stored weights."""
        place = (key, f"{device} model")
        if place not in self._recent:
            node = job.models[key]
            task: Task = self.result(node.inputs["task"], device)
            network = self.build(node, task, device)
            network.load_state_dict(self.store.result(key))
            self._recent[place] = network.to(device).eval().requires_grad_(False)
            self._trim()
        self._recent.move_to_end(place)
        return self._recent[place]

    def build(self, node: Node, task: Task, device: torch.device) -> nn.Module:
        """The untrained network of a training node, with its seeded initial weights."""
        assert node.builds is not None
        architecture = self.create(node.builds)
        with seeded(sub_seed(node.seed, "weights")):
            context = Context(
                task=task,
                device=device,
                generator=generator(node.seed, "build"),
                random=SampleRandom(node.seed, torch.zeros(0, dtype=torch.int64)),
            )
            return architecture.build(task, context).to(device)

    def forget(self, key: str) -> None:
        """Drop a result from memory: it is not what is stored any more."""
        for place in [place for place in self._recent if place[0] == key]:
            del self._recent[place]

    def keep(self, key: str, device: torch.device, value: Any) -> Any:
        self._recent[key, str(device)] = value
        self._trim()
        return value

    def _trim(self) -> None:
        while len(self._recent) > _CACHED_RESULTS:
            self._recent.popitem(last=False)


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
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, Mapping):
        return {k: to(v, device) for k, v in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: to(getattr(value, f.name), device) for f in dataclasses.fields(value)}
        return dataclasses.replace(value, **fields)
    return value


def _names_files(ref: MethodRef) -> bool:
    """Whether a method or one inside it has a file among its params."""
    values = [(t, getattr(ref.params, name)) for name, t in param_types(type(ref.params)).items()]
    return any(
        has_marker(t, FileContent) or (isinstance(v, MethodRef) and _names_files(v)) for t, v in values
    )
