"""Variances and 95 % intervals of many means at once, of scores whose seeds and samples are crossed. Arrays:
one number a row (K,), or three variances of its mean (K, 3): V_seed, V_sample, V_floor.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from .moments import Sums

if TYPE_CHECKING:
    import numpy as np

ALPHA = 0.05
Z = 1.959964


def variances_of(sums: Sums, seeds: int, n: int, *, whole: bool) -> np.ndarray:
    """From SSA = n sum_s (A[s]-m)^2, SSB = sum_i C[i]^2 / S and what they leave of the total. With one seed
    all is V_sample. whole: of 0/1 scores, times N, as whole numbers."""
    import numpy as np

    count = seeds * n
    if whole:
        ones = sums.total
        total = (count * ones - ones**2) / count
        ssa = (seeds * (sums.ones**2).sum(1) - ones**2) / count
        ssb = (n * sums.of_samples - ones**2) / count
        rest = (count * ones - seeds * (sums.ones**2).sum(1) - n * sums.of_samples + ones**2) / count
    else:
        total, ssa, ssb = sums.total, n * (sums.off**2).sum(1), sums.of_samples / seeds
        rest = np.maximum(0.0, total - ssa - ssb)
    if seeds == 1:
        return np.stack([0 * total, total / (n - 1), 0 * total], 1) / count
    of_rest = rest / ((seeds - 1) * (n - 1))
    of_samples = np.maximum(0.0, ssb / (n - 1) - of_rest)
    return np.stack([ssa / (seeds - 1), of_samples, of_rest], 1) / count


def squared_widths(variances: np.ndarray, seeds: int, n: int, q: float = 1 - ALPHA / 2) -> np.ndarray:
    """h2(q) = max(t(S-1,q)^2 V_seed + t(n-1,q)^2 V_sample, t(n-1,q)^2 V_floor)."""
    import numpy as np

    seed, sample, floor = variances.T
    over_samples = student(n - 1, q) ** 2
    if seeds == 1:
        return over_samples * sample
    return np.maximum(student(seeds - 1, q) ** 2 * seed + over_samples * sample, over_samples * floor)


def wilson(m: np.ndarray, variances: np.ndarray, seeds: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's interval with the two-source width: k2 = max(h2 / (m(1-m)), z^2 / N), or z^2 / n where m is 0
    or 1 or there is one seed; centre (m + k2/2) / (1 + k2), half sqrt(k2 (m(1-m) + k2/4)) / (1 + k2)."""
    import numpy as np

    spread = m * (1 - m)
    k2 = np.full(len(m), Z**2 / n)
    if seeds > 1:
        inner = (m > 0) & (m < 1)
        widths = squared_widths(variances[inner], seeds, n)
        k2[inner] = np.maximum(widths / spread[inner], Z**2 / (seeds * n))
    centre = (m + k2 / 2) / (1 + k2)
    half = np.sqrt(k2 * (spread + k2 / 4)) / (1 + k2)
    low, high = np.maximum(0.0, centre - half), np.minimum(1.0, centre + half)
    return np.where(m == 0, 0.0, low), np.where(m == 1, 1.0, high)


def clipped(m: np.ndarray, half: np.ndarray, limits: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """m +- half within the metric's range."""
    import numpy as np

    # A range may be missed in the last bit by the mean of numbers that lie in it.
    low, high = np.maximum(limits[0], m - half), np.minimum(limits[1], m + half)
    return np.minimum(low, m), np.maximum(high, m)


@lru_cache(maxsize=4096)
def student(df: int, q: float) -> float:
    """The q-quantile of Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(df, q))
