"""The installed command, as a user runs it: in a folder of its own, with nothing but the environment."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROBEX = str(Path(sys.executable).with_name("robex"))


@pytest.fixture
def robex(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """robex("run", "suite.yaml", code=0): runs the command in tmp_path and checks its exit code."""

    def call(*args: str, code: int = 0, **env: Any) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [ROBEX, *args],
            cwd=tmp_path,
            env={**os.environ, "COLUMNS": "100", **env},
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    return call
