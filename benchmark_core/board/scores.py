"""The scores of a column: a row at a time, or all rows in one piece."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np

Kind = Literal["score", "bernoulli", "conditional", "set"]


@dataclass(frozen=True)
class Scores:
    """What a row measured in one column. values, valid: one array (n,) a seed that the suite asked for, None
    where it is missing; valid None: every score is defined.

    samples: how many test samples were asked for. same_samples: whether all seeds saw the same ones.
    """

    values: Sequence[np.ndarray | None]
    valid: Sequence[np.ndarray | None]
    samples: int
    same_samples: bool = True


@dataclass(frozen=True, eq=False)
class Stacked(Sequence[Scores]):
    """Rows of which nothing is missing. values: (K, S, n); valid: the same, None where every score is
    defined."""

    values: np.ndarray
    valid: np.ndarray | None
    samples: int
    same_samples: bool = True

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, at: Any) -> Any:
        """A row as Scores; a slice in one piece."""
        values, valid = self.values[at], None if self.valid is None else self.valid[at]
        if isinstance(at, slice):
            return Stacked(values, valid, self.samples, self.same_samples)
        masks = [None] * len(values) if valid is None else list(valid)
        return Scores(list(values), masks, self.samples, self.same_samples)


def gathered(rows: Sequence[Scores], seeds: int, out: np.ndarray) -> None:
    """Writes the first seeds of rows of one shape to out (K, S, n)."""
    import numpy as np

    if isinstance(rows, Stacked):
        out[...] = rows.values[:, :seeds]
    else:
        arrays = [v for row in rows for v in row.values[:seeds]]
        np.concatenate(arrays, out=out.reshape(-1), casting="unsafe")  # type: ignore[call-overload]


def masks_of(rows: Sequence[Scores], seeds: int, n: int) -> np.ndarray:
    """What is defined in the first seeds of rows of one shape: (K, S, n)."""
    import numpy as np

    if isinstance(rows, Stacked):
        everywhere = np.ones((len(rows), seeds, n), dtype=bool)
        return everywhere if rows.valid is None else rows.valid[:, :seeds]
    masks = [np.ones(n, dtype=bool) if m is None else m for row in rows for m in row.valid[:seeds]]
    return np.concatenate(masks).reshape(len(rows), seeds, n)


def equal(arrays: Sequence[np.ndarray | None]) -> bool:
    """Whether all arrays are bit-identical."""
    import numpy as np

    first = arrays[0] if arrays else None
    if first is None:
        return all(a is None for a in arrays)
    number = np.asarray(first).dtype.kind == "f"
    return all(a is not None and np.array_equal(a, first, equal_nan=number) for a in arrays[1:])


def seeds_equal(row: Scores, seeds: int | None = None) -> bool:
    """Whether the first seeds (None: all) of a row are bit-identical wherever a score is defined."""
    values, valid = row.values[:seeds], row.valid[:seeds]
    if not equal(valid):
        return False
    if not valid or valid[0] is None or any(v is None for v in values):
        return equal(values)
    return equal([v[m] for v, m in zip(values, valid, strict=True)])  # type: ignore[index]


def all_seeds_equal(rows: Iterable[Scores]) -> tuple[bool, int | None]:
    """Whether every complete row has bit-identical scores in all its seeds: they are one run, not several.
    Also the place of the first that has not."""
    found = False
    for place, row in enumerate(rows):
        if all(v is not None for v in row.values):
            found = seeds_equal(row)
            if not found:
                return False, place
    return found, None


def by_seed(scores: Scores, quantile: float | None = None) -> tuple[float | None, ...]:
    """The mean score (or the quantile) of each seed; None where it is missing or nothing is defined."""
    found: list[float | None] = []
    for values, valid in zip(scores.values, scores.valid, strict=True):
        kept = values if values is None or valid is None else values[valid]
        if kept is None or not len(kept):
            found.append(None)
        else:
            found.append(float(kept.mean(dtype=float)) if quantile is None else quantile_of(kept, quantile))
    return tuple(found)


def quantile_of(y: np.ndarray, q: float) -> float:
    """The smallest of the scores y (n,) that at least a share q of them does not exceed."""
    import numpy as np

    return float(np.quantile(y, q, method="inverted_cdf"))
