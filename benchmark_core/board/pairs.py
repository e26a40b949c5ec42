"""All comparisons between two rows of one column: differences, p values, Holm's correction. Closed form,
float64.

D = Y[j] - Y[k], seed by seed and sample by sample, is never formed for all pairs. With Z = Y - mean of the
row, three Gram matrices of the rows give the sums of squares of every D: SS = G[j,j] + G[k,k] - 2 G[j,k].
Rows are read into groups of bounded size, or were kept in memory when they were estimated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from . import moments
from .moments import Block, Kept, Sums
from .statistics import ALPHA, Kind, Scores, equal, student

if TYPE_CHECKING:
    import numpy as np

#: Sums of squares below this share of the two rows' own are rounding: the rows are identical, or shifted.
IDENTICAL = 1e-12

_SMALLEST = 16  # -log10 of the smallest p value
_STEPS = tuple(2**i for i in reversed(range(10)))  # bisect a table of 1001 points


class ColumnScores(Protocol):
    """The scores of the K ranked rows of a column: a list, or anything that reads a row when it is asked for
    it.

    Every row has the same seeds and samples, and all of them. A row is read once if the column fits into
    256 MB, else about once for each group of rows that does.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, row: int, /) -> Scores: ...


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
        found[upper(self.rows)] = np.sign(self.difference) * (self.p_holm < ALPHA)
        return found - found.T

    def take(self, rows: Sequence[int], p_holm: np.ndarray | None = None) -> Pairs:
        """The pairs among some rows, in their new order. Raw p values stay; p_holm: theirs, else Holm
        anew."""
        import numpy as np

        index = np.asarray(rows, dtype=np.intp)
        pairs, (first, second) = upper(self.rows), upper(len(index))

        def square(values: np.ndarray, turned: np.ndarray) -> np.ndarray:
            full = np.zeros((self.rows, self.rows))
            full[pairs] = values
            full.T[pairs] = turned
            return full[index[first], index[second]]

        p = square(self.p, self.p)
        return Pairs(
            len(index), self.seeds, self.samples, self.df,
            square(self.difference, -self.difference), square(self.low, -self.high),
            square(self.high, -self.low), p, holm(p) if p_holm is None else p_holm,
        )  # fmt: skip


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
        y, single = _seed_values(column, kind, quantile)
        if not (single and kind != "set" and quantile is None and first.samples > 1):
            return _over_seeds(y[:, :1] if single else y, first.samples)
        return _crossed(_products(column, kind, seeds=1), kind)
    return _crossed(_products(column, kind), kind)


def compare_kept(kept: Kept, ranked: Sequence[int], kind: Kind) -> Pairs | None:
    """The same of what `estimate_column` kept; None where that is not all it takes. ranked: rows as
    `kept.rows` numbers them."""
    place = {row: at for at, row in enumerate(kept.rows)}
    rows = [place[row] for row in ranked]
    if not rows or not kept.there.issuperset(rows) or (kept.seeds > 1 and kept.apart not in rows):
        return None
    found, every = _Products.of(kept.sums, kept.seeds, kept.n), range(len(kept.rows))
    missing = [at for at in every if at not in kept.there]
    kept.block.z[missing] = kept.block.c[missing] = 0
    _add(found, kind, every, kept.block, every, kept.block)
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

    (ya, va), (yb, vb) = (_arrays(row, len(row.values)) for row in (a, b))
    valid = [v & w for v, w in zip(va, vb, strict=True)]
    if not any(v.any() for v in valid):
        return None
    d = [np.where(v, y, 0.0) - np.where(v, z, 0.0) for y, z, v in zip(ya, yb, valid, strict=True)]
    none = Scores([np.zeros(len(y)) for y in d], [None] * len(d), a.samples, a.same_samples)
    return compare_pair(Scores(d, valid, a.samples, a.same_samples), none, "conditional")


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's adjusted p: sorted, p(r) becomes the largest of min(1, (m - r' + 1) p(r')) over r' <= r."""
    import numpy as np

    order = np.argsort(p, kind="stable")
    left = np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.maximum.accumulate(np.minimum(1.0, left * p[order]))
    return adjusted


# --- what is read --------------------------------------------------------------------------------------


@dataclass
class _Products:
    """Sums over the scores of K rows. mean: (K,). seed_means: (K, S). total, of_samples: (K, K), upper
    triangle.

    total = sum_s Z_s Z_s', of_samples = C C' with C = sum_s Z_s. For 0/1 scores both are of Y (not centred),
    ones: (K, S) counts, and differ (K, K) the largest number over seeds of samples on which two rows differ:
    whole numbers, and exact.
    """

    seeds: int
    n: int
    mean: np.ndarray
    seed_means: np.ndarray
    total: np.ndarray
    of_samples: np.ndarray
    ones: np.ndarray
    differ: np.ndarray

    @classmethod
    def of(cls, sums: Sums, seeds: int, n: int) -> _Products:
        import numpy as np

        square = (len(sums.mean), len(sums.mean))
        return cls(
            seeds, n, sums.mean, sums.off, np.zeros(square), np.zeros(square), sums.ones, np.zeros(square)
        )

    def take(self, rows: Sequence[int]) -> _Products:
        """Of some of the rows."""
        import numpy as np

        if len(rows) == len(self.mean):
            return self
        squares = (values[np.ix_(rows, rows)] for values in (self.total, self.of_samples, self.differ))
        total, of_samples, differ = squares
        mean, seed_means, ones = (values[list(rows)] for values in (self.mean, self.seed_means, self.ones))
        return _Products(self.seeds, self.n, mean, seed_means, total, of_samples, ones, differ)


def _products(column: ColumnScores, kind: Kind, seeds: int | None = None) -> _Products:
    first, rows = column[0], len(column)
    seeds, n = seeds or len(first.values), first.samples
    fit = max(1, moments.GROUP_BYTES // (8 * seeds * n))
    size = rows if rows <= fit else max(1, fit // 2)
    groups = [range(start, min(rows, start + size)) for start in range(0, rows, size)]
    sums, single = Sums.empty(rows, seeds), seeds > 1
    found = _Products.of(sums, seeds, n)
    for i, group in enumerate(groups):
        block, alike = _read(column, group, kind, n, sums)
        single = single and alike
        _add(found, kind, group, block, group, block)
        for other in groups[i + 1 :]:
            _add(found, kind, group, block, other, _read(column, other, kind, n, sums)[0])
    if single:  # one run that was written down several times
        found.total /= seeds
        found.seeds, found.seed_means, found.ones = 1, found.seed_means[:, :1], found.ones[:, :1]
    return found


def _read(column: ColumnScores, group: range, kind: Kind, n: int, sums: Sums) -> tuple[Block, bool]:
    """The rows of a group in memory, and whether all seeds of each are bit-identical. Notes their sums."""
    import numpy as np

    seeds, single = sums.means.shape[1], True
    block = Block.empty(len(group), seeds, n, kind)
    size = max(1, moments.CHUNK_BYTES // (8 * seeds * n))
    for start in range(0, len(group), size):
        rows = group[start : start + size]
        some = [column[row] for row in rows]
        for row, scores in zip(rows, some, strict=True):
            _check(scores, row, seeds, n)
            single = single and equal(scores.values[:seeds])
            single = single and (kind != "conditional" or equal(_masks(scores, seeds)))
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            found, _ = moments.read(some, kind, block[start : start + size])
        if not (finite := np.isfinite(found.mean)).all():
            at = int(np.argmin(finite))
            _refuse(some[at], rows[at], kind, seeds)
        sums.put(slice(rows.start, rows.stop), found)
    return block, single


def _check(scores: Scores, row: int, seeds: int, n: int) -> None:
    sizes = [-1 if v is None else len(v) for v in scores.values]
    if len(sizes) < seeds or -1 in sizes:
        there = len(sizes) - sizes.count(-1)
        raise ValueError(f"a row has {there} seeds of {seeds}; compare complete rows only")
    if sizes[:seeds].count(n) < seeds:
        raise ValueError(f"row {row} has not {n} samples in each seed; compare complete rows only")


def _refuse(scores: Scores, row: int, kind: Kind, seeds: int) -> None:
    """ValueError for a row without a mean, unless its numbers are only too large."""
    import numpy as np

    values, masks = _arrays(scores, seeds)
    if kind == "conditional":
        if not any(m.any() for m in masks):
            raise ValueError(f"row {row} has no valid sample; it cannot be compared")
        values = [v[m] for v, m in zip(values, masks, strict=True)]
    if not all(np.isfinite(v).all() for v in values):
        raise ValueError(f"row {row} has scores that are no numbers; compare complete rows only")


def _add(found: _Products, kind: Kind, a: range, y: Block, b: range, z: Block) -> None:
    """Adds the products of the rows a (scores y) with the rows b (scores z)."""
    import numpy as np

    rows, columns = slice(a.start, a.stop), slice(b.start, b.stop)
    total, of_samples = found.total[rows, columns], found.of_samples[rows, columns]
    seeds = y.z.shape[1]
    with np.errstate(invalid="ignore", over="ignore"):  # rows that are not compared may hold no numbers
        if seeds > 1:
            of_samples += y.c @ z.c.T
        if kind != "bernoulli":
            total += y.z.reshape(len(a), -1) @ z.z.reshape(len(b), -1).T
            return
        differ, ones = found.differ[rows, columns], found.ones
        for s in range(seeds):
            products = (y.z[:, s] @ z.z[:, s].T).astype(np.float64)
            total += products
            np.maximum(differ, ones[rows, s, None] + ones[None, columns, s] - 2 * products, out=differ)


def _seed_values(column: ColumnScores, kind: Kind, quantile: float | None) -> tuple[np.ndarray, bool]:
    """One number a row and seed, (K, S); and whether all seeds are bit-identical in every row."""
    import numpy as np

    seeds = len(column[0].values)
    y, single = np.empty((len(column), seeds)), True
    for row in range(len(column)):
        values, valid = _arrays(column[row], seeds)
        single = single and equal(values) and (kind != "conditional" or equal(valid))
        if kind == "conditional":
            values = [v[m] for v, m in zip(values, valid, strict=True)]
        if not all(len(v) for v in values):
            raise ValueError(f"row {row} has a seed without a score; compare complete rows only")
        for s, v in enumerate(values):
            y[row, s] = v.mean() if quantile is None else np.quantile(v, quantile, method="inverted_cdf")
        if not np.isfinite(y[row]).all():
            raise ValueError(f"row {row} has a seed whose value is no finite number; it cannot be compared")
    return y, single


def _arrays(row: Scores, seeds: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The first seeds of a row, with masks of what is defined."""
    import numpy as np

    values = [np.asarray(v, dtype=np.float64) for v in row.values if v is not None]
    if len(values) < max(seeds, len(row.values)):
        raise ValueError(f"a row has {len(values)} seeds of {seeds}; compare complete rows only")
    return values[:seeds], _masks(row, seeds)


def _masks(row: Scores, seeds: int) -> list[np.ndarray]:
    """What is defined in the first seeds of a complete row."""
    import numpy as np

    pairs = list(zip(row.values, row.valid, strict=True))[:seeds]
    return [np.ones(len(v), bool) if m is None else np.asarray(m, bool) for v, m in pairs if v is not None]


# --- what is compared ----------------------------------------------------------------------------------


def _no_pairs(rows: int) -> Pairs:
    import numpy as np

    none = np.zeros(0)
    return Pairs(rows, 0, 0, 0, none, none, none, none, none)


def _crossed(found: _Products, kind: Kind) -> Pairs:
    """Rules 1, 2, 3, 5 and 6: every seed scored every sample."""
    import numpy as np

    seeds, n, (j, k) = found.seeds, found.n, upper(len(found.mean))
    count, binary, ones = seeds * n, kind == "bernoulli", found.ones.sum(1)
    d = found.mean[j] - found.mean[k]
    if binary:
        apart = ones[j] + ones[k] - 2 * found.total[j, k]  # an exact number of samples
        d = (ones[j] - ones[k]) / count
        sst, same, own = np.maximum(0.0, apart - (ones[j] - ones[k]) ** 2 / count), apart == 0, None
    else:
        own = found.total.diagonal()[j] + found.total.diagonal()[k]
        sst = own - 2 * found.total[j, k]
        sst[sst <= IDENTICAL * own] = 0.0
        scale = np.maximum(np.abs(found.mean[j]), np.abs(found.mean[k]))
        tiny = (count * d**2 <= IDENTICAL * own) | (np.abs(d) <= IDENTICAL * scale)
        same = (sst == 0) & tiny
    df = n - 1
    if seeds == 1:
        variance = sst / (df * n)
        half = student(df, 1 - ALPHA / 2) * np.sqrt(variance)
        p = _mcnemar(found, j, k) if binary else _t_test(d, variance, df)
    else:
        a = found.seed_means
        ssa = n * ((a[j] - a[k]) ** 2).sum(1)
        diagonal = found.of_samples.diagonal()
        ssb = diagonal[j] + diagonal[k] - 2 * found.of_samples[j, k]
        if binary:  # of D itself, not of D less its mean
            ssb = (n * ssb - (ones[j] - ones[k]) ** 2) / n
        ssb = np.maximum(0.0, ssb / seeds)
        ssa[sst == 0] = ssb[sst == 0] = 0.0
        rest = np.maximum(0.0, sst - ssa - ssb) / ((seeds - 1) * (n - 1))
        of_seeds, df = _pooled(ssa / (n * (seeds - 1)), len(found.mean), seeds)
        of_samples = np.maximum(0.0, ssb / (n - 1) - rest) / count
        parts = (of_seeds / seeds, of_samples, rest / count)
        half = np.sqrt(_squared_width(student(df, 0.975) ** 2, student(n - 1, 0.975) ** 2, *parts))
        p = _two_sources(d**2, *parts, df, n - 1)
    if seeds > 1 or not binary:
        x = found.differ[j, k] if binary else float(n)
        p = np.maximum(p, np.exp2(np.minimum(0.0, 1.0 - x)))
    p = np.where(same, 1.0, p)
    return Pairs(len(found.mean), seeds, n, df, d, d - half, d + half, p, holm(p))


@lru_cache(maxsize=4)
def upper(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """The pairs j < k of that many rows, read-only."""
    import numpy as np

    found = np.triu_indices(rows, 1)
    for indices in found:
        indices.setflags(write=False)
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
    u, df = _pooled(shifted.var(axis=1, ddof=1), rows, seeds)
    half = student(df, 1 - ALPHA / 2) * np.sqrt(u / seeds)
    p = np.where((differences == 0).all(1), 1.0, _t_test(d, u / seeds, df))
    return Pairs(rows, seeds, samples, df, d, d - half, d + half, p, holm(p))


def _pooled(u: np.ndarray, rows: int, seeds: int) -> tuple[np.ndarray, int]:
    """Seed variance of a pair, half its own and half the mean over all pairs of three rows or more; and its
    df."""
    if rows < 3:
        return u, seeds - 1
    return (u + u.mean()) / 2, 2 * (seeds - 1)


def _t_test(d: np.ndarray, variance: np.ndarray, df: int) -> np.ndarray:
    """Two-sided p of t = d / sqrt(variance); 0 where there is a difference without variance."""
    import numpy as np
    from scipy.special import stdtr

    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.abs(d) / np.sqrt(variance)
    return np.where(d == 0, 1.0, np.minimum(1.0, 2 * stdtr(df, -np.nan_to_num(t, posinf=np.inf))))


def _mcnemar(found: _Products, j: np.ndarray, k: np.ndarray) -> np.ndarray:
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


def _squared_width(
    t_seed: np.ndarray | float,
    t_sample: np.ndarray | float,
    seed: np.ndarray,
    sample: np.ndarray,
    floor: np.ndarray,
) -> np.ndarray:
    """h2 = max(t_seed V_seed + t_sample V_sample, t_sample V_floor), both t squared."""
    import numpy as np

    return np.maximum(t_seed * seed + t_sample * sample, t_sample * floor)


def _two_sources(
    d2: np.ndarray, seed: np.ndarray, sample: np.ndarray, floor: np.ndarray, df: int, df_samples: int
) -> np.ndarray:
    """The smallest level a in [1e-16, 1] with d^2 >= h2(1 - a/2), by bisection in a table of t^2; linear
    between its points in -log10 a."""
    import numpy as np

    level, over_seeds, over_samples = *_t_table(df), _t_table(df_samples)[1]

    def width(at: np.ndarray) -> np.ndarray:
        return _squared_width(over_seeds[at], over_samples[at], seed, sample, floor)

    below, last = np.zeros(len(d2), dtype=np.intp), len(level) - 1
    for step in _STEPS:  # the last point before the end that d^2 reaches
        middle = np.minimum(below + step, last - 1)
        below = np.where(width(middle) <= d2, middle, below)
    above = below + 1
    # Between two points the root of the width is straighter than its square, above all next to a = 1.
    low, high = np.sqrt(width(below)), np.sqrt(width(above))
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(high > low, np.clip((np.sqrt(d2) - low) / (high - low), 0.0, 1.0), 1.0)
    return np.where(d2 > 0, 10.0 ** -(level[below] + share * (level[above] - level[below])), 1.0)


@lru_cache(maxsize=256)
def _t_table(df: int) -> tuple[np.ndarray, np.ndarray]:
    """-log10 a (0 to 4 by 0.01, then to 16 by 0.02) and the squared upper a/2 quantiles of t."""
    import numpy as np
    from scipy.special import stdtrit

    level = np.concatenate([np.arange(401) / 100, 4 + np.arange(1, 601) / 50])
    return level, stdtrit(df, 10.0**-level / 2) ** 2  # the lower tail: exact where 1 - a/2 rounds to 1
