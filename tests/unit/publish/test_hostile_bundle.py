"""Bundles made to harm: what they hold is refused in one line, and verify sees through labels."""

import io
import json
import os
import shutil
import tarfile

import pytest

from benchmark_core.cli.main import main
from benchmark_core.publish import unpack, verify
from benchmark_core.store import Store

KEY = "ab" + "0" * 62
SUITE = """\
suite: tiny
seeds: 2
datasets: [wine]
models: [linear]
defenses: [{use: standard, as: A, epochs: 1}, {use: standard, as: B, epochs: 2}]
samples: 20
attacks: [{use: fgsm, eps: 0.1}]
metrics: [accuracy, robust-accuracy]
"""


@pytest.fixture(scope="module")
def ran_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "tiny.yaml").write_text(SUITE)
    assert main(["run", str(folder / "tiny.yaml"), "--store", str(folder / "store"), "--quiet"]) == 0
    return folder / "store"


@pytest.fixture
def store(ran_once, tmp_path) -> Store:
    shutil.copytree(ran_once, tmp_path / "copy")
    return Store(tmp_path / "copy")


def tar(path, *members):
    with tarfile.open(path, "w:xz") as file:
        for name, data, more in (("s/store.json", b'{"format": 1}', {}), *members):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for field, value in more.items():
                setattr(info, field, value)
            file.addfile(info, io.BytesIO(data))
    return path


RECORD = f"s/nodes/ab/{KEY}/record.json"


@pytest.mark.parametrize(
    "member",
    [
        ("../out", b"x", {}),
        ("s/../../out", b"x", {}),
        ("s/link", b"", {"type": tarfile.SYMTYPE, "linkname": "../../out"}),
        ("s/hard", b"", {"type": tarfile.LNKTYPE, "linkname": "/etc/passwd"}),
        (RECORD, b"", {"type": tarfile.FIFOTYPE}),
        ("s/zero", b"", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 5}),
        ("s/" + "a" * 10_000, b"x", {}),
    ],
    ids=["up", "up inside", "link", "hard link", "pipe", "device", "long name"],
)
def test_what_no_bundle_holds(tmp_path, member, capsys):
    file = tar(tmp_path / "in.tar.xz", member)
    assert main(["verify", str(file)]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(f"{file}: ")
    assert os.listdir(tmp_path) == ["in.tar.xz"]


@pytest.mark.parametrize(
    "member",
    [
        (RECORD, b"[" * 200_000, {}),
        (RECORD + "/inside", b"", {}),
        (f"s/nodes/ab/{KEY}", b"", {}),
        ("s/nodes/ab/\x1b[31mred\nline/record.json", b"{}", {}),
        ("s/suites/a.json", b"[" * 200_000, {}),
        ("s/suites/a\x1b[31m.json", b"{}", {}),
    ],
    ids=["deep record", "folder", "file", "steering key", "deep suite", "steering suite"],
)
def test_what_is_told_of_a_bundle(tmp_path, member, capsys):
    assert main(["verify", str(tar(tmp_path / "in.tar.xz", member))]) == 1
    out, err = capsys.readouterr()
    assert (out.count("\n"), err) == (2, "")
    assert "\x1b" not in out
    assert out.endswith("; 1 more fail\n")


def test_a_bundle_that_would_fill_the_disk(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(unpack, "_LEAST", 2**20)
    file = tar(tmp_path / "in.tar.xz", ("s/zeros", bytes(2**23), {}))
    assert file.stat().st_size < 2**14
    assert main(["verify", str(file)]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"{file}: would unpack to over 200 times its size, as no bundle does\n")
    many = tar(tmp_path / "many.tar.xz", *((f"s/{i}", b"", {}) for i in range(2000)))
    assert main(["verify", str(many)]) == 2


def resealed(store, change):
    manifest = store.suite("tiny")
    change(manifest)
    store.write_suite("tiny", manifest)
    return verify(store).damaged


def swap_labels(manifest):
    values, which = manifest["cells"]["at"]["defense"]
    manifest["cells"]["at"]["defense"] = [values[::-1], which]


def swap_metrics(manifest):
    values, which = manifest["cells"]["at"]["metric"]
    manifest["cells"]["at"]["metric"] = [values[::-1], which]


def swap_meanings(manifest):
    names = manifest["metrics"]
    names["accuracy"]["name"], names["robust-accuracy"]["name"] = "robust-accuracy", "accuracy"


def swap_keys(manifest):
    manifest["cells"]["key"].reverse()


def other_samples(manifest):
    manifest["cells"]["selection"][0] = [KEY]


def test_an_honest_store_is_not_suspected(store):
    assert verify(store).damaged == ()
    assert resealed(store, lambda manifest: None) == ()


@pytest.mark.parametrize("change", [swap_labels, swap_metrics, swap_meanings, swap_keys, other_samples])
def test_cells_that_show_other_records_than_they_say(store, change):
    damaged = resealed(store, change)
    assert damaged
    assert all("for something else than the record says" in line for line in damaged)


def test_labels_of_another_suite_are_its_own(store):
    """Records are shared: a suite that did not make them may call them otherwise."""

    def rename(manifest):
        manifest["digest"] = "f" * 64
        manifest["labels"]["defense"] = ["C", "D"]
        manifest["cells"]["at"]["defense"][0] = ["C", "D"]

    assert resealed(store, rename) == ()


def test_a_suite_that_cannot_be_read_is_told(store):
    file = store.path / "suites" / "tiny.json"
    text = json.loads(file.read_text())
    file.write_text(json.dumps({**text, "seeds": 7}))
    (line,) = verify(store).damaged
    assert "tiny.json: damaged" in line


def test_an_identity_that_no_key_is_of(store):
    from benchmark_core.store.store import _signed

    key = next(store.keys())
    record = store.record(key)
    record["identity"]["wish"] = {"eps": float("nan")}
    (store.folder(key) / "record.json").write_bytes(_signed(record))
    assert any("made from something else" in line for line in verify(store).damaged)
