"""Bundles: the same boards from one file without weights, and damage that is found."""

import json
import re
import shlex
import tarfile
import tempfile

import pytest

from benchmark_core.cli.main import main

SUITE = """\
suite: tiny
seeds: 2
datasets: [{use: digits}]
models: [linear]
defenses: [{use: standard, as: Standard, epochs: 1}]
samples: 20
attacks: [{use: fgsm, eps: 0.1}]
explainers: [saliency]
metrics: [accuracy, robust-accuracy, gini-sparseness]
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    (folder / "tiny.yaml").write_text(SUITE)
    assert main(["run", str(folder / "tiny.yaml"), "--store", str(folder / "store"), "--quiet"]) == 0
    return folder / "store"


@pytest.fixture
def file(store, tmp_path):
    assert main(["bundle", "tiny", "--store", str(store), "-o", str(tmp_path / "tiny.tar.xz")]) == 0
    return tmp_path / "tiny.tar.xz"


def unpacked(file):
    with tarfile.open(file) as tar:
        tar.extractall(file.parent, filter="data")
    return file.parent / "tiny"


def shown(capsys, *arguments, code=0):
    capsys.readouterr()
    assert main([*map(str, arguments)]) == code
    return capsys.readouterr()


def test_shows_the_same_boards_without_weights(store, file, capsys):
    folder = unpacked(file)
    one, other = (shown(capsys, "table", "--json", "--store", at).out for at in (store, folder))
    assert json.loads(one) == json.loads(other)
    stages = {}
    for record in folder.glob("nodes/*/*/record.json"):
        stage = json.loads(record.read_text())["stage"]
        stages.setdefault(stage, set()).add((record.parent / "result.safetensors").exists())
    assert stages == {
        "measure": {True}, "select": {True},
        "load": {False}, "train": {False}, "predict": {False}, "attack": {False}, "explain": {False},
    }  # fmt: skip


@pytest.mark.parametrize("words", [["table"], ["status"], ["table", "--format", "csv"]])
@pytest.mark.parametrize("option", [[], ["--store"]])
def test_a_bundle_is_shown_as_what_it_unpacks_to_is(file, words, option, capsys, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(file.parent))
    found = shown(capsys, *words, *option, file)
    assert not list(file.parent.glob("tmp*")), "unpacked until the command ends"
    opened = unpacked(file)
    assert found.out == shown(capsys, *words, *option, opened).out
    assert found.out


def test_a_page_of_a_bundle_lies_where_it_was_asked_for(file, capsys, monkeypatch):
    monkeypatch.chdir(file.parent)
    assert "Report: report.html" in shown(capsys, "report", file).out
    page = (file.parent / "report.html").read_text()
    assert str(file.parent) not in page.replace(str(file), "")
    assert "--store" not in page.split("<script")[0]


def test_a_bundle_is_compared_with_a_store(store, file, capsys):
    found = shown(capsys, "compare", file, store, "--check").out
    assert "3 cells on both sides, 0 only left" in found
    assert "(all 3 identical)" in found


@pytest.mark.parametrize("words", [["cache", "ls", "--store"], ["bundle", "tiny", "--store"]])
def test_who_works_on_a_bundle_is_told_to_unpack_it(file, words, capsys):
    err = shown(capsys, *words, file, code=2).err
    unpack = shlex.join(["tar", "xf", str(file)])
    assert err == f"{file}: a bundle, which is only for reading; to work on it, unpack it: {unpack}\n"


def test_the_page_of_a_bundle_has_no_images(store, file, capsys, tmp_path):
    folder = unpacked(file)
    shown(capsys, "report", "--store", folder, "-o", tmp_path / "theirs.html")
    shown(capsys, "report", "--store", store, "-o", tmp_path / "ours.html")
    assert "data:image/png" in (tmp_path / "ours.html").read_text()
    assert "data:image/png" not in (tmp_path / "theirs.html").read_text()


def test_the_same_records_give_the_same_bytes(store, file, tmp_path):
    assert main(["bundle", "tiny", "--store", str(store), "-o", str(tmp_path / "again.tar.xz")]) == 0
    assert (tmp_path / "again.tar.xz").read_bytes() == file.read_bytes()


def test_verify(store, file, capsys):
    assert "fail" not in shown(capsys, "verify", store).out
    told = shown(capsys, "verify", file).out
    assert told.startswith(
        f"{file}: 16 records are what they say they are, 7 results with them; 9 come without"
    )


@pytest.mark.parametrize("what", ["score", "record", "lied"])
def test_verify_finds_what_was_changed(file, capsys, what):
    folder = unpacked(file)
    path = next(p for p in folder.glob("nodes/*/*/result.safetensors"))
    record = path.with_name("record.json")
    if what == "score":
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
    elif what == "record":
        record.write_text(record.read_text().replace('"seed": ', '"seed": 1'))
    else:  # with a checksum that fits
        from benchmark_core.store.store import _digest

        found = json.loads(record.read_text())
        del found["checksum"]
        found["identity"]["inputs"]["task"] = "0" * 64
        record.write_text(json.dumps(found | {"checksum": _digest(found)}))
    line, total = shown(capsys, "verify", folder, code=1).out.splitlines()
    sound, whole, without, failed = map(int, re.findall(r"\b(\d+) (?:rec|res|come|more)", total))
    assert (sound + failed, whole + without) == (16, sound)
    assert (failed, whole) == (1, 6)
    assert line.startswith(f"record {record.parent.name[:12]} ")
    assert line.endswith(
        {
            "score": "does not match its checksum (result.safetensors)",
            "record": "does not match its checksum",
            "lied": "says it was made from something else than its key does",
        }[what]
    )
    assert total.endswith("; 1 more fail")


def test_what_cannot_be_bundled_or_verified(store, file, capsys, tmp_path):
    def line(*arguments):
        (told,) = shown(capsys, *arguments, code=2).err.splitlines()
        return told

    assert 'no suite called "tinny" has run here; did you mean "tiny"?' in line(
        "bundle", "tinny", "--store", store
    )
    (tmp_path / "x.tar.xz").write_bytes(b"no tar at all")
    assert line("verify", tmp_path / "x.tar.xz") == f"{tmp_path / 'x.tar.xz'}: no bundle, or a damaged one"
    (tmp_path / "y.tar.xz").write_bytes(file.read_bytes()[:-400])
    assert line("verify", tmp_path / "y.tar.xz") == f"{tmp_path / 'y.tar.xz'}: no bundle, or a damaged one"
    assert "no store here" in line("verify", tmp_path / "nowhere")
    folder = unpacked(file)
    measure = next(p for p in folder.glob("nodes/*/*") if (p / "result.safetensors").exists())
    (measure / "record.json").unlink()
    assert "1 records of tiny are missing; run the suite to its end first" in line(
        "bundle", "tiny", "--store", folder
    )
