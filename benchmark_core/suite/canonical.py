"""Params as they count in keys: plain JSON data that is the same for every way to write the same settings."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import math
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args, get_origin

from ..errors import RobexError
from ..registry import Registry
from ..spec import FileContent, MethodRef, Operational, param_types
from .fields import branches, item_type, literals, marker


def canonical(params: Any, registry: Registry) -> dict[str, Any]:
    """field -> JSON value of validated params, without the operational ones.

    Floats stay floats (an int in a float field becomes one; inf and nan are `{"float": "inf"}`), tuples
    become lists, methods inside carry their revision and source hash, files count by their content.
    """
    types = param_types(type(params))
    return {
        f.name: _value(getattr(params, f.name), types[f.name], registry)
        for f in dataclasses.fields(params)
        if marker(types[f.name], Operational) is None
    }


def _value(value: Any, annotation: Any, registry: Registry) -> Any:
    match value:
        case MethodRef():
            spec = registry.get(value.kind, value.name)
            return {
                "use": value.name,
                "revision": spec.revision,
                "code": registry.code_hash(spec),
                "params": canonical(value.params, registry),
            }
        case enum.Enum():
            return _value(value.value, Any, registry)
        case str() if marker(annotation, FileContent) is not None and value not in literals(annotation):
            return {"sha256": file_hash(value)}
        case None | bool() | str():
            return value
        case int():
            plain = set(branches(annotation))
            return float(value) if float in plain and int not in plain else value
        case float():
            return value if math.isfinite(value) else {"float": str(value)}
        case list() | tuple():
            inner = _item_types(annotation, len(value))
            return [_value(v, t, registry) for v, t in zip(value, inner, strict=True)]
        case set() | frozenset():
            return sorted((_value(v, item_type(annotation), registry) for v in value), key=repr)
        case Mapping():
            of = _mapped_type(annotation)
            return {"map": sorted(([k, _value(v, of, registry)] for k, v in value.items()), key=repr)}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        # of several types that would fit, which one it is
        several = sum(dataclasses.is_dataclass(branch) for branch in branches(annotation)) > 1
        return canonical(value, registry) | ({"": type(value).__name__} if several else {})
    raise RobexError(
        f"a value of type {type(value).__name__} cannot be part of a key; use numbers, text, lists, methods, "
        "or benchmark_core.File for the path of a file"
    )


def _item_types(annotation: Any, count: int) -> list[Any]:
    """What each item of a list of this type is: `tuple[str, File]` says it one by one."""
    for branch in branches(annotation):
        inner = get_args(branch)
        if get_origin(branch) is tuple and ... not in inner and len(inner) == count:
            return list(inner)
    return [item_type(annotation)] * count


def _mapped_type(annotation: Any) -> Any:
    """What the values of a mapping type are."""
    for branch in branches(annotation):
        origin, inner = get_origin(branch), get_args(branch)
        if isinstance(origin, type) and issubclass(origin, Mapping) and len(inner) == 2:
            return inner[1]
    return Any


def file_hash(path: str) -> str:
    """sha256 of a file's content, read again when its time or size changed."""
    try:
        status = Path(path).stat()
        return _file_hash(path, status.st_mtime_ns, status.st_size)
    except OSError as error:
        raise RobexError(f"{path}: {error.strerror or error}; it is a param of the suite") from None


@lru_cache(maxsize=1024)
def _file_hash(path: str, mtime_ns: int, size: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
