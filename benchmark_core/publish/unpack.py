"""Bundles of others: what unpacks must stay where it is put, and be no larger than a bundle is."""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from lzma import LZMAError
from pathlib import Path

from ..errors import RobexError, reason

#: How much larger a bundle may become, bytes that any may unpack to, and those that a file takes.
_RATIO, _LEAST, _BLOCK = 200, 2**30, 4096


def is_bundle(path: str) -> bool:
    """Whether it is the file of a bundle, as far as its first bytes say."""
    try:
        return Path(path).is_file() and tarfile.is_tarfile(path)
    except OSError as error:
        raise RobexError(f"{path}: {reason(error)}") from error


@contextmanager
def unpacked(place: str) -> Iterator[str]:
    """The folder of the store that a bundle holds, for the time being.

    Raises RobexError when it holds anything else, or the disk is full.
    """
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
