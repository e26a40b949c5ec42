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
from .intervals import ALPHA
from .p_values import holm
from .ranks import Direction, Standing, tie_groups
from .statistics import Estimate

if TYPE_CHECKING:
    import numpy as np

    from .standing import PairList

_Name = TypeVar("_Name")

_AT_ONCE = 4096  # pairs


# --- two metrics -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Axis:
    """One column of a Pareto picture of P points. estimates, rows: of each point; several may share a row.

    pairs: comparisons of the column's ranked rows, all of them or all that separate. of: how many are ranked.
    """

    estimates: Sequence[float]
    rows: Sequence[int]
    pairs: PairList
    of: int
    direction: Direction

    @property
    def sign(self) -> int:
        return 1 if self.direction == "higher" else -1

    def better(self, separated: np.ndarray) -> np.ndarray:
        """(P, P) int8: 1 where a point is separated from another and better, -1 where worse, else 0."""
        import numpy as np

        rows, pairs = np.asarray(self.rows, dtype=np.intp), self.pairs
        size = 1 + max(int(of.max(initial=0)) for of in (rows, pairs.first, pairs.second))
        found = np.zeros((size, size), dtype=np.int8)
        signs = self.sign * np.sign(pairs.difference) * separated
        found[pairs.first, pairs.second] = signs
        found[pairs.second, pairs.first] = -signs
        return found[np.ix_(rows, rows)]


@dataclass(frozen=True)
class Front:
    """dominated_by: for each point the points that clearly dominate it. front: those that none does."""

    dominated_by: tuple[tuple[int, ...], ...]

    @property
    def front(self) -> tuple[int, ...]:
        return tuple(point for point, others in enumerate(self.dominated_by) if not others)


def pareto_front(x: Axis, y: Axis) -> Front:
    """Point k is clearly dominated by j if j is separated-better on one axis and, on the other, not
    separated-worse with an estimate at least as good. Holm runs over the pairs of both columns together.

    Pairs that a column does not separate by itself may be missing: no p is smaller among more tests.
    """
    import numpy as np

    axes = (x, y)
    p = np.ones(sum(axis.of * (axis.of - 1) // 2 for axis in axes))
    p[: len(x.pairs)] = x.pairs.p
    p[len(p) - len(y.pairs) :] = y.pairs.p
    separated = holm(p) < ALPHA
    better = (x.better(separated[: len(x.pairs)]), y.better(separated[len(p) - len(y.pairs) :]))
    estimates = [axis.sign * np.asarray(axis.estimates, dtype=np.float64) for axis in axes]
    good = [values[:, None] >= values for values in estimates]
    on_x = (better[0] > 0) & (better[1] >= 0) & good[1]
    on_y = (better[1] > 0) & (better[0] >= 0) & good[0]
    return Front(tuple(tuple(np.flatnonzero(column).tolist()) for column in (on_x | on_y).T))


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
    found: dict[_Name, list[int]] = {}
    for block in blocks:
        ranked = len(block) - list(block.values()).count(None)
        for name, standing in block.items():
            counts = found.setdefault(name, [0, 0, 0])
            if standing is not None:
                counts[0] += ranked - standing.high
                counts[1] += standing.high - standing.low
                counts[2] += standing.low - 1
    return {name: WinsTiesLosses(*counts) for name, counts in found.items()}


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


def signed_ranks(d: np.ndarray) -> np.ndarray:
    """Exact two-sided p of Wilcoxon's signed-rank test over all 2^N sign changes of each d (P, N): (P,).

    Average ranks of |d|; a zero is ranked and counts half to either side, whatever its sign.
    """
    import numpy as np

    blocks = d.shape[1]
    size = np.abs(d).max(1, initial=0.0)
    # Equal up to rounding is equal. The last bit is the sign, so that one sort ranks and keeps it.
    whole = np.rint(d / np.where(size > 0, size, 1.0)[:, None] * 1e12).astype(np.int64)
    ascending = np.sort(2 * np.abs(whole) + (whole < 0), axis=1)
    steps = np.diff(ascending >> 1, axis=1, prepend=0)
    plain = (steps > 0).all(1)  # nothing equal and nothing zero: usual
    found, ranks = np.ones(len(d)), 2.0 * np.arange(1, blocks + 1)
    observed = np.abs((1 - 2 * (ascending & 1)) @ ranks).astype(np.intp)
    if plain.any():
        found[plain] = _reached(tuple(ranks.astype(int).tolist()))[observed[plain]]
    for i in np.flatnonzero(~plain).tolist():
        ranks = twice_ranks(np.abs(whole[i])) * (whole[i] != 0)
        observed[i] = abs((ranks * np.sign(whole[i])).sum())
        found[i] = _reached(tuple(np.sort(ranks[ranks > 0]).tolist()))[observed[i]]
    return np.where(observed > 0, np.minimum(1.0, 2 * found), 1.0)


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
