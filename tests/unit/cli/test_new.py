"""`robex new`: what it writes, what it refuses, and that the example follows the same skeleton."""

import ast
import json
import tomllib
from pathlib import Path

import pytest

from benchmark_core.cli.main import main
from benchmark_core.cli.new import OFFERED

EXAMPLE = Path(__file__).parents[3] / "plugins" / "example_third_party"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def written(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def test_a_plugin_of_one_kind(tmp_path, capsys):
    assert main(["new", "plugin", "my-bench", "--kind", "attack"]) == 0
    assert written(tmp_path / "my-bench") == {
        ".gitignore",
        "README.md",
        "pyproject.toml",
        "src/my_bench/__init__.py",
        "src/my_bench/attack.py",
        "src/my_bench/plugin.py",
        "suites/my-bench.yaml",
        "tests/test_attack.py",
        "tests/test_contracts.py",
    }
    project = tomllib.loads((tmp_path / "my-bench" / "pyproject.toml").read_text())["project"]
    assert project["name"] == "my-bench"
    assert project["entry-points"] == {"robex": {"my-bench": "my_bench.plugin"}}
    out = capsys.readouterr().out
    commands = out.partition("Go on with\n")[2].splitlines()
    assert commands == [
        "  pip install -e './my-bench[test]'",
        "  pytest my-bench",
        "  robex run my-bench/suites/my-bench.yaml",
    ]
    assert all(f"  {name}\n" in out for name in written(tmp_path / "my-bench"))


@pytest.mark.parametrize("kinds", [*((kind,) for kind in OFFERED), ("metric", "attack"), OFFERED])
def test_every_file_is_sound(tmp_path, kinds):
    assert main(["new", "plugin", "a", "--path", "some where", *(f"--kind={kind}" for kind in kinds)]) == 0
    root = tmp_path / "some where" / "a"
    modules = {kind for kind in OFFERED if (root / "src" / "a" / f"{kind}.py").exists()}
    tested = {kind for kind in OFFERED if (root / "tests" / f"test_{kind}.py").exists()}
    assert modules == tested == set(kinds)
    for name in written(root):
        text = (root / name).read_text()
        assert "{{" not in text
        assert "{%" not in text
        assert text.endswith("\n")
        assert not text.endswith("\n\n")
        if name.endswith(".py"):
            assert ast.get_docstring(ast.parse(text))
            assert "\n\n\n\n" not in text
        else:
            assert "\n\n\n" not in text
    readme = (root / "README.md").read_text()
    assert all(f"| {kind} | `{'a' if len(kinds) == 1 else f'a-{kind}'}` |" in readme for kind in kinds)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("My_Bench", '"My_Bench": a name is lower-case words joined by "-"'),
        ("1st", '"1st": a name is lower-case words joined by "-"'),
        ("class", '"class": class is a keyword of Python'),
        ("json", '"json": would hide Python\'s own module json'),
        ("torch", '"torch": a package torch is installed already'),
        ("benchmark-core", '"benchmark-core": a package benchmark_core is installed already'),
        ("pgd", '"pgd": attack pgd is there already, from robex'),
    ],
)
def test_names_that_cannot_be(tmp_path, capsys, name, why):
    assert main(["new", "plugin", name, "--kind", "attack"]) == 2
    assert capsys.readouterr().err.startswith(why)
    assert not list(tmp_path.iterdir())


def test_robex_is_no_name_for_a_plugin(tmp_path, capsys):
    assert main(["new", "plugin", "robex", "--kind", "metric"]) == 2
    assert "installed already" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    assert main(["new", "plugin", "mine", "--kind", "metric"]) == 2
    assert capsys.readouterr().err.startswith("mine: is there already")
    assert not list((tmp_path / "mine").iterdir())
    (tmp_path / "mine.yaml").write_text("kept")
    assert main(["new", "suite", "mine"]) == 2
    assert capsys.readouterr().err.startswith("mine.yaml: is there already")
    assert (tmp_path / "mine.yaml").read_text() == "kept"


def test_a_folder_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(["new", "plugin", "mine", "--kind", "metric", "--path", "file"]) == 2
    assert "Not a directory" in capsys.readouterr().err


def test_a_suite_is_valid_and_names_a_schema_that_is_there(tmp_path, capsys):
    assert main(["new", "suite", "poster.yaml"]) == 0
    text = (tmp_path / "poster.yaml").read_text()
    assert "suite: poster\n" in text
    assert "$schema" not in text
    assert "  robex plan poster.yaml\n" in capsys.readouterr().out
    assert main(["validate", "poster.yaml"]) == 0

    (tmp_path / "suites" / "deep").mkdir(parents=True)
    (tmp_path / "suites" / "schema.json").write_text('{"title": "of something else"}')
    assert main(["new", "suite", "other", "--path", "suites"]) == 0
    assert "$schema" not in (tmp_path / "suites" / "other.yaml").read_text()

    assert main(["schema", "-o", "suites/schema.json"]) == 0
    json.loads((tmp_path / "suites" / "schema.json").read_text())
    for name, folder, schema in (("one", "suites", "schema.json"), ("two", "suites/deep", "../schema.json")):
        assert main(["new", "suite", name, "--path", folder]) == 0
        first = (tmp_path / folder / f"{name}.yaml").read_text().splitlines()[0]
        assert first == f"# yaml-language-server: $schema={schema}"


@pytest.mark.parametrize("name", ["a b", "-x", "a/b", ""])
def test_names_that_no_suite_has(tmp_path, name):
    assert main(["new", "suite", "--", name]) == 2
    assert not list(tmp_path.iterdir())


def test_the_example_is_what_the_skeleton_becomes(tmp_path):
    main(["new", "plugin", "robex-sample", *(f"--kind={kind}" for kind in ("attack", "explainer", "metric"))])
    ours, theirs = (
        tomllib.loads((root / "pyproject.toml").read_text()) for root in (tmp_path / "robex-sample", EXAMPLE)
    )
    assert ours["build-system"] == theirs["build-system"]
    assert ours["tool"].keys() <= theirs["tool"].keys()
    assert ours["project"].keys() <= theirs["project"].keys()
    for key in ("version", "readme", "requires-python", "dependencies"):
        assert ours["project"][key] == theirs["project"][key]
    assert set(ours["project"]["optional-dependencies"]["test"]) <= set(
        theirs["project"]["optional-dependencies"]["test"]
    )
    contracts = (tmp_path / "robex-sample" / "tests" / "test_contracts.py").read_text()
    assert (
        contracts.replace("robex-sample", "example") == (EXAMPLE / "tests" / "test_contracts.py").read_text()
    )
    for package, root in (("robex_sample", tmp_path / "robex-sample"), ("robex_example", EXAMPLE)):
        assert {"__init__.py", "plugin.py"} < {path.name for path in (root / "src" / package).iterdir()}
