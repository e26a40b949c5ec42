"""One case for every line of the table of number formats, and their edges."""

import math

import numpy as np
import pytest

from benchmark_core.board.formats import (
    Interval,
    ascii_text,
    column_exponent,
    count,
    duration,
    plural,
    rough_duration,
    show_interval,
    significant,
    size,
)


@pytest.mark.parametrize(
    ("value", "low", "high", "shown"),
    [
        # estimate and interval: half the width to one digit, two when it starts with 1
        (0.2171, 0.2051, 0.2291, "0.217 ±0.012"),
        (84.2, 81.2, 87.2, "84 ±3"),
        (96.84, 95.83, 97.85, "96.8 ±1.0"),
        (97.9, 97.02, 98.78, "97.9 ±0.9"),
        (50.0, 49.04, 50.96, "50.0 ±1.0"),  # 0.96 rounds to 1.0, which starts with 1
        (0.6133, 0.5102, 0.7164, "0.61 ±0.10"),
        (12345.6, 12000.0, 12691.2, "12,346 ±346"),
        (-0.019, -0.027, -0.011, "−0.019 ±0.008"),
        (-0.0001, -0.4, 0.3998, "0.0 ±0.4"),
        # tiny: exponents, both the same
        (3.2e-5, 2.8e-5, 3.6e-5, "3.2e-5 ±0.4e-5"),
        (-3.2e-5, -3.6e-5, -2.8e-5, "−3.2e-5 ±0.4e-5"),
        (2e-5, 0.0, 9e-5, "2e-5 [0, 9e-5]"),
        (0.0123, 0.0122, 0.0124, "0.01230 ±0.00010"),  # a narrow interval of no tiny number
        # lopsided: bounds
        (0.30, 0.12, 0.91, "0.30 [0.12, 0.91]"),
        (99.0, 37.3, 100.0, "99 [37, 100]"),
        (0.812, 0.802, 0.835, "0.812 [0.802, 0.835]"),
        # all samples equal
        (0.0, 0.0, 0.37, "0 [0, 0.37]"),
        (100.0, 99.62, 100.0, "100 [99.62, 100]"),
        (0.5, 0.5, 0.5, "0.500 (all equal)"),
        (0.0, 0.0, 0.0, "0 (all equal)"),
        # no interval: three significant digits
        (84.312, None, None, "84.3"),
    ],
)
def test_interval(value, low, high, shown):
    assert show_interval(Interval(value, low, high)) == shown


def test_plus_minus_zero_is_never_printed():
    for half in (1e-3, 1e-5, 3e-7, 2e-9, 1e-12):
        for value in (0.5, 84.0, 1e-4):
            shown = show_interval(Interval(value, value - half, value + half))
            assert "±" in shown
            digits = shown.partition("±")[2]
            if half >= 1e-6:
                assert any(c in "123456789" for c in digits.partition("e")[0]), shown


def test_decimals_of_a_column():
    assert show_interval(Interval(84.2, 81.2, 87.2), decimals=1) == "84.2 ±3.0"
    assert show_interval(Interval(99.0, 37.3, 100.0), decimals=1) == "99.0 [37.3, 100]"
    assert show_interval(Interval(0.3, 0.12, 0.91), decimals=1) == "0.30 [0.12, 0.91]"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (1234.5, "1,234"),
        (0.00123, "0.00123"),
        (1.234e-5, "1.23e-5"),
        (-2.5, "−2.50"),
        (3.21e9, "3.21e9"),
    ],
)
def test_three_significant_digits(value, shown):
    assert significant(value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"), (0.01, "< 0.1 s"), (0.42, "0.4 s"), (9.94, "9.9 s"), (9.96, "10 s"), (38.1234, "38 s"),
        (59.6, "1 min 00 s"), (245, "4 min 05 s"), (3599.7, "1 h 00 min"), (11520, "3 h 12 min"),
        (200000, "55 h 33 min"),
    ],
)  # fmt: skip
def test_duration(seconds, shown):
    assert duration(seconds) == shown


def test_durations_for_clocks_and_estimates():
    assert duration(8.3, whole=True) == "8 s"
    assert [rough_duration(s) for s in (0.4, 5.2, 59.7, 250, 11520)] == [
        "< 1 s",
        "5 s",
        "1 min",
        "4 min",
        "3 h 12 min",
    ]


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ((2.0, 3e-8), ["2.00", "3.00e-8"]),
        ((0.9, 3e-8), ["0.900", "3.00e-8"]),
        ((2e-5, 3e-8), ["2.00e-5", "0.00300e-5"]),
    ],
)
def test_numbers_that_differ_too_much_have_their_own_exponents(values, shown):
    column = [Interval(value) for value in values]
    exponent = column_exponent(column)
    assert [show_interval(one, None, exponent) for one in column] == shown


def test_a_width_below_six_decimals_never_reads_zero():
    """`±0` is never printed, with an exponent or without."""
    assert show_interval(Interval(0.5, 0.5 - 1e-8, 0.5 + 1e-8)) == "0.500000 ±1e-8"
    assert show_interval(Interval(0.5, 0.5 - 4.6e-7, 0.5 + 4.6e-7)) == "0.500000 ±5e-7"
    assert show_interval(Interval(0.5, 0.5 - 6e-7, 0.5 + 6e-7)) == "0.500000 ±0.000001"
    assert show_interval(Interval(3.2e-5, 3.2e-5 - 1e-13, 3.2e-5 + 1e-13)) == "3.200000e-5 ±1e-13"
    for half in 10.0 ** np.arange(-12, 1):
        for value in (0.5, 4.0, 87.3, 2e-4, 2e-9):
            shown = show_interval(Interval(value, value - half, value + half)).partition(" ±")[2]
            assert float(shown) > 0, (value, half)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.9999, "1.00"), (99.97, "100"), (9.996, "10.0"), (999.6, "1,000"), (0.09996, "0.100"),
     (0.000099996, "0.000100"), (9.9996e-6, "1.00e-5"), (9_999_999.9, "1.00e7"), (-0.9999, "−1.00")],
)  # fmt: skip
def test_three_digits_stay_three_where_rounding_makes_the_number_longer(value, shown):
    assert significant(value) == shown


def test_counts_and_sizes():
    assert count(1000) == "1,000"
    assert plural(1, "cell") == "1 cell"
    assert plural(1782, "node") == "1,782 nodes"
    assert [size(n) for n in (0, 999, 1500, 310e6, 1.2e9, 3e12)] == [
        "0 B", "999 B", "1.5 kB", "310 MB", "1.2 GB", "3,000 GB",
    ]  # fmt: skip


def test_ascii_has_only_ascii():
    text = "digits · 5 seeds × 10 · −4.5 ±0.1 ↑ ↓ – … ✓ ✕ →"
    assert ascii_text(text).isascii()


def test_the_digits_shown_contain_the_interval_to_rounding():
    """What is printed must be the numbers, rounded: read them back and compare."""
    for value, half in [(0.1234, 0.0567), (12.34, 0.0191), (845.0, 96.0), (3.0, 0.00499)]:
        shown = show_interval(Interval(value, value - half, value + half)).replace(",", "")
        estimate, _, arm = shown.partition(" ±")
        assert math.isclose(float(estimate), value, abs_tol=0.3 * half)
        assert math.isclose(float(arm), half, rel_tol=0.34)
