"""Steps in a ball against foolbox, a bisection, float64, and what must hold of a projection."""

import math

import eagerpy
import pytest
import torch
from foolbox.attacks import L2PGD, LinfPGD
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from benchmark_core.kernels.steps import STEPS

ORDER = {"linf": math.inf, "l2": 2, "l1": 1}
#: quarters make ties, zeros and entries at the box likely
ENTRIES = st.one_of(st.integers(-8, 8).map(lambda i: i / 4), st.floats(-9, 9, allow_subnormal=False))


def direction(norm, g):
    """sign(g) or g / ||g||_2, sample by sample."""
    if norm == "linf":
        return g.sign()
    rows = [row / row.norm() if row.any() else row for row in g]
    return torch.stack(rows) if rows else g


@pytest.mark.parametrize("norm", STEPS)
@settings(max_examples=80, deadline=None)
@given(
    data=array_shapes(min_dims=2, max_dims=4, min_side=1, max_side=5).flatmap(
        lambda shape: st.tuples(*[arrays("float64", shape, elements=ENTRIES) for _ in range(3)])
    ),
    eps=st.sampled_from([0.0, 0.25, 1.0, 7.5]),
    alpha=st.sampled_from([0.0, 0.25, 3.0]),
    box=st.sampled_from([(-1.0, 1.0), (0.0, 0.0), (-0.25, math.inf), (-math.inf, math.inf)]),
)
def test_lies_in_ball_and_box_and_is_the_best_there(norm, data, eps, alpha, box):
    x, x_k, g = map(torch.from_numpy, data)
    lower, upper = (torch.full(x.shape[1:], b, dtype=x.dtype) for b in box)
    x = x.clamp(*box)
    kept = [t.clone() for t in (x_k, g, x)]
    moved = STEPS[norm](x_k, g, x, alpha, eps, lower, upper)
    assert all(torch.equal(a, b) for a, b in zip((x_k, g, x), kept, strict=True))
    assert bool(((moved >= lower) & (moved <= upper)).all())
    size = torch.linalg.vector_norm((moved - x).flatten(1), ORDER[norm], dim=1)
    assert bool((size <= eps + 1e-12 * (1 + size)).all())
    # where the wish lies in ball and box it is granted
    wish = x_k + alpha * direction(norm, g)
    granted = torch.linalg.vector_norm((wish - x).flatten(1), ORDER[norm], dim=1) <= eps * (1 - 1e-9)
    granted &= ((wish >= lower) & (wish <= upper)).flatten(1).all(1)
    torch.testing.assert_close(moved[granted], wish[granted], rtol=0, atol=1e-12)


SHAPES = [(6, 13), (5, 3, 8, 8), (5, 123, 123)]


def started(shape, radius):
    """x, x_k up to `radius` a feature away, a gradient."""
    x, d, g = torch.rand(3, *shape, dtype=torch.float64)
    return x, (x + radius * (2 * d - 1)).clamp(0, 1), g - 0.5


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("shape", SHAPES)
def test_equals_foolbox(norm, shape):
    x, x_k, g = started(shape, 0.01)
    alpha, eps = {"linf": (0.05, 0.1), "l2": (0.5, 1.0)}[norm]
    attack = {"linf": LinfPGD, "l2": L2PGD}[norm]()
    wish, gradient, start = eagerpy.astensors(x_k, g, x)
    moved = wish + alpha * attack.normalize(gradient, x=wish, bounds=(0, 1))
    theirs = attack.project(moved, start, eps).clip(0, 1).raw
    ours = STEPS[norm](x_k, g, x, alpha, eps, torch.zeros(shape[1:]), torch.ones(shape[1:]))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_l1_equals_bisection(shape):
    """foolbox scales onto the l1 ball, which is no Euclidean projection; the threshold is bisected here."""
    x, x_k, g = started(shape, 0.01)
    d = (x_k + 0.5 * direction("l1", g) - x).flatten(1)
    low, high = torch.zeros(len(x), 1, dtype=x.dtype), d.abs().amax(1, keepdim=True)
    for _ in range(60):
        theta = (low + high) / 2
        large = (d.abs() - theta).clamp_min(0).sum(1, keepdim=True) > 3.0
        low, high = torch.where(large, theta, low), torch.where(large, high, theta)
    p = (d.sign() * (d.abs() - theta).clamp_min(0)).view_as(x)
    ours = STEPS["l1"](x_k, g, x, 0.5, 3.0, torch.zeros(shape[1:]), torch.ones(shape[1:]))
    torch.testing.assert_close(ours, (x + p).clamp(0, 1), rtol=0, atol=1e-12)


@pytest.mark.parametrize("norm", STEPS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_lower_precision(norm, dtype):
    x, x_k, g = torch.rand(3, 7, 50).to(dtype)
    lower, upper = torch.tensor(0.0, dtype=dtype), torch.tensor(1.0, dtype=dtype)
    ours = STEPS[norm](x_k, g, x, 0.3, 0.5, lower, upper)
    assert ours.dtype == dtype
    exact = STEPS[norm](x_k.double(), g.double(), x.double(), 0.3, 0.5, lower.double(), upper.double())
    torch.testing.assert_close(ours.double(), exact, rtol=0, atol=4 * torch.finfo(dtype).eps)


@pytest.mark.parametrize("norm", STEPS)
def test_edges(norm):
    zero, one = torch.zeros(()), torch.ones(())
    empty = torch.empty(0, 4)
    assert STEPS[norm](empty, empty, empty, 0.1, 0.1, zero, one).shape == (0, 4)
    # no gradient, no step; a gradient of any size has a direction
    x = torch.full((2, 3), 0.5)
    g = torch.tensor([[0.0, 0.0, 0.0], [1e-30, 0.0, 0.0]])
    moved = STEPS[norm](x, g, x, 0.1, 9.0, zero, one)
    torch.testing.assert_close(moved, torch.tensor([[0.5, 0.5, 0.5], [0.6, 0.5, 0.5]]))
    # one feature: the three balls are one interval
    x, x_k, g = torch.rand(3, 9, 1)
    same = (x_k + 0.2 * (g - 0.5).sign()).clamp(x - 0.1, x + 0.1).clamp(0, 1)
    torch.testing.assert_close(STEPS[norm](x_k, g - 0.5, x, 0.2, 0.1, zero, one), same)
