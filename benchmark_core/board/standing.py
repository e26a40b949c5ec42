"""What comparing the rows of a column says of each of them: ranks, ties and sentences, ready to show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from . import ranks, words
from .intervals import ALPHA
from .model import Column, Pair, Ranking
from .moments import Kept
from .pairs import upper
from .scores import Scores, Stacked
from .statistics import Estimate
from .strips import told_name

if TYPE_CHECKING:
    import numpy as np

#: Above so many rows only separated pairs are kept.
ALL_PAIRS = 50


def rank(
    column: Column,
    names: Sequence[str],
    estimates: Sequence[Estimate | None],
    scores: Sequence[Scores | None],
    *,
    quantile: float | None = None,
    kept: Kept | None = None,
) -> Ranking:
    """Ranks the rows of a column that are complete and comparable; the others stay unranked. kept: what
    `estimate_column` kept."""
    assert column.direction is not None
    kind, direction = column.kind, column.direction
    found = ranks.rank_column(names, estimates, scores, kind, direction, quantile=quantile, kept=kept)  # type: ignore[arg-type]
    of = len(found.ranked)
    return Ranking(
        found.standings,
        of,
        _pairs(found, column.direction, every=of <= ALL_PAIRS),
        words.verdict(told_name(column), names, found),
    )


@dataclass(frozen=True, eq=False)
class PairList(Sequence[Pair]):
    """The comparisons of a column as arrays: a board of 500 rows has 125,000 of them. Reads as Pairs.

    first, second, better: (m,) rows of the block (better -1: not separated); the rest: (m,) floats, NaN where
    no interval exists.
    """

    first: np.ndarray
    second: np.ndarray
    better: np.ndarray
    difference: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray
    p_adjusted: np.ndarray

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return [self[i] for i in range(len(self))[at]]
        low, high, better = float(self.low[at]), float(self.high[at]), int(self.better[at])
        return Pair(
            int(self.first[at]),
            int(self.second[at]),
            float(self.difference[at]),
            None if math.isnan(low) else low,
            None if math.isnan(high) else high,
            float(self.p[at]),
            float(self.p_adjusted[at]),
            None if better < 0 else better,
        )

    def renamed(self, place: np.ndarray) -> PairList:
        """The same pairs when row i of the block is called place[i]."""
        import numpy as np

        better = np.where(self.better < 0, -1, place[self.better])
        return replace(self, first=place[self.first], second=place[self.second], better=better)

    def separated(self) -> np.ndarray:
        """(s, 2): the better and the worse row of every separated pair."""
        import numpy as np

        kept = self.better >= 0
        worse = np.where(self.better == self.first, self.second, self.first)
        return np.stack([self.better[kept], worse[kept]], 1)


def _pairs(found: ranks.Ranking, direction: str, *, every: bool) -> PairList:
    import numpy as np

    pairs, rows = found.pairs, np.asarray(found.ranked, dtype=np.intp)
    at = np.arange(len(pairs.p)) if every else np.flatnonzero(pairs.p_holm < ALPHA)
    first, second = (rows[of[at]] for of in upper(pairs.rows))
    difference, p_holm = pairs.difference[at], pairs.p_holm[at]
    ahead = np.where((difference > 0) == (direction == "higher"), first, second)
    better = np.where(p_holm < ALPHA, ahead, -1)
    return PairList(first, second, better, difference, pairs.low[at], pairs.high[at], pairs.p[at], p_holm)


def reordered(column: Column, order: Sequence[int]) -> Column:
    """The column when its rows stand in another order: order[new] = old."""
    import numpy as np

    ranking = column.ranking
    if ranking is None:
        return column
    place = np.empty(len(order), dtype=np.intp)
    place[list(order)] = np.arange(len(order))
    assert isinstance(ranking.pairs, PairList)
    standings = tuple(ranking.standings[old] for old in order)
    return replace(column, ranking=replace(ranking, standings=standings, pairs=ranking.pairs.renamed(place)))


def worst_of(scores: Sequence[Scores | None], *, higher: bool) -> Scores | None:
    """Sample by sample the worst of several attacks on one row; a seed is missing where one attack's is."""
    import numpy as np

    there = [s for s in scores if s is not None]
    if len(there) < len(scores):
        return None
    worst = np.minimum if higher else np.maximum
    values = []
    for of_seed in zip(*(s.values for s in there), strict=True):
        if any(v is None for v in of_seed) or len({len(v) for v in of_seed if v is not None}) > 1:
            values.append(None)
        else:
            values.append(worst.reduce([v for v in of_seed if v is not None]))
    same = all(s.same_samples for s in there)
    return Scores(values, [None] * len(values), min(s.samples for s in there), same)


def worse(a: Stacked, b: Stacked, *, higher: bool) -> Stacked | None:
    """The same of two attacks on all rows; None where they are not of one shape."""
    import numpy as np

    if a.values.shape != b.values.shape:
        return None
    worst = (np.minimum if higher else np.maximum)(a.values, b.values)
    return Stacked(worst, None, min(a.samples, b.samples), a.same_samples and b.same_samples)
