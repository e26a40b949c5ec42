"""A run from plan to report: chooses the executor, tells observers, leaves the manifest for boards."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Literal

from ..errors import RobexError, one_line
from ..plan.model import Plan
from ..registry import Registry
from ..store import Store
from ..store.index import Index
from .estimate import Estimator
from .events import Event
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
    only: str | None = None,
) -> RunReport:
    """Run what the store lacks of a plan.

    jobs: worker processes. executor: `inline` (this process, no hard limits), `local` (workers), or `auto`:
    inline for one job. only: run only the nodes whose key starts so, and what they need.
    Raises RobexError when nothing can start.
    """
    if only is not None and not any(key.startswith(only) for key in plan.nodes):
        raise RobexError(f"--only {only}: no node of this suite has a key that starts so (robex plan --json)")
    if jobs < 1:
        raise RobexError(f"--jobs must be at least 1, got {jobs}")
    index = Index(store)
    estimator = Estimator(index.times())
    index.close()
    try:
        store.write_suite(manifest_name(plan.suite), manifest_of(plan, registry))
    except OSError as error:
        raise RobexError(f"{store.path}: cannot write: {error.strerror}") from error
    scheduler = Scheduler(
        plan,
        store,
        lambda: _executor(plan, registry, store, jobs, executor),
        _observed(registry, emit),
        jobs=1 if executor == "inline" else jobs,
        estimator=estimator,
        only=only,
    )
    return scheduler.run()


def _executor(plan: Plan, registry: Registry, store: Store, jobs: int, name: ExecutorName) -> Executor:
    if name == "inline" or (name == "auto" and jobs == 1):
        from .executors.inline import InlineExecutor

        return InlineExecutor(store, registry)
    from .executors.local import LocalExecutor

    limits = plan.suite.limits
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
