"""The cells of a manifest in both of its forms, and columns that the index holds in one piece."""

import os

import numpy as np
import pytest

from benchmark_core.store import Store, index
from benchmark_core.store.cells import cells_in, packed
from benchmark_core.store.index import Fact, Facts

CELLS = [
    [{"dataset": "d", "seed": 0, "metric": "m"}, "k0", "s", "r0"],
    [{"dataset": "d", "seed": 1, "metric": "m"}, "k1", "s", "r1"],
    [{"dataset": "d", "attack": "pgd", "seed": 0, "metric": "n"}, "k2", "s", "r0"],
]


@pytest.mark.parametrize("written", [CELLS, packed(CELLS)], ids=["list", "columns"])
def test_both_forms_of_the_cells_read_alike(written):
    cells = cells_in({"cells": written})
    assert len(cells) == 3
    assert [list(cell) for cell in cells.listed()] == CELLS
    assert cells.at["attack"].listed() == [None, None, "pgd"]


def test_no_cells():
    assert list(cells_in({"cells": packed([])}).listed()) == []


@pytest.fixture
def held(tmp_path):
    """Three nodes' facts, kept in one piece."""
    store, facts = Store(tmp_path / "store"), []
    opened = Facts(store)
    for i in range(3):
        folder = store.folder(f"ab{i}")
        folder.mkdir(parents=True)
        (folder / "result.safetensors").write_bytes(bytes(i + 1))
        data = np.arange(i + 1, dtype=float).tobytes()
        facts.append(Fact(f"ab{i}", *opened.stamp(f"ab{i}"), '["a"]' if i else '["b"]', data))
    opened.hold(facts)
    opened.close()
    return store, facts


@pytest.fixture(params=["in this process", "in a process beside it"])
def looking(request, monkeypatch):
    """Makes facts look at files here or there."""
    if request.param != "in this process":
        monkeypatch.setattr(index, "_MANY", 1)
        monkeypatch.setattr(index, "able", lambda: True)

    def expect(opened, columns):
        opened.expect(columns)
        assert (opened._ahead is None) == (request.param == "in this process")

    return expect


def keys_of(facts):
    return [fact.key for fact in facts]


def test_a_column_is_read_in_one_piece(held, looking):
    store, facts = held
    opened = Facts(store)
    looking(opened, [keys_of(facts), ["ab0", "ab1"]])
    for _ in range(2):  # columns of worst cases ask again
        found = opened.column(keys_of(facts))
        ends = [*found.starts[1:], len(found.data)]
        assert [found.texts[i] for i in found.which] == [fact.text for fact in facts]
        parts = [found.data[a:b] for a, b in zip(found.starts, ends, strict=True)]
        assert parts == [fact.data for fact in facts]
    assert opened.column(["ab0", "ab1"]) is None, "another column"
    opened.close()


@pytest.mark.parametrize("change", ["written anew", "gone", "damaged index"])
def test_a_column_that_changed_is_not_held(held, looking, change):
    store, facts = held
    file = store.folder("ab1") / "result.safetensors"
    opened = Facts(store)
    if change == "written anew":
        os.utime(file, ns=(1, 1))
    elif change == "gone":
        file.unlink()
    else:
        opened._db.execute("UPDATE columns SET data = zeroblob(length(data))")
    looking(opened, [keys_of(facts)])
    assert opened.column(keys_of(facts)) is None
    opened.close()


def test_columns_in_another_order_than_expected(held, looking):
    store, facts = held
    opened = Facts(store)
    for some in (facts[:1], facts[1:]):
        opened.hold(some)
    opened.flush()
    (store.folder("ab0") / "result.safetensors").unlink()
    looking(opened, [keys_of(some) for some in (facts, facts[:1], facts[1:])])
    assert opened.column(keys_of(facts[1:])).data == b"".join(fact.data for fact in facts[1:])
    assert opened.column(keys_of(facts[:1])) is None
    assert opened.column(keys_of(facts)) is None
    opened.close()


@pytest.mark.parametrize("at", ["its start", "work"])
def test_without_the_process_beside_it_this_one_looks(held, monkeypatch, at):
    store, facts = held
    monkeypatch.setattr(index, "_MANY", 1)
    monkeypatch.setattr(index, "able", lambda: True)
    opened = Facts(store)
    if at == "its start":
        monkeypatch.setattr("sys.executable", str(store.path / "no python"))
    opened.expect([keys_of(facts)])
    assert (opened._ahead is None) == (at == "its start")
    if opened._ahead is not None:
        opened._ahead._process.kill()
        opened._ahead._process.stdout.read()
    assert opened.column(keys_of(facts)).data == b"".join(fact.data for fact in facts)
    opened.close()
