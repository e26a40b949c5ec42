"""`robex verify`: whether everything in a store, or in a bundle of somebody else's, is what it says it is."""

from __future__ import annotations

import click

from ..board.formats import count
from . import output
from .options import DEFAULT_STORE, open_store, readable, trace_option


@click.command("verify")
@click.argument("place", metavar="[STORE|BUNDLE]", default=DEFAULT_STORE)
@trace_option
def command(place: str) -> int:
    """Check every record of a store or bundle against its checksums, its key and the cells it stands in. Exit
    code 1 if one fails.

    What this cannot show is that somebody ran what the records say: for that, run the suite again and
    compare (`robex compare THEIRS YOURS --check`).
    """
    from ..publish import verify

    found = verify(open_store(readable(place)))
    for line in found.damaged:
        output.say(line)
    without = found.records - found.results
    output.say(
        f"{place}: {count(found.records)} records are what they say they are, {count(found.results)} results "
        f"with them; {count(without)} come without (weights, attacks, explanations)"
        + (f"; {count(len(found.damaged))} more fail" if found.damaged else "")
    )
    return 1 if found.damaged else 0
