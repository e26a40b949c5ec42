"""Verbs that plugins add through `register_commands`, each plugin guarded."""

from __future__ import annotations

import traceback

import click

from ..errors import one_line
from ..registry import PluginProblem, Registry


def plugin_commands(registry: Registry | None = None) -> tuple[dict[str, click.Command], list[PluginProblem]]:
    """The verbs of all plugins by name, and what was wrong with others."""
    from .main import VERBS

    registry = registry or Registry.load()
    commands: dict[str, click.Command] = {}
    owners = dict.fromkeys(VERBS, "robex")
    problems = []
    for implementation in registry.manager.hook.register_commands.get_hookimpls():
        plugin = implementation.plugin_name
        source = str(registry.origins[plugin])
        group = click.Group()
        try:
            implementation.function(group)
        except Exception as error:
            trace = "".join(traceback.format_exception(error))
            problems.append(PluginProblem(plugin, source, f"register_commands: {one_line(error)}", trace))
            continue
        for name, command in group.commands.items():
            if name in owners:
                message = f'the verb "{name}" is taken by {owners[name]}; name it otherwise'
                problems.append(PluginProblem(plugin, source, message))
            else:
                owners[name] = f'plugin "{plugin}"'
                commands[name] = command
    return commands, problems
