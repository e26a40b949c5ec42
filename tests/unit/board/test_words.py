"""The sentences of a board, word by word, filled with results that are computed here."""

import numpy as np
import pytest

from benchmark_core.board import words
from benchmark_core.board.claims import Step, judge
from benchmark_core.board.correlation import Correlation, correlate
from benchmark_core.board.pairs import Pair, compare_rows
from benchmark_core.board.published import Published, compare_published
from benchmark_core.board.ranks import rank_column
from benchmark_core.board.statistics import Scores, estimate_rows


def row(y):
    return Scores(list(y), [None] * len(y), len(y[0]))


def ranking(levels, seeds=5, n=40, direction="higher", noise=0.2):
    rng = np.random.default_rng(0)
    base = rng.normal(size=(1, n))
    ys = [base + level + noise * rng.normal(size=(seeds, n)) for level in levels]
    rows = [row(y) for y in ys]
    return rank_column(
        [f"m{i}" for i in range(len(rows))], estimate_rows(rows, "score"), rows, "score", direction
    )


def names(found):
    return [f"m{i}" for i in range(len(found.standings))]


@pytest.mark.parametrize(
    ("p", "shown"),
    [
        (1.0, "1.0"),
        (0.726, "0.73"),
        (0.0997, "0.100"),
        (0.00586, "0.0059"),
        (0.001, "0.0010"),
        (0.00099, "< 0.001"),
        (0.05, "0.050"),  # exactly; its neighbours on either side do not read like it
        (0.0499, "0.0499"),
        (0.0501, "0.0501"),
        (0.04996, "0.04996"),
        (0.0494, "0.049"),
        (0.0506, "0.051"),
    ],
)
def test_p(p, shown):
    assert words.show_p(p) == shown


@pytest.mark.parametrize(
    ("numbers", "shown"),
    [
        ((0.8123, 0.790, 0.835), "0.812 [0.790, 0.835]"),
        ((0.62, 0.5168, 0.7232), "0.62 [0.52, 0.72]"),
        ((84.2, 80.0, 89.0), "84 [80, 89]"),
        ((12345.6, 12000.0, 12700.0), "12,346 [12,000, 12,700]"),
        ((0.5, 0.5, 0.5), "0.500 [0.500, 0.500]"),
        ((1e-9, 0.5e-9, 2e-9), "0.000000 [0.000000, 0.000000]"),
        ((0.0123456, None, None), "0.0123"),
        ((1.487, 1.333, float("inf")), "1.49 [1.33, ∞]"),
        ((1.487, float("-inf"), float("inf")), "1.49 [−∞, ∞]"),
    ],
)
def test_decimals(numbers, shown):
    assert words.with_bounds(*numbers) == shown


# --- a column ------------------------------------------------------------------------------------------


def test_verdicts_of_columns():
    nothing = ranking([0, 0, 0], seeds=3)
    said = "No row can be separated from another on accuracy with 3 seeds and 40 samples."
    assert words.verdict("accuracy", names(nothing), nothing) == said
    one = ranking([0, 0, 3])
    assert words.verdict("accuracy", names(one), one) == "m2 is better than every other row on accuracy."
    two = ranking([0, 3, 3.01])
    said = "m2 and m1 cannot be separated at the top of accuracy."
    assert words.verdict("accuracy", names(two), two) in (said, said.replace("m2 and m1", "m1 and m2"))
    lower = ranking([0, 3, 3], direction="lower")
    assert words.verdict("distance", names(lower), lower).startswith("m0 is better than every other row")
    many = ranking([0, *[3] * 8])
    assert words.verdict("accuracy", names(many), many).endswith(
        "and 4 more cannot be separated at the top of accuracy."
    )
    single = ranking([0, 0], seeds=1)
    assert words.verdict("accuracy", names(single), single).endswith("with 1 seed and 40 samples.")


def test_verdicts_of_columns_without_a_comparison():
    assert words.verdict("fid", [], ranking([])) == "No row is ranked on fid."
    alone = ranking([1])
    assert (
        words.verdict("fid", ["m0"], alone)
        == "Only m0 is ranked on fid; there is nothing to compare it with."
    )


def test_pairs():
    P = "5768467568|6758468578|5667477468"
    Q = "5668466567|6768367568|5768467578"
    R = "3546246346|4546355457|3546245346"
    rows = [row([[int(c) / 10 for c in line] for line in text.split("|")]) for text in (P, Q, R)]
    found = compare_rows(rows, "score")
    tied = words.pair("P", "Q", "accuracy", found.between(0, 1), higher=True)
    assert tied == (
        "P and Q cannot be separated with these data "
        "(difference 0.01 [\N{MINUS SIGN}0.04, 0.06], adjusted p = 0.73)."
    )
    apart = words.pair("P", "R", "accuracy", found.between(0, 2), higher=True, scale=100)
    assert apart == "P is better than R on accuracy (difference 18 [14, 21], adjusted p 0.0059)."
    assert words.pair("R", "P", "accuracy", found.between(2, 0), higher=True, scale=100) == apart
    turned = words.pair("P", "R", "distance", found.between(0, 2), higher=False)
    assert turned.startswith("R is better than P on distance (difference \N{MINUS SIGN}0.18 [")
    clear = Pair(1.0, 0.5, 1.5, 1e-9, 1e-8)
    assert words.pair("a", "b", "m", clear, higher=True).endswith(
        "(difference 1.0 [0.5, 1.5], adjusted p < 0.001)."
    )


def test_footer():
    assert words.footer(words.interval_over("score", 5)) == (
        "Intervals: 95 %, over seeds and samples. "
        "Ranks: at most a 5 % chance of any wrong separation in a column; "
        "columns are not corrected for each other."
    )
    assert words.interval_over("bernoulli", 1) == "samples"
    assert words.interval_over("set", 3) == words.interval_over("score", 3, crossed=False) == "seeds"


def test_lists():
    assert words.listed(["A"]) == "A"
    assert words.listed(["A", "B"]) == "A and B"
    assert words.listed(list("ABCDE"), 4) == "A, B, C, D and E"
    assert words.listed(list("ABCDEF"), 4) == "A, B, C, D and 2 more"


# --- a row ---------------------------------------------------------------------------------------------


def said_of(y, kind="score", valid=None):
    y = np.asarray(y, dtype=float)
    mask = [None] * len(y) if valid is None else list(valid)
    return words.notes(estimate_rows([Scores(list(y), mask, y.shape[1])], kind)[0], "FID", kind)


def test_notes():
    rng = np.random.default_rng(0)
    crossed = rng.normal(size=(1, 20)) + 0.01 * rng.normal(size=(5, 20))
    assert said_of(crossed) == []
    assert said_of(crossed[:1]) == [
        "One seed: this holds for these trained models, not for the methods in general. Run 3 seeds or more."
    ]
    assert said_of(crossed[:2]) == ["Two seeds: intervals over seeds are very wide. Run 3 seeds or more."]
    assert said_of([[1.0], [2.0]], "set") == [
        "FID gives one number per seed; ranking needs 3 seeds, there are 2."
    ]
    assert said_of(10 * np.arange(5)[:, None] + crossed) == [
        "Differences between seeds, not between samples, set this interval; more samples will not narrow it."
    ]
    assert said_of(crossed[:, :9]) == ["Only 9 samples: not ranked (10 are needed)."]
    broken = crossed.copy()
    broken[1, :2] = np.nan
    assert said_of(broken) == ["2 of 100 scores are not a number. Not ranked."]


def test_notes_of_conditional_rows():
    y = np.random.default_rng(1).normal(size=(5, 200)) * 0.1 + np.random.default_rng(2).normal(size=200)
    valid = np.ones((5, 200), dtype=bool)
    assert said_of(y, "conditional", valid) == []
    valid[:, :5] = False
    assert said_of(y, "conditional", valid) == [
        "Mean over the 97.5 % of samples with a valid result; "
        "the others are missing and may be the harder ones."
    ]
    valid[:, :20] = False
    assert said_of(y, "conditional", valid) == [
        "Valid on 90 % of samples (95 % are needed): shown, not ranked. "
        "Compare on common samples with `robex compare`."
    ]
    assert said_of(y, "conditional", np.zeros_like(valid)) == ["No valid sample. Not ranked."]


def test_shares_next_to_their_limits():
    assert "94.99 %" in words.low_validity(0.94991)
    assert "99.99 %" in words.conditional(0.9999)


def test_missing_and_different_data():
    assert words.incomplete(23, 30, "seed 4 timed out") == (
        "Incomplete: 23 of 30 cells (seed 4 timed out). "
        "Not ranked; the ranks of the other rows do not use it."
    )
    assert words.not_comparable("a", "b", "sets of size") == (
        "Not comparable: a and b were measured on different sets of size."
    )
    assert words.different_samples(0.1, -0.2) == "The two rows solve different samples; no statement."
    assert words.different_samples(0.1, 0.2) is None


# --- claims, published values, correlation -----------------------------------------------------------


@pytest.mark.parametrize(
    ("p", "said"),
    [
        ((0.01, 0.02), "Supported: every step holds (largest p = 0.020)."),
        ((1e-5, 1e-4), "Supported: every step holds (largest p < 0.001)."),
        ((0.01, 0.4), "Undecided: B < C is not separated (p = 0.40)."),
        ((0.01, 0.99), "Contradicted: B is above C (p = 0.010)."),
    ],
)
def test_claims(p, said):
    steps = [Step(a, b, 0.0, x) for a, b, x in zip("AB", "BC", p, strict=True)]
    assert words.claim(judge(steps)) == said


def test_published():
    def said(m, low, high, scale=1.0, **fields):
        return words.published(
            compare_published(m, low, high, Published(**fields), share=True), low, high, scale=scale
        )

    assert said(0.812, 0.79, 0.835, printed="0.81", tolerance=0.03) == (
        "Within tolerance: 0.812 [0.790, 0.835] against 0.81, tolerance 0.03."
    )
    assert said(0.9, 0.88, 0.92, 100, printed="0.815") == (
        "Differs: 90.0 [88.0, 92.0] against 81.5, tolerance 2 (a default)."
    )
    assert said(0.9, 0.8, 0.95, printed="0.88") == (
        "Cannot tell: our interval is wider than the tolerance allows."
    )
    # Narrow enough, and still on both sides of the tolerance: 0.002 to 0.022 above their value.
    assert said(0.512, 0.502, 0.522, printed="0.50") == (
        "Cannot tell: our interval lies partly within the tolerance and partly outside."
    )
    assert said(float("inf"), 0.5, float("inf"), printed="0.50") == "Cannot tell: our value is infinite."
    assert said(0.9, None, None, printed="0.88") == "Cannot tell: our value has no interval."
    assert words.unused_std("0.002") == (
        "The published +- 0.002 is not used: what it measures is not stated."
    )


def test_correlations():
    assert words.correlation(Correlation(4)) == "Only 4 defenses: too few for a correlation."
    five = correlate(np.arange(5), np.arange(5), [(np.arange(5), np.array([0, 1, 2, 4, 3]))])
    assert words.correlation(five) == (
        "Spearman 1.00 over these 5 chosen defenses (exact p = 0.017); single seeds give 0.90 to 0.90."
    )
    many = correlate(np.arange(10), np.array([1, 0, 2, 3, 4, 5, 6, 7, 8, 9]))
    assert words.correlation(many) == "Spearman 0.99 [0.93, 1.00] over these 10 chosen defenses (p < 0.001)."
    assert words.correlation(correlate(np.zeros(6), np.arange(6))).startswith("All 6 defenses are equal")
