"""Ranks and tie groups against their definitions by counting, and what must not change them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark_core.board.pairs import compare_rows
from benchmark_core.board.ranks import letter, rank_column, rank_pairs, tie_groups
from benchmark_core.board.statistics import Scores, estimate_rows

P = "5768467568|6758468578|5667477468"
Q = "5668466567|6768367568|5768467578"
R = "3546246346|4546355457|3546245346"


def table(text):
    return np.array([[int(c) / 10 for c in line] for line in text.split("|")])


def row(y):
    y = [None if v is None else np.asarray(v, dtype=float) for v in y]
    return Scores(y, [None] * len(y), max(len(v) for v in y if v is not None))


def rank(names, ys, kind="score", direction="higher"):
    rows = [row(y) for y in ys]
    return rank_column(names, estimate_rows(rows, kind), rows, kind, direction)


def some_rows(seed, rows=8, seeds=4, n=40):
    """Rows of which some are apart and some are not."""
    rng = np.random.default_rng(seed)
    level = rng.choice([0.0, 0.3, 0.6, 1.2], size=(rows, 1, 1))
    return (
        level
        + rng.normal(size=(1, 1, n))
        + 0.08 * rng.normal(size=(rows, seeds, 1))
        + 0.5 * rng.normal(size=(rows, seeds, n))
    )


def test_worked_example():
    found = rank(["P", "Q", "R"], [table(P), table(Q), table(R)])
    assert [(s.low, s.high, s.ties) for s in found.standings] == [(1, 2, "a"), (1, 2, "a"), (3, 3, "b")]
    assert found.groups == ((0, 1), (2,))
    assert [s.bold for s in found.standings] == [True, True, False]
    assert (found.order, found.top) == ((0, 1, 2), (0, 1))


def test_the_intervals_overlap_although_the_rows_are_separated():
    p, _, r = estimate_rows([row(table(text)) for text in (P, Q, R)], "score", (0, 1))
    assert p.low < r.high


# --- by counting ---------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 7).flatmap(lambda k: st.tuples(st.just(k), st.sets(st.integers(0, max(0, k * k - 1))))))
def test_tie_groups_are_the_maximal_runs(drawn):
    rows, apart = drawn
    separated = np.zeros((rows, rows), dtype=bool)
    for code in apart:
        if rows and code // rows != code % rows:
            separated[code // rows, code % rows] = separated[code % rows, code // rows] = True
    runs = [range(i, j) for i in range(rows) for j in range(i + 1, rows + 1) if not separated[i:j, i:j].any()]
    maximal = [r for r in runs if not any(set(r) < set(other) for other in runs)]
    assert tie_groups(separated) == maximal


@pytest.mark.parametrize("direction", ["higher", "lower"])
@pytest.mark.parametrize("seed", range(6))
def test_ranks_by_counting(seed, direction):
    ys = some_rows(seed)
    names = [f"m{i}" for i in range(len(ys))]
    found = rank(names, ys, direction=direction)
    pairs = compare_rows([row(y) for y in ys], "score")
    sign = 1 if direction == "higher" else -1
    some_apart = 0
    for k in range(len(ys)):
        better = worse = 0
        for j in range(len(ys)):
            if j != k and (pair := pairs.between(j, k)).p_holm < 0.05:
                some_apart += 1
                better += sign * pair.difference > 0
                worse += sign * pair.difference < 0
        assert (found.standings[k].low, found.standings[k].high) == (1 + better, len(ys) - worse)
    assert some_apart
    keys = [(found.standings[k].low, -sign * ys[k].mean(), names[k]) for k in found.order]
    assert keys == sorted(keys)
    for g, group in enumerate(found.groups):
        assert all(letter(g) in found.standings[k].ties for k in group)


# --- what must not matter ------------------------------------------------------------------------------


def standings(found, names):
    return {name: s and (s.low, s.high, s.ties) for name, s in zip(names, found.standings, strict=True)}


@pytest.mark.parametrize("seed", range(4))
def test_flipping_the_direction_flips_everything(seed):
    ys = some_rows(seed)
    names = [f"m{i}" for i in range(len(ys))]
    up = rank(names, ys, direction="higher")
    down = rank(names, -ys, direction="lower")
    assert standings(up, names) == standings(down, names)
    assert (up.order, up.groups) == (down.order, down.groups)
    turned = rank(names, ys, direction="lower")
    k = len(ys)
    assert [(s.low, s.high) for s in turned.standings] == [
        (k + 1 - s.high, k + 1 - s.low) for s in up.standings
    ]


@pytest.mark.parametrize("seed", range(4))
def test_order_of_rows_does_not_matter(seed):
    ys = some_rows(seed)
    names = [f"m{i}" for i in range(len(ys))]
    first = rank(names, ys)
    turned = np.random.default_rng(seed).permutation(len(ys))
    again = rank([names[i] for i in turned], ys[turned])
    assert standings(first, names) == standings(again, [names[i] for i in turned])
    assert [names[i] for i in first.order] == [names[turned[i]] for i in again.order]


def test_unranked_rows_change_nothing():
    ys = list(some_rows(1))
    names = [f"m{i}" for i in range(len(ys))]
    alone = rank(names, ys)
    holes = ys[3].copy()
    holes[0, 5] = np.nan
    missing = [ys[2][0], None, ys[2][2], ys[2][3]]
    with_more = rank(["b incomplete", *names, "a broken"], [missing, *ys, holes])
    assert standings(with_more, ["b incomplete", *names, "a broken"]) == {
        "b incomplete": None, "a broken": None, **standings(alone, names),
    }  # fmt: skip
    assert with_more.order == (*(i + 1 for i in alone.order), len(ys) + 1, 0)  # unranked last, by name
    assert with_more.pairs.rows == len(ys)


def test_scores_of_unranked_rows_are_never_read():
    ys = some_rows(2, rows=3)
    rows = [row(y) for y in ys]
    estimates = [*estimate_rows(rows, "score"), None]
    assert rank_column("abcd", estimates, rows, "score", "higher").order[-1] == 3


def test_equal_rows_stand_together():
    y = some_rows(3, rows=1)[0]
    found = rank("cab", [y, y, y])
    assert [(s.low, s.high, s.ties) for s in found.standings] == [(1, 3, "a")] * 3
    assert found.order == (1, 2, 0)  # by name


def test_no_row_and_one_row():
    assert rank([], []).order == ()
    found = rank(["only"], [some_rows(0)[0]])
    assert (found.standings[0].low, found.standings[0].high, found.groups) == (1, 1, ((0,),))


def test_a_chain_of_overlapping_groups():
    """a ~ b, b ~ c, but a and c are separated: b is in two groups."""
    rng = np.random.default_rng(0)
    base = rng.normal(size=(1, 200))
    ys = [base + 0.6 * rng.normal(size=(1, 200)) + shift for shift in (0.2, 0.1, 0.0)]
    found = rank("abc", ys)
    assert [s.ties for s in found.standings] == ["a", "ab", "b"]
    assert [(s.low, s.high) for s in found.standings] == [(1, 2), (1, 3), (2, 3)]


def test_ranks_come_with_an_estimate():
    y = some_rows(0, rows=2)
    pairs = compare_rows([row(v) for v in y], "score")
    with pytest.raises(ValueError, match='"b" is ranked'):
        rank_pairs("ab", [estimate_rows([row(y[0])], "score")[0], None], [0, 1], pairs, "higher")


def test_letters_are_one_sign_each():
    signs = [letter(i) for i in range(60)]
    assert signs[:3] == ["a", "b", "c"]
    assert len(set(signs)) == 60
