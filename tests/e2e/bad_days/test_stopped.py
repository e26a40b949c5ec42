"""Ctrl-C and SIGTERM at any moment: what is finished is kept, nobody is left, the same command goes on."""

import random
import re
import signal
import time

import pytest

from .harness import ONE_BAD, SUITE, records


@pytest.mark.parametrize("day", range(2))
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_in_one_process(bench, undisturbed, number, code, day):
    rng = random.Random(f"{number} {day}")
    bench.suite(SUITE)
    wanted = records(undisturbed.store())
    call = bench.start("run", "suite.yaml", "--quiet")
    call.until(rng.randrange(1, len(wanted) - 5))
    time.sleep(rng.uniform(0, 0.01))
    call.signal(number)
    call.wait(code)
    kept = records(bench.store())
    assert kept.items() <= wanted.items()
    assert call.lines == [f"Stopped. {len(kept)} of {len(wanted)} nodes are kept; the same command goes on."]
    assert list((bench.folder / "robex-results" / "tmp").iterdir()) == []
    bench.call("run", "suite.yaml", "--quiet")
    assert records(bench.store()) == wanted


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_with_workers(bench, number, code):
    bench.suite(ONE_BAD.format(behave="deaf", limits=""))
    call = bench.start("run", "suite.yaml", "--quiet", "--jobs", "2")
    call.until(5)  # all but the deaf node and what needs it
    call.signal(number)
    call.wait(code)
    assert call.lines == ["Stopped. 5 of 7 nodes are kept; the same command goes on."]
    call.no_orphans()


def test_while_the_workers_start(bench):
    bench.suite(SUITE)
    call = bench.start("run", "suite.yaml", "--quiet", "--jobs", "2")
    while not call.helpers():
        time.sleep(0.01)
    call.signal(signal.SIGTERM)
    call.wait(143)
    assert re.fullmatch(
        r"Stopped\. 0 of \d+ nodes are kept; the same command goes on\.", "\n".join(call.lines)
    )
    call.no_orphans()


def test_a_node_that_swallows_it_is_ended_by_the_third(bench):
    bench.suite(ONE_BAD.format(behave="stubborn", limits=""))
    call = bench.start("run", "suite.yaml", "--quiet")
    call.until(3)
    for _ in range(3):
        time.sleep(0.5)
        assert call.alive()
        call.signal(signal.SIGINT)
    assert call.wait().code == -signal.SIGINT
    assert len(records(bench.store())) == 3
