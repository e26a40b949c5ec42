"""`robex cache`: what a store holds, and removing what no suite needs."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..board.formats import count, plural, size
from ..errors import RobexError
from ..store.cells import nodes_in
from . import output
from .options import json_option, open_store, store_option, trace_option

if TYPE_CHECKING:
    from ..store import Store


@click.group("cache")
def command() -> None:
    """List, clean or remove the records of a store."""


@command.command("ls")
@store_option
@json_option
@trace_option
def ls(store: str, as_json: bool) -> int:
    """How many records each suite has in each stage, and how large they are.

    A record counts for the suite that made it; others may use it too.
    """
    from ..plan import STAGES
    from ..store.index import Index

    index = Index(open_store(store))
    rows = index.rows()
    index.close()
    stages = [*STAGES, *sorted({row.stage for row in rows} - {*STAGES})]
    sums: defaultdict[tuple[str, str], list[float]] = defaultdict(lambda: [0, 0, 0.0])
    for row in sorted(rows, key=lambda row: (row.suite, stages.index(row.stage))):
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
    for line in output.table([["suite", "stage", "records", "size", "time"], *table], right=(2, 3, 4)):
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

    Kept is everything that the last run of each suite planned, quick looks included (`cache rm` removes
    those), and all it is made from. Removed are other records, damaged ones that were set aside (.bad), what
    is kept of failures of other nodes, and what killed writers left.
    """
    return _clean(open_store(store), (), dry_run=dry_run, as_json=as_json)


@command.command("rm")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--quick-looks", is_flag=True, help="All runs with --samples, --seeds or --set (NAME~digest).")
@click.option("--dry-run", is_flag=True, help="Say what would go, remove nothing.")
@store_option
@json_option
@trace_option
def rm(names: tuple[str, ...], quick_looks: bool, dry_run: bool, store: str, as_json: bool) -> int:
    """Remove suites or quick looks from the store, and what no other suite needs.

    NAME: as `robex status` lists it, such as quickstart or quickstart~8e3a063c.
    """
    opened = open_store(store)
    going = {name: opened.suite(name) for name in names}  # all have to be there
    if quick_looks:
        found = {name: opened.suite(name) for name in opened.suites()}
        going |= {name: manifest for name, manifest in found.items() if manifest.get("overrides")}
    elif not names:
        raise RobexError("cache rm needs the names of suites, or --quick-looks")
    return _clean(opened, tuple(going), dry_run=dry_run, as_json=as_json)


def _clean(store: Store, going: Sequence[str], *, dry_run: bool, as_json: bool) -> int:
    """Remove these suites, then every record that no other suite needs; say what went."""
    from ..board.words import listed

    failures = list((store.path / "failures").glob("*.json"))
    stored = set(store.keys())  # before the suites are read: what a run stores from now on is none of ours
    needed = needed_keys(store, going)
    unused = sorted(stored - needed)
    damaged = sorted(store.nodes.glob("*/*.bad"))
    freed = sum(store.size(key) for key in unused) + sum(map(_size, damaged))
    if not dry_run:
        for name in going:
            (store.path / "suites" / f"{name}.json").unlink(missing_ok=True)
            (store.path / f"report-{name}.html").unlink(missing_ok=True)
        for key in unused:
            store.remove(key)
        planned = {key for name in store.suites() for key in nodes_in(store.suite(name))}
        for failure in failures:
            if failure.stem not in planned:
                failure.unlink(missing_ok=True)
        for folder in damaged:
            shutil.rmtree(folder, ignore_errors=True)
        store.sweep()
    found = {
        "suites": list(going),
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
        parts = [*going, plural(len(unused), "record"), plural(len(damaged), "damaged one")]
        output.say(
            f"{store.path}: {listed(parts)} {verb}, {size(freed)}; {plural(len(needed), 'record')} kept"
        )
    return 0


def needed_keys(store: Store, without: Collection[str] = ()) -> set[str]:
    """Stored nodes that the last run of some suite planned, or that they are made from, directly or not.
    without: suites that do not count."""
    needed: set[str] = set()
    kept = [name for name in store.suites() if name not in without]
    stack = [key for name in kept for key in nodes_in(store.suite(name))]
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
