"""`robex table`: the boards of a store."""

from __future__ import annotations

import click

from ..board.table import FORMATS, Format
from ..errors import RobexError
from . import output
from .boards import DEFAULT_TOP, checked_of, render_tables, tables_of, write_checked
from .options import open_store, plugin_option, store_option, suites_at, trace_option


@click.command("table")
@click.argument("place", metavar="[STORE|BUNDLE|SUITE.yaml]", required=False)
@click.option("--suite", "names", metavar="NAME", multiple=True, help="Only this suite; may be repeated.")
@click.option("--board", metavar="NAME", help="Only this board.")
@click.option("--format", "form", type=click.Choice(FORMATS), default="text", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option("--wide", is_flag=True, help="All columns, however wide the terminal is.")
@click.option("--top", type=click.IntRange(min=1), metavar="N", help="The first N rows of every block.")
@click.option("--all", "everything", is_flag=True, help=f"All rows (text shows {DEFAULT_TOP}).")
@click.option("--incomplete", is_flag=True, help="Also the rows further down that lack cells.")
@store_option
@plugin_option
@trace_option
def command(
    place: str | None,
    names: tuple[str, ...],
    board: str | None,
    form: Format,
    as_json: bool,
    wide: bool,
    top: int | None,
    everything: bool,
    incomplete: bool,
    store: str,
    plugins: tuple[str, ...],
) -> int:
    """The boards of all suites in a store, or of one suite: rows with estimate, interval and n.

    Text and Markdown are rounded by the width of the intervals; CSV and JSON hold full precision, shares in
    percent.
    """
    form = "json" if as_json else form
    path, wanted = suites_at(place, store, plugins)
    opened = open_store(path)
    chosen = list(names) or wanted or opened.suites()
    if not chosen:
        raise RobexError(f"{path}: no suite has run here")
    manifests = {name: opened.suite(name) for name in chosen}
    tables = tables_of(opened, list(manifests.values()), board)
    if not tables and form == "text":
        output.note(f"{path}: no board of {', '.join(chosen)} has a cell")
        return 0
    limit = None if everything else top or (DEFAULT_TOP if form == "text" else None)
    checked = {
        (name, one.board): one
        for name, manifest in manifests.items()
        for one in checked_of(opened, manifest, tables)
    }
    output.write(render_tables(tables, form, wide=wide, top=limit, incomplete=incomplete, checked=checked))
    if form == "text":
        several = len({table.suite for table in tables}) > 1
        for (suite, _), one in checked.items():
            write_checked([one], suite if several else "")
    if form == "csv":
        from ..board.records import not_in_csv

        for line in not_in_csv(tables, limit, incomplete=incomplete, checked=checked):
            output.note(line)
    return 0
