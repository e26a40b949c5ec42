"""What a call left behind: in its inputs and params, the model, global generators, and the process."""

from __future__ import annotations

import copy
import dataclasses
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..run.checks import BrokenContract
from ..run.counted import CountedModel
from ..run.guard import process_unchanged


@contextmanager
def watched(
    given: Mapping[str, Any], method: Any, model: CountedModel | None, seed: int
) -> Iterator[dict[str, list[str]]]:
    """What is changed inside, by area. The engine's guard seeds the global generators, and puts back what it
    finds changed in the process."""

    def look() -> dict[str, dict[str, Any]]:
        return {
            "inputs": _inputs(given) | _params(method),
            "model": _network(model) if model else {},
            "randomness": _random_states(),
        }

    touched: dict[str, list[str]] = {"settings": []}
    with _noting(touched["settings"]), process_unchanged(seed, "the method"):
        before = look()
        yield touched
        after = look()
        for area, old in before.items():
            new = after[area]
            touched[area] = [
                n for n in {**old, **new} if n not in old or n not in new or not _same(old[n], new[n])
            ]


@contextmanager
def _noting(found: list[str]) -> Iterator[None]:
    try:
        yield
    except BrokenContract as error:
        found.append(str(error))


def _inputs(given: Mapping[str, Any]) -> dict[str, Any]:
    """Tensors that a method is given, and what autograd keeps in them."""
    found: dict[str, Any] = {}
    for name, tensor in tensors_in(given):
        found[name] = tensor.detach().clone()
        found[f"requires_grad of {name}"] = tensor.requires_grad
        grad = tensor.grad if tensor.is_leaf else None
        found[f".grad of {name}"] = None if grad is None else grad.clone()
    return found


def _params(method: Any) -> dict[str, Any]:
    """The settings of a method, and what it hung on them; a `cached_property` may."""
    params = getattr(method, "params", None)
    if not dataclasses.is_dataclass(params):
        return {}
    values = {f.name: getattr(params, f.name) for f in dataclasses.fields(params)} | getattr(
        params, "__dict__", {}
    )
    return {
        f"params.{name}": copy.deepcopy(value)
        for name, value in values.items()
        if not isinstance(getattr(type(params), name, None), cached_property)
    }


def _random_states() -> dict[str, Any]:
    name, key, *rest = np.random.get_state()  # noqa: NPY002 - it is the global state that is watched
    return {
        "torch": torch.random.get_rng_state(),
        "numpy": (name, np.asarray(key).tobytes(), *rest),
        "python": random.getstate(),
    }


def _network(model: CountedModel) -> dict[str, Any]:
    """All that a method may change in a network: weights, gradients, hooks, mode, `forward` itself."""
    found: dict[str, Any] = {}
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        found[f"weight {name.removeprefix('model.')}"] = tensor.detach().clone()
    for name, p in model.named_parameters():
        name = name.removeprefix("model.")
        found[f"requires_grad of {name}"] = p.requires_grad
        found[f".grad of {name}"] = None if p.grad is None else p.grad.clone()
    for name, module in model.named_modules():
        name = name.removeprefix("model.") or "the model"
        hooks = (
            module._forward_hooks,
            module._forward_pre_hooks,
            module._backward_hooks,
            module._backward_pre_hooks,
        )
        found[f"hooks of {name}"] = [len(h) for h in hooks]
        found[f"forward of {name}"] = vars(module).get("forward")
        found[f"train/eval mode of {name}"] = module.training
    return found


def tensors_in(value: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """Every tensor in a result, mapping or dataclass, with a name for people."""
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from tensors_in(inner, f"{name}.{key}" if name else str(key))
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for f in dataclasses.fields(value):
            yield from tensors_in(getattr(value, f.name), f"{name}.{f.name}" if name else f.name)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a.shape == b.shape and a.dtype == b.dtype and torch.equal(a.nan_to_num(), b.nan_to_num())
    return type(a) is type(b) and a == b
