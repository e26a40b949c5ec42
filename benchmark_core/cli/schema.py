"""`robex schema`: the JSON Schema of suites with the methods that are installed."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ..errors import RobexError
from . import output
from .options import load_registry, plugin_option, trace_option


@click.command("schema")
@click.option("-o", "--output", "path", metavar="FILE", help="Write it here instead of to stdout.")
@plugin_option
@trace_option
def command(path: str | None, plugins: tuple[str, ...]) -> int:
    """The JSON Schema of suites, for editors.

    It knows the methods of all plugins. Point an editor to it in the first line of a suite:
    # yaml-language-server: $schema=schema.json
    """
    from ..suite import json_schema

    text = json.dumps(json_schema(load_registry(plugins)), indent=2, sort_keys=True) + "\n"
    if path is None:
        output.write(text)
        return 0
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise RobexError(f"{path}: {error.strerror}") from error
    output.note(f"{path}: written")
    return 0
