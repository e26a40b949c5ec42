"""The suite of this plugin and its verb, as a user runs them."""

import os
import subprocess
import sys
from pathlib import Path

SUITE = Path(__file__).parents[1] / "suites" / "example.yaml"
ROBEX = Path(sys.executable).with_name("robex")


def robex(*args: str, cwd: Path) -> str:
    env = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run([ROBEX, *args], cwd=cwd, env=env, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_suite_runs_and_has_winners(tmp_path):
    robex("run", str(SUITE), "--quiet", "--samples", "20", cwd=tmp_path)
    lines = robex("winners", cwd=tmp_path).splitlines()
    best = {tuple(line.partition(":")[0].split(" · ")[1:3]): line.partition(":")[2] for line in lines}
    for dataset in ("wine", "breast-cancer"):
        assert "smoothgrad" in best["deletion", dataset]
    assert robex("winners", "robex-results", cwd=tmp_path).splitlines() == lines


def test_the_registration_module_loads_without_torch():
    code = "import sys, robex_example.plugin; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
