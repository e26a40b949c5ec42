"""The JSON Schema says what the loader says, and shows editors what each method is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from small_suite import HEAD

from benchmark_core.errors import SuiteErrors
from benchmark_core.registry import Registry
from benchmark_core.suite import Source, json_schema, read
from benchmark_core.suite.nodes import Problems, parse


@pytest.fixture
def schema(registry: Registry) -> dict[str, Any]:
    return json_schema(registry)


def test_it_is_a_schema(schema: dict[str, Any]) -> None:
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert json.loads(json.dumps(schema, allow_nan=False)) == schema
    assert all(p.get("description") for p in schema["properties"].values())


def test_editors_see_summaries_and_fields(schema: dict[str, Any]) -> None:
    options = schema["properties"]["attacks"]["items"]["oneOf"]
    (pgd,) = [o for o in options if o.get("properties", {}).get("use", {}).get("const") == "pgd"]
    assert pgd["description"] == "Projected gradient descent.\n\nMadry 2018"
    assert pgd["properties"]["eps"]["description"] == "Radius of the ball."
    assert pgd["properties"]["norm"]["default"] == "linf"
    assert pgd["required"] == ["use", "eps"]
    assert pgd["additionalProperties"] is False
    assert {"const": "fgsm", "description": "One signed step."} in options
    assert not any(o.get("const") == "pgd" for o in options)  # eps is required
    noise = next(o for o in options if o.get("properties", {}).get("use", {}).get("const") == "noise")
    assert noise["properties"]["low"]["description"] == noise["properties"]["high"]["description"]


GOOD = [
    "",
    "attacks: [fgsm, {use: pgd, eps: 8/255}, {use: pgd, eps: [0.1, '1/4'], norm: [l2, linf], as: P}]",
    "attacks: [{use: fgsm, samples: [5, all], select: correct, targets: none}]",
    "attacks: [{use: pgd, eps: 1, targets: all, over: [mean, worst]}]",
    "attacks: [{use: ensemble, members: [fgsm, {use: pgd, eps: [1, 2]}]}]",
    "attacks: [{use: ensemble, members: [[fgsm], [{use: pgd, eps: 1}]]}]",
    "attacks: [{use: pgd, eps: 1, steps: 1e1, step_size: null}]",
    "attacks: []\nexplainers: [ecco, {use: smooth, inner: {use: smooth, inner: saliency}, on: [clean]}]",
    "seeds: 1\nversion: 2\nseed: 3\ndescription: x\nsamples: all\nselect: all\ntargets: random\nover: best",
    "limits: {threads: 2, memory: null, node_timeout: 5}",
    "boards: [{name: a, rows: [model, on], metrics: ['*'], rank_by: accuracy}]",
    "include: [{model: mlp}]\nexclude: [{dataset: [wine], on: clean}]",
]
BAD = [
    "attack: []",
    "attacks: fgsm",
    "attacks: [fgsn]",
    "attacks: [pgd]",
    "attacks: [{eps: 1}]",
    "attacks: [{use: pgd}]",
    "attacks: [{use: pgd, eps: -1}]",
    "attacks: [{use: pgd, eps: true}]",
    "attacks: [{use: pgd, eps: []}]",
    "attacks: [{use: pgd, eps: [[1]]}]",
    "attacks: [{use: pgd, eps: [1, -1]}]",
    "attacks: [{use: pgd, eps: 1, steps: 1.5}]",
    "attacks: [{use: pgd, eps: 1, norm: l3}]",
    "attacks: [{use: pgd, eps: 1, step: 3}]",
    "attacks: [{use: pgd, eps: 1, as: 3}]",
    "attacks: [{use: fgsm, targets: random}]",
    "attacks: [{use: fgsm, on: clean}]",
    "attacks: [{use: ensemble, members: fgsm}]",
    "attacks: [{use: ensemble, members: [pgd]}]",
    "explainers: [{use: ecco, targets: none}]",
    "explainers: [{use: smooth, inner: fgsm}]",
    "explainers: [{use: smooth, inner: {use: ecco, as: x}}]",
    "seeds: 0",
    "seeds: [1, 2]",
    "description: 3",
    "samples: 0",
    "limits: {thread: 1}",
    "limits: {device: tpu}",
    "boards: [{name: a}]",
    "boards: [{name: a, rows: []}]",
    "boards: [{name: a b, rows: [model]}]",
    "include: [{}]",
    "include: [{modl: x}]",
    "exclude: {model: mlp}",
    "plugins: 3",
]


def heads() -> Iterator[tuple[str, bool]]:
    yield from ((HEAD + text, True) for text in GOOD)
    yield from ((HEAD + text, False) for text in BAD)
    for a, b, good in [
        ("[mlp]", "[{use: mlp, hidden: [1, 2]}]", True),
        ("[mlp]", "[{use: mlp, hidden: [[1], [2]], window: [0, 1], dropout: [auto, 0.1]}]", True),
        ("[mlp]", "[{use: mlp, hidden: 1}]", False),
        ("[mlp]", "[{use: mlp, window: [0]}]", False),
        ("[mlp]", "[{use: mlp, parts: []}]", False),
        ("[mlp]", "[]", False),
        ("[standard]", "[{use: adversarial-training, attack: [fgsm, {use: pgd, eps: [1, 2]}]}]", True),
        ("[standard]", "[{use: adversarial-training, attack: pgd}]", False),
        ("[standard]", "[adversarial-training]", False),
        ("[accuracy]", "[{use: gap, reference: standard}, {use: accuracy, samples: 3}]", True),
        ("[accuracy]", "[gap]", False),
        ("[accuracy]", "[{use: accuracy, reference: standard}]", False),
        ("small", "a b", False),
        ("datasets: [wine]", "", False),
    ]:
        yield HEAD.replace(a, b), good


@pytest.mark.parametrize(("text", "good"), list(heads()))
def test_it_agrees_with_the_loader(schema: dict[str, Any], registry: Registry, text: str, good: bool) -> None:
    node = parse(Source("s", text), Problems())
    assert node is not None
    assert Draft202012Validator(schema).is_valid(node.plain()) == good
    try:
        read(Source("s", text), registry)
        loaded = True
    except SuiteErrors:
        loaded = False
    assert loaded == good


def test_a_broken_params_class_does_not_stop_it(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "suite_test_schema_types.py").write_text(
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "from benchmark_core import MethodSpec, hookimpl\n"
        "@dataclass(frozen=True)\n"
        "class P:\n    x: Nowhere = 0\n"
        "@hookimpl\n"
        "def register_methods():\n"
        "    yield MethodSpec.attack('typo', 'm:C', params=P)\n"
    )
    registry.add_files([tmp_path / "suite_test_schema_types.py"])
    schema = json_schema(registry)
    Draft202012Validator.check_schema(schema)
    (typo,) = [
        o
        for o in schema["properties"]["attacks"]["items"]["oneOf"]
        if o.get("properties", {}).get("use") == {"const": "typo"}
    ]
    assert typo["description"].startswith("typo: the types of its params cannot be read: NameError")


def test_a_suite_with_a_base_may_leave_keys_out(
    schema: dict[str, Any], registry: Registry, tmp_path: Path
) -> None:
    validator = Draft202012Validator(schema)
    assert validator.is_valid({"suite": "x", "extends": "b.yaml"})
    assert not validator.is_valid({"extends": "b.yaml"})
