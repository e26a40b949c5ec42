"""The null control: standard normal, tied to seed, sample and input."""

import pytest
import torch
from scipy import stats

from benchmark_plugins.explainers.catalogue import RandomParams
from benchmark_plugins.explainers.random import RandomAttribution

METHOD = RandomAttribution(RandomParams())


def test_values_are_standard_normal(mlp, explain):
    x = torch.rand(400, 5, dtype=torch.float64)
    values = explain(METHOD, mlp, x, torch.zeros(400, dtype=torch.int64)).values
    assert values.shape == x.shape
    assert values.dtype == x.dtype
    assert stats.kstest(values.flatten().numpy(), "norm").pvalue > 1e-3
    assert abs(torch.corrcoef(values.T).triu(1)).max() < 0.2


def test_same_seed_and_sample_give_the_same_in_any_batch(mlp, task64, explain):
    x, y = task64.x_test, task64.y_test
    whole = explain(METHOD, mlp, x, y).values
    assert torch.equal(whole, explain(METHOD, mlp, x, y).values)
    rows = torch.tensor([9, 1])
    assert torch.equal(whole[rows], explain(METHOD, mlp, x[rows], y[rows], ids=rows).values)
    assert not torch.equal(whole, explain(METHOD, mlp, x, y, seed=1).values)


@pytest.mark.parametrize("feature", [0, 4])
def test_another_input_of_the_same_sample_gets_unrelated_values(feature, mlp, task64, explain):
    x, y = task64.x_test, task64.y_test
    near = x.clone()
    near[:, feature] += 1e-6
    a, b = (explain(METHOD, mlp, z, y).values.flatten() for z in (x, near))
    assert abs(torch.corrcoef(torch.stack([a, b]))[0, 1]) < 0.25
