"""Medians and failure values against order statistics, brute force and simulated coverage."""

import math

import numpy as np
import pytest
from scipy import stats

from benchmark_core.board import boards_of, make_board
from benchmark_core.board.cells import rule_of
from benchmark_core.board.pairs import compare_rows
from benchmark_core.board.quantiles import with_failure
from benchmark_core.board.statistics import Scores, components, estimate_rows

INF = math.inf


def one(y, kind="score", valid=None, limits=(-INF, INF), infinite=False, **more):
    y = [np.asarray(row, dtype=float) for row in y]
    mask = [None] * len(y) if valid is None else [np.asarray(v, dtype=bool) for v in valid]
    row = Scores(y, mask, len(y[0]), **more)
    return estimate_rows([row], kind, limits, quantile=0.5, infinite=infinite)[0]


@pytest.mark.parametrize("n", [11, 40, 101])
def test_one_seed_is_an_interval_of_order_statistics(n):
    y = np.random.default_rng(n).lognormal(size=n)
    found, pool = one([y]), np.sort(y)
    half = math.ceil(n / 2)
    m = half / n  # the share of scores up to the median
    w = stats.t.ppf(0.975, n - 1) * math.sqrt(m * (1 - m) / (n - 1))
    low, high = (pool[math.ceil(n * level) - 1] for level in (0.5 - w, 0.5 + w))
    assert (found.value, found.low, found.high) == (pool[half - 1], low, high)
    assert (found.state, found.scope) == ("few-seeds", "these runs")


@pytest.mark.parametrize("n", [10, 30, 100, 300])
def test_order_statistics_cover_the_median(n):
    """P(Y(l) <= median < Y(u)) = P(l <= B < u) with B binomial(n, 1/2), whatever the scores are."""
    found = one([np.arange(1.0, n + 1)])
    b = stats.binom(n, 0.5)
    assert b.cdf(found.high - 1) - b.cdf(found.low - 1) >= 0.93


def test_several_seeds_use_the_components_of_the_share_below():
    y = np.random.default_rng(1).lognormal(size=(4, 50)) + 0.1 * np.arange(4)[:, None]
    found, pool = one(y), np.sort(y.ravel())
    x = pool[99]
    parts = components((y <= x).astype(float))
    w = math.sqrt(parts.squared_width(0.975))
    assert (found.value, found.components) == (x, parts)
    assert found.low == pool[math.ceil(200 * (0.5 - w)) - 1]
    assert found.high == pool[math.ceil(200 * (0.5 + w)) - 1]
    assert found.state == "ok"


def test_coverage_over_new_seeds_and_samples():
    rng, runs, covered = np.random.default_rng(3), 300, 0
    for _ in range(runs):
        y = 0.1 * rng.normal(size=(5, 1)) + rng.normal(size=(1, 100)) + 0.3 * rng.normal(size=(5, 100))
        found = one(np.exp(y))
        covered += found.low <= 1.0 <= found.high
    assert covered / runs >= 0.92


def test_only_the_valid_scores_count():
    rng = np.random.default_rng(4)
    y, v = rng.lognormal(size=(3, 60)), rng.random((3, 60)) < 0.97
    y[~v] = np.nan
    found = one(y, "conditional", v)
    kept = np.sort(y[v])
    assert found.value == kept[math.ceil(len(kept) / 2) - 1]
    f = np.where(v, y <= found.value, 0.0)
    r = f.sum() / v.sum()
    psi = r + np.where(v, f - r, 0.0) / v.mean()
    w = math.sqrt(components(psi).squared_width(0.975))
    assert found.low == kept[math.ceil(len(kept) * (0.5 - w)) - 1]
    assert found.share.value == pytest.approx(v.mean())
    assert found.state == "ok"
    assert one(y, "conditional", v & (rng.random((3, 60)) < 0.8)).state == "low-validity"


def test_equal_scores_have_no_width():
    found = one(np.full((3, 20), 0.3))
    assert found.low == found.value == found.high == 0.3


def test_a_width_beyond_all_scores_leaves_the_range():
    y = np.concatenate([np.zeros((1, 20)), np.ones((1, 20))]) + np.arange(20) / 100
    found = one(y, limits=(0.0, INF))  # two seeds that agree on nothing
    assert (found.low, found.high) == (0.0, INF)


def test_a_row_of_equal_scores_has_as_many_seeds_as_the_others():
    rng = np.random.default_rng(8)
    rows = [np.full((3, 20), 0.3), rng.random((3, 20))]  # 1{Y <= x} is 1 in every seed of the first
    found = estimate_rows([Scores(list(y), [None] * 3, 20, False) for y in rows], "score", quantile=0.5)
    assert [(e.state, e.seeds) for e in found] == [("ok", 3), ("ok", 3)]
    assert (found[0].low, found[0].high) == (0.3, 0.3)


def test_failures_count_as_their_value():
    rng = np.random.default_rng(5)
    y, v = rng.lognormal(size=(3, 50)), rng.random((3, 50)) < 0.8
    y[~v] = np.nan
    row = with_failure(Scores(list(y), list(v), 50), INF)
    (found,) = estimate_rows([row], "score", quantile=0.5, infinite=True)
    assert found.value == np.sort(np.where(v, y, INF).ravel())[74]
    assert (found.state, found.share) == ("ok", None)
    assert estimate_rows([row], "score", quantile=0.5)[0].state == "nan"
    finite = with_failure(Scores(list(y), list(v), 50), 9.0)
    expected = estimate_rows([Scores(list(np.where(v, y, 9.0)), [None] * 3, 50)], "score")[0]
    assert estimate_rows([finite], "score")[0] == expected


def test_an_infinite_median_is_shown_and_not_ranked():
    y = np.full((3, 20), INF)
    y[:, :8] = np.random.default_rng(7).random((3, 8))
    found = one(y, infinite=True)
    assert (found.value, found.state) == (INF, "low-validity")
    assert found.share.value == pytest.approx(0.4)
    y[0, 0] = np.nan
    assert one(y, infinite=True).state == "nan"


def test_rules_of_manifests():
    old = rule_of({"scores": "conditional"})
    assert (old.kind, old.quantile, old.failure) == ("conditional", None, None)
    new = rule_of({"scores": "conditional", "average": "median", "failure": "inf"})
    assert (new.kind, new.quantile, new.infinite) == ("score", 0.5, True)


def test_a_column_of_medians_on_a_board(made):
    rng = np.random.default_rng(6)
    scores = {"near": rng.lognormal(size=(3, 60)), "far": rng.lognormal(size=(3, 60)) + 4}
    valid = rng.random((3, 60)) < 0.7
    for defense, y in scores.items():
        for seed in range(3):
            made.add(y[seed], None, valid[seed], metric="distance", seed=seed, defense=defense, attack="pgd")
    manifest = {**made.manifest}
    about = {**manifest["metrics"]["distance"], "average": "median", "failure": "inf"}
    manifest["metrics"] = {"distance": about}
    block = make_board(made.store, manifest, boards_of(manifest)[0]).blocks[0]
    (column,) = block.columns
    assert (column.average, column.kind) == ("median", "score")
    assert [row.at["defense"] for row in block.rows] == ["near", "far"]
    rows = [np.where(valid, scores[row.at["defense"]], INF) for row in block.rows]
    for row, y in zip(block.rows, rows, strict=True):
        assert row.cells[0].estimate.value == np.sort(y.ravel())[89]
        assert row.cells[0].by_seed == tuple(np.sort(y, axis=1)[:, 29])
    expected = compare_rows([Scores(list(y), [None] * 3, 60) for y in rows], "score", quantile=0.5)
    (pair,) = column.ranking.pairs
    assert pair.p == expected.p[0]


def test_many_scores_at_the_largest_value_leave_a_width():
    # 12 of 20 scores are the largest: whether the median lies there is far from sure
    scores = np.r_[np.linspace(0, 0.9, 8), np.ones(12)]
    up, down = one([scores]), one([-scores])
    assert (up.value, up.high) == (1.0, 1.0)
    assert up.low < 0.9
    assert (down.low, down.high) == (-up.high, pytest.approx(-up.low, abs=0.2))


def test_a_failure_value_stands_where_every_score_is_0_or_1():
    # scores that are all 0 or 1 may come as bools
    row = Scores([np.array([False, True, True])], [np.array([False, True, True])], 3, True)
    assert with_failure(row, INF).values[0].tolist() == [INF, 1.0, 1.0]
    assert with_failure(row, 0.25).values[0].tolist() == [0.25, 1.0, 1.0]
