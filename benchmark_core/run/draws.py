"""Where random numbers inside a node come from: a seed of its own for every purpose."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """torch's global generator seeded inside, as it was outside."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def sub_seed(seed: int, purpose: str) -> int:
    """A seed of its own for every purpose inside a node, so that no two draws are the same numbers."""
    digest = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:4], "big")  # torch's CPU generator uses 32 bits


def generator(seed: int, purpose: str) -> torch.Generator:
    return torch.Generator().manual_seed(sub_seed(seed, purpose))
