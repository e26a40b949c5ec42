"""Pareto fronts by definition, wins and losses by counting, Wilcoxon's test by writing out all signs."""

from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest
from scipy import stats

from benchmark_core.board.blocks import (
    Axis,
    WinsTiesLosses,
    blocks_needed,
    critical_difference,
    mean_over_blocks,
    pareto_front,
    signed_ranks,
    wins_ties_losses,
)
from benchmark_core.board.pairs import Pairs, compare_rows, holm
from benchmark_core.board.ranks import rank_column
from benchmark_core.board.standing import PairList
from benchmark_core.board.statistics import Estimate, Scores, estimate_rows


def row(y):
    return Scores(list(y), [None] * len(y), len(y[0]))


def given_pairs(estimates, p):
    """Pairs with these raw p values: {(j, k): p}, 1 where not named."""
    estimates = np.asarray(estimates, dtype=float)
    j, k = np.triu_indices(len(estimates), 1)
    raw = np.array([p.get((int(a), int(b)), 1.0) for a, b in zip(j, k, strict=True)])
    d = estimates[j] - estimates[k]
    return Pairs(len(estimates), 5, 100, 8, d, d - 1, d + 1, raw, holm(raw))


def axis(estimates, p, direction="higher", rows=None):
    found = given_pairs(estimates, p)
    points = range(len(estimates)) if rows is None else rows
    return Axis([estimates[r] for r in points], points, listed(found), found.rows, direction)


def listed(pairs):
    """As a board keeps them."""
    first, second = np.triu_indices(pairs.rows, 1)
    nobody = np.full(len(first), -1)
    return PairList(first, second, nobody, pairs.difference, pairs.low, pairs.high, pairs.p, pairs.p_holm)


# --- Pareto --------------------------------------------------------------------------------------------


def test_clearly_dominated():
    x = axis([3, 1, 2], {(0, 1): 1e-6})
    assert pareto_front(x, axis([5, 5, 5], {})).dominated_by == ((), (0,), ())  # better, and as good
    assert pareto_front(x, axis([5, 4, 5], {})).dominated_by == ((), (0,), ())  # better, and better
    assert pareto_front(x, axis([4, 5, 5], {})).front == (0, 1, 2)  # the other estimate is worse: stays in
    assert pareto_front(x, axis([4, 5, 5], {(0, 1): 1e-6})).front == (0, 1, 2)  # separated both ways
    near = axis([3, 1, 2], {})
    assert pareto_front(near, axis([9, 1, 2], {})).front == (0, 1, 2)  # nothing is separated


def test_lower_may_be_better():
    x = axis([3, 1], {(0, 1): 1e-6}, "lower")
    assert pareto_front(x, axis([2, 2], {})).dominated_by == ((1,), ())
    assert pareto_front(axis([0, 0], {}), x).dominated_by == ((1,), ())


def test_holm_runs_over_both_columns():
    """p = 0.03 survives the one comparison of its own column but not the two of both."""
    x, y = axis([2, 1], {(0, 1): 0.03}), axis([2, 1], {})
    assert x.pairs.p_adjusted.tolist() == [0.03]
    assert pareto_front(x, y).front == (0, 1)
    assert pareto_front(axis([2, 1], {(0, 1): 0.02}), y).front == (0,)


def test_points_may_share_a_row():
    """Two points of the first row of x: neither beats the other by it, both beat the second row's point."""
    x = axis([3, 1], {(0, 1): 1e-6}, rows=[0, 0, 1])
    assert pareto_front(x, axis([5, 5, 5], {})).dominated_by == ((), (), (0, 1))
    y = axis([5, 4, 4], {(0, 1): 1e-6}, rows=[0, 1, 2])
    assert pareto_front(x, y).dominated_by == ((), (0,), (0, 1))


def test_pairs_that_no_column_separates_may_be_missing():
    rng = np.random.default_rng(3)
    for _ in range(20):
        columns = []
        for _ in range(2):
            y = rng.normal(size=12)
            p = {(j, k): rng.uniform(0, 1) ** 8 for j, k in combinations(range(12), 2)}
            columns.append(axis(y, p))
        less = [
            replace(a, pairs=PairList(*(v[a.pairs.p_adjusted < 0.05] for v in vars(a.pairs).values())))
            for a in columns
        ]
        assert 0 < len(less[0].pairs) < len(columns[0].pairs)
        assert pareto_front(*less) == pareto_front(*columns)


def test_front_by_definition():
    rng = np.random.default_rng(0)
    level = rng.normal(size=(2, 7, 1, 1))
    ys = level + rng.normal(size=(2, 1, 1, 40)) + 0.4 * rng.normal(size=(2, 7, 3, 40))
    pairs = [compare_rows([row(y) for y in column], "score") for column in ys]
    axes = [Axis([y.mean() for y in column], range(7), listed(p), 7, d)
            for column, p, d in zip(ys, pairs, ("higher", "lower"), strict=True)]  # fmt: skip
    adjusted = np.split(holm(np.concatenate([p.p for p in pairs])), 2)
    index = {}
    for at, (j, k) in enumerate(combinations(range(7), 2)):
        index[j, k] = index[k, j] = at

    def better(a, j, k):
        gap = (ys[a][j].mean() - ys[a][k].mean()) * (1, -1)[a]
        return gap > 0 and adjusted[a][index[j, k]] < 0.05

    def as_good(a, j, k):
        return (ys[a][j].mean() - ys[a][k].mean()) * (1, -1)[a] >= 0

    found = pareto_front(*axes).dominated_by
    expected = tuple(
        tuple(
            j
            for j in range(7)
            if j != k
            and any(better(a, j, k) and as_good(1 - a, j, k) and not better(1 - a, k, j) for a in (0, 1))
        )
        for k in range(7)
    )
    assert found == expected
    assert 0 < sum(map(bool, expected)) < 7


# --- across blocks -------------------------------------------------------------------------------------


def test_wins_ties_losses():
    rng = np.random.default_rng(1)
    blocks, expected = [], {name: [0, 0, 0] for name in "abcd"}
    for gap in (0.0, 0.2, 1.0):
        ys = (
            gap * np.arange(4)[:, None, None]
            + rng.normal(size=(1, 1, 40))
            + 0.3 * rng.normal(size=(4, 3, 40))
        )
        rows = [row(y) for y in ys]
        ranking = rank_column("abcd", estimate_rows(rows, "score"), rows, "score", "higher")
        blocks.append(dict(zip("abcd", ranking.standings, strict=True)))
        signs = compare_rows(rows, "score").signs()
        for k, name in enumerate("abcd"):
            for j in range(4):
                if j != k:
                    expected[name][1 - int(signs[k, j])] += 1
    found = wins_ties_losses(blocks)
    assert found == {name: WinsTiesLosses(*counts) for name, counts in expected.items()}
    assert found["d"].wins > 0
    blocks[0]["unranked"] = None
    assert wins_ties_losses(blocks) == {**found, "unranked": WinsTiesLosses()}
    assert str(WinsTiesLosses(3, 1, 0)) == "3-1-0"


def test_mean_over_blocks():
    ok = [Estimate("ok", 0.25), Estimate("few-samples", 0.5)]
    same = [("%", "higher")] * 2
    assert mean_over_blocks(same, ok) == 0.375
    assert mean_over_blocks([("%", "higher"), ("", "higher")], ok) is None
    assert mean_over_blocks([("%", "higher"), ("%", "lower")], ok) is None
    assert mean_over_blocks(same, [ok[0], None]) is None
    assert mean_over_blocks(same, [ok[0], Estimate("incomplete", 0.5)]) is None
    assert mean_over_blocks([], []) is None


def test_blocks_needed():
    assert [blocks_needed(k) for k in (5, 10, 20)] == [9, 11, 13]


def all_signs(d):
    """P(|W - W'| as large) over 2^N sign changes; zeros give half their rank to either side."""
    ranks = stats.rankdata(np.abs(d))
    halves = ranks[d == 0].sum() / 2
    middle = ranks.sum() / 2
    seen = abs(ranks[d > 0].sum() + halves - middle)
    count = 0
    for signs in product([0, 1], repeat=len(d)):
        w = halves + sum(r for r, s, x in zip(ranks, signs, d, strict=True) if s and x != 0)
        count += abs(w - middle) >= seen - 1e-9
    return count / 2 ** len(d)


def signed_rank(d):
    return float(signed_ranks(d[None])[0])


@pytest.mark.parametrize("seed", range(12))
def test_signed_rank_writes_out_all_signs(seed):
    rng = np.random.default_rng(seed)
    d = rng.integers(-3, 5, size=9).astype(float) if seed % 2 else rng.normal(0.5, 1, size=9)
    assert signed_rank(d) == pytest.approx(all_signs(d))
    if not seed % 2:
        assert signed_rank(d) == pytest.approx(stats.wilcoxon(d, method="exact").pvalue)


def test_signed_rank_of_many_blocks_and_of_rounding():
    d = np.arange(1, 61) * np.where(np.arange(60) % 4, 1.0, -1.0)
    assert signed_rank(d) == pytest.approx(stats.wilcoxon(d, method="exact").pvalue, rel=1e-9)
    assert signed_rank(np.zeros(9)) == 1.0
    assert signed_rank(np.array([0.3 - 0.2, 0.2 - 0.1, 0.1] * 3)) == 2.0**-8  # equal up to rounding


def test_many_signed_ranks_are_each_its_own():
    d = np.random.default_rng(5).integers(-3, 4, size=(40, 9)).astype(float)  # with ties and zeros
    d[::3] += np.random.default_rng(6).normal(size=(14, 9))
    d[7] = 0.0
    np.testing.assert_allclose(signed_ranks(d), [all_signs(one) if one.any() else 1.0 for one in d])


def test_critical_difference():
    rng = np.random.default_rng(2)
    scores = rng.normal(size=(12, 1)) + np.array([0.0, 0.01, 3.0, 6.0]) + 0.2 * rng.normal(size=(12, 4))
    found = critical_difference(scores, "abcd", "higher")
    np.testing.assert_allclose(found.mean_ranks, stats.rankdata(-scores, axis=1).mean(0))
    raw = [all_signs(scores[:, j] - scores[:, k]) for j in range(4) for k in range(j + 1, 4)]
    np.testing.assert_allclose(found.p_holm[np.triu_indices(4, 1)], holm(np.array(raw)))
    assert {frozenset(g) for g in found.groups} == {frozenset({3}), frozenset({2}), frozenset({0, 1})}
    assert found.groups[0] == (3,)
    turned = critical_difference(-scores, "abcd", "lower")
    assert (turned.mean_ranks, turned.groups) == (found.mean_ranks, found.groups)
    assert critical_difference(scores[:7], "abcd", "higher") is None  # eight are needed for four rows
    assert critical_difference(scores[:8], "abcd", "higher") is not None
    with pytest.raises(ValueError, match="no estimate"):
        critical_difference(np.where(scores > 6, np.nan, scores), "abcd", "higher")


def test_mean_ranks_depend_on_who_is_there():
    """The five datasets of the specification: C decides who leads."""
    a, b, c = [3, 3, 3, 1, 1], [2, 2, 2, 3, 3], [1, 1, 1, 2, 2]
    two = np.array([a, b]).T.repeat(4, axis=0)
    three = np.array([a, b, c]).T.repeat(4, axis=0)
    np.testing.assert_allclose(critical_difference(two, "ab", "higher").mean_ranks, [1.4, 1.6])
    np.testing.assert_allclose(critical_difference(three, "abc", "higher").mean_ranks, [1.8, 1.6, 2.6])
