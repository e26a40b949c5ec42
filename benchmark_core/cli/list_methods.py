"""`robex list`: the methods that plugins offer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ..board.formats import plural
from ..spec import KINDS, Kind
from . import output
from .options import command_line, json_option, load_registry, plugin_option, trace_option

if TYPE_CHECKING:
    from ..spec import MethodSpec

#: Characters of a summary that are worth a column; with less room it stands below its method.
_LEAST = 40
_NAMES: dict[str, Kind] = {**{kind: kind for kind in KINDS}, **{f"{kind}s": kind for kind in KINDS}}


@click.command("list")
@click.argument("kind", required=False, type=click.Choice(list(_NAMES)), metavar="[KIND]")
@plugin_option
@json_option
@trace_option
def command(kind: str | None, plugins: tuple[str, ...], as_json: bool) -> int:
    """The methods that plugins offer.

    KIND: datasets, models, defenses, attacks, explainers, metrics or states; all of them without it.
    """
    registry = load_registry(plugins)
    methods = registry.methods(_NAMES[kind] if kind else None)
    if as_json:
        output.say_json(
            [
                {
                    "name": spec.name,
                    "kind": spec.kind,
                    "summary": spec.summary,
                    "plugin": registry.origin(spec).plugin,
                    "distribution": registry.origin(spec).distribution,
                    "version": registry.origin(spec).version,
                    "revision": spec.revision,
                    "cite": spec.cite,
                }
                for spec in methods
            ]
        )
        return 0
    rows = [_row(spec, registry.origin(spec).distribution, with_kind=kind is None) for spec in methods]
    if rows:
        head = ["name", *(["kind"] if kind is None else []), "plugin", "summary"]
        lines = output.columns([head, *rows])
        if output.width() - lines[0].index("summary") >= _LEAST:
            for line in lines:
                output.say(output.short(line, output.width()))
        else:
            for *names, summary in rows:
                output.say_wrapped(" · ".join(names))
                output.say_wrapped(f"    {summary}")
        output.note(f"More about one: {command_line('robex', 'show', 'NAME', plugins=plugins)}")
    doctor = command_line("robex", "doctor", plugins=plugins)
    if not rows:
        output.note(f"no {kind or 'method'} is registered ({doctor})")
    if registry.problems:
        verb = "hides" if len(registry.problems) == 1 else "hide"
        output.note(f"{plural(len(registry.problems), 'plugin problem')} {verb} methods: {doctor}")
    return 0


def _row(spec: MethodSpec, plugin: str, *, with_kind: bool) -> list[str]:
    return [spec.name, *([spec.kind] if with_kind else []), plugin, spec.summary]
