"""Shared fixtures. One thread, so that timings and reductions do not depend on the machine."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark_core import Task
from benchmark_core.plan import Plan, build_plan
from benchmark_core.registry import Registry
from benchmark_core.suite import read
from benchmark_core.testing import blobs

torch.set_num_threads(1)


@pytest.fixture
def task() -> Task:
    """Three Gaussian blobs in [0, 1]^5."""
    return blobs()


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Tests that draw from a global generator draw the same numbers in any order and alone."""
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 - the peers draw from it


TOYS = Path(__file__).parent / "toys" / "toy_bench.py"


@pytest.fixture(scope="session")
def toys() -> Registry:
    """The built-in methods and the toys of tests/toys/toy_bench.py."""
    return Registry.load([TOYS])


@pytest.fixture
def planned(tmp_path: Path, toys: Registry) -> Callable[..., Plan]:
    """YAML text -> its plan. The text may leave out the keys that every suite needs."""

    def plan(text: str, **options: Any) -> Plan:
        head = {"suite": "toy", "datasets": "[toy]", "models": "[toy-linear]", "defenses": "[toy-train]"}
        given = {line.partition(":")[0] for line in text.splitlines()}
        head |= {"seeds": "1"}
        lines = [f"{key}: {value}" for key, value in head.items() if key not in given]
        path = tmp_path / "suite.yaml"
        path.write_text("\n".join([*lines, text]))
        return build_plan(read(path, toys, **options), toys)

    return plan
