"""Errors that are the user's to mend: one line each that says what, where and what to do; no traceback."""

from __future__ import annotations

import difflib
import errno
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .suite.model import Suite

#: Of a file with many mistakes, messages show so many lines; `problems` holds all.
MAX_SHOWN = 50
_MAX_LENGTH = 400
#: Control characters but tabs and line ends, changes of direction, halves of characters.
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class RobexError(Exception):
    """Shown as its message alone; `--trace` shows where it came from. `exit_code` is the command's."""

    exit_code = 2


@dataclass(frozen=True, order=True)
class Problem:
    """One thing wrong with a file. line and column count from 1; 0 when the place is not known.

    The message is one line of printable text: what a file holds cannot steer a terminal or fill it.
    """

    file: str
    line: int
    column: int
    message: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", printable(cut(self.message)))

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{printable(place)}: {self.message}"


class SuiteErrors(RobexError):
    """Everything that is wrong with a suite, in the order of the file. suite: what could be read of it."""

    def __init__(self, problems: Iterable[Problem], suite: Suite | None = None) -> None:
        self.problems = sorted(set(problems))
        self.suite = suite
        count = len(self.problems)
        ending = f"{count} error{'s' if count != 1 else ''}; nothing was run."
        super().__init__("\n".join([*shown(self.problems), ending]))


def shown(problems: Sequence[Problem | str]) -> list[str]:
    """The problems as lines, at most `MAX_SHOWN` and how many more there are."""
    more = len(problems) - MAX_SHOWN
    return [*map(str, problems[:MAX_SHOWN]), *([f"... and {more:,} more"] if more > 0 else [])]


def printable(text: str) -> str:
    """The text with what a terminal would obey (control characters, changes of direction) written out."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def harmless(text: str) -> str:
    """Lines of text with everything else written out that a terminal would obey, or that no file takes."""
    return _OBEYED.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def cut(text: str, limit: int = _MAX_LENGTH) -> str:
    """The text, or its start and its end."""
    return text if len(text) <= limit else f"{text[: limit * 2 // 3]} ... {text[5 - limit // 3 :]}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean "pgd"?` when something known is close, else nothing."""
    close = close_to(word, known)
    return f'; did you mean "{close[0]}"?' if close else ""


def close_to(word: str, known: Iterable[str]) -> list[str]:
    """What the word may be a slip of, if anything: one name."""
    # Comparing takes time: of names nobody would have typed, or hundreds of them, no hint is worth it.
    return difflib.get_close_matches(word[:100], list(islice(known, 300)), n=1, cutoff=0.6)


def one_line(error: BaseException) -> str:
    """An exception as one line that any terminal and file takes: its type only when it is not ours."""
    try:
        text = printable(" ".join(str(error).split())) or "no message"
    except Exception:  # whoever wrote its class made a mistake there
        text = "its message cannot be told"
    return text if isinstance(error, RobexError) else f"{type(error).__name__}: {text}"


def reason(error: OSError) -> str:
    """What went wrong with a file, and what a person can do about it."""
    hints = {
        errno.ENOSPC: "the disk is full; free some space and run the same command again",
        errno.EDQUOT: "the disk quota is used up; free some space and run the same command again",
        errno.EROFS: "the file system is read-only; name another store with --store",
        errno.EACCES: "no permission to write; name another store with --store",
    }
    return hints.get(error.errno or 0, error.strerror or str(error))
