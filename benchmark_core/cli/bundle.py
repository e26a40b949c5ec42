"""`robex bundle`: the records of a suite in one file, which others can look at and verify."""

from __future__ import annotations

from pathlib import Path

import click

from ..board.formats import count, size
from . import output
from .options import open_store, store_option, trace_option


@click.command("bundle")
@click.argument("suite", metavar="SUITE")
@click.option("--output", "-o", "file", metavar="FILE", help="Where to write it (default: SUITE.tar.xz).")
@store_option
@trace_option
def command(suite: str, file: str | None, store: str) -> int:
    """The records of a suite (its name in the store) in one file: scores, how each was made, and no weights.

    `robex table FILE` shows the same boards. Unpacked (tar xf) it is a store.
    """
    from ..publish import bundle

    made = bundle(open_store(store), suite, Path(file or f"{suite}.tar.xz"))
    output.say(
        f"{made.path}: {count(made.records)} records, {count(made.results)} of them with their scores, "
        f"{size(made.bytes)}"
    )
    output.say(f"Look at it: robex table {made.path}")
    return 0
