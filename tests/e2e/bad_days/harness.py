"""A small suite of toys, command lines that start in milliseconds, and what a store holds when they ended."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmark_core.store import Store

TOYS = Path(__file__).parents[2] / "toys" / "toy_bench.py"

SUITE = """
suite: bad-days
seeds: 2
datasets: [toy]
models: [toy-linear]
defenses: [{use: toy-train, as: A}, {use: toy-nest, attack: {use: toy-shift, eps: 0.1}, as: B}]
attacks: [{use: toy-shift, eps: [0.1, 0.2]}, toy-quick]
explainers: [toy-attr]
metrics: [toy-accuracy, toy-robust, toy-again]
samples: 8
"""

#: One node misbehaves, another does not.
ONE_BAD = """
suite: one-bad
seeds: 1
datasets: [toy]
models: [toy-linear]
defenses: [toy-train]
attacks: [{{use: toy-shift, behave: {behave}, as: bad}}, {{use: toy-shift, as: good}}]
metrics: [toy-robust]
limits: {{{limits}}}
"""


class Warm:
    """Talks to warm.py."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("warm.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, **request: Any) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(request), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(20)


@dataclass
class Call:
    """A command line under way."""

    warm: Warm
    pid: int
    mark: str
    out_file: Path
    err_file: Path
    code: int | None = None
    started: float = field(default_factory=time.monotonic)

    def wait(self, code: int | None = None) -> "Call":
        """Until it ends; checks how. No user ever sees a traceback or a bug."""
        if self.code is None:
            self.code = self.warm.ask(wait=self.pid)
        assert code is None or self.code == code, f"exit {self.code}\n{self.out}\n{self.err}"
        assert "Traceback" not in self.err
        assert "bug:" not in self.err
        return self

    @property
    def out(self) -> str:
        return self.out_file.read_text()

    @property
    def err(self) -> str:
        return self.err_file.read_text()

    @property
    def lines(self) -> list[str]:
        """What the user was told, but for the boards' report."""
        return [line for line in self.err.splitlines() if line and not line.startswith("Report: ")]

    def helpers(self) -> list[psutil.Process]:
        """Processes that it started, found by their environment: they may have lost their parent."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("BAD_DAY") == self.mark and process.pid != self.pid:
                    found.append(process)
            except psutil.Error:
                continue
        return [p for p in found if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]

    def workers(self) -> list[psutil.Process]:
        """Its worker processes: they lead groups of their own."""
        return [p for p in self.helpers() if os.getpgid(p.pid) == p.pid]

    def forkserver(self) -> list[psutil.Process]:
        return [
            p for p in self.helpers() if "forkserver" in " ".join(p.cmdline()) and p not in self.workers()
        ]

    def no_orphans(self, patience: float = 60.0) -> None:
        end = time.monotonic() + patience
        while (left := self.helpers()) and time.monotonic() < end:
            time.sleep(0.05)
        assert not left, [p.cmdline() for p in left]

    def until(self, nodes: int) -> None:
        """Until so many nodes are stored, or it ended."""
        while self.alive() and len(list(self.folder.glob("robex-results/nodes/??/*"))) < nodes:
            time.sleep(0.002)

    def alive(self) -> bool:
        return psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    @property
    def folder(self) -> Path:
        return self.out_file.parent


@dataclass
class Bench:
    """A folder with suites in which command lines are run."""

    folder: Path
    warm: Warm
    calls: list[Call] = field(default_factory=list)

    def end(self) -> None:
        """A test that failed leaves nothing running."""
        for call in self.calls:
            if call.code is None:
                call.signal(signal.SIGKILL)
                self.warm.ask(wait=call.pid)

    def suite(self, text: str, name: str = "suite.yaml") -> str:
        path = self.folder / name
        path.write_text(f"plugins: [{TOYS}]\n{text}")
        return name

    def start(self, *arguments: str, file_size: int = 0, **env: str) -> Call:
        """file_size: bytes that no file may exceed."""
        mark = uuid.uuid4().hex
        out, err = self.folder / f"{mark}.out", self.folder / f"{mark}.err"
        pid = self.warm.ask(
            arguments=arguments,
            cwd=str(self.folder),
            env={"COLUMNS": "100", **env, "BAD_DAY": mark},
            out=str(out),
            err=str(err),
            file_size=file_size,
        )
        self.calls.append(Call(self.warm, pid, mark, out, err))
        return self.calls[-1]

    def call(self, *arguments: str, code: int = 0, **options: Any) -> Call:
        return self.start(*arguments, **options).wait(code)

    def store(self, name: str = "robex-results") -> Store:
        return Store(self.folder / name, create=False)


#: What may differ between two runs of one node, by one suite or another.
_OF_THE_DAY = ("created", "peak_memory", "environment", "suite")


def records(store: Store) -> dict[str, Any]:
    """Every record, without times, machine and suite; the results are in it as checksums."""
    found = {}
    for key in store.keys():  # noqa: SIM118 - no mapping
        record = store.record(key)
        assert store.is_sound(key)
        for name in _OF_THE_DAY:
            record.pop(name, None)
        record["cost"] = {k: v for k, v in record["cost"].items() if "seconds" not in k}
        found[key] = record
    return found
