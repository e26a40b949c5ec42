"""The suites of suites/reproduce: they plan, their published values and claims agree with each other, and the
small one runs where its data files are.
"""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmark_core.board.claims import parse_claim

Robex = Callable[..., subprocess.CompletedProcess[str]]

FOLDER = Path(__file__).parents[2] / "suites" / "reproduce"
SUITES = sorted(FOLDER.glob("*.yaml"))
EXPECTED = sorted((FOLDER / "expected").glob("*.yaml"))


@pytest.mark.parametrize("suite", SUITES, ids=lambda path: path.stem)
def test_plans_without_its_data(robex: Robex, suite: Path) -> None:
    plan = json.loads(robex("plan", str(suite), "--json", ROBEX_DATA="no-data-here").stdout)
    assert plan["suite"] == suite.stem
    assert plan["stages"]["train"]["to_run"] > 0
    assert plan["stages"]["measure"]["nodes"] > 50
    assert set(plan["left_out"]) <= {"excluded by the suite"}, "a method that never fits is a mistake"


@pytest.mark.parametrize("file", EXPECTED, ids=lambda path: path.stem)
def test_claims_hold_in_the_published_numbers_themselves(file: Path) -> None:
    expected = yaml.safe_load(file.read_text())

    def published(claim: dict[str, Any], label: str) -> float:
        at = {**claim["at"], claim["over"]: label}
        (value,) = (v for v in expected["values"] if v["metric"] == claim["metric"] and v["at"] == at)
        return float(value["value"])

    assert expected["claims"]
    for claim in expected["claims"]:
        numbers = [published(claim, label) for label in parse_claim(claim["claim"])]
        assert numbers == sorted(set(numbers)), claim


def test_robust_counterfactuals_has_the_whole_of_table_1() -> None:
    """Five numbers of each of eight networks, two of them with a spread; stronger rows are higher rungs."""
    values = yaml.safe_load((FOLDER / "expected" / "robust-counterfactuals.yaml").read_text())["values"]
    cells = {(v["at"]["dataset"], v["source"], v["metric"], *v["at"].values()) for v in values}
    assert len(cells) == len(values) == 40
    assert sum("std" in v for v in values) == 16
    rungs = {(v["at"]["dataset"], v["source"]): v["at"]["defense"] for v in values}
    for dataset in ("mnist", "california-housing"):
        weak, medium, strong = (
            float(rungs[dataset, f"Table 1, {row}-AT"].removeprefix("AT "))
            for row in ("Weak", "Medium", "Strong")
        )
        assert weak < medium < strong


@pytest.mark.timeout(400)
def test_robust_counterfactuals_small(robex: Robex) -> None:
    files = json.loads(robex("data", "list", "--json").stdout)["files"]
    needed = [file for file in files if file["dataset"] in ("mnist", "california-housing")]
    if not all(file["state"] == "there" for file in needed):
        pytest.skip("needs the files of mnist and california-housing: ROBEX_DATA (docs/data.md)")
    suite = FOLDER / "robust-counterfactuals-small.yaml"
    shown = robex("run", str(suite), "--quiet", "--jobs", "2", "--seeds", "2", "--samples", "20").stdout
    _, _, published = shown.partition("table-1 · published numbers")
    values, _, rest = published.partition("table-1 · published order")
    _, _, claims = rest.partition("table-1 · claims")
    assert len(re.findall("within tolerance$|differs$|cannot tell$", values, re.M)) == 40
    assert len(re.findall("^. (?:supported|contradicted|undecided) ", claims, re.M)) == 10

    (board,) = json.loads(robex("table", "--board", "counterfactuals", "--json").stdout)
    cells = {
        (block["at"]["dataset"], *(row["at"][c] for c in ("defense", "explainer")), column["metric"]): cell
        for block in board["blocks"]
        for row in block["rows"]
        for column, cell in zip(block["columns"], row["cells"], strict=True)
    }
    implausibility = {key[:3]: cell["value"] for key, cell in cells.items() if key[3] == "implausibility"}
    assert len(implausibility) == 2 * 4 * 4
    for (dataset, defense, explainer), value in implausibility.items():
        valid = cells[dataset, defense, explainer, "validity"]["value"]
        if explainer == "factual":  # aims at a class that the model does not see
            assert valid == 0
            assert implausibility[dataset, defense, "real-sample"] < value
        if dataset == "california-housing" and explainer == "boundary AAAI-california":
            assert valid == 100
            assert value < implausibility[dataset, defense, "factual"]
