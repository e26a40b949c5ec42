"""Keys and seeds: what makes two nodes the same work, and where their randomness comes from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

from ..registry import Registry
from ..spec import DatasetSpec, MethodRef
from ..suite.canonical import canonical

Role = Literal["train", "select", "prepare", "attack", "explain", "measure"]

#: Raise it when the engine changes what any node computes (selection, batching, random numbers, scoring).
ENGINE_REVISION = 1


def key_of(identity: Mapping[str, Any]) -> str:
    """sha256 of the canonical JSON of everything that can change a node's result."""
    return hashlib.sha256(canonical_json(identity).encode()).hexdigest()


def method_identity(ref: MethodRef, registry: Registry) -> dict[str, Any]:
    """A method as it counts in keys: name, revision, validated params, data files, source that may change."""
    spec = registry.get(ref.kind, ref.name)
    identity: dict[str, Any] = {
        "kind": ref.kind,
        "name": ref.name,
        "revision": spec.revision,
        "params": canonical(ref.params, registry),
    }
    if isinstance(spec, DatasetSpec) and spec.files:
        identity["files"] = dict(spec.files)
    if code := registry.code_hash(spec):
        identity["code"] = code
    return identity


def engine_identity(registry: Registry) -> str:
    """The engine as it counts in keys: its revision, and its source where that may change."""
    return f"{ENGINE_REVISION}{f' {registry.engine_hash}' if registry.engine_hash else ''}"


_encoder = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def canonical_json(value: Any) -> str:
    return _encoder.encode(value)


@cache
def seed_of(suite_seed: int, role: Role, repetition: int) -> int:
    """A 63-bit seed from (suite seed, role, repetition): never from a method's name, so that methods are
    compared on the same random numbers and adding one changes nobody's."""
    digest = hashlib.sha256(f"robex/{suite_seed}/{role}/{repetition}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
