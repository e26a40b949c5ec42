"""A published number beside ours, as the page shows it: filled by whoever read the expected values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["within tolerance", "same order", "differs", "cannot tell"]

SYMBOLS: dict[Verdict, str] = {"within tolerance": "✓", "same order": "≈", "differs": "✕", "cannot tell": "?"}


@dataclass(frozen=True)
class PublishedLine:
    """name: row and metric. published, here, difference: as printed. text: why the verdict says so.

    source: where the number was printed; a link when it is an http(s) address.
    """

    board: str
    name: str
    published: str
    here: str
    difference: str
    verdict: Verdict
    text: str
    source: str = ""

    @property
    def symbol(self) -> str:
        return SYMBOLS[self.verdict]

    @property
    def link(self) -> str | None:
        return self.source if self.source.startswith(("http://", "https://")) else None
