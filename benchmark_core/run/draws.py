"""Where random numbers inside a node come from: a seed of its own for every purpose."""

from __future__ import annotations

import contextlib
import hashlib
import random
from collections.abc import Iterator

import numpy as np
import torch


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """The global generators of torch, numpy and python seeded inside, as they were outside."""
    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002
    try:
        with torch.random.fork_rng():
            # torch.manual_seed without a GPU formats a stack and keeps it, should a GPU appear
            torch.default_generator.manual_seed(seed)
            if torch.cuda.is_available():
                torch.cuda.manual_seed_all(seed)
            np.random.seed(seed)  # noqa: NPY002
            random.seed(seed)
            yield
    finally:
        np.random.set_state(numpy_state)  # noqa: NPY002
        random.setstate(python_state)


def sub_seed(seed: int, purpose: str) -> int:
    """A seed of its own for every purpose inside a node, so that no two draws are the same numbers."""
    digest = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:4], "big")  # torch's CPU and numpy's global generator use 32 bits


def generator(seed: int, purpose: str) -> torch.Generator:
    return torch.Generator().manual_seed(sub_seed(seed, purpose))
