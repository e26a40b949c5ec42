"""What a newcomer does: the shipped suites, the page for authors, a suite of one's own, and its mistakes."""

import json
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from benchmark_core.store import Store

from .conftest import ROBEX

ROOT = Path(__file__).parents[2]
SUITES = sorted(p for p in (ROOT / "suites").rglob("*.yaml") if p.parent.name != "expected")

SMALL = """
suite: small
seeds: 2
datasets: [wine]
models: [{use: mlp, hidden: [16]}]
defenses:
  - {use: standard, as: Standard, epochs: 5}
  - {use: adversarial-training, as: AT, epochs: 5, attack: {use: pgd, eps: 0.1, steps: 3}}
attacks: [{use: pgd, eps: [0.05, 0.1], steps: 5}]
explainers: [saliency]
metrics: [accuracy, robust-accuracy, gini-sparseness]
"""


@pytest.mark.parametrize("suite", SUITES, ids=lambda p: p.stem)
def test_shipped_suites_are_valid(robex, suite):
    robex("validate", str(suite))


def test_the_committed_schema_is_what_the_builtins_give(robex):
    assert robex("schema", ROBEX_PLUGINS="benchmark").stdout == (ROOT / "suites" / "schema.json").read_text()


def test_a_suite_of_ones_own(robex, tmp_path):
    (tmp_path / "small.yaml").write_text(SMALL)
    robex("run", "small.yaml")
    table = json_rows(robex("table", "--format", "csv").stdout)
    assert {row["defense"] for row in table} == {"Standard", "AT"}
    assert {row["metric"] for row in table} == {"accuracy", "robust-accuracy", "gini-sparseness"}
    assert {(row["done"], row["of"], row["seeds"], row["n"]) for row in table} == {("2", "2", "2", "53")}
    by_place = {(r["defense"], r["metric"], r["attack"]): float(r["value"]) for r in table}
    assert (
        by_place["AT", "robust-accuracy", "pgd eps=0.05"] > by_place["AT", "robust-accuracy", "pgd eps=0.1"]
    )
    # Everything is there: nothing runs, the same boards come out.
    first = robex("run", "small.yaml", "--quiet").stdout
    again = robex("run", "small.yaml", "--json").stdout
    events = [json.loads(line) for line in again.splitlines()]
    assert [e["event"] for e in events if e["event"].startswith("node")] == []
    assert first.strip()
    (suite,) = json.loads(robex("status", "--json").stdout)
    assert (suite["suite"], suite["done"], suite["cells"]) == ("small", 16, 16)


def test_two_ways_to_run_give_equal_numbers(robex, tmp_path):
    (tmp_path / "small.yaml").write_text(SMALL)
    tables = []
    for store, options in (("one", ()), ("two", ("--jobs", "2"))):
        robex("run", "small.yaml", "--store", store, "--quiet", *options)
        tables.append(robex("table", store, "--format", "csv").stdout)
    assert tables[0] == tables[1]


def test_ctrl_c_and_go_on(robex, tmp_path):
    (tmp_path / "small.yaml").write_text(SMALL.replace("epochs: 5", "epochs: 60"))
    for options in ((), ("--jobs", "2")):
        store = f"store{len(options)}"
        run = subprocess.Popen(
            [ROBEX, "run", "small.yaml", "--store", store, "--json", *options],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert run.stdout is not None
        for line in run.stdout:  # stop once something is finished
            if json.loads(line)["event"] == "node-finished":
                break
        run.send_signal(signal.SIGINT)
        _, stderr = run.communicate(timeout=60)
        assert run.returncode == 130, stderr
        kept = set(Store(tmp_path / store).keys())
        assert kept
        events = [
            json.loads(x) for x in robex("run", "small.yaml", "--store", store, "--json").stdout.splitlines()
        ]
        assert sum(events[0]["cached"].values()) == len(kept)
        assert kept < set(Store(tmp_path / store).keys())


def test_kill_and_go_on_gives_the_same_records(robex, tmp_path):
    (tmp_path / "small.yaml").write_text(SMALL)
    robex("run", "small.yaml", "--store", "whole", "--quiet")
    for delay in (0.2, 1.5, 2.5):
        run = subprocess.Popen(
            [ROBEX, "run", "small.yaml", "--store", "cut", "--quiet", "--jobs", "2"],
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(delay)
        run.kill()
        run.wait()
    robex("run", "small.yaml", "--store", "cut", "--quiet")
    whole, cut = (robex("table", s, "--format", "csv").stdout for s in ("whole", "cut"))
    assert whole == cut


def test_mistakes_are_told_with_their_place(robex, tmp_path):
    (tmp_path / "bad.yaml").write_text(
        SMALL.replace("use: pgd, eps: [0.05", "use: pdg, eps: [0.05").replace("steps: 3", "stesp: 3")
    )
    done = robex("run", "bad.yaml", code=2)
    lines = done.stderr.splitlines()
    assert 'bad.yaml:8:81: pgd has no param "stesp"; did you mean "steps"?' in lines[0]
    assert 'bad.yaml:9:17: no attack is called "pdg"; did you mean "pgd"?' in lines[1]
    assert lines[-1] == "2 errors; nothing was run."
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "robex-results").exists()


def test_the_page_for_authors(robex, tmp_path):
    page = (ROOT / "docs" / "authoring.md").read_text()
    for name in ("flip.py", "flip_attack.py", "flip.yaml"):
        (block,) = re.findall(rf"```\w+\n(# {re.escape(name)}\n.*?)```", page, re.S)
        (tmp_path / name).write_text(block)
    robex("validate", "flip.yaml")
    robex("run", "flip.yaml", "--quiet")
    assert "Mirrors the features" in robex("show", "flip", "--plugin", "flip.py").stdout
    norms = {
        row["attack"]: float(row["value"])
        for row in json_rows(robex("table", "--format", "csv").stdout)
        if row["metric"].startswith("perturbation-norm") and row["attack"].startswith("flip")
    }
    assert all(0 < norms[f"flip features={k}"] <= k for k in (1, 2, 4))

    # Editing the plugin computes its results, and nothing else, anew.
    before = set(Store(tmp_path / "robex-results").keys())
    path = tmp_path / "flip_attack.py"
    path.write_text(path.read_text() + "\n# edited\n")
    events = [json.loads(x) for x in robex("run", "flip.yaml", "--json").stdout.splitlines()]
    ran = {e["title"].split(" · ")[0] for e in events if e["event"] == "node-finished"}
    assert ran
    assert not any("pgd" in title for title in ran)
    assert sum(e["event"] == "node-finished" and e["stage"] == "train" for e in events) == 0
    assert before < set(Store(tmp_path / "robex-results").keys())


def json_rows(text: str) -> list[dict[str, str]]:
    import csv
    import io

    return list(csv.DictReader(io.StringIO(text)))


def test_the_quickstart_in_small(robex, tmp_path):
    shutil.copytree(ROOT / "suites", tmp_path / "suites")
    done = robex("run", "suites/quickstart.yaml", "--seeds", "1", "--samples", "20", "--jobs", "2", "--quiet")
    for word in ("robustness", "counterfactuals", "integrated-gradients", "AT 0.1"):
        assert word in done.stdout
