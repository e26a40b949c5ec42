"""What is said of results whose suite, method or selection is another by now, and of suites with no cell."""

import io
import json
import re
import sys

import pytest
from rich.console import Console
from test_cli import FAILING, HEAVY, imported

from benchmark_core.cli import progress
from benchmark_core.cli.main import main
from benchmark_core.run.events import NodeStarted, RunStarted
from benchmark_core.store import Store


@pytest.fixture
def edited(ran, suite):
    """A file of the same suite with one more seed."""
    suite.write_text(suite.read_text().replace("seeds: 2", "seeds: 3"))
    return str(suite)


@pytest.mark.parametrize("verb", ["table", "status", "report"])
def test_a_suite_that_has_not_changed_is_shown_without_a_note(verb, ran, capsys):
    assert main([verb, ran.suite, "--store", ran.store]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("verb", ["table", "status", "report"])
def test_another_file_of_the_name_is_told(verb, ran, edited, capsys):
    assert main([verb, edited, "--store", ran.store]) == 0
    assert capsys.readouterr().err == (
        f"{edited} is not what ran as tiny ({ran.suite} did): these are the results of the last run; "
        f"robex plan {edited} --store {ran.store} shows what is new\n"
    )


def test_an_edited_or_broken_suite_shows_its_last_run(suite, tmp_path, capsys):
    store, text = str(tmp_path / "s"), suite.read_text()
    assert main(["run", str(suite), "--store", store, "--quiet", "--seeds", "1"]) == 0  # a quick look
    assert main(["run", str(suite), "--store", store, "--quiet"]) == 0
    capsys.readouterr()
    assert main(["table", str(suite), "--store", store]) == 0
    before = capsys.readouterr()
    assert before.err == ""
    for change, told in (
        ((text.replace("eps: 0.1", "eps: 0.2")), f"{suite} has changed since it ran: these are"),
        ((text.replace("eps: 0.1", "epps: 0.2")), f"{suite} does not validate now: these are"),
        ("suite: [", f"{suite} does not validate now: these are"),
    ):
        suite.write_text(change)
        assert main(["table", str(suite), "--store", store]) == 0
        out, err = capsys.readouterr()
        assert out == before.out
        assert err.startswith(told)
        assert err.count("\n") == 1
    suite.write_text(text.replace("suite: tiny", "suite: other").replace("eps: 0.1", "epps: 0.2"))
    assert main(["table", str(suite), "--store", store]) == 2  # nothing ran under that name
    assert "epps" in capsys.readouterr().err


def test_telling_of_a_change_imports_nothing_heavy(ran, edited):
    modules, code = imported("table", edited, "--store", ran.store)
    assert code == 0
    assert not modules & HEAVY


@pytest.fixture
def failed(suite, tmp_path, capsys):
    """A store in which the suite ran with a plugin file whose method fails; the file, the suite's text, and
    what was said last."""
    store, plugin = str(tmp_path / "s"), tmp_path / "failing_plugin.py"
    plugin.write_text(FAILING)
    text = suite.read_text().replace("[saliency]", "[failing]")
    suite.write_text(text)
    try:
        assert main(["run", str(suite), "--store", store, "--plugin", str(plugin), "-q"]) == 1
    finally:
        sys.modules.pop("failing_plugin", None)
    return store, plugin, text, capsys.readouterr().err.splitlines()[-1]


def test_failures_of_a_mended_method_are_old(suite, failed, tmp_path, capsys):
    store, _, text, said = failed
    assert said == f"2 nodes failed, 2 more did not run: robex status tiny --store {store}"
    suite.write_text(text.replace("[failing]", "[{use: saliency, as: failing}]"))  # other keys, equal names
    assert main(["run", str(suite), "--store", store, "-q"]) == 0
    capsys.readouterr()
    assert main(["status", "--store", store]) == 0
    assert "FAILED" not in capsys.readouterr().out
    failures = tmp_path / "s" / "failures"
    assert len(list(failures.iterdir())) == 2
    assert main(["cache", "gc", "--dry-run", "--store", store]) == 0
    assert len(list(failures.iterdir())) == 2
    assert main(["cache", "gc", "--store", store]) == 0
    assert not list(failures.iterdir())


def test_a_suite_that_ran_with_a_plugin_file_is_shown_without_it(suite, failed, capsys):
    store, plugin, text, _ = failed
    for verb in ("table", "status", "report"):
        assert main([verb, str(suite), "--store", store]) == 0
        out, err = capsys.readouterr()
        assert ("failing" in out or verb == "report", err) == (True, "")
    assert "failing_plugin" not in sys.modules  # what is in a store runs no code
    suite.write_text(text.replace("seeds: 2", "seeds: 3"))
    assert main(["table", str(suite), "--store", store]) == 0
    told = capsys.readouterr().err
    assert told.startswith(f"{suite} has changed since it ran: these are the results of the last run; ")
    again = f"robex plan {suite} --plugin {plugin} --store {store}"
    assert re.findall("; (robex plan .*) shows what is new\n", told) == [again]
    suite.write_text("suite: [")
    assert main(["table", str(suite), "--store", store]) == 0
    assert f"robex validate {suite} --plugin {plugin} says why" in capsys.readouterr().err


def test_only_counts_what_it_selects(suite, tmp_path, capsys):
    store = str(tmp_path / "s")
    main(["plan", str(suite), "--store", store, "--json"])
    plan = json.loads(capsys.readouterr().out)
    inputs = {n["key"]: n["inputs"].values() for n in plan["nodes"]}

    def closure(key):
        return {key}.union(*(closure(k) for k in inputs[key]))

    key = plan["cells"][0]["key"]
    n = len(closure(key))
    assert n < len(inputs)
    only = ["run", str(suite), "--store", store, "--only", key[:12]]
    assert main(only) == 0
    err = capsys.readouterr().err
    assert f"{n} nodes: 0 cached, {n} to run" in " ".join(err.split())
    assert f"{n} of {n} nodes, 1 of 1 cell." in err
    assert set(Store(store).keys()) == closure(key)
    assert main(only) == 0
    err = capsys.readouterr().err
    assert f"{n} nodes: {n} cached, 0 to run" in " ".join(err.split())
    assert f"Nothing to do: {n} of {n} nodes are in the store." in err


def test_a_suite_without_cells_says_why(suite, tmp_path, capsys):
    suite.write_text(
        "suite: tiny\ndatasets: [wine]\nmodels: [linear]\ndefenses: [standard]\nmetrics: [robust-accuracy]\n"
    )
    assert main(["validate", str(suite)]) == 0
    out, err = capsys.readouterr()
    assert "0 cells in 0 nodes" in out
    assert err.startswith(f"{suite}: no cell, so nothing would run: ")
    assert "robust-accuracy measures nothing here" in err
    assert main(["plan", str(suite), "--store", str(tmp_path / "s")]) == 0
    out = capsys.readouterr().out
    assert "everything is in" not in out
    assert "Nothing to run: no combination makes a cell." in out


def test_validate_tells_what_is_left_out(suite, capsys):
    suite.write_text(suite.read_text().replace("[linear]", "[linear, cnn]"))
    assert main(["plan", str(suite), "--json"]) == 0
    left_out = sum(json.loads(capsys.readouterr().out)["left_out"].values())
    assert main(["validate", str(suite)]) == 0
    assert f"\n{left_out} cells left out: robex plan {suite} says why\n" in capsys.readouterr().out


def test_a_coordinate_in_a_list_gets_a_suggestion(suite, capsys):
    with suite.open("a") as file:
        file.write("boards: [{name: main, rows: [defense, atack]}]\n")
    assert main(["validate", str(suite)]) == 2
    assert re.search(r"rows\[1\] must be one of .*; did you mean \"attack\"\?", capsys.readouterr().err)


@pytest.mark.parametrize("width", [40, 80])
def test_narrow_terminals_have_names_and_counts_instead_of_bars(width, capsys):
    show = progress.Bars()
    show(RunStarted("tiny", 2, "results", {"train": 3, "attack": 1200}, {}, {"train": 3, "attack": 1200}, 1))
    try:
        show(NodeStarted("k1", "attack", "pgd eps=0.1 · Standard · linear · digits · seed 0"))
        show.finished["train"] = 2
        out = io.StringIO()
        show.console = Console(file=out, width=width)
        show.console.print(show._picture())
    finally:
        show.stop()
    train, attack, *_ = (line.rstrip() for line in out.getvalue().splitlines())
    assert bool(re.search("[━-]{5}", train)) == (width == 80)
    assert "0/1,200  pgd eps=0.1 · St" in attack
    assert train.endswith("2/3")
