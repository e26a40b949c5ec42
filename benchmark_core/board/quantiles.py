"""Medians and other quantiles of the rows of one column, for scores so skewed that a mean says little."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from .scores import Kind, Scores, quantile_of
from .statistics import MIN_SEEDS_OF_SETS, Estimate, estimate_rows, estimates_of

if TYPE_CHECKING:
    import numpy as np


def with_failure(row: Scores, failure: float) -> Scores:
    """The scores when a sample without a valid result counts as `failure`: all samples count then."""
    import numpy as np

    values = [
        v if v is None or m is None else np.where(m, np.asarray(v, dtype=np.float64), failure)
        for v, m in zip(row.values, row.valid, strict=True)
    ]
    return replace(row, values=values, valid=[None] * len(values))


def estimate_quantile(
    row: Scores, kind: Kind, limits: tuple[float, float], q: float, *, single: bool, infinite: bool
) -> Estimate:
    """The q-quantile x of all scores of a row, or of the valid ones if the metric is conditional.

    F = 1{Y <= x} is a column of scores; with w half the width of its interval the quantile's runs from the
    (q - w)- to the (q + w)-quantile of the scores, or to the limit where that is no share. Where several
    scores equal x, w is the larger of that and the same of 1{Y < x}: F has no width when x is the largest of
    all. Rows are compared by one number a seed: three seeds are needed, and a finite quantile in each.
    infinite: scores may be.
    """
    import numpy as np

    masked = kind == "conditional"
    there = [
        (np.asarray(v, dtype=np.float64), m if masked and m is not None else np.ones(len(v), dtype=bool))
        for v, m in zip(row.values, row.valid, strict=True)
        if v is not None
    ]
    incomplete = len(there) < len(row.values)
    if single and not incomplete:
        there = there[:1]
    base = Estimate(
        "ok", None, n=row.samples, seeds=len(there), scope="new runs" if len(there) > 1 else "these runs"
    )
    kept = [v[m] for v, m in there]
    bad = sum(int((np.isnan(v) if infinite else ~np.isfinite(v)).sum()) for v in kept)
    if bad or not any(map(len, kept)):
        return base._replace(state="incomplete" if incomplete else "nan", not_numbers=bad)
    pool = np.sort(np.concatenate(kept))
    x = quantile_of(pool, q)
    if incomplete:
        return base._replace(state="incomplete", value=x)
    masks = [m for _, m in there]
    below, under = (
        Scores([part(v, x).astype(float) for v, _ in there], masks, row.samples, row.same_samples)
        for part in (np.less_equal, np.less)
    )
    several = np.searchsorted(pool, x, "right") - np.searchsorted(pool, x, "left") > 1
    parts, of_parts = [below, under] if several else [below], "conditional" if masked else "score"
    # F may be equal in all seeds where the scores are not: those are several runs all the same.
    share, *other = (e for e, _ in estimates_of(parts, of_parts, (-math.inf, math.inf), False))
    found = share._replace(value=x, low=None, high=None, seeds=base.seeds, scope=base.scope)
    halves = [e.high - e.value for e in (share, *other) if e.value is not None and e.high is not None]
    if halves:
        w = max(halves)
        low, high = _bound(pool, q - w, limits), _bound(pool, q + w, limits)
        found = found._replace(low=min(low, x), high=max(high, x))
    if found.state == "ok" and base.seeds < MIN_SEEDS_OF_SETS:
        return found._replace(state="few-seeds")
    if found.state == "ok" and not all(len(v) and math.isfinite(quantile_of(v, q)) for v in kept):
        finite = [np.isfinite(v) & m for v, m in there]
        shares = Scores(
            [v.astype(float) for v in finite], [None] * len(finite), row.samples, row.same_samples
        )
        return found._replace(state="low-validity", share=estimate_rows([shares], "bernoulli", (0.0, 1.0))[0])
    return found


def _bound(pool: np.ndarray, level: float, limits: tuple[float, float]) -> float:
    """The quantile of sorted scores; a share below 0 or above 1 leaves only the metric's range."""
    if level <= 0 or level >= 1:
        return limits[level >= 1]
    return quantile_of(pool, level)
