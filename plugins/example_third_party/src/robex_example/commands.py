"""The verb `robex winners`. It reads results as anybody can: from the JSON that `robex table` prints."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Mapping
from typing import Any

import click


@click.command("winners")
@click.argument("store", required=False)
@click.pass_context
def winners(ctx: click.Context, store: str | None) -> None:
    """For every column of a STORE's boards: the rows that no other row is shown to beat."""
    lines = [
        line
        for table in _tables(ctx, store)
        for block in table["blocks"]
        for i in range(len(block["columns"]))
        if (line := _line(table, block, i))
    ]
    for line in lines:
        click.echo(line)
    if not lines:
        click.echo("no board of this store ranks anything", err=True)


def _line(table: Mapping[str, Any], block: Mapping[str, Any], i: int) -> str:
    """`suite · board · dataset · metric: best row (value), ...` of column i; empty where it ranks nothing."""
    column = block["columns"][i]
    best = [(row, cell) for row in block["rows"] if (cell := row["cells"][i])["rank_lo"] == 1]
    if not best:
        return ""
    place = [table["suite"], table["board"], *_at(block), column["metric"], *_at(column, block)]
    rows = [f"{' · '.join(_at(row, block))} ({cell['value']:.3g}{column['unit']})" for row, cell in best]
    return f"{' · '.join(place)}: {', '.join(rows)}"


def _at(part: Mapping[str, Any], block: Mapping[str, Any] | None = None) -> list[str]:
    """Where a block, column or row stands, without what its block says already."""
    known = block["at"] if block else {}
    return [str(value) for name, value in part["at"].items() if name not in known]


def _tables(ctx: click.Context, store: str | None) -> list[dict[str, Any]]:
    """What `robex table STORE --json` prints."""
    robex = ctx.find_root().command
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with contextlib.redirect_stdout(out):
        robex.main(["table", *([store] if store else []), "--json"], standalone_mode=False)
    out.seek(0)
    return json.load(out)
