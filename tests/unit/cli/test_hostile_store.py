"""A store that somebody else wrote, every checksum right: verbs say one clear line or show the boards, and
nothing in it steers the terminal."""

import copy
import json
import shutil

import pytest

from benchmark_core.cli.main import main
from benchmark_core.errors import harmless
from benchmark_core.store import Store

STEERS = "x\x1b[31m\x9b2J\u202e\x07"
VERBS = [
    ["table"], ["table", "--format", "md"], ["table", "--format", "tex"], ["table", "--format", "csv"],
    ["table", "--json"], ["status"], ["status", "--json"], ["report"], ["cache", "ls"],
    ["cache", "gc", "--dry-run"], ["verify"], ["compare"], ["show", "--metric", "accuracy"],
]  # fmt: skip


@pytest.fixture
def store(ran, tmp_path) -> Store:
    shutil.copytree(ran.store, tmp_path / "theirs")
    store = Store(tmp_path / "theirs")
    board = {"name": "main", "rows": ["dataset", "defense"], "metrics": ["accuracy"], "rank_by": None}
    store.write_suite("tiny", {**store.suite("tiny"), "boards": [{**board, "expected": None}]})
    return store


def call(verb, store, ran):
    place = str(store.path)
    where = {"verify": [place], "compare": [place, ran.store]}.get(verb[0], ["--store", place])
    return main([*verb, *where])


def walked(value, at=()):
    """Every place in a document; of a list the first one stands for all."""
    yield at
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from walked(inner, (*at, name))
    elif isinstance(value, list) and value:
        yield from walked(value[0], (*at, 0))


def put(value, at, new):
    value = copy.deepcopy(value)
    place = value
    for part in at[:-1]:
        place = place[part]
    place[at[-1]] = new
    return value


@pytest.mark.parametrize("verb", [["table"], ["status"], ["compare"], ["cache", "gc", "--dry-run"]], ids=str)
@pytest.mark.parametrize("new", [None, 7, [[]], {"a": 1}], ids=json.dumps)
def test_a_wrong_entry_anywhere_in_a_manifest_is_one_line(store, ran, verb, new, capsys):
    manifest = store.suite("tiny")
    manifest["metrics"] = {"accuracy": manifest["metrics"].pop("accuracy"), **manifest["metrics"]}
    for at in walked(manifest):
        if not at or at[:1] == ("source",) or (at[0] in ("metrics", "methods") and len(at) == 2):
            continue
        store.write_suite("tiny", put(manifest, at, new))
        capsys.readouterr()
        code = call(verb, store, ran)
        err = capsys.readouterr().err
        assert "robex: bug" not in err, (at, err)
        assert code == 0 or err.count("\n") == 1, (at, err)


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_nothing_steers_the_terminal(store, ran, verb, capsys):
    manifest = store.suite("tiny")
    manifest["labels"]["defense"] = [STEERS]
    manifest["cells"]["at"]["defense"][0] = [STEERS]
    manifest["metrics"]["accuracy"] |= {"unit": STEERS, "summary": STEERS}
    manifest["boards"][0]["name"] = manifest["file"] = manifest["suite"] = STEERS
    store.write_suite("tiny", manifest)
    call(verb, store, ran)
    out, err = capsys.readouterr()
    assert "robex: bug" not in err
    assert not set(STEERS[1:]).intersection(out + err) - set("[31m2J")


def test_errors_do_not_steer_the_terminal_either(ran, capsys):
    assert main(["table", f"{STEERS}\udcff", "--store", ran.store]) == 2
    err = capsys.readouterr().err
    assert r"\x1b[31m\x9b2J\u202e\x07\udcff" in err
    assert not {"\x1b", "\x9b", "\u202e"} & set(err)


def test_what_is_harmless_stays_as_it_is():
    text = "naïve Größe 日本 é 👩‍🔬 a\tb\nc ± · ⚑"
    assert harmless(text) == text


@pytest.mark.parametrize("verb", [["status"], ["cache", "gc"]], ids=" ".join)
def test_without_a_list_of_nodes_nothing_is_removed(store, ran, verb, capsys):
    manifest = store.suite("tiny")
    del manifest["nodes"]
    store.write_suite("tiny", manifest)
    held = list(store.keys())
    assert call(verb, store, ran) == 2
    assert capsys.readouterr().err == ("suite tiny: which nodes it needs is not kept; run the suite again\n")
    assert list(store.keys()) == held


def test_a_key_never_leads_out_of_the_store(store, ran, tmp_path, capsys):
    """A damaged node is set aside: its folder is renamed."""
    outside = tmp_path / "mine"
    outside.mkdir()
    (outside / "record.json").write_text("{}")
    manifest = store.suite("tiny")
    manifest["cells"]["key"][0] = "../../../mine"
    store.write_suite("tiny", manifest)
    for verb in VERBS:
        call(verb, store, ran)
    assert {p.name for p in tmp_path.iterdir()} == {"mine", "theirs"}


def test_a_failure_that_says_too_little_is_none(store, ran, capsys):
    key = store.suite("tiny")["nodes"][0]
    store.remove(key)
    store.write_failure(key, {"message": 7})
    assert store.failure(key) is None
    store.write_failure(key, {"message": "m"})
    assert call(["status"], store, ran) == 0
    assert call(["show", key], store, ran) == 2
    assert capsys.readouterr().err == f"{store.path}: record {key[:12]} cannot be read\n"


def test_a_record_that_says_too_little_is_one_line(store, ran, capsys):
    from benchmark_core.store.store import _signed

    key = store.suite("tiny")["cells"]["key"][0]
    record = store.record(key)
    file = store.folder(key) / "record.json"
    for name in [n for n in record if n not in ("key", "plugin")]:
        file.write_bytes(_signed({k: v for k, v in record.items() if k != name}))
        capsys.readouterr()
        for verb in (["show", key], ["cache", "ls"], ["verify"], ["bundle", "tiny", "-o", str(file) + ".xz"]):
            call(verb, store, ran)
            err = capsys.readouterr().err
            assert "robex: bug" not in err, (name, verb, err)
            assert err.count("\n") <= 1


def test_a_stage_of_a_later_robex_is_listed(store, ran, capsys):
    from benchmark_core.store.store import _signed

    key = store.suite("tiny")["cells"]["key"][0]
    record = {**store.record(key), "stage": "dream"}
    (store.folder(key) / "record.json").write_bytes(_signed(record))
    (store.path / "index.sqlite").unlink()
    assert call(["cache", "ls"], store, ran) == 0
    assert "dream" in capsys.readouterr().out


def test_a_name_that_is_no_text_leaves_no_report_and_says_so(store, ran, capsys):
    manifest = store.suite("tiny")
    store.write_suite("tiny", {**manifest, "file": "\udcff.yaml"})
    assert call(["report"], store, ran) == 2
    err = capsys.readouterr().err
    assert err.startswith("no report: ")
    assert err.endswith("is no text; rename the file that is called so\n")
