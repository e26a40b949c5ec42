"""The verbs of `robex`: what they print, where, and with which exit code."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from benchmark_core import hookimpl
from benchmark_core.cli import plugins as cli_plugins
from benchmark_core.cli.main import VERBS, main, robex
from benchmark_core.registry import Origin, Registry
from benchmark_core.store import Store


def imported(*arguments: str) -> tuple[set[str], int]:
    """Modules that a command line leaves imported, and its exit code."""
    code = (
        "import sys; from benchmark_core.cli.main import main; code = main(sys.argv[1:]); "
        "print('\\n@', code, *sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    exit_code, *modules = done.stdout.rpartition("@")[2].split()
    return set(modules), int(exit_code)


HEAVY = {"torch", "pandas", "scipy.stats", "sklearn"}


@pytest.mark.parametrize("arguments", [["list"], ["list", "attacks", "--json"], ["show", "pgd"], ["schema"]])
def test_light_verbs_import_nothing_heavy(arguments):
    modules, code = imported(*arguments)
    assert code == 0
    assert not modules & HEAVY


@pytest.mark.parametrize("verb", ["validate", "plan", "run", "table", "status"])
def test_verbs_on_a_finished_suite_import_nothing_heavy(verb, ran):
    store = [] if verb == "validate" else ["--store", ran.store]
    modules, code = imported(verb, ran.suite, *store)
    assert code == 0
    assert not modules & HEAVY


def test_help_imports_no_verb():
    modules, code = imported("--help")
    assert code == 0
    assert not modules & (HEAVY | {"numpy", "yaml", "pydantic", "rich.live", "benchmark_core.registry"})
    assert not {m for m in modules if m.startswith("benchmark_core.cli.")} - {"benchmark_core.cli.main"}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_and_trace(verb, capsys):
    assert main([verb, "--help"]) == 0
    text = capsys.readouterr().out
    assert "Usage: robex " + verb in text
    assert robex.get_command(None, verb).help


# --- errors --------------------------------------------------------------------------------------------


def test_a_wrong_suite_says_where_without_traceback(suite, capsys):
    suite.write_text(suite.read_text().replace("fgsm", "fgsn"))
    assert main(["plan", str(suite)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.search(r"tiny\.yaml:7:\d+: .*\"fgsn\".*did you mean \"fgsm\"", err)
    assert "Traceback" not in err


def test_trace_shows_the_traceback(suite, capsys):
    suite.write_text("nothing")
    assert main(["plan", str(suite), "--trace"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_a_bug_is_one_line(monkeypatch, capsys):
    def broken(*_):
        raise ZeroDivisionError("oh\nno")

    monkeypatch.setattr(Registry, "load", broken)
    assert main(["list"]) == 2
    err = capsys.readouterr().err
    assert err == "robex: bug: ZeroDivisionError: oh no (--trace shows where; please report it)\n"


def test_interrupt_is_130(monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Registry, "load", stop)
    assert main(["list"]) == 130


@pytest.mark.parametrize("arguments", [["lst"], ["list", "things"], ["run"], ["plan", "--nope"]])
def test_wrong_use_is_2(arguments, capsys):
    assert main(arguments) == 2
    assert capsys.readouterr().err


def test_a_misspelt_verb_gets_a_suggestion(capsys):
    main(["lst"])
    assert 'no verb is called "lst"; did you mean "list"?' in capsys.readouterr().err


@pytest.mark.parametrize("verb", [["schema"], ["run", "SUITE", "--json", "--store", "STORE"]])
def test_a_closed_pipe_ends_quietly_as_other_tools_do(verb, suite, tmp_path):
    places = {"SUITE": str(suite), "STORE": str(tmp_path / "store")}
    code = "from benchmark_core.cli.main import main; import sys; sys.exit(main(sys.argv[1:]))"
    read, write = os.pipe()
    os.close(read)  # nobody reads, from the first byte on
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, *(places.get(word, word) for word in verb)],
            stdout=write, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")


@pytest.mark.parametrize(
    "line",
    [
        *("list", "list attacks", "show pgd", "show integrated-gradients", "doctor", "plan SUITE"),
        *("validate SUITE", "table", "data list", "run --help", "table --help", "compare --help"),
    ],
)
def test_forty_columns_cut_nothing_and_are_kept(line, ran, capsys, monkeypatch):
    """Only what must stay whole to be pasted may be longer: paths, targets in code, commands, keys."""
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("ROBEX_STORE", ran.store)
    assert main(line.replace("SUITE", ran.suite).split()) == 0
    lines = capsys.readouterr().out.splitlines()
    long = [text for text in lines if len(text) > 40]
    assert not [text for text in long if " " in text.strip() and "robex " not in text], long
    assert len(long) <= 3
    assert not [text for text in lines if text.endswith("…")]


def test_ascii_where_the_locale_has_nothing_else(ran):
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    code = "import sys; from benchmark_core.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "table", "--store", ran.store]
    done = subprocess.run(command, capture_output=True, env=environment, check=True)
    assert done.stdout.isascii()
    assert b"wine . linear" in done.stdout


def test_a_thread_that_a_method_left_does_not_keep_the_process():
    code = (
        "import sys, threading, time; from benchmark_core.cli import main as entry; entry._PATIENCE = 0.1; "
        "threading.Thread(target=time.sleep, args=(3600,), name='dawdler').start(); "
        "sys.argv = ['robex', 'schema']; sys.exit(entry.main())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "robex: left a thread behind that does not end: dawdler\n")
    assert json.loads(done.stdout)["$schema"]


# --- list, show, schema, validate ----------------------------------------------------------------------


def test_list_one_kind(capsys):
    assert main(["list", "attacks", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"pgd", "fgsm"} <= {m["name"] for m in found}
    assert {m["kind"] for m in found} == {"attack"}
    assert all(m["summary"] and m["plugin"] for m in found)


def test_list_fits_a_hundred_columns(capsys):
    assert main(["list"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 100


def test_show_a_method(capsys):
    assert main(["show", "attack/pgd"]) == 0
    text = capsys.readouterr().out
    assert "eps" in text
    assert "required" in text
    assert "radius of the ball, in input units" in text
    assert "- {use: pgd, eps: 0.1}" in text


def test_show_writes_nested_methods_and_wishes_as_in_a_suite(suite, tmp_path, capsys):
    suite.write_text(
        suite.read_text().replace(
            "{use: standard, as: Standard, epochs: 2}",
            "{use: adversarial-training, epochs: 1, attack: {use: pgd, eps: 0.1, steps: 2}}",
        )
    )
    store = str(tmp_path / "s")
    assert main(["run", str(suite), "--store", store, "--quiet", "--seeds", "1"]) == 0
    capsys.readouterr()
    assert main(["plan", str(suite), "--store", store, "--json", "--seeds", "1"]) == 0
    keys = {n["stage"]: n["key"] for n in json.loads(capsys.readouterr().out)["nodes"]}
    assert main(["show", keys["train"][:12], "--store", store]) == 0
    text = capsys.readouterr().out
    assert "attack: {use: pgd, eps: 0.1" in text
    assert "'" not in text
    assert main(["show", keys["select"][:12], "--store", store]) == 0
    assert re.findall("^wish .*", capsys.readouterr().out, re.M) == [
        "wish     samples: 20, select: all, targets: none"
    ]


@pytest.mark.parametrize("spec", Registry.load().methods(), ids=lambda s: f"{s.kind}/{s.name}")
def test_every_method_can_be_shown_with_all_its_params_described(spec, capsys):
    assert main(["show", f"{spec.kind}/{spec.name}", "--json"]) == 0
    [found] = json.loads(capsys.readouterr().out)
    assert found["summary"]
    told = " ".join([found["about"], *(p["about"] for p in found["params"])])
    assert [p["name"] for p in found["params"] if not p["about"] and p["name"] not in told] == []


def test_show_unknown(capsys):
    assert main(["show", "pgdd"]) == 2
    assert 'did you mean "pgd"' in capsys.readouterr().err


def test_schema_to_a_file(tmp_path, capsys):
    path = tmp_path / "schema.json"
    assert main(["schema", "-o", str(path)]) == 0
    assert main(["schema"]) == 0
    assert path.read_text() == capsys.readouterr().out
    assert "$defs" in json.loads(path.read_text())


def test_validate_several_and_report_all(suite, tmp_path, capsys):
    bad = tmp_path / "bad.yaml"
    bad.write_text("suite: bad\nnonsense: 1\n")
    assert main(["validate", str(suite)]) == 0
    assert "ok, 6 cells in" in capsys.readouterr().out
    assert main(["validate", str(suite), str(bad), "--json"]) == 2
    good, wrong = json.loads(capsys.readouterr().out)
    assert good["ok"]
    assert not wrong["ok"]
    assert all(p["line"] for p in wrong["problems"] if "nonsense" in p["message"])


# --- plan, run, status, table, cache -------------------------------------------------------------------


def test_a_ball_that_holds_every_input_is_told_and_allowed(suite, capsys):
    text = suite.read_text().replace("{use: fgsm, eps: 0.1}", "{use: fgsm, eps: [0.5, 1.0]}")
    inner = "{use: adversarial-training, attack: {use: pgd, eps: 2}}"
    text = text.replace("epochs: 2}]", f"epochs: 2}}, {inner}]")
    suite.write_text(text.replace("[{use: fgsm", "[{use: pgd, norm: l2, eps: 3}, {use: fgsm"))
    assert main(["validate", str(suite)]) == 0
    said = capsys.readouterr().err.splitlines()
    assert [line.partition("tiny.yaml:")[2] for line in said] == [
        "7:41: fgsm eps=1: eps 1 covers the whole domain where inputs lie in [0, 1]",
        "5:54: adversarial-training: pgd: eps 2 covers the whole domain where inputs lie in [0, 1]",
    ]
    assert main(["validate", str(suite), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["warnings"] == said
    assert main(["plan", str(suite)]) == 0
    assert capsys.readouterr().err.splitlines() == said


def test_all_boards_that_stay_empty_are_told_at_once(suite, capsys):
    boards = "".join(f"  - {{name: {n}, rows: [explainer], metrics: [accuracy]}}\n" for n in "ab")
    suite.write_text(suite.read_text() + f"boards:\n{boards}")
    assert main(["validate", str(suite)]) == 2
    err = capsys.readouterr().err
    assert "board a stays empty" in err
    assert "board b stays empty" in err
    assert "2 errors." in err


def test_plan_of_a_new_suite(suite, tmp_path, capsys):
    assert main(["plan", str(suite), "--store", str(tmp_path / "none")]) == 0
    text = capsys.readouterr().out
    assert "no estimate yet" in text
    assert f"Run it: robex run {suite} --store {tmp_path / 'none'}" in text
    assert not (tmp_path / "none").exists()


def test_plan_json_counts_sharing_by_brute_force(suite, tmp_path, capsys):
    assert main(["plan", str(suite), "--store", str(tmp_path / "none"), "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    inputs = {n["key"]: list(n["inputs"].values()) for n in plan["nodes"]}

    def closure(key):
        return {key}.union(*(closure(k) for k in inputs[key]))

    assert plan["without_sharing"] == sum(len(closure(cell["key"])) for cell in plan["cells"])
    assert sum(s["nodes"] for s in plan["stages"].values()) == len(plan["nodes"])
    assert len(plan["cells"]) == 6


def test_plan_after_a_run_has_estimates(ran, capsys):
    assert main(["plan", ran.suite, "--store", ran.store, "--seeds", "3"]) == 0
    text = capsys.readouterr().out
    assert re.search(r"train +3 +2 +1 .*\(from 2 earlier records\)", text)
    assert main(["plan", ran.suite, "--store", ran.store]) == 0
    assert "Nothing to run" in capsys.readouterr().out


def test_plan_names_what_is_guessed_and_left_out(ran, suite, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    suite.write_text(
        suite.read_text()
        .replace("[saliency]", "[saliency, integrated-gradients]")
        .replace("[linear]", "[linear, cnn]")
    )
    assert main(["plan", str(suite), "--store", ran.store]) == 0
    text = capsys.readouterr().out
    assert "integrated-gradients: guessed" in text
    assert re.search(r"Left out: \d+ cells\.\n  .*cnn.*: \d+", text)


def test_run_prints_boards_to_stdout_and_progress_to_stderr(suite, tmp_path, capsys):
    arguments = ["run", str(suite), "--store", str(tmp_path / "s"), "--seeds", "1"]
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert "accuracy % ↑" in out
    assert "One seed" in out
    assert re.search(r"^done +train +Standard · linear · wine · seed 0", err, re.M)
    assert re.search(r"Done in .*: 9 of 9 nodes, 3 of 3 cells\.", err)
    assert main(arguments) == 0
    again, err = capsys.readouterr()
    assert again == out
    assert "Nothing to do: 9 of 9 nodes" in err


def test_run_json_is_one_event_a_line(ran, capsys):
    assert main(["run", ran.suite, "--store", ran.store, "--json"]) == 0
    out, err = capsys.readouterr()
    events = [json.loads(line) for line in out.splitlines()]
    assert [e["event"] for e in events] == ["run-started", "run-finished"]
    assert events[-1]["cells_done"] == events[-1]["cells"] == 6
    assert err == ""


FAILING = """\
from dataclasses import dataclass
from benchmark_core import Explainer, MethodSpec, hookimpl

@dataclass(frozen=True)
class Params:
    \"\"\"Fails.\"\"\"

class Failing(Explainer):
    def explain(self, model, x, y, ctx):
        raise ValueError("nothing to explain")

@hookimpl
def register_methods():
    yield MethodSpec.explainer("failing", "failing_plugin:Failing", params=Params, produces="attribution")
"""


@pytest.fixture
def failing(suite, tmp_path):
    plugin = tmp_path / "failing_plugin.py"
    plugin.write_text(FAILING)
    suite.write_text(suite.read_text().replace("[saliency]", "[failing]"))
    yield str(plugin)
    sys.modules.pop("failing_plugin", None)


def test_failures_are_grouped_and_say_what_to_do(suite, failing, tmp_path, capsys):
    store = str(tmp_path / "s")
    assert main(["run", str(suite), "--store", store, "--plugin", failing, "--quiet"]) == 1
    out, err = capsys.readouterr()
    assert (
        "FAILED  2 × failing · Standard · linear · wine · seeds 0, 1\n"
        "        ValueError: nothing to explain (failing_plugin.py:10)\n" in err
    )
    assert "2 nodes that need it did not run" in err
    key = re.search(r"why    robex show (\w+)", err)[1]
    assert f"retry  robex run {suite} --plugin {failing} --store {store}" in err
    assert "–" in out

    assert main(["show", key, "--store", store]) == 0
    shown = capsys.readouterr().out
    assert "why      error: ValueError: nothing to explain" in shown
    assert "Traceback" in shown

    assert main(["status", "--store", store, "--json"]) == 0
    [status] = json.loads(capsys.readouterr().out)
    assert {k: status[k] for k in ("cells", "done", "failed", "missing")} == {
        "cells": 6,
        "done": 4,
        "failed": 2,
        "missing": 0,
    }


def test_show_a_record_says_how_to_make_it_again(ran, capsys):
    main(["plan", ran.suite, "--store", ran.store, "--json"])
    key = json.loads(capsys.readouterr().out)["cells"][0]["key"]
    assert main(["show", key[:12], "--store", ran.store]) == 0
    text = capsys.readouterr().out
    assert f"robex run {ran.suite} --store {ran.store} --only {key[:12]}" in text
    assert "1 thread," in text
    assert re.search(r"model +\w{12}  train  Standard · linear · wine · seed 0", text)
    assert main(["show", key[:12], "--store", ran.store, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["key"] == key


def test_the_command_that_is_shown_makes_the_record_again(ran, capsys):
    main(["plan", ran.suite, "--store", ran.store, "--json"])
    key = json.loads(capsys.readouterr().out)["cells"][-1]["key"]
    store = Store(ran.store)
    before = store.tensors(key, numpy=True)["values"]
    store.remove(key)
    assert main(["run", ran.suite, "--store", ran.store, "--only", key[:12], "--quiet"]) == 0
    assert (store.tensors(key, numpy=True)["values"] == before).all()


def test_status_of_a_finished_suite(ran, capsys):
    for place in ([ran.suite, "--store", ran.store], [ran.store], ["tiny", "--store", ran.store]):
        assert main(["status", *place]) == 0
        assert re.search(r"tiny +1 +6 +6 +0 +0", capsys.readouterr().out)


def test_table_in_every_form(ran, capsys):
    for form in ("text", "md", "csv"):
        assert main(["table", ran.store, "--format", form, "--board", "robustness"]) == 0
        assert "robust-accuracy" in capsys.readouterr().out
    assert main(["table", "--store", ran.store, "--suite", "tiny", "--json"]) == 0
    assert [t["board"] for t in json.loads(capsys.readouterr().out)] == ["robustness", "explanations"]


def test_json_has_what_was_published_beside_ours(suite, tmp_path, capsys):
    at = "{dataset: wine, defense: Standard}"
    (tmp_path / "paper.yaml").write_text(
        f"values:\n  - {{at: {at}, metric: accuracy, value: '1.0', scale: 0.01, source: Table 2}}\n"
    )
    boards = (
        "boards:\n  - {name: main, rows: [dataset, defense], metrics: [accuracy], expected: paper.yaml}\n"
    )
    suite.write_text(suite.read_text() + boards + "  - {name: other, rows: [dataset, defense]}\n")
    store = str(tmp_path / "store")
    assert main(["run", str(suite), "--store", store, "--quiet"]) == 0
    capsys.readouterr()
    assert main(["table", "--store", store, "--json"]) == 0
    main_board, other = json.loads(capsys.readouterr().out)
    (value,) = main_board["expected"]["values"]
    assert (value["published"], value["source"]) == ("1.0", "Table 2")
    assert value["verdict"] in ("differs", "cannot tell")
    assert value["sentence"].lower().startswith(f"{value['verdict']}: ")
    assert main_board["expected"]["claims"] == []
    assert other["expected"] is None


def test_csv_tells_what_is_damaged_beside_it(suite, tmp_path, capsys):
    store = str(tmp_path / "store")
    assert main(["run", str(suite), "--store", store, "--quiet"]) == 0
    capsys.readouterr()
    assert main(["table", "--store", store, "--format", "csv"]) == 0
    before = capsys.readouterr()
    assert before.err == ""
    key = (
        before.out.splitlines()[1].split(",")[before.out.splitlines()[0].split(",").index("keys")].split()[0]
    )
    (Store(store).folder(key) / "result.safetensors").write_text("{")
    assert main(["table", "--store", store, "--format", "csv"]) == 0
    out, err = capsys.readouterr()
    assert "it counts as missing until the suite runs again" in err
    assert "missing until" not in out
    assert {line.count(",") for line in out.splitlines()} == {out.splitlines()[0].count(",")}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--board", "nope"], "no board called"),
        (["--suite", "tini"], 'did you mean "tiny"'),
        (["tini"], 'did you mean "tiny"'),
        (["no/such/place"], "no such store"),
    ],
)
def test_table_errors(ran, arguments, message, capsys):
    assert main(["table", "--store", ran.store, *arguments]) == 2
    assert message in capsys.readouterr().err


def test_no_store_is_one_line(tmp_path, capsys):
    for arguments in (["table"], ["status"], ["cache", "ls"], ["show", "abcdef"]):
        assert main([*arguments, "--store", str(tmp_path / "none")]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_cache_gc_keeps_what_suites_need(suite, tmp_path, capsys):
    store = str(tmp_path / "s")
    run = ["run", str(suite), "--store", store, "--quiet"]
    assert main(run) == 0
    assert main([*run, "--seeds", "1"]) == 0  # a quick look does not take the place of the whole
    before = set(Store(store).keys())
    capsys.readouterr()
    assert main(["cache", "gc", "--store", store, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["removed"] == 0
    suite.write_text(suite.read_text() + "\nseed: 7\n")
    assert main([*run, "--seeds", "1"]) == 0
    assert main(run) == 0
    capsys.readouterr()
    assert main(["cache", "gc", "--store", store, "--dry-run", "--json"]) == 0
    dry = json.loads(capsys.readouterr().out)
    assert before < set(Store(store).keys())
    held = set(Store(store).keys())
    assert main(["cache", "gc", "--store", store, "--json"]) == 0
    done = json.loads(capsys.readouterr().out)
    after = set(Store(store).keys())
    assert dry["removed"] == done["removed"] == len(held) - len(after) > 0
    assert done["bytes"] > 0
    assert main(["plan", str(suite), "--store", store]) == 0
    assert "Nothing to run" in capsys.readouterr().out


@pytest.mark.parametrize("how", [["--quick-looks"], ["NAME"]])
def test_cache_rm_removes_quick_looks_and_what_only_they_need(suite, tmp_path, how, capsys):
    store = Store(tmp_path / "s")
    run = ["run", str(suite), "--store", str(store.path), "--quiet"]
    assert main(run) == 0
    whole = set(store.keys())
    assert main([*run, "--seeds", "3"]) == 0
    [name] = set(store.suites()) - {"tiny"}
    report = store.path / f"report-{name}.html"
    assert report.exists()
    more = [name if word == "NAME" else word for word in how]
    capsys.readouterr()
    assert main(["cache", "rm", *more, "--store", str(store.path), "--dry-run"]) == 0
    # of one more seed: train, predict, attack, explain and three measurements
    assert f"{name}, 7 records" in capsys.readouterr().out
    assert report.exists()
    assert len(set(store.keys())) > len(whole)
    assert main(["cache", "rm", *more, "--store", str(store.path)]) == 0
    assert store.suites() == ["tiny"]
    assert set(store.keys()) == whole
    assert not report.exists()
    assert main(["plan", str(suite), "--store", str(store.path)]) == 0
    assert "Nothing to run" in capsys.readouterr().out


def test_cache_rm_needs_names_that_are_there(ran, capsys):
    assert main(["cache", "rm", "--store", ran.store]) == 2
    assert "--quick-looks" in capsys.readouterr().err
    assert main(["cache", "rm", "tini", "--store", ran.store]) == 2
    assert 'did you mean "tiny"' in capsys.readouterr().err


def test_cache_ls_has_stages_in_their_order(ran, capsys):
    assert main(["cache", "ls", "--store", ran.store]) == 0
    stages = re.findall(r"^tiny +(\w+)", capsys.readouterr().out, re.M)
    assert stages == ["load", "train", "select", "predict", "attack", "explain", "measure"]


def test_cache_ls(ran, capsys):
    assert main(["cache", "ls", "--store", ran.store, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert sum(r["records"] for r in rows) == len(list(Store(ran.store).keys()))
    assert {r["suite"] for r in rows} == {"tiny"}


# --- doctor and plugins --------------------------------------------------------------------------------


def test_doctor(ran, capsys):
    assert main(["doctor", "--store", ran.store]) == 0
    text = " ".join(capsys.readouterr().out.split())  # lines are as long as the terminal is wide
    assert "✓ robex" in text
    assert "records, index current" in text


@pytest.mark.parametrize("version", ["3.7.1", None])
def test_doctor_says_what_kernels_run_on(ran, capsys, monkeypatch, version):
    """On a machine with a GPU, here pretended."""
    from importlib import metadata

    import torch

    def installed(name, known=metadata.version):
        if name == "triton" and version is None:
            raise metadata.PackageNotFoundError(name)
        return version if name == "triton" else known(name)

    monkeypatch.setattr(metadata, "version", installed)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    about = type("About", (), {"name": "H100", "total_memory": 80 * 10**9})
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda i: about)
    assert main(["doctor", "--store", ran.store]) == 0
    line = " ".join(capsys.readouterr().out.split())
    assert "2 × H100 80 GB" in line
    assert ("triton 3.7.1" if version else "no triton, so kernels run as plain torch") in line


def test_doctor_names_a_broken_plugin(tmp_path, capsys):
    plugin = tmp_path / "broken_plugin.py"
    plugin.write_text("import cupy_that_is_not_there.core\n")
    assert main(["doctor", "--plugin", str(plugin), "--store", str(tmp_path / "s")]) == 1
    text = capsys.readouterr().out
    assert 'plugin "file:broken_plugin"' in text
    assert "Try: pip install cupy_that_is_not_there" in text
    assert "Traceback" not in text
    assert main(["doctor", "--plugin", str(plugin), "--store", str(tmp_path / "s"), "--trace"]) == 1
    assert "Traceback" in capsys.readouterr().out


def test_a_named_plugin_file_has_to_load(tmp_path, suite, capsys):
    plugin = tmp_path / "broken_plugin.py"
    plugin.write_text("1 / 0\n")
    assert main(["plan", str(suite), "--plugin", str(plugin)]) == 2
    assert "ZeroDivisionError" in capsys.readouterr().err


class Plugin:
    def __init__(self, *names, fails=False):
        self.names, self.fails = names, fails

    @hookimpl
    def register_commands(self, group):
        if self.fails:
            raise RuntimeError("no commands today")
        for name in self.names:
            group.add_command(click.Command(name, callback=lambda: print("hello from a plugin")))


@pytest.fixture
def registry(monkeypatch):
    found = Registry()

    def add(name, plugin):
        found.manager.register(plugin, name)
        found.origins[name] = Origin(name, name, "1.0", f"{name}.py", False)

    monkeypatch.setattr(Registry, "load", lambda *_: found)
    return add


def test_plugins_add_verbs(registry, capsys):
    registry("greet", Plugin("greet"))
    assert main(["greet"]) == 0
    assert capsys.readouterr().out == "hello from a plugin\n"


def test_taken_verbs_are_refused_and_failures_are_told(registry):
    registry("thief", Plugin("run", "greet"))
    registry("late", Plugin("greet"))
    registry("sick", Plugin(fails=True))
    commands, problems = cli_plugins.plugin_commands()
    assert set(commands) == {"greet"}
    messages = " ".join(map(str, problems))
    assert len(problems) == 3
    assert 'the verb "run" is taken by robex' in messages
    assert 'the verb "greet" is taken by plugin' in messages
    assert "no commands today" in messages


def test_list_and_doctor_call_a_plugin_the_same(ran, capsys):
    assert main(["list", "attacks"]) == 0
    names = {line.split()[1] for line in capsys.readouterr().out.splitlines()[1:]}
    assert main(["doctor", "--store", ran.store]) == 0
    [line] = [line for line in capsys.readouterr().out.splitlines() if "plugin" in line]
    assert all(f"{name} " in line for name in names)


def test_set_reaches_labels_with_dots(suite, tmp_path, capsys):
    suite.write_text(
        suite.read_text().replace("{use: fgsm, eps: 0.1}", '{use: pgd, eps: 0.1, as: "pgd 0.1"}')
    )
    plans = []
    for more in ([], ["--set", "attacks.pgd 0.1.steps=3"]):
        assert main(["plan", str(suite), "--store", str(tmp_path / "s"), "--json", *more]) == 0
        nodes = json.loads(capsys.readouterr().out)["nodes"]
        plans.append({n["key"] for n in nodes if n["stage"] == "attack"})
    assert not plans[0] & plans[1]


def test_set_reaches_the_suite_and_the_command_again(ran, capsys):
    assert main(["plan", ran.suite, "--store", ran.store, "--set", "limits.threads=2", "--samples", "5"]) == 0
    out = capsys.readouterr().out
    assert "--set limits.threads=2 --samples 5" in out
    assert main(["plan", ran.suite, "--set", "limits.threads"]) == 2
    assert "path=value" in capsys.readouterr().err
    assert Path(ran.suite).exists()
