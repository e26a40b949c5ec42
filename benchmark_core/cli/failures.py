"""Failed nodes for people: those that differ only by their seed are told once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..board.formats import count, plural


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


def describe(failures: Iterable[Failure], run_command: str, *, most: int = 20) -> list[str]:
    """Lines for all failures, grouped by what failed and why; at most so many groups."""
    groups: dict[tuple[str, str], list[Failure]] = {}
    for failure in failures:
        groups.setdefault((failure.name, failure.message), []).append(failure)
    lines = []
    for (name, message), group in list(groups.items())[:most]:
        seeds = sorted(f.seed for f in group if f.seed is not None)
        title = f"{name} · {_seeds(seeds)}" if seeds else name
        lines.append(f"FAILED  {f'{len(group)} × ' if len(group) > 1 else ''}{title}")
        lines.append(f"        {message}")
        if blocked := sum(f.blocked for f in group):
            lines.append(
                f"        {plural(blocked, 'node')} that {'needs' if blocked == 1 else 'need'} it did not run"
            )
        key = group[0].key[:12]
        retry = f"{run_command} --only {key}" if len(group) == 1 else run_command
        lines += [f"        why    robex show {key}", f"        retry  {retry}"]
    if len(groups) > most:
        lines.append(f"FAILED  {count(len(groups) - most)} more kinds: robex status")
    return lines


def _seeds(seeds: Sequence[int]) -> str:
    """`seed 2`, `seeds 0 to 4`, `seeds 1, 3`."""
    if len(seeds) == 1:
        return f"seed {seeds[0]}"
    if len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[-1] + 1)):
        return f"seeds {seeds[0]} to {seeds[-1]}"
    return f"seeds {', '.join(map(str, seeds))}"
