"""All comparisons between two rows of one column: differences, p values, Holm's correction. Closed form,
float64.

D = Y[j] - Y[k], seed by seed and sample by sample, is never formed for all pairs. With Z = Y - mean of the
row, three Gram matrices of the rows give the sums of squares of every D: SS = G[j,j] + G[k,k] - 2 G[j,k].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from .intervals import ALPHA, student
from .moments import Kept
from .p_values import holm, mcnemar, pooled, squared_width, t_test, two_sources
from .products import ColumnScores, Products, add, arrays, products_of, seed_values
from .scores import Kind, Scores

if TYPE_CHECKING:
    import numpy as np

#: Sums of squares below this share of the two rows' own are rounding: the rows are identical, or shifted.
IDENTICAL = 1e-12


@dataclass(frozen=True)
class Pair:
    """Two rows compared: difference of their estimates (the first minus the second), with an interval that
    is not adjusted for the other pairs (low None: none exists). p_holm is adjusted for all pairs of the
    column."""

    difference: float
    low: float | None
    high: float | None
    p: float
    p_holm: float

    @property
    def separated(self) -> bool:
        return self.p_holm < ALPHA


@dataclass(frozen=True)
class Pairs:
    """All pairs j < k of K rows, in the order (0, 1), (0, 2), ..., (1, 2), ...: arrays (K (K-1) / 2,).

    seeds: how many the comparisons rest on. low, high: NaN where no interval exists. df: of the seed
    variance.
    """

    rows: int
    seeds: int
    samples: int
    df: int
    difference: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray
    p_holm: np.ndarray

    def between(self, j: int, k: int) -> Pair:
        """Row j minus row k, j != k."""
        first, second = min(j, k), max(j, k)
        at = first * self.rows - first * (first + 1) // 2 + second - first - 1
        d, low, high = (float(a[at]) for a in (self.difference, self.low, self.high))
        if j > k:
            d, low, high = -d, -high, -low
        bounds = (None, None) if math.isnan(low) else (low, high)
        return Pair(d, *bounds, float(self.p[at]), float(self.p_holm[at]))

    def signs(self) -> np.ndarray:
        """(K, K) int8: 1 where row j is separated from row k and larger, -1 where smaller, else 0."""
        import numpy as np

        found = np.zeros((self.rows, self.rows), dtype=np.int8)
        found.put(flat(self.rows), np.sign(self.difference) * (self.p_holm < ALPHA))
        return found - found.T


def compare_rows(column: ColumnScores, kind: Kind, *, quantile: float | None = None) -> Pairs:
    """All pairs of the ranked rows of a column; two rows: one pair, on its own.

    quantile: the column is the q-quantile of its scores (0.5: the median), compared by one number a seed.
    Raises ValueError when the rows do not have the same seeds and samples, all of them.
    """
    if len(column) == 0:
        return _no_pairs(0)
    first = column[0]
    of_seeds = kind == "set" or quantile is not None or not first.same_samples or first.samples == 1
    if of_seeds:
        y, single = seed_values(column, kind, quantile)
        if not (single and kind != "set" and quantile is None and first.samples > 1):
            return _over_seeds(y[:, :1] if single else y, first.samples)
        return _crossed(products_of(column, kind, seeds=1), kind)
    return _crossed(products_of(column, kind), kind)


def compare_kept(kept: Kept, ranked: Sequence[int], kind: Kind) -> Pairs | None:
    """The same of what `estimate_column` kept; None where that is not all it takes. ranked: rows as
    `kept.rows` numbers them."""
    place = {row: at for at, row in enumerate(kept.rows)}
    rows = [place[row] for row in ranked]
    if not rows or not kept.there.issuperset(rows) or (kept.seeds > 1 and kept.apart not in rows):
        return None
    found, every = Products.of(kept.sums, kept.seeds, kept.n), range(len(kept.rows))
    missing = [at for at in every if at not in kept.there]
    kept.block.z[missing] = kept.block.c[missing] = 0
    add(found, kind, every, kept.block, every, kept.block)
    return _crossed(found.take(rows), kind)


def compare_pair(a: Scores, b: Scores, kind: Kind, *, quantile: float | None = None) -> Pair:
    """Two rows without the board's others: their own seed variance with S - 1 df, and nothing to adjust
    for."""
    return compare_rows([a, b], kind, quantile=quantile).between(0, 1)


def compare_common(a: Scores, b: Scores) -> Pair | None:
    """The difference of two conditional rows on the samples that are valid for both; None where there is
    none.

    V = V_a V_b and Y = D, so R = sum V D / sum V; compared with zero by its influence.
    """
    import numpy as np

    (ya, va), (yb, vb) = (arrays(row, len(row.values)) for row in (a, b))
    valid = [v & w for v, w in zip(va, vb, strict=True)]
    if not any(v.any() for v in valid):
        return None
    d = [np.where(v, y, 0.0) - np.where(v, z, 0.0) for y, z, v in zip(ya, yb, valid, strict=True)]
    none = Scores([np.zeros(len(y)) for y in d], [None] * len(d), a.samples, a.same_samples)
    return compare_pair(Scores(d, valid, a.samples, a.same_samples), none, "conditional")


def _no_pairs(rows: int) -> Pairs:
    import numpy as np

    none = np.zeros(0)
    return Pairs(rows, 0, 0, 0, none, none, none, none, none)


def _crossed(found: Products, kind: Kind) -> Pairs:
    """Rules 1, 2, 3, 5 and 6: every seed scored every sample."""
    import numpy as np

    rows, seeds, n = len(found.mean), found.seeds, found.n
    (j, k), at = upper(rows), flat(rows)
    count, binary, ones = seeds * n, kind == "bernoulli", found.ones.sum(1)

    def less(of_rows: np.ndarray) -> np.ndarray:
        return of_rows.take(j) - of_rows.take(k)

    def both(squares: np.ndarray) -> np.ndarray:
        diagonal = squares.diagonal().copy()
        return diagonal.take(j) + diagonal.take(k)

    total, of_ones = found.total.take(at), less(ones) if binary else ones
    if binary:
        apart = ones.take(j) + ones.take(k) - 2 * total  # an exact number of samples
        d = of_ones / count
        sst = np.maximum(0.0, apart - of_ones**2 / count)
        constant, same = sst == 0, np.flatnonzero(apart == 0)
    else:
        d, own = less(found.mean), both(found.total)
        sst = own - 2 * total
        constant = sst <= IDENTICAL * own
        sst[constant] = 0.0
        same = np.flatnonzero(constant)
        some, size = d[same], np.abs(found.mean)
        same = same[
            (count * some**2 <= IDENTICAL * own[same])
            | (np.abs(some) <= IDENTICAL * np.maximum(size[j[same]], size[k[same]]))
        ]
    df = n - 1
    if seeds == 1:
        variance = sst / (df * n)
        half = student(df, 1 - ALPHA / 2) * np.sqrt(variance)
        p = mcnemar(found, j, k) if binary else t_test(d, variance, df)
    else:
        a = found.seed_means.take(j, 0) - found.seed_means.take(k, 0)
        ssa = n * np.einsum("ps,ps->p", a, a)
        ssb = both(found.of_samples) - 2 * found.of_samples.take(at)
        if binary:  # of D itself, not of D less its mean
            ssb = (n * ssb - of_ones**2) / n
        ssb = np.maximum(0.0, ssb / seeds)
        ssa[constant] = ssb[constant] = 0.0
        rest = np.maximum(0.0, sst - ssa - ssb) / ((seeds - 1) * (n - 1))
        of_seeds, df = pooled(ssa / (n * (seeds - 1)), rows, seeds)
        of_samples = np.maximum(0.0, ssb / (n - 1) - rest) / count
        parts = (of_seeds / seeds, of_samples, rest / count)
        half = np.sqrt(squared_width(student(df, 0.975) ** 2, student(n - 1, 0.975) ** 2, *parts))
        p = two_sources(d**2, *parts, df, n - 1)
    if seeds > 1 or not binary:
        differ = found.differ.take(at) if binary else float(n)
        p = np.maximum(p, np.exp2(np.minimum(0.0, 1.0 - differ)))
    p[same] = 1.0
    return Pairs(rows, seeds, n, df, d, d - half, d + half, p, holm(p))


@lru_cache(maxsize=4)
def upper(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """The pairs j < k of that many rows, read-only."""
    import numpy as np

    found = np.triu_indices(rows, 1)
    for indices in found:
        indices.setflags(write=False)
    return found


@lru_cache(maxsize=4)
def flat(rows: int) -> np.ndarray:
    """The same as places in a raveled (K, K), read-only."""
    j, k = upper(rows)
    found = j * rows + k
    found.setflags(write=False)
    return found


def _over_seeds(y: np.ndarray, samples: int) -> Pairs:
    """Rules 1 and 4: one number y[k, s] a row and seed, t = d / sqrt(u'/S). One seed separates nothing."""
    import numpy as np

    rows, seeds = y.shape
    j, k = upper(rows)
    differences = y[j] - y[k]
    d = differences.mean(1)
    if seeds == 1:
        nothing = np.full(len(d), np.nan)
        return Pairs(rows, 1, samples, 0, d, nothing, nothing, np.ones(len(d)), np.ones(len(d)))
    shifted = differences - differences[:, :1]
    u, df = pooled(shifted.var(axis=1, ddof=1), rows, seeds)
    half = student(df, 1 - ALPHA / 2) * np.sqrt(u / seeds)
    p = np.where((differences == 0).all(1), 1.0, t_test(d, u / seeds, df))
    return Pairs(rows, seeds, samples, df, d, d - half, d + half, p, holm(p))
