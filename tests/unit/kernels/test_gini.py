"""The Gini index against its formula by hand and the mean absolute difference by a double loop."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmark_core.kernels.gini import gini


def test_by_hand():
    # sorted 1, 2, 3, 6: (-3*1 - 1*2 + 1*3 + 3*6) / (4 * 12) = 16 / 48
    assert gini(torch.tensor([[3.0, 1.0, 6.0, 2.0]])).item() == pytest.approx(1 / 3)


def test_equal_entries_have_none_and_a_single_entry_has_all():
    torch.testing.assert_close(gini(torch.full((2, 9), 0.3, dtype=torch.float64)), torch.zeros(2).double())
    assert gini(torch.eye(9)[:1]).item() == pytest.approx(1 - 1 / 9)


@given(
    st.integers(1, 12).flatmap(
        lambda d: st.lists(
            st.lists(st.floats(0, 1e6), min_size=d, max_size=d).filter(lambda row: sum(row) > 1e-3),
            min_size=1,
            max_size=4,
        )
    )
)
def test_equals_the_mean_absolute_difference(rows):
    found = gini(torch.tensor(rows, dtype=torch.float64))
    for row, value in zip(rows, found.tolist(), strict=True):
        pairs = sum(abs(a - b) for a in row for b in row)
        assert value == pytest.approx(pairs / (2 * len(row) * sum(row)), abs=1e-12)


def test_scaling_changes_nothing():
    a = torch.rand(5, 30, dtype=torch.float64)
    torch.testing.assert_close(gini(a), gini(1e-3 * a))


def test_rows_without_a_finite_positive_sum_have_none():
    a = torch.tensor([[0.0, 0.0], [1.0, torch.nan], [1.0, torch.inf], [1.0, 0.0]])
    torch.testing.assert_close(gini(a), torch.tensor([torch.nan, torch.nan, torch.nan, 0.5]), equal_nan=True)


def test_half_precision_sums_beyond_its_range():
    """The sum of 2000 entries of 100 is 200000."""
    a = torch.full((1, 2000), 100.0, dtype=torch.float16)
    a[0, :1000] = 50
    assert gini(a).item() == pytest.approx(1 / 6, rel=1e-3)
