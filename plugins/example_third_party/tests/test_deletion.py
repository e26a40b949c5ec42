"""The deletion metric by hand, by brute force, and where the best order is known."""

import pytest
import torch
from benchmark_core import Attribution
from benchmark_core.testing import blobs, make_metric_context
from torch import nn

from robex_example.deletion import Deletion
from robex_example.plugin import DeletionParams

TASK = blobs()
X = TASK.x_test.double()


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Linear(5, 2).double().requires_grad_(False)


def measure(model, values, **params):
    y = torch.zeros(len(X), dtype=torch.int64)
    metric = Deletion(DeletionParams(**params))
    return metric.measure(Attribution(values), model, make_metric_context(TASK, X, y)).values


@pytest.mark.parametrize("steps", [1, 2, 5, 20])
@pytest.mark.parametrize("order", ["magnitude", "value"])
def test_brute_force(model, steps, order):
    values = torch.randn(len(X), 5, dtype=torch.float64)
    expected = []
    for x, a in zip(X, values, strict=True):
        c = model(x).argmax()
        a = a.abs() if order == "magnitude" else a
        first = sorted(range(5), key=lambda i: -a[i])
        shares, p = [], []
        for k in sorted({round(5 * j / steps) for j in range(steps + 1)}):
            z = x.clone()
            z[first[:k]] = TASK.mean.double()[first[:k]]
            shares.append(k / 5)
            p.append(float(model(z).softmax(0)[c]))
        areas = zip(shares, shares[1:], p, p[1:], strict=False)
        expected.append(sum((b - a) * (q + r) / 2 for a, b, q, r in areas))
    torch.testing.assert_close(
        measure(model, values, steps=steps, order=order), torch.tensor(expected).double()
    )


def test_no_order_beats_the_contributions_to_a_linear_margin(model):
    c = model(X).argmax(1)
    w = model.weight[c] - model.weight[1 - c]
    best = measure(model, w * (X - TASK.mean), order="value")
    for _ in range(20):
        assert (best <= measure(model, torch.randn(X.shape), order="value") + 1e-9).all()


def test_equal_values_are_deleted_in_their_order(model):
    descending = torch.arange(5, 0, -1).double().expand(len(X), 5)
    torch.testing.assert_close(measure(model, torch.ones_like(X)), measure(model, descending))
