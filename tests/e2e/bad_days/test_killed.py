"""kill -9 at any moment: no half of a node is ever seen, nobody is left behind, and the same command ends
with the records of an undisturbed run.
"""

import os
import random
import signal
import time

import pytest

from .harness import SUITE, Bench, Call, records


def goes_on(bench: Bench, wanted: dict) -> None:
    """What is in the store is whole and as on a good day, and the same command adds the rest."""
    kept = records(bench.store()) if (bench.folder / "robex-results" / "store.json").exists() else {}
    assert kept.items() <= wanted.items()
    again = bench.call("run", "suite.yaml", "--json")
    assert again.lines == []
    assert records(bench.store()) == wanted


@pytest.fixture(scope="module")
def wanted(undisturbed: Bench) -> dict:
    return records(undisturbed.store())


@pytest.mark.parametrize("day", range(14))
def test_of_a_run_in_one_process(bench, wanted, day):
    rng = random.Random(day)
    bench.suite(SUITE)
    call = bench.start("run", "suite.yaml", "--json")
    if day > 1:  # the first two die before anything is stored
        call.until(rng.randrange(1, len(wanted)))
    time.sleep(rng.uniform(0, 0.05))
    os.killpg(call.pid, signal.SIGKILL)
    assert call.wait().code == -signal.SIGKILL
    goes_on(bench, wanted)


def group(call: Call) -> None:
    os.killpg(call.pid, signal.SIGKILL)


def scheduler(call: Call) -> None:
    call.signal(signal.SIGKILL)


@pytest.mark.parametrize("day", range(2))
@pytest.mark.parametrize("whom", [group, scheduler])
def test_of_a_run_with_workers(bench, wanted, whom, day):
    rng = random.Random(f"{whom.__name__} {day}")
    bench.suite(SUITE)
    call = bench.start("run", "suite.yaml", "--json", "--jobs", "2")
    call.until(rng.randrange(1, len(wanted)))
    time.sleep(rng.uniform(0, 0.05))
    whom(call)
    assert call.wait().code == -signal.SIGKILL
    call.no_orphans()
    goes_on(bench, wanted)


def test_workers_and_what_they_wait_for_end_with_the_scheduler(bench):
    from .harness import ONE_BAD

    bench.suite(ONE_BAD.format(behave="family", limits=""))
    call = bench.start("run", "suite.yaml", "--json", "--executor", "local")
    while not any("time.sleep(3600)" in " ".join(p.cmdline()) for p in call.helpers()):
        time.sleep(0.05)
    call.signal(signal.SIGKILL)
    call.wait()
    call.no_orphans()


@pytest.mark.parametrize("day", range(2))
def test_of_workers(bench, wanted, day):
    """They are replaced; the run says so and ends as on a good day."""
    rng = random.Random(f"worker {day}")
    bench.suite(SUITE)
    call = bench.start("run", "suite.yaml", "--json", "--jobs", "2")
    call.until(rng.randrange(1, len(wanted) // 2))
    workers = call.workers()
    assert len(workers) == 2
    rng.choice(workers).kill()
    call.wait(0)
    assert all("was killed by SIGKILL; too little memory" in line for line in call.lines)
    assert records(bench.store()) == wanted
    call.no_orphans()


def test_of_the_forkserver(bench, wanted):
    """Nobody but it can start workers, yet those that run go on."""
    bench.suite(SUITE)
    call = bench.start("run", "suite.yaml", "--json", "--jobs", "2")
    call.until(3)
    (forkserver,) = call.forkserver()
    forkserver.kill()
    call.wait(0)
    assert records(bench.store()) == wanted
    call.no_orphans()
