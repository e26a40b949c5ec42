"""Comparisons of rows against the worked example of the specification, loops over pairs, exact tests of
scipy."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import optimize, stats

from benchmark_core.board import moments, p_values
from benchmark_core.board import pairs as pairs_module
from benchmark_core.board.moments import Kept
from benchmark_core.board.pairs import compare_common, compare_kept, compare_pair, compare_rows, holm
from benchmark_core.board.statistics import Scores, estimate_column, estimate_rows

P = "5768467568|6758468578|5667477468"
Q = "5668466567|6768367568|5768467578"
R = "3546246346|4546355457|3546245346"


def table(text):
    return np.array([[int(c) / 10 for c in line] for line in text.split("|")])


def row(y, valid=None, **more):
    y = [np.asarray(v, dtype=float) for v in y]
    mask = [None] * len(y) if valid is None else [np.asarray(v, dtype=bool) for v in valid]
    return Scores(y, mask, len(y[0]), **more)


def compare(ys, kind="score", **more):
    return compare_rows([row(y) for y in ys], kind, **more)


class OnDemand:
    """Reads a row when it is asked for it, and counts."""

    def __init__(self, rows):
        self.rows, self.reads = rows, 0

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        self.reads += 1
        return self.rows[i]


# --- the specification, term by term -------------------------------------------------------------------


def components(d):
    """V_seed, V_sample, V_floor and u of one D, one term at a time."""
    seeds, n = len(d), len(d[0])
    m = math.fsum(v for line in d for v in line) / (seeds * n)
    a = [math.fsum(line) / n for line in d]
    b = [math.fsum(line[i] for line in d) / seeds for i in range(n)]
    mb = seeds * math.fsum((x - m) ** 2 for x in b) / (n - 1)
    me = math.fsum((d[s][i] - a[s] - b[i] + m) ** 2 for s in range(seeds) for i in range(n))
    me /= (seeds - 1) * (n - 1)
    u = math.fsum((x - m) ** 2 for x in a) / (seeds - 1)
    return m, u, max(0.0, mb - me) / (seeds * n), me / (seeds * n)


def rule_5(d2, seed, sample, floor, df, df_samples):
    """The smallest level by a root search in log10 a for each of the two widths; the larger of both."""

    def level(width):
        def excess(x):
            return d2 - width(10.0**-x)

        if excess(16) >= 0:
            return 1e-16
        return 10.0 ** -optimize.brentq(excess, 0, 16, xtol=1e-12)

    def t2(df, a):
        return stats.t.isf(a / 2, df) ** 2

    return max(
        level(lambda a: t2(df, a) * seed + t2(df_samples, a) * sample),
        level(lambda a: t2(df_samples, a) * floor),
    )


def by_definition(ys, kind):
    """(d, low, high, p) of every pair, D formed in full."""
    ys = np.asarray(ys, dtype=float)
    rows, seeds, n = ys.shape
    index = [(j, k) for j in range(rows) for k in range(j + 1, rows)]
    u = {(j, k): components(ys[j] - ys[k])[1] for j, k in index} if seeds > 1 else {}
    found = []
    for j, k in index:
        d = ys[j] - ys[k]
        if seeds == 1:
            half = stats.t.ppf(0.975, n - 1) * d.std(ddof=1) / math.sqrt(n)
            if not d.any():
                p = 1.0
            elif kind == "bernoulli":
                b, c = int((d == 1).sum()), int((d == -1).sum())
                p = stats.binomtest(b, b + c).pvalue
            else:
                p = max(stats.ttest_rel(ys[j, 0], ys[k, 0]).pvalue, 2.0 ** (1 - n))
            found.append((d.mean(), d.mean() - half, d.mean() + half, p))
            continue
        m, own, sample, floor = components(d)
        pooled, df = (
            (own, seeds - 1) if rows == 2 else ((own + np.mean(list(u.values()))) / 2, 2 * (seeds - 1))
        )
        seed = pooled / seeds
        ta, tb = stats.t.ppf(0.975, df) ** 2, stats.t.ppf(0.975, n - 1) ** 2
        half = math.sqrt(max(ta * seed + tb * sample, tb * floor))
        x = max(int((line != 0).sum()) for line in d) if kind == "bernoulli" else n
        p = 1.0 if not d.any() else max(rule_5(m**2, seed, sample, floor, df, n - 1), 2.0 ** (1 - x))
        found.append((m, m - half, m + half, p))
    return [np.array(column) for column in zip(*found, strict=True)]


def agrees(found, ys, kind):
    d, low, high, p = by_definition(ys, kind)
    np.testing.assert_allclose(found.difference, d, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.low, low, rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(found.high, high, rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(np.log10(found.p), np.log10(np.minimum(1, p)), atol=1e-3)


def made(rng, rows, seeds, n, *, kind="score", seed_noise=0.2, gap=0.1):
    y = (
        gap * rng.normal(size=(rows, 1, 1))
        + seed_noise * rng.normal(size=(rows, seeds, 1))
        + rng.normal(size=(1, 1, n))
        + 0.3 * rng.normal(size=(rows, 1, n))
        + 0.3 * rng.normal(size=(rows, seeds, n))
    )
    return (y > 0.3).astype(float) if kind == "bernoulli" else y


# --- the worked example --------------------------------------------------------------------------------


def test_worked_example():
    found = compare([table(P), table(Q), table(R)])
    assert found.df == 4
    np.testing.assert_allclose(found.difference, [0.0066667, 0.1766667, 0.17], atol=5e-8)
    np.testing.assert_allclose(found.p, [0.726, 2.0**-9, 2.0**-9], rtol=5e-4)
    np.testing.assert_allclose(found.p_holm, [0.726, 0.00586, 0.00586], rtol=1e-3)
    np.testing.assert_array_equal(found.signs(), [[0, 0, 1], [0, 0, 1], [-1, -1, 0]])


def test_parts_of_the_worked_example():
    p, q, r = table(P), table(Q), table(R)
    m, u, sample, floor = components(p)
    assert (m, sample) == (pytest.approx(0.62), pytest.approx(0.0016, rel=1e-4))
    assert (10 * u, 30 * floor) == (pytest.approx(0.004), pytest.approx(0.0025185, rel=1e-4))  # MA, ME
    np.testing.assert_allclose(p.mean(1), [0.62, 0.64, 0.60])
    rows = estimate_rows([row(y) for y in (p, q, r)], "score", (0, 1))
    assert rows[0].components.seed == pytest.approx(0.0001333, rel=1e-3)
    assert rows[0].components.sample == pytest.approx(0.0016, rel=1e-4)
    assert rows[0].components.squared_width(0.975) == pytest.approx(0.010656, rel=1e-4)
    intervals = [(0.62, 0.5168, 0.7232), (0.6133, 0.5103, 0.7164), (0.4433, 0.3241, 0.5626)]
    for found, expected in zip(rows, intervals, strict=True):
        assert (found.value, found.low, found.high) == pytest.approx(expected, abs=5e-5)
    own = [components(d)[1] for d in (p - q, p - r, q - r)]
    np.testing.assert_allclose(own, [0.0010333, 0.00023333, 0.0013], rtol=1e-4)
    assert np.mean(own) == pytest.approx(0.00085556, rel=1e-4)
    assert (own[1] + np.mean(own)) / 2 == pytest.approx(0.00054444, rel=1e-4)


def test_worked_example_without_its_guard(monkeypatch):
    """P-R before rule 6: u' = 0.00054444, V_sample = 0, V_floor = 0.0001395, p = 0.000195."""
    seen = []
    inner = pairs_module.two_sources
    monkeypatch.setattr(pairs_module, "two_sources", lambda *a: seen.append((a, inner(*a))) or inner(*a))
    compare([table(P), table(Q), table(R)])
    (_, seed, sample, floor, df, df_samples), p = seen[0]
    np.testing.assert_allclose(seed[1], 0.00018148, rtol=1e-4)
    assert sample[1] == 0
    np.testing.assert_allclose(floor[1], 0.0001395, rtol=1e-3)
    assert (df, df_samples) == (4, 9)
    np.testing.assert_allclose(p[1], 0.000195, rtol=3e-3)
    np.testing.assert_allclose(3 * seed - np.mean([0.0010333, 0.00023333, 0.0013]) / 2,
                               np.array([0.0010333, 0.00023333, 0.0013]) / 2, rtol=1e-3)  # fmt: skip


def test_two_rows_use_their_own_seed_variance():
    found = compare([table(P), table(R)])
    assert found.df == 2
    expected = rule_5(0.17666667**2, 0.00023333 / 3, 0.0, 0.0001395, 2, 9)
    assert found.p[0] == pytest.approx(max(expected, 2.0**-9), rel=5e-3)


# --- against loops -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["score", "bernoulli"])
@pytest.mark.parametrize("shape", [(2, 2, 12), (3, 3, 10), (5, 5, 40), (4, 1, 25), (2, 1, 60), (6, 2, 30)])
def test_as_defined(kind, shape):
    rng = np.random.default_rng(sum(shape))
    for gap in (0.0, 0.3, 2.0):
        ys = made(rng, *shape, kind=kind, gap=gap)
        agrees(compare(ys, kind), ys, kind)


@settings(max_examples=40, deadline=None)
@given(arrays(np.float64, (3, 3, 10), elements=st.integers(0, 4).map(float)))
def test_as_defined_with_many_equal_scores(ys):
    if any((np.ptp(ys[j] - ys[k]) == 0) for j in range(3) for k in range(j)):
        return  # no variance at all: the two cases have tests of their own
    if (ys == ys[:, :1]).all():
        return
    agrees(compare(ys), ys, "score")


@settings(max_examples=40, deadline=None)
@given(arrays(np.float64, (4, 3, 10), elements=st.integers(0, 1).map(float)))
def test_as_defined_for_shares(ys):
    if (ys == ys[:, :1]).all():
        return
    agrees(compare(ys, "bernoulli"), ys, "bernoulli")


def test_conditional_by_its_influence():
    rng = np.random.default_rng(3)
    ys = made(rng, 4, 3, 50)
    valid = rng.random(ys.shape) < 0.97
    psi = np.empty_like(ys)
    for k in range(4):
        ratio, v = ys[k][valid[k]].mean(), valid[k].mean()
        for s in range(3):
            for i in range(50):
                psi[k, s, i] = ratio + (ys[k, s, i] - ratio) / v if valid[k, s, i] else ratio
    hidden = np.where(valid, ys, np.nan)
    found = compare_rows([row(y, v) for y, v in zip(hidden, valid, strict=True)], "conditional")
    agrees(found, psi, "score")


def test_pairs_and_rows_agree_on_a_row_against_zero():
    """A row minus a row of zeros has the row's own interval (two rows: its own seed variance)."""
    y = made(np.random.default_rng(8), 1, 5, 80)[0]
    pair = compare_pair(row(y), row(np.zeros_like(y)), "score")
    own = estimate_rows([row(y)], "score")[0]
    assert (pair.difference, pair.low, pair.high) == pytest.approx((own.value, own.low, own.high))


# --- single rules --------------------------------------------------------------------------------------


def test_paired_t_test_of_one_seed():
    a, b = np.random.default_rng(0).normal(size=(2, 1, 30))
    pair = compare_pair(row(a), row(b), "score")
    expected = stats.ttest_rel(a[0], b[0])
    assert pair.p == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval(0.95)
    assert (pair.low, pair.high) == pytest.approx((interval.low, interval.high))


@pytest.mark.parametrize(("b", "c"), [(0, 1), (0, 12), (3, 9), (7, 7), (40, 5)])
def test_mcnemar(b, c):
    first = np.r_[np.ones(b), np.zeros(c), np.ones(20)]
    second = np.r_[np.zeros(b), np.ones(c), np.ones(20)]
    pair = compare_pair(row([first]), row([second]), "bernoulli")
    assert pair.p == pytest.approx(stats.binomtest(b, b + c).pvalue)


def test_identical_rows_tie():
    y = made(np.random.default_rng(1), 1, 3, 20)[0]
    for kind in ("score", "bernoulli"):
        z = (y > 0).astype(float) if kind == "bernoulli" else y
        found = compare([z, z, z + 0.0], kind)
        np.testing.assert_array_equal(found.p, 1.0)
        assert not found.signs().any()


def test_rounding_is_no_difference():
    y = made(np.random.default_rng(1), 1, 3, 20)[0]
    noisy = y * (1 + 1e-9 * np.random.default_rng(2).normal(size=y.shape))
    assert compare([y, noisy, y + 1.0]).p[0] == 1.0
    constant = np.full((3, 20), 0.3)
    assert compare([constant, np.full((3, 20), 0.1 + 0.2), y]).p[0] == 1.0


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_shift_without_variance_meets_only_the_guard(seeds):
    y = np.random.default_rng(4).integers(0, 8, size=(seeds, 12)) / 8
    assert compare([y, y + 0.5]).p[0] == pytest.approx(2.0**-11)


def test_guard_of_shares_counts_samples_that_differ():
    a, b = np.zeros((3, 40)), np.zeros((3, 40))
    a[:, :5] = 1
    a[0, 5] = 1  # six samples of seed 0 differ, five of the others
    assert compare([a, b], "bernoulli").p[0] == pytest.approx(2.0**-5)


def test_equal_seeds_count_once():
    ys = made(np.random.default_rng(5), 3, 1, 30)
    repeated = np.repeat(ys, 4, axis=1)
    for kind in ("score", "bernoulli"):
        one, many = ys, repeated
        if kind == "bernoulli":
            one, many = (ys > 0).astype(float), (repeated > 0).astype(float)
        once, found = compare(one, kind), compare(many, kind)
        assert found.seeds == 1
        np.testing.assert_allclose(found.p, once.p, rtol=1e-12)
        np.testing.assert_allclose(found.low, once.low, rtol=1e-12)
    repeated[2, 1, 7] += 1.0
    assert compare(repeated).seeds == 4


def test_set_rule():
    y = np.random.default_rng(6).normal(size=(4, 5)) + np.arange(4)[:, None]
    found = compare_rows([row(line[:, None]) for line in y], "set")
    d = np.array([y[j] - y[k] for j in range(4) for k in range(j + 1, 4)])
    u = d.var(axis=1, ddof=1)
    pooled = (u + u.mean()) / 2
    p = 2 * stats.t.sf(np.abs(d.mean(1)) / np.sqrt(pooled / 5), 8)
    np.testing.assert_allclose(found.p, p, rtol=1e-9)
    half = stats.t.ppf(0.975, 8) * np.sqrt(pooled / 5)
    np.testing.assert_allclose(found.high - found.low, 2 * half)
    two = compare_rows([row(line[:, None]) for line in y[:2]], "set")
    assert two.p[0] == pytest.approx(stats.ttest_rel(y[0], y[1]).pvalue)


def test_one_seed_of_a_set_separates_nothing():
    pair = compare_pair(row([[1.0]]), row([[9.0]]), "set")
    assert (pair.p, pair.low, pair.difference) == (1.0, None, -8.0)


def test_seeds_with_different_samples_use_their_means():
    rng = np.random.default_rng(9)
    ys = [[rng.normal(k, size=n) for n in (20, 25, 22)] for k in range(3)]
    found = compare_rows([row(y, same_samples=False) for y in ys], "score")
    means = [row([[v.mean()] for v in y]) for y in ys]
    np.testing.assert_allclose(found.p, compare_rows(means, "set").p)


def test_medians_use_one_number_a_seed():
    ys = np.random.default_rng(10).lognormal(size=(3, 4, 31))
    ys[1, 2, :6] = np.inf  # a failed attack is infinitely far
    found = compare(ys, quantile=0.5)
    medians = [row(np.median(y, axis=1)[:, None]) for y in ys]
    np.testing.assert_allclose(found.p, compare_rows(medians, "set").p)
    with pytest.raises(ValueError, match="no finite number"):
        compare(np.where(np.arange(31) < 20, np.inf, ys), quantile=0.5)


def test_common_samples():
    rng = np.random.default_rng(11)
    a, b = rng.normal(size=(2, 3, 60))
    va, vb = rng.random((2, 3, 60)) < 0.8
    pair = compare_common(row(np.where(va, a, np.nan), va), row(np.where(vb, b, np.nan), vb))
    both = va & vb
    assert pair.difference == pytest.approx((a - b)[both].mean())
    ratio, v = (a - b)[both].mean(), both.mean()
    psi = np.where(both, ratio + (a - b - ratio) / v, ratio)
    expected = estimate_rows([row(psi)], "score")[0]
    assert (pair.low, pair.high) == pytest.approx((expected.low, expected.high))
    assert compare_common(row(a, va), row(b, ~va)) is None


# --- rule 5 --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("df", [1, 2, 4, 8, 18])
@pytest.mark.parametrize("df_samples", [9, 99, 9999])
def test_levels_invert_the_width(df, df_samples):
    rng = np.random.default_rng(df)
    seed, sample, floor = rng.lognormal(sigma=2, size=(3, 60))
    d2 = rng.lognormal(2, 3, size=60)
    found = p_values.two_sources(d2, seed, sample, floor, df, df_samples)
    expected = [rule_5(*parts, df, df_samples) for parts in zip(d2, seed, sample, floor, strict=True)]
    np.testing.assert_allclose(np.log10(found), np.log10(expected), atol=1e-3)


def test_levels_have_a_floor_and_a_ceiling():
    one, none = np.ones(1), np.zeros(1)
    assert p_values.two_sources(1e40 * one, one, one, one, 4, 99) == pytest.approx(1e-16)
    assert p_values.two_sources(none, one, one, one, 4, 99) == 1.0
    assert p_values.two_sources(one, none, none, none, 4, 99) == pytest.approx(1e-16)


def test_table_of_t():
    level, squared = p_values._t_table(1)
    assert len(level) == 1001
    assert (level[0], level[400], level[-1]) == (0, 4, 16)
    # Cauchy: the upper a/2 quantile is cot(pi a / 2).
    np.testing.assert_allclose(squared[1:], np.tan(np.pi * 10.0 ** -level[1:] / 2) ** -2.0, rtol=1e-7)
    np.testing.assert_allclose(p_values._t_table(9)[1], stats.t.isf(10.0**-level / 2, 9) ** 2, atol=1e-20)


# --- Holm ----------------------------------------------------------------------------------------------


def reject_step_by_step(p, alpha):
    """Holm's procedure in words: reject the smallest while it is below alpha over what is left."""
    left, rejected = dict(enumerate(p)), set()
    while left:
        i = min(left, key=left.get)
        if not left[i] < alpha / len(left):
            break
        rejected.add(i)
        del left[i]
    return rejected


@given(st.lists(st.sampled_from([0.0, 1e-4, 0.003, 0.011, 0.012, 0.02, 0.049, 0.3, 1.0]), max_size=9))
def test_holm(p):
    adjusted = holm(np.array(p))
    for alpha in (0.05, 0.013, 0.2):
        assert {i for i, a in enumerate(adjusted) if a < alpha * (1 - 1e-12)} == reject_step_by_step(
            p, alpha * (1 - 1e-12)
        )


@pytest.mark.parametrize("least", [1e-12, 1e-4, 0.02, 0.5])
def test_holm_of_many(least):
    """Those that become 1 are not sorted."""
    p = np.maximum(least, np.random.default_rng(19).random(500) ** 4)
    order, expected, largest = np.argsort(p), np.empty(500), 0.0
    for r, i in enumerate(order):
        largest = expected[i] = max(largest, min(1.0, (500 - r) * p[i]))
    np.testing.assert_allclose(holm(p), expected, rtol=1e-12)


# --- how rows are read ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["score", "bernoulli", "conditional"])
@pytest.mark.parametrize("seeds", [1, 3])
def test_groups_change_nothing(monkeypatch, kind, seeds):
    rng = np.random.default_rng(12)
    ys = made(rng, 7, seeds, 100, kind=kind, gap=0.4)
    valid = rng.random(ys.shape) < 0.96 if kind == "conditional" else [None] * 7
    rows = [row(y, v) for y, v in zip(ys, valid, strict=True)]
    whole = OnDemand(rows)
    expected = compare_rows(whole, kind)
    assert whole.reads == 7 + 2  # the first row tells the shape
    monkeypatch.setattr(moments, "GROUP_BYTES", 4 * seeds * 100 * 8)
    found = compare_rows(OnDemand(rows), kind)
    for name in ("difference", "low", "high", "p", "p_holm"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", ["score", "bernoulli", "conditional"])
@pytest.mark.parametrize("seeds", [1, 3])
def test_rows_that_were_kept_compare_as_rows_that_are_read(kind, seeds):
    """Some rows of the column do not apply, and some of the kept ones are not ranked."""
    rng = np.random.default_rng(17)
    ys = made(rng, 8, seeds, 60, kind=kind, gap=0.4)
    valid = rng.random(ys.shape) < 0.96 if kind == "conditional" else [None] * 8
    rows = [row(y, v) for y, v in zip(ys, valid, strict=True)]
    rows[2] = Scores([None, *rows[2].values[1:]], rows[2].valid, 60)  # lacks a seed
    if kind != "bernoulli":
        rows[4].values[0][np.flatnonzero(np.ones(60) if valid[4] is None else valid[4][0])[0]] = np.nan
    places = [0, 3, 4, 7, 8, 10, 11, 12]  # in their column
    kept = Kept(places)
    own = estimate_column(rows, kind, kept=kept)
    assert [estimate for estimate, _ in own] == estimate_rows(rows, kind)
    assert kept.there == {0, 1, 3, 4, 5, 6, 7}
    for some in ([0, 1, 3, 5, 6, 7], [0, 6]):
        found = compare_kept(kept, [places[i] for i in some], kind)
        expected = compare_rows([rows[i] for i in some], kind)
        assert (found.seeds, found.samples, found.df) == (expected.seeds, expected.samples, expected.df)
        for name in ("difference", "low", "high", "p", "p_holm"):
            np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-9, atol=1e-12)
    assert compare_kept(kept, [0, 4], kind) is None  # row 2 is not all there


def test_kept_rows_do_not_tell_several_seeds_from_one(monkeypatch):
    """Rows whose seeds are all equal are one run when no other row is compared; kept are several seeds."""
    ys = made(np.random.default_rng(18), 3, 3, 40)
    ys[1:] = ys[1:, :1]
    rows, kept = [row(y) for y in ys], Kept(range(3))
    estimate_column(rows, "score", kept=kept)
    assert compare_kept(kept, [1, 2], "score") is None
    assert compare_kept(kept, [0, 1, 2], "score").seeds == 3
    monkeypatch.setattr(moments, "GROUP_BYTES", 100)  # none fits
    full = Kept(range(3))
    estimate_column(rows, "score", kept=full)
    assert compare_kept(full, [0, 1, 2], "score") is None


def test_order_of_rows_does_not_matter():
    ys = made(np.random.default_rng(13), 6, 3, 40, gap=0.3)
    found = compare(ys)
    turned = [4, 2, 5, 0, 1, 3]
    again = compare(ys[turned])
    for j in range(6):
        for k in range(6):
            if j != k:
                a, b = found.between(turned[j], turned[k]), again.between(j, k)
                assert (a.difference, a.low, a.p, a.p_holm) == pytest.approx(
                    (b.difference, b.low, b.p, b.p_holm), rel=1e-9
                )
    np.testing.assert_array_equal(found.signs()[np.ix_(turned, turned)], again.signs())


def test_the_same_bytes_again():
    ys = made(np.random.default_rng(16), 9, 3, 5000)
    assert compare(ys).p.tobytes() == compare(ys.copy()).p.tobytes()


def test_no_row_and_one_row():
    assert len(compare_rows([], "score").p) == 0
    assert len(compare([np.random.default_rng(0).normal(size=(3, 20))]).p) == 0


def test_unlike_rows_are_refused():
    y = np.random.default_rng(0).normal(size=(3, 20))
    with pytest.raises(ValueError, match="row 1 has not 20 samples"):
        compare([y, y[:, :19]])
    with pytest.raises(ValueError, match="2 seeds of 3"):
        compare([y, y[:2]])
    with pytest.raises(ValueError, match="no numbers"):
        compare([y, np.where(y > 1, np.nan, y)])


def test_small_differences_on_large_common_parts():
    """Samples differ by a million times what rows do: the Gram matrices must not lose it."""
    rng = np.random.default_rng(15)
    ys = 1e3 * rng.normal(size=(1, 1, 50)) + 1e-1 * rng.normal(size=(3, 3, 50)) + 500.0
    agrees(compare(ys), ys, "score")
