"""The conformal quantile against numpy and against its promise."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from benchmark_core.testing import make_context, make_task
from benchmark_plugins.states.catalogue import ConformalQuantileParams
from benchmark_plugins.states.conformal_quantile import ConformalQuantile


class Given(nn.Module):
    """Two classes; the input is the logit of class 1."""

    def forward(self, x):
        return torch.cat([torch.zeros_like(x), x], 1)


def task(n, seed=0):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 1, generator=g).double()
    y = (torch.rand(n, 1, generator=g) < torch.sigmoid(x)).long()[:, 0]
    return make_task(x, y, x[:2], y[:2])


def qhat(task, **params):
    ctx = make_context(task, 1)
    found = ConformalQuantile(ConformalQuantileParams(**params)).prepare(Given(), task, ctx)
    assert ctx.notes["qhat"] == float(found["qhat"])
    return float(found["qhat"])


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.95])
def test_all_of_the_data_is_numpys_order_statistic(coverage):
    t = task(101)
    p = torch.softmax(Given()(t.x_train), 1).gather(1, t.y_train[:, None])[:, 0]
    scores = np.sort(1 - p.numpy())
    assert qhat(t, coverage=coverage, share=1.0) == scores[math.ceil(102 * coverage) - 1]


def test_a_product_that_is_whole_is_not_rounded_up():
    t = task(179)  # 180 * 0.55 = 99, in floating point 99.00000000000001
    p = torch.softmax(Given()(t.x_train), 1).gather(1, t.y_train[:, None])[:, 0]
    assert qhat(t, coverage=0.55, share=1.0) == np.sort(1 - p.numpy())[98]


def test_too_few_samples_for_the_coverage_put_every_class_into_every_set():
    assert qhat(task(10), coverage=0.95, share=1.0) == 1.0


def test_sets_cover_new_samples():
    t, new = task(4000), task(20_000, seed=1)
    q = qhat(t, coverage=0.9)
    p = torch.softmax(Given()(new.x_train), 1).gather(1, new.y_train[:, None])[:, 0]
    covered = float((1 - p <= q).double().mean())
    assert abs(covered - 0.9) < 4 * (0.09 / 2000 + 0.09 / 20_000) ** 0.5
