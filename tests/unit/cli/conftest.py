"""A tiny suite that ran once for all tests of the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmark_core.cli.main import main

SUITE = """\
suite: tiny
seeds: 2
datasets: [wine]
models: [linear]
defenses: [{use: standard, as: Standard, epochs: 2}]
samples: 20
attacks: [{use: fgsm, eps: 0.1}]
explainers: [saliency]
metrics: [accuracy, robust-accuracy, gini-sparseness]
"""


@dataclass
class Ran:
    suite: str
    store: str


@pytest.fixture(scope="session")
def ran(tmp_path_factory) -> Ran:
    folder: Path = tmp_path_factory.mktemp("cli")
    suite, store = folder / "tiny.yaml", folder / "store"
    suite.write_text(SUITE)
    assert main(["run", str(suite), "--store", str(store), "--quiet"]) == 0
    return Ran(str(suite), str(store))


@pytest.fixture
def suite(tmp_path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(SUITE)
    return path
