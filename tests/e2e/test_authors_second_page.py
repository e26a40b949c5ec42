"""What the page for authors shows after its first attack: a distribution, a shared state, specs, tests."""

import csv
import dataclasses
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from benchmark_core import spec
from benchmark_core.registry import Registry
from benchmark_core.store import Store
from benchmark_core.suite.methods import make_ref

PAGE = (Path(__file__).parents[2] / "docs" / "authoring.md").read_text()

SPECS = {
    "dataset": spec.DatasetSpec,
    "model": spec.ModelSpec,
    "defense": spec.DefenseSpec,
    "attack": spec.AttackSpec,
    "explainer": spec.ExplainerSpec,
    "metric": spec.MetricSpec,
    "state": spec.StateSpec,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files of the page, where it says they lie."""
    (tmp_path / "tests").mkdir()
    for text, name in re.findall(r"```\w+\n(# ([\w./]+)\n.*?)```", PAGE, re.S):
        (tmp_path / name).write_text(text)
    return tmp_path


def test_an_explainer_and_a_metric_share_a_state(robex, folder):
    robex("validate", "proto.yaml", "flip.yaml")
    robex("run", "proto.yaml", "--quiet")
    text = robex("table", "--format", "csv").stdout
    value = {(r["explainer"], r["metric"]): float(r["value"]) for r in csv.DictReader(io.StringIO(text))}
    assert {explainer for explainer, _ in value} == {"towards-mean steps=5", "towards-mean steps=50", "scfe"}
    # A finer walk stops earlier: nearer to the input, farther from the mean; the search knows of no mean.
    few, many = (f"towards-mean steps={n}" for n in (5, 50))
    assert value[few, "validity"] == value[many, "validity"] == 100
    assert value[scfe := "scfe", "cost"] < value[many, "cost"] < value[few, "cost"]
    assert value[few, "mean-distance"] < value[many, "mean-distance"] < value[scfe, "mean-distance"]

    store = Store(folder / "robex-results")
    records = list(map(store.record, store.keys()))
    means = [r for r in records if r["stage"] == "prepare"]
    assert len(means) == 1  # one for both seeds, both explainers and the metric
    task = store.result(means[0]["inputs"]["task"])
    mean = torch.stack([task.x_train[task.y_train == c].double().mean(0) for c in range(3)])
    measured = [r for r in records if r["where"].get("metric") == "mean-distance"]
    assert len(measured) == 6
    for record in measured:
        aim = store.result(record["inputs"]["selection"]).target
        x_cf = store.result(record["inputs"]["result"]).x_cf.double()
        expected = (x_cf - mean[aim]).square().sum(1).sqrt()
        torch.testing.assert_close(store.result(record["key"]).values, expected, rtol=1e-5, atol=1e-6)


def test_an_edit_makes_the_results_of_the_whole_file_old(robex, folder):
    for name in ("flip.py", "flip_attack.py"):
        (folder / name).unlink()

    def keys() -> dict[str, str]:
        plan = json.loads(robex("plan", "proto.yaml", "--json").stdout)
        return {node["title"]: node["key"] for node in plan["nodes"]}

    before = keys()
    (folder / "tests" / "test_flip.py").write_text("# not part of it\n")
    assert keys() == before
    (folder / "beside.py").write_text("# the plugin may import this\n")
    after = keys()
    changed = {title for title in before if before[title] != after[title]}
    assert changed == {t for t in before if "towards-mean" in t or "mean-distance" in t or "class-means" in t}


def test_the_test_of_the_page_passes(folder):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=folder,
        capture_output=True,
        text=True,
        env={k: v for k, v in os.environ.items() if not k.startswith("PYTEST")},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_a_method_takes_35_lines_and_keeps_the_contracts(folder):
    lines = [(folder / name).read_text().splitlines() for name in ("flip.py", "flip_attack.py")]
    assert sum(map(len, lines)) <= 35
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--robex-plugin", "flip.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        env={k: v for k, v in os.environ.items() if not k.startswith("PYTEST")},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


def unnamed_python() -> list[str]:
    """The blocks of Python that are no files."""
    return re.findall(r"```python\n((?!# [\w./]+\n).*?)```", PAGE, re.S)


def test_the_commands_of_the_page_are_those_of_robex_new(robex, folder):
    (commands,) = re.findall(r"```\n(robex new plugin .*?)```", PAGE, re.S)
    new, *rest = commands.splitlines()
    told = robex(*new.split()[1:]).stdout.partition("Go on with\n")[2]
    assert [line.strip() for line in told.splitlines()] == rest
    written = folder / "my-bench"
    paths = re.findall(
        r"^\| `([\w./-]+)` \|", PAGE.partition("| in `my-bench/` |")[2].partition("\n\n")[0], re.M
    )
    assert len(paths) == 5
    assert all((written / path).exists() for path in paths)
    _, contracts = unnamed_python()
    assert (written / "tests" / "test_contracts.py").read_text().endswith(contracts)
    (toml,) = re.findall(r"```toml\n(.*?)```", PAGE, re.S)
    assert toml in (written / "pyproject.toml").read_text()


def test_a_wish_for_a_state_is_as_the_page_says():
    needs, _ = unnamed_python()
    space: dict[str, Any] = {"use": spec.use}
    exec(needs, space)
    wish = space["_needs"](SimpleNamespace(k=7))["index"]
    ref = make_ref(Registry.load(), "state", wish.name, dict(wish.params))
    assert ref.params.k == 7


def fields_told() -> Iterator[tuple[str, str, str]]:
    """(kind, field, default) of the table of spec fields."""
    rows = PAGE.partition("\n| kind | field |")[2].partition("\n\n")[0].splitlines()[2:]
    kind = ""
    for row in rows:
        first, field, *_, default = (cell.strip(" `") for cell in row.strip("|").split(" | "))
        kind = first or kind
        yield kind, field, default


def test_the_page_tells_every_field_of_every_spec():
    common = {f.name for f in dataclasses.fields(spec.MethodSpec)} - {"kind", "name", "target"}
    told = list(fields_told())
    assert {field for kind, field, _ in told if kind == "all"} == common
    for kind, cls in SPECS.items():
        own = {f.name: f for f in dataclasses.fields(cls) if f.name in vars(cls).get("__annotations__", ())}
        rows = {field: default for k, field, default in told if k == kind}
        assert set(rows) == set(own)
        required = {name for name, f in own.items() if f.default is f.default_factory is dataclasses.MISSING}
        assert {name for name, default in rows.items() if default == "required"} == required
        for name, default in rows.items():
            if default not in ("required", "none", "empty", "all numbers"):
                assert default.strip('"') == str(own[name].default)


def test_a_distribution_and_its_file_do_not_go_together(robex, folder):
    flip = (folder / "flip.py").read_text()
    package, info = folder / "site" / "my_bench", folder / "site" / "my_bench-1.0.dist-info"
    package.mkdir(parents=True)
    info.mkdir()
    (package / "__init__.py").touch()
    (package / "plugin.py").write_text(flip.replace("flip_attack:Flip", "my_bench.attack:Flip"))
    (package / "attack.py").write_text((folder / "flip_attack.py").read_text())
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-bench\nVersion: 1.0\n")
    (toml,) = re.findall(r"```toml\n(.*?)```", PAGE, re.S)
    (info / "entry_points.txt").write_text(
        toml.replace("[project.entry-points.robex]", "[robex]").replace('"', "")
    )
    path = str(folder / "site")
    assert (
        'two plugins register the attack "flip"'
        in robex("validate", "flip.yaml", code=2, PYTHONPATH=path).stderr
    )
    suite = folder / "flip.yaml"
    suite.write_text(suite.read_text().replace("plugins: [flip.py]\n", ""))
    robex("validate", "flip.yaml", PYTHONPATH=path)


def test_the_plugins_of_the_page_load_without_torch(folder):
    code = "import sys; from benchmark_core.registry import Registry; r = Registry.load(sys.argv[1:]); "
    code += "assert not r.problems, r.problems; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code, "flip.py", "proto.py"], cwd=folder, check=True)
