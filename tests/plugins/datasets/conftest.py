"""Loads a built-in dataset as the engine would, from its spec."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest

from benchmark_core import DataContext, Task, data
from benchmark_plugins.datasets.catalogue import SPECS


def _official(name: str, file: str) -> str:
    spec = next(s for s in SPECS if s.name == name)
    assert file in spec.sources, f"{file} comes inside scikit-learn; ROBEX_DATA is not asked"
    path = data.find(spec, file)
    if path is None:
        pytest.skip(f"{file} of {name} is not in {data.data_folder()} (robex data fetch {name})")
    return str(path)


@pytest.fixture
def official() -> Callable[[str, str], str]:
    """`official(name, file)` -> the checked path of a dataset's file; the test skips without it."""
    return _official


@pytest.fixture
def load() -> Callable[..., Task]:
    """`load(name, **params)` -> Task."""

    def load(name: str, **params: Any) -> Task:
        spec = next(s for s in SPECS if s.name == name)
        module, cls = spec.target.split(":")
        context = DataContext(file=lambda file: _official(name, file))
        return getattr(import_module(module), cls)(spec.params(**params)).load(context)

    return load
