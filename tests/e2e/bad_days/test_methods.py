"""Methods that hang, crash, lie or litter: one line says what they did, and nobody else suffers."""

import re

import pytest

from .harness import ONE_BAD, Bench, Call, records


@pytest.fixture(scope="module")
def good(tmp_path_factory, warm) -> dict:
    """The records of the good half of ONE_BAD."""
    bench = Bench(tmp_path_factory.mktemp("half"), warm)
    text = ONE_BAD.format(behave="good", limits="").replace("as: bad}", "eps: 0.3, as: other}")
    bench.call("run", bench.suite(text), "--quiet")
    found = records(bench.store())
    return {key: r for key, r in found.items() if "other" not in r["title"]}


def run(bench: Bench, behave: str, *options: str, limits: str = "") -> Call:
    """The good half is done, the bad one is told in one line, and what the user is told to do next works."""
    bench.suite(ONE_BAD.format(behave=behave, limits=limits))
    call = bench.call("run", "suite.yaml", "--quiet", *options, code=1)
    head, *rest, last = call.lines
    assert head == "FAILED  bad · toy-train · toy-linear · toy · seed 0"
    assert "1 node that needs it did not run" in call.err
    assert [line.split()[:3] for line in rest[-2:]] == [["why", "robex", "show"], ["retry", "robex", "run"]]
    assert last.startswith("1 node failed, 1 more did not run: robex status ")
    return call


def message(call: Call) -> str:
    """Why it failed: what stands between its title and how many nodes need it."""
    end = next(i for i, line in enumerate(call.lines) if "that needs it did not run" in line)
    return " ".join(" ".join(call.lines[1:end]).split())


NAME = "attack toy-shift"

BROKEN = {
    "raise": r"ValueError: told to raise \(toy_bench\.py:\d+\)",
    "garbled": r"ValueError: \\udcff and \\x1b\[31m \(toy_bench\.py:\d+\)",
    "speechless": r"Speechless: its message cannot be told \(toy_bench\.py:\d+\)",
    "exit": r"called sys\.exit\(0\) \(toy_bench\.py:\d+\); raise an error instead",
    "keyboard": r"KeyboardInterrupt: no message \(toy_bench\.py:\d+\)",
    "nan": f"{NAME}: x_adv has 80 values that are NaN or infinite",
    "shape": rf"{NAME}: x_adv must have shape \(20, 4\), has \(20, 1\)",
    "ball": rf"{NAME}: x_adv leaves the linf ball: 0\.\d+ > eps = 0\.1",
    "box": rf"{NAME}: x_adv leaves the task's box \[lower, upper\] by up to .* in 20 of 20 samples; clamp it",
    "weights": f"{NAME} changed the weights of the model it was given; work on a copy",
    "hook": f"{NAME} changed the model's hooks, mode or gradients it was given; work on a copy",
    "task": f"{NAME} changed the task it was given; work on a copy",
    "data": f"{NAME} changed the weights of the model it was given; work on a copy",
    "backward-hook": f"{NAME} changed the model's hooks, mode or gradients it was given; work on a copy",
    "forward": f"{NAME} changed the model's hooks, mode or gradients it was given; work on a copy",
    "numpy": f"{NAME} changed the task it was given; work on a copy",
    "module-hooks": f"{NAME} changed the process's hooks of all torch modules; put it back",
    "precision": f"{NAME} changed the process's precision of torch; put it back",
    "kernels": f"{NAME} changed the process's choice of torch's kernels; put it back",
    "autocast": f"{NAME} changed the process's autocast of torch; put it back",
    "anomaly": f"{NAME} changed the process's anomaly detection of torch; put it back",
    "alarm": f"{NAME} changed the process's alarm; put it back",
    "folder": f"{NAME} changed the process's working directory; put it back",
    "handlers": f"{NAME} changed the process's signal handlers; put it back",
    "threads": f"{NAME} changed the process's number of torch threads; put it back",
    "dtype": f"{NAME} changed the process's default dtype of torch; put it back",
    "device": f"{NAME} changed the process's default device of torch; put it back",
    "grad": f"{NAME} changed the process's gradient mode of torch; put it back",
}


@pytest.mark.parametrize("behave", BROKEN)
def test_contract(bench, good, behave):
    call = run(bench, behave)
    assert re.fullmatch(BROKEN[behave], message(call))
    assert records(bench.store()) == good


@pytest.mark.parametrize("jobs", ["1", "2"])
@pytest.mark.parametrize("behave", ["settings", "chatty", "numbered", "streams", "forked"])
def test_what_is_nobodys_harm(bench, good, behave, jobs):
    """Global generators, the environment and the streams are put back; megabytes of output do not reach the
    boards; a process that a method forks does not run the rest a second time."""
    bench.suite(ONE_BAD.format(behave=behave, limits=""))
    call = bench.call("run", "suite.yaml", "--quiet", "--jobs", jobs)
    assert good.items() <= records(bench.store()).items()
    assert call.out.count("robust") == 1
    assert call.err.count("Report: ") == 1
    assert "xxx" not in call.out
    assert "from a child" not in call.out
    assert ("from a child" in call.err) == (behave == "chatty")


HANGING = {
    "stubborn": (r"timed out after 1 s \(limits: node_timeout\)", "node_timeout: 1"),
    "deaf": (r"timed out after 1 s \(limits: node_timeout\)", "node_timeout: 1"),
    "family": (r"timed out after 1 s \(limits: node_timeout\)", "node_timeout: 1"),
    "eat": (r"held \d\.\d GiB, more than 1 GiB \(limits: memory\)", "memory: 1"),
    "crash": (
        r"its worker ended with exit code 3; too little memory, or a crash in native code",
        "retries: 0",
    ),
}


@pytest.mark.parametrize("behave", HANGING)
def test_limits_of_workers(bench, good, behave):
    expected, limits = HANGING[behave]
    call = run(bench, behave, "--executor", "local", limits=limits)
    assert re.fullmatch(expected, message(call))
    assert records(bench.store()) == good
    call.no_orphans()


def test_what_the_user_is_told_to_do_next(bench):
    call = run(bench, "raise")
    why, retry = (line.split()[2:] for line in call.lines[-3:-1])
    shown = bench.call(*why).out
    assert message(call) in " ".join(shown.split())
    assert "Traceback (most recent call last)" in shown
    assert message(call) in " ".join(bench.call(*retry, code=1).err.split())


def test_time_is_limited_in_one_process_too(bench, good):
    call = run(bench, "sleep", limits="node_timeout: 1")
    assert message(call) == "timed out after 1 s (limits: node_timeout)"
    assert records(bench.store()) == good


def test_a_limit_of_memory_brings_a_worker_or_is_refused(bench, good):
    call = run(bench, "eat", limits="memory: 1")
    assert "more than 1 GiB (limits: memory)" in message(call)
    assert records(bench.store()) == good
    call = bench.call("run", "suite.yaml", "--quiet", "--executor", "inline", code=2)
    assert call.lines == [
        "--executor inline cannot keep to limits: memory; leave it out, or say --set limits.memory=null"
    ]
