"""A second implementation of boards, slow and plain, on random columns: written from the definitions that
docs/statistics.md tells in words, not from benchmark_core/board. y, v: scores (S, n) and where defined."""

import itertools
import json
import math
import os
import warnings

import numpy as np
import pytest
from scipy import optimize, stats

from benchmark_core.board import boards_of, make_board, render

OPEN, Z = (-math.inf, math.inf), 1.959964  # a metric without a range; of Wilson's interval


def components(y):
    """V_seed, V_sample, V_floor of the mean of crossed scores."""
    (seeds, n), m = y.shape, y.mean()
    a, b = y.mean(1), y.mean(0)
    of_seeds = n * ((a - m) ** 2).sum() / (seeds - 1)
    of_samples = seeds * ((b - m) ** 2).sum() / (n - 1)
    rest = ((y - a[:, None] - b + m) ** 2).sum() / ((seeds - 1) * (n - 1))
    return of_seeds / y.size, max(0, of_samples - rest) / y.size, rest / y.size


def squared_width(seed, sample, floor, df, n, alpha=0.05):
    of_seeds, of_samples = stats.t.isf(alpha / 2, [df, n - 1]) ** 2
    return max(of_seeds * seed + of_samples * sample, of_samples * floor)


def half_width(y):
    if 1 in y.shape:
        return stats.t.isf(0.025, y.size - 1) * y.std(ddof=1) / math.sqrt(y.size)
    return math.sqrt(squared_width(*components(y), len(y) - 1, y.shape[1]))


def wilson(y):
    (seeds, n), m = y.shape, y.mean()
    k2 = Z**2 / n
    if seeds > 1 and 0 < m < 1:
        k2 = max(half_width(y) ** 2 / (m * (1 - m)), Z**2 / y.size)
    half = math.sqrt(k2 * (m * (1 - m) + k2 / 4))
    return [(m + k2 / 2 - half) / (1 + k2), (m + k2 / 2 + half) / (1 + k2)]


def influence(y, v):
    """Psi of a mean over the scores that are defined."""
    y = np.where(v, y, 0)
    mean = y.sum() / v.sum()
    return np.where(v, mean + (y - mean) / v.mean(), mean)


def quantile(y, q):
    return np.sort(y)[max(0, math.ceil(round(q * len(y), 9)) - 1)]


def by_seed(y, v, median):
    return np.array([quantile(a[b], 0.5) if median else a[b].mean() for a, b in zip(y, v, strict=True)])


def estimate(y, v, kind, median, low, high):
    if median:
        x, kept = quantile(y[v], 0.5), y[v]
        below = [y <= x, *([y < x] if (kept == x).sum() > 1 else [])]
        w = max(half_width(influence(f, v) if kind == "conditional" else f.astype(float)) for f in below)
        ends = [quantile(kept, 0.5 - w) if w < 0.5 else low, quantile(kept, 0.5 + w) if w < 0.5 else high]
        return [x, min(ends[0], x), max(ends[1], x)]
    if kind == "bernoulli":
        return [y.mean(), *wilson(y)]
    psi = influence(y, v)
    m, half = psi.mean(), half_width(psi)
    return [m, np.maximum(low, m - half), np.minimum(high, m + half)]


def state(row, kind, median, infinite):
    if any(s is None for s in row):
        return "incomplete"
    kept = np.concatenate([y[v] for y, v in row])
    if not len(kept) or np.isnan(kept).any() or not (infinite or np.isfinite(kept).all()):
        return "nan"
    if kind != "set" and len(row[0][0]) < 10:
        return "few-samples"
    if kind == "conditional" and np.mean([v for _, v in row]) < 0.95:
        return "low-validity"
    if (median or kind == "set") and len(row) < 3:
        return "few-seeds"
    return "ok" if not median or np.isfinite(by_seed(*zip(*row, strict=True), True)).all() else "low-validity"


def one_run(row):
    """Whether all seeds are equal where they are defined."""
    return all(np.array_equal(v, row[0][1]) and np.array_equal(y[v], row[0][0][v]) for y, v in row)


def compare(rows, kind, median):
    """{(j, k): (difference, low, high, p)} of all pairs."""
    one = median or kind == "set"
    y = [by_seed(*row, median)[:, None] if one else influence(*row) for row in rows]
    seeds, pairs = len(y[0]), list(itertools.combinations(range(len(y)), 2))
    u = {(j, k): (y[j] - y[k]).mean(1).var(ddof=1) if seeds > 1 else 0.0 for j, k in pairs}
    pooled = {at: (one_u + np.mean(list(u.values()))) / 2 if len(y) > 2 else one_u for at, one_u in u.items()}
    df = (seeds - 1) * (2 if len(y) > 2 else 1)
    return {(j, k): of_pair(y[j], y[k], pooled[j, k] / seeds, df, kind, one) for j, k in pairs}


def of_pair(a, b, seed, df, kind, one):
    (seeds, n), diff = a.shape, a - b
    d, spread = diff.mean(), a.var() + b.var()
    shifted = diff.var() <= 1e-12 * spread  # up to rounding
    if one:
        p, half = 2 * stats.t.sf(abs(d) / np.sqrt(seed), df), stats.t.isf(0.025, df) * math.sqrt(seed)
        return d, d - half, d + half, p if diff.any() else 1.0
    differ = int((diff != 0).sum(1).max()) if kind == "bernoulli" else n
    if seeds == 1:
        half = 0.0 if shifted else half_width(diff)
        p = 0.0 if shifted else stats.ttest_1samp(diff[0], 0).pvalue
        if kind == "bernoulli" and differ:
            p = stats.binomtest(int((diff == 1).sum()), differ).pvalue
    else:
        parts = (seed, 0, 0) if shifted else (seed, *components(diff)[1:])
        half, p = math.sqrt(squared_width(*parts, df, n)), level(d, parts, df, n)
    same = not diff.any() or (shifted and d**2 <= 1e-12 * max(spread, a.mean() ** 2, b.mean() ** 2))
    return d, d - half, d + half, 1.0 if same else min(1, max(p, 2.0 ** (1 - differ)))


def level(d, parts, df, n):
    """The smallest level at which the interval of the difference leaves 0 out."""
    over = lambda digits: d**2 - squared_width(*parts, df, n, 10**-digits)  # noqa: E731
    return 1e-16 if over(16) >= 0 else 10 ** -optimize.brentq(over, 0, 16) if over(0) > 0 else 1.0


def holm(p):
    left, order = range(len(p), 0, -1), np.argsort(p)
    worst = np.maximum.accumulate([min(1.0, m * p[at]) for m, at in zip(left, order, strict=True)])
    return worst[np.argsort(order)]


def ranked(names, values, separated, sign):
    """{name: (rank_lo, rank_hi, letters of its tie groups)}; separated: {(better, worse)}."""
    order, runs = sorted(names, key=lambda k: (-sign * values[k], k)), []
    for i, j in itertools.combinations_with_replacement(range(len(order)), 2):
        if not separated & set(itertools.permutations(order[i : j + 1], 2)):
            runs = [r for r in runs if not {*r} <= {*range(i, j + 1)}]
            if not any({*range(i, j + 1)} <= {*r} for r in runs):
                runs.append(range(i, j + 1))
    above, below = ([pair[side] for pair in separated] for side in (1, 0))
    letters = ["".join("abcdef"[g] for g, run in enumerate(runs) if i in run) for i in range(len(order))]
    return {k: (1 + above.count(k), len(order) - below.count(k), letters[order.index(k)]) for k in names}


def drawn(rng):
    """A metric and its rows {name: [(y, v) a seed, None if missing]}, with what goes wrong now and then."""
    kind = str(rng.choice(["score", "bernoulli", "conditional", "set"], p=[0.3, 0.3, 0.3, 0.1]))
    median = kind in ("score", "conditional") and rng.random() < 0.25
    failure = math.inf if median and kind == "conditional" and rng.random() < 0.5 else None
    seeds, n = int(rng.choice([1, 2, 3, 3, 5])), int(rng.choice([9, 10, 12, 30, 60]))
    scale, equal = 10.0 ** rng.choice([0, 0, 0, -150, -9, 9, 120]), rng.random() < 0.15
    limits = [0.0, 1.0] if kind == "bernoulli" else [0.0, None] if rng.random() < 0.3 else [None, None]
    common, spread, rows = rng.normal(size=n), rng.choice([0, 0.3, 2]), {}
    for k in range(int(rng.choice([2, 3, 4, 6]))):
        y = rng.normal() * spread + rng.normal(size=(seeds, 1)) * rng.choice([0, 0.2, 0.6]) + common
        y = scale * (y + rng.normal(size=(seeds, n)) * rng.choice([0.1, 1]))
        y = (y > 0).astype(float) if kind == "bernoulli" else np.abs(y) if limits[0] == 0 else y
        v = rng.random((seeds, n)) >= (rng.choice([0, 0.02, 0.3]) if kind == "conditional" else 0)
        odd = str(rng.choice(["none"] * 6 + ["copy", "rounded", "shifted", "flat", "nan", "inf", "missing"]))
        last = rows.get(f"R{k - 1}", [None])
        if odd in ("copy", "rounded", "shifted") and None not in last:
            y, v = (np.array(part) for part in zip(*last, strict=True))
            if kind != "bernoulli":
                y = y * (1 + 2e-16) if odd == "rounded" else y + scale * (odd == "shifted")
        y, v = (y[:, :1], v[:, :1] | True) if kind == "set" else (y, v)
        y = np.full(y.shape, y.flat[0]) if odd == "flat" else y
        if equal:
            y, v = np.repeat(y[:1], seeds, 0), np.repeat(v[:1], seeds, 0)
        if odd in ("nan", "inf"):
            y[-1, rng.integers(y.shape[1])] = float(odd)
        rows[f"R{k}"] = list(zip(y, v, strict=True))
        if odd == "missing":
            rows[f"R{k}"][0] = None
    about = {"unit": "", "direction": str(rng.choice(["higher", "lower"])), "range": limits, "scores": kind}
    about |= {"average": "median" if median else "mean", "failure": failure, "consumes": ["prediction"]}
    return about, seeds, n, rows


def close(found, expected, size):
    """size: of the numbers of which rounding leaves something."""
    if found is None:  # no interval, or no bound
        return not math.isfinite(expected)
    return float(found) == expected or abs(found - expected) <= 1e-9 * abs(expected) + 1e-11 * size


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of the second implementation
@pytest.mark.parametrize("seed", range(100))
def test_a_random_board(made, monkeypatch, seed):
    monkeypatch.setattr(os, "fsync", lambda _: None)
    about, made.seeds, n, rows = drawn(np.random.default_rng(seed))
    kind, median, failure = about["scores"], about["average"] == "median", about["failure"]
    for name, row in rows.items():
        for s, (y, v) in enumerate(of_seed or (None, None) for of_seed in row):
            made.add(y, np.arange(n), v if kind == "conditional" else None, metric="m", seed=s, defense=name)
    made.board("b", ("dataset", "defense"))
    manifest = {**made.manifest, "metrics": {"m": about}}
    with warnings.catch_warnings(action="error"):
        text = render([make_board(made.store, manifest, boards_of(manifest)[0])], "json")
    (block,) = json.loads(text)[0]["blocks"]
    found = {row["at"]["defense"]: row["cells"][0] for row in block["rows"]}
    if failure is not None:
        kind = "score"
        rows = {k: [s and (np.where(s[1], s[0], failure), s[1] | True) for s in r] for k, r in rows.items()}
    states = {k: state(row, kind, median, failure is not None) for k, row in rows.items()}
    shown = {k: row for k, row in rows.items() if states[k] not in ("incomplete", "nan")}
    single = all(one_run(shown[k]) for k in [k for k in shown if states[k] == "ok"] or shown)
    if single and (median or kind == "set"):
        states = {k: "few-seeds" if s == "ok" else s for k, s in states.items()}
    assert {k: cell["state"] for k, cell in found.items()} == states
    limits = [end if end is not None else side for end, side in zip(about["range"], OPEN, strict=True)]
    values = {}
    for k, row in shown.items():
        seeds = 1 if single and one_run(row) else None
        y, v = shown[k] = [np.array(part) for part in zip(*row[:seeds], strict=True)]
        values[k], *ends = estimate(y, v, kind, median, *limits)
        assert found[k]["seeds"] == len(y)
        size = abs(values[k]) if math.isfinite(values[k]) else 0.0
        for name, number in zip(("value", "lo", "hi"), (values[k], *ends), strict=True):
            assert close(found[k][name], number, size), name
        if kind == "conditional":
            for name, number in zip(("share", "lo", "hi"), (v.mean(), *wilson(v.astype(float))), strict=True):
                assert close(found[k][f"valid_{name}"], number, 1.0)
    names, separated = [k for k in rows if states[k] == "ok"], set()
    compared = compare([shown[k] for k in names], kind, median) if len(names) > 1 else {}
    assert len(block["columns"][0]["pairs"]) == len(compared)
    adjusted = dict(zip(compared, holm([c[-1] for c in compared.values()]), strict=True))
    for pair in block["columns"][0]["pairs"]:
        j, k = (names.index(name) for name in pair["rows"])
        d, low, high, p = compared[min(j, k), max(j, k)]
        d, low, high = (d, low, high) if j < k else (-d, -high, -low)
        for name, number in (("difference", d), ("lo", low), ("hi", high)):
            assert close(pair[name], number, max(abs(values[row]) for row in pair["rows"])), name
        p_holm, better = adjusted[min(j, k), max(j, k)], int((d > 0) != (about["direction"] == "higher"))
        # p is read from a table that is exact to 0.001 in log10 p; far below all levels it is rounding.
        assert (pair["p"], pair["p_holm"]) == pytest.approx((p, p_holm), rel=2.4e-3, abs=1e-20)
        assert pair["better"] == (pair["rows"][better] if p_holm < 0.05 else None)
        separated |= {(pair["rows"][better], pair["rows"][not better])} if p_holm < 0.05 else set()
    ranks = ranked(names if compared else [], values, separated, 1 if about["direction"] == "higher" else -1)
    for k, cell in found.items():
        assert (cell["rank_lo"], cell["rank_hi"], cell["ties"]) == ranks.get(k, (None, None, None))
