"""Estimates and intervals of the rows of one column. Closed form, float64, nothing random.

Scores Y[s, i] of seeds s = 1..S and samples i = 1..n are crossed: every seed scores every sample. With two
seeds or more the interval covers new seeds and new samples (`new runs`), with one seed new samples for this
one run (`these runs`). scipy.special is imported when the first quantile is needed.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Literal, NamedTuple

from . import moments
from .intervals import ALPHA, clipped, squared_widths, student, variances_of, wilson
from .scores import Kind, Scores, Stacked, all_seeds_equal, by_seed

if TYPE_CHECKING:
    import numpy as np

#: Only `ok` is ranked. `reference`: it would be, but is there to be looked at, not to be beaten.
State = Literal["ok", "incomplete", "nan", "few-samples", "few-seeds", "low-validity", "reference"]
Scope = Literal["new runs", "these runs"]

MIN_SAMPLES = 10
MIN_SEEDS_OF_SETS = 3
MIN_VALID = 0.95


class Components(NamedTuple):
    """Where the variance of a mean comes from: V_seed, V_sample and V_floor (what neither explains). With one
    seed all of it is V_sample."""

    mean: float
    seed: float
    sample: float
    floor: float
    seeds: int
    samples: int

    def squared_width(self, q: float) -> float:
        """h2(q) of `squared_widths`."""
        import numpy as np

        variances = np.array([[self.seed, self.sample, self.floor]])
        return float(squared_widths(variances, self.seeds, self.samples, q)[0])


class Estimate(NamedTuple):
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


#: A row with its mean (or quantile) in every seed.
Estimated = tuple[Estimate, tuple[float | None, ...]]


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
    references: Collection[int] = (),
) -> list[Estimated]:
    """The same, each with the row's mean (or quantile) in every seed: None where there is none. kept: takes
    what comparing the rows needs. references: places of rows that are not to be ranked.

    Seeds that are equal in every row count as one. Rows that are not ranked have no say in that.
    """

    def of(places: Sequence[int], single: bool) -> list[Estimated]:
        some = rows if len(places) == len(rows) else [rows[place] for place in places]
        return estimates_of(
            some, kind, limits, single, quantile=quantile, infinite=infinite,
            kept=kept if some is rows else None,
        )  # fmt: skip

    every = range(len(rows))
    own = [place for place in every if place not in references] or every
    single, apart = all_seeds_equal(rows[place] for place in own)
    if kept is not None:
        kept.apart = None if apart is None else own[apart]
    found = of(every, single)
    ranked = [place for place in own if found[place][0].state == "ok"]
    ranked = ranked or [place for place in own if found[place][0].value is not None]
    again: list[int] = []
    if single:
        again = [place for place in references if not all_seeds_equal([rows[place]])[0]]
    elif apart is not None and own[apart] not in ranked and all_seeds_equal(rows[p] for p in ranked)[0]:
        again = [place for place in every if all_seeds_equal([rows[place]])[0]]
    for place, estimated in zip(again, of(again, not single), strict=True):
        found[place] = estimated
    for place in references:
        estimate, by = found[place]
        if estimate.state == "ok":
            found[place] = estimate._replace(state="reference"), by
    return found


def estimates_of(
    rows: Sequence[Scores],
    kind: Kind,
    limits: tuple[float, float],
    single: bool,
    *,
    quantile: float | None = None,
    infinite: bool = False,
    kept: moments.Kept | None = None,
) -> list[Estimated]:
    """The same when it is known whether the seeds of every row are one run."""
    found: list[Estimated] = []
    if quantile is not None:
        from .quantiles import estimate_quantile

        for row in rows:
            estimate = estimate_quantile(row, kind, limits, quantile, single=single, infinite=infinite)
            found.append((estimate, by_seed(row, quantile)))
        return found
    for some, shape in _chunks(rows, kind, single):
        if shape is None:
            found += [(_estimate(row, kind, limits, single), by_seed(row)) for row in some]
        else:
            found += _crossed(some, kind, limits, single, shape, kept, len(found))
    return found


def components(y: np.ndarray) -> Components:
    """Variance components of crossed scores y (S, n), n >= 2:

    MA = n sum_s (A[s]-m)^2 / (S-1), MB = S sum_i (B[i]-m)^2 / (n-1), ME from what is left;
    V_seed = MA / N, V_sample = max(0, MB - ME) / N, V_floor = ME / N with N = S n.
    """
    import numpy as np

    seeds, n = np.shape(y)
    sums, _ = moments.read([Scores(list(y), [], n)], "score", moments.Block.empty(1, seeds, n, "score"))
    seed, sample, floor = variances_of(sums, seeds, n, whole=False)[0].tolist()
    return Components(float(sums.mean[0]), seed, sample, floor, seeds, n)


# --- all rows ------------------------------------------------------------------------------------------


def _chunks(
    rows: Sequence[Scores], kind: Kind, single: bool
) -> Iterator[tuple[Sequence[Scores], tuple[int, int] | None]]:
    """Neighbouring rows of one shape, so many at a time as fit into the processor's cache. No row is read
    twice: a column may be larger than memory."""
    if isinstance(rows, Stacked) and len(rows) and (held := _shape(rows[0], kind, single)) is not None:
        size = max(1, moments.CHUNK_BYTES // (8 * math.prod(held)))
        yield from ((rows[at : at + size], held) for at in range(0, len(rows), size))
        return
    some: list[Scores] = []
    held = None
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


def _crossed(
    rows: Sequence[Scores],
    kind: Kind,
    limits: tuple[float, float],
    single: bool,
    shape: tuple[int, int],
    kept: moments.Kept | None,
    at: int,
) -> list[tuple[Estimate, tuple[float | None, ...]]]:
    """The estimates of rows whose seeds and samples are crossed, shape (S, n): m +- sqrt(h2(0.975)), or
    Wilson's interval with that width. at: the place of the first in their column."""
    import numpy as np

    seeds, n = shape
    if isinstance(rows, Stacked):
        samples, crossed = [rows.samples] * len(rows), [rows.same_samples] * len(rows)
    else:
        samples, crossed = [row.samples for row in rows], [row.same_samples for row in rows]
    room = None
    if kept is not None and all(count == n for count in samples):
        room = kept.room(at, len(rows), shape, kind)
    shares: Sequence[Estimate | None] = [None] * len(rows)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        sums, of_masks = moments.read(rows, kind, room or moments.Block.empty(len(rows), *shape, kind))
        variances = variances_of(sums, *shape, whole=kind == "bernoulli")
        if kind == "bernoulli":
            bounds = wilson(sums.mean, variances, *shape)
        else:
            bounds = clipped(sums.mean, np.sqrt(squared_widths(variances, *shape)), limits)
        if of_masks is not None:
            valid = variances_of(of_masks, *shape, whole=True)
            ends = wilson(of_masks.mean, valid, *shape)
            shares = _several(of_masks.mean, valid, ends, shape, samples, shares, repeat("ok"))
        finite = np.isfinite(sums.mean + variances[:, 1] + variances[:, 2])
    if kept is not None and room is not None:
        kept.put(at, len(rows), sums)
    asked = zip(shares, samples, crossed, strict=True)
    states: list[State] = [_state(share, count, alike, seeds) for share, count, alike in asked]
    found = _several(sums.mean, variances, bounds, shape, samples, shares, states)
    for i in np.flatnonzero(~finite).tolist():
        found[i] = _estimate(rows[i], kind, limits, single, found[i])
    means = sums.means.repeat(len(rows[0].values), 1) if single else sums.means
    if np.isnan(means).any():
        means = np.where(np.isnan(means), None, means)  # type: ignore[call-overload]
    return list(zip(found, map(tuple, means.tolist()), strict=True))


def _several(
    m: np.ndarray,
    variances: np.ndarray,
    bounds: tuple[np.ndarray, np.ndarray],
    shape: tuple[int, int],
    samples: Sequence[int],
    shares: Iterable[Estimate | None],
    states: Iterable[State],
) -> list[Estimate]:
    """Estimates from their numbers, each (K,) or (K, 3). One seed has no components."""
    seeds, n = shape
    scope: Scope = "new runs" if seeds > 1 else "these runs"
    numbers = zip(m.tolist(), variances.tolist(), *(b.tolist() for b in bounds), strict=True)
    found = []
    for (mean, of_mean, low, high), asked, share, state in zip(
        numbers, samples, shares, states, strict=False
    ):
        seed, sample, floor = of_mean
        parts = Components(mean, seed, sample, floor, seeds, n) if seeds > 1 else None
        found.append(Estimate(state, mean, low, high, asked, seeds, scope, share, 0, parts))
    return found


# --- one row -------------------------------------------------------------------------------------------


def _estimate(
    row: Scores, kind: Kind, limits: tuple[float, float], single: bool, crossed: Estimate | None = None
) -> Estimate:
    """crossed: what counts if all scores are numbers."""
    import numpy as np

    there = [(v, m) for v, m in zip(row.values, row.valid, strict=True) if v is not None]
    incomplete = len(there) < len(row.values)
    seeds = 1 if single and there and not incomplete else len(there)
    scope: Scope = "new runs" if seeds > 1 else "these runs"
    base = Estimate("ok", None, n=row.samples, seeds=seeds, scope=scope)
    if not there:
        return base._replace(state="incomplete")
    there = there[:seeds]
    values = [np.asarray(v, dtype=np.float64) for v, _ in there]
    masked = kind == "conditional"
    defined = [m if masked and m is not None else np.ones(len(v), dtype=bool) for v, m in there]
    bad = sum(int((m & ~np.isfinite(v)).sum()) for v, m in zip(values, defined, strict=True))
    if bad or not any(m.any() for m in defined):
        return base._replace(state="incomplete" if incomplete else "nan", not_numbers=bad)
    if incomplete:
        return base._replace(state="incomplete", value=_mean(values, defined))
    if crossed is not None:  # numbers so large that their squares are not
        return crossed
    if kind == "set":
        state: State = "few-seeds" if seeds < MIN_SEEDS_OF_SETS else "ok"
        return _over_seeds([float(v.mean()) for v in values], base, limits)._replace(state=state)
    if kind == "conditional":
        found = _of_seeds(values, defined, base, limits)
    else:
        found = _over_seeds([float(v.mean()) for v in values], base, limits)
    return found._replace(state=_state(found.share, found.n, row.same_samples, found.seeds))


def _state(share: Estimate | None, n: int, crossed: bool, seeds: int) -> State:
    if n < MIN_SAMPLES:
        return "few-samples"
    if not crossed and seeds < MIN_SEEDS_OF_SETS:
        return "few-seeds"
    if share is not None and (share.value or 0.0) < MIN_VALID:
        return "low-validity"
    return "ok"


def _over_seeds(y: list[float], base: Estimate, limits: tuple[float, float]) -> Estimate:
    """One number a seed: m +- t(S-1, 0.975) sd / sqrt(S); one seed has no interval."""
    import numpy as np

    k = len(y)
    if k == 1:
        return base._replace(value=y[0])
    away = np.asarray(y) - y[0]  # equal numbers have no spread at all
    half = student(k - 1, 1 - ALPHA / 2) * float(away.std(ddof=1)) / math.sqrt(k)
    m = y[0] + float(away.mean())
    low, high = (float(end[0]) for end in clipped(np.array([m]), np.array([half]), limits))
    return base._replace(value=m, low=low, high=high)


def _of_seeds(
    values: list[np.ndarray], defined: list[np.ndarray], base: Estimate, limits: tuple[float, float]
) -> Estimate:
    """A conditional metric whose seeds are not crossed: its mean and the valid share over seeds."""
    share = _over_seeds([float(v.mean()) for v in defined], base, (0.0, 1.0))
    usable = [float(y[v].mean()) for y, v in zip(values, defined, strict=True) if v.any()]
    if len(usable) < len(values):
        return base._replace(value=_mean(values, defined), share=share)
    return _over_seeds(usable, base, limits)._replace(share=share)


def _mean(values: list[np.ndarray], defined: list[np.ndarray]) -> float:
    total = sum(float(v[m].sum()) for v, m in zip(values, defined, strict=True))
    return total / sum(int(m.sum()) for m in defined)
