"""`robex show METHOD`: all that a spec says, the bounds of params, and a citation that can be pasted."""

import json
import re
import sys

import pytest

from benchmark_core.cli.main import main
from benchmark_core.registry import Registry
from benchmark_core.spec import MetricSpec

BIBTEX = """\
@article{doe2020,
  author = {Doe, Jane},
  title  = {Distances},
}"""
PLUGIN = f'''\
from dataclasses import dataclass
from typing import Annotated, Literal
from annotated_types import Ge, Gt, Le, Lt
from benchmark_core import File, MethodSpec, Metric, Operational, Unit, hookimpl

@dataclass(frozen=True, kw_only=True)
class Params:
    """Distance of the successes.

    share: of the samples. Above 0; path: a file. chunk: samples at once. signed: whether below 0 counts.
    """

    share: Annotated[Unit, Gt(0), Lt(1)] = 0.5
    path: File
    chunk: Annotated[int, Ge(1), Operational()] = 8
    signed: bool = False

@hookimpl
def register_methods():
    yield MethodSpec.metric(
        "far", "far_plugin:Far", params=Params, consumes=("perturbation", "counterfactual"), unit="px",
        direction="lower", judges="defense", scores="conditional", average="median", failure=float("inf"),
        range=(0.0, float("inf")), reference="result", reads="cost", revision=3,
        cite="""{BIBTEX}""",
    )
'''


@pytest.fixture
def plugin(tmp_path):
    path = tmp_path / "far_plugin.py"
    path.write_text(PLUGIN)
    yield str(path)
    sys.modules.pop("far_plugin", None)


def shown(text: str) -> dict[str, str]:
    """The entries below the params, each on one line."""
    joined = re.sub(r"\n {11}", " ", text)
    return dict(re.findall(r"^(\w[\w ]*?)  +(.*)$", joined.partition("\n\n")[2], re.M))


def test_a_metric_says_everything_its_spec_says(plugin, capsys):
    assert main(["show", "far", "--plugin", plugin]) == 0
    text = capsys.readouterr().out
    assert text.startswith("far · metric · revision 3\nDistance of the successes.\n\n")
    said = shown(text)
    assert said["measures"] == "perturbation or counterfactual"
    assert said["better"] == "lower"
    assert said["judges"].startswith("the defense that met the attack")
    assert said["scores"].startswith("conditional: ")
    assert said["range"] == "0 to ∞, in px"
    assert said["average"] == "median over all samples"
    assert said["failure"] == "a sample without a valid result counts as ∞"
    assert said["reads"] == "only what the result cost"
    assert said["compares"] == "with the same method's result on the defense that `reference: LABEL` names"
    assert f"\n{BIBTEX}\n" in text  # as it stands, to be pasted
    assert "{use: far, path: FILE, reference: LABEL}" in text


def test_the_bounds_of_a_param_are_the_narrowest(plugin, capsys):
    assert main(["show", "far", "--plugin", plugin, "--json"]) == 0
    [found] = json.loads(capsys.readouterr().out)
    params = {p["name"]: (p["type"], p["default"], p["about"]) for p in found["params"]}
    assert params == {
        "share": ("number > 0, < 1", "0.5", "of the samples. Above 0"),
        "path": ("file", "required", "a file."),
        "chunk": ("integer >= 1", "8", "samples at once. No result depends on it."),
        "signed": ("true | false", "false", "whether below 0 counts."),
    }
    assert found["spec"]["failure"] == "inf"
    assert found["spec"]["range"] == [0.0, "inf"]
    assert (found["spec"]["judges"], found["spec"]["average"]) == ("defense", "median")


METRICS = [spec for spec in Registry.load().methods("metric") if isinstance(spec, MetricSpec)]


@pytest.mark.parametrize("spec", METRICS, ids=lambda spec: spec.name)
def test_built_in_metrics_say_what_boards_need(spec, capsys):
    assert main(["show", f"metric/{spec.name}"]) == 0
    said = shown(capsys.readouterr().out)
    assert set(re.split(", | or ", said["measures"])) == set(spec.consumes)
    assert said["better"].startswith(spec.direction or "neither")
    assert spec.judges in said["judges"].split()
    assert said["scores"].startswith(spec.scores)
    assert said["range"].endswith({"%": "shown in %", "": said["range"]}.get(spec.unit, f"in {spec.unit}"))
    assert ("average" in said) == (spec.scores != "set")
    assert ("failure" in said) == (spec.failure is not None)
    assert ("compares" in said) == (spec.reference is not None)
    assert " ".join(spec.cite.split()) == said["cite"]


def test_parts_of_the_text_are_apart(capsys):
    assert main(["show", "pgd"]) == 0
    parts = capsys.readouterr().out.split("\n\n")
    assert [part.split()[0] for part in parts] == ["pgd", "param", "inputs", "In"]


@pytest.mark.parametrize("width", [50, 80])
def test_only_what_must_stay_whole_is_wider_than_the_terminal(width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    for spec in Registry.load().methods():
        assert main(["show", f"{spec.kind}/{spec.name}"]) == 0
        wide = [line for line in capsys.readouterr().out.splitlines() if len(line) > width]
        assert all(re.search(r"[\w.]+:\w+$|/\S+$", line) for line in wide), wide
