"""`robex verify`: whether everything in a store, or in a bundle of somebody else's, is what it says it is."""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from lzma import LZMAError
from pathlib import Path

import click

from ..board.formats import count
from ..errors import RobexError, reason
from . import output
from .options import DEFAULT_STORE, open_store, trace_option

#: Of a bundle: how much larger it may become, bytes that any may unpack to, and those that a file takes.
_RATIO, _LEAST, _BLOCK = 200, 2**30, 4096


@click.command("verify")
@click.argument("place", metavar="[STORE|BUNDLE.tar.xz]", default=DEFAULT_STORE)
@trace_option
def command(place: str) -> int:
    """Check every record of a store or bundle against its checksums, its key and the cells it stands in. Exit
    code 1 if one fails.

    What this cannot show is that somebody ran what the records say: for that, run the suite again and
    compare (`robex compare THEIRS YOURS --check`).
    """
    from ..publish import verify

    with _unpacked(place) as folder:
        found = verify(open_store(folder))
    for line in found.damaged:
        output.say(line)
    without = found.records - found.results
    output.say(
        f"{place}: {count(found.records)} records are what they say they are, {count(found.results)} results "
        f"with them; {count(without)} come without (weights, attacks, explanations)"
        + (f"; {count(len(found.damaged))} more fail" if found.damaged else "")
    )
    return 1 if found.damaged else 0


@contextmanager
def _unpacked(place: str) -> Iterator[str]:
    """The folder of a store; a bundle is unpacked for the time being."""
    if not Path(place).is_file():
        yield place
        return
    with tempfile.TemporaryDirectory() as folder:
        try:
            most = _LEAST + _RATIO * Path(place).stat().st_size
            with tarfile.open(place) as tar:
                for member in tar:
                    most -= _BLOCK + member.size
                    if most < 0:
                        raise RobexError(
                            f"{place}: would unpack to over {_RATIO} times its size, as no bundle does"
                        )
                    tar.extract(member, folder, filter="data")
        except (tarfile.TarError, EOFError, LZMAError) as error:
            raise RobexError(f"{place}: no bundle, or a damaged one") from error
        except OSError as error:
            raise RobexError(f"{place}: {reason(error)}") from error
        held = [path for path in Path(folder).iterdir() if (path / "store.json").is_file()]
        if len(held) != 1:
            raise RobexError(f"{place}: no bundle (it holds {len(held)} stores, one was expected)")
        yield str(held[0])
