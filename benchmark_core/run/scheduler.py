"""Owns the DAG while it runs: what is ready, what failed, what that blocks, what is tried again.

Executors only run nodes. A failed node blocks its descendants and nothing else; a stored result that turns
out damaged is computed again; everything that finished is in the store, whatever happens next.
"""

from __future__ import annotations

import heapq
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import RobexError
from ..plan.model import STAGES, Node, Plan
from ..store import DamagedNode, Store, StoreError
from .estimate import Estimator, count_places, place_of
from .events import (
    Event,
    NodeFailed,
    NodeFinished,
    NodeProgress,
    NodeStarted,
    RunFinished,
    RunStarted,
    Warned,
)
from .executors.base import Executor, Outcome, Progressed
from .job import Job
from .stopping import Stopped, Stopper, listening

Emit = Callable[[Event], None]

_REASONS = {"failed": "error", "timeout": "timeout", "memory": "memory", "lost": "worker lost"}


@dataclass
class RunReport:
    """What a run came to. selected: keys of the nodes that it was about. failures: key -> the event that told
    it. blocked: keys that could not run. removed: results that somebody took out of the store meanwhile."""

    plan: Plan
    selected: set[str]
    ran: int
    done: int
    failures: dict[str, NodeFailed] = field(default_factory=dict)
    blocked: set[str] = field(default_factory=set)
    seconds: float = 0.0
    stopped: Stopped | None = None
    removed: int = 0

    @property
    def cells(self) -> list[str]:
        """Keys of the cells that it was about."""
        return [cell.key for cell in self.plan.cells if cell.key in self.selected]

    @property
    def interrupted(self) -> bool:
        return self.stopped is not None

    @property
    def exit_code(self) -> int:
        if self.stopped is not None:
            return self.stopped.exit_code
        return 1 if self.failures or self.blocked or self.removed else 0


class Scheduler:
    """One run of a plan. `run()` returns when everything that can be done is done, or when told to stop; it
    raises RobexError when it cannot go on: workers do not start, or the store cannot be written."""

    def __init__(
        self,
        plan: Plan,
        store: Store,
        executor: Callable[[], Executor],
        emit: Emit,
        *,
        jobs: int = 1,
        estimator: Estimator | None = None,
        only: Sequence[str] = (),
    ) -> None:
        """executor: makes one; it is called only when there is something to run. jobs: its slots."""
        self.plan, self.store, self.emit = plan, store, emit
        self.estimator = estimator or Estimator()
        self.limits = plan.suite.limits
        self._only = only
        self._todo = plan.needed(store.has, only)
        self._order = {key: place for place, key in enumerate(plan.nodes)}
        self._waits: dict[str, set[str]] = {}
        self._feeds: defaultdict[str, set[str]] = defaultdict(set)
        self._ready: list[tuple[int, str]] = []
        self._running: set[str] = set()
        self._tries: Counter[str] = Counter()
        self._done = 0
        self._left = count_places(self._todo.values())
        for key, node in self._todo.items():
            self._enlist(key, node)
        self._make_executor, self._slots = executor, jobs
        selected = plan.selected(only)
        self.report = RunReport(plan, selected, len(self._todo), len(selected) - len(self._todo))

    def run(self) -> RunReport:
        started = time.monotonic()
        report = self.report
        with listening() as stopper:
            try:
                self._run(stopper)
                report.done += self._done
                self._look_for_removed()
            except Stopped as stopped:
                report.stopped = stopped
                # It may have come between the storing of a result and its counting.
                report.done = sum(map(self.store.has, report.selected))
            except RobexError:
                self.emit(self._finished_event())
                raise
        report.seconds = time.monotonic() - started
        self.emit(self._finished_event())
        return report

    def _run(self, stopper: Stopper) -> None:
        executor: Executor | None = None
        try:
            self.emit(self._started_event())
            if self._todo:
                executor = self._make_executor()
            while executor and (self._ready or self._running):
                while self._ready and len(self._running) < executor.slots:
                    self._start(executor, heapq.heappop(self._ready)[1])
                for news in executor.wait(1.0):
                    self._hear(news)
                stopper.check()
        finally:
            stopper.closing()
            if executor:
                executor.close()

    def _look_for_removed(self) -> None:
        """Whoever cleans a store at the moment a run begins may take what the run found there."""
        report = self.report
        without = report.failures.keys() | report.blocked | self._waits.keys()
        kept = [key for key in self.plan.nodes if key not in without] if not self._only else []
        cells = {cell.key for cell in self.plan.cells}
        report.removed = sum(key in cells and not self.store.has(key) for key in kept)
        if report.removed:
            self.emit(
                Warned(
                    f"{self.store.path}: {report.removed} results were removed during the run; run it again"
                )
            )

    # -- bookkeeping --

    def _enlist(self, key: str, node: Node) -> None:
        """Wait for the inputs that have to be computed too; nodes without such are ready."""
        self._waits[key] = {k for k in node.inputs.values() if k in self._todo}
        for needed in self._waits[key]:
            self._feeds[needed].add(key)
        if not self._waits[key]:
            heapq.heappush(self._ready, (self._order[key], key))

    def _start(self, executor: Executor, key: str) -> None:
        node = self._todo[key]
        self._running.add(key)
        self._tries[key] += 1
        self.emit(NodeStarted(key, node.stage, node.title))
        executor.submit(self._job(node))

    def _job(self, node: Node) -> Job:
        nodes, roles = self.plan.nodes, ("model", "reference_model")
        models = {node.inputs[role]: nodes[node.inputs[role]] for role in roles if role in node.inputs}
        producer = nodes[node.inputs["result"]] if node.stage == "measure" else None
        suite = self.plan.suite
        return Job(
            node,
            models,
            producer if producer is not None and producer.method is not None else None,
            self.limits.threads,
            self.limits.device,
            self.limits.batch_size,
            {"name": suite.name, "version": suite.version, "digest": suite.digest},
        )

    def _hear(self, news: Outcome | Progressed) -> None:
        if isinstance(news, Progressed):
            self.emit(NodeProgress(news.key, news.done, news.total))
            return
        key, node = news.key, self._todo[news.key]
        self._running.discard(key)
        if news.status == "done":
            self._finish(key, node, news.seconds)
        elif news.status in ("timeout", "memory", "lost") and self.store.has(key):
            # It was stopped between the storing of its result and the telling.
            self._finish(key, node, news.seconds or self._seconds(key))
        elif news.status == "damaged" and self._tries[key] <= 1 + len(node.inputs):
            self._recompute(news.damaged_key, key)
            self.emit(Warned(f"{self.store.path}: {news.message}; it is computed again (kept as .bad)"))
        elif news.status == "lost" and self._tries[key] <= self.limits.retries:
            self.emit(Warned(f"{node.title}: {news.message}; trying again"))
            heapq.heappush(self._ready, (self._order[key], key))
        elif news.status == "unstored":
            raise StoreError(news.message)
        else:
            self._fail(key, node, news)

    def _finish(self, key: str, node: Node, seconds: float) -> None:
        self._done += 1
        self.estimator.learn(place_of(node), seconds)
        self._left[place_of(node)] -= 1
        del self._waits[key]
        for fed in self._feeds.pop(key, ()):
            if fed in self._waits:
                self._waits[fed].discard(key)
                if not self._waits[fed]:
                    heapq.heappush(self._ready, (self._order[fed], fed))
        self.emit(NodeFinished(key, node.stage, node.title, seconds, self._expected()))

    def _seconds(self, key: str) -> float:
        """What a stored node took; 0 if it is damaged, which its readers find out."""
        try:
            return self.store.record(key)["cost"]["total_seconds"]
        except DamagedNode:
            return 0.0

    def _expected(self) -> float | None:
        """Seconds until the run ends, if all slots stay busy."""
        left = self.estimator.total(self._left)
        return None if left is None else left / self._slots

    def _recompute(self, damaged: str, waiting: str) -> None:
        """A stored input failed its checksum: set it aside, compute it (and what it needs), then go on."""
        self._waits[waiting] = {damaged}
        if damaged in self._waits:  # another node found it first
            self._feeds[damaged].add(waiting)
            return
        self.store.set_aside(damaged)
        stack = [damaged]
        fresh: dict[str, Node] = {}
        while stack:
            key = stack.pop()
            if key not in fresh and key not in self._waits and not self.store.has(key):
                fresh[key] = self.plan.nodes[key]
                stack.extend(fresh[key].inputs.values())
        for key in fresh:
            if key not in self._todo:
                self.report.done -= 1
                self.report.ran += 1
            else:  # it ran in this run already
                self._done -= 1
        self._todo |= fresh
        self._left.update(count_places(fresh.values()))
        for key, node in fresh.items():
            self._waits[key] = {k for k in node.inputs.values() if k in fresh or k in self._waits}
            for needed in self._waits[key]:
                self._feeds[needed].add(key)
            if not self._waits[key]:
                heapq.heappush(self._ready, (self._order[key], key))
        self._feeds[damaged].add(waiting)

    def _fail(self, key: str, node: Node, outcome: Outcome) -> None:
        blocked = self._block(key)
        self._left.subtract(count_places(self._todo[k] for k in (key, *blocked)))
        failure = {
            "key": key,
            "stage": node.stage,
            "title": node.title,
            "where": dict(node.where),
            "identity": dict(node.identity),
            "reason": _REASONS.get(outcome.status, outcome.status),
            "message": outcome.message,
            "trace": outcome.trace,
        }
        try:
            self.store.write_failure(key, failure)
        except OSError as error:
            self.emit(
                Warned(f"{self.store.path}: the failure of {key[:12]} cannot be kept: {error.strerror}")
            )
        event = NodeFailed(
            key,
            node.stage,
            node.title,
            failure["reason"],
            outcome.message,
            len(blocked),
            dict(node.where),
        )
        self.report.failures[key] = event
        self.report.blocked |= blocked
        self.emit(event)

    def _block(self, key: str) -> set[str]:
        """Everything that waits for a failed node, directly or not, leaves the run."""
        self._waits.pop(key, None)
        blocked: set[str] = set()
        stack = list(self._feeds.pop(key, ()))
        while stack:
            fed = stack.pop()
            if fed in self._waits:
                del self._waits[fed]
                blocked.add(fed)
                stack.extend(self._feeds.pop(fed, ()))
        return blocked

    # -- summaries --

    def _started_event(self) -> RunStarted:
        suite = self.plan.suite
        totals = count_stages({key: self.plan.nodes[key] for key in self.report.selected})
        todo = count_stages(self._todo)
        return RunStarted(
            suite.name,
            suite.version,
            str(self.store.path),
            totals,
            {stage: totals[stage] - todo.get(stage, 0) for stage in totals},
            todo,
            self._slots,
            self._expected(),
        )

    def _finished_event(self) -> RunFinished:
        report, cells = self.report, self.report.cells
        return RunFinished(
            done=report.done,
            failed=len(report.failures),
            blocked=len(report.blocked),
            total=len(report.selected),
            cells_done=sum(map(self.store.has, cells)),
            cells=len(cells),
            seconds=report.seconds,
            interrupted=report.interrupted,
        )


def count_stages(nodes: Mapping[str, Node]) -> dict[str, int]:
    """Stage -> number of nodes, in the order of the stages, without empty ones."""
    found: Counter[Any] = Counter(node.stage for node in nodes.values())
    return {stage: found[stage] for stage in STAGES if found[stage]}
