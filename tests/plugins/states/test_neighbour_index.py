"""The neighbour index against scikit-learn fitted on each class; duplicates; classes that are too small."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors

from benchmark_core.testing import blobs, make_context, make_task
from benchmark_plugins.states.catalogue import SPECS, NeighbourIndexParams
from benchmark_plugins.states.neighbour_index import NeighbourIndex


def prepare(task, ctx=None, **params):
    return NeighbourIndex(NeighbourIndexParams(**params)).prepare(None, task, ctx or make_context(task, 1))


def slots(index, c):
    return slice(int(index["offsets"][c]), int(index["offsets"][c + 1]))


@pytest.mark.parametrize(
    ("distance", "metric"), [("l2", "euclidean"), ("l1", "manhattan"), ("cosine", "cosine")]
)
def test_scikit_learn_class_by_class(distance, metric):
    task = blobs(n=180, features=6, classes=3)
    index = prepare(task, distance=distance, k=7)
    assert torch.equal(index["k"], torch.tensor([7, 7, 7]))
    for c in range(3):
        own = task.x_train[task.y_train == c].numpy()
        theirs, rows = NearestNeighbors(n_neighbors=7, metric=metric, algorithm="brute").fit(own).kneighbors()
        np.testing.assert_allclose(index["distances"][slots(index, c)], theirs, rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(index["neighbours"][slots(index, c)], rows)


def test_slots_hold_every_training_point_once_by_class():
    task = blobs(n=100, classes=4)
    index = prepare(task, k=3)
    order, offsets = index["order"], index["offsets"]
    assert torch.equal(order.sort().values, torch.arange(len(task.x_train)))
    assert offsets[0] == 0
    assert offsets[-1] == len(order)
    for c in range(4):
        assert torch.equal(order[slots(index, c)], (task.y_train == c).nonzero().squeeze(1))


def test_images_are_flattened():
    g = torch.Generator().manual_seed(0)
    x, y = torch.rand(30, 1, 4, 4, generator=g), torch.arange(30) % 2
    index = prepare(make_task(x, y, x, y), k=5)
    own = x[y == 1].flatten(1).double()
    expected = np.sort(cdist(own, own), 1)[:, 1:6]
    np.testing.assert_allclose(index["distances"][slots(index, 1)], expected, rtol=1e-6)


def test_small_classes_have_all_others_and_the_record_says_so():
    x = torch.tensor([[0.0], [1.0], [3.0], [10.0], [20.0]])
    y = torch.tensor([0, 0, 0, 1, 3])  # class 1 and 3 have one point, class 2 none
    task = make_task(x, y, x, y)
    ctx = make_context(task, 1)
    index = prepare(task, ctx, k=4)
    assert index["k"].tolist() == [2, 0, 0, 0]
    assert index["offsets"].tolist() == [0, 3, 4, 4, 5]
    assert index["distances"][:3, :2].tolist() == [[1, 3], [1, 2], [2, 3]]
    assert index["neighbours"][:3, :2].tolist() == [[1, 2], [0, 2], [1, 0]]
    assert index["distances"][:, 2:].isinf().all()
    assert index["distances"][3:].isinf().all()
    assert (index["neighbours"][3:] == -1).all()
    assert ctx.notes == {"classes_with_fewer_neighbours": 4.0}


@pytest.mark.parametrize("copies", [3, 40])
def test_a_point_is_not_its_own_neighbour_among_duplicates(copies):
    """With more copies than k a point may miss itself in the search; it still gets k neighbours."""
    x = torch.cat(
        [torch.full((copies, 2), 0.3), torch.rand(30, 2, generator=torch.Generator().manual_seed(0))]
    )
    task = make_task(x, torch.zeros(len(x), dtype=torch.int64), x, torch.zeros(len(x), dtype=torch.int64))
    index = prepare(task, k=5)
    assert not (index["neighbours"] == torch.arange(len(x))[:, None]).any()
    full = cdist(x.double(), x.double())
    np.fill_diagonal(full, np.inf)
    np.testing.assert_allclose(index["distances"], np.sort(full, 1)[:, :5], rtol=1e-6)


def test_float64_task():
    task = blobs()
    wide = make_task(
        task.x_train.double(), task.y_train, task.x_test.double(), task.y_test, bounds=(0.0, 1.0)
    )
    assert prepare(wide, k=2)["distances"].dtype == torch.float64


def test_spec_is_made_from_the_task():
    spec = next(s for s in SPECS if s.name == "neighbour-index")
    assert (spec.name, spec.made_from, spec.deterministic) == ("neighbour-index", "task", True)
    assert spec.params() == NeighbourIndexParams(distance="l2", k=20)
