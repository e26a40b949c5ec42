"""Small trained networks to attack: a CNN on digits and an MLP on wine, breakable and with spare logits."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits, load_wine
from torch import Tensor, nn

from benchmark_core import Context, Task
from benchmark_core.testing import make_context, make_task


@dataclass
class Victim:
    """A trained network, its task, and test samples x, y."""

    model: nn.Module
    task: Task
    x: Tensor
    y: Tensor

    def context(self, **fields) -> Context:
        return make_context(self.task, len(self.x), **fields)

    def robust(self, x_adv: Tensor) -> Tensor:
        """(n,) bool: still classified correctly."""
        return self.model(x_adv).argmax(1) == self.y

    def double(self) -> Victim:
        task = replace(self.task, lower=self.task.lower.double(), upper=self.task.upper.double())
        return Victim(copy.deepcopy(self.model).double(), task, self.x.double(), self.y)


def train(model: nn.Module, task: Task, epochs: int) -> nn.Module:
    optimiser = torch.optim.Adam(model.parameters(), 2e-3)
    for epoch in range(epochs):
        order = torch.randperm(len(task.x_train), generator=torch.Generator().manual_seed(epoch))
        for rows in order.split(64):
            optimiser.zero_grad()
            F.cross_entropy(model(task.x_train[rows]), task.y_train[rows]).backward()
            optimiser.step()
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="session")
def cnn() -> Victim:
    x, y = load_digits(return_X_y=True)
    x, y = torch.tensor(x / 16, dtype=torch.float32).view(-1, 1, 8, 8), torch.tensor(y)
    task = make_task(x[:1300], y[:1300], x[1300:], y[1300:], bounds=(0.0, 1.0))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(
            *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU()),
            *(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(512, 10)),
        )
    return Victim(train(model, task, 6), task, task.x_test[:60], task.y_test[:60])


@pytest.fixture(scope="session")
def mlp() -> Victim:
    x, y = load_wine(return_X_y=True)
    x = torch.tensor((x - x.min(0)) / (x.max(0) - x.min(0)), dtype=torch.float32)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    x, y = x[order], torch.tensor(y)[order]
    task = make_task(x[:119], y[:119], x[119:], y[119:], bounds=(0.0, 1.0))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(13, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 3))
    return Victim(train(model, task, 30), task, task.x_test, task.y_test)


@pytest.fixture(params=["cnn", "mlp"])
def victim(request: pytest.FixtureRequest) -> Victim:
    return request.getfixturevalue(request.param)
