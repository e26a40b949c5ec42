"""What authors of methods test them with: the conformance kit, small tasks, ready contexts.

The kit runs every method of a plugin against every contract of `docs/contracts.md` that applies to it, one
pytest item each. From the command line, with an entry point of the group `robex`, a module, or a file:

    pytest --robex-plugin my_bench
    pytest --robex-plugin path/to/plugin.py

or in a test file of your own:

    from benchmark_core.testing import conformance

    test_conformance = conformance("my_bench")

A method is tried with its default params; `eps` is 0.2 where it has no default. Other settings to try, tasks
beside the kit's small table and image, and cases of your own are given to `conformance` by keyword

    conformance("my_bench", params={"attack/flip": [{"features": 1}, {"features": 3}]})

or, for both ways of starting, returned by a function `robex_conformance` in the plugin's module:

    def robex_conformance():
        return {"params": {"attack/flip": {"features": 3}}}

Choose settings that take a fraction of a second. Params that are files come from a function (world, folder)
-> params; `world.task` and `world.networks["trained"]` are what the method will meet. Names are fetched when
they are first used: importing this package loads neither torch nor pytest.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cases import Case
    from .harness import Breach, expect
    from .kit import conformance
    from .tasks import blobs, make_context, make_metric_context, make_task

_HOME = {
    "cases": ("Case",),
    "harness": ("Breach", "expect"),
    "kit": ("conformance",),
    "tasks": ("blobs", "make_context", "make_metric_context", "make_task"),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "Breach",
    "Case",
    "blobs",
    "conformance",
    "expect",
    "make_context",
    "make_metric_context",
    "make_task",
]


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        return getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
