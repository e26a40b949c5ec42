"""Unfaithfulness by brute force on given samples, and the options that it shares with implausibility."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from skimage.metrics import structural_similarity
from torch import nn

from benchmark_core import Counterfactual
from benchmark_core.testing import blobs, make_context, make_metric_context, make_task
from benchmark_plugins.metrics.catalogue_counterfactual import (
    SPECS,
    ImplausibilityParams,
    UnfaithfulnessParams,
)
from benchmark_plugins.metrics.counterfactual import Implausibility, Unfaithfulness
from benchmark_plugins.states.catalogue import NeighbourIndexParams, SgldSamplesParams
from benchmark_plugins.states.neighbour_index import NeighbourIndex
from benchmark_plugins.states.sgld_samples import SgldSamples


class Table(nn.Module):
    """Logits that are the first two features, so that a test writes predictions down."""

    def forward(self, x):
        return x.flatten(1)[:, :2]


def images(n=24, shape=(1, 14, 14)):
    g = torch.Generator().manual_seed(0)
    x, y = torch.rand(n, *shape, generator=g), torch.arange(n) % 2
    return make_task(x, y, x, y, bounds=(0.0, 1.0))


def measure(metric, task, x_cf, target, **states):
    ctx = make_metric_context(
        task, x_cf, torch.zeros(len(x_cf), dtype=torch.int64), target=target, states=states
    )
    return metric.measure(Counterfactual(x_cf), Table(), ctx)


def implausibility(task, x_cf, target, **params):
    index = NeighbourIndex(NeighbourIndexParams(k=1)).prepare(None, task, make_context(task, 1))
    return measure(Implausibility(ImplausibilityParams(**params)), task, x_cf, target, index=index)


def unfaithfulness(task, x_cf, target, sgld, **params):
    return measure(Unfaithfulness(UnfaithfulnessParams(**params)), task, x_cf, target, sgld=sgld)


@pytest.mark.parametrize(
    ("distance", "metric"),
    [("auto", "euclidean"), ("l2", "euclidean"), ("l1", "cityblock"), ("cosine", "cosine")],
)
def test_unfaithfulness_is_the_mean_over_the_samples_of_lowest_energy(distance, metric):
    task = blobs()
    g = torch.Generator().manual_seed(3)
    x_cf, target = torch.rand(20, 5, generator=g), torch.arange(20) % 3
    samples = torch.randn(3, 8, 5, generator=g)  # stored by ascending energy
    ours = unfaithfulness(task, x_cf, target, {"x": samples}, chains=8, keep=3, distance=distance)
    expected = [
        cdist(row[None], samples[t, :3].double(), metric).mean()
        for row, t in zip(x_cf.double(), target, strict=True)
    ]
    np.testing.assert_allclose(ours.values, expected, rtol=1e-5)
    assert ours.valid is None
    half = unfaithfulness(
        task, x_cf, target, {"x": samples}, chains=8, keep=3, distance=distance, scale="published"
    )
    torch.testing.assert_close(half.values, ours.values * 3 / 8)


def test_unfaithfulness_of_what_the_model_itself_draws():
    """Samples of a model are nearer to its own samples than noise is, end to end with the sampler."""
    task = blobs()

    class Bowl(nn.Module):
        def forward(self, x):
            return -(x[:, None] - torch.arange(3.0)[:, None]).square().sum(2)

    def draw(seed):
        ctx = make_context(task, 1, seed=seed)
        return SgldSamples(SgldSamplesParams(chains=10, steps=50, step=0.1)).prepare(Bowl(), task, ctx)

    own, target = draw(1)["x"].flatten(0, 1), torch.arange(3).repeat_interleave(10)
    near = unfaithfulness(task, own, target, draw(2), chains=10, keep=10).values
    far = unfaithfulness(task, torch.rand_like(own) * 2, target, draw(2), chains=10, keep=10).values
    assert float(near.mean()) < 0.2 * float(far.mean())


def test_the_sampler_it_needs_has_its_params():
    needs = next(s for s in SPECS if s.name == "unfaithfulness").needs
    assert needs is not None
    wish = needs(UnfaithfulnessParams(chains=30, keep=10, steps=7, clip="box"))["sgld"]
    assert wish.name == "sgld-samples"
    assert SgldSamplesParams(**wish.params) == SgldSamplesParams(chains=30, steps=7, clip="box")
    with pytest.raises(ValueError, match="keep must be at most chains"):
        UnfaithfulnessParams(chains=10, keep=25)


@pytest.mark.parametrize("borders", ["mirror", "crop"])
def test_ssim_with_cropped_borders_is_scikit_images_default(borders):
    task = images()
    x_cf, target = task.x_test[:4].flip(3), torch.tensor([0, 1, 1, 0])
    ours = implausibility(task, x_cf, target, k=5, distance="auto", borders=borders).values
    expected = []
    for image, t in zip(x_cf, target, strict=True):
        distances = []
        for p in task.x_train[task.y_train == t]:
            value, full = structural_similarity(
                image.numpy(), p.numpy(), data_range=1.0, gaussian_weights=True, sigma=1.5,
                use_sample_covariance=False, channel_axis=0, full=True,
            )  # fmt: skip
            distances.append((1 - (value if borders == "crop" else full.mean())) / 2)
        expected.append(np.sort(distances)[:5].mean())
    np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_unfaithfulness_by_ssim_takes_samples_outside_the_box():
    task = images()
    samples = 3 * torch.randn(2, 6, 1, 14, 14, generator=torch.Generator().manual_seed(1))
    x_cf, target = task.x_test[:3], torch.tensor([0, 1, 1])
    ours = unfaithfulness(task, x_cf, target, {"x": samples}, chains=6, keep=6, distance="auto").values
    expected = [
        np.mean([
            (1 - structural_similarity(
                image[0].numpy(), p[0].numpy(), data_range=1.0, gaussian_weights=True, sigma=1.5,
                use_sample_covariance=False, full=True,
            )[1].mean()) / 2
            for p in samples[t]
        ])
        for image, t in zip(x_cf, target, strict=True)
    ]  # fmt: skip
    np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_among_valid_marks_those_whose_prediction_is_the_target():
    task = blobs(classes=2)
    x_cf = torch.tensor([[0.9, 0.1, 0.5, 0.5, 0.5], [0.2, 0.7, 0.5, 0.5, 0.5]])
    target = torch.zeros(2, dtype=torch.int64)
    every = implausibility(task, x_cf, target)
    valid = implausibility(task, x_cf, target, among="valid")
    assert every.valid is None
    assert torch.equal(every.values, valid.values)
    assert valid.valid is not None
    assert valid.valid.tolist() == [True, False]
    samples = {"x": torch.zeros(2, 50, 5)}
    assert unfaithfulness(task, x_cf, target, samples, among="valid").valid.tolist() == [True, False]
