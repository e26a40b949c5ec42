"""The two references that counterfactuals are shown beside."""

from dataclasses import replace

import pytest
import torch

from benchmark_core.testing import blobs, make_context
from benchmark_plugins.explainers.catalogue import FactualParams, RealSampleParams
from benchmark_plugins.explainers.references import Factual, RealSample


def test_the_factual_is_the_input(mlp):
    task = blobs()
    found = Factual(FactualParams()).explain(mlp, task.x_test, task.y_test, make_context(task, 40))
    assert torch.equal(found.x_cf, task.x_test)
    assert found.x_cf.data_ptr() != task.x_test.data_ptr()


def draw(task, target, seed=0, x=None, mlp=None):
    x = task.x_test[:1].expand(len(target), -1) if x is None else x
    ctx = make_context(task, len(target), seed=seed, target=target)
    return RealSample(RealSampleParams()).explain(mlp, x, target, ctx).x_cf


def test_real_samples_are_test_samples_of_the_target_drawn_evenly():
    task = blobs()
    target = torch.arange(3).repeat_interleave(2000)
    x_cf = draw(task, target)
    for c in range(3):
        own = task.x_test[task.y_test == c]
        hits = (x_cf[target == c][:, None] == own).all(2)
        assert bool((hits.sum(1) == 1).all())
        share = hits.double().mean(0)  # binomial: 2000 draws
        expected = 1 / len(own)
        assert bool(((share - expected).abs() < 5 * (expected / 2000) ** 0.5).all())
    assert torch.equal(draw(task, target), x_cf)
    assert not torch.equal(draw(task, target, seed=1), x_cf)


def test_immutable_features_stay():
    task = blobs()
    task = replace(task, mutable=torch.tensor([True, False, True, True, False]))
    target = torch.zeros(30, dtype=torch.int64)
    x_cf = draw(task, target)
    assert bool((x_cf[:, [1, 4]] == task.x_test[0, [1, 4]]).all())


def test_a_class_without_test_samples_is_named():
    task = blobs()
    keep = task.y_test != 2
    task = replace(task, x_test=task.x_test[keep], y_test=task.y_test[keep])
    with pytest.raises(ValueError, match="no test sample of 2"):
        draw(task, torch.tensor([0, 2]))
