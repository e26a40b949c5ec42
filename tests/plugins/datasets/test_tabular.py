"""Scaling by the training rows, box around all rows."""

import numpy as np
import pytest
import torch
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from benchmark_plugins.datasets.catalogue import TabularParams
from benchmark_plugins.datasets.split import stratified_split
from benchmark_plugins.datasets.tabular import tabular_task

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4)) * [1, 10, 0.1, 1e3] + [0, 5, -2, 1e4]
Y = np.arange(60) % 2
NAMES = {"classes": ("no", "yes"), "features": ("a", "b", "c", "d")}


@pytest.mark.parametrize(("scale", "scaler"), [("minmax", MinMaxScaler()), ("standard", StandardScaler())])
def test_scaling_is_scikit_learn_s_fitted_on_the_training_rows(scale, scaler):
    params = TabularParams(scale=scale)
    task = tabular_task(X, Y, params, **NAMES)
    train, test = stratified_split(Y, params)
    scaler.fit(X[train])
    np.testing.assert_allclose(task.x_train, scaler.transform(X[train]), atol=1e-5)
    np.testing.assert_allclose(task.x_test, scaler.transform(X[test]), atol=1e-5)
    np.testing.assert_allclose(task.mean, scaler.transform(X[train]).mean(0), atol=1e-5)
    np.testing.assert_allclose(task.std, scaler.transform(X[train]).std(0), atol=1e-5)
    assert task.y_test.tolist() == Y[test].tolist()


@pytest.mark.parametrize("scale", ["minmax", "standard"])
def test_the_box_touches_the_outermost_rows(scale):
    task = tabular_task(X, Y, TabularParams(scale=scale), **NAMES)
    rows = torch.cat([task.x_train, task.x_test])
    assert torch.equal(task.lower, rows.amin(0))
    assert torch.equal(task.upper, rows.amax(0))


def test_a_feature_that_is_constant_in_training_stays_finite():
    x = X.copy()
    x[:, 2] = 7.0
    task = tabular_task(x, Y, TabularParams(), **NAMES)
    assert torch.equal(task.x_train[:, 2], torch.zeros(len(task.x_train)))
    assert task.std[2] == pytest.approx(1e-6)
