"""`robex compare`: what differs between two stores, two suites or two rows."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import RobexError, did_you_mean
from . import output
from .options import find_store, json_option, open_store, readable, store_option, trace_option

if TYPE_CHECKING:
    from ..board.compare import Comparison, Side
    from ..store import Store


@click.command("compare")
@click.argument("left", metavar="[LEFT]", required=False)
@click.argument("right", metavar="[RIGHT]", required=False)
@click.option("--suite", "names", metavar="NAME", multiple=True, help="Only this suite; may be repeated.")
@click.option(
    "--rows", nargs=2, metavar="ROW ROW", help="Compare two rows of LEFT: defenses, or names of rows."
)
@click.option("--all", "everything", is_flag=True, help="Also list the cells that cannot be separated.")
@click.option(
    "--check",
    is_flag=True,
    help="Exit 1 when a cell differs, cannot be compared, or is only left, or when nothing is compared.",
)
@store_option
@json_option
@trace_option
def command(
    left: str | None,
    right: str | None,
    store: str,
    names: tuple[str, ...],
    rows: tuple[str, str] | None,
    everything: bool,
    check: bool,
    as_json: bool,
) -> int:
    """What differs between two stores, suites or rows, cell by cell.

    LEFT and RIGHT are stores, bundles, suites of the store (--store), or STORE:SUITE for one suite of
    another. With --rows, LEFT is the store if it is left out. Cells with equal coordinates are compared on
    the same seeds and samples; the p values are adjusted for all comparisons (Holm).
    """
    from ..board.compare_text import comparison_json, render_comparison

    found = _two_rows(left, right, store, names, rows) if rows else _two_sides(left, right, store, names)
    if as_json:
        output.say_json(comparison_json(found))
    else:
        width = output.width() if output.is_terminal() else None
        unicode = output.is_unicode(sys.stdout)
        output.write(render_comparison(found, everything=everything, width=width, unicode=unicode))
    return 1 if check and not found.passes else 0


def _two_rows(
    left: str | None, right: str | None, store: str, names: tuple[str, ...], rows: tuple[str, str]
) -> Comparison:
    from ..board.compare import compare_two_rows

    if right is not None:
        raise RobexError(f"--rows compares two rows of one store; leave out {right}")
    left = store if left is None else left
    sides = _sides(left, store, names)
    if len(sides) > 1:
        known = ", ".join(side.manifest["suite"] for side in sides)
        raise RobexError(f"{left}: --rows needs one suite; choose with --suite: {known}")
    return compare_two_rows(sides[0], *rows)


def _two_sides(left: str | None, right: str | None, store: str, names: tuple[str, ...]) -> Comparison:
    from ..board.compare import compare_suites

    if left is None or right is None:
        raise RobexError("compare needs two stores or suites, or --rows with two rows of one")
    sides = _sides(left, store, names), _sides(right, store, names)
    if len(sides[0]) == len(sides[1]) == 1:
        return compare_suites([(sides[0][0], sides[1][0])], left, right)
    mine, theirs = ({side.manifest["suite"]: side for side in found} for found in sides)
    for where, some, others in ((left, mine, theirs), (right, theirs, mine)):
        if alone := [name for name in some if name not in others]:
            output.note(f"only in {where}: suite {', '.join(alone)}")
    both = [name for name in mine if name in theirs]
    # Of two stores a suite may be lost; where one side is a suite, nobody asks about the other's others.
    stores = _is_store(left) and _is_store(right)
    wanted = dict.fromkeys((*mine, *theirs)) if stores else both
    if not both:
        raise RobexError(
            f"{left} and {right} have no suite of the same name; write STORE:SUITE to pick one of each"
        )
    return compare_suites([(mine.get(name), theirs.get(name)) for name in wanted], left, right)


def _sides(place: str, default: str, names: tuple[str, ...]) -> list[Side]:
    """The suites that an argument stands for; default: the store whose suites need no store's name."""
    from ..board.compare import Side

    folder, suite = readable(place), None
    if not _is_store(place):
        head, colon, tail = place.rpartition(":")
        known = found.suites() if (found := find_store(default)) is not None else []
        if place in known:
            folder, suite = default, place
        elif colon and Path(head).is_dir():
            folder, suite = head, tail
        elif not Path(place).is_dir():
            hint = did_you_mean(place, known) or (f"; {default} holds: {', '.join(known)}" if known else "")
            raise RobexError(
                f"{place}: no such store and no suite of {default}; name a folder with records, a suite, or "
                f"STORE:SUITE{hint}"
            )
    store = open_store(folder)
    wanted = [suite] if suite is not None else _wanted(store, names)
    return [Side(place, store, store.suite(name)) for name in wanted]


def _is_store(place: str) -> bool:
    return (Path(readable(place)) / "store.json").is_file()


def _wanted(store: Store, names: tuple[str, ...]) -> list[str]:
    known = store.suites()
    if not known:
        raise RobexError(f"{store.path}: no suite has run here")
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known) or f"; it holds: {', '.join(known)}"
            raise RobexError(f'{store.path}: no suite called "{name}" has run here{hint}')
    return list(names) or known
