"""Verdicts on published values, case by case, with bounds worked out by hand."""

import math

import numpy as np
import pytest

from benchmark_core.board.published import Published, check_order, compare_published, published_steps
from benchmark_core.board.statistics import Scores
from benchmark_core.errors import RobexError


def verdict(ours, low, high, *, share=True, **theirs):
    return compare_published(ours, low, high, Published(**theirs), share=share)


@pytest.mark.parametrize(
    ("printed", "scale", "share", "delta"),
    [
        ("0.981", 1, True, 0.02),
        ("0.5", 1, True, 0.05),  # half of a tenth is more
        ("94.6", 0.01, True, 0.02),
        ("9", 0.1, True, 0.05),
        ("2.358", 1, False, 0.2358),
        ("-2.0", 1, False, 0.2),
        ("0", 1, False, 0.5),
        ("0.000", 1, False, 0.0005),
        ("1.2e3", 1, False, 120),
        ("3e2", 1, False, 50),
        ("0.30", 1, False, 0.03),
    ],
)
def test_default_tolerances(printed, scale, share, delta):
    found = verdict(0.0, None, None, share=share, printed=printed, scale=scale)
    assert found.tolerance == pytest.approx(delta)
    assert found.default


def test_a_given_tolerance_is_in_their_unit():
    found = verdict(0.9, 0.89, 0.91, printed="91", tolerance=3, scale=0.01)
    assert (found.tolerance, found.default, found.theirs) == (0.03, False, pytest.approx(0.91))
    assert found.agreement == "within tolerance"


@pytest.mark.parametrize(
    ("ours", "low", "high", "agreement"),
    [
        (0.80, 0.79, 0.81, "within tolerance"),
        (0.80, 0.78, 0.82, "within tolerance"),  # bounds on the tolerance belong to it
        (0.80, 0.77, 0.82, "cannot tell"),
        (0.85, 0.83, 0.87, "differs"),
        (0.85, 0.81, 0.89, "cannot tell"),
        (0.70, 0.69, 0.71, "differs"),
        (0.80, None, None, "cannot tell"),
    ],
)
def test_agreement(ours, low, high, agreement):
    found = verdict(ours, low, high, printed="0.80", tolerance=0.02)
    assert found.agreement == agreement
    if low is not None:
        assert (found.low, found.high) == pytest.approx((low - 0.8, high - 0.8))


def test_a_difference_equal_to_the_tolerance_is_within_it():
    """Of decimal numbers, which floats do not hold exactly: shares of two digits, 1 to 5 % away."""
    for percent in range(100):
        for away in (-5, -3, -2, -1, 1, 2, 3, 5):
            if 0 <= percent + away <= 100:
                ours = (percent + away) / 100
                theirs = {"printed": f"{percent / 100:.2f}", "tolerance": abs(away) / 100}
                assert verdict(ours, ours, ours, **theirs).agreement == "within tolerance", (ours, theirs)
    assert verdict(1.0, 1.0, 1.0, printed="0.98").agreement == "within tolerance"
    assert verdict(1.000001, 1.000001, 1.000001, printed="0.98").agreement == "differs"


@pytest.mark.parametrize(
    ("std_means", "se"),
    [("seeds", 0.03 / math.sqrt(9)), ("standard-error", 0.03), ("ci95", 0.03 / 1.96), (None, 0)],
)
def test_their_spread_enters_only_if_they_say_what_it_is(std_means, se):
    runs = 9 if std_means == "seeds" else None
    found = verdict(0.80, 0.79, 0.83, printed="0.78", std=0.03, std_means=std_means, runs=runs)
    assert found.low == pytest.approx(0.02 - math.sqrt(0.01**2 + (1.96 * se) ** 2))
    assert found.high == pytest.approx(0.02 + math.sqrt(0.03**2 + (1.96 * se) ** 2))
    assert found.unused_std == (0.03 if std_means is None else None)


def test_a_wide_spread_makes_it_undecidable():
    assert verdict(0.90, 0.89, 0.91, printed="0.80").agreement == "differs"
    wide = verdict(0.90, 0.89, 0.91, printed="0.80", std=0.1, std_means="standard-error")
    assert wide.agreement == "cannot tell"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"printed": "about 3"}, "not a number"),
        ({"printed": "nan"}, "not a number"),
        ({"printed": "1", "tolerance": -0.1}, "at least 0"),
        ({"printed": "1", "std_means": "ci95"}, "std is not"),
        ({"printed": "1", "std": 0.1, "std_means": "seeds"}, "number of runs"),
    ],
)
def test_refused(fields, said):
    with pytest.raises(RobexError, match=said):
        Published(**fields)


def test_steps_of_a_published_order():
    assert published_steps({"b": 2.0, "a": 1.0, "c": 3.0}) == [("a", "b"), ("b", "c")]
    tied = published_steps({"a": 1.0, "b": 2.0, "c": 2.0, "d": 3.0})
    assert tied == [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")]
    assert published_steps({"a": 1.0, "b": 1.0}) == []


@pytest.mark.parametrize(
    ("values", "order"),
    [
        ({"low": 0.1, "middle": 0.2, "high": 0.9}, "same order"),
        ({"low": 0.9, "middle": 0.2, "high": 0.1}, "other order"),
        ({"low": 0.1, "twin": 0.2}, "order undecided"),
        ({"low": 0.5, "high": 0.5}, None),
    ],
)
def test_order(values, order):
    rng = np.random.default_rng(0)
    base = rng.normal(size=(1, 50))
    at = {"low": 0.0, "twin": 0.0, "middle": 1.0, "high": 2.0}
    ys = {k: base + v + 0.2 * rng.normal(size=(5, 50)) for k, v in at.items()}
    found = check_order(values, lambda k: Scores(list(ys[k]), [None] * 5, 50), "score")
    assert (found and found[0]) == order
