"""One warm process for all bad days, and a good day to compare with."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .harness import SUITE, Bench, Warm


@pytest.fixture(scope="session")
def warm() -> Iterator[Warm]:
    process = Warm()
    yield process
    process.close()


@pytest.fixture
def bench(tmp_path: Path, warm: Warm) -> Iterator[Bench]:
    made = Bench(tmp_path, warm)
    yield made
    made.end()


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, warm: Warm) -> Bench:
    """SUITE after a run on a good day."""
    made = Bench(tmp_path_factory.mktemp("good"), warm)
    made.call("run", made.suite(SUITE), "--quiet")
    return made
