"""`robex compare` on real runs: places, exit codes, and errors in one line."""

import json
import shutil

import pytest

from benchmark_core.cli.main import main
from benchmark_core.store import Store


@pytest.fixture(scope="module")
def changed(ran, tmp_path_factory):
    """The suite of `ran` with another attack and one more defense, in a store of its own."""
    folder = tmp_path_factory.mktemp("compare")
    suite = folder / "tiny.yaml"
    with open(ran.suite) as file:
        text = file.read()
    suite.write_text(
        text.replace("{use: fgsm, eps: 0.1}", "{use: fgsm, eps: 0.0, as: fgsm}").replace(
            "epochs: 2}]", "epochs: 2}, {use: standard, as: Longer, epochs: 40}]"
        )
    )
    store = folder / "store"
    assert main(["run", str(suite), "--store", str(store), "--quiet"]) == 0
    return str(store)


def test_a_store_equals_itself(ran, capsys):
    assert main(["compare", ran.store, ran.store, "--check"]) == 0
    out, err = capsys.readouterr()
    assert "3 cells on both sides, 0 only left, 0 only right." in out
    assert "0 differ, 3 cannot be separated (all 3 identical)." in out
    assert "Why" not in out
    assert err == ""


def test_what_a_change_did(ran, changed, capsys):
    assert main(["compare", ran.store, changed, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    verdicts = {cell["metric"]: cell["verdict"] for cell in found["cells"]}
    assert verdicts["accuracy"] == verdicts["gini-sparseness"] == "identical"
    assert verdicts["robust-accuracy"] != "identical"
    assert {at["defense"] for at in found["only_right"]} == {"Longer"}
    assert "fgsm eps 0.1 → 0.0" in found["why"]
    # New cells pass a check, lost ones do not.
    assert main(["compare", ran.store, changed, "--check"]) == (0 if found["differ"] == 0 else 1)
    assert main(["compare", changed, ran.store, "--check"]) == 1


def test_two_rows_of_a_store(changed, capsys):
    assert main(["compare", changed, "--rows", "Standard", "Longer"]) == 0
    out = capsys.readouterr().out
    assert "3 columns on both sides" in out
    assert "accuracy %" in out
    assert main(["compare", changed, "--rows", "Standard", "Longer · saliency"]) == 2
    assert main(["compare", changed, "--rows", "Standard", "Shorter"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_suite_of_a_store(ran, changed, capsys):
    assert main(["compare", f"{ran.store}:tiny", f"{changed}:tiny"]) == 0
    capsys.readouterr()
    assert main(["compare", f"{ran.store}:tinny", changed]) == 2
    assert 'no suite called "tinny" has run here; did you mean "tiny"?' in capsys.readouterr().err
    assert main(["compare", ran.store, changed, "--suite", "other"]) == 2
    assert "it holds: tiny" in capsys.readouterr().err


def test_a_suite_that_is_gone_fails_a_check(ran, tmp_path, capsys):
    """Of two stores; where one side is a suite, nobody asks about the other suites."""
    more = tmp_path / "more"
    shutil.copytree(ran.store, more)
    store = Store(more)
    store.write_suite("second", {**store.suite("tiny"), "suite": "second"})
    assert main(["compare", str(more), ran.store, "--check"]) == 1
    out, err = capsys.readouterr()
    assert "3 cells on both sides, 3 only left, 0 only right." in out
    assert err == f"only in {more}: suite second\n"
    assert main(["compare", ran.store, str(more), "--check"]) == 0
    assert "3 cells on both sides, 0 only left, 3 only right." in capsys.readouterr().out
    assert main(["compare", str(more), f"{ran.store}:tiny", "--check"]) == 0
    assert main(["compare", str(more), ran.store, "--check", "--suite", "tiny"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere", "nowhere"], "nowhere: no such store"),
        (["{store}"], "two stores or suites, or --rows"),
        (["{store}", "{store}", "--rows", "a", "b"], "--rows compares two rows of one store"),
    ],
)
def test_wrong_use_is_one_line(ran, capsys, arguments, message):
    assert main(["compare", *(a.format(store=ran.store) for a in arguments)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert len(err.splitlines()) == 1


def test_the_default_store_needs_no_name(ran, capsys, monkeypatch):
    assert main(["compare", "tiny", "tiny", "--store", ran.store]) == 0
    assert "3 cells on both sides" in capsys.readouterr().out
    monkeypatch.setenv("ROBEX_STORE", ran.store)
    assert main(["compare", "tiny", ran.store, "--suite", "tiny"]) == 0
    capsys.readouterr()
    assert main(["compare", "--rows", "Standard", "Standar", "--suite", "tiny"]) == 2
    assert 'did you mean "Standard"?' in capsys.readouterr().err
    assert main(["compare", "tiny", "tinny"]) == 2
    err = capsys.readouterr().err
    assert "tinny: no such store and no suite of" in err
    assert 'did you mean "tiny"?' in err
