"""What nodes are made from: stored results and networks, recent ones kept in memory, and methods whose code
is what the plan says. Every call gives an instance of its own: what one node does to it no other node sees.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from ..errors import RobexError
from ..interfaces import Context, Task
from ..plan.keys import engine_identity, method_identity
from ..plan.model import Node
from ..random import SampleRandom
from ..registry import Registry
from ..spec import MethodRef
from ..store import Store
from .draws import generator, seeded, sub_seed
from .frozen import Frozen, to
from .job import Job

#: Results kept in memory between nodes of one process: a trained model serves dozens of nodes in a row.
_CACHED_RESULTS = 24


class Inputs:
    """Reads from one store, keeping what was read last."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self.store = store
        self.registry = registry
        self._recent: OrderedDict[tuple[str, str], Any] = OrderedDict()
        self._costs: OrderedDict[str, Mapping[str, Any]] = OrderedDict()
        self._checked: set[tuple[str, str]] = set()

    def create(self, ref: MethodRef) -> Any:
        """A method, after making sure that its code is what the key says."""
        if (ref.kind, ref.name) not in self._checked:
            with seeded(0):  # what a module draws when it is imported, it draws once in a process
                self.registry.create(ref)
            self.registry.check_code(self.registry.get(ref.kind, ref.name))
            self._checked.add((ref.kind, ref.name))
        return self.registry.create(ref)

    def check_identity(self, node: Node) -> None:
        """RobexError if a node was planned with other code than this process has, or with other files."""
        planned = [node.identity[part] for part in ("method", "builds") if part in node.identity]
        refs = [ref for ref in (node.method, node.builds) if ref is not None]
        here = [method_identity(ref, self.registry) for ref in refs]
        if planned != here or node.identity["engine"] != engine_identity(self.registry):
            raise RobexError(
                f"{node.title}: code or files changed since the plan; run the same command again"
            )

    def result(self, key: str, device: torch.device) -> Any:
        """The stored result of a node, on the device."""
        return self.frozen(key, device).instance()

    def cost(self, key: str) -> Mapping[str, Any]:
        """What the record of a node says it cost."""
        if key not in self._costs:
            self._keep_cost(key, self.store.record(key)["cost"])
        return self._costs[key]

    def frozen(self, key: str, device: torch.device) -> Frozen:
        """What `result` gives instances of."""
        place = key, str(device)
        if place not in self._recent:
            self.keep(key, device, self.store.result(key))
        self._recent.move_to_end(place)
        return self._recent[place]

    def model(self, key: str, job: Job, device: torch.device) -> nn.Module:
        """A trained network, frozen and in eval mode."""
        try:
            network = self.pristine(key, job, device)
            # Most of what a network holds are places for hooks that nobody set: deepcopy is slow at those.
            places = (place for module in network.modules() for place in vars(module).values())
            empty = {id(p): OrderedDict() for p in places if type(p) is OrderedDict and not p}
            return copy.deepcopy(network, empty)
        except Exception:  # it holds something that cannot be copied, as a tensor that was computed
            return self._rebuilt(key, job, device)

    def pristine(self, key: str, job: Job, device: torch.device) -> nn.Module:
        """The network that `model` copies, for reading only."""
        place = key, f"{device} model"
        if place not in self._recent:
            self._recent[place] = self._rebuilt(key, job, device)
            self._trim()
        self._recent.move_to_end(place)
        return self._recent[place]

    def _rebuilt(self, key: str, job: Job, device: torch.device) -> nn.Module:
        """A network from its architecture and stored weights."""
        node = job.models[key]
        network = self.build(node, self.result(node.inputs["task"], device), device)
        network.load_state_dict(self.store.result(key))
        return network.to(device).eval().requires_grad_(False)

    def build(self, node: Node, task: Task, device: torch.device) -> nn.Module:
        """The untrained network of a training node, with its seeded initial weights."""
        assert node.builds is not None
        with seeded(sub_seed(node.seed, "weights")):
            architecture = self.create(node.builds)
            context = Context(
                task=task,
                device=device,
                generator=generator(node.seed, "build"),
                random=SampleRandom(node.seed, torch.zeros(0, dtype=torch.int64)),
            )
            return architecture.build(task, context).to(device)

    def keep(
        self, key: str, device: torch.device, stored: Any, cost: Mapping[str, Any] | None = None
    ) -> None:
        """Remember what is stored under a key."""
        self._recent[key, str(device)] = Frozen(to(stored, device))
        self._trim()
        if cost is not None:
            self._keep_cost(key, cost)

    def _keep_cost(self, key: str, cost: Mapping[str, Any]) -> None:
        self._costs[key] = cost
        while len(self._costs) > _CACHED_RESULTS:
            self._costs.popitem(last=False)

    def _trim(self) -> None:
        while len(self._recent) > _CACHED_RESULTS:
            self._recent.popitem(last=False)
