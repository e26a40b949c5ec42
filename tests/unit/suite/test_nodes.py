"""YAML with positions: scalars of YAML 1.2, and one clear line for everything that is refused."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from benchmark_core.errors import SuiteErrors
from benchmark_core.registry import Registry
from benchmark_core.suite import Source, read
from benchmark_core.suite.nodes import MAX_BYTES, MAX_NODES, Problems, parse, read_text, resolve, show


def problems_of(text: str) -> list[str]:
    problems = Problems()
    parse(Source("f.yaml", text), problems)
    return [str(p) for p in sorted(problems.found)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("-1.5e+2", -150.0),
        ("12", 12),
        ("+7", 7),
        ("012", 12),
        ("0o17", 15),
        ("0x1F", 31),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("1:30", "1:30"),
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("off", "off"),
        ("y", "y"),
        ("true", True),
        ("False", False),
        ("tRue", "tRue"),
        ("null", None),
        ("~", None),
        ("", None),
        ("2020-01-01", "2020-01-01"),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("inf", "inf"),
        ("8/255", "8/255"),
        ("e3", "e3"),
        (".", "."),
        ("=", "="),
    ],
)
def test_scalars_follow_the_core_schema(text: str, value: object) -> None:
    found = resolve(text)
    assert found == value
    assert type(found) is type(value)


def test_nan() -> None:
    assert math.isnan(resolve(".NaN"))


def test_values_and_keys_know_their_places() -> None:
    problems = Problems()
    root = parse(Source("f.yaml", "a:\n  - {b: 1, c: [2, 'x']}\nd: é\nef: 3\n"), problems)
    assert root is not None
    assert not problems.found
    assert root.plain() == {"a": [{"b": 1, "c": [2, "x"]}], "d": "é", "ef": 3}
    item = root.value["a"].value[0]
    assert (item.keys["c"].line, item.keys["c"].column) == (2, 12)
    assert (item.value["c"].value[1].mark.line, item.value["c"].value[1].mark.column) == (2, 19)
    assert (root.keys["ef"].line, root.value["ef"].mark.column) == (4, 5)


def test_quoted_scalars_are_text() -> None:
    root = parse(Source("f", "[\"1\", '2', \"null\", 'true']"), Problems())
    assert root is not None
    assert root.plain() == ["1", "2", "null", "true"]


def test_aliases_repeat_a_value() -> None:
    root = parse(Source("f", "a: &x {e: [1]}\nb: *x\n"), Problems())
    assert root is not None
    assert root.plain() == {"a": {"e": [1]}, "b": {"e": [1]}}


BOMB = "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
DEEP_ALIASES = "a: &a0 [1]\n" + "".join(f"b{i}: &a{i + 1} [*a{i}]\n" for i in range(60))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: 2\na: 3", '3:1: "a" is given twice, on lines 1 and 3'),
        ("{a: 1, a: 2}", '1:8: "a" is given twice on this line'),
        ("x: !!python/object:os.system []", "1:4: tags such as !!python/object:os.system are not allowed; "
         "write the plain value"),
        ("x: !!str 1", "1:4: tags such as !!str are not allowed; write the plain value"),
        ("x: !mine {}", "1:4: tags such as !mine are not allowed; write the plain value"),
        ("a: &a {b: 1}\nc:\n  <<: *a", "3:3: merge keys (<<) are not allowed; share a base with extends"),
        ("1: x", "1:1: a key must be text, got 1"),
        ("true: x", "1:1: a key must be text, got true"),
        ("[a]: x", "1:1: a key must be text, got ['a']"),
        ("~: x", "1:1: a key must be text, got null"),
        ("a: &a [*a]", "1:8: *a contains itself"),
        ("a: *b", "1:4: no anchor is called &b above this line"),
        ("a: 1\n---\nb: 2", "2:1: a second document starts here; keep one in a file"),
        ("[" * 5000, "1:51: nested more than 50 deep"),
        ("{a: " * 60, "1:198: nested more than 50 deep"),
        (DEEP_ALIASES, "49:12: nested more than 50 deep"),
        (BOMB, f"5:29: the file holds more than {MAX_NODES:,} values with its aliases written out"),
        ("x: 1e999", "1:4: 1e999 is too large for a number"),
        ("x: " + "9" * 5000, "1:4: a number of 5000 digits is too long"),
        ('x: "\\uD800"', "1:4: half of a surrogate pair is no character; write the character itself"),
        ('x: "\\UFFFFFFFF"', "1:1: not valid YAML: an escape or directive here is out of range"),
        ("a: 1\nx: \0", "2:4: character U+0000 is not allowed in YAML; remove it"),
        ("x: \x1b[31m", "1:4: character U+001B is not allowed in YAML; remove it"),
        ("a: b: c", '1:5: not valid YAML: mapping values are not allowed here; quote text that holds ": "'),
        ("a: [1, 2", "1:9: not valid YAML: expected ',' or ']', but got the end of the file"),
        ("a: [1,\n2", "2:2: not valid YAML: expected ',' or ']', but got the end of the file "
         "(while parsing a flow sequence that starts on line 1)"),
        ("a:\n\t- b", "2:1: not valid YAML: a tab cannot indent; use spaces"),
        ("a: @x", "1:4: not valid YAML: found character '@' that cannot start any token; quote the value"),
        ("a: 'x", "1:6: not valid YAML: found unexpected end of the file"),
        ("- a\nb: 1", "2:1: not valid YAML: expected <block end>, but found '?' "
         "(while parsing a block collection that starts on line 1)"),
        ("a: !e!x 1", "1:4: not valid YAML: found undefined tag handle '!e!'"),
        ("#" * (MAX_BYTES + 1), " the file is larger than 1 MB"),
    ],
)  # fmt: skip
def test_what_is_refused(text: str, line: str) -> None:
    assert problems_of(text) == [f"f.yaml:{line}"]


def test_all_mistakes_of_a_file_are_found() -> None:
    assert [p.split(": ")[0] for p in problems_of("a: !!str 1\na: 2\n<<: {}\nb: 1e999\n")] == [
        "f.yaml:1:4", "f.yaml:2:1", "f.yaml:3:1", "f.yaml:4:4",
    ]  # fmt: skip


def test_files_that_are_no_text(tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.write_bytes(b"suite: x\na: \xff")
    with pytest.raises(ValueError, match=r"^not UTF-8: byte 0xff on line 2, column 4; save it as UTF-8$"):
        read_text(file)
    file.write_bytes(b"\xef\xbb\xbfa: 1")
    assert read_text(file) == "a: 1"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (0.5, "0.5"),
        (-math.inf, "-.inf"),
        (math.nan, ".nan"),
        ("x", "'x'"),
        ([1, "a"], "[1, 'a']"),
        ({"a": [None]}, "{a: [null]}"),
        ("x" * 100, "'" + "x" * 56 + "..."),
    ],
)
def test_values_are_quoted_as_one_writes_them(value: object, text: str) -> None:
    assert show(value) == text


SCRAPS = st.sampled_from(
    [*"abc:-[]{},&*!|>'\"%@`#?\n \t~<.0123456789e", ": ", "\n  - ", "use", "pgd", "eps", "suite", "<<: ",
     "attacks:", "limits:", "---\n", "!!python/x ", "&a ", "*a", '"\\u', "\\UFFFFFFFF",
     "\0", "\ufeff", "\u2028"]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(SCRAPS, max_size=40).map("".join))
@example("%YAML " + "9" * 5000 + ".1\n---\na")
@example("? ? ? a")
@example('"\\UFFFFFFFF": 1')
@example("a: |999\n x")
@example("\ud800")
@example("suite: [&a {use: *a}]")
def test_only_suite_errors_come_out(text: str) -> None:
    with pytest.raises(SuiteErrors):  # no text this short is a whole suite
        read(Source("f.yaml", text), Registry())


@settings(max_examples=100, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
        max_leaves=12,
    ),
    st.sampled_from(["attacks", "limits", "boards", "include", "seeds", "models", "plugins", "extends"]),
)
def test_only_suite_errors_come_out_of_any_structure(value: object, key: str) -> None:
    import json

    with pytest.raises(SuiteErrors):
        read(Source("f.yaml", json.dumps({"suite": "x", key: value})), Registry())
