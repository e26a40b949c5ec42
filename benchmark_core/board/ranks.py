"""Ranks, tie groups and the order of the rows of one column, from the comparisons of its pairs."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from .moments import Kept
from .pairs import ColumnScores, Pairs, compare_kept, compare_rows
from .statistics import Estimate, Kind, Scores

if TYPE_CHECKING:
    import numpy as np

Direction = Literal["higher", "lower"]
#: The signs of tie groups.
ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Standing(NamedTuple):
    """Where the comparisons of a column leave a row: no better than rank `low`, no worse than `high`.

    ties: the letters of its groups of rows that cannot be separated (`ab`: it is in two).
    """

    low: int
    high: int
    ties: str

    @property
    def bold(self) -> bool:
        """No row is separated as better."""
        return self.low == 1


@dataclass(frozen=True)
class Ranking:
    """A column ranked. Rows are indices into the column.

    ranked: the rows that are, as pairs counts them (0, 1, ...). standings: one a row, None where it is not
    ranked. groups: maximal runs of rows that cannot be separated, the best first. order: all rows as they
    are shown.
    """

    ranked: tuple[int, ...]
    pairs: Pairs
    standings: tuple[Standing | None, ...]
    groups: tuple[tuple[int, ...], ...]
    order: tuple[int, ...]

    @property
    def top(self) -> tuple[int, ...]:
        """Rows that no row is separated from as better, in the order shown."""
        return tuple(row for row in self.order if (s := self.standings[row]) is not None and s.bold)


@dataclass(frozen=True)
class Some(Sequence[Scores]):
    """Some rows of a column, read when they are asked for. None of them may be one that does not apply."""

    column: Sequence[Scores | None] | ColumnScores
    rows: Sequence[int]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: Any, /) -> Any:
        return self.column[self.rows[row]]


def rank_column(
    names: Sequence[str],
    estimates: Sequence[Estimate | None],
    column: Sequence[Scores | None] | ColumnScores,
    kind: Kind,
    direction: Direction,
    *,
    quantile: float | None = None,
    kept: Kept | None = None,
) -> Ranking:
    """Ranks the rows whose state is `ok`; the scores of no other row are read, and none changes a rank.

    names, estimates, column: one for each row. estimates None: the metric does not apply to the row. kept:
    what `estimate_column` kept, so that nothing is read again.
    """
    ranked = tuple(i for i, e in enumerate(estimates) if e is not None and e.state == "ok")
    pairs = compare_kept(kept, ranked, kind) if kept is not None else None
    if pairs is None:
        pairs = compare_rows(Some(column, ranked), kind, quantile=quantile)
    return rank_pairs(names, estimates, ranked, pairs, direction)


def rank_pairs(
    names: Sequence[str],
    estimates: Sequence[Estimate | None],
    ranked: Sequence[int],
    pairs: Pairs,
    direction: Direction,
) -> Ranking:
    """The same from comparisons that exist: pairs compares the rows `ranked`, in their order."""
    import numpy as np

    sign = 1 if direction == "higher" else -1
    better = sign * pairs.signs()  # 1: the row is separated from the column's row and better
    lows = (1 + np.count_nonzero(better < 0, 1)).tolist()
    highs = (len(ranked) - np.count_nonzero(better > 0, 1)).tolist()
    places: list[tuple[float, str]] = []  # by estimate, then by name
    for row in ranked:
        estimate = estimates[row]
        if estimate is None or estimate.value is None:
            raise ValueError(f'row "{names[row]}" is ranked and has no estimate')
        places.append((-sign * estimate.value, names[row]))
    by_estimate = sorted(range(len(ranked)), key=places.__getitem__)
    runs = tie_groups((better != 0)[by_estimate].take(by_estimate, axis=1))
    groups = [[by_estimate[place] for place in run] for run in runs]
    # Starts and ends of groups both ascend, so the groups of a row follow one another.
    letters = [letter(g) for g in range(len(runs))]
    starts, stops = [run.start for run in runs], [run.stop for run in runs]
    standings: list[Standing | None] = [None] * len(names)
    for place, k in enumerate(by_estimate):
        ties = "".join(letters[bisect_right(stops, place) : bisect_right(starts, place)])
        standings[ranked[k]] = Standing(lows[k], highs[k], ties)
    shown = sorted(by_estimate, key=lows.__getitem__)
    rest = sorted(set(range(len(names))) - set(ranked), key=lambda row: names[row])
    return Ranking(
        tuple(ranked),
        pairs,
        tuple(standings),
        tuple(tuple(ranked[k] for k in group) for group in groups),
        (*(ranked[k] for k in shown), *rest),
    )


def tie_groups(separated: np.ndarray) -> list[range]:
    """Maximal runs of neighbours in which no pair is separated. separated: (K, K), rows in their order."""
    import numpy as np

    rows = len(separated)
    if rows == 0:
        return []
    every = np.arange(rows)
    later = separated & np.less.outer(every, every)
    first = np.where(later.any(1), later.argmax(1), rows)  # the first row after k that is separated from it
    end = np.minimum.accumulate(first[::-1])[::-1]
    starts = [0, *(np.flatnonzero(end[1:] > end[:-1]) + 1).tolist()]
    return [range(*run) for run in zip(starts, end[starts].tolist(), strict=True)]


def letter(index: int) -> str:
    """`a` to `z`, then `A` to `Z`, then `(53)`, ...: one sign a group, so that `ab` means two groups."""
    return ALPHABET[index] if index < len(ALPHABET) else f"({index + 1})"
