"""Estimates and intervals of the rows of one column. Closed form, float64, nothing random.

Scores Y[s, i] of seeds s = 1..S and samples i = 1..n are crossed: every seed scores every sample. With two
seeds or more the interval covers new seeds and new samples (`new runs`), with one seed new samples for this
one run (`these runs`). scipy.special is imported when the first quantile is needed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

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
    """Where the variance of a mean comes from: V_seed, V_sample and V_floor (what neither explains)."""

    mean: float
    seed: float
    sample: float
    floor: float
    seeds: int
    samples: int

    def squared_width(self, q: float) -> float:
        """h2(q) = max(t(S-1,q)^2 V_seed + t(n-1,q)^2 V_sample, t(n-1,q)^2 V_floor)."""
        over_seeds, over_samples = student(self.seeds - 1, q) ** 2, student(self.samples - 1, q) ** 2
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
    rows: Sequence[Scores], kind: Kind, limits: tuple[float, float] = (-math.inf, math.inf)
) -> list[Estimate]:
    """The estimates of all rows of a column, in their order. limits: the metric's range."""
    single = _all_seeds_equal(rows)
    return [_estimate(row, kind, limits, single) for row in rows]


def components(y: np.ndarray) -> Components:
    """Variance components of crossed scores y (S, n), S >= 2 and n >= 2:

    MA = n sum_s (A[s]-m)^2 / (S-1), MB = S sum_i (B[i]-m)^2 / (n-1), ME from what is left;
    V_seed = MA / N, V_sample = max(0, MB - ME) / N, V_floor = ME / N with N = S n.
    """
    import numpy as np

    seeds, n = y.shape
    total = seeds * n
    shift = float(y[0, 0])  # so that equal scores have no variance at all, not one of rounding
    rest = y - shift
    m = float(rest.mean())
    a, b = rest.mean(1), rest.mean(0)
    rest -= b
    rest -= (a - m)[:, None]
    of_seeds = n * float(((a - m) ** 2).sum()) / (seeds - 1)
    of_samples = seeds * float(((b - m) ** 2).sum()) / (n - 1)
    np.square(rest, out=rest)
    of_rest = float(rest.sum()) / ((seeds - 1) * (n - 1))
    return Components(
        shift + m, of_seeds / total, max(0.0, of_samples - of_rest) / total, of_rest / total, seeds, n
    )


@lru_cache(maxsize=4096)
def student(df: int, q: float) -> float:
    """The q-quantile of Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(df, q))


# --- one row -------------------------------------------------------------------------------------------


def _estimate(row: Scores, kind: Kind, limits: tuple[float, float], single: bool) -> Estimate:
    import numpy as np

    there = [(v, m) for v, m in zip(row.values, row.valid, strict=True) if v is not None]
    incomplete = len(there) < len(row.values)
    seeds = 1 if single and there and not incomplete else len(there)
    scope: Scope = "new runs" if seeds > 1 else "these runs"
    base = Estimate("ok", None, n=row.samples, seeds=seeds, scope=scope)
    if not there:
        return replace(base, state="incomplete")
    values = [np.asarray(v, dtype=np.float64) for v, _ in there]
    defined = [np.ones(len(v), dtype=bool) if m is None else m for v, m in there]
    bad = sum(int((m & ~np.isfinite(v)).sum()) for v, m in zip(values, defined, strict=True))
    if bad or not any(m.any() for m in defined):
        return replace(base, state="incomplete" if incomplete else "nan", not_numbers=bad)
    if incomplete:
        return replace(base, state="incomplete", value=_mean(values, defined))
    if single:
        values, defined = values[:1], defined[:1]
    if kind == "set":
        state: State = "few-seeds" if seeds < MIN_SEEDS_OF_SETS else "ok"
        return replace(_over_seeds([float(v.mean()) for v in values], base, limits), state=state)
    if kind == "conditional":
        found = _conditional(values, defined, base, limits, crossed=row.same_samples)
    elif not row.same_samples and len(values) > 1:
        found = _over_seeds([float(v.mean()) for v in values], base, limits)
    elif kind == "bernoulli":
        found = _bernoulli(np.stack(values), base, limits)
    else:
        found = _score(np.stack(values), base, limits)
    return replace(found, state=_state(found, crossed=row.same_samples))


def _state(found: Estimate, *, crossed: bool) -> State:
    if found.n < MIN_SAMPLES:
        return "few-samples"
    if not crossed and found.seeds < MIN_SEEDS_OF_SETS:
        return "few-seeds"
    if found.share is not None and (found.share.value or 0.0) < MIN_VALID:
        return "low-validity"
    return "ok"


def _score(y: np.ndarray, base: Estimate, limits: tuple[float, float]) -> Estimate:
    """m +- sqrt(h2(0.975)); with one seed m +- t(n-1, 0.975) sd / sqrt(n)."""
    seeds, n = y.shape
    if n == 1:
        return _over_seeds([float(v) for v in y[:, 0]], base, limits)
    if seeds == 1:
        return _around(*_one_sample([float(v) for v in y[0]]), base, limits)
    parts = components(y)
    found = _around(parts.mean, math.sqrt(parts.squared_width(1 - ALPHA / 2)), base, limits)
    return replace(found, components=parts)


def _bernoulli(y: np.ndarray, base: Estimate, limits: tuple[float, float]) -> Estimate:
    """Wilson's interval with the two-source width: k2 = max(h2 / (m(1-m)), z^2 / N), or z^2 / n where m is 0
    or 1 or there is one seed; centre (m + k2/2) / (1 + k2), half sqrt(k2 (m(1-m) + k2/4)) / (1 + k2)."""
    seeds, n = y.shape
    m = float(y.mean())
    if n == 1:
        return _over_seeds([float(v) for v in y[:, 0]], base, limits)
    parts = components(y) if seeds > 1 else None
    k2 = Z**2 / n
    if parts is not None and 0 < m < 1:
        k2 = max(parts.squared_width(1 - ALPHA / 2) / (m * (1 - m)), Z**2 / (seeds * n))
    centre = (m + k2 / 2) / (1 + k2)
    half = math.sqrt(k2 * (m * (1 - m) + k2 / 4)) / (1 + k2)
    low = 0.0 if m == 0 else max(0.0, centre - half)
    high = 1.0 if m == 1 else min(1.0, centre + half)
    return replace(base, value=m, low=low, high=high, components=parts)


def _over_seeds(y: list[float], base: Estimate, limits: tuple[float, float]) -> Estimate:
    """One number a seed: m +- t(S-1, 0.975) sd / sqrt(S); one seed has no interval."""
    if len(y) == 1:
        return replace(base, value=y[0])
    return _around(*_one_sample(y), base, limits)


def _one_sample(y: list[float]) -> tuple[float, float]:
    """Mean of independent numbers, and t(k-1, 0.975) sd / sqrt(k)."""
    import numpy as np

    k = len(y)
    away = np.asarray(y) - y[0]  # equal numbers have no spread at all
    half = student(k - 1, 1 - ALPHA / 2) * float(away.std(ddof=1)) / math.sqrt(k)
    return y[0] + float(away.mean()), half


def _conditional(
    values: list[np.ndarray],
    defined: list[np.ndarray],
    base: Estimate,
    limits: tuple[float, float],
    *,
    crossed: bool,
) -> Estimate:
    """The ratio R = sum V Y / sum V by its influence Psi = R + V (Y - R) / v, treated as scores; with the
    valid share v as a bernoulli column."""
    import numpy as np

    crossed = crossed or len(values) == 1
    if not crossed:
        usable = [float(y[v].mean()) for y, v in zip(values, defined, strict=True) if v.any()]
        if len(usable) < len(values):
            return replace(base, value=_mean(values, defined), share=_share(defined, base, crossed=False))
        found = _over_seeds(usable, base, limits)
        return replace(found, share=_share(defined, base, crossed=False))
    v, y = np.stack(defined), np.stack(values)
    shift = float(y[v][0])
    y = np.where(v, y - shift, 0.0)
    ratio = float(y.sum() / v.sum())
    psi = np.where(v, y - ratio, 0.0) / float(v.mean()) + ratio
    found = _score(psi + shift, base, limits)
    found = replace(found, value=ratio + shift)
    return replace(found, share=_share(defined, base, crossed=True))


def _share(defined: list[np.ndarray], base: Estimate, *, crossed: bool) -> Estimate:
    import numpy as np

    if crossed:
        return _bernoulli(np.stack(defined).astype(np.float64), base, (0.0, 1.0))
    return _over_seeds([float(v.mean()) for v in defined], base, (0.0, 1.0))


def _around(m: float, half: float, base: Estimate, limits: tuple[float, float]) -> Estimate:
    # A range may be missed in the last bit by the mean of numbers that lie in it.
    low, high = max(limits[0], m - half), min(limits[1], m + half)
    return replace(base, value=m, low=min(low, m), high=max(high, m))


def _mean(values: list[np.ndarray], defined: list[np.ndarray]) -> float:
    total = sum(float(v[m].sum()) for v, m in zip(values, defined, strict=True))
    return total / sum(int(m.sum()) for m in defined)


def _all_seeds_equal(rows: Sequence[Scores]) -> bool:
    """Every complete row has bit-identical scores in all its seeds: they are one run, not several."""
    complete = [row for row in rows if all(v is not None for v in row.values)]
    return bool(complete) and all(_equal(row.values) and _equal(row.valid) for row in complete)


def _equal(arrays: Sequence[np.ndarray | None]) -> bool:
    import numpy as np

    first = arrays[0] if arrays else None
    if first is None:
        return all(a is None for a in arrays)
    return all(a is not None and np.array_equal(a, first, equal_nan=a.dtype.kind == "f") for a in arrays)
