"""Ordered claims: how they are read, and their verdicts against one-sided tests of scipy."""

import numpy as np
import pytest
from scipy import stats

from benchmark_core.board.claims import Step, check_claim, judge, parse_claim
from benchmark_core.board.pairs import compare_pair
from benchmark_core.board.statistics import Scores
from benchmark_core.errors import RobexError


def row(y):
    y = np.atleast_2d(np.asarray(y, dtype=float))
    return Scores(list(y), [None] * len(y), y.shape[1])


def steps(*p):
    return [Step(f"r{i}", f"r{i + 1}", 1.0 if x > 0.5 else -1.0, x) for i, x in enumerate(p)]


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("Strong < Medium < Weak < Standard", ("Strong", "Medium", "Weak", "Standard")),
        ("Strong<Standard", ("Strong", "Standard")),
        ("  Strong AT (eps 0.3)  <  no defense ", ("Strong AT (eps 0.3)", "no defense")),
        ('"k < 5" < "k > 5"', ("k < 5", "k > 5")),
    ],
)
def test_reading(text, labels):
    assert parse_claim(text) == labels


@pytest.mark.parametrize(
    "text",
    ["", "A", "A <", "< A", "A < < B", "A > B", "A < B > C", "A <= B", '"A" B < C', 'A < "B', "A < B <  "],
)
def test_what_is_no_claim(text):
    with pytest.raises(RobexError, match="ascending order"):
        parse_claim(text)


def test_labels_must_exist_once():
    rows = ["Strong AT", "Weak AT", "Standard"]
    assert parse_claim("Strong AT < Standard", rows) == ("Strong AT", "Standard")
    with pytest.raises(RobexError, match='no row is called "Strong-AT"; did you mean "Strong AT"'):
        parse_claim("Strong-AT < Standard", rows)
    with pytest.raises(RobexError, match='no row is called "x"; rows are: Strong AT, Weak AT, Standard'):
        parse_claim("x < Standard", rows)
    with pytest.raises(RobexError, match="twice"):
        parse_claim("Standard < Strong AT < Standard", rows)


@pytest.mark.parametrize(
    ("p", "judgement", "decides"),
    [
        ((0.01, 0.049, 0.0), "supported", 1),
        ((0.01, 0.05, 0.0), "undecided", 1),
        ((0.01, 0.6), "undecided", 1),
        ((0.01, 0.97), "undecided", 1),  # 1 - p = 0.03 is not below 0.05 / 2
        ((0.01, 0.98), "contradicted", 1),
        ((0.96,), "contradicted", 0),
        ((0.9999, 0.99), "contradicted", 0),
    ],
)
def test_verdicts(p, judgement, decides):
    found = judge(steps(*p))
    assert (found.judgement, found.p, found.step) == (judgement, max(p), steps(*p)[decides])
    assert found.p_against == pytest.approx(1 - max(p))


def test_one_sided_tests_of_neighbours():
    rng = np.random.default_rng(0)
    base = rng.normal(size=40)
    ys = {
        label: base + shift + 0.3 * rng.normal(size=40)
        for label, shift in zip("abc", (0, 0.5, 0.6), strict=True)
    }
    found = check_claim("abc", lambda label: row(ys[label]), "score")
    one_sided = [stats.ttest_rel(ys[a], ys[b], alternative="less").pvalue for a, b in ("ab", "bc")]
    assert found.p == pytest.approx(max(one_sided))
    assert (found.step.lower, found.step.upper) == ("b", "c")
    turned = check_claim("cba", lambda label: row(ys[label]), "score")
    assert turned.judgement == "contradicted"
    assert (turned.step.lower, turned.step.upper) == ("b", "a")
    assert turned.p_against == pytest.approx(max(one_sided[0], 2.0**-40), rel=1e-3, abs=1e-15)


def test_other_rows_do_not_matter():
    """With three rows a claim still compares pairs, each with its own seed variance."""
    rng = np.random.default_rng(1)
    ys = {
        label: rng.normal(size=(3, 1)) * 0.1 + rng.normal(size=(3, 40)) + i for i, label in enumerate("abc")
    }
    found = check_claim("abc", lambda label: row(ys[label]), "score")
    own = [compare_pair(row(ys[a]), row(ys[b]), "score").p / 2 for a, b in ("ab", "bc")]
    assert found.p == max(own)


def test_equal_rows_are_undecided():
    y = np.random.default_rng(2).normal(size=(3, 20))
    found = check_claim("ab", lambda _: row(y), "score")
    assert (found.judgement, found.p) == ("undecided", 0.5)


def test_claims_are_seldom_supported_by_chance():
    rng = np.random.default_rng(3)
    wrong = 0
    for _ in range(300):
        ys = rng.normal(size=(2, 5, 1)) * 0.1 + rng.normal(size=(2, 5, 60))
        wrong += check_claim([0, 1], lambda k, ys=ys: row(ys[k]), "score").judgement == "supported"
    assert wrong / 300 <= 0.09
