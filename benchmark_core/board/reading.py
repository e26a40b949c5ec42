"""The scores of a column, read a row at a time or at once, and let go when the column is done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .cells import is_binary
from .scores import Scores, Stacked

_HELD_BYTES = 256 * 2**20  # of a column that is worked on


class Rows(Sequence[Scores | None]):
    """The scores of a column, one a row (None: it does not apply), read when they are asked for. While a
    column is worked on it stays in memory if it is not too large; afterwards only the row asked for last
    does. whole: all of it, where that is known at once."""

    def __init__(self, read: Callable[[int], Scores | None], count: int, whole: Stacked | None) -> None:
        self._read, self._count, self.whole = read, count, whole
        self._done: dict[int, int] = {}  # seeds that are there, of the rows read so far
        self._held: dict[int, Scores | None] = {}
        self._free = _HELD_BYTES

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, row: Any) -> Any:
        if self.whole is not None:
            return self.whole[row]
        if row in self._held:
            return self._held[row]
        scores = self._read(range(self._count)[row])
        there = [] if scores is None else [v.nbytes for v in scores.values if v is not None]
        self._done[row], size = len(there), sum(there)
        if size > self._free and self._held:
            self._held.clear()
            self._free = 0
        self._free -= size
        self._held[row] = scores
        return scores

    def binary(self) -> bool:
        """Whether all scores are 0, 1 or no number."""
        return all(s is None or is_binary(s) for s in ([self.whole] if self.whole is not None else self))

    def done(self, row: int) -> int:
        """How many seeds of a row that was read are there."""
        return self.whole.values.shape[1] if self.whole is not None else self._done[row]

    def release(self) -> None:
        self.whole = None
        self._held.clear()
        self._free = 0
