"""When the files of nodes were written, and how large they are: found by this process, or by one beside it
while this one works. Run as a script, it is that other process, and knows nothing of robex.
"""

from __future__ import annotations

import os
import sys
from array import array
from collections.abc import Iterable, Mapping, Sequence

_AT_ONCE = 4096
_WIDTH = 16  # bytes of a stamp


def stamp(folder: str, key: str, file: str) -> tuple[int, int]:
    """When a node's file was written, as one number that differs for another file and for other content of
    the same one, even where somebody set its mtime; and its size. Raises OSError when there is none.

    folder: of all nodes.
    """
    found = os.stat(f"{folder}/{key[:2]}/{key}/{file}")
    written = found.st_mtime_ns * 31 + found.st_ctime_ns * 17 + found.st_ino
    return written & (2**63 - 1), found.st_size


def stamps(folder: str, keys: Iterable[str], file: str) -> array[int]:
    """The same of many nodes, one after the other; -1 and -1 where there is none."""
    found = array("q")
    for key in keys:
        try:
            found.extend(stamp(folder, key, file))
        except OSError:
            found.extend((-1, -1))
    return found


class Ahead:
    """Stamps of groups of nodes that will be asked for about in this order, found by a process beside this
    one. Whatever becomes of that process, None means: look yourself.
    """

    def __init__(self, folder: str, groups: Mapping[str, Sequence[str]], file: str) -> None:
        import subprocess
        import tempfile

        self._waiting = {name: _WIDTH * len(keys) for name, keys in groups.items()}
        self._found: dict[str, bytes] = {}
        with tempfile.TemporaryFile() as listed:
            for keys in groups.values():
                listed.write("".join(f"{key}\n" for key in keys).encode())
            listed.seek(0)
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", __file__, folder, file],
                stdin=listed,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )

    def get(self, name: str) -> bytes | None:
        """The stamps of a group, as int64; None when they are not known."""
        out = self._process.stdout
        assert out is not None
        while name in self._waiting and name not in self._found:
            first = next(iter(self._waiting))
            size = self._waiting.pop(first)
            self._found[first] = out.read(size)
            if len(self._found[first]) < size:  # it ended before its time
                self._waiting.clear()
                del self._found[first]
        return self._found.get(name)

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def able() -> bool:
    """Whether a second process would have a processor of its own."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return bool(sys.executable) and count > 1


def _main(folder: str, file: str) -> None:
    keys: list[str] = []
    for line in sys.stdin:
        keys.append(line.rstrip("\n"))
        if len(keys) == _AT_ONCE:
            sys.stdout.buffer.write(stamps(folder, keys, file))
            keys.clear()
    sys.stdout.buffer.write(stamps(folder, keys, file))


if __name__ == "__main__":
    _main(*sys.argv[1:])
