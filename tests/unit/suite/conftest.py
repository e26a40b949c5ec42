"""A small registry of methods that are never run, and `check`, which reads a suite of them from text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_suite import HEAD, PLUGIN

from benchmark_core.errors import SuiteErrors
from benchmark_core.registry import Registry
from benchmark_core.suite import Suite, read


@pytest.fixture(scope="session")
def plugin_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plugin") / "suite_test_methods.py"
    path.write_text(PLUGIN)
    return path


@pytest.fixture
def registry(plugin_file: Path) -> Registry:
    registry = Registry()
    registry.add_files([plugin_file])
    assert not registry.problems
    return registry


Check = Callable[..., Suite]


@pytest.fixture
def check(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Read text as the file s.yaml of the current folder; `head` stands before it."""
    monkeypatch.chdir(tmp_path)

    def run(text: str = "", head: str = HEAD, **options: Any) -> Suite:
        Path("s.yaml").write_text(head + text)
        return read("s.yaml", registry, **options)

    return run


@pytest.fixture
def errors(check: Check) -> Callable[..., list[str]]:
    """The lines that `check` reports, without the count."""

    def run(text: str = "", head: str = HEAD, **options: Any) -> list[str]:
        with pytest.raises(SuiteErrors) as caught:
            check(text, head, **options)
        *lines, ending = str(caught.value).splitlines()
        assert ending == f"{len(lines)} error{'s' if len(lines) != 1 else ''}; nothing was run."
        return lines

    return run
