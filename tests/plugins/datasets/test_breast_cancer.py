"""Breast cancer against scikit-learn's own loader."""

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import StandardScaler


def test_names_sizes_and_favourable_class(load):
    task = load("breast-cancer")
    assert task.shape == (30,)
    assert torch.cat([task.y_train, task.y_test]).bincount().tolist() == [212, 357]
    assert task.classes == ("malignant", "benign")
    assert task.favourable == 1
    assert task.features == tuple(load_breast_cancer().feature_names)


def test_every_scaled_row_is_a_row_of_scikit_learn(load):
    task, (x, y) = load("breast-cancer", scale="standard"), load_breast_cancer(return_X_y=True)
    rows = torch.cat([task.x_train, task.x_test]).double().numpy()
    labels = torch.cat([task.y_train, task.y_test]).numpy()
    # standardising once more over all rows removes the training rows' shift and scale
    got, want = StandardScaler().fit_transform(rows), StandardScaler().fit_transform(x)
    order, reference = np.lexsort(got.round(4).T), np.lexsort(want.round(4).T)
    np.testing.assert_allclose(got[order], want[reference], atol=1e-4)
    assert (labels[order] == y[reference]).all()
