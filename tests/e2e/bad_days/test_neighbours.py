"""A store that others use, that cannot be written, or that a newer robex wrote."""

import os
import shutil
import subprocess

import pytest

from .harness import SUITE, Bench, records


@pytest.fixture(scope="module")
def wanted(undisturbed) -> dict:
    return records(undisturbed.store())


def test_two_runs_and_a_third(bench, wanted):
    """On one store at once: each ends well, together they leave what one would."""
    bench.suite(SUITE)
    calls = [bench.start("run", "suite.yaml", "--quiet", "--jobs", jobs) for jobs in ("1", "1", "2")]
    for call in calls:
        assert call.wait(0).lines == []
    assert records(bench.store()) == wanted
    assert len({call.out for call in calls}) == 1
    assert list((bench.folder / "robex-results" / "tmp").iterdir()) == []


def test_two_runs_that_find_the_same_damage(bench, undisturbed, wanted):
    bench.suite(SUITE)
    shutil.copytree(undisturbed.folder / "robex-results", bench.folder / "robex-results")
    store = bench.store()
    for key, record in wanted.items():
        if record["stage"] == "train":
            (store.folder(key) / "result.safetensors").write_bytes(b"rubbish")
        elif record["stage"] != "load":
            store.remove(key)
    calls = [bench.start("run", "suite.yaml", "--quiet") for _ in range(2)]
    for call in calls:
        call.wait(0)
        assert all("is computed again (kept as .bad)" in line or "is missing" in line for line in call.lines)
    assert records(bench.store()) == wanted


def test_cache_gc_while_a_run_goes_on(bench, wanted):
    """What a run has made or needs is not rubbish, not even of a suite that never ran before."""
    bench.suite(SUITE)
    call = bench.start("run", "suite.yaml", "--quiet")
    cleaned = 0
    while call.alive():
        if (bench.folder / "robex-results" / "suites").is_dir():
            assert ": 0 records and 0 damaged ones removed" in bench.call("cache", "gc").out
            cleaned += 1
    assert cleaned > 0
    assert call.wait(0).lines == []
    assert records(bench.store()) == wanted


def test_a_store_that_cannot_be_written(bench, undisturbed, wanted, tmp_path):
    """Boards work; a run says why it cannot."""
    place = tmp_path / "locked"
    shutil.copytree(undisturbed.folder / "robex-results", place)
    (place / "index.sqlite").unlink(missing_ok=True)
    bound = tmp_path / "robex-results"
    bound.mkdir()
    if (
        not shutil.which("mount")
        or subprocess.run(["mount", "--bind", str(place), str(bound)], capture_output=True).returncode
    ):
        pytest.skip("mounting needs root; see the test of a folder without permission")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(bound)], check=True)
        bench.suite(SUITE)
        reads(bench, wanted)
        why = "the file system is read-only; name another store with --store"
        call = bench.call("run", "suite.yaml", "--quiet", code=2)
        assert call.lines == [f"robex-results: cannot be written: {why}"]
        call = bench.call("report", code=2)
        assert call.lines == ["robex-results/report.html: cannot write the report: Read-only file system"]
        bench.call("report", "--output", str(tmp_path / "page.html"))
        assert (tmp_path / "page.html").stat().st_size > 10_000
    finally:
        subprocess.run(["umount", str(bound)], check=True)


def reads(bench: Bench, wanted: dict) -> None:
    for verb in (["table"], ["status"], ["cache", "ls"], ["show", next(iter(wanted))[:12]]):
        assert bench.call(*verb).lines == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere; see the read-only file system")
def test_a_folder_without_permission(bench, undisturbed, wanted):
    """As somebody who may read the store only."""
    bench.suite(SUITE)
    place = bench.folder / "robex-results"
    shutil.copytree(undisturbed.folder / "robex-results", place)
    for folder in [place, *(p for p in place.rglob("*") if p.is_dir())]:
        folder.chmod(0o555)
    for file in (p for p in place.rglob("*") if p.is_file()):
        file.chmod(0o444)
    try:
        reads(bench, wanted)
        call = bench.call("run", "suite.yaml", "--quiet", code=2)
        why = "no permission to write; name another store with --store"
        assert call.lines == [f"robex-results: cannot be written: {why}"]
    finally:
        for folder in [place, *(p for p in place.rglob("*") if p.is_dir())]:
            folder.chmod(0o755)


@pytest.mark.parametrize(
    "verb",
    [
        ["run", "suite.yaml"], ["plan", "suite.yaml"], ["table"], ["report"], ["status"], ["show", "abcdef"],
        ["compare", "robex-results", "robex-results"], ["cache", "ls"], ["cache", "gc"],
    ],
    ids=lambda verb: verb[0],
)  # fmt: skip
def test_a_store_of_a_newer_robex(bench, verb):
    bench.suite(SUITE)
    place = bench.folder / "robex-results"
    place.mkdir()
    (place / "store.json").write_text('{"format": 2, "surprise": true}')
    call = bench.call(*verb, code=2)
    assert call.lines == ["robex-results: written by a newer robex (store format 2); update robex"]
    assert sorted(p.name for p in place.iterdir()) == ["store.json"]
