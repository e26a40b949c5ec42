"""`robex show` of what was measured: one number of a record, and the records of cells by coordinates."""

import json

import numpy as np
import pytest

from benchmark_core.board.scores import Scores
from benchmark_core.cli.main import main
from benchmark_core.cli.measured import number, value_text
from benchmark_core.store import Store
from benchmark_core.store.cells import cells_in

ABOUT = {"name": "m", "unit": "%", "scores": "bernoulli"}


def of(values, valid=None, **about):
    mask = None if valid is None else np.array(valid, dtype=bool)
    return number({**ABOUT, **about}, Scores([np.array(values, dtype=float)], [mask], len(values)))


@pytest.mark.parametrize(
    ("found", "value", "text"),
    [
        (of([1] * 159 + [0] * 41), 79.5, "79.5 % m, 159 of 200 samples"),
        (of([2.0, 4.0, 9.0], [1, 1, 0], scores="conditional", unit=""), 3.0, "2 valid of 3 samples (66.7 %)"),
        (of([1.0, 2.0, 6.0], scores="score", unit=""), 3.0, "3.00 m, mean of 3 samples"),
        (of([1.0, 2.0, 6.0], scores="score", unit="", average="median"), 2.0, "2.00 m, median of 3 samples"),
        (of([12.5], scores="set", unit=""), 12.5, "12.5 m, one number for the whole set"),
        (of([1.0, np.nan], scores="score"), None, "NaN (1) m, 2 samples"),
        (of([1.0, 2.0], [0, 0], scores="conditional"), None, "none valid m, 2 samples"),
    ],
)  # fmt: skip
def test_scores_as_one_number(found, value, text):
    assert found["value"] == value
    assert value_text(found).endswith(text)


def cells_with(store, **wanted):
    manifest = store.suite("tiny")
    return [(at, key) for at, key, *_ in cells_in(manifest).listed() if wanted.items() <= at.items()]


def test_a_record_shows_its_number(ran, capsys):
    store = Store(ran.store)
    [(_, key)] = cells_with(store, metric="accuracy", seed=1)
    right = int(store.tensors(key, numpy=True)["values"].sum())
    assert main(["show", key[:12], "--store", ran.store]) == 0
    assert f"accuracy, {right} of 20 samples\n" in capsys.readouterr().out
    assert main(["show", key[:12], "--store", ran.store, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["value"]
    assert (found["value"], found["n"], found["unit"]) == (pytest.approx(5 * right), 20, "%")


def test_a_damaged_result_is_one_line(ran, capsys):
    store = Store(ran.store)
    [(_, key)] = cells_with(store, metric="accuracy", seed=0)
    file = store.folder(key) / "result.safetensors"
    good = file.read_bytes()
    file.write_bytes(good[:-1] + b"\x07")
    try:
        assert main(["show", key[:12], "--store", ran.store]) == 0
        assert "value    record" in (out := capsys.readouterr().out)
        assert "does not match its checksum" in out
        assert "again    robex run" in out
        assert main(["show", "--metric", "accuracy", "--seed", "0", "--store", ran.store]) == 0
        assert "damaged" in capsys.readouterr().out
    finally:
        file.write_bytes(good)


def test_coordinates_list_the_records_seed_by_seed(ran, capsys):
    store = Store(ran.store)
    where = ["--store", ran.store, "--suite", "tiny"]
    assert main(["show", "--metric", "robust-accuracy", "--attack", "fgsm", *where]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["dataset", "model", "defense", "attack", "metric", "seed", "value", "key"]
    expected = [
        (str(at["seed"]), pytest.approx(100 * store.tensors(key, numpy=True)["values"].mean()), key[:12])
        for at, key in cells_with(store, metric="robust-accuracy")
    ]
    assert [(words[5], float(words[6]), words[8]) for words in map(str.split, lines)] == expected
    assert main(["show", "--metric", "accuracy", "--seed", "1", "--json", *where]) == 0
    [found] = json.loads(capsys.readouterr().out)
    assert found["key"] == cells_with(store, metric="accuracy", seed=1)[0][1]
    assert found["state"] == "measured"


def test_long_lists_are_cut_and_say_so(ran, capsys, monkeypatch):
    monkeypatch.setattr("benchmark_core.cli.measured.MOST_LISTED", 4)
    monkeypatch.setenv("COLUMNS", "40")
    assert main(["show", "--dataset", "wine", "--suite", "tiny", "--store", ran.store]) == 0
    narrow = capsys.readouterr().out.splitlines()
    assert max(map(len, narrow)) <= 40
    assert not [line for line in narrow if line.endswith(": ")]
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["show", "--dataset", "wine", "--suite", "tiny", "--store", ran.store]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + 4
    assert last.startswith("and 2 more")


def test_a_label_of_any_suite_is_known(tmp_path, ran, capsys):
    store = Store(tmp_path / "store")
    manifest = Store(ran.store).suite("tiny")
    store.write_suite("a", {**manifest, "suite": "a"})
    labels = {**manifest["labels"], "defense": ["other"]}
    store.write_suite("b", {**manifest, "suite": "b", "labels": labels, "cells": []})
    assert main(["show", "Standard", "--store", str(store.path)]) == 2
    assert "the records of this defense: robex show --defense Standard" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["abcdef"], "no record starts with 'abcdef' (keys: robex show --metric NAME --store"),
        (["Standard"], "the records of this defense: robex show --defense Standard --store"),
        (["nothing-like-it"], "robex table --format csv --store"),
        (["--metric", "acuracy"], 'no metric is called "acuracy"; did you mean "accuracy"?'),
        (["--metric", "accuracy", "--attack", "fgsm"], "no cell has --metric accuracy --attack fgsm"),
        (["pgd", "--seed", "0"], "not both"),
        ([], "a method, a key or coordinates"),
    ],
)
def test_errors_lead_to_keys(ran, capsys, arguments, message):
    assert main(["show", *arguments, "--store", ran.store]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert len(err.splitlines()) == 1
