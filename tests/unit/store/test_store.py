"""The store: what is written is read back, damage is noticed, racing writers agree."""

import dataclasses
import hashlib
import json
import random
import threading

import pytest
import torch

from benchmark_core.errors import RobexError
from benchmark_core.interfaces import Attribution, Perturbation, Scores, Selection
from benchmark_core.store import DamagedNode, Store
from benchmark_core.store.codec import decode, encode
from benchmark_core.store.index import Fact, Facts, Index
from benchmark_core.testing import blobs

KEY = "ab" + "0" * 62


def record(key: str = KEY, **fields) -> dict:
    return {
        "key": key,
        "stage": "attack",
        "title": "pgd · wine",
        "where": {"dataset": "wine"},
        "identity": {"method": {"name": "pgd"}},
        "suite": {"name": "s"},
        "cost": {"total_seconds": 1.5},
        "created": "2026-01-01T00:00:00+00:00",
        **fields,
    }


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "store")


@pytest.mark.parametrize(
    "result",
    [
        Selection(torch.arange(3), torch.tensor([1, 0, 2]), torch.tensor([0, 1, 1])),
        Selection(torch.arange(3), torch.tensor([1, 0, 2])),
        Perturbation(torch.rand(2, 3), {"lost": torch.tensor([0.0, 1.0])}),
        Attribution(torch.rand(2, 1, 4, 4), torch.rand(2)),
        Scores(torch.rand(4).double(), torch.tensor([True, False, True, True])),
        blobs(),
        {"weight": torch.rand(3, 2), "bias.inner": torch.rand(2)},
        {"tied": (w := torch.rand(3, 2)), "again": w, "part": w[1:], "flipped": w.T, "none": torch.rand(0)},
        Perturbation(w, {"row": w[:, 0], "same": w[0]}),
    ],
    ids=lambda r: type(r).__name__,
)
def test_results_survive_the_store(store, result):
    store.write(record(), result)
    back = store.result(KEY)
    if isinstance(result, dict):
        assert back.keys() == result.keys()
        assert all(torch.equal(back[k], result[k]) for k in result)
        return
    assert type(back) is type(result)
    for field in dataclasses.fields(result):
        ours, theirs = getattr(result, field.name), getattr(back, field.name)
        if isinstance(ours, torch.Tensor):
            assert torch.equal(ours, theirs)
            assert ours.dtype == theirs.dtype
        elif isinstance(ours, dict):
            assert all(torch.equal(ours[k], theirs[k]) for k in ours)
        else:
            assert ours == theirs


def test_unknown_result_type_is_refused():
    name, tensors, fields = encode(Scores(torch.zeros(1)))
    assert decode(name, tensors, fields).values.tolist() == [0.0]
    with pytest.raises(RobexError, match="Hologram"):
        decode("Hologram", tensors, fields)


def test_a_changed_artifact_is_noticed_and_set_aside(store):
    store.write(record(), {"w": torch.ones(4)})
    path = store.folder(KEY) / "result.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedNode, match="checksum"):
        store.result(KEY)
    store.set_aside(KEY)
    assert not store.has(KEY)
    assert list(store.keys()) == []
    store.write(record(), {"w": torch.ones(4)})
    assert store.result(KEY)["w"].tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"key": 1}', '{"key": "x", "checksum": "y"}'])
def test_a_broken_record_is_noticed(store, text):
    store.write(record(), {"w": torch.ones(1)})
    (store.folder(KEY) / "record.json").write_text(text)
    with pytest.raises(DamagedNode):
        store.record(KEY)


def test_a_changed_record_is_noticed(store):
    store.write(record(), {"w": torch.ones(1)})
    path = store.folder(KEY) / "record.json"
    path.write_text(path.read_text().replace('"pgd"', '"fgsm"'))
    with pytest.raises(DamagedNode, match="checksum"):
        store.record(KEY)


def test_many_writers_of_one_key_agree(store):
    threads = [
        threading.Thread(target=store.write, args=(record(), {"w": torch.ones(1000)})) for _ in range(8)
    ]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert store.result(KEY)["w"].sum() == 1000
    assert list((store.path / "tmp").iterdir()) == []


def test_find_by_prefix(store):
    other = "ab1" + "0" * 61
    store.write(record(), {})
    store.write(record(other), {})
    assert store.find("ab0") == KEY
    with pytest.raises(RobexError, match="2 records"):
        store.find("ab")
    with pytest.raises(RobexError, match="no record"):
        store.find("cd")


def test_failures_are_kept_until_the_node_succeeds(store):
    store.write_failure(KEY, {"message": "told to fail"})
    assert store.failure(KEY) == {"message": "told to fail"}
    assert store.find("ab") == KEY
    store.write(record(), {})
    assert store.failure(KEY) is None


def test_a_newer_store_is_refused(tmp_path):
    (tmp_path / "store.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(RobexError, match="newer robex"):
        Store(tmp_path)


def test_a_folder_that_is_no_store_is_refused(tmp_path):
    (tmp_path / "holiday.jpg").write_text("")
    with pytest.raises(RobexError, match="not empty and no store"):
        Store(tmp_path)
    with pytest.raises(RobexError, match="no store here"):
        Store(tmp_path / "nowhere", create=False)


def test_the_index_follows_the_store(store):
    store.write(record(), {"w": torch.ones(10)})
    index = Index(store)
    (row,) = index.rows()
    assert (row.key, row.stage, row.method, row.dataset, row.seconds) == (KEY, "attack", "pgd", "wine", 1.5)
    assert index.totals()[0] == 1
    assert index.times() == [("attack", "pgd", "wine", 1.5)]
    index.close()

    second = "cd" + "0" * 62
    store.write(record(second), {})
    assert {r.key for r in Index(store).rows()} == {KEY, second}
    store.remove(KEY)
    assert {r.key for r in Index(store).rows()} == {second}

    (store.path / "index.sqlite").write_bytes(b"this is no database, but long enough to look at" * 50)
    assert {r.key for r in Index(store).rows()} == {second}


def test_the_index_forgets_what_a_node_took_before_it_was_computed_again(store):
    store.write(record(), {"w": torch.ones(10)})
    Index(store).close()
    store.set_aside(KEY)
    store.write(record(cost={"total_seconds": 9.0}), {"w": torch.ones(1000)})
    (row,) = Index(store).rows()
    assert row.seconds == 9.0
    assert row.bytes > 4000


def test_a_record_is_json_whose_checksum_anybody_can_check(store):
    store.write(record(), {"w": torch.ones(1)})
    text = (store.folder(KEY) / "record.json").read_text()
    found = json.loads(text)
    claimed = found.pop("checksum")
    plain = json.dumps(found, sort_keys=True, separators=(",", ":"))
    assert claimed == hashlib.sha256(plain.encode()).hexdigest()
    assert len(text.splitlines()) == len(found) + 3  # an entry a line, for people
    assert not store.write(record(), {"w": torch.zeros(1)})  # the first stays
    assert store.result(KEY)["w"].tolist() == [1]


def test_one_bit_of_the_index(store, tmp_path):
    """Wherever it flips: rows, times and facts are those of the nodes."""
    keys = [f"{i:02x}" + "0" * 62 for i in range(40)]
    for key in keys:
        store.write(record(key), {})
    facts = Facts(store)
    told = [Fact(key, *facts.stamp(key), f'["scores", "{key[:2]}"]', bytes(range(50))) for key in keys]
    for fact in told:
        facts.add(fact)
    facts.hold(told)
    facts.close()
    index = Index(store)
    rows, times, totals = index.rows(), index.times(), index.totals()
    index.close()
    path = store.path / "index.sqlite"
    whole, rng = path.read_bytes(), random.Random(0)
    for _ in range(400):
        data = bytearray(whole)
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        facts = Facts(store)
        assert {*facts.get(keys)} <= {*told}
        held = facts.column(keys)
        assert held is None or (held.texts, held.data) == ([f.text for f in told], bytes(range(50)) * 40)
        facts.close()
        index = Index(store)
        assert (index.rows(), index.times(), index.totals()) == (rows, times, totals)
        index.close()


def test_a_store_that_another_process_is_making_is_no_strange_folder(tmp_path):
    """Between its two steps it holds an empty folder of nodes, or a draft of the marker."""
    (tmp_path / "nodes").mkdir()
    (tmp_path / ".store.json-1-beef").write_text("{")
    assert not list(Store(tmp_path).keys())
    (tmp_path / "store.json").unlink()
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(RobexError, match="not empty and no store"):
        Store(tmp_path)


def test_sweep_leaves_drafts_of_running_writers(store):
    draft = store.path / "tmp" / "draft"
    draft.mkdir(parents=True)
    assert store.sweep() == 0
    assert store.sweep(older_than=-1.0) == 1
    assert not draft.exists()
