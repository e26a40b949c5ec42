"""What estimates and comparisons need of the scores of a column, from reading every row once: its means, its
sums of squares, and the centred scores while they fit into memory.

Y[s, i] are the scores of a row, S seeds by n samples. Kept is Z = Y - mean of the row, of a conditional
metric Z = V (Y - R) / v, and of 0/1 scores Y itself, whose sums are whole numbers and exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .scores import Kind, Scores, gathered, masks_of

if TYPE_CHECKING:
    import numpy as np

#: Bytes of centred scores that are held at a time.
GROUP_BYTES = 256 * 2**20
#: Scores worked on at a time: they stay in the processor's cache.
CHUNK_BYTES = 2**20


@dataclass
class Sums:
    """Sums over the K rows of a column. means: (K, S), of the seeds; off: those less `mean` (K,).

    total = sum of Z^2 and of_samples = sum_i C[i]^2 with C = sum_s Z[s], (K,). ones: (K, S) counts of 0/1
    scores, else 0.
    """

    mean: np.ndarray
    means: np.ndarray
    off: np.ndarray
    total: np.ndarray
    of_samples: np.ndarray
    ones: np.ndarray

    @classmethod
    def empty(cls, rows: int, seeds: int) -> Sums:
        import numpy as np

        tables = (np.zeros((rows, seeds)) for _ in range(3))
        means, off, ones = tables
        return cls(np.zeros(rows), means, off, np.zeros(rows), np.zeros(rows), ones)

    def put(self, at: slice, found: Sums) -> None:
        for name, values in vars(found).items():
            getattr(self, name)[at] = values


@dataclass
class Block:
    """Rows in memory. z: (K, S, n); c: (K, n), its sums over seeds."""

    z: np.ndarray
    c: np.ndarray

    @classmethod
    def empty(cls, rows: int, seeds: int, n: int, kind: Kind) -> Block:
        """0/1 scores, and the products of their sums over seeds, are exact in float32 up to 2^24."""
        import numpy as np

        dtype = np.float32 if kind == "bernoulli" and seeds**2 * n <= 2**24 else np.float64
        return cls(np.empty((rows, seeds, n), dtype), np.empty((rows, n), dtype))

    def __getitem__(self, rows: slice) -> Block:
        return Block(self.z[rows], self.c[rows])


class Kept:
    """The rows of a column as `estimate_column` reads them, for comparing them afterwards without reading
    anything again. rows: which they are. It stays empty when they do not fit into memory.

    seeds, n: of the first row whose seeds are crossed; rows of another shape are not kept. apart: the place
    of the first row whose seeds are not all equal.
    """

    def __init__(self, rows: Sequence[int]) -> None:
        self.rows = rows
        self.there: set[int] = set()
        self.seeds = self.n = 0
        self.apart: int | None = None
        self.sums: Sums
        self.block: Block

    def room(self, at: int, count: int, shape: tuple[int, int], kind: Kind) -> Block | None:
        """Where rows at, at + 1, ... of this shape are to be written, if they are to be kept."""
        if not self.seeds:
            self.seeds, self.n = shape
            if 8 * len(self.rows) * self.seeds * self.n <= GROUP_BYTES:
                self.block = Block.empty(len(self.rows), *shape, kind)
                self.sums = Sums.empty(len(self.rows), self.seeds)
            else:
                self.n = 0
        if shape != (self.seeds, self.n):
            return None
        return self.block[at : at + count]

    def put(self, at: int, count: int, found: Sums) -> None:
        self.there.update(range(at, at + count))
        self.sums.put(slice(at, at + count), found)


def read(rows: Sequence[Scores], kind: Kind, out: Block) -> tuple[Sums, Sums | None]:
    """Centres rows of one shape and writes them to `out`. Their sums, and those of V where the metric is
    conditional."""
    import numpy as np

    z, c = out.z, out.c
    gathered(rows, z.shape[1], z)
    if kind == "bernoulli":
        np.sum(z, 1, out=c)
        return _counted(z.sum(2).astype(np.float64), c), None
    if kind == "conditional":
        return _conditional(rows, out)
    shift = z[:, 0, 0].copy()  # so that equal scores have no variance at all, not one of rounding
    z -= shift[:, None, None]
    return _centred(out, shift), None


def _counted(ones: np.ndarray, c: np.ndarray) -> Sums:
    """Sums of 0/1 scores Y, from counts of ones (K, S) and of seeds (K, n): whole numbers."""
    import numpy as np

    total, n = ones.sum(1), c.shape[1]
    means, mean = ones / n, total / (ones.shape[1] * n)
    of_samples = np.einsum("ri,ri->r", c, c).astype(np.float64)
    return Sums(mean, means, means - mean[:, None], total, of_samples, ones)


def _centred(out: Block, shift: np.ndarray) -> Sums:
    """Sums of Y when z holds Y - shift; centres it."""
    import numpy as np

    z, c = out.z, out.c
    _, seeds, n = z.shape
    sums = z.sum(2)
    m, a = sums.sum(1) / (seeds * n), sums / n
    z -= m[:, None, None]
    np.sum(z, 1, out=c)
    total, of_samples = np.einsum("rsi,rsi->r", z, z), np.einsum("ri,ri->r", c, c)
    return Sums(m + shift, a + shift[:, None], a - m[:, None], total, of_samples, np.zeros(a.shape))


def _conditional(rows: Sequence[Scores], out: Block) -> tuple[Sums, Sums]:
    """Of R = sum V Y / sum V by its influence Psi = R + V (Y - R) / v, v = mean of V: Z = Psi - R; and of
    V."""
    import numpy as np

    y = out.z
    count, seeds, n = y.shape
    v = masks_of(rows, seeds, n)
    counts = v.sum(2)
    shift = y.reshape(count, -1)[np.arange(count), v.reshape(count, -1).argmax(1)]
    y -= shift[:, None, None]
    y[~v] = 0.0
    sums = y.sum(2)
    ratio = sums.sum(1) / counts.sum(1)
    means = np.where(counts > 0, sums / counts + shift[:, None], np.nan)
    y -= ratio[:, None, None]
    y[~v] = 0.0
    y /= v.mean((1, 2))[:, None, None]
    found = _centred(out, ratio + shift)
    found.mean, found.means = ratio + shift, means
    return found, _counted(counts.astype(np.float64), v.sum(1))
