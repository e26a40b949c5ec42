"""Projections against the optimality condition of a projection, uniform draws against their distribution.

p is the projection of d onto a convex set C exactly when p is in C and <d - p, c - p> <= 0 for all c in C.
The largest <r, c> over a ball is eps times the dual norm of r, so the condition is checked without a search.
"""

import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.stats import kstest

from benchmark_core import SampleRandom
from benchmark_core.kernels.projections import PROJECTIONS, uniform_in_ball

ORDER = {"linf": torch.inf, "l2": 2, "l1": 1}
DUAL = {"linf": 1, "l2": 2, "l1": torch.inf}
# halves make ties and zeros likely
ENTRIES = st.one_of(st.integers(-6, 6).map(lambda i: i / 2), st.floats(-1e3, 1e3, allow_subnormal=False))


def norm(d, order):
    return torch.linalg.vector_norm(d.flatten(1), order, dim=1)


@pytest.mark.parametrize("name", PROJECTIONS)
@settings(max_examples=80, deadline=None)
@given(
    d=arrays("float64", array_shapes(min_dims=2, max_dims=4, min_side=1, max_side=6), elements=ENTRIES),
    eps=st.one_of(st.sampled_from([0.0, 0.5, 1.0, 3.0]), st.floats(1e-6, 1e3)),
)
def test_no_point_of_the_ball_is_nearer(name, d, eps):
    d = torch.from_numpy(d)
    before = d.clone()
    p = PROJECTIONS[name](d, eps)
    r = d - p
    gap = eps * norm(r, DUAL[name]) - (r * p).flatten(1).sum(1)
    scale = 1 + norm(d, 2) ** 2 + eps**2
    assert p.shape == d.shape
    assert p.dtype == d.dtype
    assert (norm(p, ORDER[name]) <= eps + 1e-12 * (1 + norm(d, 1))).all()
    assert (gap <= 1e-12 * scale).all()
    inside = norm(d, ORDER[name]) <= eps * (1 - 1e-12)
    assert torch.equal(p[inside], d[inside])
    assert torch.equal(d, before)


def test_l1_by_hand():
    d = torch.tensor([[3.0, -1.0, 0.0], [2.0, 2.0, -2.0], [0.2, -0.3, 0.0], [0.0, 0.0, 0.0]])
    expected = torch.tensor([[1.5, 0.0, 0.0], [0.5, 0.5, -0.5], [0.2, -0.3, 0.0], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(PROJECTIONS["l1"](d, 1.5), expected)


def test_l1_of_one_feature_is_a_clip():
    d = torch.linspace(-3, 3, 13)[:, None]
    torch.testing.assert_close(PROJECTIONS["l1"](d, 1.25), d.clamp(-1.25, 1.25))


def test_l1_in_float32_keeps_a_small_radius_beside_large_entries():
    d = torch.tensor([[1e6, 1e6, 3.0]])
    torch.testing.assert_close(PROJECTIONS["l1"](d, 1e-3), torch.tensor([[5e-4, 5e-4, 0.0]]))


@pytest.mark.parametrize("features", [1, 50, 3000])
def test_l1_equals_adv_lib(features):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it compares versions by distutils
        from adv_lib.utils.projections import l1_ball_euclidean_projection
    d = torch.randn(20, features, dtype=torch.float64) * torch.logspace(-3, 3, 20).double()[:, None]
    for eps in (0.1, 3.0, 500.0):
        torch.testing.assert_close(PROJECTIONS["l1"](d, eps), l1_ball_euclidean_projection(d, eps))


def test_l1_of_large_entries_overflows_nowhere():
    d = torch.tensor([[3e38, 1.0, -3e38, 0.0]])
    torch.testing.assert_close(PROJECTIONS["l1"](d, 2.0), torch.tensor([[1.0, 0.0, -1.0, 0.0]]))


def test_l1_of_half_precision_counts_more_features_than_it_could():
    """Sums and counts beyond 65504, and beyond 2048, where float16 skips numbers."""
    d = torch.randn(2, 70_000, generator=torch.Generator().manual_seed(0)).half()
    for eps in (5.0, 3000.0, 50_000.0):
        p = PROJECTIONS["l1"](d, eps)
        assert p.dtype == torch.float16
        torch.testing.assert_close(p.double(), PROJECTIONS["l1"](d.double(), eps), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", PROJECTIONS)
def test_nan_is_not_swallowed(name):
    d = torch.tensor([[1.0, torch.nan, 5.0], [3.0, 0.0, 0.0]])
    p = PROJECTIONS[name](d, 1.0)
    assert p[0].isnan().tolist() == ([False, True, False] if name == "linf" else [True] * 3)
    assert p[1].tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("name", PROJECTIONS)
def test_draws_fill_the_ball_uniformly(name):
    n, eps, features = 4000, 0.7, 6
    d = uniform_in_ball(
        name, eps, SampleRandom(3, torch.arange(n)), torch.empty(n, 2, 3, dtype=torch.float64)
    )
    # the share of the volume inside radius r is (r / eps)^F
    inside = (norm(d, ORDER[name]) / eps) ** features
    assert kstest(inside.numpy(), "uniform").pvalue > 1e-3
    # no direction is preferred: signs and features are exchangeable
    mean, size = d.flatten(1).mean(0), d.flatten(1).abs().mean(0)
    assert (mean.abs() < 4 * eps / n**0.5).all()
    assert size.max() / size.min() < 1.1


@pytest.mark.parametrize("name", PROJECTIONS)
def test_draws_belong_to_samples(name):
    like, ids = torch.empty(6, 4), torch.arange(6)
    whole = uniform_in_ball(name, 1.0, SampleRandom(0, ids), like)
    part = uniform_in_ball(name, 1.0, SampleRandom(0, ids[2:4]), like[2:4])
    torch.testing.assert_close(part, whole[2:4])


def test_unknown_norm():
    with pytest.raises(ValueError, match="no ball of norm 'l7'"):
        uniform_in_ball("l7", 1.0, SampleRandom(0, torch.arange(2)), torch.empty(2, 3))
