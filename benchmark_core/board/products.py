"""What comparing pairs of rows needs of a column: Gram matrices of its rows, or one number a row and seed.
Rows are read into groups of bounded size, or were kept in memory when they were estimated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from . import moments
from .moments import Block, Sums
from .scores import Kind, Scores, seeds_equal

if TYPE_CHECKING:
    import numpy as np


class ColumnScores(Protocol):
    """The scores of the K ranked rows of a column: a list, or anything that reads a row when it is asked for
    it.

    Every row has the same seeds and samples, and all of them. A row is read once if the column fits into
    256 MB, else about once for each group of rows that does.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, row: int, /) -> Scores: ...


@dataclass
class Products:
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
    def of(cls, sums: Sums, seeds: int, n: int) -> Products:
        import numpy as np

        square = (len(sums.mean), len(sums.mean))
        return cls(
            seeds, n, sums.mean, sums.off, np.zeros(square), np.zeros(square), sums.ones, np.zeros(square)
        )

    def take(self, rows: Sequence[int]) -> Products:
        """Of some of the rows."""
        import numpy as np

        if len(rows) == len(self.mean):
            return self
        squares = (values[np.ix_(rows, rows)] for values in (self.total, self.of_samples, self.differ))
        total, of_samples, differ = squares
        mean, seed_means, ones = (values[list(rows)] for values in (self.mean, self.seed_means, self.ones))
        return Products(self.seeds, self.n, mean, seed_means, total, of_samples, ones, differ)


def products_of(column: ColumnScores, kind: Kind, seeds: int | None = None) -> Products:
    first, rows = column[0], len(column)
    seeds, n = seeds or len(first.values), first.samples
    fit = max(1, moments.GROUP_BYTES // (8 * seeds * n))
    size = rows if rows <= fit else max(1, fit // 2)
    groups = [range(start, min(rows, start + size)) for start in range(0, rows, size)]
    sums, single = Sums.empty(rows, seeds), seeds > 1
    found = Products.of(sums, seeds, n)
    for i, group in enumerate(groups):
        block, alike = _read(column, group, kind, n, sums)
        single = single and alike
        add(found, kind, group, block, group, block)
        for other in groups[i + 1 :]:
            add(found, kind, group, block, other, _read(column, other, kind, n, sums)[0])
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
            single = single and seeds_equal(scores, seeds)
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

    values, masks = arrays(scores, seeds)
    if kind == "conditional":
        if not any(m.any() for m in masks):
            raise ValueError(f"row {row} has no valid sample; it cannot be compared")
        values = [v[m] for v, m in zip(values, masks, strict=True)]
    if not all(np.isfinite(v).all() for v in values):
        raise ValueError(f"row {row} has scores that are no numbers; compare complete rows only")


def add(found: Products, kind: Kind, a: range, y: Block, b: range, z: Block) -> None:
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


def seed_values(column: ColumnScores, kind: Kind, quantile: float | None) -> tuple[np.ndarray, bool]:
    """One number a row and seed, (K, S); and whether all seeds are bit-identical in every row."""
    import numpy as np

    seeds = len(column[0].values)
    y, single = np.empty((len(column), seeds)), True
    for row in range(len(column)):
        values, valid = arrays(column[row], seeds)
        single = single and seeds_equal(column[row])
        if kind == "conditional":
            values = [v[m] for v, m in zip(values, valid, strict=True)]
        if not all(len(v) for v in values):
            raise ValueError(f"row {row} has a seed without a score; compare complete rows only")
        for s, v in enumerate(values):
            y[row, s] = v.mean() if quantile is None else np.quantile(v, quantile, method="inverted_cdf")
        if not np.isfinite(y[row]).all():
            raise ValueError(f"row {row} has a seed whose value is no finite number; it cannot be compared")
    return y, single


def arrays(row: Scores, seeds: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
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
