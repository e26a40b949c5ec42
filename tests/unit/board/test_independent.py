"""Boards of random columns against a second implementation, slow and plain. It is written from the definitions
that docs/statistics.md tells in words and not from benchmark_core/board: it shares no code with that."""

import itertools
import json
import math
import os

import numpy as np
import pytest
from scipy import optimize, stats

from benchmark_core.board import boards_of, make_board, render

Z = 1.959964  # of Wilson's interval

# --- one row: y, v (S, n) are scores and where they are defined --------------------------------------------


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
    seeds, n = y.shape
    if seeds == 1:
        return stats.t.isf(0.025, n - 1) * y.std(ddof=1) / math.sqrt(n)
    return math.sqrt(squared_width(*components(y), seeds - 1, n))


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
    """Estimate and interval."""
    if median:
        x, kept = quantile(y[v], 0.5), y[v]
        below = [y <= x, *([y < x] if (kept == x).sum() > 1 else [])]
        w = max(half_width(influence(f, v) if kind == "conditional" else f.astype(float)) for f in below)
        ends = [quantile(kept, 0.5 - w) if w < 0.5 else low, quantile(kept, 0.5 + w) if w < 0.5 else high]
        return [x, min(ends[0], x), max(ends[1], x)]
    if kind == "bernoulli":
        return [y.mean(), *wilson(y)]
    if kind == "set":
        m, half = y.mean(), np.nan
        if len(y) > 1:
            half = stats.t.isf(0.025, len(y) - 1) * y.std(ddof=1) / math.sqrt(len(y))
    else:
        psi = influence(y, v)
        m, half = psi.mean(), half_width(psi)
    return [m, max(low, m - half) if half == half else None, min(high, m + half) if half == half else None]


def state(row, kind, median, infinite):
    if any(s is None for s in row):
        return "incomplete"
    if not all(np.isfinite(y[v]).all() or (infinite and not np.isnan(y).any()) for y, v in row):
        return "nan"
    if not any(v.any() for _, v in row):
        return "nan"
    if kind != "set" and len(row[0][0]) < 10:
        return "few-samples"
    if kind == "conditional" and np.mean([v for _, v in row]) < 0.95:
        return "low-validity"
    if (median or kind == "set") and len(row) < 3:
        return "few-seeds"
    return "ok" if not median or np.isfinite(by_seed(*zip(*row, strict=True), True)).all() else "low-validity"


# --- two rows ----------------------------------------------------------------------------------------------


def compare(rows, kind, median):
    """{(j, k): (difference, low, high, p)} of all pairs."""
    one = median or kind == "set"
    y = [by_seed(*row, median)[:, None] if one else influence(*row) for row in rows]
    (seeds, n), pairs = y[0].shape, list(itertools.combinations(range(len(y)), 2))
    u = {(j, k): (y[j] - y[k]).mean(1).var(ddof=1) if seeds > 1 else 0.0 for j, k in pairs}
    pooled = {at: (one_u + np.mean(list(u.values()))) / 2 if len(y) > 2 else one_u for at, one_u in u.items()}
    df = (seeds - 1) * (2 if len(y) > 2 else 1)
    return {(j, k): of_pair(y[j], y[k], pooled[j, k] / seeds, df, kind, one) for j, k in pairs}


def of_pair(a, b, seed, df, kind, one):
    (seeds, n), diff = a.shape, a - b
    d, spread = diff.mean(), a.var() + b.var()
    shifted = diff.var() <= 1e-12 * spread  # up to rounding
    if one:
        half = stats.t.isf(0.025, df) * math.sqrt(seed)
        p = 2 * stats.t.sf(abs(d) / math.sqrt(seed), df) if seed else float(d == 0)
        return d, d - half, d + half, p
    differ = (diff != 0).sum(1).max() if kind == "bernoulli" else n
    if seeds == 1:
        half = 0.0 if shifted else half_width(diff)
        p = 0.0 if shifted else stats.ttest_1samp(diff[0], 0).pvalue
        if kind == "bernoulli" and differ:
            p = stats.binomtest(int((diff == 1).sum()), int(differ)).pvalue
    else:
        parts = (seed, 0, 0) if shifted else (seed, *components(diff)[1:])
        half, p = math.sqrt(squared_width(*parts, df, n)), level(d, parts, df, n)
    same = not diff.any() or (shifted and d**2 <= 1e-12 * max(spread, a.mean() ** 2, b.mean() ** 2))
    return d, d - half, d + half, 1.0 if same else min(1, max(p, 2.0 ** (1 - differ)))


def level(d, parts, df, n):
    """The smallest level at which the interval of the difference leaves 0 out."""

    def over(digits):
        return d**2 - squared_width(*parts, df, n, 10**-digits)

    if over(16) >= 0:
        return 1e-16
    return 10 ** -optimize.brentq(over, 0, 16) if over(0) > 0 else 1.0


def holm(p):
    order, adjusted, worst = np.argsort(p), np.zeros(len(p)), 0.0
    for rank, at in enumerate(order):
        worst = max(worst, min(1.0, (len(p) - rank) * p[at]))
        adjusted[at] = worst
    return adjusted


def ranked(names, values, separated, sign):
    """{name: (rank_lo, rank_hi, numbers of its tie groups)}; separated: {(better, worse)}."""
    order = sorted(names, key=lambda k: (-sign * values[k], k))
    runs = []
    for i in range(len(order)):
        end = max(e for e in range(i, len(order)) if not any(
            pair in separated for pair in itertools.permutations(order[i : e + 1], 2)))  # fmt: skip
        if not runs or end > runs[-1][-1]:
            runs.append(range(i, end + 1))
    low = {k: 1 + sum(worse == k for _, worse in separated) for k in names}
    high = {k: len(names) - sum(better == k for better, _ in separated) for k in names}
    return {k: (low[k], high[k], "".join("abcdefgh"[g] for g, run in enumerate(runs) if i in run))
            for i, k in enumerate(order)}  # fmt: skip


# --- random columns ----------------------------------------------------------------------------------------


def drawn(rng):
    """A metric and its rows {name: [(y, v) a seed, None if missing]}, with what goes wrong now and then."""
    kind = str(rng.choice(["score", "score", "bernoulli", "bernoulli", "conditional", "conditional", "set"]))
    median = kind in ("score", "conditional") and rng.random() < 0.25
    failure = math.inf if median and kind == "conditional" and rng.random() < 0.5 else None
    seeds, n = int(rng.choice([1, 2, 3, 3, 5])), int(rng.choice([9, 10, 12, 30, 60]))
    scale, equal = 10.0 ** rng.choice([0, 0, 0, -150, -9, 9, 120]), rng.random() < 0.15
    bounds = (0.0, 1.0) if kind == "bernoulli" else (0.0, None) if rng.random() < 0.3 else (None, None)
    common, spread, rows = rng.normal(size=n), rng.choice([0, 0.3, 2]), {}
    for k in range(int(rng.choice([2, 3, 4, 6]))):
        y = rng.normal() * spread + rng.normal(size=(seeds, 1)) * rng.choice([0, 0.2, 0.6]) + common
        y = scale * (y + rng.normal(size=(seeds, n)) * rng.choice([0.1, 1]))
        y = (y > 0).astype(float) if kind == "bernoulli" else np.abs(y) if bounds[0] == 0 else y
        v = rng.random((seeds, n)) >= (rng.choice([0, 0.02, 0.3]) if kind == "conditional" else 0)
        odd = str(rng.choice(["nothing"] * 6 + ["copy", "rounded", "shifted", "flat", "nan", "inf", "missing"]))
        last = rows.get(f"R{k - 1}", [None])
        if odd in ("copy", "rounded", "shifted") and all(s is not None for s in last):
            y, v = (np.array(part) for part in zip(*last, strict=True))
            if kind != "bernoulli":
                y = y * (1 + 2e-16) if odd == "rounded" else y + scale * (odd == "shifted")
        y, v = (y[:, :1], v[:, :1] | True) if kind == "set" and odd != "copy" else (y, v)
        y = np.full(y.shape, y.flat[0]) if odd == "flat" else y
        if equal:
            y, v = np.repeat(y[:1], seeds, 0), np.repeat(v[:1], seeds, 0)
        if odd in ("nan", "inf"):
            y[-1, rng.integers(y.shape[1])] = float(odd)
        rows[f"R{k}"] = list(zip(y, v, strict=True))
        if odd == "missing":
            rows[f"R{k}"][0] = None
    about = {"unit": "", "direction": str(rng.choice(["higher", "lower"])), "range": list(bounds), "scores": kind,
             "average": "median" if median else "mean", "failure": failure, "consumes": ["prediction"]}  # fmt: skip
    return about, seeds, n, rows


def close(found, expected, size, rel=1e-9):
    """Absolute within what rounding leaves of numbers of that size."""
    if found is None or expected is None:
        return found is None and (expected is None or not math.isfinite(expected))
    return float(found) == expected or abs(float(found) - expected) <= rel * abs(expected) + 1e-11 * size


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("seed", range(100))
def test_a_random_board(made, monkeypatch, seed):
    monkeypatch.setattr(os, "fsync", lambda _: None)
    about, made.seeds, n, rows = drawn(np.random.default_rng(seed))
    index = np.sort(np.random.default_rng(seed).choice(500, n, replace=False))
    for name, row in rows.items():
        for s, of_seed in enumerate(row):
            values, valid = (None, None) if of_seed is None else of_seed
            valid = valid if about["scores"] == "conditional" else None
            made.add(values, index, valid, metric="m", seed=s, defense=name)
    made.board("b", ("dataset", "defense"))
    manifest = {**made.manifest, "metrics": {"m": about}}
    (block,) = json.loads(render([make_board(made.store, manifest, boards_of(manifest)[0])], "json"))[0]["blocks"]

    kind, median, sign = about["scores"], about["average"] == "median", 1 if about["direction"] == "higher" else -1
    infinite = about["failure"] is not None
    if infinite:
        kind = "score"
        rows = {k: [s and (np.where(s[1], s[0], math.inf), s[1] | True) for s in r] for k, r in rows.items()}
    states = {k: state(row, kind, median, infinite) for k, row in rows.items()}
    some = [k for k in rows if states[k] == "ok"] or [k for k in rows if states[k] not in ("incomplete", "nan")]
    single = all(np.array_equal(m, row[0][1]) and np.array_equal(y[m], row[0][0][m]) for row in map(rows.get, some)
                 for y, m in row)  # fmt: skip
    if single and (median or kind == "set"):
        states = {k: "few-seeds" if s == "ok" else s for k, s in states.items()}
    used = {k: tuple(np.array(p) for p in zip(*row[: 1 if single else None], strict=True))
            for k, row in rows.items() if states[k] not in ("incomplete", "nan")}  # fmt: skip
    low, high = (end if end is not None else sgn * math.inf for end, sgn in zip(about["range"], (-1, 1), strict=True))
    numbers = {k: estimate(*row, kind, median, low, high) for k, row in used.items()}
    found = {row["at"]["defense"]: row["cells"][0] for row in block["rows"]}
    for k, (value, *ends) in numbers.items():
        cell, size = found[k], abs(value) if math.isfinite(value) else 0.0
        assert cell["state"] == states[k]
        assert cell["seeds"] == len(used[k][0])
        assert close(cell["value"], value, size)
        assert all(close(cell[name], end, size) for name, end in zip(("lo", "hi"), ends, strict=True)), (cell, ends)
        if kind == "conditional":
            share = [used[k][1].mean(), *wilson(used[k][1].astype(float))]
            assert np.allclose([cell["valid_share"], cell["valid_lo"], cell["valid_hi"]], share, 1e-9, 1e-12)
    assert {k: found[k]["state"] for k in rows if k not in numbers} == {k: states[k] for k in rows if k not in numbers}

    names, pairs = [k for k in rows if states[k] == "ok"], block["columns"][0]["pairs"]
    if len(names) < 2:
        assert not pairs
        assert all(found[k]["rank_lo"] is None for k in rows)
        return
    compared = compare([used[k] for k in names], kind, median)
    adjusted, separated = dict(zip(compared, holm([c[3] for c in compared.values()]), strict=True)), set()
    size = max(abs(numbers[k][0]) for k in names)
    assert len(pairs) == len(compared)
    for pair in pairs:
        at = tuple(sorted(map(names.index, pair["rows"])))
        d, *ends, p = compared[at]
        d, *ends = (d, *ends) if pair["rows"][0] == names[at[0]] else (-d, -ends[1], -ends[0])
        assert close(pair["difference"], d, size)
        assert all(close(pair[name], end, size) for name, end in zip(("lo", "hi"), ends, strict=True))
        # p is read from a table that is exact to 0.001 in log10 p; far below all levels it is rounding.
        assert pair["p"] == pytest.approx(p, rel=2.4e-3, abs=1e-20)
        assert pair["p_holm"] == pytest.approx(adjusted[at], rel=2.4e-3, abs=1e-20)
        if adjusted[at] < 0.05:
            better, worse = pair["rows"] if sign * d > 0 else pair["rows"][::-1]
            separated.add((better, worse))
        assert pair["better"] == (better if adjusted[at] < 0.05 else None)
    expected = ranked(names, {k: numbers[k][0] for k in names}, separated, sign)
    assert {k: (found[k]["rank_lo"], found[k]["rank_hi"], found[k]["ties"]) for k in names} == expected
    assert all(found[k]["rank_lo"] is None for k in rows if k not in names)
