"""Integrals of a gradient along the straight path from a baseline to an input: quadrature rules and the
batched accumulation that integrated gradients is made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

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
    return torch.lerp(baseline, x, alpha.view(-1, *(1,) * x.ndim))


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
        part = total[rows].view(-1)
        for first in range(0, len(alpha), nodes):
            chunk = slice(first, first + nodes)
            points = path_points(x[rows], b, alpha[chunk])
            grad = gradient(points.flatten(0, 1), rows)
            part.addmv_(grad.reshape(len(points), -1).t(), weight[chunk])
    return total
