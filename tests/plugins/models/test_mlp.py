"""Multilayer perceptron."""

import numpy as np
import pytest
from scipy.special import expit

BY_HAND = {"relu": lambda a: np.maximum(a, 0), "tanh": np.tanh, "swish": lambda a: a * expit(a)}


@pytest.mark.parametrize("activation", BY_HAND)
def test_logits_by_hand(build, task, activation):
    net = build("mlp", task, hidden=(7, 4), activation=activation, normalise=False)
    weights = [p.detach().double().numpy() for p in net.parameters()]
    assert [w.shape for w in weights] == [(7, 5), (7,), (4, 7), (4,), (3, 4), (3,)]
    h = task.x_test.double().numpy()
    for w, b in zip(weights[:-2:2], weights[1:-2:2], strict=True):
        h = BY_HAND[activation](h @ w.T + b)
    np.testing.assert_allclose(net.features(task.x_test).detach(), h, atol=1e-5)
    np.testing.assert_allclose(net(task.x_test).detach(), h @ weights[-2].T + weights[-1], atol=1e-5)


def test_images_are_flattened(build, images):
    task = images(2, 6, 3)
    net = build("mlp", task, hidden=(11,))
    assert net.features(task.x_test).shape == (8, 11)
    assert net(task.x_test).shape == (8, 4)
