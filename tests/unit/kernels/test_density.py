"""Densities against scikit-learn, scipy and brute force; scores against gradcheck and closed forms."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmark_core.kernels.gmm import gmm_logpdf, gmm_score
from benchmark_core.kernels.kde import kde_logpdf, kde_score


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def brute_kde(x, points, h):
    """The mean of N densities of the normal distribution N(x_i, h^2 I), in float64."""
    x, points = np.asarray(x, np.float64), np.asarray(points, np.float64)
    square = ((x[:, None] - points) ** 2).sum(2)
    log_normal = -square / (2 * h * h) - points.shape[1] * np.log(h * np.sqrt(2 * np.pi))
    return logsumexp(log_normal, axis=1) - np.log(len(points))


def mixture(k, d, full, seed=0, dtype=torch.float64):
    """weights, means, precision roots and the covariances that they belong to."""
    weights = normal(k, seed=seed).softmax(0)
    a = normal(k, d, d, seed=seed + 1)
    covariances = a @ a.mT / d + 0.3 * torch.eye(d, dtype=torch.float64)
    if full:
        roots = torch.linalg.cholesky(covariances).inverse().mT
    else:
        covariances = torch.diag_embed(covariances.diagonal(dim1=1, dim2=2))
        roots = covariances.diagonal(dim1=1, dim2=2).rsqrt()
    means = 2 * normal(k, d, seed=seed + 2)
    return *(t.to(dtype) for t in (weights, means, roots)), covariances


@pytest.mark.parametrize("h", [0.05, 0.7, 20.0])
@pytest.mark.parametrize(("n", "total", "d"), [(5, 1, 1), (7, 40, 3), (300, 70, 2), (4, 30, 50)])
def test_kde_is_that_of_scikit_learn(n, total, d, h):
    x, points = normal(n, d), normal(total, d, seed=1)
    theirs = KernelDensity(bandwidth=h).fit(points.numpy()).score_samples(x.numpy())
    np.testing.assert_allclose(kde_logpdf(x, points, h), theirs, rtol=1e-12, atol=1e-11)
    np.testing.assert_allclose(theirs, brute_kde(x, points, h), rtol=1e-10)


def test_the_kde_integrates_to_one():
    """In two features: the normaliser is N h^d (2 pi)^(d/2)."""
    axis = torch.linspace(-8, 8, 401, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    density = kde_logpdf(grid, normal(6, 2), 0.4).exp()
    assert float(density.sum() * (axis[1] - axis[0]) ** 2) == pytest.approx(1, abs=1e-9)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.data())
def test_kde_of_any_input(data):
    """Few distinct values, so that queries are points and points are each other; any size of a block."""
    n, total, d = (data.draw(st.integers(1, 9)) for _ in range(3))
    values = st.sampled_from([-300.0, -1.0, 0.0, 1e-3, 1.0, 1.0 + 2.0**-20])
    x = torch.from_numpy(data.draw(arrays(np.float32, (n, d), elements=values)))
    points = torch.from_numpy(data.draw(arrays(np.float32, (total, d), elements=values)))
    h, chunk = data.draw(st.sampled_from([0.01, 1.0, 50.0])), data.draw(st.sampled_from([1, 7, 1 << 20]))
    found = kde_logpdf(x, points, h, chunk=chunk)
    np.testing.assert_allclose(found, brute_kde(x, points, h), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(
        kde_score(x, points, h, chunk=chunk), kde_score(x.double(), points.double(), h), rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(("n", "k", "d"), [(6, 1, 1), (50, 4, 3), (9, 3, 20)])
def test_gmm_is_that_of_scikit_learn_and_scipy(n, k, d, full):
    weights, means, roots, covariances = mixture(k, d, full)
    x = 3 * normal(n, d, seed=9)
    theirs = GaussianMixture(k, covariance_type="full" if full else "diag")
    theirs.weights_, theirs.means_ = weights.numpy(), means.numpy()
    theirs.precisions_cholesky_ = roots.numpy()
    found = gmm_logpdf(x, weights, means, roots)
    np.testing.assert_allclose(found, theirs.score_samples(x.numpy()), rtol=1e-11)
    parts = [
        np.log(w) + multivariate_normal(m, c).logpdf(x.numpy())
        for w, m, c in zip(weights.numpy(), means.numpy(), covariances.numpy(), strict=True)
    ]
    np.testing.assert_allclose(found, logsumexp(np.reshape(parts, (k, n)), axis=0), rtol=1e-10)
    for chunk in (1, 3 * k * d):
        torch.testing.assert_close(gmm_logpdf(x, weights, means, roots, chunk=chunk), found)


def test_a_kde_is_a_mixture_with_equal_weights():
    x, points, h = normal(8, 4), normal(11, 4, seed=1), 0.6
    equal, roots = torch.full((11,), 1 / 11).double(), torch.full((11, 4), 1 / h).double()
    for of_kde, of_gmm in ((kde_logpdf, gmm_logpdf), (kde_score, gmm_score)):
        torch.testing.assert_close(of_kde(x, points, h), of_gmm(x, equal, points, roots))
        torch.testing.assert_close(of_kde(x, points, h), of_gmm(x, equal, points, torch.diag_embed(roots)))


@pytest.mark.parametrize("chunk", [5, 1 << 20])
def test_gradients(chunk):
    """gradcheck, and the score is the gradient, up to the factor that arrives from above."""
    x = normal(4, 3).requires_grad_()
    points = normal(9, 3, seed=1)
    weights, means, diagonal, _ = mixture(3, 3, full=False)
    full = mixture(3, 3, full=True)[2]
    functions = {
        lambda x: kde_logpdf(x, points, 0.8, chunk=chunk): kde_score(x, points, 0.8, chunk=chunk),
        lambda x: gmm_logpdf(x, weights, means, diagonal, chunk=chunk): gmm_score(
            x, weights, means, diagonal
        ),
        lambda x: gmm_logpdf(x, weights, means, full, chunk=chunk): gmm_score(x, weights, means, full),
    }
    for function, score in functions.items():
        assert torch.autograd.gradcheck(function, x)
        (gradient,) = torch.autograd.grad((function(x) * torch.tensor([1.0, 2, -3, 0])).sum(), x)
        torch.testing.assert_close(gradient, score * torch.tensor([[1.0], [2], [-3], [0]]))
        assert not score.requires_grad


def test_score_of_one_kernel_and_of_the_middle_between_two():
    x = torch.tensor([[1.0, 3.0]])
    torch.testing.assert_close(kde_score(x, torch.tensor([[0.0, 1.0]]), 2.0), torch.tensor([[-0.25, -0.5]]))
    points = torch.tensor([[0.0, 0.0], [2.0, 6.0]])
    torch.testing.assert_close(kde_score(x, points, 0.1), torch.zeros(1, 2))


def test_ascending_the_score_finds_a_mode():
    """Gradient ascent with step h^2 is mean shift: it ends where the score is 0, on a higher density."""
    points = normal(200, 2)
    x = normal(5, 2, seed=3)
    before = kde_logpdf(x, points, 0.5)
    for _ in range(300):
        x = x + 0.25 * kde_score(x, points, 0.5)
    assert float(kde_score(x, points, 0.5).abs().max()) < 1e-6
    assert bool((kde_logpdf(x, points, 0.5) >= before).all())


def test_far_away_and_not_finite():
    points = normal(6, 2, dtype=torch.float32)
    inf, nan = torch.inf, torch.nan
    x = torch.tensor([[inf, 0], [0, -inf], [nan, 0], [nan, inf], [1e30, 0], [0, 0]])
    weights, means, roots, _ = mixture(2, 2, full=False, dtype=torch.float32)
    full = torch.diag_embed(roots)
    for found, score in (
        (kde_logpdf(x, points, 0.3), kde_score(x, points, 0.3)),
        (gmm_logpdf(x, weights, means, roots), gmm_score(x, weights, means, roots)),
        (gmm_logpdf(x, weights, means, full), gmm_score(x, weights, means, full)),
    ):
        assert found[:2].tolist() == [-inf, -inf]
        assert found[2:4].isnan().all()
        assert float(found[4]) == -inf  # below the range of float32
        assert found[5].isfinite()
        assert score[:4].isnan().all()
        assert score[5].isfinite().all()
    far = torch.tensor([[1e150], [1e200]], dtype=torch.float64)
    found = kde_logpdf(far, torch.zeros(1, 1, dtype=torch.float64), 1.0)
    assert found.tolist() == [pytest.approx(-5e299), -inf]


def test_float32_keeps_its_digits_far_from_the_origin():
    """Products in float32 would lose the distances of points 1000 away from 0 that are 1e-2 apart."""
    points = 1000 + 0.01 * normal(50, 8, dtype=torch.float32)
    x = points[:10] + 0.001
    np.testing.assert_allclose(kde_logpdf(x, points, 0.01), brute_kde(x, points, 0.01), rtol=1e-6)


def test_an_outlier_costs_the_others_no_digit():
    """A code such as 9999999999 for a missing value moves the mean, about which products are taken."""
    points = torch.cat([normal(40, 3), torch.full((1, 3), 1e10).double()])
    x = normal(6, 3, seed=1)
    np.testing.assert_allclose(kde_logpdf(x, points, 0.1), brute_kde(x, points, 0.1), rtol=1e-6)


@pytest.mark.parametrize("spread", [1.0, 30.0])
def test_full_mixtures_in_float32_keep_float32(spread):
    """Far from the origin, with correlated features: an error of some roundings of the result."""
    weights, means, roots, _ = mixture(4, 30, full=True, dtype=torch.float32)
    means = spread * means + 50
    x = means[torch.arange(100) % 4] + normal(100, 30, seed=5, dtype=torch.float32)
    exact = [t.double() for t in (x, weights, means, roots)]
    found = gmm_logpdf(x, weights, means, roots)
    torch.testing.assert_close(found.double(), gmm_logpdf(*exact), rtol=2e-6, atol=1e-5)
    torch.testing.assert_close(
        gmm_score(x, weights, means, roots).double(), gmm_score(*exact), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("sd", [1e-1, 1e-3, 1e-7])
def test_narrow_components_far_from_the_origin(sd):
    """Products would lose what is left of 1e14 z^2; against differences in 80 bits."""
    _, means, _, _ = mixture(3, 4, full=False)
    means = 10 + means
    x = means[[0, 0, 1, 2]] + sd * normal(4, 4)
    weights, roots = torch.tensor([0.2, 0.3, 0.5]).double(), torch.full((3, 4), 1 / sd).double()
    z = (x.numpy().astype(np.longdouble)[:, None] - means.numpy()) * roots.numpy()
    s = np.log(weights.numpy()) + 4 * np.log(1 / sd) - 2 * np.log(2 * np.pi) - (z * z).sum(2) / 2
    np.testing.assert_allclose(
        gmm_logpdf(x, weights, means, roots), logsumexp(s.astype(float), axis=1), rtol=1e-10
    )
    r = np.exp(s - s.max(1, keepdims=True))
    score = -(r / r.sum(1, keepdims=True))[:, :, None] * z * roots.numpy()
    np.testing.assert_allclose(gmm_score(x, weights, means, roots), score.sum(1).astype(float), rtol=1e-8)


def test_a_component_of_weight_zero_does_not_count():
    _, means, roots, _ = mixture(3, 2, full=False)
    x = normal(5, 2)
    none = torch.tensor([0.4, 0.0, 0.6]).double()
    two = [0, 2]
    torch.testing.assert_close(
        gmm_logpdf(x, none, means, roots), gmm_logpdf(x, none[two], means[two], roots[two])
    )
    torch.testing.assert_close(
        gmm_score(x, none, means, roots), gmm_score(x, none[two], means[two], roots[two])
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_dtype_and_shape_are_kept(dtype):
    x, points = normal(3, 2, 4, 5).to(dtype), normal(7, 2, 4, 5, seed=1).to(dtype)
    found = kde_logpdf(x, points, 2.0)
    assert (found.dtype, found.shape) == (dtype, (3,))
    exact = kde_logpdf(x.double().flatten(1), points.double().flatten(1), 2.0)
    torch.testing.assert_close(found.double(), exact, rtol=torch.finfo(dtype).eps, atol=0)
    assert kde_score(x, points, 2.0).shape == x.shape
    assert kde_score(x, points, 2.0).dtype == dtype
    x.requires_grad_()
    kde_logpdf(x, points, 2.0).sum().backward()
    torch.testing.assert_close(x.grad, kde_score(x, points, 2.0))


def test_no_queries():
    x, points = torch.empty(0, 3, requires_grad=True), torch.rand(4, 3)
    weights, means, roots, _ = mixture(2, 3, full=False, dtype=torch.float32)
    assert kde_logpdf(x, points, 1.0).shape == gmm_logpdf(x, weights, means, roots).shape == (0,)
    assert kde_score(x, points, 1.0).shape == gmm_score(x, weights, means, roots).shape == (0, 3)


def test_a_query_does_not_depend_on_its_batch():
    x, points = normal(600, 3), normal(50, 3, seed=1)
    whole = kde_logpdf(x, points, 0.4)
    for i in (0, 299, 599):
        torch.testing.assert_close(
            kde_logpdf(x[i : i + 1], points, 0.4), whole[i : i + 1], rtol=1e-14, atol=0
        )


class Largest(TorchDispatchMode):
    """Remembers the largest tensor that any operation returned."""

    numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.numel = max(self.numel, *(t.numel() for t in tree_leaves(out) if isinstance(t, torch.Tensor)), 0)
        return out


def test_memory_never_holds_queries_times_points():
    n, total, d, chunk = 300, 2000, 3, 3000
    x, points = normal(n, d), normal(total, d, seed=1)
    weights, means, roots, _ = mixture(20, d, full=True)
    for work, inputs in (
        (lambda: kde_logpdf(x, points, 1.0, chunk=chunk), total * d),
        (lambda: kde_score(x, points, 1.0, chunk=chunk), total * d),
        (lambda: gmm_logpdf(x, weights, means, roots, chunk=chunk), n * d),
        (lambda: gmm_score(x, weights, means, roots, chunk=chunk), n * d),
    ):
        with Largest() as largest:
            work()
        assert largest.numel <= max(chunk, inputs)


def test_what_does_not_fit_is_refused():
    x, points = torch.rand(2, 3), torch.rand(4, 3)
    for h in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="bandwidth must be positive and finite"):
            kde_logpdf(x, points, h)
    for other in (torch.rand(4, 2), torch.rand(0, 3), torch.rand(4, 3, 1)):
        with pytest.raises(ValueError, match=r"do not fit x of shape \(2, 3\)"):
            kde_logpdf(x, other, 1.0)
    with pytest.raises(ValueError, match="share one float dtype and one device"):
        kde_score(x, points.double(), 1.0)
    with pytest.raises(ValueError, match="differentiable in x alone; detach the points"):
        kde_logpdf(x, points.requires_grad_(), 1.0)
    weights, means, roots, _ = mixture(2, 3, full=False, dtype=torch.float32)
    with pytest.raises(
        ValueError, match=r"weights have shape \(3,\); 2 components of 3 features need \(2,\)"
    ):
        gmm_logpdf(x, torch.rand(3), means, roots)
    with pytest.raises(ValueError, match=r"need \(2, 3\) or \(2, 3, 3\)"):
        gmm_score(x, weights, means, torch.rand(2, 4))
    with pytest.raises(ValueError, match=r"precision_roots \(torch.float64, cpu\) must share"):
        gmm_score(x, weights, means, roots.double())
    with pytest.raises(ValueError, match="kde_score: points hold NaN or infinite values; clean the data"):
        kde_score(x, torch.tensor([[0, 1, math.inf]]), 1.0)
    with pytest.raises(ValueError, match="gmm_logpdf: precision_roots hold NaN"):
        gmm_logpdf(x, weights, means, roots * math.nan)
    with pytest.raises(ValueError, match="detach the weights"):
        gmm_logpdf(x, weights.requires_grad_(), means, roots)


def test_a_second_derivative_is_refused():
    x = torch.rand(2, 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(kde_logpdf(x, torch.rand(4, 3), 1.0).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="no autograd formula"):
        gradient.sum().backward()
