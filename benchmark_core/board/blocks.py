"""Several columns at once: the Pareto front of two metrics, and one metric across blocks (datasets, models).

There is no overall rank across metrics.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

from .correlation import twice_ranks
from .pairs import Pairs, holm
from .ranks import Direction, Standing, tie_groups
from .statistics import ALPHA, Estimate

if TYPE_CHECKING:
    import numpy as np

_Name = TypeVar("_Name")

_AT_ONCE = 4096  # pairs


# --- two metrics -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Axis:
    """One metric of a Pareto picture: estimates of the K rows that both metrics rank, and their pairs."""

    estimates: Sequence[float]
    pairs: Pairs
    direction: Direction


@dataclass(frozen=True)
class Front:
    """dominated_by: for each row the rows that clearly dominate it. front: the rows that none does."""

    dominated_by: tuple[tuple[int, ...], ...]

    @property
    def front(self) -> tuple[int, ...]:
        return tuple(row for row, others in enumerate(self.dominated_by) if not others)


def pareto_front(x: Axis, y: Axis) -> Front:
    """Row k is clearly dominated by j if j is separated-better on one axis and, on the other, not
    separated-worse with an estimate at least as good. Holm runs over the pairs of both columns together."""
    import numpy as np

    together = holm(np.concatenate([x.pairs.p, y.pairs.p]))
    half = len(x.pairs.p)
    better, good = [], []
    for axis, adjusted in ((x, together[:half]), (y, together[half:])):
        sign = 1 if axis.direction == "higher" else -1
        better.append(sign * axis.pairs.take(range(axis.pairs.rows), adjusted).signs())
        estimates = sign * np.asarray(axis.estimates, dtype=np.float64)
        good.append(estimates[:, None] >= estimates)
    on_x = (better[0] > 0) & (better[1] >= 0) & good[1]
    on_y = (better[1] > 0) & (better[0] >= 0) & good[0]
    dominates = on_x | on_y
    return Front(tuple(tuple(int(j) for j in np.flatnonzero(column)) for column in dominates.T))


# --- one metric across blocks ----------------------------------------------------------------------


@dataclass(frozen=True)
class WinsTiesLosses:
    """Over blocks, the number of rows that a row is separated from and better, not separated from, worse."""

    wins: int = 0
    ties: int = 0
    losses: int = 0

    def __str__(self) -> str:
        return f"{self.wins}-{self.ties}-{self.losses}"


def wins_ties_losses(blocks: Sequence[Mapping[_Name, Standing | None]]) -> dict[_Name, WinsTiesLosses]:
    """blocks: the standings of the rows of each block by name; None, or no entry, where a row is not
    ranked."""
    found: dict[_Name, WinsTiesLosses] = {}
    for block in blocks:
        ranked = sum(standing is not None for standing in block.values())
        for name, standing in block.items():
            before = found.setdefault(name, WinsTiesLosses())
            if standing is not None:
                found[name] = WinsTiesLosses(
                    before.wins + ranked - standing.high,
                    before.ties + standing.high - standing.low,
                    before.losses + standing.low - 1,
                )
    return found


def mean_over_blocks(
    measures: Sequence[tuple[str, str | None]], estimates: Sequence[Estimate | None]
) -> float | None:
    """The mean estimate of a row over blocks; None unless the (unit, direction) of all blocks agree and the
    row has a complete and finite one in each."""
    if len(set(measures)) != 1 or len(estimates) != len(measures):
        return None
    values = [
        e.value
        for e in estimates
        if e is not None
        and e.value is not None
        and e.state not in ("incomplete", "nan")
        and math.isfinite(e.value)
    ]
    return math.fsum(values) / len(values) if len(values) == len(estimates) else None


@dataclass(frozen=True)
class CriticalDifference:
    """mean_ranks: among these K rows (1: the best in every block). p_holm: (K, K), 1 on the diagonal.

    groups: maximal runs, in the order of mean ranks, of rows that cannot be separated.
    """

    mean_ranks: tuple[float, ...]
    p_holm: np.ndarray
    groups: tuple[tuple[int, ...], ...]


def blocks_needed(rows: int) -> int:
    """The smallest N with 2^(1-N) <= 0.05 / (K (K-1) / 2): fewer blocks can separate no pair after Holm."""
    pairs = max(1, rows * (rows - 1) // 2)
    return next(n for n in range(1, 64) if 2.0 ** (1 - n) <= ALPHA / pairs)


def critical_difference(
    estimates: np.ndarray, names: Sequence[str], direction: Direction
) -> CriticalDifference | None:
    """Compares rows by their estimates in N blocks (N, K), complete rows only; None with too few blocks.

    Pairs by the Wilcoxon signed-rank test over blocks, Holm. A mean rank depends on who else is on the board.
    """
    import numpy as np

    values = np.asarray(estimates, dtype=np.float64) * (1 if direction == "higher" else -1)
    blocks, rows = values.shape
    if rows < 2 or blocks < blocks_needed(rows):
        return None
    if not np.isfinite(values).all():
        raise ValueError("a row has no estimate in some block; leave it out of the comparison over blocks")
    mean_ranks = np.mean([twice_ranks(-block) / 2 for block in values], axis=0)
    upper = np.triu_indices(rows, 1)
    found = [
        signed_ranks((values[:, upper[0][at]] - values[:, upper[1][at]]).T)
        for at in (slice(start, start + _AT_ONCE) for start in range(0, len(upper[0]), _AT_ONCE))
    ]
    adjusted = holm(np.concatenate(found))
    p = np.ones((rows, rows))
    p[upper] = adjusted
    p.T[upper] = adjusted
    order = sorted(range(rows), key=lambda k: (mean_ranks[k], names[k]))
    runs = tie_groups((p < ALPHA)[np.ix_(order, order)])
    groups = tuple(tuple(order[i] for i in run) for run in runs)
    return CriticalDifference(tuple(float(r) for r in mean_ranks), p, groups)


def signed_rank(d: np.ndarray) -> float:
    """Exact two-sided p of Wilcoxon's signed-rank test over all 2^N sign changes of d (N,).

    Average ranks of |d|; a zero is ranked and counts half to either side, whatever its sign.
    """
    return float(signed_ranks(d[None])[0])


def signed_ranks(d: np.ndarray) -> np.ndarray:
    """The same of many d (P, N): (P,)."""
    import numpy as np

    size = np.abs(d).max(1, initial=0.0)
    d = np.round(d / np.where(size > 0, size, 1.0)[:, None], 12)  # equal up to rounding is equal
    ranks = twice_ranks(np.abs(d)) * (d != 0)
    observed = np.abs((ranks * np.sign(d)).sum(1)).astype(np.intp)
    found = np.ones(len(d))
    ascending = np.sort(ranks, axis=1)
    plain = (ascending == 2 * np.arange(1, d.shape[1] + 1)).all(1)  # nothing equal and nothing zero: usual
    for rows in (np.flatnonzero(plain), *np.flatnonzero(~plain)[:, None]):
        if len(rows):
            kinds = ascending[rows[0]]
            found[rows] = np.minimum(1.0, 2 * _reached(tuple(kinds[kinds > 0].tolist()))[observed[rows]])
    return np.where(observed > 0, found, 1.0)


@lru_cache(maxsize=256)
def _reached(ranks: tuple[int, ...]) -> np.ndarray:
    """How likely the signed sum of these ranks is s or more, for s = 0, 1, ..., when every sign is a toss."""
    import numpy as np

    total = sum(ranks)
    chance = np.zeros(2 * total + 1)  # of each signed sum -total..total
    chance[total] = 1.0
    for rank in ranks:
        chance = (np.roll(chance, rank) + np.roll(chance, -rank)) / 2
    return chance[::-1].cumsum()[::-1][total:]
