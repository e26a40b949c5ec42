"""Wine against scikit-learn's own loader."""

import numpy as np
import torch
from sklearn.datasets import load_wine


def test_scaled_rows_are_those_of_scikit_learn(load):
    task, (x, y) = load("wine"), load_wine(return_X_y=True)
    rows = torch.cat([task.x_train, task.x_test]).double().numpy()
    labels = torch.cat([task.y_train, task.y_test]).numpy()
    # each scaled column is an increasing affine map of the raw one: mapped onto [0, 1], both must agree
    for column in range(13):
        np.testing.assert_allclose(
            np.sort((rows[:, column] - rows[:, column].min()) / np.ptp(rows[:, column])),
            np.sort((x[:, column] - x[:, column].min()) / np.ptp(x[:, column])),
            atol=1e-6,
        )
    assert np.bincount(labels).tolist() == np.bincount(y).tolist() == [59, 71, 48]


def test_names_and_sizes(load):
    task = load("wine")
    assert task.shape == (13,)
    assert len(task.y_test) == 18 + 21 + 14  # 30 % of each class
    assert task.features == tuple(load_wine().feature_names)
    assert task.classes == ("class_0", "class_1", "class_2")
    assert task.favourable is None


def test_minmax_spans_the_training_rows(load):
    task = load("wine")
    assert torch.equal(task.x_train.amin(0), torch.zeros(13))
    assert torch.equal(task.x_train.amax(0), torch.ones(13))
