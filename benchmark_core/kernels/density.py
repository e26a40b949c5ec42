"""What log densities share (`kde`, `gmm`): the checks of their arguments, and queries too far away.

All of them take queries x: (n, ...), flattened to d features, and keep its dtype and device. The references
compute in float64; products with full precision roots in float32 where x has no more. A query that holds an
infinity (or is so far away that its squared distance overflows: in programs that of float32) has log density
-inf and score NaN; one that holds NaN has NaN.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .dispatch import Op

CHUNK = 1 << 20


def checked(name: str, x: Tensor, **others: Tensor) -> list[Tensor]:
    """x and points or means, flattened to (n, d) and (N, d)."""
    rows = [x.reshape(len(x), math.prod(x.shape[1:]))]
    for what, other in others.items():
        if not (x.is_floating_point() and (x.dtype, x.device) == (other.dtype, other.device)):
            raise ValueError(
                f"{name}: x ({x.dtype}, {x.device}) and {what} ({other.dtype}, {other.device}) must share "
                "one float dtype and one device"
            )
        if not len(other) or x.shape[1:] != other.shape[1:]:
            raise ValueError(
                f"{name}: {what} of shape {tuple(other.shape)} do not fit x of shape {tuple(x.shape)}; "
                "they are one or more rows of x's features"
            )
        finite(name, what, other)
        rows.append(other.reshape(len(other), math.prod(other.shape[1:])))
    return rows


def finite(name: str, what: str, other: Tensor) -> None:
    """Refuse what wants a gradient, and what is not finite: it would spoil every query, or go unnoticed."""
    if other.requires_grad:
        raise ValueError(f"{name} is differentiable in x alone; detach the {what}")
    if not bool(other.isfinite().all()):
        raise ValueError(f"{name}: {what} hold NaN or infinite values; clean the data")


def with_score(op: Op, x: Tensor, *rest: Tensor | float) -> Tensor:
    """The operator where a gradient is wanted: its backward pass is the score, no graph over the blocks."""
    if x.requires_grad and torch.is_grad_enabled() and not x.is_cuda:
        return op.operator(x, *rest)
    return op(x, *rest)


def per_query(x: Tensor, *rest: Tensor | float) -> Tensor:
    return x.new_empty(len(x))


def where_far(x: Tensor, found: Tensor, value: float) -> Tensor:
    """What was found; for queries with infinities the value, for those with NaN, NaN."""
    largest = x.abs().amax(1, keepdim=True) if x.shape[1] else x.new_zeros(len(x), 1)
    largest = largest.view(-1, *(1,) * (found.ndim - 1))
    return found.masked_fill(largest.isinf(), value).masked_fill(largest.isnan(), torch.nan)
