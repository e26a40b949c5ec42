"""The hooks of robex: for registration and observation, never for computation.

A plugin is a light module named in the entry-point group `robex` (or a file given by `--plugin`) that
implements some of these with `@hookimpl`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    import click

    from .run.events import Event
    from .spec import MethodSpec

hookspec = pluggy.HookspecMarker("robex")
hookimpl = pluggy.HookimplMarker("robex")


@hookspec
def register_methods() -> Iterable[MethodSpec]:  # type: ignore[empty-body]
    """Yield the specs of all methods this plugin offers. Must not import torch."""


@hookspec
def register_commands(group: click.Group) -> None:
    """Add CLI verbs: `group.add_command(...)`. Names of robex's own verbs are refused."""


@hookspec
def on_event(event: Event) -> None:
    """Observe a run: called in the scheduling process for every event of `benchmark_core.run.events`."""
