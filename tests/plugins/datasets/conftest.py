"""Loads a built-in dataset as the engine would, from its spec."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest

from benchmark_core import DataContext, Task
from benchmark_plugins.datasets.catalogue import SPECS


def _no_file(name: str) -> str:
    raise AssertionError(f"{name} comes inside scikit-learn; ROBEX_DATA is not asked")


@pytest.fixture
def load() -> Callable[..., Task]:
    """`load(name, **params)` -> Task."""

    def load(name: str, **params: Any) -> Task:
        spec = next(s for s in SPECS if s.name == name)
        module, cls = spec.target.split(":")
        return getattr(import_module(module), cls)(spec.params(**params)).load(DataContext(file=_no_file))

    return load
