"""Standard training reaches what scikit-learn reaches."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from benchmark_core import DataContext
from benchmark_plugins.datasets.breast_cancer import BreastCancer
from benchmark_plugins.datasets.catalogue import BreastCancerParams, WineParams
from benchmark_plugins.datasets.wine import Wine
from benchmark_plugins.defenses.catalogue import StandardParams
from benchmark_plugins.defenses.standard import Standard


@pytest.fixture
def wine():
    return Wine(WineParams()).load(DataContext(file=str))


@pytest.fixture
def breast_cancer():
    return BreastCancer(BreastCancerParams()).load(DataContext(file=str))


def test_a_linear_model_converges_to_the_unpenalised_maximum_likelihood(moons, linear, context):
    """Two moons are not linearly separable, so the maximum is finite and unique up to a common shift."""
    params = StandardParams(epochs=400, lr=0.05, batch=len(moons.x_train))
    net = Standard(params).train(linear(moons), moons, context(moons))
    reference = LogisticRegression(C=1e8, tol=1e-8, max_iter=1000).fit(moons.x_train, moons.y_train)
    np.testing.assert_allclose(
        net(moons.x_test).softmax(1).detach(), reference.predict_proba(moons.x_test), atol=2e-3
    )


@pytest.mark.parametrize("name", ["wine", "breast_cancer", "digits"])
def test_default_settings_keep_up_with_logistic_regression(name, linear, mlp, context, accuracy, request):
    task = request.getfixturevalue(name)
    z = ((task.x_train - task.mean) / task.std).flatten(1), ((task.x_test - task.mean) / task.std).flatten(1)
    reference = LogisticRegression(max_iter=2000).fit(z[0], task.y_train).score(z[1], task.y_test)
    assert reference > 0.93
    for model in (linear, mlp):
        net = Standard(StandardParams()).train(model(task), task, context(task))
        assert accuracy(net, task.x_test, task.y_test) > reference - 0.025


def test_a_perceptron_separates_the_moons(moons, mlp, context, accuracy):
    net = Standard(StandardParams()).train(mlp(moons), moons, context(moons))
    assert accuracy(net, moons.x_test, moons.y_test) > 0.98


def test_the_given_model_is_trained_and_returned(task, linear, context):
    net = linear(task)
    before = net(task.x_test)
    trained = Standard(StandardParams(epochs=1)).train(net, task, context(task))
    assert not torch.equal(trained(task.x_test), before)
