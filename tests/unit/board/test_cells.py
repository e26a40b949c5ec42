"""What the reader of cells gives is what the nodes hold, whether it comes from their files or the index."""

import os
import shutil

import numpy as np
import pytest

from benchmark_core.board.cells import Reader, Seed
from benchmark_core.board.held import SMALL
from benchmark_core.store import DamagedNode, Store

LARGE = SMALL // 8 + 1
VALUES = {
    "bits": (np.arange(100) % 3 == 0).astype(float),
    "small": np.linspace(0, 1, 50),
    "large": np.random.default_rng(0).normal(size=LARGE),
    "NaN": np.array([0.0, 1.0, np.nan]),
}


def add(made, values, valid=None, defense="Standard"):
    made.add(values, valid=valid, metric="distance", seed=0, defense=defense)
    _, key, selection, _ = made.cells[-1]
    return Seed(0, key, selection)


def read(store, seed, **options):
    reader = Reader(store, **options)
    reader.fetch([seed])
    found = reader.scores([seed])
    reader.close()
    return found


@pytest.fixture
def files_are_closed(monkeypatch):
    """Until undone, nothing but the index may be read."""

    def refuse(*_, **__):
        raise AssertionError("a node was opened")

    monkeypatch.setattr(Store, "record", refuse)
    monkeypatch.setattr(Store, "tensors", refuse)
    return monkeypatch


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", VALUES)
def test_scores_are_those_of_the_node(made, name, masked, request):
    values = VALUES[name]
    valid = np.arange(len(values)) % 5 > 0 if masked else None
    seed = add(made, values, valid)
    first = read(made.store, seed)
    request.getfixturevalue("files_are_closed")
    again = read(made.store, seed)
    for found in (first, again):
        np.testing.assert_array_equal(found.values[0], values)
        assert found.samples == len(values)
        if masked:
            np.testing.assert_array_equal(found.valid[0], valid)
        else:
            assert found.valid[0] is None


@pytest.mark.parametrize("name", ["small", "large"])
def test_a_node_that_is_gone_is_missing(made, name):
    seed = add(made, VALUES[name])
    read(made.store, seed)
    made.store.set_aside(seed.key)
    assert read(made.store, seed).values == [None]


def test_a_node_written_anew_is_read_anew(made):
    seed = add(made, np.linspace(0, 1, 50))
    read(made.store, seed)
    record = made.store.record(seed.key)
    result = made.store.result(seed.key)
    made.store.remove(seed.key)
    result.values.add_(7)
    made.store.write({k: v for k, v in record.items() if k not in ("result", "artifacts")}, result)
    np.testing.assert_array_equal(read(made.store, seed).values[0], np.linspace(0, 1, 50) + 7)


def test_only_a_board_sets_damaged_nodes_aside(made):
    seed = add(made, VALUES["small"])
    file = made.store.folder(seed.key) / "result.safetensors"
    file.write_bytes(b"no")
    reader = Reader(made.store)
    assert reader.scores([seed]).values == [None]
    assert "checksum" in reader.damaged[0]
    assert file.exists()
    assert read(made.store, seed, set_aside=True).values == [None]
    assert not file.exists()


def test_a_damaged_index_costs_time_only(made):
    seed = add(made, VALUES["small"])
    path = made.store.path / "index.sqlite"
    path.write_bytes(b"this is no database, but long enough to look at" * 50)
    np.testing.assert_array_equal(read(made.store, seed).values[0], VALUES["small"])
    held = VALUES["small"].tobytes()
    data = path.read_bytes()
    assert data.count(held) == 1
    path.write_bytes(data.replace(held, held[::-1]))  # what sqlite itself does not notice
    np.testing.assert_array_equal(read(made.store, seed).values[0], VALUES["small"])


def test_two_readers_at_once(made):
    seeds = [add(made, VALUES["small"] + k, defense=f"d{k}") for k in range(4)]
    readers = [Reader(made.store) for _ in range(2)]
    for reader in readers:
        reader.fetch(seeds)
        for k, seed in enumerate(seeds):
            np.testing.assert_array_equal(reader.scores([seed]).values[0], VALUES["small"] + k)
    for reader in readers:
        reader.close()


def test_a_store_that_cannot_be_written(made, monkeypatch, tmp_path):
    """The index is then in memory."""
    seed = add(made, VALUES["small"])
    read_only = tmp_path / "copy"
    shutil.copytree(made.store.path, read_only)
    (read_only / "index.sqlite").unlink(missing_ok=True)
    (read_only / "index.sqlite").mkdir()  # no file can be made here, by root neither
    np.testing.assert_array_equal(read(Store(read_only), seed).values[0], VALUES["small"])
    assert os.listdir(read_only / "index.sqlite") == []


def test_no_store_holds_nothing():
    reader = Reader(None)
    reader.fetch([Seed(0, "k", "s")])
    assert reader.scores([Seed(0, "k", "s")]).values == [None]
    assert reader.vanished("r") is None


def test_notes_come_from_the_record(made):
    key = "ab" * 32
    made._write(key, made.store.result(add(made, VALUES["small"]).key))
    reader = Reader(made.store)
    assert reader.vanished(key) is None
    with pytest.raises(DamagedNode):
        made.store.record("cd" * 32)
    assert reader.vanished("cd" * 32) is None


@pytest.mark.parametrize("swapped", ["key", "selection"])
def test_a_record_of_something_else_counts_as_missing_and_stays(made, swapped):
    """A manifest that somebody else wrote may name it."""
    seed = add(made, VALUES["small"])
    wrong = seed._replace(key=seed.selection) if swapped == "key" else seed._replace(selection=seed.key)
    reader = Reader(made.store, set_aside=True)
    found = reader.scores([wrong])
    assert (found.values[0] is None) == (swapped == "key")
    assert (found.samples == 0) == (swapped == "selection")
    what = ("scores", "values") if swapped == "key" else ("samples", "index")
    (told,) = reader.damaged
    assert told.endswith("for {}, and it holds no {}".format(*what))
    assert made.store.is_sound(seed.key)
    assert made.store.is_sound(seed.selection)
    reader.close()
