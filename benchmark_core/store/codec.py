"""Results as tensors plus JSON: what a node returns, taken apart for safetensors and put together again.

A dataclass becomes {field: tensor} (mappings of tensors as `field.name`) and a JSON object of its other
fields. A plain mapping of tensors (weights, prepared states) is stored under its own names. Of tensors that
share memory (tied weights), each is stored.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from .. import interfaces
from ..errors import RobexError

_TYPES = {
    t.__name__: t
    for t in (
        interfaces.Task,
        interfaces.Selection,
        interfaces.Prediction,
        interfaces.Perturbation,
        interfaces.Attribution,
        interfaces.Counterfactual,
        interfaces.Synthesis,
        interfaces.Scores,
    )
}


def encode(result: Any) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """(type name, tensors by name, JSON fields) of a result dataclass or of a mapping of tensors."""
    import torch

    if isinstance(result, Mapping):
        return "Tensors", _apart({name: _plain(t) for name, t in result.items()}), {}
    tensors: dict[str, Any] = {}
    fields: dict[str, Any] = {}
    for field in dataclasses.fields(result):
        value = getattr(result, field.name)
        if isinstance(value, torch.Tensor):
            tensors[field.name] = _plain(value)
        elif isinstance(value, Mapping):
            tensors.update({f"{field.name}.{k}": _plain(v) for k, v in value.items()})
        elif value is not None:
            fields[field.name] = value
    return type(result).__name__, _apart(tensors), fields


def decode(type_name: str, tensors: Mapping[str, Any], fields: Mapping[str, Any]) -> Any:
    """The inverse of `encode`."""
    if type_name == "Tensors":
        return dict(tensors)
    if type_name not in _TYPES:
        raise RobexError(
            f"a record holds a {type_name}, which this version of robex does not know; update robex"
        )
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
    for name, tensor in tensors.items():
        field, dot, entry = name.partition(".")
        if dot:
            values.setdefault(field, {})[entry] = tensor
        else:
            values[field] = tensor
    return _TYPES[type_name](**values)


def _plain(tensor: Any) -> Any:
    return tensor.detach().cpu().contiguous()


def _apart(tensors: dict[str, Any]) -> dict[str, Any]:
    """The same without shared memory, which safetensors refuses: all but the first are copied."""
    first: dict[int, str] = {}
    return {
        name: t if first.setdefault(t.untyped_storage().data_ptr(), name) == name else t.clone()
        for name, t in tensors.items()
    }
