"""Log densities of kernel density estimates and Gaussian mixtures, with their gradients (scores), block by
block: memory never holds queries x kernels.

All of them take queries x: (n, ...), flattened to d features, and keep its dtype and device. The references
compute in float64. A query that holds an infinity (or is so far away that its distance overflows) has log
density -inf and score NaN; one that holds NaN has NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from .dispatch import FUSED, Op, blocks, jit, tl
from .knn import DIRECT_FEATURES, TILE, shares_of, square_distances

_CHUNK = 1 << 20


def kde_logpdf(x: Tensor, points: Tensor, bandwidth: float, *, chunk: int = _CHUNK) -> Tensor:
    """log p(x) = log sum_i exp(-||x - x_i||_2^2 / (2 h^2)) - log(N h^d (2 pi)^(d/2)): (n,).

    points: (N, ...), N >= 1, of x's features, dtype and device; bandwidth: h > 0, in the units of a feature.
    chunk: numbers in the largest intermediate (never less than 2 d). It changes speed, not the result.
    Differentiable in x alone, once (see `kde_score`).
    Raises ValueError for a bandwidth that is not positive, and for points that do not fit or want a gradient.
    """
    x, points = _checked("kde_logpdf", x, points=points)
    _check_bandwidth("kde_logpdf", bandwidth)
    return _apply(_KDE_LOGPDF, x, points, bandwidth, chunk)


def kde_score(x: Tensor, points: Tensor, bandwidth: float, *, chunk: int = _CHUNK) -> Tensor:
    """grad log p(x) = (sum_i r_i x_i - x) / h^2, r the softmax of -||x - x_i||_2^2 / (2 h^2): shaped as x.

    Arguments and errors as of `kde_logpdf`; the score has no gradient.
    """
    flat, points = _checked("kde_score", x, points=points)
    _check_bandwidth("kde_score", bandwidth)
    return _KDE_SCORE(flat.detach(), points, bandwidth, chunk).view(x.shape)


def gmm_logpdf(
    x: Tensor, weights: Tensor, means: Tensor, precision_roots: Tensor, *, chunk: int = _CHUNK
) -> Tensor:
    """log p(x) = log sum_k w_k N(x; mu_k, Sigma_k), Sigma_k^-1 = P_k P_k^T: (n,).

    With z_k = P_k^T (x - mu_k), log N = sum_i log (P_k)_ii - ||z_k||_2^2 / 2 - d/2 log(2 pi).
    weights: (K,), >= 0 with sum 1; means: (K, ...), of x's features.
    precision_roots: P, (K, d, d) triangular with a positive diagonal, or (K, d), the diagonals of diagonal
    ones (1 / standard deviation): scikit-learn's `precisions_cholesky_`. From covariances:
    `torch.linalg.cholesky(sigma).inverse().mT`, or `variance.rsqrt()`.
    chunk: numbers in the largest intermediate (never less than K d). It changes speed, not the result.
    Differentiable in x alone, once (see `gmm_score`).
    Raises ValueError for a mixture that does not fit x or wants a gradient.
    """
    x, *mixture = _checked_mixture("gmm_logpdf", x, weights, means, precision_roots)
    return _apply(_GMM_LOGPDF, x, *mixture, chunk)


def gmm_score(
    x: Tensor, weights: Tensor, means: Tensor, precision_roots: Tensor, *, chunk: int = _CHUNK
) -> Tensor:
    """grad log p(x) = -sum_k r_k P_k z_k, r_k = w_k N(x; mu_k, Sigma_k) / p(x): shaped as x.

    Arguments and errors as of `gmm_logpdf`; the score has no gradient.
    """
    flat, *mixture = _checked_mixture("gmm_score", x, weights, means, precision_roots)
    return _GMM_SCORE(flat.detach(), *mixture, chunk).view(x.shape)


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
    """Blocks of kernels about their mean: s = -||a - b||^2 / (2 h^2) (b, m) and b (m, d), in float64."""
    mean = points.mean(0, dtype=torch.float64)
    a2 = a.square().sum(1, keepdim=True)
    for part in points.split(max(1, chunk // max(len(a), a.shape[1], 1))):
        b = part.to(torch.float64) - mean
        square = torch.addmm(a2 + b.square().sum(1), a, b.T, alpha=-2)
        yield square.clamp_min_(0).div_(-2 * bandwidth**2), b


def _gmm_logpdf(x: Tensor, weights: Tensor, means: Tensor, roots: Tensor, chunk: int) -> Tensor:
    found = torch.empty(len(x), dtype=torch.float64, device=x.device)
    for rows, s, _, far in _components(x, weights, means, roots, chunk):
        found[rows] = s.logsumexp(1) - far
    return found.to(x.dtype)


def _gmm_score(x: Tensor, weights: Tensor, means: Tensor, roots: Tensor, chunk: int) -> Tensor:
    found = torch.empty(x.shape, dtype=torch.float64, device=x.device)
    for rows, s, pull, far in _components(x, weights, means, roots, chunk):
        found[rows] = (far - far)[:, None] - pull(s.softmax(1))
    return found.to(x.dtype)


Pull = Callable[[Tensor], Tensor]
"""r (b, K) -> sum_k r_k P_k z_k (b, d)"""


def _components(
    x: Tensor, weights: Tensor, means: Tensor, roots: Tensor, chunk: int
) -> Iterator[tuple[slice, Tensor, Pull, Tensor]]:
    """Blocks of queries: rows, s_k = log(w_k N_k(x)) (b, K), the pull of a block, far (b,), in float64."""
    mu, p = means.to(torch.float64), roots.to(torch.float64)
    middle = mu.mean(0)
    mu = mu - middle
    diagonal = p if p.ndim == 2 else p.diagonal(dim1=1, dim2=2)
    constant = (
        weights.to(torch.float64).log() + diagonal.log().sum(1) - mu.shape[1] / 2 * math.log(2 * math.pi)
    )
    size = max(1, min(256, chunk // max(1, mu.numel())))
    for start in range(0, len(x), size):
        rows = slice(start, min(start + size, len(x)))
        a = x[rows].to(torch.float64) - middle
        far = a.square().sum(1)
        near = far.isfinite()
        a = torch.where(near[:, None], a, 0)
        square, pull = _full(a, mu, p) if p.ndim == 3 else _diagonal(a, mu, p)
        yield rows, constant - square / 2, pull, torch.where(near, 0, far)


def _full(a: Tensor, mu: Tensor, p: Tensor) -> tuple[Tensor, Pull]:
    """||z_k||^2 (b, K) of full roots, and their pull."""
    z = (a - mu[:, None]) @ p
    return z.square().sum(2).T, lambda r: (z * r.T[:, :, None] @ p.mT).sum(0)


def _diagonal(a: Tensor, mu: Tensor, p: Tensor) -> tuple[Tensor, Pull]:
    """||z_k||^2 (b, K) of diagonal roots, and their pull: by products where they cost no digit that counts
    (an error below 4 (d + 8) 2^-53 times `size`), else by differences."""
    p2 = p * p
    mu_p2 = mu * p2
    size = a.square() @ p2.T + (mu * mu_p2).sum(1)
    if float(size.amax()) < 1e6:
        return (size - 2 * a @ mu_p2.T).clamp_min_(0), lambda r: r @ p2 * a - r @ mu_p2
    difference = a[:, None] - mu
    return (difference * p).square_().sum(2), lambda r: (difference * p2 * r[:, :, None]).sum(1)


def _apply(op: Op, x: Tensor, *rest: Tensor | float) -> Tensor:
    """The operator where a gradient is wanted: its backward pass is the score, no graph over the blocks."""
    if x.requires_grad and torch.is_grad_enabled() and not x.is_cuda:
        return op.operator(x, *rest)
    return op(x, *rest)


def _kde_backward(args: tuple, output: Tensor, grad: Tensor) -> tuple[Tensor | None, ...]:
    # as an operator, which refuses a second derivative
    return grad[:, None] * _KDE_SCORE.operator(*args), None, None, None


def _gmm_backward(args: tuple, output: Tensor, grad: Tensor) -> tuple[Tensor | None, ...]:
    return grad[:, None] * _GMM_SCORE.operator(*args), None, None, None, None


def _per_query(x: Tensor, *rest: Tensor | float) -> Tensor:
    return x.new_empty(len(x))


def _checked(name: str, x: Tensor, **others: Tensor) -> list[Tensor]:
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
        if other.requires_grad:
            raise ValueError(f"{name} is differentiable in x alone; detach the {what}")
        rows.append(other.reshape(len(other), math.prod(other.shape[1:])))
    return rows


def _checked_mixture(name: str, x: Tensor, weights: Tensor, means: Tensor, roots: Tensor) -> list[Tensor]:
    x, mu = _checked(name, x, means=means)
    k, d = mu.shape
    for what, given, shapes in (
        ("weights", weights, ((k,),)),
        ("precision_roots", roots, ((k, d), (k, d, d))),
    ):
        if tuple(given.shape) not in shapes:
            raise ValueError(
                f"{name}: {what} have shape {tuple(given.shape)}; {k} components of {d} features need "
                f"{' or '.join(map(str, shapes))}"
            )
        if (given.dtype, given.device) != (x.dtype, x.device):
            raise ValueError(
                f"{name}: x ({x.dtype}, {x.device}) and {what} ({given.dtype}, {given.device}) must share "
                "one float dtype and one device"
            )
        if given.requires_grad:
            raise ValueError(f"{name} is differentiable in x alone; detach the {what}")
    return [x, weights, mu, roots]


def _check_bandwidth(name: str, bandwidth: float) -> None:
    if not 0 < bandwidth < math.inf:
        raise ValueError(f"{name}: the bandwidth must be positive and finite, got {bandwidth}")


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
    found = tl.where(summed > 0, largest + tl.log(tl.maximum(summed, 1e-37)), float("-inf"))
    tl.store(out + tl.program_id(1).to(tl.int64) * n + row, found, mask=row < n)


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


@jit
def _gmm_program(
    x, constant, means, roots, out, n, d, k,
    FULL: tl.constexpr, QUERIES: tl.constexpr, FEATURES: tl.constexpr, INNER: tl.constexpr,
):  # fmt: skip
    """log sum_k exp(constant_k - ||z_k||^2 / 2) over one share of the components: (shares, n)."""
    row = tl.program_id(0).to(tl.int64) * QUERIES + tl.arange(0, QUERIES)
    share = tl.cdiv(k, tl.num_programs(1))
    begin = tl.program_id(1).to(tl.int64) * share
    at = row[:, None] * d
    mu, root = means + begin * d, roots + begin * (d * d if FULL else d)
    largest = tl.full((QUERIES,), -1e38, tl.float32)
    summed = tl.zeros((QUERIES,), tl.float32)
    for component in range(begin, tl.minimum(begin + share, k)):
        square = tl.zeros((QUERIES,), tl.float32)
        for first in range(0, d, FEATURES):
            j = first + tl.arange(0, FEATURES)
            if FULL:
                z = tl.zeros((QUERIES, FEATURES), tl.float32)
                for inner in range(0, d, INNER):
                    i = inner + tl.arange(0, INNER)
                    inside = (row < n)[:, None] & (i < d)[None, :]
                    a = tl.load(x + at + i[None, :], mask=inside, other=0.0).to(tl.float32)
                    a -= tl.load(mu + i, mask=i < d, other=0.0).to(tl.float32)[None, :]
                    inside = (i < d)[:, None] & (j < d)[None, :]
                    p = tl.load(root + i[:, None] * d + j[None, :], mask=inside, other=0.0).to(tl.float32)
                    z = tl.dot(tl.where((row < n)[:, None], a, 0.0), p, z, input_precision="ieee")
            else:
                inside = (row < n)[:, None] & (j < d)[None, :]
                z = tl.load(x + at + j[None, :], mask=inside, other=0.0).to(tl.float32)
                z -= tl.load(mu + j, mask=j < d, other=0.0).to(tl.float32)[None, :]
                z *= tl.load(root + j, mask=j < d, other=0.0).to(tl.float32)[None, :]
            square += tl.sum(z * z, axis=1)
        s = tl.load(constant + component) - 0.5 * square
        now = tl.maximum(largest, s)
        summed = summed * tl.exp(largest - now) + tl.exp(s - now)
        largest = now
        mu += d
        root += d * d if FULL else d
    found = tl.where(summed > 0, largest + tl.log(tl.maximum(summed, 1e-37)), float("-inf"))
    tl.store(out + tl.program_id(1).to(tl.int64) * n + row, found, mask=row < n)


@jit
def _gmm_score_program(x, share, means, roots, out, n, d, k, QUERIES: tl.constexpr, FEATURES: tl.constexpr):
    """-sum_k r_k p_k^2 (x - mu_k) for diagonal roots p; share: r, (k, n)."""
    row = tl.program_id(0).to(tl.int64) * QUERIES + tl.arange(0, QUERIES)
    j = tl.program_id(1) * FEATURES + tl.arange(0, FEATURES)
    inside = (row < n)[:, None] & (j < d)[None, :]
    at = row[:, None] * d + j[None, :]
    a = tl.load(x + at, mask=inside, other=0.0).to(tl.float32)
    total = tl.zeros((QUERIES, FEATURES), tl.float32)
    for _ in range(k):
        mu = tl.load(means + j, mask=j < d, other=0.0).to(tl.float32)
        p = tl.load(roots + j, mask=j < d, other=0.0).to(tl.float32)
        r = tl.load(share + row, mask=row < n, other=0.0)
        means += d
        roots += d
        share += n
        total -= r[:, None] * (a - mu[None, :]) * (p * p)[None, :]
    tl.store(out + at, total.to(out.dtype.element_ty), mask=inside)


# --- the launches ----------------------------------------------------------------------------------------


def _kde_triton(x: Tensor, points: Tensor, bandwidth: float, chunk: int) -> Tensor:
    mean = points.mean(0, dtype=torch.float32)
    d = x.shape[1]
    constant = math.log(len(points)) + d * (math.log(bandwidth) + 0.5 * math.log(2 * math.pi))
    return _where_far(x, _log_sum(x, points, mean, bandwidth) - constant, -torch.inf).to(x.dtype)


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
    return _where_far(x, score, torch.nan).to(x.dtype)


def _gmm_triton(x: Tensor, weights: Tensor, means: Tensor, roots: Tensor, chunk: int) -> Tensor:
    queries = max(1, *blocks(len(x), _QUERIES))
    parts = _shares(x, weights, means, roots, min(len(means), max(1, _PROGRAMS // queries)))
    return _where_far(x, parts.logsumexp(0), -torch.inf).to(x.dtype)


def _gmm_score_triton(x: Tensor, weights: Tensor, means: Tensor, roots: Tensor, chunk: int) -> Tensor:
    if roots.ndim == 3:
        return _gmm_score(x, weights, means, roots, chunk)
    k, d = means.shape
    share = _shares(x, weights, means, roots, k).softmax(0)
    out = torch.empty_like(x)
    if x.numel():
        _gmm_score_program[*blocks(len(x), _QUERIES), *blocks(d, 64)](
            x, share, means, roots, out, len(x), d, k, QUERIES=_QUERIES, FEATURES=64, **FUSED
        )
    return _where_far(x, out, torch.nan)


def _shares(x: Tensor, weights: Tensor, means: Tensor, roots: Tensor, shares: int) -> Tensor:
    """log sum exp of s_k over shares of the components: (shares, n) float32."""
    (k, d), full = means.shape, roots.ndim == 3
    (share,) = blocks(k, shares)
    (shares,) = blocks(k, share)
    diagonal = (roots.diagonal(dim1=1, dim2=2) if full else roots).to(torch.float32)
    constant = weights.to(torch.float32).log() + diagonal.log().sum(1) - d / 2 * math.log(2 * math.pi)
    parts = torch.empty(shares, len(x), dtype=torch.float32, device=x.device)
    if len(x):
        _gmm_program[*blocks(len(x), _QUERIES), shares](
            x, constant, means, roots, parts, len(x), d, k,
            FULL=full, QUERIES=_QUERIES, FEATURES=64, INNER=16, num_warps=8 if full else 4, **FUSED,
        )  # fmt: skip
    return parts


def _where_far(x: Tensor, found: Tensor, value: float) -> Tensor:
    """What was found; for queries with infinities the value, for those with NaN, NaN."""
    largest = x.abs().amax(1, keepdim=True) if x.shape[1] else x.new_zeros(len(x), 1)
    largest = largest.view(-1, *(1,) * (found.ndim - 1))
    return found.masked_fill(largest.isinf(), value).masked_fill(largest.isnan(), torch.nan)


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


_QUERIES = 64
_PROGRAMS = 512
"""Programs that fill a device: where there are few queries, points or components are shared out as well."""

_KDE_LOGPDF = Op("kde_logpdf", _kde_logpdf, _kde_triton, fake=_per_query, backward=_kde_backward)
_KDE_SCORE = Op("kde_score", _kde_score, _kde_score_triton)
_GMM_LOGPDF = Op("gmm_logpdf", _gmm_logpdf, _gmm_triton, fake=_per_query, backward=_gmm_backward)
_GMM_SCORE = Op("gmm_score", _gmm_score, _gmm_score_triton)
