"""Log density of a kernel density estimate, with its gradient (score), block by block: memory never holds
queries x kernels. See `density` for what holds of every density."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from .density import CHUNK, checked, per_query, where_far, with_score
from .dispatch import FUSED, Op, blocks, jit, tl
from .knn import DIRECT_FEATURES, TILE, shares_of, square_distances


def kde_logpdf(x: Tensor, points: Tensor, bandwidth: float, *, chunk: int = CHUNK) -> Tensor:
    """log p(x) = log sum_i exp(-||x - x_i||_2^2 / (2 h^2)) - log(N h^d (2 pi)^(d/2)): (n,).

    points: (N, ...), N >= 1, of x's features, dtype and device; bandwidth: h > 0, in the units of a feature.
    chunk: numbers in the largest intermediate (never less than 2 d). It changes speed, not the result.
    Differentiable in x alone, once (see `kde_score`).
    Raises ValueError for a bandwidth that is not positive, and for points that do not fit, are not finite or
    want a gradient.
    """
    x, points = checked("kde_logpdf", x, points=points)
    _check_bandwidth("kde_logpdf", bandwidth)
    return with_score(_KDE_LOGPDF, x, points, bandwidth, chunk)


def kde_score(x: Tensor, points: Tensor, bandwidth: float, *, chunk: int = CHUNK) -> Tensor:
    """grad log p(x) = (sum_i r_i x_i - x) / h^2, r the softmax of -||x - x_i||_2^2 / (2 h^2): shaped as x.

    Arguments and errors as of `kde_logpdf`; the score has no gradient.
    """
    flat, points = checked("kde_score", x, points=points)
    _check_bandwidth("kde_score", bandwidth)
    return _KDE_SCORE(flat.detach(), points, bandwidth, chunk).view(x.shape)


def _check_bandwidth(name: str, bandwidth: float) -> None:
    if not 0 < bandwidth < math.inf:
        raise ValueError(f"{name}: the bandwidth must be positive and finite, got {bandwidth}")


# --- the references --------------------------------------------------------------------------------------


def _kde_logpdf(x: Tensor, points: Tensor, bandwidth: float, chunk: int) -> Tensor:
    n, d = x.shape
    found = torch.empty(n, dtype=torch.float64, device=x.device)
    constant = math.log(len(points)) + d * (math.log(bandwidth) + 0.5 * math.log(2 * math.pi))
    for rows, a, far in _queries(x, points, chunk):
        total = a.new_full((len(a),), -torch.inf)
        for s, _ in _kernels(a, points, bandwidth, chunk):
            total = torch.logaddexp(total, s.logsumexp(1))
        found[rows] = total - constant - far
    return found.to(x.dtype)


def _kde_score(x: Tensor, points: Tensor, bandwidth: float, chunk: int) -> Tensor:
    found = torch.empty(x.shape, dtype=torch.float64, device=x.device)
    for rows, a, far in _queries(x, points, chunk):
        total, mean = a.new_full((len(a),), -torch.inf), torch.zeros_like(a)
        for s, b in _kernels(a, points, bandwidth, chunk):
            old, total = total, torch.logaddexp(total, s.logsumexp(1))
            mean = mean.mul_((old - total).exp()[:, None]).addmm_((s - total[:, None]).exp_(), b)
        found[rows] = (mean - a) / bandwidth**2 + (far - far)[:, None]  # inf - inf: no direction
    return found.to(x.dtype)


def _queries(x: Tensor, points: Tensor, chunk: int) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Blocks of queries about the mean of the points, in float64: rows, a (b, d), far (b,).

    far is 0, and inf or NaN where ||a||^2 is; there a is 0 instead.
    """
    mean = points.mean(0, dtype=torch.float64)
    size = max(1, min(256, math.isqrt(chunk), chunk // max(1, x.shape[1])))
    for start in range(0, len(x), size):
        rows = slice(start, min(start + size, len(x)))
        a = x[rows].to(torch.float64) - mean
        far = a.square().sum(1)
        near = far.isfinite()
        yield rows, torch.where(near[:, None], a, 0), torch.where(near, 0, far)


def _kernels(a: Tensor, points: Tensor, bandwidth: float, chunk: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Blocks of kernels about their mean: s = -||a - b||^2 / (2 h^2) (b, m) and b (m, d), in float64. By
    products where they cost no digit that counts (an error of s below 4 (d + 8) 2^-53 times 10^6), else by
    differences."""
    mean = points.mean(0, dtype=torch.float64)
    a2 = a.square().sum(1, keepdim=True)
    for part in points.split(max(1, chunk // max(len(a), a.shape[1], 1))):
        b = part.to(torch.float64) - mean
        size = a2 + b.square().sum(1)
        if float(size.amax()) < 2e6 * bandwidth**2:
            square = size.addmm_(a, b.T, alpha=-2).clamp_min_(0)
        else:
            square = torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist").square_()
        yield square.div_(-2 * bandwidth**2), b


def _kde_backward(args: tuple, output: Tensor, grad: Tensor) -> tuple[Tensor | None, ...]:
    # as an operator, which refuses a second derivative
    return grad[:, None] * _KDE_SCORE.operator(*args), None, None, None


# --- the programs ----------------------------------------------------------------------------------------


@jit
def _kde_program(
    x, points, mean, out, factor, n, total, d, share,
    DIRECT: tl.constexpr, QUERIES: tl.constexpr, POINTS: tl.constexpr, FEATURES: tl.constexpr,
):  # fmt: skip
    """log sum_i exp(factor ||x - x_i||^2) over one share of the points, by a running maximum: (shares, n)."""
    row = tl.program_id(0).to(tl.int64) * QUERIES + tl.arange(0, QUERIES)
    begin = tl.program_id(1).to(tl.int64) * share
    end = tl.minimum(begin + share, total)
    largest = tl.full((QUERIES,), -1e38, tl.float32)
    summed = tl.zeros((QUERIES,), tl.float32)
    for start in range(begin, end, POINTS):
        column = start + tl.arange(0, POINTS)
        square = square_distances(
            x, points, mean, row, column, n, end, d, 0.0, DIRECT, QUERIES, POINTS, FEATURES
        )
        s = tl.where((column < end)[None, :] & (square < 3e38), factor * square, float("-inf"))
        now = tl.maximum(largest, tl.max(s, axis=1))
        summed = summed * tl.exp(largest - now) + tl.sum(tl.exp(s - now[:, None]), axis=1)
        largest = now
    tl.store(out + tl.program_id(1).to(tl.int64) * n + row, largest + tl.log(summed), mask=row < n)


@jit
def _kde_weights_program(
    x, points, mean, log_sum, out, factor, n, total, d,
    DIRECT: tl.constexpr, QUERIES: tl.constexpr, POINTS: tl.constexpr, FEATURES: tl.constexpr,
):  # fmt: skip
    """exp(factor ||x - x_i||^2 - log_sum): (n, total)."""
    row = tl.program_id(0).to(tl.int64) * QUERIES + tl.arange(0, QUERIES)
    column = tl.program_id(1).to(tl.int64) * POINTS + tl.arange(0, POINTS)
    square = square_distances(
        x, points, mean, row, column, n, total, d, 0.0, DIRECT, QUERIES, POINTS, FEATURES
    )
    shift = tl.load(log_sum + row, mask=row < n, other=0.0)
    inside = (row < n)[:, None] & (column < total)[None, :]
    s = tl.where(inside & (square < 3e38), factor * square, float("-inf"))
    tl.store(out + row[:, None] * total + column[None, :], tl.exp(s - shift[:, None]), mask=inside)


# --- the launches ----------------------------------------------------------------------------------------


def _kde_triton(x: Tensor, points: Tensor, bandwidth: float, chunk: int) -> Tensor:
    mean = points.mean(0, dtype=torch.float32)
    d = x.shape[1]
    constant = math.log(len(points)) + d * (math.log(bandwidth) + 0.5 * math.log(2 * math.pi))
    return where_far(x, _log_sum(x, points, mean, bandwidth) - constant, -torch.inf).to(x.dtype)


def _log_sum(x: Tensor, points: Tensor, mean: Tensor, bandwidth: float) -> Tensor:
    """log sum_i exp(-||x - x_i||^2 / (2 h^2)): (n,) float32."""
    tile, total = _tile(x.shape[1]), len(points)
    (queries,) = blocks(len(x), tile["QUERIES"])
    shares, share = shares_of(total, queries)
    parts = torch.empty(shares, len(x), dtype=torch.float32, device=x.device)
    if len(x):
        _kde_program[queries, shares](
            x, points, mean, parts, -0.5 / bandwidth**2, len(x), total, x.shape[1], share, **tile
        )
    return parts.logsumexp(0)


def _kde_score_triton(x: Tensor, points: Tensor, bandwidth: float, chunk: int) -> Tensor:
    """The weights of some points at a time, then a matrix product with those points: about `chunk` numbers,
    but at least 2^24, so that a GPU is full."""
    mean = points.mean(0, dtype=torch.float32)
    log_sum = _log_sum(x, points, mean, bandwidth)
    pull = torch.zeros(x.shape, dtype=torch.float32, device=x.device)
    weights = torch.zeros(len(x), 1, dtype=torch.float32, device=x.device)
    tile = _tile(x.shape[1])
    if len(x):
        for part in points.split(max(TILE, max(chunk, 1 << 24) // len(x))):
            w = torch.empty(len(x), len(part), dtype=torch.float32, device=x.device)
            _kde_weights_program[*blocks(len(x), tile["QUERIES"]), *blocks(len(part), TILE)](
                x, part, mean, log_sum, w, -0.5 / bandwidth**2, *w.shape, x.shape[1], **tile
            )
            weights += w.sum(1, keepdim=True)
            pull.addmm_(w, part.to(torch.float32) - mean)
    # rounding of log_sum cancels in the quotient
    score = (pull / weights - (x.to(torch.float32) - mean)) / bandwidth**2
    return where_far(x, score, torch.nan).to(x.dtype)


def _tile(d: int) -> dict[str, Any]:
    """Sizes that ptxas finds registers for on sm_80 and sm_90."""
    direct = d <= DIRECT_FEATURES
    return {
        "DIRECT": direct,
        "QUERIES": 32 if direct else 64,
        "POINTS": TILE,
        "FEATURES": 16,
        "num_warps": 4 if direct else 8,
        **FUSED,
    }


_KDE_LOGPDF = Op("kde_logpdf", _kde_logpdf, _kde_triton, fake=per_query, backward=_kde_backward)
_KDE_SCORE = Op("kde_score", _kde_score, _kde_score_triton)
