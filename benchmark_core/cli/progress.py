"""What a run looks like while it runs: live bars on a terminal, plain lines elsewhere, or JSON lines."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..board.formats import ascii_text, count, duration, plural, rough_duration
from ..run.events import (
    Event,
    NodeFailed,
    NodeFinished,
    NodeProgress,
    NodeStarted,
    RunFinished,
    RunStarted,
    Warned,
)
from . import output

if TYPE_CHECKING:
    from rich.console import RenderableType

_SUMMARY_EVERY = 30.0
#: Columns from which on a terminal has room for bars beside names and counts.
_BAR_FROM = 60


class Display:
    """Counts what happened; its subclasses show it. Call it with every event of a run."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.totals: dict[str, int] = {}
        self.finished: Counter[str] = Counter()
        self.failed = 0
        self.running: dict[str, _Running] = {}
        self._left: tuple[float, float] | None = None

    def __call__(self, event: Event) -> None:
        match event:
            case RunStarted():
                self.totals = dict(event.totals)
                self.finished = Counter(event.cached)
                self._expect(event.expected_seconds)
                self.start(event)
            case NodeStarted():
                self.running[event.key] = _Running(event.stage, event.title)
            case NodeProgress():
                if event.key in self.running:
                    self.running[event.key].part = (event.done, event.total)
                    self.node_progressed()
            case NodeFinished():
                self.running.pop(event.key, None)
                self.finished[event.stage] += 1
                self._expect(event.expected_left)
                self.node_finished(event)
            case NodeFailed():
                self.running.pop(event.key, None)
                self.failed += 1
                self.node_failed(event)
            case Warned():
                self.warn(event.message)
            case RunFinished():
                self.stop()

    # -- for subclasses --

    def start(self, event: RunStarted) -> None:
        cached, todo = sum(event.cached.values()), sum(event.todo.values())
        parts = [f"robex {__version__}", f"{event.suite}, version {event.version}", f"store {event.store}"]
        parts.append(f"{plural(cached + todo, 'node')}: {count(cached)} cached, {count(todo)} to run")
        for line in output.wrapped(parts):
            output.note(line)

    def node_progressed(self) -> None:
        pass

    def node_finished(self, event: NodeFinished) -> None:
        pass

    def node_failed(self, event: NodeFailed) -> None:
        pass

    def warn(self, message: str) -> None:
        output.note(message)

    def stop(self) -> None:
        pass

    def summary(self) -> str:
        """`8 min 20 s · about 27 min left · 1 failed`."""
        parts = [duration(time.monotonic() - self.started, whole=True)]
        left = self.seconds_left()
        if left is not None:
            parts.append(f"about {rough_duration(max(1.0, left))} left")
        if self.failed:
            parts.append(f"{count(self.failed)} failed")
        return " · ".join(parts)

    def seconds_left(self) -> float | None:
        """The last estimate, less the time since."""
        if self._left is None:
            return None
        seconds, told = self._left
        return max(0.0, seconds - (time.monotonic() - told))

    def _expect(self, seconds: float | None) -> None:
        self._left = None if seconds is None else (seconds, time.monotonic())


class _Running:
    """A node under way. part: (done, total) of its samples, epochs or whatever it counts."""

    def __init__(self, stage: str, title: str) -> None:
        self.stage, self.title = stage, title
        self.since = time.monotonic()
        self.part: tuple[int, int] | None = None

    def text(self) -> str:
        part = f"  {self.part[0]:,}/{self.part[1]:,}" if self.part else ""
        return f"{self.title}{part}  {duration(time.monotonic() - self.since, whole=True)}"


class Quiet(Display):
    """Failures and warnings only."""

    def start(self, event: RunStarted) -> None:
        pass


class Plain(Display):
    """One line when a node ends, a summary every 30 s."""

    def start(self, event: RunStarted) -> None:
        super().start(event)
        self._next_summary = time.monotonic() + _SUMMARY_EVERY

    def node_progressed(self) -> None:
        self._summarise()

    def node_finished(self, event: NodeFinished) -> None:
        output.note(f"{'done':8}{event.stage:9}{event.title}  {duration(event.seconds)}")
        self._summarise()

    def node_failed(self, event: NodeFailed) -> None:
        output.note(f"{'FAILED':8}{event.stage:9}{event.title}: {event.message}")
        self._summarise()

    def _summarise(self) -> None:
        if time.monotonic() >= self._next_summary:
            self._next_summary = time.monotonic() + _SUMMARY_EVERY
            done, total = sum(self.finished.values()), sum(self.totals.values())
            output.note(f"        {count(done)} of {plural(total, 'node')} · {self.summary()}")


class Bars(Display):
    """One bar a stage with what runs in it, and a line for the whole run."""

    def start(self, event: RunStarted) -> None:
        from rich.console import Console
        from rich.live import Live

        super().start(event)
        self.console = Console(stderr=True, highlight=False, soft_wrap=False)
        self._ascii = not output.is_unicode(sys.stderr)
        self._stages = [stage for stage in event.totals if event.todo.get(stage)]
        self.live: Live | None = None
        if self._stages:
            live = Live(
                get_renderable=self._picture, console=self.console, refresh_per_second=5, transient=True
            )
            live.start()
            self.live = live

    def warn(self, message: str) -> None:
        if self.live:
            self.live.console.print(self._text(message), markup=False)
        else:
            output.note(message)

    def node_failed(self, event: NodeFailed) -> None:
        self.warn(f"FAILED  {event.title}: {event.message}")

    def stop(self) -> None:
        if self.live:
            self.live.stop()

    def _picture(self) -> RenderableType:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        grid = Table.grid(padding=(0, 2))
        wide = self.console.width >= _BAR_FROM
        for justify in ("left", "left", "right") if wide else ("left", "right"):
            grid.add_column(no_wrap=True, justify=justify)
        grid.add_column(ratio=1)  # the one that gives way
        for stage in self._stages:
            done, total = self.finished[stage], self.totals[stage]
            now = next((r for r in list(self.running.values()) if r.stage == stage), None)
            others = sum(r.stage == stage for r in list(self.running.values())) - 1
            text = "" if now is None else now.text() + (f"  (+{others})" if others > 0 else "")
            bar = ProgressBar(
                total=total, completed=done, width=20, complete_style="blue", finished_style="green"
            )
            title = Text(self._text(text), no_wrap=True, overflow="ellipsis")
            grid.add_row(stage, *[bar] * wide, f"{done:,}/{total:,}", title)
        last = f"{self.summary()} · Ctrl-C stops safely, the same command goes on"
        return Group(grid, Text(self._text(last), no_wrap=True, overflow="ellipsis"))

    def _text(self, text: str) -> str:
        return ascii_text(text) if self._ascii else text


def json_lines(write: Callable[[str], Any] | None = None) -> Callable[[Event], None]:
    """Every event as one line of JSON on stdout."""

    def emit(event: Event) -> None:
        (write or sys.stdout.write)(json.dumps(event.to_json()) + "\n")
        sys.stdout.flush()

    return emit


def display_for(*, quiet: bool, as_json: bool) -> Callable[[Event], None]:
    """What fits where stderr goes."""
    if as_json:
        return json_lines()
    if quiet:
        return Quiet()
    return Bars() if sys.stderr.isatty() else Plain()
