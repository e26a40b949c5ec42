"""Shared fixtures. One thread, so that timings and reductions do not depend on the machine."""

import pytest
import torch

from benchmark_core import Task
from benchmark_core.testing import blobs

torch.set_num_threads(1)


@pytest.fixture
def task() -> Task:
    """Three Gaussian blobs in [0, 1]^5."""
    return blobs()
