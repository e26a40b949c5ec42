"""A run from plan to report: chooses the executor, tells observers, leaves the manifest for boards."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Sequence
from typing import Literal

from ..errors import RobexError, one_line
from ..plan.model import Plan
from ..registry import Registry
from ..store import DamagedNode, Store
from ..store.index import Facts, Index
from .estimate import Estimator
from .events import Event, Warned
from .executors.base import Executor
from .manifest import manifest_name, manifest_of
from .scheduler import RunReport, Scheduler

ExecutorName = Literal["auto", "inline", "local"]


def run_plan(
    plan: Plan,
    registry: Registry,
    store: Store,
    emit: Callable[[Event], None],
    *,
    jobs: int = 1,
    executor: ExecutorName = "auto",
    only: Sequence[str] = (),
) -> RunReport:
    """Run what the store lacks of a plan.

    jobs: worker processes. executor: `inline` (this process, no limit of memory), `local` (workers), or
    `auto`: inline for one job, unless the suite limits memory. only: run only the nodes whose key starts
    with one of these, and what they need.
    Raises RobexError when nothing can start, or the store cannot be written any more.
    """
    for start in only:
        if not any(key.startswith(start) for key in plan.nodes):
            where = _made_otherwise(plan, store, start)
            raise RobexError(f"--only {start}: no node of this suite has a key that starts so{where}")
    if executor == "inline" and plan.suite.limits.memory is not None:
        raise RobexError(
            "--executor inline cannot keep to limits: memory; leave it out, or say --set limits.memory=null"
        )
    if jobs < 1:
        raise RobexError(f"--jobs must be at least 1, got {jobs}")
    index = Index(store)
    estimator = Estimator(index.times())
    index.close()
    try:
        store.write_suite(manifest_name(plan.suite), manifest_of(plan, registry))
    except OSError as error:
        raise store.unwritable(error) from error
    tell = _observed(registry, emit)
    for damaged in _damaged(plan, store):
        store.set_aside(damaged.key)
        tell(Warned(f"{store.path}: {damaged}; it is computed again (kept as .bad)"))
    scheduler = Scheduler(
        plan,
        store,
        lambda: _executor(plan, registry, store, jobs, executor),
        tell,
        jobs=1 if executor == "inline" else jobs,
        estimator=estimator,
        only=only,
    )
    return scheduler.run()


def _made_otherwise(plan: Plan, store: Store, start: str) -> str:
    """Where to look: a record of the store may have been made by other code or with other params."""
    try:
        record = store.record(store.find(start))
    except RobexError:
        record = {}
    for key, node in plan.nodes.items():
        if record and node.stage == record.get("stage") and dict(node.where) == record.get("where"):
            return (
                "; the store's record was made by other code, or with other params or inputs: the same place "
                f"is now --only {key[:12]}"
            )
    return " (`robex plan` with --json lists them)"


def _damaged(plan: Plan, store: Store) -> list[DamagedNode]:
    """What boards would read and find damaged. Nodes that others are made from are checked when they are
    read; those that boards know already have the files that they had then."""
    cells = {key for cell in plan.cells for key in (cell.key, cell.selection) if store.has(key)}
    with contextlib.closing(Facts(store)) as facts:
        unknown = cells - {fact.key for fact in facts.get(sorted(cells))}
    found = []
    for key in sorted(unknown):
        try:
            store.tensors(key, numpy=True)
        except DamagedNode as damaged:
            found.append(damaged)
    return found


def _executor(plan: Plan, registry: Registry, store: Store, jobs: int, name: ExecutorName) -> Executor:
    limits = plan.suite.limits
    if name == "inline" or (name == "auto" and jobs == 1 and limits.memory is None):
        from .executors.inline import InlineExecutor

        return InlineExecutor(store, registry, node_timeout=limits.node_timeout)
    from .executors.local import LocalExecutor

    return LocalExecutor(
        str(store.path),
        registry.files,
        jobs=jobs,
        node_timeout=limits.node_timeout,
        memory=limits.memory,
    )


def _observed(registry: Registry, emit: Callable[[Event], None]) -> Callable[[Event], None]:
    """Events go to the display, then to every plugin; an observer that fails is told once and left out."""
    deaf: set[str] = set()
    observers = registry.manager.hook.on_event.get_hookimpls()

    def tell(event: Event) -> None:
        emit(event)
        for observer in observers:
            if observer.plugin_name not in deaf:
                try:
                    observer.function(event)
                except Exception as error:
                    deaf.add(observer.plugin_name)
                    print(f'plugin "{observer.plugin_name}": on_event: {one_line(error)}', file=sys.stderr)

    return tell
