"""Hypothesis against the loader: from any bytes `read` makes a suite or a RobexError, soon, and runs nothing."""

# ruff: noqa: E501, PT017  (tables of scraps; the tests end in either way)

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from benchmark_core.errors import RobexError
from benchmark_core.plan import build_plan
from benchmark_core.registry import Registry
from benchmark_core.suite import Source, Suite, read
from benchmark_core.suite.nodes import Problems, parse, read_text

ROOT = Path(__file__).parents[3]
QUICKSTART = (ROOT / "suites" / "quickstart.yaml").read_text()
#: Seconds that one small file may take on a busy machine; it is milliseconds on a free one.
SOON = 20.0

quick = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
few = settings(quick, max_examples=40)


@pytest.fixture(scope="module")
def builtins() -> Registry:
    return Registry.load()


def outcome(source: Any, registry: Registry) -> str:
    """`plan`, `suite` or `error`; anything else fails the test."""
    started = time.perf_counter()
    try:
        suite = read(source, registry, overrides={"limits.cells": 3000})
        assert isinstance(suite, Suite)
        found = "suite"
        assert build_plan(suite, registry).nodes
        found = "plan"
    except RobexError as error:
        found = "error"
        for line in str(error).splitlines():
            assert line.isprintable()
            assert len(line) < 1000
        assert len(str(error).splitlines()) <= 52
    assert time.perf_counter() - started < SOON
    return found


# --- bytes ---------------------------------------------------------------------------------------------


@quick
@given(st.binary(max_size=400))
def test_bytes(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    file.write_bytes(data)
    assert outcome(file, Registry()) == "error"


@quick
@given(st.text(max_size=300))
def test_text(text: str) -> None:
    assert outcome(Source("f.yaml", text), Registry()) == "error"


TOUCH = "'touch fuzz-was-here'"


@pytest.mark.parametrize(
    "text",
    [
        f"!!python/object/apply:os.system [{TOUCH}]",
        f"!!python/object/new:os.system [{TOUCH}]",
        f"a: !!python/object/apply:subprocess.call [[touch, fuzz-was-here]]\nsuite: {TOUCH}",
        f"? !!python/object/apply:os.system [{TOUCH}]\n: 1",
        "!!python/module:antigravity x",
        "!!python/name:os.system",
        f"%TAG ! tag:yaml.org,2002:python/\n---\n!object/apply:os.system [{TOUCH}]",
        f"&a !!python/object/apply:os.system [{TOUCH}]",
        f"<<: !!python/object/apply:os.system [{TOUCH}]",
        "suite: ${HOME}\ndatasets: [$(touch fuzz-was-here), `touch fuzz-was-here`, '{0.__class__}']",
    ],
)
def test_nothing_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.chdir(tmp_path)
    assert outcome(Source("f.yaml", text), Registry()) == "error"
    assert list(tmp_path.iterdir()) == []


# --- suites with something changed ---------------------------------------------------------------------

SCRAPS = ["", "  ", "\t", "- ", ": ", "{", "}", "[", "]", "&a ", "*a", "!!int ", "<<: *a", "---\n", "#", "'", '"', "|",
          "\r", "\x00", "\x1b[2J", "\u202e", "é", "1e400", ".nan", "-0", "0x", "9" * 50, "null", "~", "[[]]", "{}",
          "use: ", "as: '{eps}'", "on: [pgd]", "samples: all", "targets: all", "over: worst", "eps: [0.1, 1/0]",
          "extends: quickstart.yaml", "plugins: [.]", "seeds: 999999999999"]  # fmt: skip


@few
@given(st.randoms(use_true_random=False), st.integers(1, 4))
@example(random.Random(0), 0)
def test_the_text_of_a_suite_with_scraps_in_it(builtins: Registry, draw: random.Random, times: int) -> None:
    lines = QUICKSTART.splitlines()
    for _ in range(times):
        i, j = draw.randrange(len(lines)), draw.randrange(len(lines))
        match draw.randrange(6):
            case 0:
                del lines[i]
            case 1:
                lines.insert(j, lines[i])
            case 2:
                lines[i], lines[j] = lines[j], lines[i]
            case 3:
                lines[i] = " " * draw.randrange(6) + lines[i].lstrip()
            case 4:
                lines.insert(i, draw.choice(SCRAPS))
            case _:
                at = draw.randrange(len(lines[i]) + 1)
                lines[i] = lines[i][:at] + draw.choice(SCRAPS) + lines[i][at + draw.randrange(4) :]
    found = outcome(Source("f.yaml", "\n".join(lines), ROOT / "suites"), builtins)
    assert found == "plan" or times


SCALARS: list[Any] = [None, True, False, 0, 1, -1, 10**18, 0.5, -0.0, 1e308, 1e-308, "", " ", "x", "pgd", "fgsm", "mlp",
                      "standard", "Standard", "clean", "*", "[", "{eps}", "1/3", "nan", "8/255", "all", "none", "é" * 99,
                      "\x1b", "../x", "/dev/zero", "\u202e", [], {}, [[]], [None], {"use": None}, {"use": "pgd"},
                      {"": 1}, [1, "a", [2]], {"use": "pgd", "eps": [0.1, 0.2], "steps": [1, 2]}]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in items:
        found += places(child, (*path, key))
    return found


def mutate(root: Any, draw: random.Random) -> None:
    """Change one node in place: drop it, double it, swap it with another, or give it another value or key."""
    spots = places(root)
    if not spots:
        return
    *above, key = draw.choice(spots)
    holder = root
    for step in above:
        holder = holder[step]
    match draw.randrange(6):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, list):
            holder.append(json.loads(json.dumps(holder[key])))
        case 2:
            *other_above, other = draw.choice(spots)
            place = root
            for step in other_above:
                place = place[step]
            holder[key], place[other] = json.loads(json.dumps([place[other], holder[key]]))
        case 3:
            holder[key] = [json.loads(json.dumps(holder[key]))] * draw.choice([1, 2, 3])
        case 4 if isinstance(holder, dict):
            words = [
                "use",
                "as",
                "on",
                "eps",
                "samples",
                "targets",
                "reference",
                "rows",
                key.upper(),
                key[:-1],
            ]
            holder[draw.choice(words)] = holder.pop(key)
        case _:
            holder[key] = json.loads(json.dumps(draw.choice(SCALARS)))


@few
@given(st.randoms(use_true_random=False), st.integers(1, 6))
def test_the_nodes_of_a_suite_changed(builtins: Registry, draw: random.Random, times: int) -> None:
    root = yaml.safe_load(QUICKSTART)
    for _ in range(times):
        mutate(root, draw)
    outcome(Source("f.yaml", json.dumps(root), ROOT / "suites"), builtins)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=12) | st.sampled_from(SCALARS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["use", "as", "eps", "attack", "samples", "on", "name", "rows", "metrics", "x", ""]),
        inner, max_size=4),
    max_leaves=10,
)  # fmt: skip


@few
@given(data=st.data())
def test_sections_of_anything(builtins: Registry, data: st.DataObject) -> None:
    root = yaml.safe_load(QUICKSTART)
    section = data.draw(
        st.sampled_from([*root, "plugins", "include", "exclude", "limits", "boards", "extends"])
    )
    root[section] = data.draw(VALUES)
    outcome(Source("f.yaml", json.dumps(root), ROOT / "suites"), builtins)


@few
@given(
    st.sampled_from(["", "attacks.", "limits.", "metrics.0."]),
    st.text(max_size=30),
    st.text(max_size=30) | VALUES,
)
@example("metrics.", "²", "1")
def test_settings_of_anything(builtins: Registry, start: str, path: str, value: Any) -> None:
    try:
        read(Source("f.yaml", QUICKSTART, ROOT / "suites"), builtins, overrides={start + path: value})
    except RobexError as error:
        assert all(line.isprintable() for line in str(error).splitlines())


# --- the parser itself ---------------------------------------------------------------------------------


@quick
@given(VALUES)
def test_json_is_read_as_json(value: Any) -> None:
    """Whatever JSON holds comes back as it was, or is refused in words."""
    text = json.dumps(value)
    problems = Problems()
    node = parse(Source("f", text), problems)
    if not problems.found:
        assert node is not None
        assert json.dumps(node.plain()) == text


@quick
@given(st.binary(max_size=60))
def test_read_text(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "fuzz-text"
    file.write_bytes(data)
    try:
        assert read_text(file).encode() in (data, data.removeprefix(b"\xef\xbb\xbf"))
    except ValueError as error:
        assert str(error).startswith("not UTF-8")
