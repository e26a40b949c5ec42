"""A full disk: the run stops with one line, keeps what it has, and goes on when there is room again."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from benchmark_core.store import Store

from ..conftest import ROBEX
from .harness import SUITE, Bench, records

FULL = "cannot be written: the disk is full; free some space and run the same command again"


@pytest.fixture
def small_disk(tmp_path):
    """small_disk(bytes): a file system of that size, where this process may mount one."""
    made = []

    def mount(size: int) -> Path:
        place = tmp_path / "disk"
        place.mkdir()
        if not shutil.which("mount"):
            pytest.skip("no mount here: file sizes are limited instead, see the other tests")
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], capture_output=True
        )
        if done.returncode:
            pytest.skip("mounting needs root: file sizes are limited instead, see the other tests")
        made.append(place)
        return place

    yield mount
    for place in made:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_during_a_run(bench, undisturbed, small_disk, jobs):
    place = small_disk(400_000)
    bench.suite(SUITE)
    call = bench.call("run", "suite.yaml", "--quiet", "--store", "disk", "--jobs", jobs, code=2)
    assert call.lines == [f"disk: {FULL}"]
    call.no_orphans()
    kept, wanted = records(Store(place)), records(undisturbed.store())
    assert 0 < len(kept) < len(wanted)
    assert kept.items() <= wanted.items()
    assert list((place / "tmp").iterdir()) == []
    # Still full: the same line. Boards of what is there work.
    assert bench.call("run", "suite.yaml", "--quiet", "--store", "disk", code=2).lines == [f"disk: {FULL}"]
    bench.call("table", "--store", "disk")
    subprocess.run(["mount", "-o", "remount,size=20000000", str(place)], check=True)
    bench.call("run", "suite.yaml", "--quiet", "--store", "disk")
    assert records(Store(place)) == wanted


def test_before_anything_is_stored(bench, small_disk):
    place = small_disk(4096)
    bench.suite(SUITE)
    call = bench.call("run", "suite.yaml", "--quiet", "--store", "disk/store", code=2)
    assert call.lines == [
        "disk/store: cannot be written: the disk is full; free some space and run the same command again"
    ]
    assert not list(place.glob("store/nodes/*/*"))


def test_when_the_report_is_written(bench, undisturbed, small_disk):
    place = small_disk(4_000_000)
    shutil.copytree(undisturbed.folder / "robex-results", place / "store")
    (place / "store" / "report.html").unlink()
    fill(place)
    call = bench.call("report", "--store", "disk/store", code=2)
    assert call.lines == ["disk/store/report.html: cannot write the report: No space left on device"]
    assert not (place / "store" / "report.html").exists()
    assert list((place / "store").glob(".report*")) == []


def test_of_the_index(bench, undisturbed, small_disk):
    """The index is derived: without room for it everything still works."""
    place = small_disk(4_000_000)
    shutil.copytree(undisturbed.folder / "robex-results", place / "store")
    (place / "store" / "index.sqlite").unlink()
    fill(place)
    call = bench.call("cache", "ls", "--store", "disk/store")
    assert call.lines == []
    assert f"{len(records(undisturbed.store()))} records" in call.out


def fill(place: Path) -> None:
    free = shutil.disk_usage(place).free
    (place / "ballast").write_bytes(b"x" * free)
    assert shutil.disk_usage(place).free == 0


def test_a_file_that_is_too_large(bench: Bench, undisturbed):
    """Works everywhere: no file may exceed 2,000 bytes, so the first result does not fit."""
    bench.suite(SUITE)
    bench.call("run", "suite.yaml", "--quiet", "--only", first_key(undisturbed), "--store", "store")
    (bench.folder / "store" / "suites" / "bad-days.json").unlink()
    call = bench.call("run", "suite.yaml", "--quiet", "--store", "store", code=2, file_size=2000)
    assert call.lines == ["store: cannot be written: File too large"]
    kept, wanted = records(bench.store("store")), records(undisturbed.store())
    assert kept.items() <= wanted.items()
    bench.call("run", "suite.yaml", "--quiet", "--store", "store")
    assert records(bench.store("store")) == wanted


def first_key(bench: Bench) -> str:
    return next(key for key, r in records(bench.store()).items() if r["stage"] == "train")[:12]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full is a thing of Linux")
def test_of_the_results_on_stdout(undisturbed):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [ROBEX, "table"], cwd=undisturbed.folder, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 2
    assert done.stderr == "robex: the disk is full; free some space and run the same command again\n"


def test_nobody_reads_the_results(undisturbed):
    done = subprocess.run(
        f"{ROBEX} table --format json | head -c 1",
        shell=True,
        cwd=undisturbed.folder,
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    assert len(done.stdout) == 1
