"""The suite that crosses every built-in method runs as it stands."""

import json
from pathlib import Path

SUITE = Path(__file__).parents[2] / "suites" / "all-methods.yaml"


def test_all_built_in_methods_run_together(robex):
    robex("run", str(SUITE), "--quiet", "--jobs", "2")
    plan = json.loads(robex("plan", str(SUITE), "--json").stdout)
    assert plan["stages"]["measure"]["nodes"] > 500
    assert all(stage["to_run"] == 0 for stage in plan["stages"].values())
