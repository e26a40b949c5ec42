"""Files that are no suites, and suites that are too much: a clear line in bounded time and memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_suite import HEAD

from benchmark_core.errors import MAX_SHOWN, SuiteErrors
from benchmark_core.registry import Registry
from benchmark_core.suite import Source, read

Errors = Callable[..., list[str]]
#: Seconds that the worst file of these may take; a busy machine takes a third of it.
WORST = 30.0


def grid(n: int, start: int = 1, by: int = 1) -> str:
    return ", ".join(str(i / by if by > 1 else i) for i in range(start, start + n))


def refused(registry: Registry, source: Any, **options: Any) -> list[str]:
    with pytest.raises(SuiteErrors) as caught:
        read(source, registry, **options)
    lines = str(caught.value).splitlines()
    assert len(lines) <= MAX_SHOWN + 2
    assert all(len(line) < 600 and line.isprintable() for line in lines)
    assert lines[-1].endswith("; nothing was run.")
    return lines[:-1]


# --- bytes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (os.urandom(10_000_000), "the file is larger than 1 MB"),
        (b"a: [1,\n" * 1_500_000, "the file is larger than 1 MB"),
        (bytes(range(128, 256)) * 100, "not UTF-8: byte 0x80 on line 1, column 1; save it as UTF-8"),
        (HEAD.encode("utf-16"), "not UTF-8 but UTF-16 or UTF-32; save it as UTF-8"),
        (HEAD.encode("utf-16-le"), "not UTF-8 but UTF-16 or UTF-32; save it as UTF-8"),
        (HEAD.encode("utf-16-be"), "not UTF-8 but UTF-16 or UTF-32; save it as UTF-8"),
        (HEAD.encode("utf-32"), "not UTF-8 but UTF-16 or UTF-32; save it as UTF-8"),
        (b"\0" * 1000, "not UTF-8 but UTF-16 or UTF-32; save it as UTF-8"),
        (b"\x89PNG\r\n\x1a\n", "not UTF-8: byte 0x89 on line 1, column 1; save it as UTF-8"),
        (b"PK\x03\x04", "1:3: character U+0003 is not allowed in YAML; remove it"),
        (HEAD.encode() + b"\0", "6:1: character U+0000 is not allowed in YAML; remove it"),
        (b"\xed\xa0\x80: 1", "not UTF-8: byte 0xed on line 1, column 1; save it as UTF-8"),
        (b"", "1:1: the file is empty; a suite has the keys suite, datasets, models, defenses, metrics "
         "and more"),
    ],
)  # fmt: skip
def test_bytes(registry: Registry, tmp_path: Path, data: bytes, message: str) -> None:
    file = tmp_path / "s.yaml"
    file.write_bytes(data)
    (line,) = refused(registry, file)
    assert line == f"{file}:{'' if message[0].isdigit() else ' '}{message}"


@pytest.mark.parametrize("text", [HEAD.replace("\n", "\r\n"), HEAD.replace("\n", "\r"), "\ufeff" + HEAD])
def test_line_ends_and_a_byte_order_mark_are_fine(registry: Registry, tmp_path: Path, text: str) -> None:
    (tmp_path / "s.yaml").write_bytes(text.encode())
    assert read(tmp_path / "s.yaml", registry).name == "small"


# --- what is no file -----------------------------------------------------------------------------------


def test_what_is_no_file(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    os.symlink("loop", "loop")
    for name, message in (
        ("pipe", "a named pipe; give it as a file"),
        ("loop", "Too many levels of symbolic links"),
        (".", "Is a directory"),
        ("none", "no such file"),
        ("pipe/x", "Not a directory"),
        ("a\0b", "embedded null byte"),
        ("/dev/zero", "the file is larger than 1 MB"),
    ):
        (line,) = refused(registry, name)
        assert line == f"{name}: {message}".replace("\0", r"\x00")
    assert "the file is empty" in refused(registry, "/dev/null")[0]


def test_a_file_that_may_not_be_read(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: Any, **__: Any) -> Any:  # root may read all files: chmod alone would test nothing
        raise PermissionError(13, "Permission denied")

    (tmp_path / "s.yaml").write_text(HEAD)
    monkeypatch.setattr(Path, "open", forbidden)
    assert refused(registry, tmp_path / "s.yaml") == [f"{tmp_path / 's.yaml'}: Permission denied"]


def test_a_suite_from_a_shell(tmp_path: Path) -> None:
    code = "from benchmark_core.registry import Registry; from benchmark_core.suite import read; import sys\n"
    code += "try: read(sys.argv[1], Registry())\nexcept Exception as e: print(e)"
    command = f"{sys.executable} -c '{code}' <(echo 'suite: [')"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert "not valid YAML" in done.stdout


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("loop", "Too many levels of symbolic links"),
        ('"a\\0b"', "a path cannot hold the character U+0000"),
        ("x" * 5000, "File name too long"),
        ("pipe", "a named pipe; give it as a file"),
        (".", "Is a directory"),
        ("no/where.yaml", "no such file"),
    ],
)
def test_paths_in_a_suite(errors: Errors, tmp_path: Path, name: str, message: str) -> None:
    os.symlink("loop", tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe")
    (line,) = errors(f"extends: {name}")
    assert line.startswith("s.yaml:6:10: extends ")
    assert line.endswith(message)
    (line,) = errors(head=HEAD.replace("[standard]", f"[{{use: pretrained, path: {name}}}]"))
    assert line.startswith("s.yaml:4:36: pretrained: path: ")
    (line,) = errors(f"boards: [{{name: a, rows: [model], expected: {name}}}]")
    assert line.startswith("s.yaml:6:45: board a: expected: ")
    (line,) = errors(f"plugins: [{name}]")
    assert line.startswith("s.yaml:6:11: plugin ")


def test_devices_are_no_params(errors: Errors) -> None:
    text = "[{use: pretrained, path: /dev/zero}, {use: pretrained, path: /dev/stdin}]"
    lines = errors(head=HEAD.replace("[standard]", text))
    assert [line.partition("path: ")[2].partition(":")[0] for line in lines] == ["no such file"] * 2


def test_extends_in_a_circle_and_through_many_files(registry: Registry, tmp_path: Path) -> None:
    for i in range(30):
        (tmp_path / f"{i}.yaml").write_text(f"suite: s\nextends: {i + 1}.yaml\n")
    assert refused(registry, tmp_path / "0.yaml") == [
        f"{tmp_path}/19.yaml:2:10: extends goes through more than 20 files"
    ]
    (tmp_path / "2.yaml").write_text("extends: 0.yaml\n")
    assert refused(registry, tmp_path / "0.yaml")[0].endswith(
        "2.yaml:1:10: extends goes in a circle: 0.yaml -> 1.yaml -> 2.yaml -> 0.yaml"
    )


# --- too much ------------------------------------------------------------------------------------------

ATTACKS = "attacks:\n" + "".join(f"- {{use: pgd, eps: {i}, as: a{i}}}\n" for i in range(2000))


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("[" * 999_000, "1:51: nested more than 50 deep"),
        ("{" * 999_000, "1:51: nested more than 50 deep"),
        ("- " * 499_000, "1:101: nested more than 50 deep"),
        ("? " * 499_000, "1:101: nested more than 50 deep"),
        ("".join(" " * i + "a:\n" for i in range(1300)), "50:50: nested more than 50 deep"),
        ("&a [" * 200_000, "1:"),
        ("".join(f"k{i}: 1\n" for i in range(50_001)),
         "50000:9: the file holds more than 100,000 values with its aliases written out"),
        ("a: 1\n" * 20_000, '2:1: "a" is given twice, on lines 1 and 2'),
        ("a" * 999_000, "1:1: this is no mapping; a suite has the keys suite, datasets, models, defenses, "),
        ("a" * 999_000 + ": 1", "1:999001: not valid YAML: mapping values are not allowed here"),
        ("#" * 999_000, "1:1: the file is empty"),
        ("\n" * 999_000, "1:1: the file is empty"),
        ("\t" * 999_000, "1:1: not valid YAML: a tab cannot indent; use spaces"),
        ("%" * 999_000, "1:2: not valid YAML: expected alphabetic or numeric character, but found '%'"),
        ("'" * 998_999, "1:"),
        ("!" * 999_000, "1:"),
        ("| \n" * 330_000, "2:1: "),
        (HEAD + "seeds: " + "9" * 900_000, "6:8: a number of 900000 digits is too long"),
        (HEAD + "seeds: 0x" + "f" * 900_000, "6:8: a number of 900002 digits is too long"),
        (HEAD + "seeds: 1e" + "9" * 900_000, "6:8: 1e999999999999999999 is too large for a number"),
        (HEAD + "seeds: 1e400", "6:8: 1e400 is too large for a number"),
        (HEAD + f"attacks: [{{use: pgd, eps: '{'9' * 900_000}'}}]",
         "6:27: pgd: eps must be finite, got '999"),
        (HEAD + f"attacks: [{{use: pgd, eps: '{'9' * 900_000}x'}}]",
         "6:27: pgd: eps must be a number such as"),
        (HEAD + f"attacks: [{{use: pgd, eps: '{'9' * 400_000}/{'9' * 400_000}'}}]",
         "6:27: pgd: eps must be finite"),
        (HEAD + f"attacks: [{{use: pgd, eps: '{' ' * 900_000}'}}]",
         "6:27: pgd: eps must be a number such as"),
        (HEAD.replace("wine", "w" * 900_000), '2:12: no dataset is called "www'),
        (HEAD + f'"{"k" * 900}": 1', '6:1: a suite has no key "kkk'),
        (HEAD + '"\\e[31m\\u202ek\\nk": 1', r'6:1: a suite has no key "\x1b[31m\u202ek\nk"'),
        (HEAD.replace("wine", ", ".join(f"wine{i}" for i in range(20_000))),
         '2:12: no dataset is called "wine0"'),
        (HEAD + f"attacks: [{{use: pgd, eps: [{', '.join(f'x{i}' for i in range(20_000))}]}}]",
         "6:28: pgd: eps must be a number"),
        (HEAD + "attacks:\n" + "- {use: pgd, eps: 1}\n" * 2_000,
         "8:3: pgd is listed twice with the same params, first on line 7;"),
        (HEAD + ATTACKS + "exclude:\n" + "".join(f'- {{attack: "*x{i}"}}\n' for i in range(2000)),
         '2008:12: no attack fits "*x0". Labels: a0, a1'),
        (HEAD + ATTACKS + "exclude:\n" + '- {attack: "a*"}\n' * 2000,
         "3008:3: exclude: more than 1,000 rules; join some with patterns"),
        (HEAD + ATTACKS + f"exclude: [{{attack: [{', '.join(f'a{i}*' for i in range(2000))}]}}]",
         "2007:"),
        (HEAD + "attacks: [{use: fgsm, as: " + "a" * 100 + "}]\nexclude: [{attack: '" + "*a" * 400 + "b'}]",
         '7:20: no attack fits "*a*a*a'),
        (HEAD + f"attacks: [fgsm]\nexclude: [{{attack: '{'*' * 90_000}'}}]",
         "7:20: a pattern has at most 1000 characters, got 90000"),
        # grids: counted before they are written out
        (HEAD + f"attacks: [{{use: pgd, eps: [{grid(99)}], steps: [{grid(99)}], restarts: [{grid(99)}], "
         f"batch: [{grid(99)}], step_size: [{grid(99, by=100)}], samples: [{grid(99)}]}}]",
         "6:11: pgd: the grid has 941,480,149,401 combinations; at most 10,000 are allowed"),
        (HEAD + "attacks: [{use: ensemble, members: ["
         + ", ".join([f"{{use: pgd, eps: [{grid(99)}]}}"] * 50) + "]}]",
         "6:36: ensemble: the grid has 6,050,"),
        (HEAD + f"attacks:\n- &g {{use: pgd, eps: [{grid(99)}], steps: [{grid(99)}]}}\n" + "- *g\n" * 300,
         "7:3: attacks: this makes more than 10,000 methods; split the suite"),
    ],
    ids=lambda v: v[-40:].strip() if v[0].isdigit() else f"{len(v)}",
)  # fmt: skip
def test_too_much(registry: Registry, text: str, first: str) -> None:
    started = time.perf_counter()
    lines = refused(registry, Source("s.yaml", text))
    assert lines[0].startswith(f"s.yaml:{first}")
    assert time.perf_counter() - started < WORST


def test_memory_stays_small(registry: Registry) -> None:
    text = HEAD + f"attacks: [{{use: pgd, eps: [{', '.join(f'x{i}' for i in range(5_000))}]}}]"
    tracemalloc.start()
    try:
        refused(registry, Source("s.yaml", text))
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()


def test_only_some_of_many_lines_are_shown(registry: Registry) -> None:
    text = HEAD.replace("wine", ", ".join(f"none{i}" for i in range(70)))
    with pytest.raises(SuiteErrors) as caught:
        read(Source("s.yaml", text), registry)
    lines = str(caught.value).splitlines()
    assert len(caught.value.problems) == 70
    assert lines[MAX_SHOWN - 1 :] == [
        str(caught.value.problems[MAX_SHOWN - 1]), "... and 20 more", "70 errors; nothing was run."
    ]  # fmt: skip


# --- labels and options --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "title", ["\\a", "a\\u202eb", "a\\u200bb", "\\u2028", "x" * 10_000, "\\x7f", "a\\tb"]
)
def test_labels_of_odd_characters_are_refused(errors: Errors, title: str) -> None:
    (line,) = errors(f'attacks: [{{use: fgsm, as: "{title}"}}]')
    assert line.startswith("s.yaml:6:27: ")


def test_labels_that_look_alike_are_refused(errors: Errors) -> None:
    (found,) = errors('attacks: [{use: fgsm, as: "caf\\u00e9"}, {use: pgd, eps: 0.1, as: "cafe\\u0301"}]')
    assert "two attacks are labelled" in found


def test_an_attack_is_not_called_like_a_worst_case(errors: Errors) -> None:
    (found,) = errors("attacks: [{use: fgsm, as: worst of 2}]")
    assert found.endswith('as may not be "worst of 2": boards call the worst case over several attacks so')


def test_labels_in_any_script_are_fine(check: Callable[..., Any]) -> None:
    titles = ["漢字", "ÅÄÖ ß", "e\u0301", "😀", "שלום", "ε = ⅓"]
    suite = check(
        "attacks:\n" + "".join(f"- {{use: fgsm, eps: 0.{i}, as: {t}}}\n" for i, t in enumerate(titles, 1))
    )
    assert [e.label for e in suite.of("attack")] == titles


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("", "1", 'a suite has no key "".'),
        (".", "1", 'a suite has no key "".'),
        ("...", "1", 'a suite has no key "".'),
        ("extends", "x", "extends cannot be set; write it in a file"),
        ("seeds", "9" * 900, "a number of 900 digits is too long"),
        ("seeds", "[[[[", "not valid YAML"),
        ("seeds", "!!python/object:os.system x", "tags such as !!python/object:os.system are not allowed"),
        ("seeds", "\0", "character U+0000 is not allowed in YAML"),
        ("seeds.x", "1", 'a suite does not set "seeds"'),
        ("datasets.0", "", "a dataset must be a name"),
        ("datasets.²", "1", 'nothing in datasets is called "²".'),
        ("datasets." + "9" * 5000, "1", "nothing in datasets is called"),
        ("datasets.7", "1", "datasets has no item 7; it has 1, counted from 0"),
        ("datasets.wine.x", "1", 'wine has no param "x"'),
        ("k" * 100_000, "1", 'a suite has no key "kkk'),
        ("\x1b[31m", "1", r'a suite has no key "\x1b[31m"'),
        ("limits..", "1", 'limits has no key ""'),
    ],
    ids=lambda v: v[:20],
)
def test_settings_that_mean_nothing(check: Callable[..., Any], path: str, value: str, message: str) -> None:
    with pytest.raises(SuiteErrors) as caught:
        check(overrides={path: value})
    assert message in str(caught.value)
    assert all(len(line) < 600 and line.isprintable() for line in str(caught.value).splitlines())


@pytest.mark.parametrize("value", [0, -1, True, 1.5, "x", float("nan"), [1]])
@pytest.mark.parametrize("option", ["samples", "seeds"])
def test_samples_and_seeds_must_be_counts(check: Callable[..., Any], option: str, value: Any) -> None:
    with pytest.raises(SuiteErrors, match=f"^--{option}: {option} must be "):
        check(**{option: value})
