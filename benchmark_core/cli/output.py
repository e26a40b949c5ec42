"""Where words go: results to stdout, notes to stderr, in ASCII where the locale has nothing else."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from ..board import layout
from ..board.formats import ascii_text, finite
from ..errors import harmless

MAX_WIDTH = 100


def say(text: str = "") -> None:
    """A result."""
    _write(text, sys.stdout)


def say_wrapped(text: str) -> None:
    """A result on as many lines as the terminal needs; nothing in it may have to stay whole to be pasted."""
    for line in text.splitlines():
        for part in layout.wrapped(line, width()):
            say(part)


def write(text: str) -> None:
    """A result that ends in a newline already."""
    _write(text, sys.stdout, end="")


def note(text: str = "") -> None:
    """Progress, a hint or a warning."""
    _write(text, sys.stderr)


def say_json(value: Any) -> None:
    """One JSON document."""
    sys.stdout.write(json.dumps(finite(value), indent=1, allow_nan=False) + "\n")


def is_unicode(stream: TextIO) -> bool:
    return (getattr(stream, "encoding", None) or "ascii").lower().replace("-", "") in (
        "utf8",
        "utf16",
        "utf32",
    )


def width() -> int:
    """Columns of text: those of the terminal, at most 100; 100 where there is none."""
    return min(MAX_WIDTH, shutil.get_terminal_size((MAX_WIDTH, 24)).columns)


def is_terminal() -> bool:
    """Whether results go to a person; a file or a pipe gets whole tables."""
    return sys.stdout.isatty() or "COLUMNS" in os.environ


def short(text: str, room: int) -> str:
    return text if len(text) <= room else text[: max(0, room - 1)].rstrip() + "…"


def columns(rows: Iterable[Sequence[str]], right: Iterable[int] = ()) -> list[str]:
    """Rows with their columns aligned, those in `right` to the right."""
    rows = [list(row) for row in rows]
    wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
    to_right = set(right)
    return [
        "  ".join(
            c.rjust(w) if i in to_right else c.ljust(w)
            for i, (c, w) in enumerate(zip(row, wide, strict=True))
        ).rstrip()
        for row in rows
    ]


def table(rows: Sequence[Sequence[str]], right: Iterable[int] = ()) -> list[str]:
    """The first row heads the others: aligned columns, or below each name its numbers where the terminal is
    too narrow."""
    right = set(right)
    lines = columns(rows, right)
    if max(map(len, lines)) <= width():
        return lines
    heads, *rows = rows
    return list(layout.table(heads, rows, width()))


def wrapped(parts: Sequence[str]) -> list[str]:
    """Parts joined by dots, on as many lines as they need."""
    lines = [parts[0]]
    for part in parts[1:]:
        if len(lines[-1]) + 3 + len(part) <= width():
            lines[-1] += f" · {part}"
        else:
            lines.append(part)
    return lines


def _write(text: str, stream: TextIO, end: str = "\n") -> None:
    text = harmless(text)
    if not is_unicode(stream):
        text = ascii_text(text).encode("ascii", "replace").decode()
    stream.write(text + end)
