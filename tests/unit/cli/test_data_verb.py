"""`robex data`, and what other verbs say about data files."""

import hashlib
import json
import subprocess
import sys

import pytest

from benchmark_core.cli.main import main

HOUSES = "california-housing"

PLUGIN = """\
from dataclasses import dataclass
from benchmark_core import DataSource, MethodSpec, hookimpl

@dataclass(frozen=True)
class Nothing:
    "A file by hand."

@hookimpl
def register_methods():
    yield MethodSpec.dataset(
        "by-hand", "nowhere:Nothing", params=Nothing, input="tabular", files={{"hand.csv": "{sha256}"}},
        sources={{"hand.csv": DataSource(bytes=5, page="https://example.org/terms")}},
    )
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty data folder, on a machine without a network."""
    monkeypatch.setenv("ROBEX_DATA", str(tmp_path / "data"))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name.lower(), raising=False)
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    return tmp_path / "data"


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory):
    """A plugin file with a dataset that only a person can get, of which the content is b"12345"."""
    path = tmp_path_factory.mktemp("plugin") / "by_hand.py"
    path.write_text(PLUGIN.format(sha256=hashlib.sha256(b"12345").hexdigest()))
    return str(path)


def put(folder, content):
    (folder / "by-hand").mkdir(parents=True, exist_ok=True)
    (folder / "by-hand" / "hand.csv").write_bytes(content)


def test_list_says_what_is_missing_and_where_it_comes_from(folder, capsys):
    assert main(["data", "list"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(str(folder))
    text = " ".join(out.split())  # lines are as long as the terminal is wide
    assert "mnist train-images-idx3-ubyte.gz 9.9 MB missing ossci-datasets.s3.amazonaws.com" in text
    assert f"{HOUSES} cal_housing.data 2.1 MB missing ndownloader.figshare.com" in text
    assert "wine" not in text  # its file comes inside scikit-learn
    assert "robex data fetch" in err
    assert not folder.exists()


@pytest.mark.parametrize(
    ("content", "state", "code"), [(None, "missing", 0), (b"12345", "there", 0), (b"54321", "wrong", 1)]
)
def test_list_checks_what_files_hold(folder, by_hand, capsys, content, state, code):
    if content is not None:
        put(folder, content)
    assert main(["data", "list", "--json", "--plugin", by_hand]) == code
    listed = json.loads(capsys.readouterr().out)
    assert listed["folder"] == str(folder)
    (entry,) = [file for file in listed["files"] if file["dataset"] == "by-hand"]
    assert entry["state"] == state
    assert entry["page"] == "https://example.org/terms"
    assert entry["path"] == str(folder / "by-hand" / "hand.csv")


def test_fetch_offline_says_which_file_from_where_into_which_folder(folder, capsys):
    assert main(["data", "fetch", HOUSES]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    for part in (
        "cal_housing.data (2.1 MB)",
        "ndownloader.figshare.com: no connection",
        str(folder / HOUSES),
    ):
        assert part in err
    assert not [p for p in folder.rglob("*") if p.is_file()]


def test_fetch_of_a_suite_takes_its_datasets(folder, by_hand, suite, capsys):
    suite.write_text(suite.read_text().replace("[wine]", "[wine, by-hand]"))
    assert main(["data", "fetch", str(suite), "--plugin", by_hand]) == 1
    err = capsys.readouterr().err
    assert "by-hand needs hand.csv, which robex cannot download: get it from https://example.org/terms" in err
    put(folder, b"12345")
    assert main(["data", "fetch", str(suite), "--plugin", by_hand]) == 0
    assert capsys.readouterr().out.split() == [str(folder / "by-hand" / "hand.csv")]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mnits", 'did you mean "mnist"'),
        ("wine", "wine needs no files of its own; those that do: california-"),
    ],
)
def test_fetch_of_something_else(folder, capsys, name, message):
    assert main(["data", "fetch", name]) == 2
    assert message in capsys.readouterr().err


def test_path(folder, by_hand, capsys):
    assert main(["data", "path"]) == 0
    assert capsys.readouterr().out == f"{folder}\n"
    assert main(["data", "path", "by-hand", "--plugin", by_hand]) == 1
    assert f"missing: {folder / 'by-hand' / 'hand.csv'}" in capsys.readouterr().err
    put(folder, b"12345")
    assert main(["data", "path", "by-hand", "--plugin", by_hand]) == 0
    assert capsys.readouterr().out == f"{folder / 'by-hand' / 'hand.csv'}\n"
    put(folder, b"54321")
    assert main(["data", "path", "by-hand", "--plugin", by_hand]) == 1
    assert "this is not the official file" in capsys.readouterr().err


def test_plan_says_what_a_run_would_fetch(folder, suite, capsys):
    suite.write_text(suite.read_text().replace("[wine]", f"[wine, {HOUSES}]"))
    assert main(["plan", str(suite), "--store", "none"]) == 0
    line = f"Data: {HOUSES} lacks 1 file: 442 kB from ndownloader.figshare.com into {folder / HOUSES}"
    assert line in " ".join(capsys.readouterr().out.split())  # lines are as long as the terminal is wide
    assert main(["plan", str(suite), "--store", "none", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["download"] == {HOUSES: ["cal_housing.data"]}


def test_a_run_without_the_file_fails_what_needs_it_alone(folder, suite, tmp_path, capsys):
    suite.write_text(suite.read_text().replace("[wine]", f"[wine, {HOUSES}]"))
    assert main(["run", str(suite), "--store", str(tmp_path / "store"), "--seeds", "1", "--json"]) == 1
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (failed,) = [event for event in events if event["event"] == "node-failed"]
    assert failed["message"].startswith(f"dataset {HOUSES} needs cal_housing.data (2.1 MB), which cannot be")
    done = [event for event in events if event["event"] == "node-finished" and event["stage"] == "measure"]
    assert len(done) == 3  # of wine


def test_doctor_counts_files(folder, by_hand, tmp_path, capsys):
    doctor = ["doctor", "--store", str(tmp_path / "none"), "--plugin", by_hand]
    main(doctor)
    out = " ".join(capsys.readouterr().out.split())
    assert f"✓ data {folder}: 0 of " in out
    assert "Fetched when a run needs them" in out
    put(folder, b"123")
    assert main(doctor) == 1
    assert f"{folder / 'by-hand' / 'hand.csv'} is not the official file" in capsys.readouterr().out


def test_listing_and_planning_import_no_downloader(folder, suite):
    code = (
        "import sys; from benchmark_core.cli.main import main\n"
        f"for words in (['data', 'list'], ['plan', {str(suite)!r}, '--store', 'none']): main(words)\n"
        "sys.exit(bool({'requests', 'pooch', 'torch', 'pandas'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
