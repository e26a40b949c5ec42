"""`robex status`: how far the suites of a store are, and what failed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click

from ..board.formats import count
from ..store.cells import cells_in, nodes_in
from . import output
from .failures import Failure, describe
from .options import (
    call_of,
    json_option,
    open_store,
    plugin_option,
    store_option,
    suites_at,
    trace_option,
)

if TYPE_CHECKING:
    from ..store import Store


#: What a failed model stands for: every cell that agrees with it in these is failed.
_STEM = ("dataset", "model", "defense", "seed")


@click.command("status")
@click.argument("place", metavar="[SUITE|STORE]", required=False)
@store_option
@plugin_option
@json_option
@trace_option
def command(place: str | None, store: str, plugins: tuple[str, ...], as_json: bool) -> int:
    """How many cells of each suite in a store are done, failed or missing.

    SUITE: the file or the name of one suite.
    """
    path, names = suites_at(place, store, plugins)
    opened = open_store(path)
    manifests = [opened.suite(name) for name in names or opened.suites()]
    found = [suite_status(opened, manifest) for manifest in manifests]
    if as_json:
        output.say_json(found)
        return 0
    if not found:
        output.note(f"{path}: no suite has run here")
        return 0
    rows = [
        [s["suite"], str(s["version"]), *(count(s[k]) for k in ("cells", "done", "failed", "missing"))]
        for s in found
    ]
    head = ["suite", "version", "cells", "done", "failed", "missing"]
    for line in output.table([head, *rows], right=range(1, 6)):
        output.say(line)
    for status, manifest in zip(found, manifests, strict=True):
        failures = [Failure(f["key"], f["title"], f["message"], f["where"]) for f in status["failures"]]
        again = call_of(manifest).command("run", path)
        for line in describe(failures, again, path):
            output.say(line)
    return 0


def suite_status(store: Store, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Cells of a suite: done, failed (they or what they are made from) and missing (not run yet)."""
    failures = list(_failures(store, manifest))
    by_key = {f["key"] for f in failures}
    stems: dict[tuple[str, ...], set[tuple[Any, ...]]] = {}  # by the coordinates that they have
    for failure in failures:
        if failure["stage"] in ("load", "train", "prepare"):
            where = {c: failure["where"][c] for c in _STEM if c in failure["where"]}
            stems.setdefault(tuple(where), set()).add(tuple(where.values()))
    cells = done = failed = 0
    for at, *keys in cells_in(manifest).listed():
        cells += 1
        if store.has(keys[0]):
            done += 1
        elif not by_key.isdisjoint(keys) or any(tuple(map(at.get, s)) in stems[s] for s in stems):
            failed += 1
    return {
        "suite": manifest["suite"],
        "version": manifest["version"],
        "file": manifest["file"],
        "cells": cells,
        "done": done,
        "failed": failed,
        "missing": cells - done - failed,
        "failures": failures,
    }


def _failures(store: Store, manifest: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """Failures kept in the store of nodes that the suite's last run planned; those of older ones, whose
    method was mended since, say nothing any more."""
    planned = set(nodes_in(manifest))
    for path in sorted((store.path / "failures").glob("*.json")):
        if (
            path.stem in planned
            and not store.has(path.stem)
            and (failure := store.failure(path.stem, whole=True))
        ):
            yield {k: failure[k] for k in ("key", "stage", "title", "where", "reason", "message")}
