"""What a run looks like: bars, plain lines, JSON lines, and Ctrl-C in a process of its own."""

import io
import json
import re
import signal
import subprocess
import sys
import time

import pytest
from rich.console import Console

from benchmark_core.cli import progress
from benchmark_core.cli.failures import Failure, describe
from benchmark_core.run.events import (
    NodeFailed,
    NodeFinished,
    NodeProgress,
    NodeStarted,
    RunFinished,
    RunStarted,
    Warned,
)

START = RunStarted(
    "tiny", 2, "results", {"train": 3, "attack": 2}, {"train": 1}, {"train": 2, "attack": 2}, 1, 90.0
)
END = RunFinished(3, 1, 1, 5, 0, 1, 60.0, False)


class Clock:
    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_plain_lines_and_a_summary_every_half_minute(clock, capsys):
    show = progress.Plain()
    show(START)
    for i, seconds in enumerate((20, 20, 5)):
        clock.now += seconds
        show(NodeStarted(f"k{i}", "train", f"A · seed {i}"))
        show(NodeFinished(f"k{i}", "train", f"A · seed {i}", 1.25, 50.0))
    show(NodeFailed("k9", "attack", "pgd · A", "error", "ValueError: no", 1))
    show(Warned("careful"))
    show(END)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "robex 0.1.0 · tiny, version 2 · store results · 5 nodes: 1 cached, 4 to run",
        "done    train    A · seed 0  1.2 s",
        "done    train    A · seed 1  1.2 s",
        "        3 of 5 nodes · 40 s · about 50 s left",
        "done    train    A · seed 2  1.2 s",
        "FAILED  attack   pgd · A: ValueError: no",
        "careful",
    ]


def test_a_long_node_gets_summaries_too(clock, capsys):
    show = progress.Plain()
    show(START)
    show(NodeStarted("k", "train", "A · seed 0"))
    for _ in range(4):
        clock.now += 20
        show(NodeProgress("k", 1, 9))
    assert capsys.readouterr().err.count("1 of 5 nodes") == 2


def test_bars(clock, capsys):
    show = progress.Bars()
    show(START)
    try:
        show(NodeStarted("k1", "train", "A · digits · seed 0"))
        show(NodeProgress("k1", 40, 100))
        clock.now += 30
        out = io.StringIO()
        Console(file=out, width=90).print(show._picture())
    finally:
        show(END)
    train, attack, last = (line.rstrip() for line in out.getvalue().splitlines())
    assert re.fullmatch(r"train +\S+ +1/3  A · digits · seed 0  40/100  30 s", train)
    assert re.fullmatch(r"attack .*0/2", attack)
    assert last == "30 s · about 1 min left · Ctrl-C stops safely, the same command goes on"


def test_stages_without_work_have_no_bar(clock, capsys):
    show = progress.Bars()
    show(RunStarted("tiny", 1, "results", {"train": 3}, {"train": 3}, {}, 1))
    assert show.live is None
    show(END)


def test_json_lines():
    lines = []
    emit = progress.json_lines(lines.append)
    for event in (START, NodeStarted("k", "train", "A"), END):
        emit(event)
    assert [json.loads(line)["event"] for line in lines] == ["run-started", "node-started", "run-finished"]
    assert all(line.endswith("\n") for line in lines)


def failure(key, seed, message="boom", **more):
    return Failure(key * 12, f"lime · A · seed {seed}", message, {"defense": "A", "seed": seed}, **more)


@pytest.mark.parametrize(
    ("seeds", "shown"),
    [
        ((2,), "lime · A · seed 2"),
        ((1, 3), "2 × lime · A · seeds 1, 3"),
        ((3, 0, 2, 1), "4 × lime · A · seeds 0 to 3"),
    ],
)
def test_failures_of_several_seeds_are_one(seeds, shown):
    lines = describe([failure("a", s) for s in seeds], "robex run x.yaml")
    assert lines[0] == f"FAILED  {shown}"
    assert lines[1] == "        boom"
    assert lines[2] == "        why    robex show aaaaaaaaaaaa"
    assert lines[3].startswith("        retry  robex run x.yaml")
    assert ("--only" in lines[3]) == (len(seeds) == 1)


def test_different_reasons_stay_apart_and_many_are_cut():
    lines = describe([failure("a", 0, f"reason a{i}") for i in range(30)], "robex run x.yaml", "s", most=20)
    assert sum(line.startswith("FAILED") for line in lines) == 21
    assert lines[-1] == "FAILED  10 more kinds: robex status --json --store s"


def test_one_cause_of_several_methods_is_told_once():
    names = [f"{method} · A" for method in ("lime", "saliency")]
    failures = [
        Failure(f"{n}{seed}" * 12, f"{name} · seed {seed}", "ValueError: no (my/noise.py:31)", {"seed": seed})
        for n, name in enumerate(names)
        for seed in (0, 1)
    ]
    other = Failure("f" * 12, "ig · A · seed 0", "ValueError: no (my/noise.py:32)", {"seed": 0}, blocked=2)
    assert describe([*failures, other], "robex run x.yaml", "my store") == [
        "FAILED  4 × ValueError: no (my/noise.py:31)",
        "        lime · A · seeds 0, 1",
        "        saliency · A · seeds 0, 1",
        "        why    robex show 000000000000 --store 'my store'",
        "        retry  robex run x.yaml",
        "FAILED  ig · A · seed 0",
        "        ValueError: no (my/noise.py:32)",
        "        2 nodes that need it did not run",
        "        why    robex show ffffffffffff --store 'my store'",
        "        retry  robex run x.yaml",
    ]


def test_numbers_do_not_keep_a_cause_apart():
    messages = ["x_adv has 650 values that are NaN", "x_adv has 1,201 values that are NaN"]
    lines = describe([failure("a", i, m) for i, m in enumerate(messages)], "robex run x.yaml")
    assert lines[:2] == [
        "FAILED  2 × lime · A · seeds 0, 1",
        "        x_adv has 650 values that are NaN (the others: other numbers)",
    ]


SLOW = """\
import time
from dataclasses import dataclass
from benchmark_core import Explainer, MethodSpec, hookimpl

@dataclass(frozen=True)
class Params:
    \"\"\"Takes a minute.\"\"\"

class Slow(Explainer):
    def explain(self, model, x, y, ctx):
        time.sleep(60)

@hookimpl
def register_methods():
    yield MethodSpec.explainer("slow", "slow_plugin:Slow", params=Params, produces="attribution")
"""


@pytest.mark.parametrize("more", [[], ["--jobs", "1", "--executor", "local"]])
def test_ctrl_c_keeps_what_is_done(suite, tmp_path, more):
    plugin, store = tmp_path / "slow_plugin.py", tmp_path / "s"
    plugin.write_text(SLOW)
    suite.write_text(suite.read_text().replace("[saliency]", "[slow]"))
    code = "import sys; from benchmark_core.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = [
        sys.executable,
        "-c",
        code,
        "run",
        str(suite),
        "--plugin",
        str(plugin),
        "--store",
        str(store),
        *more,
    ]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 60
    while (
        len(list(store.glob("nodes/*/*/record.json"))) < 7 and time.monotonic() < end and run.poll() is None
    ):
        time.sleep(0.1)
    time.sleep(0.5)
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=30)
    assert run.returncode == 130, err
    kept = re.search(r"Stopped\. (\d+) of 16 nodes are kept; the same command goes on\.", err)
    assert kept, err
    assert int(kept[1]) == len(list(store.glob("nodes/*/*/record.json"))) == 7
    assert "Traceback" not in err
    assert out == ""
