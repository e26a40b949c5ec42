"""Integrals of a gradient along the straight path from a baseline to an input: quadrature rules, points and
the batched accumulation that integrated gradients is made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from .dispatch import EXACT, Op, blocks, jit, periodic, periodic_index, tl

PathRule = Literal["gauss-legendre", "trapezoid", "left", "right", "middle"]


def path_rule(rule: PathRule, steps: int) -> tuple[Tensor, Tensor]:
    """Nodes alpha_k and weights w_k, each (steps,) float64, with int_0^1 g(a) da ~ sum_k w_k g(alpha_k).

    The weights of every rule sum to 1, so a constant gradient is integrated exactly:

    * gauss-legendre: the roots of the Legendre polynomial on [0, 1], exact up to degree 2 steps - 1;
    * left, right, middle: alpha_k = k/n, (k+1)/n, (k+1/2)/n with w_k = 1/n for k = 0..n-1;
    * trapezoid: alpha_k = k/(n-1), w_k = 1/(n-1), half of it at both ends (n >= 2).

    Raises ValueError for an unknown rule or too few steps.
    """
    if steps < (2 if rule == "trapezoid" else 1):
        raise ValueError(f"path rule {rule!r}: {steps} step(s) are too few; give at least 2 (trapezoid) or 1")
    k = torch.arange(steps, dtype=torch.float64)
    uniform = torch.full((steps,), 1.0 / steps, dtype=torch.float64)
    match rule:
        case "gauss-legendre":
            nodes, weights = np.polynomial.legendre.leggauss(steps)  # on [-1, 1]
            return torch.from_numpy((nodes + 1) / 2), torch.from_numpy(weights / 2)
        case "trapezoid":
            weight = torch.full((steps,), 1.0 / (steps - 1), dtype=torch.float64)
            weight[[0, -1]] /= 2
            return k / (steps - 1), weight
        case "left":
            return k / steps, uniform
        case "right":
            return (k + 1) / steps, uniform
        case "middle":
            return (k + 0.5) / steps, uniform
    raise ValueError(f"unknown path rule {rule!r}; choose one of {', '.join(get_args(PathRule))}")


def path_points(x: Tensor, baseline: Tensor, alpha: Tensor) -> Tensor:
    """b + alpha_k (x - b) for every node and sample: (k, n, *shape).

    x: (n, *shape); baseline: the same or (1, *shape); alpha: (k,).
    """
    return _POINTS(x, baseline, alpha)


def path_accumulate(total: Tensor, grad: Tensor, weight: Tensor) -> Tensor:
    """total + sum_k w_k grad_k: (n, *shape). total: (n, *shape); grad: (k, n, *shape); weight: (k,)."""
    return _ACCUMULATE(total, grad, weight)


def path_integral(
    gradient: Callable[[Tensor, slice], Tensor],
    x: Tensor,
    baseline: Tensor,
    alpha: Tensor,
    weight: Tensor,
    max_points: int,
) -> Tensor:
    """sum_k w_k grad F(b + alpha_k (x - b)) for every sample: (n, *shape), the dtype of x.

    gradient: (points (m, *shape), rows) -> grad F at the points, of the same shape; the points hold the
    samples `rows` once per node, node after node: m = k * len(rows).
    x: (n, *shape); baseline: (n, *shape) or (1, *shape); alpha, weight: (steps,).
    max_points: at most this many points are held and differentiated at once. Blocks of samples come first,
    nodes fill what is left, so memory does not grow with steps * n.
    """
    alpha, weight = alpha.to(x), weight.to(x)
    n = len(x)
    total = x.new_zeros(x.shape)
    samples = max(1, min(n, max_points))
    nodes = max(1, max_points // samples)
    for start in range(0, n, samples):
        rows = slice(start, min(start + samples, n))
        b = baseline if len(baseline) == 1 else baseline[rows]
        for first in range(0, len(alpha), nodes):
            chunk = slice(first, first + nodes)
            points = path_points(x[rows], b, alpha[chunk])
            grad = gradient(points.flatten(0, 1), rows)
            total[rows] = path_accumulate(total[rows], grad.view(points.shape), weight[chunk])
    return total


def _points(x: Tensor, baseline: Tensor, alpha: Tensor) -> Tensor:
    return torch.lerp(baseline, x, alpha.view(-1, *(1,) * x.ndim))


def _accumulate(total: Tensor, grad: Tensor, weight: Tensor) -> Tensor:
    return torch.addmv(total.reshape(-1), grad.reshape(len(grad), total.numel()).t(), weight).view_as(total)


@jit
def _points_program(x, baseline, alpha, out, n, period, K, NODES: tl.constexpr, BLOCK: tl.constexpr):
    """One block of x and baseline makes NODES points."""
    start = tl.program_id(0).to(tl.int64) * BLOCK
    j = tl.arange(0, BLOCK)
    inside = start + j < n
    a = tl.load(x + start + j, mask=inside).to(tl.float32)
    b = tl.load(baseline + periodic_index(start, j, period), mask=inside).to(tl.float32)
    first = tl.program_id(1).to(tl.int64) * NODES
    for k in range(first, min(first + NODES, K)):
        t = tl.load(alpha + k).to(tl.float32)
        # as torch.lerp: from the nearer end
        point = tl.where(tl.abs(t) < 0.5, b + t * (a - b), a - (a - b) * (1 - t))
        tl.store(out + k * n + start + j, point.to(out.dtype.element_ty), mask=inside)


@jit
def _accumulate_program(total, grad, weight, out, n, K, BLOCK: tl.constexpr):
    start = tl.program_id(0).to(tl.int64) * BLOCK
    j = start + tl.arange(0, BLOCK)
    inside = j < n
    found = tl.load(total + j, mask=inside, other=0.0).to(tl.float32)
    place = grad + j
    for k in range(K):
        found += tl.load(weight + k).to(tl.float32) * tl.load(place, mask=inside, other=0.0).to(tl.float32)
        place += n
    tl.store(out + j, found.to(out.dtype.element_ty), mask=inside)


def _points_triton(x: Tensor, baseline: Tensor, alpha: Tensor) -> Tensor:
    out = x.new_empty(len(alpha), *x.shape)
    if out.numel():
        b, period = periodic(x, baseline if len(baseline) == len(x) else baseline[0])
        grid = (*blocks(x.numel(), 1024), *blocks(len(alpha), _NODES))
        _points_program[grid](
            x, b, alpha, out, x.numel(), period, len(alpha), NODES=_NODES, BLOCK=1024, **EXACT
        )
    return out


def _accumulate_triton(total: Tensor, grad: Tensor, weight: Tensor) -> Tensor:
    out = torch.empty_like(total)
    if total.numel():
        _accumulate_program[blocks(total.numel(), 1024)](
            total, grad, weight, out, total.numel(), len(weight), BLOCK=1024, **EXACT
        )
    return out


_NODES = 16
_POINTS = Op(
    "path_points", _points, _points_triton, fake=lambda x, baseline, alpha: x.new_empty(len(alpha), *x.shape)
)
_ACCUMULATE = Op("path_accumulate", _accumulate, _accumulate_triton)
