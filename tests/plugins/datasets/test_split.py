"""The stratified split."""

import numpy as np
import pytest

from benchmark_plugins.datasets.catalogue import SplitParams
from benchmark_plugins.datasets.split import stratified_split

Y = np.repeat([0, 1, 2], [50, 30, 7])


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.9])
def test_sets_are_disjoint_cover_all_rows_and_keep_the_class_shares(share):
    train, test = stratified_split(Y, SplitParams(test_share=share))
    assert sorted([*train, *test]) == list(range(len(Y)))
    assert np.bincount(Y[test]).tolist() == [round(share * n) for n in (50, 30, 7)]


def test_the_seed_decides():
    first, again = stratified_split(Y, SplitParams(split=3)), stratified_split(Y, SplitParams(split=3))
    other = stratified_split(Y, SplitParams(split=4))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert set(first[1]) != set(other[1])


def test_the_split_is_the_same_on_every_machine():
    """RandomState(0).permutation is frozen (NEP 19): the rows below were written down once."""
    _, test = stratified_split(np.array([0, 1] * 5), SplitParams(test_share=0.4))
    assert test.tolist() == [2, 8, 9, 1]


def test_rows_of_a_set_are_not_sorted_by_class():
    train, test = stratified_split(Y, SplitParams())
    assert (np.diff(Y[train]) < 0).any()
    assert (np.diff(Y[test]) < 0).any()


def test_numpy_s_global_state_is_left_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    stratified_split(Y, SplitParams())
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


@pytest.mark.parametrize(("share", "taken"), [(0.01, 0), (0.99, 7)])
def test_a_class_without_rows_in_one_set_is_refused(share, taken):
    y = np.repeat([0, 1], [200, 7])
    with pytest.raises(ValueError, match=f"test_share={share} puts {taken} of the 7 rows of class 1"):
        stratified_split(y, SplitParams(test_share=share))
