"""Time of nearest neighbours, LOF and SSIM beside scikit-learn and scikit-image, one thread each.

    pytest tests/benchmarks/test_metric_speed.py --benchmark-only

Each pair forms a group; before it is timed, its two results are compared. Nothing here asserts a time.
"""

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors
from threadpoolctl import threadpool_limits
from torch import nn

from benchmark_core import Counterfactual
from benchmark_core.kernels.knn import knn
from benchmark_core.kernels.ssim import ssim, ssim_knn
from benchmark_core.testing import make_context, make_metric_context, make_task
from benchmark_plugins.metrics.catalogue_counterfactual import LofParams
from benchmark_plugins.metrics.counterfactual import Lof
from benchmark_plugins.states.catalogue import NeighbourIndexParams
from benchmark_plugins.states.neighbour_index import NeighbourIndex

SIZES = {  # queries, points, features, neighbours
    "table": (1000, 10_000, 8, 20),
    "images": (500, 6000, 784, 100),
}


@pytest.fixture(autouse=True)
def _one_thread():
    with threadpool_limits(1):
        yield


def cloud(n, features, seed):
    """Points near a 12-dimensional subspace: neighbours as close together as those of images are."""
    g = torch.Generator().manual_seed(0)
    basis = torch.randn(min(12, features), features, generator=g) / features**0.5
    g.manual_seed(seed)
    return torch.randn(n, len(basis), generator=g) @ basis + 0.02 * torch.randn(n, features, generator=g)


def handwriting(n, seed):
    """(n, 1, 28, 28) in [0, 1], mostly black."""
    g = torch.Generator().manual_seed(seed)
    smooth = nn.functional.interpolate(torch.rand(n, 1, 7, 7, generator=g), size=28, mode="bilinear")
    return (4 * smooth - 2.4).clamp(0, 1)


@pytest.mark.parametrize("who", ["robex", "scikit-learn"])
@pytest.mark.parametrize("metric", ["l2", "l1"])
@pytest.mark.parametrize("size", SIZES)
def test_nearest_neighbours(benchmark, size, metric, who):
    n, total, features, k = SIZES[size]
    if (size, metric) == ("images", "l1"):
        n = 100  # no matrix product helps: seconds a run
    queries, points = cloud(n, features, 1), cloud(total, features, 2)
    benchmark.group = f"{k} nearest by {metric}: {n} queries, {total} points, {features} features"
    search = NearestNeighbors(n_neighbors=k, p={"l2": 2, "l1": 1}[metric])

    def theirs():
        return search.fit(points.numpy()).kneighbors(queries.numpy())

    def ours():
        return knn(queries, points, k, metric)

    np.testing.assert_allclose(ours()[0], theirs()[0], rtol=1e-4)
    benchmark.pedantic(ours if who == "robex" else theirs, rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("who", ["robex", "scikit-learn"])
@pytest.mark.parametrize("size", SIZES)
def test_lof(benchmark, size, who):
    """Fit and score: ours makes the neighbour index of one class and measures."""
    n, total, features, _ = SIZES[size]
    queries, points = cloud(n, features, 1), cloud(total, features, 2)
    labels = torch.zeros(total, dtype=torch.int64)
    task = make_task(points, labels, points[:1], labels[:1])
    benchmark.group = f"LOF, fit and score: {n} queries, {total} points, {features} features"

    def ours():
        index = NeighbourIndex(NeighbourIndexParams()).prepare(None, task, make_context(task, 1))
        ctx = make_metric_context(task, queries, labels[:n], target=labels[:n], states={"index": index})
        return Lof(LofParams()).measure(Counterfactual(queries), nn.Identity(), ctx).values

    def theirs():
        return -LocalOutlierFactor(novelty=True).fit(points.numpy()).score_samples(queries.numpy())

    np.testing.assert_allclose(ours(), theirs(), rtol=1e-4)
    benchmark.pedantic(ours if who == "robex" else theirs, rounds=5, warmup_rounds=1)


def their_ssim(x, y):
    return structural_similarity(
        x, y, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )


@pytest.mark.parametrize("who", ["robex", "scikit-image"])
def test_ssim(benchmark, who):
    x, y = handwriting(500, 1), handwriting(500, 2)
    benchmark.group = "SSIM of 500 pairs of 28x28 images"

    def ours():
        return ssim(x, y)

    def theirs():
        return [their_ssim(a, b) for a, b in zip(x[:, 0].numpy(), y[:, 0].numpy(), strict=True)]

    np.testing.assert_allclose(ours(), theirs(), atol=1e-5)
    benchmark.pedantic(ours if who == "robex" else theirs, rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("who", ["robex", "scikit-image"])
def test_nearest_by_ssim(benchmark, who):
    queries, points = handwriting(10, 1), handwriting(500, 2)
    benchmark.group = "20 nearest by SSIM: 10 queries, 500 points, 28x28 images"

    def ours():
        return ssim_knn(queries, points, 20)[0]

    def theirs():
        every = [[(1 - their_ssim(q[0], p[0])) / 2 for p in points.numpy()] for q in queries.numpy()]
        return np.sort(every, 1)[:, :20]

    np.testing.assert_allclose(ours(), theirs(), atol=1e-5)
    benchmark.pedantic(ours if who == "robex" else theirs, rounds=5, warmup_rounds=1)
