"""Spearman's rho against scipy, its exact p by writing out all orders."""

import math
from itertools import permutations

import numpy as np
import pytest
from scipy import stats

from benchmark_core.board.correlation import correlate, twice_ranks


def all_orders(x, y):
    a, b = stats.rankdata(x), stats.rankdata(y)
    a, b = a - a.mean(), b - b.mean()
    sums = np.array([a @ b[list(order)] for order in permutations(range(len(b)))])
    return float((np.abs(sums) >= abs(a @ b) - 1e-9).mean())


@pytest.mark.parametrize("k", [5, 6, 7])
@pytest.mark.parametrize("ties", [False, True])
def test_exact_p(k, ties):
    rng = np.random.default_rng(k)
    for _ in range(5):
        x, y = rng.normal(size=(2, k))
        if ties:
            x, y = np.round(x), np.round(y)
        if np.ptp(x) == 0 or np.ptp(y) == 0:
            continue
        found = correlate(x, y)
        assert found.rho == pytest.approx(stats.spearmanr(x, y).statistic)
        assert found.p == pytest.approx(all_orders(x, y), abs=1e-12)
        assert (found.exact, found.low, found.high) == (True, None, None)


def test_nine_points_against_scipys_permutation_test():
    x, y = np.random.default_rng(0).normal(size=(2, 9))
    y += x

    def rho(y):
        return stats.spearmanr(x, y).statistic

    expected = stats.permutation_test((y,), rho, permutation_type="pairings", n_resamples=20_000, rng=1)
    assert correlate(x, y).p == pytest.approx(expected.pvalue, abs=0.01)


def test_monotone_orders():
    assert correlate(np.arange(5), np.arange(5) ** 3).p == 2 / 120
    assert correlate(np.arange(5), -np.arange(5)).p == 2 / 120
    assert correlate(np.arange(9), np.arange(9)).p == 2 / math.factorial(9)
    almost = correlate(np.arange(5), np.array([0, 1, 2, 4, 3]))
    assert almost.p > 0.05  # five points need a perfect order


@pytest.mark.parametrize("k", [1, 2, 4])
def test_too_few_points(k):
    found = correlate(np.arange(k), np.arange(k))
    assert (found.k, found.rho, found.p) == (k, None, None)


def test_no_difference_no_correlation():
    assert correlate(np.zeros(6), np.arange(6)).rho is None


@pytest.mark.parametrize("k", [10, 25])
def test_many_points(k):
    x, y = np.random.default_rng(k).normal(size=(2, k))
    y += 0.7 * x
    found, expected = correlate(x, y), stats.spearmanr(x, y)
    assert (found.rho, found.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert not found.exact
    half = 1.959964 * math.sqrt((1 + found.rho**2 / 2) / (k - 3))
    assert math.atanh(found.low) == pytest.approx(math.atanh(found.rho) - half)
    assert math.atanh(found.high) == pytest.approx(math.atanh(found.rho) + half)


def test_a_perfect_order_of_many_points_has_no_interval():
    found = correlate(np.arange(12), -np.arange(12.0))
    assert (found.rho, found.p, found.low) == (-1.0, 0.0, None)


def test_single_seeds():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 3, 6))
    y += x
    found = correlate(x.mean(0), y.mean(0), list(zip(x, y, strict=True)))
    each = [stats.spearmanr(u, v).statistic for u, v in zip(x, y, strict=True)]
    assert (found.single_low, found.single_high) == pytest.approx((min(each), max(each)))


def test_ranks():
    x = np.random.default_rng(2).integers(0, 5, size=30)
    np.testing.assert_array_equal(twice_ranks(x), 2 * stats.rankdata(x))


def test_refused():
    with pytest.raises(ValueError, match="no estimate"):
        correlate(np.array([1.0, np.nan, 3, 4, 5]), np.arange(5))
    with pytest.raises(ValueError, match="both columns"):
        correlate(np.arange(6), np.arange(5))
