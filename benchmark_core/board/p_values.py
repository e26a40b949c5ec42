"""P values of many pairs at once: tests, levels at which two-source widths reach a difference, and Holm's
correction. Closed form, float64; all arrays are (pairs,).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from .products import Products

#: Search a table of 1001 points: how many parts each step makes of the last one's, and how long they are.
_BISECT = (2, tuple(2**i for i in reversed(range(10))))
_BY_TENS = (10, (100, 10, 1))
_FEW = 1000  # pairs for which fewer steps are faster than fewer comparisons


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's adjusted p: sorted, p(r) becomes the largest of min(1, (m - r' + 1) p(r')) over r' <= r."""
    import numpy as np

    # Where c of the m values lie below t and (m - c) t >= 1, all others become 1: only those c are sorted.
    adjusted, below, some = np.ones(len(p)), 0, np.arange(0)
    for _ in range(8):
        some = np.flatnonzero(~(p * (len(p) - below) >= 1))
        if len(some) == below:
            break
        below = len(some)
    else:
        some = np.arange(len(p))
    order = some[np.argsort(p[some])]
    left = np.arange(len(p), len(p) - len(order), -1)
    adjusted[order] = np.maximum.accumulate(np.minimum(1.0, left * p[order]))
    return adjusted


def pooled(u: np.ndarray, rows: int, seeds: int) -> tuple[np.ndarray, int]:
    """Seed variance of a pair, half its own and half the mean over all pairs of three rows or more; and its
    df."""
    if rows < 3:
        return u, seeds - 1
    return (u + u.mean()) / 2, 2 * (seeds - 1)


def t_test(d: np.ndarray, variance: np.ndarray, df: int) -> np.ndarray:
    """Two-sided p of t = d / sqrt(variance); 0 where there is a difference without variance."""
    import numpy as np
    from scipy.special import stdtr

    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.abs(d) / np.sqrt(variance)
    return np.where(d == 0, 1.0, np.minimum(1.0, 2 * stdtr(df, -np.nan_to_num(t, posinf=np.inf))))


def mcnemar(found: Products, j: np.ndarray, k: np.ndarray) -> np.ndarray:
    """min(1, 2 P[Bin(b+c, 1/2) <= min(b, c)]): b, c samples on which only the one, only the other row has
    1."""
    import numpy as np
    from scipy.special import betainc

    both, ones = found.total[j, k], found.ones[:, 0]
    b, c = ones[j] - both, ones[k] - both
    fewer = np.minimum(b, c)
    # P[Bin(m, 1/2) <= f] = I_{1/2}(m - f, f + 1); without a difference p is 1.
    return np.minimum(
        1.0, np.where(b + c > 0, 2 * betainc(np.maximum(b + c - fewer, 1), fewer + 1, 0.5), 1.0)
    )


def squared_width(
    t_seed: np.ndarray | float,
    t_sample: np.ndarray | float,
    seed: np.ndarray,
    sample: np.ndarray,
    floor: np.ndarray,
) -> np.ndarray:
    """h2 = max(t_seed V_seed + t_sample V_sample, t_sample V_floor), both t squared."""
    import numpy as np

    return np.maximum(t_seed * seed + t_sample * sample, t_sample * floor)


def two_sources(
    d2: np.ndarray, seed: np.ndarray, sample: np.ndarray, floor: np.ndarray, df: int, df_samples: int
) -> np.ndarray:
    """The smallest level a in [1e-16, 1] with d^2 >= h2(1 - a/2), found in a table of t^2; linear between its
    points in -log10 a."""
    import numpy as np

    (level, over_seeds), (_, over_samples) = _t_table(df), _t_table(df_samples)
    seeds, samples = _before_end(df), _before_end(df_samples)
    below = np.zeros(len(d2), dtype=np.intp)  # the last point before the end that d^2 reaches
    with np.errstate(invalid="ignore"):
        parts, steps = _BY_TENS if len(d2) <= _FEW else _BISECT
        for step in steps:
            at = (below if below.any() else 0) + step * np.arange(1, parts)[:, None]
            widths = squared_width(seeds.take(at), samples.take(at), seed, sample, floor)
            below += step * (widths <= d2).sum(0)
    below = np.minimum(below, len(level) - 2)

    def width(at: np.ndarray) -> np.ndarray:
        return np.sqrt(squared_width(over_seeds.take(at), over_samples.take(at), seed, sample, floor))

    # Between two points the root of the width is straighter than its square, above all next to a = 1.
    low, high = width(below), width(below + 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        part = np.minimum(np.maximum((np.sqrt(d2) - low) / (high - low), 0.0), 1.0)
        share = np.where(high > low, part, 1.0)
    found = level.take(below)
    return np.where(d2 > 0, 10.0 ** -(found + share * (level.take(below + 1) - found)), 1.0)


@lru_cache(maxsize=256)
def _t_table(df: int) -> tuple[np.ndarray, np.ndarray]:
    """-log10 a (0 to 4 by 0.01, then to 16 by 0.02) and the squared upper a/2 quantiles of t."""
    import numpy as np
    from scipy.special import stdtrit

    level = np.concatenate([np.arange(401) / 100, 4 + np.arange(1, 601) / 50])
    return level, stdtrit(df, 10.0**-level / 2) ** 2  # the lower tail: exact where 1 - a/2 rounds to 1


@lru_cache(maxsize=256)
def _before_end(df: int) -> np.ndarray:
    """The quantiles of `_t_table`, infinite from its end on: no search goes there."""
    import numpy as np

    found = np.full(1024, np.inf)
    found[:1000] = _t_table(df)[1][:1000]
    return found
