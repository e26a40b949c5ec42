"""Proximal operators against a fine search of the objective, projections against all choices of features."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from benchmark_core.kernels.prox import group_soft_threshold, prox_lp, topk_box_projection

POWERS = [0, 0.5, 2 / 3, 1]
#: halves make ties, zeros and thresholds that are met exactly likely
ENTRIES = st.one_of(st.integers(-8, 8).map(lambda i: i / 2), st.floats(-20, 20, allow_subnormal=False))
TAUS = st.one_of(st.sampled_from([0.0, 0.125, 0.5, 1.0, 2.0]), st.floats(1e-6, 10))
BOXES = st.sampled_from(
    [(-math.inf, math.inf), (-1.0, 2.0), (0.0, 0.5), (-0.25, 0.0), (0.0, 0.0), (-9.0, 9.0)]
)


def power(w, p):
    return (w != 0).to(w.dtype) if p == 0 else w.abs() ** p


def objective(y, w, tau, p):
    return (y - w).square() / 2 + tau * power(w, p)


@pytest.mark.parametrize("p", POWERS)
@settings(max_examples=150, deadline=None)
@given(y=arrays("float64", (4,), elements=ENTRIES), tau=TAUS, box=BOXES)
def test_no_point_of_the_box_is_better(p, y, tau, box):
    y, (low, high) = torch.from_numpy(y), box
    before = y.clone()
    w = prox_lp(y, tau, p, low, high)
    assert bool(((w >= low) & (w <= high)).all())
    grid = torch.linspace(max(low, -21.0), min(high, 21.0), 4001, dtype=torch.float64)
    grid = torch.cat([grid, torch.zeros(1, dtype=torch.float64), y.clamp(low, high)])
    least = objective(y[:, None], grid, tau, p).amin(1)
    scale = 1 + y.square() + tau
    assert bool((objective(y, w, tau, p) <= least + 1e-12 * scale).all())
    assert torch.equal(y, before)


@pytest.mark.parametrize("p", [0.5, 2 / 3])
def test_the_free_minimiser_is_stationary(p):
    # away from 0: w - y + tau p |w|^(p - 1) sign(w) = 0
    y = torch.linspace(-10, 10, 999, dtype=torch.float64)
    for tau in (0.01, 0.5, 3.0):
        w = prox_lp(y, tau, p)
        moved = w != 0
        slope = w - y + tau * p * w.abs() ** (p - 1) * w.sign()
        assert 100 < int(moved.sum()) < 999
        assert float(slope[moved].abs().max()) < 1e-10


def test_thresholds_by_hand():
    # at the threshold zero and the minimiser are equally good
    tau = 0.8
    limits = {
        0: math.sqrt(2 * tau),
        0.5: 1.5 * tau ** (2 / 3),
        2 / 3: 2 / 3 * (3 * (2 * tau) ** 3) ** 0.25,
        1: tau,
    }
    for p, limit in limits.items():
        y = torch.tensor([limit * (1 - 1e-9), limit * (1 + 1e-6)], dtype=torch.float64)
        w = prox_lp(y, tau, p)
        assert float(w[0]) == 0
        assert float(w[1]) > 0
        assert float(objective(y[1], w[1], tau, p)) == pytest.approx(float(y[1] ** 2 / 2), rel=1e-5)


def test_a_threshold_for_every_coordinate():
    y = torch.linspace(-3, 3, 24, dtype=torch.float64).view(2, 3, 4)
    tau = torch.linspace(0, 2, 4, dtype=torch.float64)
    for p in POWERS:
        w = prox_lp(y, tau, p, -1.0, 2.0)
        for j in range(4):
            torch.testing.assert_close(w[..., j], prox_lp(y[..., j], float(tau[j]), p, -1.0, 2.0))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("p", POWERS)
def test_lower_precision(dtype, p):
    y = torch.linspace(-4, 4, 333).to(dtype)
    w = prox_lp(y, 0.3, p, -2.0, 3.0)
    assert w.dtype == dtype
    exact = prox_lp(y.double(), 0.3, p, -2.0, 3.0)
    torch.testing.assert_close(w.double(), exact, rtol=2 * torch.finfo(dtype).eps, atol=1e-5)


def test_edges():
    assert prox_lp(torch.zeros(0, 5), 1.0, 0.5).shape == (0, 5)
    for p in POWERS:
        assert torch.equal(prox_lp(torch.zeros(3), 1.0, p), torch.zeros(3))
        y = torch.tensor([-1.5, 0.0, 2.5])
        torch.testing.assert_close(prox_lp(y, 0.0, p), y)
    with pytest.raises(ValueError, match="p must be one of"):
        prox_lp(torch.zeros(3), 1.0, 0.7)


@pytest.mark.parametrize("p", POWERS)
def test_nan_stays_and_infinities_go_to_the_box(p):
    y = torch.tensor([math.nan, math.inf, -math.inf, 1.0])
    tau = torch.tensor([0.5, 0.5, 0.5, math.inf])
    w = prox_lp(y, tau, p, -1.5, 3.0)
    assert w[0].isnan()
    assert w[1:].tolist() == [3.0, -1.5, 0.0]


def test_topk_box_takes_nan_and_infinities_first():
    y = torch.tensor([[1.0, math.nan, 2.0, 0.0], [1.0, -math.inf, 2.0, 0.0]])
    w = topk_box_projection(y, 1, -0.5, 0.5)
    assert w[0].isnan().tolist() == [False, True, False, False]
    assert w[1].tolist() == [0.0, -0.5, 0.0, 0.0]


def test_gains_do_not_cancel_beside_large_entries():
    """In float32 y^2 - (y - z)^2 of y = 20000 and 20001 is a multiple of 32, and the second gains more."""
    y = torch.tensor([[20000.0, 20001.0]])
    assert topk_box_projection(y, 1, -1e-3, 1e-3).tolist() == [[0.0, pytest.approx(1e-3)]]
    assert prox_lp(y, 15.0, 0, -1e-3, 1e-3)[0].tolist() == pytest.approx([1e-3, 1e-3])


def test_group_soft_threshold_is_the_minimiser():
    g = torch.Generator().manual_seed(0)
    y = torch.randn(3, 4, 2, 2, generator=g, dtype=torch.float64)
    tau = torch.tensor([0.5, 1.0, 4.0], dtype=torch.float64).view(3, 1, 1, 1)
    w = group_soft_threshold(y, tau, (2, 3))
    norm = w.flatten(2).norm(dim=2)
    zero = norm == 0
    assert 0 < int(zero.sum()) < 12
    # optimality: w - y + tau w / ||w|| = 0, or ||y|| <= tau where w = 0
    assert bool((y.flatten(2).norm(dim=2)[zero] <= tau.expand(3, 4, 1, 1)[..., 0, 0][zero]).all())
    residual = w - y + tau * w / torch.where(zero, 1, norm)[..., None, None]
    assert float(residual[~zero].abs().max()) < 1e-12
    assert torch.equal(group_soft_threshold(torch.zeros(1, 2, 3), 0.0, (2,)), torch.zeros(1, 2, 3))


@settings(max_examples=60, deadline=None)
@given(y=arrays("float64", (2, 5), elements=ENTRIES), m=st.integers(0, 6), box=BOXES)
def test_topk_box_against_all_choices(y, m, box):
    y, (low, high) = torch.from_numpy(y), box
    w = topk_box_projection(y, m, low, high)
    assert bool(((w >= low) & (w <= high)).all())
    assert bool(((w != 0).sum(1) <= m).all())
    z = y.clamp(low, high)
    for i in range(2):
        least = min(
            float((y[i] - torch.where(torch.tensor([j in chosen for j in range(5)]), z[i], 0)).square().sum())
            for chosen in itertools.combinations(range(5), min(m, 5))
        )
        assert float((y[i] - w[i]).square().sum()) <= least + 1e-9


def test_topk_box_counts_pixels_when_asked():
    g = torch.Generator().manual_seed(1)
    y = torch.randn(2, 3, 4, 4, generator=g)
    low, high = torch.full((3, 4, 4), -0.5), torch.full((3, 4, 4), 0.7)
    w = topk_box_projection(y, 5, low, high, channels=True)
    changed = (w != 0).any(1).flatten(1)
    assert changed.sum(1).tolist() == [5, 5]
    z = y.clamp(low, high)
    gain = (y.square() - (y - z).square()).sum(1).flatten(1)
    for i in range(2):
        assert set(changed[i].nonzero()[:, 0].tolist()) == set(gain[i].topk(5).indices.tolist())
    assert torch.equal(w[:, 0][changed.view(2, 4, 4)], z[:, 0][changed.view(2, 4, 4)])
    with pytest.raises(ValueError, match="m must be at least 0"):
        topk_box_projection(y, -1)
