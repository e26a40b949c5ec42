"""Estimates and intervals of the rows of one column. Closed form, float64, nothing random.

Scores Y[s, i] of seeds s = 1..S and samples i = 1..n are crossed: every seed scores every sample. With two
seeds or more the interval covers new seeds and new samples (`new runs`), with one seed new samples for this
one run (`these runs`). scipy.special is imported when the first quantile is needed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from . import moments

if TYPE_CHECKING:
    import numpy as np

Kind = Literal["score", "bernoulli", "conditional", "set"]
State = Literal["ok", "incomplete", "nan", "few-samples", "few-seeds", "low-validity"]
Scope = Literal["new runs", "these runs"]

ALPHA = 0.05
Z = 1.959964
MIN_SAMPLES = 10
MIN_SEEDS_OF_SETS = 3
MIN_VALID = 0.95


@dataclass(frozen=True)
class Components:
    """Where the variance of a mean comes from: V_seed, V_sample and V_floor (what neither explains). With one
    seed all of it is V_sample."""

    mean: float
    seed: float
    sample: float
    floor: float
    seeds: int
    samples: int

    def squared_width(self, q: float) -> float:
        """h2(q) = max(t(S-1,q)^2 V_seed + t(n-1,q)^2 V_sample, t(n-1,q)^2 V_floor)."""
        over_samples = student(self.samples - 1, q) ** 2
        if self.seeds == 1:
            return over_samples * self.sample
        over_seeds = student(self.seeds - 1, q) ** 2
        return max(over_seeds * self.seed + over_samples * self.sample, over_samples * self.floor)


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


@dataclass(frozen=True)
class Estimate:
    """One row in one column. value None: no estimate (`nan`, or nothing measured); low None: no interval.

    n: samples a seed. seeds: how many the interval rests on. not_numbers: how many are NaN or infinite.
    share: the valid share of a conditional metric, with its interval.
    """

    state: State
    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    seeds: int = 0
    scope: Scope = "new runs"
    share: Estimate | None = None
    not_numbers: int = 0
    components: Components | None = None


def estimate_rows(
    rows: Sequence[Scores],
    kind: Kind,
    limits: tuple[float, float] = (-math.inf, math.inf),
    *,
    quantile: float | None = None,
    infinite: bool = False,
) -> list[Estimate]:
    """The estimates of all rows of a column, in their order. limits: the metric's range.

    quantile: of the q-quantile of a row's scores (0.5: the median), not of their mean; only then may
    `infinite` say that infinite scores are legal.
    """
    found = estimate_column(rows, kind, limits, quantile=quantile, infinite=infinite)
    return [estimate for estimate, _ in found]


def estimate_column(
    rows: Sequence[Scores],
    kind: Kind,
    limits: tuple[float, float] = (-math.inf, math.inf),
    *,
    quantile: float | None = None,
    infinite: bool = False,
    kept: moments.Kept | None = None,
) -> list[tuple[Estimate, tuple[float | None, ...]]]:
    """The same, each with the row's mean (or quantile) in every seed: None where there is none. kept: takes
    what comparing the rows needs."""
    single, apart = _all_seeds_equal(rows)
    found: list[tuple[Estimate, tuple[float | None, ...]]] = []
    if quantile is not None:
        from .quantiles import estimate_quantile

        for row in rows:
            estimate = estimate_quantile(row, kind, limits, quantile, single=single, infinite=infinite)
            found.append((estimate, by_seed(row, quantile)))
        return found
    if kept is not None:
        kept.apart = apart
    for some, shape in _chunks(rows, kind, single):
        sums = [None] * len(some) if shape is None else _sums(some, kind, shape, kept, len(found))
        for row, of_row in zip(some, sums, strict=True):
            means = by_seed(row) if of_row is None else of_row.means * (len(row.values) if single else 1)
            found.append((_estimate(row, kind, limits, single, of_row), means))
    return found


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


def components(y: np.ndarray) -> Components:
    """Variance components of crossed scores y (S, n), n >= 2:

    MA = n sum_s (A[s]-m)^2 / (S-1), MB = S sum_i (B[i]-m)^2 / (n-1), ME from what is left;
    V_seed = MA / N, V_sample = max(0, MB - ME) / N, V_floor = ME / N with N = S n.
    """
    import numpy as np

    seeds, n = np.shape(y)
    sums, _ = moments.read([Scores(list(y), [], n)], "score", moments.Block.empty(1, seeds, n, "score"))
    return _components(sums, seeds, n, whole=False)[0]


@lru_cache(maxsize=4096)
def student(df: int, q: float) -> float:
    """The q-quantile of Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(df, q))


# --- all rows ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Sums:
    """What one pass over a complete, crossed row gives. share: components of the valid share, where the
    metric is conditional. means: of the seeds that count."""

    parts: Components
    share: Components | None
    means: tuple[float | None, ...]


def _chunks(
    rows: Sequence[Scores], kind: Kind, single: bool
) -> Iterator[tuple[list[Scores], tuple[int, int] | None]]:
    """Neighbouring rows of one shape, so many at a time as fit into the processor's cache. No row is read
    twice: a column may be larger than memory."""
    some: list[Scores] = []
    held: tuple[int, int] | None = None
    for row in rows:
        shape = _shape(row, kind, single)
        fits = held is None or 8 * math.prod(held) * (len(some) + 1) <= moments.CHUNK_BYTES
        if some and (shape != held or not fits):
            yield some, held
            some = []
        some.append(row)
        held = shape
    if some:
        yield some, held


def _sums(
    rows: Sequence[Scores], kind: Kind, shape: tuple[int, int], kept: moments.Kept | None, at: int
) -> list[_Sums]:
    """The sums of rows whose seeds and samples are crossed, shape (S, n), in one go. at: the place of the
    first in their column."""
    import numpy as np

    room = None
    if kept is not None and all(row.samples == shape[1] for row in rows):
        room = kept.room(at, len(rows), shape, kind)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        out = room or moments.Block.empty(len(rows), *shape, kind)
        sums, of_masks = moments.read(rows, kind, out)
        parts = _components(sums, *shape, whole=kind == "bernoulli")
        shares = [None] * len(rows) if of_masks is None else _components(of_masks, *shape, whole=True)
    if kept is not None and room is not None:
        kept.put(at, len(rows), sums)
    means = [tuple([None if m != m else m for m in of_row]) for of_row in sums.means.tolist()]
    return [_Sums(*of_row) for of_row in zip(parts, shares, means, strict=True)]


def _shape(row: Scores, kind: Kind, single: bool) -> tuple[int, int] | None:
    """Seeds and samples of a row whose seeds all scored the same two samples or more."""
    if kind == "set" or not row.values:
        return None
    sizes = [-1 if v is None else len(v) for v in row.values]
    if sizes[0] < 2 or -1 in sizes:
        return None
    if single or len(sizes) == 1:
        return 1, sizes[0]
    if not row.same_samples or sizes.count(sizes[0]) < len(sizes):
        return None
    return len(sizes), sizes[0]


def _components(sums: moments.Sums, seeds: int, n: int, *, whole: bool) -> list[Components]:
    """The components of each row: SSA = n sum_s (A[s]-m)^2, SSB = sum_i C[i]^2 / S and what they leave of the
    total. whole: of 0/1 scores, times N, as whole numbers."""
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
        variances = np.stack([0 * total, total / (n - 1), 0 * total], 1) / count
    else:
        of_rest = rest / ((seeds - 1) * (n - 1))
        of_samples = np.maximum(0.0, ssb / (n - 1) - of_rest)
        variances = np.stack([ssa / (seeds - 1), of_samples, of_rest], 1) / count
    return [
        Components(mean, seed, sample, floor, seeds, n)
        for mean, seed, sample, floor in zip(sums.mean.tolist(), *variances.T.tolist(), strict=True)
    ]


# --- one row -------------------------------------------------------------------------------------------


def _estimate(
    row: Scores, kind: Kind, limits: tuple[float, float], single: bool, sums: _Sums | None
) -> Estimate:
    import numpy as np

    if sums is not None and math.isfinite(sums.parts.mean + sums.parts.sample + sums.parts.floor):
        return _of_sums(row, kind, limits, sums)
    there = [(v, m) for v, m in zip(row.values, row.valid, strict=True) if v is not None]
    incomplete = len(there) < len(row.values)
    seeds = 1 if single and there and not incomplete else len(there)
    scope: Scope = "new runs" if seeds > 1 else "these runs"
    base = Estimate("ok", None, n=row.samples, seeds=seeds, scope=scope)
    if not there:
        return replace(base, state="incomplete")
    values = [np.asarray(v, dtype=np.float64) for v, _ in there]
    masked = kind == "conditional"
    defined = [m if masked and m is not None else np.ones(len(v), dtype=bool) for v, m in there]
    bad = sum(int((m & ~np.isfinite(v)).sum()) for v, m in zip(values, defined, strict=True))
    if bad or not any(m.any() for m in defined):
        return replace(base, state="incomplete" if incomplete else "nan", not_numbers=bad)
    if incomplete:
        return replace(base, state="incomplete", value=_mean(values, defined))
    if sums is not None:  # numbers so large that their squares are not
        return _of_sums(row, kind, limits, sums)
    if single:
        values, defined = values[:1], defined[:1]
    if kind == "set":
        state: State = "few-seeds" if seeds < MIN_SEEDS_OF_SETS else "ok"
        return replace(_over_seeds([float(v.mean()) for v in values], base, limits), state=state)
    if kind == "conditional":
        found = _of_seeds(values, defined, base, limits)
    else:
        found = _over_seeds([float(v.mean()) for v in values], base, limits)
    return replace(found, state=state_of(found, crossed=row.same_samples))


def _of_sums(row: Scores, kind: Kind, limits: tuple[float, float], sums: _Sums) -> Estimate:
    """Seeds and samples are crossed: m +- sqrt(h2(0.975)), or Wilson's interval with that width."""
    parts, share = sums.parts, None
    m, seeds, n = parts.mean, parts.seeds, row.samples
    scope: Scope = "new runs" if seeds > 1 else "these runs"
    if kind == "bernoulli":
        low, high = _wilson(parts)
    else:
        half = math.sqrt(parts.squared_width(1 - ALPHA / 2))
        low, high = _clipped(m, half, limits)
    if sums.share is not None:
        valid = sums.share
        share = Estimate("ok", valid.mean, *_wilson(valid), n, seeds, scope, None, 0, _several(valid))
    found = Estimate("ok", m, low, high, n, seeds, scope, share, 0, _several(parts))
    state = state_of(found, crossed=row.same_samples)
    return found if state == "ok" else replace(found, state=state)


def _several(parts: Components) -> Components | None:
    """One seed has no components."""
    return parts if parts.seeds > 1 else None


def state_of(found: Estimate, *, crossed: bool) -> State:
    if found.n < MIN_SAMPLES:
        return "few-samples"
    if not crossed and found.seeds < MIN_SEEDS_OF_SETS:
        return "few-seeds"
    if found.share is not None and (found.share.value or 0.0) < MIN_VALID:
        return "low-validity"
    return "ok"


def _wilson(parts: Components) -> tuple[float, float]:
    """Wilson's interval with the two-source width: k2 = max(h2 / (m(1-m)), z^2 / N), or z^2 / n where m is 0
    or 1 or there is one seed; centre (m + k2/2) / (1 + k2), half sqrt(k2 (m(1-m) + k2/4)) / (1 + k2)."""
    m, seeds, n = parts.mean, parts.seeds, parts.samples
    k2 = Z**2 / n
    if seeds > 1 and 0 < m < 1:
        k2 = max(parts.squared_width(1 - ALPHA / 2) / (m * (1 - m)), Z**2 / (seeds * n))
    centre = (m + k2 / 2) / (1 + k2)
    half = math.sqrt(k2 * (m * (1 - m) + k2 / 4)) / (1 + k2)
    return 0.0 if m == 0 else max(0.0, centre - half), 1.0 if m == 1 else min(1.0, centre + half)


def _over_seeds(y: list[float], base: Estimate, limits: tuple[float, float]) -> Estimate:
    """One number a seed: m +- t(S-1, 0.975) sd / sqrt(S); one seed has no interval."""
    import numpy as np

    k = len(y)
    if k == 1:
        return replace(base, value=y[0])
    away = np.asarray(y) - y[0]  # equal numbers have no spread at all
    half = student(k - 1, 1 - ALPHA / 2) * float(away.std(ddof=1)) / math.sqrt(k)
    m = y[0] + float(away.mean())
    low, high = _clipped(m, half, limits)
    return replace(base, value=m, low=low, high=high)


def _of_seeds(
    values: list[np.ndarray], defined: list[np.ndarray], base: Estimate, limits: tuple[float, float]
) -> Estimate:
    """A conditional metric whose seeds are not crossed: its mean and the valid share over seeds."""
    share = _over_seeds([float(v.mean()) for v in defined], base, (0.0, 1.0))
    usable = [float(y[v].mean()) for y, v in zip(values, defined, strict=True) if v.any()]
    if len(usable) < len(values):
        return replace(base, value=_mean(values, defined), share=share)
    return replace(_over_seeds(usable, base, limits), share=share)


def _clipped(m: float, half: float, limits: tuple[float, float]) -> tuple[float, float]:
    # A range may be missed in the last bit by the mean of numbers that lie in it.
    return min(max(limits[0], m - half), m), max(min(limits[1], m + half), m)


def _mean(values: list[np.ndarray], defined: list[np.ndarray]) -> float:
    total = sum(float(v[m].sum()) for v, m in zip(values, defined, strict=True))
    return total / sum(int(m.sum()) for m in defined)


def _all_seeds_equal(rows: Sequence[Scores]) -> tuple[bool, int | None]:
    """Whether every complete row has bit-identical scores in all its seeds: they are one run, not several.
    Also the place of the first that has not."""
    found = False
    for place, row in enumerate(rows):
        if all(v is not None for v in row.values):
            found = equal(row.values) and equal(row.valid)
            if not found:
                return False, place
    return found, None


def equal(arrays: Sequence[np.ndarray | None]) -> bool:
    """Whether all arrays are bit-identical."""
    import numpy as np

    first = arrays[0] if arrays else None
    if first is None:
        return all(a is None for a in arrays)
    number = np.asarray(first).dtype.kind == "f"
    return all(a is not None and np.array_equal(a, first, equal_nan=number) for a in arrays[1:])
