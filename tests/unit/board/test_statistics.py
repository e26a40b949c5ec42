"""Intervals against the worked example of the specification, loops, closed forms and scipy.stats."""

import math

import numpy as np
import pytest
from scipy import stats

from benchmark_core.board.intervals import student
from benchmark_core.board.pairs import compare_pair
from benchmark_core.board.statistics import Scores, components, estimate_column, estimate_rows

P = "5768467568|6758468578|5667477468"
Q = "5668466567|6768367568|5768467578"
R = "3546246346|4546355457|3546245346"


def table(text):
    return np.array([[int(c) / 10 for c in line] for line in text.split("|")])


def scores(y, valid=None, samples=None, **more):
    y = [None if row is None else np.asarray(row, dtype=float) for row in y]
    n = next(len(row) for row in y if row is not None) if samples is None else samples
    mask = [None] * len(y) if valid is None else [np.asarray(v, dtype=bool) for v in valid]
    return Scores(y, mask, n, **more)


def one(y, kind="score", limits=(-math.inf, math.inf), **more):
    return estimate_rows([scores(y, **more)], kind, limits)[0]


def loops(y):
    """V_seed, V_sample, V_floor from their sums, one term at a time."""
    s_count, n = len(y), len(y[0])
    m = sum(sum(row) for row in y) / (s_count * n)
    a = [sum(row) / n for row in y]
    b = [sum(row[i] for row in y) / s_count for i in range(n)]
    ma = n * sum((x - m) ** 2 for x in a) / (s_count - 1)
    mb = s_count * sum((x - m) ** 2 for x in b) / (n - 1)
    me = sum((y[s][i] - a[s] - b[i] + m) ** 2 for s in range(s_count) for i in range(n)) / (
        (s_count - 1) * (n - 1)
    )
    total = s_count * n
    return m, ma / total, max(0.0, mb - me) / total, me / total


def test_worked_example_components():
    found = components(table(P))
    assert found.mean == pytest.approx(0.62)
    assert found.seed == pytest.approx(0.0001333, abs=5e-8)
    assert found.sample == pytest.approx(0.0016, abs=5e-7)
    assert found.floor * 30 == pytest.approx(0.0025185, abs=5e-8)
    assert found.squared_width(0.975) == pytest.approx(0.010656, abs=5e-7)


@pytest.mark.parametrize(
    ("text", "value", "low", "high"),
    [(P, 0.62, 0.5168, 0.7232), (Q, 0.6133, 0.5103, 0.7164), (R, 0.4433, 0.3241, 0.5626)],
)
def test_worked_example_intervals(text, value, low, high):
    found = one(table(text), limits=(0, 1))
    assert (found.value, found.low, found.high) == pytest.approx((value, low, high), abs=6e-5)
    assert found.state == "ok"
    assert found.scope == "new runs"
    assert (found.n, found.seeds) == (10, 3)


@pytest.mark.parametrize("shape", [(2, 2), (3, 17), (5, 200)])
def test_components_against_loops(shape):
    y = np.random.default_rng(shape[1]).normal(size=shape) + np.arange(shape[0])[:, None]
    found = components(y)
    assert (found.mean, found.seed, found.sample, found.floor) == pytest.approx(loops(y.tolist()))


@pytest.mark.parametrize("df", [1, 2, 4, 9, 99, 9999])
def test_student_against_scipy_stats(df):
    assert student(df, 0.975) == pytest.approx(stats.t.ppf(0.975, df), rel=1e-9)


def test_one_seed_is_the_t_interval():
    y = np.random.default_rng(0).normal(size=50)
    found = one([y])
    low, high = stats.t.interval(0.95, 49, loc=y.mean(), scale=stats.sem(y))
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.scope == "these runs"


def test_interval_stays_in_the_range():
    y = np.zeros((3, 20))
    y[0, 0] = 0.5
    found = one(y, limits=(0, 1))
    assert found.low == 0.0
    assert found.high > found.value


@pytest.mark.parametrize("successes", [1, 7, 50, 99])
def test_wilson_of_one_seed(successes):
    n, z = 100, 1.959964
    p = successes / n
    found = one([[1.0] * successes + [0.0] * (n - successes)], "bernoulli", (0, 1))
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert (found.low, found.high) == pytest.approx((centre - half, centre + half))


def test_wilson_with_the_two_source_width():
    y = (np.random.default_rng(1).random((4, 60)) < 0.7).astype(float)
    found = one(y, "bernoulli", (0, 1))
    m, v_seed, v_sample, v_floor = loops(y.tolist())
    t_seeds, t_samples = stats.t.ppf(0.975, 3) ** 2, stats.t.ppf(0.975, 59) ** 2
    h2 = max(t_seeds * v_seed + t_samples * v_sample, t_samples * v_floor)
    k2 = max(h2 / (m * (1 - m)), 1.959964**2 / 240)
    centre = (m + k2 / 2) / (1 + k2)
    half = math.sqrt(k2 * (m * (1 - m) + k2 / 4)) / (1 + k2)
    assert (found.value, found.low, found.high) == pytest.approx((m, centre - half, centre + half))


@pytest.mark.parametrize("seeds", [1, 2, 5])
def test_a_thousand_of_a_thousand(seeds):
    found = one(np.ones((seeds, 1000)), "bernoulli", (0, 1))
    assert found.high == 1.0
    assert found.low == pytest.approx(0.9962, abs=5e-5)


def test_equal_scores_have_no_width():
    """Also where the mean of equal numbers would miss them in its last bit."""
    for kind in ("score", "conditional"):
        found = one(np.full((3, 7 * 11), 0.1), kind, valid=np.ones((3, 77)))
        assert found.low == found.value == found.high == 0.1


def test_seeds_that_cancel_keep_a_width():
    y = np.random.default_rng(2).normal(size=30)
    found = one([y, 1.0 - y])
    assert found.high - found.low > 0.1


def test_identical_seeds_in_every_row_count_as_one():
    rows = [np.tile(np.random.default_rng(k).normal(size=40), (3, 1)) for k in range(2)]
    alone = [one([row[0]]) for row in rows]
    found = estimate_rows([scores(row) for row in rows], "score")
    for a, b in zip(found, alone, strict=True):
        assert (a.value, a.low, a.high, a.seeds, a.scope) == (b.value, b.low, b.high, 1, "these runs")
    other = np.random.default_rng(9).normal(size=(3, 40))
    mixed = estimate_rows([scores(rows[0]), scores(other)], "score")
    assert [e.seeds for e in mixed] == [3, 3]


def test_scores_that_are_not_valid_make_no_seeds_differ():
    rng = np.random.default_rng(11)
    valid = np.tile(np.arange(40) > 0, (3, 1))
    rows = [np.where(valid, rng.normal(size=40), rng.normal(size=(3, 1))) for _ in range(2)]
    column = [Scores(list(y), list(valid), 40) for y in rows]
    alone = [Scores([y[0]], [valid[0]], 40) for y in rows]
    assert estimate_rows(column, "conditional") == estimate_rows(alone, "conditional")
    several, one_seed = (compare_pair(*some, "conditional") for some in (column, alone))
    assert (several.low, several.p) == pytest.approx((one_seed.low, one_seed.p), rel=1e-12)
    both = [estimate_rows(some, "conditional", quantile=0.5)[0].seeds for some in (column, alone)]
    assert both == [1, 1]


def test_an_incomplete_row_changes_no_other():
    same = np.tile(np.random.default_rng(0).normal(size=40), (3, 1))
    broken = scores([same[0], same[0] + 1, None])
    found, other = estimate_rows([scores(same), broken], "score")
    assert found.seeds == 1
    assert other.state == "incomplete"


def test_set_is_t_over_seeds():
    y = [3.0, 4.5, 4.0]
    found = one([[v] for v in y], "set", samples=500)
    low, high = stats.t.interval(0.95, 2, loc=np.mean(y), scale=stats.sem(y))
    assert (found.low, found.high) == pytest.approx((low, high))
    assert (found.state, found.n) == ("ok", 500)


def test_set_with_few_seeds():
    two = one([[3.0], [4.0]], "set", samples=500)
    assert (two.state, two.low is None) == ("few-seeds", False)
    single = one([[3.0]], "set", samples=500)
    assert (single.state, single.value, single.low) == ("few-seeds", 3.0, None)


def test_conditional_by_its_influence():
    rng = np.random.default_rng(3)
    y, v = rng.normal(size=(3, 80)), rng.random((3, 80)) < 0.97
    y[~v] = np.nan  # what is not valid does not count, whatever it is
    found = one(y, "conditional", valid=v)
    ratio = y[v].sum() / v.sum()
    psi = ratio + np.where(v, np.nan_to_num(y) - ratio, 0) / v.mean()
    same = one(psi)
    assert found.value == pytest.approx(ratio)
    assert (found.low, found.high) == pytest.approx((same.low, same.high))
    share = one(v.astype(float), "bernoulli", (0, 1))
    assert (found.share.value, found.share.low, found.share.high) == (share.value, share.low, share.high)


@pytest.mark.parametrize(("valid", "state"), [(0.90, "low-validity"), (0.95, "ok"), (1.0, "ok")])
def test_low_validity(valid, state):
    v = np.arange(100) < valid * 100
    y = np.random.default_rng(0).normal(size=(3, 100))
    assert one(y, "conditional", valid=np.tile(v, (3, 1))).state == state


def test_nothing_valid():
    found = one(np.zeros((3, 20)), "conditional", valid=np.zeros((3, 20)))
    assert (found.state, found.value, found.not_numbers) == ("nan", None, 0)


def test_nan_and_infinity_give_no_estimate():
    y = np.zeros((3, 20))
    y[1, 4], y[2, 2] = np.nan, np.inf
    found = one(y)
    assert (found.state, found.value, found.not_numbers) == ("nan", None, 2)


def test_incomplete_has_an_estimate_without_interval():
    found = one([[1.0] * 20, None, [0.0] * 20], "bernoulli", (0, 1))
    assert (found.state, found.value, found.low) == ("incomplete", 0.5, None)
    assert estimate_rows([Scores([None, None], [None, None], 0)], "score")[0].value is None


def test_few_samples():
    found = one(np.random.default_rng(0).normal(size=(3, 9)))
    assert found.state == "few-samples"
    assert found.low is not None


def test_one_sample():
    single = one([[2.0]])
    assert (single.value, single.low) == (2.0, None)
    several = one([[2.0], [3.0], [4.0]])
    low, high = stats.t.interval(0.95, 2, loc=3.0, scale=stats.sem([2, 3, 4]))
    assert (several.low, several.high) == pytest.approx((low, high))


def test_seeds_with_different_samples_use_their_means():
    rng = np.random.default_rng(5)
    y = [rng.normal(size=n) for n in (30, 25, 28)]
    found = one(y, samples=25, same_samples=False)
    means = [v.mean() for v in y]
    low, high = stats.t.interval(0.95, 2, loc=np.mean(means), scale=stats.sem(means))
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.state == "ok"
    assert one(y[:2], samples=25, same_samples=False).state == "few-seeds"


def test_coverage_of_new_runs():
    """Seeds and samples both vary: 95 % intervals must cover at least about that often."""
    rng = np.random.default_rng(7)
    runs, covered = 400, 0
    for _ in range(runs):
        y = rng.normal(size=(5, 1)) * 0.1 + rng.normal(size=(1, 100)) + 0.3 * rng.normal(size=(5, 100))
        found = one(y)
        covered += found.low <= 0.0 <= found.high
    assert covered / runs >= 0.93


# --- seeds that are all equal --------------------------------------------------------------------------


def test_scores_that_are_no_numbers_are_counted_once_where_seeds_are_equal():
    y = np.linspace(0, 1, 10)
    y[:5] = np.nan
    found = one([y, y, y])
    assert (found.state, found.not_numbers, found.n, found.seeds) == ("nan", 5, 10, 1)
    varied = one([y, y, np.roll(y, 1)])
    assert (varied.not_numbers, varied.n * varied.seeds) == (15, 30)


@pytest.mark.parametrize("quantile", [None, 0.5])
@pytest.mark.parametrize("broken", ["nan", "few valid", "incomplete", "few"])
def test_a_row_that_is_not_ranked_has_no_say_in_the_scope_of_the_others(quantile, broken):
    """Two rows whose seeds are all equal count as one run, whoever else is there."""
    rng = np.random.default_rng(0)
    kind = "conditional" if broken == "few valid" else "score"
    equal = [scores([rng.random(30) + k] * 3) for k in range(2)]
    y = rng.random((3, 30))
    valid = None
    if broken == "nan":
        y[:, 0] = np.nan
    if broken == "few valid":
        valid = y > 0.5
    rows: list = [None if broken == "incomplete" and s == 1 else y[s] for s in range(3)]
    other = scores(rows, valid, samples=5 if broken == "few" else 30)
    alone = estimate_rows(equal, kind, quantile=quantile)
    assert {e.scope for e in alone} == {"these runs"}
    for order in ([*equal, other], [other, *equal]):
        found = estimate_rows(order, kind, quantile=quantile)
        assert [e for e, row in zip(found, order, strict=True) if row is not other] == alone
        (kept,) = (e for e, row in zip(found, order, strict=True) if row is other)
        assert (kept.state, kept.seeds) == (
            estimate_rows([other], kind, quantile=quantile)[0].state,
            kept.seeds,
        )
        assert kept.seeds == (2 if broken == "incomplete" else 3)
    # A ranked row whose seeds differ has a say.
    third = estimate_rows([*equal, scores(rng.random((3, 30)))], kind, quantile=quantile)
    assert {(e.scope, e.seeds) for e in third} == {("new runs", 3)}


def test_references_keep_their_own_seeds():
    rng = np.random.default_rng(0)
    equal, varied = scores([rng.random(30)] * 3), scores(rng.random((3, 30)))
    for rows, at in (([equal, equal, varied], 2), ([varied, equal, equal], 0)):
        found = [e for e, _ in estimate_column(rows, "score", references=[at])]
        assert found[at] == one(varied.values)._replace(state="reference")
        assert {(e.state, e.scope) for k, e in enumerate(found) if k != at} == {("ok", "these runs")}
    (alone,) = estimate_column([varied], "score", references=[0])
    assert (alone[0].state, alone[0].scope) == ("reference", "new runs")
