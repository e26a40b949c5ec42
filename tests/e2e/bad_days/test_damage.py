"""Files of a store that are cut, altered or gone: noticed and computed again, never a wrong number."""

import json
import random
import shutil

import pytest

from .harness import SUITE, Bench, Call, records


@pytest.fixture
def copy(bench, undisturbed) -> Bench:
    """The store of a good day, to be damaged."""
    bench.suite(SUITE)
    shutil.copytree(undisturbed.folder / "robex-results", bench.folder / "robex-results")
    return bench


@pytest.fixture(scope="module")
def wanted(undisturbed) -> dict:
    return records(undisturbed.store())


@pytest.fixture(scope="module")
def good(undisturbed) -> str:
    """The boards that a run shows."""
    return undisturbed.call("run", "suite.yaml", "--quiet").out


@pytest.fixture(scope="module")
def board(undisturbed) -> str:
    return undisturbed.call("table", "--wide").out


def mends(bench: Bench, wanted: dict, good: str) -> Call:
    """The same command makes it whole again and shows the boards of a good day."""
    call = bench.call("run", "suite.yaml", "--quiet")
    assert records(bench.store()) == wanted
    assert call.out == good
    return call


def says(call: Call) -> str:
    """What a board says, lines joined."""
    return " ".join(call.out.split())


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def alter(path):
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)


def remove(path):
    path.unlink()


def empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("name", ["record.json", "result.safetensors"])
@pytest.mark.parametrize("damage", [cut, alter, remove, empty])
@pytest.mark.parametrize("stage", ["train", "measure"])
def test_of_a_node(copy, wanted, good, board, stage, damage, name):
    """Of one that others are made from, and of one that only the boards read."""
    key = next(key for key, r in wanted.items() if r["stage"] == stage)
    damage(copy.store().folder(key) / name)
    # What the index took from a whole record stays right; here nobody has read it before.
    (copy.folder / "robex-results" / "index.sqlite").unlink(missing_ok=True)
    if stage == "train":  # whoever needs it finds out
        for other, record in wanted.items():
            if key in record["inputs"].values():
                copy.store().remove(other)
    if stage == "measure" and damage is not remove:  # the boards may be the first to see it
        call = copy.call("table", "--wide")
        assert call.out != board
        assert f"record {key[:12]}" in says(call)
        shutil.move(copy.store().folder(key).with_name(f"{key}.bad"), copy.store().folder(key))
    told = [line for line in mends(copy, wanted, good).lines if key[:12] in line]
    if damage is remove and name == "record.json":  # as if it had never run
        assert told == []
    else:
        (line,) = told
        assert line.endswith("; it is computed again (kept as .bad)")


@pytest.mark.parametrize("damage", [cut, alter, remove, empty])
def test_of_the_manifest(copy, wanted, good, damage):
    damage(copy.folder / "robex-results" / "suites" / "bad-days.json")
    for verb in ("table", "report", "status"):
        call = copy.start(verb, "robex-results").wait()
        why = "robex-results/suites/bad-days.json: damaged; run the suite again (no result is lost)"
        assert call.lines == [call.lines[0] if damage is remove else why]
        assert damage is not remove or "no suite has run here" in call.lines[0]
    mends(copy, wanted, good)


@pytest.mark.parametrize("damage", [cut, alter, remove, empty])
def test_of_the_index(copy, wanted, good, damage):
    damage(copy.folder / "robex-results" / "index.sqlite")
    call = copy.call("cache", "ls")
    assert call.lines == []
    assert f"{len(wanted)} records" in call.out
    mends(copy, wanted, good)


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"format": "1"}', '{"gormat": 1}', "\xff"])
def test_of_the_marker(copy, wanted, good, text):
    marker = copy.folder / "robex-results" / "store.json"
    marker.write_bytes(text.encode("latin-1"))
    for verb in (["run", "suite.yaml"], ["table"]):
        call = copy.call(*verb, code=2)
        assert call.lines == ["robex-results/store.json: unreadable; restore it as {'format': 1}"]
    marker.write_text('{"format": 1}\n')
    mends(copy, wanted, good)


@pytest.mark.parametrize("damage", [cut, alter, empty])
def test_of_a_kept_failure(copy, wanted, good, damage):
    key = next(key for key, r in wanted.items() if r["stage"] == "measure")
    store = copy.store()
    store.remove(key)
    store.write_failure(key, {"key": key, "title": "t", "where": {}, "message": "m", "reason": "error"})
    damage(store.path / "failures" / f"{key}.json")
    assert copy.call("status").lines == []
    assert copy.call("show", key[:12], code=2).lines == [f"robex-results: record {key[:12]} cannot be read"]
    mends(copy, wanted, good)


def test_of_what_a_killed_writer_left(copy, wanted, good):
    draft = copy.folder / "robex-results" / "tmp" / "0123456789abcdef-1-beef"
    draft.mkdir(parents=True)
    (draft / "record.json").write_text("{")
    (copy.folder / "robex-results" / "suites" / ".bad-days.json-1-beef").write_text("{")
    (copy.folder / "robex-results" / "failures").mkdir(exist_ok=True)
    (copy.folder / "robex-results" / "failures" / ".0.json-1-beef").write_text("{")
    mends(copy, wanted, good)
    assert copy.call("status").lines == []


def files(bench: Bench) -> list:
    root = bench.folder / "robex-results"
    found = [p for p in sorted(root.rglob("*")) if p.is_file() and p.name != "report.html"]
    assert {p.name for p in found} >= {"record.json", "result.safetensors", "store.json", "index.sqlite"}
    return found


@pytest.mark.parametrize("seed", range(20))
def test_one_bit(copy, wanted, good, board, seed):
    """One bit anywhere: the boards show the same numbers, or fewer and say so, or nothing but one line."""
    rng = random.Random(seed)
    by_kind: dict[str, list] = {}
    for path in files(copy):
        by_kind.setdefault(path.name if path.parent.name != "suites" else "manifest", []).append(path)
    path = rng.choice(by_kind[sorted(by_kind)[seed % len(by_kind)]])
    data = bytearray(path.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)
    call = copy.start("table", "--wide").wait()
    assert call.code in (0, 2)
    if call.code == 2:
        assert len(call.lines) == 1
        assert call.out == ""
    elif call.out != board:
        assert "it counts as missing until the suite runs again" in says(call)
    if path.name == "store.json":
        path.write_text(json.dumps({"format": 1}))
    assert copy.call("run", "suite.yaml", "--quiet").out == good
