"""Counterfactual metrics by hand, against scikit-learn's LOF, scikit-image's SSIM and float64 brute force."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from skimage.metrics import structural_similarity
from sklearn.neighbors import LocalOutlierFactor
from torch import nn

from benchmark_core import Counterfactual, DatasetSpec
from benchmark_core.testing import blobs, make_context, make_metric_context, make_task
from benchmark_plugins.metrics.catalogue_counterfactual import (
    SPECS,
    CostParams,
    ImplausibilityParams,
    LofParams,
    SparsityParams,
    ValidityParams,
)
from benchmark_plugins.metrics.counterfactual import (
    CounterfactualCost,
    Implausibility,
    Lof,
    Sparsity,
    Validity,
)
from benchmark_plugins.states.catalogue import NeighbourIndexParams
from benchmark_plugins.states.neighbour_index import NeighbourIndex

SPEC = {spec.name: spec for spec in SPECS}


class Table(nn.Module):
    """Logits that are the first K features, so that a test writes predictions down."""

    def __init__(self, classes):
        super().__init__()
        self.classes = classes

    def forward(self, x):
        return x.flatten(1)[:, : self.classes]


def index_for(task, **params):
    return {
        "index": NeighbourIndex(NeighbourIndexParams(**params)).prepare(None, task, make_context(task, 1))
    }


def context(task, x, target, **fields):
    y = torch.zeros(len(x), dtype=torch.int64)
    return make_metric_context(task, x, y, target=torch.as_tensor(target), **fields)


def score(metric, x_cf, ctx, model=None):
    return metric.measure(Counterfactual(x_cf), model or Table(ctx.task.n_classes), ctx)


# --- validity ------------------------------------------------------------------------------------------


def test_validity_is_what_the_model_says_now():
    task = blobs(features=3, classes=3)
    x_cf = torch.tensor([[0.9, 0.1, 0.0], [0.2, 0.3, 0.1], [0.0, 0.1, 0.8]])
    ctx = context(task, torch.zeros(3, 3), [0, 2, 2])
    scores = score(Validity(ValidityParams()), x_cf, ctx)
    assert scores.values.tolist() == [1, 0, 1]
    assert scores.valid is None


def test_validity_by_threshold():
    """Logits (ln 3, 0, 0): probabilities 3/5, 1/5, 1/5."""
    task = blobs(features=3, classes=3)
    x_cf = torch.tensor([[np.log(3.0), 0.0, 0.0]], dtype=torch.float64)
    for target, threshold, expected in [(0, 0.59, 1), (0, 0.61, 0), (1, 0.19, 1), (1, 0.21, 0)]:
        ctx = context(task, torch.zeros_like(x_cf), [target])
        params = ValidityParams(rule="threshold", threshold=threshold)
        assert score(Validity(params), x_cf, ctx).values.tolist() == [expected]


def test_validity_does_not_depend_on_batches():
    task = blobs(features=3, classes=3)
    x_cf = torch.rand(10, 3, generator=torch.Generator().manual_seed(0))
    target = torch.arange(10) % 3
    whole = score(Validity(ValidityParams()), x_cf, context(task, x_cf, target))
    parts = score(Validity(ValidityParams()), x_cf, context(task, x_cf, target, batch_size=3))
    assert torch.equal(whole.values, parts.values)


# --- cost and sparsity ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("norm", "expected"), [("l1", [7.0, 1.0]), ("l2", [5.0, 1.0]), ("linf", [4.0, 1.0])])
def test_cost_by_hand(norm, expected):
    task = blobs(features=3, classes=3)
    x = torch.tensor([[0.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    x_cf = torch.tensor([[3.0, 5.0, 1.0], [0.0, 0.0, 1.0]])
    scores = score(CounterfactualCost(CostParams(norm=norm)), x_cf, context(task, x, [1, 0]))
    assert scores.values.tolist() == expected
    assert scores.valid is not None
    assert scores.valid.tolist() == [True, False]


def test_cost_of_images_is_over_all_pixels():
    x = torch.zeros(2, 1, 2, 2)
    task = make_task(x, torch.tensor([0, 1]), x, torch.tensor([0, 1]), bounds=(0.0, 1.0))
    x_cf = torch.ones(2, 1, 2, 2)
    assert score(CounterfactualCost(CostParams()), x_cf, context(task, x, [0, 0])).values.tolist() == [
        2.0,
        2.0,
    ]


@pytest.mark.parametrize(
    "metric", [CounterfactualCost(CostParams(among="all")), Sparsity(SparsityParams(among="all"))]
)
def test_among_all_counts_every_sample(metric):
    task = blobs(features=3, classes=3)
    assert score(metric, torch.ones(2, 3), context(task, torch.zeros(2, 3), [1, 2])).valid is None


def test_sparsity_by_hand():
    task = blobs(features=4, classes=3)
    x = torch.tensor([[0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
    x_cf = torch.tensor([[0.9e-5, 1.1e-5, 0.0, -0.5], [1.0 + 1.9e-5, 1.0 + 2.2e-5, 1.0, 1.0]])
    scores = score(Sparsity(SparsityParams()), x_cf, context(task, x, [1, 2]))
    assert scores.values.tolist() == [2, 1]
    assert scores.valid is not None
    assert scores.valid.tolist() == [True, False]


def test_sparsity_is_numpys_isclose():
    g = torch.Generator().manual_seed(0)
    task = blobs(features=30)
    x = torch.randn(20, 30, generator=g, dtype=torch.float64)
    x_cf = x + 10.0 ** (-8 + 6 * torch.rand(20, 30, generator=g, dtype=torch.float64))
    for atol, rtol in [(1e-5, 1e-5), (1e-8, 1e-5), (1e-4, 0.0)]:
        params = SparsityParams(atol=atol, rtol=rtol)
        expected = (~np.isclose(x_cf.numpy(), x.numpy(), atol=atol, rtol=rtol)).sum(1)
        ours = score(Sparsity(params), x_cf, context(task, x, torch.zeros(20, dtype=torch.int64))).values
        np.testing.assert_array_equal(ours, expected)
        assert 0 < expected.sum() < expected.size * 30


# --- local outlier factor ------------------------------------------------------------------------------


def their_lof(task, x_cf, target, k, metric="euclidean"):
    expected = np.empty(len(x_cf))
    for c in set(target.tolist()):
        own = task.x_train[task.y_train == c].flatten(1).numpy()
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", UserWarning
            )  # "n_neighbors is greater than the number of samples"
            lof = LocalOutlierFactor(n_neighbors=k, novelty=True, metric=metric, algorithm="brute").fit(own)
        rows = (target == c).numpy()
        expected[rows] = -lof.score_samples(x_cf.flatten(1).numpy()[rows])
    return expected


@pytest.mark.parametrize(
    ("distance", "metric"), [("l2", "euclidean"), ("l1", "manhattan"), ("cosine", "cosine")]
)
@pytest.mark.parametrize("k", [1, 5, 20, 200])
def test_lof_is_scikit_learns(k, distance, metric):
    """k = 200 is more than a class has."""
    task = blobs(n=240, features=5, classes=3)
    g = torch.Generator().manual_seed(1)
    x_cf, target = torch.rand(50, 5, generator=g), torch.arange(50) % 3
    ctx = context(task, x_cf, target, states=index_for(task, k=k, distance=distance))
    ours = score(Lof(LofParams(k=k, distance=distance)), x_cf, ctx).values
    np.testing.assert_allclose(ours, their_lof(task, x_cf, target, k, metric), rtol=1e-4)


def test_lof_with_duplicates_is_scikit_learns():
    """Many copies make densities of 1e10: the 1e-10 of scikit-learn decides the value."""
    g = torch.Generator().manual_seed(0)
    x = torch.cat([torch.full((30, 2), 0.5), torch.rand(30, 2, generator=g)]).double()
    task = make_task(x, torch.zeros(60, dtype=torch.int64), x, torch.zeros(60, dtype=torch.int64))
    x_cf = torch.cat([x[:1], x[40:42], torch.rand(4, 2, generator=g).double()])
    target = torch.zeros(7, dtype=torch.int64)
    ctx = context(task, x_cf, target, states=index_for(task, k=5))
    ours = score(Lof(LofParams(k=5)), x_cf, ctx).values
    np.testing.assert_allclose(ours, their_lof(task, x_cf, target, 5), rtol=1e-4)


def test_lof_of_images():
    g = torch.Generator().manual_seed(0)
    x, y = torch.rand(60, 1, 4, 4, generator=g), torch.arange(60) % 2
    task = make_task(x, y, x, y, bounds=(0.0, 1.0))
    x_cf, target = torch.rand(9, 1, 4, 4, generator=g), torch.arange(9) % 2
    ctx = context(task, x_cf, target, states=index_for(task, k=20))
    np.testing.assert_allclose(
        score(Lof(LofParams()), x_cf, ctx).values, their_lof(task, x_cf, target, 20), rtol=1e-4
    )


def test_lof_by_hand():
    """Points 0, 1, 2 and k = 1: every k-distance and density is 1; from 4 the reach is 2, so LOF = 2."""
    x = torch.tensor([[0.0], [1.0], [2.0]])
    y = torch.zeros(3, dtype=torch.int64)
    task = make_task(x, y, x, y)
    ctx = context(task, torch.tensor([[4.0]]), [0], states=index_for(task, k=1))
    assert score(Lof(LofParams(k=1)), torch.tensor([[4.0]]), ctx).values.tolist() == [2.0]


# --- implausibility ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("distance", "metric"), [("l2", "euclidean"), ("l1", "cityblock"), ("cosine", "cosine")]
)
@pytest.mark.parametrize("k", [1, 10, 100])
def test_implausibility_by_brute_force(k, distance, metric):
    """k = 100 is more than a class has: then all its points count."""
    task = blobs(n=210, features=5, classes=3)
    g = torch.Generator().manual_seed(1)
    x_cf, target = torch.rand(40, 5, generator=g), torch.arange(40) % 3
    ctx = context(task, x_cf, target, states=index_for(task))
    ours = score(Implausibility(ImplausibilityParams(k=k, distance=distance)), x_cf, ctx).values
    expected = [
        np.sort(cdist(row[None], task.x_train[task.y_train == t].double(), metric)[0])[:k].mean()
        for row, t in zip(x_cf.double(), target, strict=True)
    ]
    np.testing.assert_allclose(ours, expected, rtol=1e-5)


@pytest.mark.parametrize("box", [(0.0, 1.0), (-1.0, 1.0)])
@pytest.mark.parametrize("shape", [(1, 12, 12), (3, 11, 13)])
def test_implausibility_by_ssim_is_scikit_images(shape, box):
    """The box is scaled to [0, 1] first, and borders are mirrored: the mean of the full map."""
    g = torch.Generator().manual_seed(0)
    low, high = box
    x, y = torch.rand(24, *shape, generator=g), torch.arange(24) % 2
    x_cf, target = torch.rand(5, *shape, generator=g), torch.tensor([0, 1, 0, 1, 1])
    scaled = low + (high - low) * x
    task = make_task(scaled, y, scaled, y, bounds=box)
    x_scaled = low + (high - low) * x_cf
    ctx = context(task, x_scaled, target, states=index_for(task, k=2))
    ours = score(Implausibility(ImplausibilityParams(k=4, distance="ssim")), x_scaled, ctx).values
    expected = []
    for image, t in zip(x_cf, target, strict=True):
        distances = [
            (1 - structural_similarity(
                image.numpy(), p.numpy(), data_range=1.0, gaussian_weights=True, sigma=1.5,
                use_sample_covariance=False, channel_axis=0, full=True,
            )[1].mean()) / 2
            for p in x[y == t]
        ]  # fmt: skip
        expected.append(np.sort(distances)[:4].mean())
    np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_implausibility_of_a_training_point_is_zero_with_one_neighbour():
    task = blobs()
    x_cf, target = task.x_train[:9], task.y_train[:9]
    ctx = context(task, x_cf, target, states=index_for(task))
    assert torch.equal(score(Implausibility(ImplausibilityParams(k=1)), x_cf, ctx).values, torch.zeros(9))


def test_ssim_is_unfit_for_tables_only():
    unfit = SPEC["implausibility"].unfit
    assert unfit is not None
    table = DatasetSpec(kind="dataset", name="wine", target="a:B", input="tabular")
    image = DatasetSpec(kind="dataset", name="digits", target="a:B", input="image")
    assert (
        unfit(ImplausibilityParams(distance="ssim"), table)
        == "distance ssim compares images; wine is tabular"
    )
    assert unfit(ImplausibilityParams(distance="ssim"), image) is None
    assert unfit(ImplausibilityParams(), table) is None


# --- what both share -----------------------------------------------------------------------------------


def test_lof_and_implausibility_share_the_index_by_default():
    needs = {}
    for name in ("lof", "implausibility"):
        spec = SPEC[name]
        assert spec.needs is not None
        (wish,) = spec.needs(spec.params()).values()
        needs[name] = wish.name, NeighbourIndexParams(**wish.params)
    assert needs["lof"] == needs["implausibility"] == ("neighbour-index", NeighbourIndexParams())


def test_lof_asks_for_its_own_neighbours():
    needs = SPEC["lof"].needs
    assert needs is not None
    wish = needs(LofParams(k=7, distance="l1"))["index"]
    assert NeighbourIndexParams(**wish.params) == NeighbourIndexParams(k=7, distance="l1")


@pytest.mark.parametrize("metric", [Lof(LofParams()), Implausibility(ImplausibilityParams())])
def test_a_sample_does_not_depend_on_its_batch(metric):
    task = blobs(n=240)
    x_cf = torch.rand(12, 5, generator=torch.Generator().manual_seed(0))
    target = torch.arange(12) % 3
    states = index_for(task)
    whole = score(metric, x_cf, context(task, x_cf, target, states=states)).values
    alone = [
        score(
            metric, x_cf[i : i + 1], context(task, x_cf[i : i + 1], target[i : i + 1], states=states)
        ).values
        for i in range(12)
    ]
    torch.testing.assert_close(torch.cat(alone), whole)


@pytest.mark.parametrize("metric", [Lof(LofParams()), Implausibility(ImplausibilityParams())])
def test_float64_inputs_give_float64_scores(metric):
    task = blobs()
    x_cf = torch.rand(3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    ctx = context(task, x_cf, [0, 1, 2], states=index_for(task))
    assert score(metric, x_cf, ctx).values.dtype == torch.float64


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (Lof(LofParams()), "lof: class '1' has 1 training points"),
        (Implausibility(ImplausibilityParams()), "implausibility: class '2' has no training points"),
    ],
)
def test_classes_that_are_too_small_are_refused(metric, message):
    x = torch.tensor([[0.0], [1.0], [2.0], [3.0]])
    task = make_task(x, torch.tensor([0, 0, 0, 1]), x, torch.tensor([0, 1, 2, 0]))
    ctx = context(task, x[:3], [0, 1, 2], states=index_for(task))
    with pytest.raises(ValueError, match=message):
        score(metric, x[:3], ctx)


@pytest.mark.parametrize(
    "metric",
    [
        Validity(ValidityParams()),
        Validity(ValidityParams(rule="threshold")),
        CounterfactualCost(CostParams()),
        Sparsity(SparsityParams()),
        Lof(LofParams()),
        Implausibility(ImplausibilityParams()),
    ],
)
def test_missing_targets_are_an_error(metric):
    task = blobs()
    ctx = replace(context(task, torch.zeros(2, 5), [0, 1], states=index_for(task)), target=None)
    with pytest.raises(ValueError, match="scored against their targets"):
        score(metric, torch.zeros(2, 5), ctx)
