"""What a node is given of other nodes' results: instances of its own, looked over when it is done."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .checks import BrokenContract
from .frozen import tensors_of
from .inputs import Inputs
from .job import Job

#: Larger tensors are not compared by value, bytes: a method may read them only in part.
_COMPARED = 1 << 20


class Lent:
    """Whatever a method does to what it was given, no other node sees it. `check` refuses a method that did:
    its own result is not what its inputs say."""

    def __init__(self, from_store: Inputs, job: Job, device: torch.device) -> None:
        self._from_store, self._job, self._device = from_store, job, device
        self._results: dict[str, tuple[str, Any, list[tuple[Tensor, int]]]] = {}
        self._networks: list[tuple[str, str, nn.Module, list[Any]]] = []

    def result(self, role: str, key: str) -> Any:
        """The node's one instance of a stored result."""
        if key not in self._results:
            value = self.fresh(key)
            tensors = [(tensor, tensor._version) for tensor in tensors_of(value)]
            self._results[key] = role.removeprefix("state:"), value, tensors
        return self._results[key][1]

    def fresh(self, key: str) -> Any:
        """An instance that no method had in its hands."""
        return self._from_store.result(key, self._device)

    def network(self, role: str, key: str) -> nn.Module:
        network = self._from_store.model(key, self._job, self._device)
        self._networks.append((role, key, network, _set_up(network)))
        return network

    def check(self, who: str) -> None:
        """BrokenContract when the node changed something. A change of a large tensor that torch does not
        count, as one by way of numpy, is not seen."""
        for role, key, network, set_up in self._networks:
            stored = self._from_store.pristine(key, self._job, self._device).state_dict()
            weights = network.state_dict()
            if weights.keys() != stored.keys() or not all(
                _same(weights[name], stored[name]) for name in stored
            ):
                raise _changed(who, f"weights of the {role}")
            if _set_up(network) != set_up:
                raise _changed(who, f"{role}'s hooks, mode or gradients")
        for key, (role, value, given) in self._results.items():
            now = list(tensors_of(value))
            kept = len(now) == len(given) and all(a is b for a, (b, _) in zip(now, given, strict=True))
            if not kept or not all(
                _same(tensor, stored) if stored.nbytes <= _COMPARED else tensor._version == version
                for (tensor, version), stored in zip(
                    given, self._from_store.frozen(key, self._device).tensors, strict=True
                )
            ):
                raise _changed(who, role)


def _changed(who: str, what: str) -> BrokenContract:
    return BrokenContract(f"{who} changed the {what} it was given; work on a copy")


def _same(a: Tensor, b: Tensor) -> bool:
    """Equal, NaN to NaN."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    return torch.equal(a, b) or bool(((a == b) | (a.isnan() & b.isnan())).all())


def _set_up(network: nn.Module) -> list[Any]:
    """What a method may leave behind in a network besides its weights."""
    return [
        (
            len(module._forward_hooks),
            len(module._forward_pre_hooks),
            len(module._backward_hooks),
            len(module._backward_pre_hooks),
            "forward" in vars(module),
            module.training,
            any(p.requires_grad for p in module._parameters.values() if p is not None),
        )
        for module in network.modules()
    ]
