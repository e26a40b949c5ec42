"""Nearest neighbours against float64 brute force and scikit-learn: ties, duplicates, bounded memory."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmark_core.kernels import knn as module
from benchmark_core.kernels.knn import knn

SCIPY = {"l2": "euclidean", "l1": "cityblock", "cosine": "cosine"}


def brute(queries, points, k, metric):
    """(n, k) smallest distances, ascending, in float64."""
    return np.sort(cdist(queries.double(), points.double(), SCIPY[metric]), 1)[:, :k]


def check(queries, points, k, metric, rtol, atol=0.0, **options):
    distances, indices = knn(queries, points, k, metric, **options)
    expected = brute(queries, points, k, metric)
    np.testing.assert_allclose(distances, expected, rtol=rtol, atol=atol)
    full = cdist(queries.double(), points.double(), SCIPY[metric])
    np.testing.assert_allclose(np.take_along_axis(full, indices.numpy(), 1), expected, rtol=rtol, atol=atol)
    assert all(len(set(row)) == k for row in indices.tolist())  # no point twice


@pytest.mark.parametrize("metric", SCIPY)
@pytest.mark.parametrize(
    ("n", "total", "d", "k", "chunk"),
    [
        (7, 50, 3, 5, 1 << 22),
        (40, 300, 17, 30, 200),
        (3, 9, 4, 9, 1),
        (1, 1, 1, 1, 64),
        (65, 129, 33, 1, 1000),
    ],
)
def test_float64_brute_force(metric, n, total, d, k, chunk):
    g = torch.Generator().manual_seed(n)
    queries = torch.randn(n, d, generator=g, dtype=torch.float64)
    points = torch.randn(total, d, generator=g, dtype=torch.float64)
    check(queries, points, k, metric, rtol=1e-12, atol=1e-15, chunk=chunk)


@pytest.mark.parametrize(("metric", "atol"), [("l2", 0.0), ("l1", 0.0), ("cosine", 1e-13)])
def test_float32_keeps_full_precision_at_tiny_distances(metric, atol):
    """||a||^2 + ||b||^2 - 2 a.b in float32 would call these points equal, or worse, shuffle them."""
    g = torch.Generator().manual_seed(0)
    points = 5 + torch.randn(400, 20, generator=g)
    queries = points[::10] + 1e-5 * torch.randn(40, 20, generator=g)
    check(queries, points, 6, metric, rtol=2e-6 if metric != "cosine" else 1e-5, atol=atol)


@pytest.mark.parametrize("metric", SCIPY)
def test_a_point_of_the_set_is_at_distance_zero(metric):
    points = torch.randn(100, 8, generator=torch.Generator().manual_seed(0))
    distances, indices = knn(points, points, 1, metric)
    assert torch.equal(distances, torch.zeros(100, 1))
    assert torch.equal(indices[:, 0], torch.arange(100))


def test_near_duplicates_far_from_the_mean_are_searched_again_by_differences(monkeypatch):
    """Fifty points within 1e-3 of each other, 1000 away from the mean: matrix products cannot order them."""
    g = torch.Generator().manual_seed(0)
    cluster = torch.zeros(50, 3, dtype=torch.float32)
    cluster[:, 0] = 1000
    cluster[:, 1:] = 1e-3 * torch.rand(50, 2, generator=g)
    points = torch.cat([cluster, -torch.rand(500, 3, generator=g)])
    again = []
    real = module._by_differences
    monkeypatch.setattr(module, "_by_differences", lambda q, *rest: again.append(len(q)) or real(q, *rest))
    check(cluster[:5], points, 4, "l2", rtol=1e-6)
    assert again == [5]
    again.clear()
    check(points[60:70], points, 4, "l2", rtol=1e-6)
    assert len(again) <= 1


def test_ordinary_data_is_proved_exact_without_a_second_search(monkeypatch):
    def refuse(*args):
        raise AssertionError("searched again")

    monkeypatch.setattr(module, "_by_differences", refuse)
    g = torch.Generator().manual_seed(0)
    points = torch.rand(2000, 100, generator=g)
    check(torch.rand(50, 100, generator=g), points, 20, "l2", rtol=1e-6)


@pytest.mark.parametrize("spread", [1e-1, 3e-2, 1e-2, 3e-3])
def test_near_ties_that_matrix_products_shuffle(spread):
    """Squared distances within the cluster range from clear to far below the error of the products, 1e-3."""
    g = torch.Generator().manual_seed(0)
    cluster = 100 + spread * torch.rand(600, 3, generator=g)
    points = torch.cat([cluster[:400], -cluster[:400]])
    check(cluster[400:], points, 4, "l2", rtol=1e-3 if spread < 0.01 else 1e-4)


@pytest.mark.parametrize(("precision", "bits"), [("high", 10), ("medium", 7)])
def test_low_precision_matrix_products_do_not_change_the_answer(monkeypatch, precision, bits):
    """tf32 keeps 10 bits of the mantissa, bf16 7: cut the factors as such hardware would."""

    def cut(x):
        return (x.view(torch.int32) & -(1 << (23 - bits))).view(torch.float32)

    real = torch.addmm
    monkeypatch.setattr(torch, "addmm", lambda c, a, b, **kw: real(c, cut(a), cut(b.contiguous()), **kw))
    g = torch.Generator().manual_seed(0)
    queries, points = torch.rand(100, 2, generator=g), torch.rand(20_000, 2, generator=g)
    torch.set_float32_matmul_precision(precision)
    try:
        check(queries, points, 5, "l2", rtol=1e-5)
    finally:
        torch.set_float32_matmul_precision("highest")


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.data())
def test_any_input(data):
    """Few distinct values, so that ties, duplicates and zero distances are common."""
    n, total, d = (data.draw(st.integers(1, 12)) for _ in range(3))
    values = st.sampled_from([-2.0, -1.0, 0.0, 1e-3, 0.5, 1.0, 1.0 + 2.0**-20, 300.0])
    queries = torch.from_numpy(data.draw(hnp.arrays(np.float32, (n, d), elements=values)))
    points = torch.from_numpy(data.draw(hnp.arrays(np.float32, (total, d), elements=values)))
    k = data.draw(st.integers(1, total))
    metric = data.draw(st.sampled_from(["l2", "l1"]))
    check(queries, points, k, metric, rtol=1e-6, chunk=data.draw(st.sampled_from([1, 7, 50, 1 << 20])))


@pytest.mark.parametrize(
    ("metric", "sklearn_metric"), [("l2", "euclidean"), ("l1", "manhattan"), ("cosine", "cosine")]
)
def test_scikit_learn(metric, sklearn_metric):
    g = torch.Generator().manual_seed(1)
    queries, points = torch.rand(60, 12, generator=g), torch.rand(500, 12, generator=g)
    distances, indices = knn(queries, points, 10, metric)
    theirs = NearestNeighbors(n_neighbors=10, metric=sklearn_metric, algorithm="brute").fit(points.numpy())
    their_distances, their_indices = theirs.kneighbors(queries.numpy())
    np.testing.assert_allclose(distances, their_distances, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(indices, their_indices)


def test_zero_rows_have_cosine_distance_one_as_in_scikit_learn():
    queries = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    points = torch.tensor([[0.0, 0.0], [2.0, 0.0], [-1.0, 0.0]])
    theirs = (
        NearestNeighbors(n_neighbors=3, metric="cosine").fit(points.numpy()).kneighbors(queries.numpy())[0]
    )
    np.testing.assert_allclose(knn(queries, points, 3, "cosine")[0], theirs, atol=1e-7)
    np.testing.assert_allclose(theirs, [[1, 1, 1], [0, 1, 2]], atol=1e-7)


def test_images_are_flattened_and_one_feature_works():
    g = torch.Generator().manual_seed(0)
    queries, points = torch.rand(4, 3, 5, 5, generator=g), torch.rand(20, 3, 5, 5, generator=g)
    for mine, flat in zip(
        knn(queries, points, 3), knn(queries.flatten(1), points.flatten(1), 3), strict=True
    ):
        assert torch.equal(mine, flat)
    distances, indices = knn(torch.tensor([[0.25]]), torch.tensor([[0.0], [1.0], [0.5]]), 2)
    assert torch.equal(distances, torch.tensor([[0.25, 0.25]]))
    assert sorted(indices[0].tolist()) == [0, 2]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_dtype_is_kept(dtype):
    points = torch.tensor([[0.0, 0.0], [3.0, 4.0]], dtype=dtype)
    distances, indices = knn(points[:1], points, 2)
    assert distances.dtype == dtype
    assert indices.dtype == torch.int64
    assert distances.tolist() == [[0.0, 5.0]]


def test_no_queries():
    distances, indices = knn(torch.empty(0, 4), torch.rand(9, 4), 3)
    assert distances.shape == indices.shape == (0, 3)


@pytest.mark.parametrize("metric", SCIPY)
def test_a_query_does_not_depend_on_its_batch(metric):
    g = torch.Generator().manual_seed(3)
    queries, points = torch.rand(30, 6, generator=g), torch.rand(200, 6, generator=g)
    whole = knn(queries, points, 7, metric)
    for i in (0, 13, 29):
        torch.testing.assert_close(knn(queries[i : i + 1], points, 7, metric)[0], whole[0][i : i + 1])


def test_nan_comes_out_as_nan():
    queries = torch.tensor([[float("nan"), 0.0], [0.0, 0.0]])
    distances, _ = knn(queries, torch.rand(30, 2), 2)
    assert distances[0].isnan().all()
    assert distances[1].isfinite().all()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_points_that_are_not_finite_are_refused(value):
    points = torch.rand(30, 2)
    points[7, 1] = value
    with pytest.raises(ValueError, match="knn: points hold NaN or infinite values"):
        knn(torch.rand(3, 2), points, 2)


@pytest.mark.parametrize(("total", "k"), [(1, 1), (9, 9), (100, 1), (1000, 3), (1003, 40), (50, 20)])
def test_smallest_of_a_block_is_topk(total, k):
    """Integers below 200, so that ties are everywhere."""
    g = torch.Generator().manual_seed(total)
    scores = torch.randint(0, 200, (50, total), generator=g).float()
    values, indices = module._smallest_of(scores, k)
    assert torch.equal(values, scores.sort(1).values[:, :k])
    assert torch.equal(scores.gather(1, indices), values)
    assert all(len(set(row)) == k for row in indices.tolist())


@pytest.mark.parametrize("k", [0, 4])
def test_k_outside_the_points_is_refused(k):
    with pytest.raises(ValueError, match=f"knn: k must be in 1..3, the number of points; got {k}"):
        knn(torch.rand(2, 2), torch.rand(3, 2), k)


def test_inputs_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"queries \(2, 3\) and points \(5, 2\) differ in features"):
        knn(torch.rand(2, 3), torch.rand(5, 2), 1)
    with pytest.raises(ValueError, match="share one float dtype"):
        knn(torch.rand(2, 3), torch.rand(5, 3, dtype=torch.float64), 1)
    with pytest.raises(ValueError, match="share one float dtype"):
        knn(torch.ones(2, 3, dtype=torch.int64), torch.ones(5, 3, dtype=torch.int64), 1)


class Largest(TorchDispatchMode):
    """Remembers the largest tensor that any operation returned."""

    numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor):
                self.numel = max(self.numel, leaf.numel())
        return out


@pytest.mark.parametrize("metric", ["l2", "l1"])
def test_memory_never_holds_queries_times_points(metric):
    n, total, d, k, chunk = 400, 500, 4, 3, 2000
    g = torch.Generator().manual_seed(0)
    queries, points = torch.rand(n, d, generator=g), torch.rand(total, d, generator=g)
    with Largest() as largest:
        knn(queries, points, k, metric, chunk=chunk)
    assert largest.numel <= max(chunk, total * d, n * k)
    assert n * total == 100 * chunk


def test_inputs_are_left_alone():
    queries, points = torch.rand(5, 3), torch.rand(9, 3)
    before = queries.clone(), points.clone()
    for metric in SCIPY:
        knn(queries, points, 2, metric)
    assert torch.equal(queries, before[0])
    assert torch.equal(points, before[1])
