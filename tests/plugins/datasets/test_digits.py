"""Digits against scikit-learn's own loader."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from benchmark_plugins.datasets.catalogue import DigitsParams
from benchmark_plugins.datasets.split import stratified_split


def test_images_are_scikit_learn_s_pixels_over_16(load):
    task, (x, y) = load("digits"), load_digits(return_X_y=True)
    train, test = stratified_split(y, DigitsParams())
    assert np.array_equal(task.x_train.numpy().reshape(-1, 64) * 16, x[train])
    assert np.array_equal(task.x_test.numpy().reshape(-1, 64) * 16, x[test])
    assert np.array_equal(task.y_train, y[train])
    assert np.array_equal(task.y_test, y[test])


def test_shape_box_and_normalisation(load):
    task = load("digits")
    assert task.shape == (1, 8, 8)
    assert task.classes == tuple("0123456789")
    assert len(task.y_train) + len(task.y_test) == 1797
    assert torch.equal(task.lower, torch.zeros(1, 8, 8))
    assert torch.equal(task.upper, torch.ones(1, 8, 8))
    pixels = task.x_train.double()
    assert task.mean.shape == task.std.shape == (1, 1, 1)
    assert task.mean.item() == pytest.approx(pixels.mean().item(), rel=1e-5)
    assert task.std.item() == pytest.approx(pixels.std(correction=0).item(), rel=1e-5)
