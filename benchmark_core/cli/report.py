"""`robex report`: one self-contained HTML page from a store; `run` leaves one too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import RobexError
from . import output
from .boards import checked_of, tables_of
from .options import (
    DEFAULT_STORE,
    call_of,
    open_store,
    plugin_option,
    readable,
    store_option,
    suites_at,
    trace_option,
)

if TYPE_CHECKING:
    from ..board import Table
    from ..board.site import PublishedLine
    from ..store import Store


@click.command("report")
@click.argument("place", metavar="[STORE|BUNDLE|SUITE.yaml]", required=False)
@click.option("--suite", "names", metavar="NAME", multiple=True, help="Only this suite; may be repeated.")
@click.option(
    "--output",
    "-o",
    "file",
    metavar="FILE",
    help="Where to write it (default: STORE/report.html; of a bundle: report.html).",
)
@store_option
@plugin_option
@trace_option
def command(
    place: str | None, names: tuple[str, ...], file: str | None, store: str, plugins: tuple[str, ...]
) -> int:
    """One HTML page with the boards, pictures and provenance of a store: one file, works offline.

    The page depends on the records alone: the same store gives the same bytes.
    """
    from ..board.checked_forms import published_lines

    path, wanted = suites_at(place, store, plugins)
    opened = open_store(path)
    manifests = [opened.suite(name) for name in list(names) or wanted or opened.suites()]
    tables = tables_of(opened, manifests)
    published = {
        m["suite"]: [line for one in checked_of(opened, m, tables) for line in published_lines(one)]
        for m in manifests
    }
    bundled = any(readable(named) != named for named in (place or "", store))
    where = file or ("report.html" if bundled else None)
    again = DEFAULT_STORE if bundled else str(opened.path)
    output.say_wrapped(_line(_write(opened, manifests, where, tables, published, again)))
    return 0


def leave_report(
    store: Store,
    manifest: Mapping[str, Any],
    tables: Sequence[Table],
    published: Sequence[PublishedLine] = (),
) -> None:
    """Write `<store>/report.html` after a run and say so; a quick look gets a page of its own. tables: the
    suite's."""
    name = str(store.path / f"report-{manifest['suite']}.html") if manifest.get("overrides") else None
    published_here = {manifest["suite"]: published}
    output.note(_line(_write(store, [manifest], name, tables, published_here, str(store.path))))


def _write(
    store: Store,
    manifests: Sequence[Mapping[str, Any]],
    file: str | None,
    tables: Sequence[Table],
    published: Mapping[str, Sequence[PublishedLine]],
    path: str,
) -> Path:
    """path: the store in commands."""
    from ..board.site import write_report

    again = {m["suite"]: call_of(m).command("run", path) for m in manifests}
    try:
        return write_report(store, file, suites=manifests, tables=tables, commands=again, published=published)
    except UnicodeEncodeError as error:  # bytes in the name of a file that are no UTF-8
        around = error.object[max(0, error.start - 20) : error.end + 20]
        raise RobexError(f"no report: {around!a} is no text; rename the file that is called so") from None


def _line(path: Path) -> str:
    return f"Report: {path}   (one file, works offline)"
