"""Failed nodes for people: those with the same cause are told once."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..board.formats import count, plural
from . import output
from .options import command_line

#: A number that stands alone: `650`, not the line in `noise.py:31`.
_NUMBER = re.compile(r"(?<![\w.:])\d[\d.,]*(?!\w)")
#: Names that one cause lists.
_TITLES = 8


@dataclass(frozen=True)
class Failure:
    """A node that failed: as the scheduler tells it or as the store keeps it."""

    key: str
    title: str
    message: str
    where: Mapping[str, Any]
    blocked: int = 0

    @property
    def seed(self) -> int | None:
        seed = self.where.get("seed")
        return seed if self.title.endswith(f" · seed {seed}") else None

    @property
    def name(self) -> str:
        return self.title if self.seed is None else self.title.removesuffix(f" · seed {self.seed}")


def describe(
    failures: Iterable[Failure], run_command: str, store: str | None = None, *, most: int = 20
) -> list[str]:
    """Lines for all failures, those with one cause together; at most so many groups.

    Messages that differ in their numbers only count as one cause. run_command: what tries all of them again.
    """
    groups: dict[str, list[Failure]] = {}
    for failure in failures:
        groups.setdefault(_NUMBER.sub("#", failure.message), []).append(failure)
    lines = []
    for group in list(groups.values())[:most]:
        lines += _describe_group(group)
        key = group[0].key[:12]
        alone = len(group) == 1 and not group[0].blocked
        retry = f"{run_command} --only {key}" if alone else run_command
        show = command_line("robex", "show", key, store=store)
        lines += [f"        why    {show}", f"        retry  {retry}"]
    if len(groups) > most:
        more = command_line("robex", "status", "--json", store=store)
        lines.append(f"FAILED  {count(len(groups) - most)} more kinds: {more}")
    return lines


def _describe_group(group: Sequence[Failure]) -> Iterator[str]:
    """Failures with one cause: what failed, the message, what it blocked."""
    message = group[0].message
    if any(f.message != message for f in group):
        message += " (the others: other numbers)"
    by_name: dict[str, list[Failure]] = {}
    for failure in group:
        by_name.setdefault(failure.name, []).append(failure)
    titles = [_title(name, same) for name, same in by_name.items()]
    if len(titles) == 1:
        yield f"FAILED  {f'{len(group)} × ' if len(group) > 1 else ''}{titles[0]}"
        yield from _indented(message)
    else:
        first, *rest = _indented(f"{len(group)} × {message}")
        yield f"FAILED{first[6:]}"
        yield from rest
        most = len(titles) if len(titles) <= _TITLES + 1 else _TITLES
        for title in titles[:most]:
            yield from _indented(title)
        if most < len(titles):
            yield f"        and {count(len(titles) - most)} more"
    if blocked := sum(f.blocked for f in group):
        needs, them = "needs" if blocked == 1 else "need", "it" if len(titles) == 1 else "them"
        yield f"        {plural(blocked, 'node')} that {needs} {them} did not run"


def _title(name: str, group: Sequence[Failure]) -> str:
    seeds = sorted(f.seed for f in group if f.seed is not None)
    return f"{name} · {_seeds(seeds)}" if seeds else name


def _indented(text: str) -> list[str]:
    gap = " " * 8
    return textwrap.wrap(
        text, output.width(), initial_indent=gap, subsequent_indent=gap, break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip


def _seeds(seeds: Sequence[int]) -> str:
    """`seed 2`, `seeds 0 to 4`, `seeds 1, 3`."""
    if len(seeds) == 1:
        return f"seed {seeds[0]}"
    if len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[-1] + 1)):
        return f"seeds {seeds[0]} to {seeds[-1]}"
    return f"seeds {', '.join(map(str, seeds))}"
