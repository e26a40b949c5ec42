"""Verbs that plugins add through `register_commands`, each plugin guarded."""

from __future__ import annotations

import traceback

import click

from ..errors import RobexError, one_line
from ..guard import guarded
from ..mistakes import place_of
from ..registry import GROUP, PluginProblem, Registry


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
            with guarded(plugin):
                implementation.function(group)
        except Exception as error:
            trace = "".join(traceback.format_exception(error))
            place = place_of(error.__cause__ or error)
            message = f"register_commands: {one_line(error)}{f' ({place})' if place else ''}"
            problems.append(PluginProblem(plugin, source, message, trace))
            continue
        for name, command in group.commands.items():
            if name in owners:
                message = f'the verb "{name}" is taken by {owners[name]}; name it otherwise'
                problems.append(PluginProblem(plugin, source, message))
            else:
                owners[name] = f'plugin "{plugin}"'
                commands[name] = command
    return commands, problems


def broken_methods(registry: Registry) -> list[PluginProblem]:
    """What is wrong with the classes and the params of methods that are not robex's own. Imports them."""
    from ..suite.fields import checker_of

    problems = []
    for spec in registry.methods():
        origin = registry.origin(spec)
        if origin.distribution == GROUP:
            continue
        try:
            checker_of(spec.params, f"{spec.kind} {spec.name}")
            with guarded(origin.plugin):
                registry.implementation(spec)
        except Exception as error:
            message = str(error)
            if not isinstance(error, RobexError):
                message = f"{spec.kind} {spec.name}: importing {spec.target} failed: {one_line(error)}"
            trace = "".join(traceback.format_exception(error))
            problems.append(PluginProblem(origin.plugin, str(origin), message, trace))
    return problems
