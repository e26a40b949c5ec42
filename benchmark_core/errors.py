"""Errors that are the user's to mend: one line each that says what, where and what to do; no traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


class RobexError(Exception):
    """Shown as its message alone; `--trace` shows where it came from. `exit_code` is the command's."""

    exit_code = 2


@dataclass(frozen=True, order=True)
class Problem:
    """One thing wrong with a file. line and column count from 1; 0 when the place is not known."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.message}"


class SuiteErrors(RobexError):
    """Everything that is wrong with a suite, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(set(problems))
        count = len(self.problems)
        ending = f"{count} error{'s' if count != 1 else ''}; nothing was run."
        super().__init__("\n".join([*map(str, self.problems), ending]))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean "pgd"?` when something known is close, else nothing."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f'; did you mean "{close[0]}"?' if close else ""


def one_line(error: BaseException) -> str:
    """An exception as one line: its type only when it is not ours."""
    text = " ".join(str(error).split()) or "no message"
    return text if isinstance(error, RobexError) else f"{type(error).__name__}: {text}"
