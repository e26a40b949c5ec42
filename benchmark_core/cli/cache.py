"""`robex cache`: what a store holds, and removing what no suite needs."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..board.formats import count, plural, size
from . import output
from .options import json_option, open_store, store_option, trace_option

if TYPE_CHECKING:
    from ..store import Store


@click.group("cache")
def command() -> None:
    """List or clean the records of a store."""


@command.command("ls")
@store_option
@json_option
@trace_option
def ls(store: str, as_json: bool) -> int:
    """How many records each suite has in each stage, and how large they are.

    A record counts for the suite that made it; others may use it too.
    """
    from ..store.index import Index

    index = Index(open_store(store))
    rows = index.rows()
    index.close()
    sums: defaultdict[tuple[str, str], list[float]] = defaultdict(lambda: [0, 0, 0.0])
    for row in rows:
        entry = sums[row.suite, row.stage]
        entry[0] += 1
        entry[1] += row.bytes
        entry[2] += row.seconds
    if as_json:
        output.say_json(
            [
                {"suite": suite, "stage": stage, "records": n, "bytes": held, "seconds": seconds}
                for (suite, stage), (n, held, seconds) in sums.items()
            ]
        )
        return 0
    table = [
        [suite, stage, count(int(n)), size(held), f"{seconds:,.0f} s"]
        for (suite, stage), (n, held, seconds) in sums.items()
    ]
    for line in output.columns([["suite", "stage", "records", "size", "time"], *table], right=(2, 3, 4)):
        output.say(line)
    output.say(f"{plural(len(rows), 'record')}, {size(sum(row.bytes for row in rows))}")
    return 0


@command.command("gc")
@click.option("--dry-run", is_flag=True, help="Say what would go, remove nothing.")
@store_option
@json_option
@trace_option
def gc(dry_run: bool, store: str, as_json: bool) -> int:
    """Remove what no suite of the store needs.

    Kept is everything that the last run of each suite planned, and all it is made from. Removed are other
    records, damaged ones that were set aside (.bad), and what killed writers left.
    """
    opened = open_store(store)
    needed = needed_keys(opened)
    unused = sorted(set(opened.keys()) - needed)
    damaged = sorted(opened.nodes.glob("*/*.bad"))
    freed = sum(opened.size(key) for key in unused) + sum(map(_size, damaged))
    if not dry_run:
        for key in unused:
            opened.remove(key)
        for folder in damaged:
            shutil.rmtree(folder, ignore_errors=True)
        opened.sweep()
    found = {
        "removed": len(unused),
        "damaged": len(damaged),
        "kept": len(needed),
        "bytes": freed,
        "dry_run": dry_run,
    }
    if as_json:
        output.say_json(found)
    else:
        verb = "would be removed" if dry_run else "removed"
        output.say(
            f"{store}: {plural(len(unused), 'record')} and {plural(len(damaged), 'damaged one')} {verb}, "
            f"{size(freed)}; {plural(len(needed), 'record')} kept"
        )
    return 0


def needed_keys(store: Store) -> set[str]:
    """Stored nodes that the last run of some suite planned, or that they are made from, directly or not."""
    needed: set[str] = set()
    stack = [key for name in store.suites() for key in store.suite(name)["nodes"]]
    while stack:
        key = stack.pop()
        if key not in needed and store.has(key):
            needed.add(key)
            stack.extend(_inputs(store, key))
    return needed


def _inputs(store: Store, key: str) -> Iterable[str]:
    from ..store import DamagedNode

    try:
        return store.record(key)["inputs"].values()
    except DamagedNode:
        return ()


def _size(folder: Path) -> int:
    return sum(f.stat().st_size for f in folder.iterdir())
