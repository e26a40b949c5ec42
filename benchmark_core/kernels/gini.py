"""The Gini index of non-negative vectors: how unequally a total is spread over its entries."""

from __future__ import annotations

import torch
from torch import Tensor


def gini(a: Tensor) -> Tensor:
    """G = sum_i (2i - d - 1) a_(i) / (d sum_i a_i), a_(1) <= ... <= a_(d): (n,).

    a: (n, d), entries >= 0 with a positive sum per row. G = 0 when all entries are equal, 1 - 1/d when one
    entry holds everything; G does not change when a row is scaled. It equals the mean absolute difference
    sum_ij |a_i - a_j| / (2 d sum_i a_i), in O(d log d).
    """
    d = a.shape[1]
    ordered = a.sort(dim=1).values
    rank = torch.arange(1 - d, d, 2, dtype=a.dtype, device=a.device)
    return (ordered @ rank) / (d * ordered.sum(1))
