"""Models and helpers that the explainer tests share."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from benchmark_core.testing import blobs, make_context


class Mlp(nn.Module):
    """Two smooth hidden layers, so that quadrature converges fast. float64, frozen.

    The mean logits over the box are taken off, so that every class is predicted somewhere.
    """

    def __init__(self, features=5, classes=3, seed=0):
        super().__init__()
        g = torch.Generator().manual_seed(seed)
        sizes = [(features, 16), (16, 16), (16, classes)]
        self.weights = nn.ParameterList(
            nn.Parameter(1.5 * torch.randn(a, b, generator=g).double() / a**0.5) for a, b in sizes
        )
        self.mean = nn.Parameter(torch.zeros(classes, dtype=torch.float64))
        self.eval().requires_grad_(False)
        self.mean.copy_(self(torch.rand(1000, features, generator=g)).mean(0))

    def forward(self, x):
        h = x.to(torch.float64) - 0.5
        for weight in self.weights[:-1]:
            h = nn.functional.softplus(h @ weight)
        return h @ self.weights[-1] - self.mean


class Linear(nn.Module):
    """Logits (0, <w, x> + b): the margin of class 1 is linear, its probability logistic."""

    def __init__(self, w, b=0.0):
        super().__init__()
        self.w, self.b = nn.Parameter(w, requires_grad=False), b
        self.eval()

    def forward(self, x):
        z = x @ self.w + self.b
        return torch.stack([torch.zeros_like(z), z], 1)


@pytest.fixture
def mlp():
    return Mlp()


@pytest.fixture
def task64():
    """The blobs in float64."""
    task = blobs()
    names = ("x_train", "x_test", "lower", "upper", "mean", "std")
    return replace(task, **{name: getattr(task, name).double() for name in names})


@pytest.fixture
def explain(task64):
    """(method, model, x, y, **context) -> result, checking that nothing else was touched."""

    def run(method, model, x, y, *, seed=0, ids=None, task=task64, **fields):
        before = {k: v.clone() for k, v in model.state_dict().items()}
        x_before, rng = x.clone(), torch.get_rng_state()
        result = method.explain(model, x, y, make_context(task, len(x), seed=seed, ids=ids, **fields))
        assert torch.equal(torch.get_rng_state(), rng), "global random state"
        assert torch.equal(x, x_before), "inputs"
        assert not x.requires_grad
        assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items()), "weights"
        assert all(p.grad is None for p in model.parameters())
        assert not model.training
        return result

    return run


@pytest.fixture
def linear():
    return Linear
