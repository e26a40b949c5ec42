"""Trains small networks as the engine would: own seeds, torch's global generator left alone."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from benchmark_core import Context, DataContext, Task
from benchmark_core.testing import make_context
from benchmark_plugins.datasets.catalogue import DigitsParams, TwoMoonsParams
from benchmark_plugins.datasets.digits import Digits
from benchmark_plugins.datasets.two_moons import TwoMoons
from benchmark_plugins.models.catalogue import LinearParams, MLPParams
from benchmark_plugins.models.linear import Linear
from benchmark_plugins.models.mlp import MLP


@pytest.fixture(scope="session")
def digits() -> Task:
    return Digits(DigitsParams()).load(DataContext(file=str))


@pytest.fixture(scope="session")
def moons() -> Task:
    return TwoMoons(TwoMoonsParams(size=400)).load(DataContext(file=str))


@pytest.fixture
def linear() -> Callable[..., nn.Module]:
    """`linear(task, seed=0, **params)` -> an untrained linear model."""
    return lambda task, seed=0, **params: _build(Linear(LinearParams(**params)), task, seed)


@pytest.fixture
def mlp() -> Callable[..., nn.Module]:
    """`mlp(task, seed=0, **params)` -> an untrained perceptron."""
    return lambda task, seed=0, **params: _build(MLP(MLPParams(**params)), task, seed)


def _build(model: Any, task: Task, seed: int) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return model.build(task, make_context(task, 1))


@pytest.fixture
def context() -> Callable[..., Context]:
    """`context(task, seed=0, **fields)` -> the context of a training node."""
    return lambda task, seed=0, **fields: make_context(task, len(task.x_train), seed=seed, **fields)


@pytest.fixture
def accuracy() -> Callable[..., float]:
    """`accuracy(net, x, y)` -> share of right predictions."""
    return lambda net, x, y: (net(x).argmax(1) == y).double().mean().item()
