"""What `robex new` writes works as written, for every kind; and so does the example distribution."""

import csv
import io
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmark_core.cli.main import main
from benchmark_core.cli.new import OFFERED

from .conftest import ROBEX

EXAMPLE = Path(__file__).parents[2] / "plugins" / "example_third_party"


def announced(site: Path, projects: Sequence[Path]) -> dict[str, str]:
    """The environment in which the projects are installed, as far as imports and entry points go."""
    for project in projects:
        about = tomllib.loads((project / "pyproject.toml").read_text())["project"]
        info = site / f"{about['name'].replace('-', '_')}-{about['version']}.dist-info"
        info.mkdir(parents=True)
        lines = [f"{key}: {about[key.lower()]}" for key in ("Name", "Version")]
        (info / "METADATA").write_text("\n".join(["Metadata-Version: 2.1", *lines, ""]))
        points = (f"{name} = {module}\n" for name, module in about["entry-points"]["robex"].items())
        (info / "entry_points.txt").write_text("[robex]\n" + "".join(points))
    paths = [site, *(project / "src" for project in projects), *filter(None, [os.environ.get("PYTHONPATH")])]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "ROBEX_PLUGINS"))}
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "COLUMNS": "100",
        "PYTHONIOENCODING": "utf-8",
    }


def succeed(words: Sequence[str | Path], cwd: Path, env: dict[str, str]) -> str:
    done = subprocess.run(
        list(map(str, words)), cwd=cwd, env=env, capture_output=True, text=True, encoding="utf-8", timeout=250
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def passed(report: str) -> int:
    """`12 passed in 3.1s`: 12, if that is all."""
    words = report.strip().splitlines()[-1].split()
    assert words[1:3] == ["passed", "in"], report
    return int(words[0])


PYTEST = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist")
SUITES = """
import sys
from benchmark_core.cli.main import main
for suite in sys.argv[1:]:
    assert main(["run", suite, "--quiet", "--seeds", "1", "--samples", "12"]) == 0, suite
"""


@pytest.fixture(scope="module")
def plugins(tmp_path_factory) -> dict[str, Path]:
    """One plugin of each kind, and one of all."""
    folder = tmp_path_factory.mktemp("plugins")
    wanted = {f"my-{kind}s": [kind] for kind in OFFERED} | {"my-bench": list(OFFERED)}
    for name, kinds in wanted.items():
        assert (
            main(["new", "plugin", name, "--path", str(folder), *(f"--kind={kind}" for kind in kinds)]) == 0
        )
    return {name: folder / name for name in wanted}


@pytest.fixture(scope="module")
def env(plugins, tmp_path_factory) -> dict[str, str]:
    return announced(tmp_path_factory.mktemp("site"), list(plugins.values()))


def test_the_tests_of_a_plugin_of_each_kind_pass(plugins, env, tmp_path):
    single = [path for name, path in plugins.items() if name != "my-bench"]
    # one process for all: equal file names need the importlib mode
    assert passed(succeed([*PYTEST, "--import-mode=importlib", *single], tmp_path, env)) > 6 * 2


def test_their_suites_run(plugins, env, tmp_path):
    suites = [path / "suites" / f"{name}.yaml" for name, path in plugins.items()]
    succeed([ROBEX, "validate", *suites], tmp_path, env)
    succeed([sys.executable, "-c", SUITES, *suites], tmp_path, env)
    text = succeed([ROBEX, "table", "--format", "csv"], tmp_path, env)
    shown: dict[str, set[str]] = {}
    for row in csv.DictReader(io.StringIO(text)):
        name = row["suite"].partition("~")[0]  # of a quick look
        shown.setdefault(name, set()).update(row[key].partition(" ")[0] for key in OFFERED)
    assert shown.keys() == plugins.keys()
    assert all(name in shown[name] for name in plugins if name != "my-bench")
    assert {f"my-bench-{kind}" for kind in OFFERED} <= shown["my-bench"]


def test_they_load_without_torch_and_without_a_problem(env, tmp_path):
    code = "import sys; from benchmark_core.registry import Registry; r = Registry.load(); "
    code += "assert not r.problems, r.problems; assert 'torch' not in sys.modules; print(len(r.methods()))"
    names = succeed([ROBEX, "list", "--json"], tmp_path, env)
    assert all(f'"my-{kind}s"' in names for kind in OFFERED)
    assert int(succeed([sys.executable, "-c", code], tmp_path, env)) >= 12


def test_a_new_suite_runs_as_written(robex, tmp_path):
    robex("new", "suite", "mine")
    robex("validate", "mine.yaml")
    robex("plan", "mine.yaml")
    out = robex("run", "mine.yaml", "--quiet").stdout
    assert "AT 0.1" in out
    assert (tmp_path / "robex-results").is_dir()


def test_the_example_passes_its_tests(tmp_path):
    copy = shutil.copytree(EXAMPLE, tmp_path / "copy", ignore=shutil.ignore_patterns("__pycache__"))
    env = announced(tmp_path / "site", [copy])
    assert passed(succeed(PYTEST, copy, env)) > 20
