"""Rank correlation of two columns across defenses: robustness against explainability."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .intervals import Z

if TYPE_CHECKING:
    import numpy as np

MIN_POINTS = 5
_EXACT_UP_TO = 9


@dataclass(frozen=True)
class Correlation:
    """Spearman's rho over k defenses. rho None: fewer than 5 points, or a column without any difference.

    p describes this list of defenses: they were chosen, not drawn. exact: over all k! orders. low, high:
    from 10 points on, unless |rho| = 1. single_low, single_high: the smallest and largest rho over single
    seeds.
    """

    k: int
    rho: float | None = None
    p: float | None = None
    exact: bool = False
    low: float | None = None
    high: float | None = None
    single_low: float | None = None
    single_high: float | None = None


def correlate(
    x: np.ndarray, y: np.ndarray, seeds: Sequence[tuple[np.ndarray, np.ndarray]] = ()
) -> Correlation:
    """x, y: (k,) row estimates of two columns, a point a defense; seeds: the same two columns, seed by
    seed."""
    import numpy as np

    a, b = centred_ranks(x), centred_ranks(y)
    k = len(a)
    if len(b) != k:
        raise ValueError(f"{k} and {len(b)} points; a correlation needs both columns of each defense")
    rho = spearman(a, b)
    if k < MIN_POINTS or rho is None:
        return Correlation(k)
    each = [r for u, v in seeds if (r := spearman(centred_ranks(u), centred_ranks(v))) is not None]
    single = (min(each), max(each)) if each else (None, None)
    if k <= _EXACT_UP_TO:
        return Correlation(k, rho, permutation_p(a, b), True, None, None, *single)
    if abs(rho) == 1:
        return Correlation(k, rho, 0.0, False, None, None, *single)
    from scipy.special import stdtr

    t = abs(rho) * math.sqrt((k - 2) / (1 - rho**2))
    half = Z * math.sqrt((1 + rho**2 / 2) / (k - 3))
    low, high = np.tanh(np.arctanh(rho) + np.array([-half, half])).tolist()
    return Correlation(k, rho, float(2 * stdtr(k - 2, -t)), False, low, high, *single)


def centred_ranks(x: np.ndarray) -> np.ndarray:
    """Twice the average ranks, less their mean: whole numbers that sum to 0."""
    import numpy as np

    x = np.asarray(x, dtype=np.float64)
    if np.isnan(x).any():
        raise ValueError("a defense has no estimate; leave it out of the correlation")
    return twice_ranks(x) - (len(x) + 1)


def twice_ranks(x: np.ndarray) -> np.ndarray:
    """Twice the ranks 1..k of the last axis of x (..., k), equal values sharing their average: whole
    numbers."""
    import numpy as np

    k = x.shape[-1]
    order = np.argsort(x, axis=-1)
    ascending = np.take_along_axis(x, order, -1)
    rises = ascending[..., 1:] != ascending[..., :-1]
    first, last = np.zeros(x.shape, dtype=np.intp), np.full(x.shape, k - 1)  # of the values equal to each
    first[..., 1:] = np.maximum.accumulate(rises * np.arange(1, k), axis=-1)
    ends = np.where(rises, np.arange(k - 1), k - 1)
    last[..., :-1] = np.minimum.accumulate(ends[..., ::-1], axis=-1)[..., ::-1]
    ranks = np.empty(x.shape, dtype=np.intp)
    np.put_along_axis(ranks, order, first + last + 2, -1)
    return ranks


def spearman(a: np.ndarray, b: np.ndarray) -> float | None:
    """rho from centred ranks; None where a column has no two different values."""
    own = int(a @ a) * int(b @ b)
    if own == 0:
        return None
    product = int(a @ b)
    # The square root of a perfect square is exact, so a perfect order gives exactly 1.
    return product / math.sqrt(own)


def permutation_p(a: np.ndarray, b: np.ndarray) -> float:
    """Share of all k! orders of b whose |sum a b| is at least the observed one, in whole numbers."""
    observed = abs(int(a @ b))
    sums, left = _sums_of_orders(a, b), math.factorial(len(a))
    return sum(count for value, count in sums.items() if abs(value) >= observed) / left


def _sums_of_orders(a: np.ndarray, b: np.ndarray) -> dict[int, int]:
    """How many of the k! orders give each value of sum a b: by the sets of b's places that are already
    used."""
    k = len(a)
    reached: dict[int, dict[int, int]] = {0: {0: 1}}
    for value in a.tolist():
        following: dict[int, dict[int, int]] = {}
        for used, sums in reached.items():
            for place in range(k):
                if used >> place & 1:
                    continue
                into = following.setdefault(used | 1 << place, {})
                step = value * int(b[place])
                for total, count in sums.items():
                    into[total + step] = into.get(total + step, 0) + count
        reached = following
    return reached[(1 << k) - 1]
