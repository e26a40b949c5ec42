"""Log density of a Gaussian mixture, diagonal or full, with its gradient (score), block by block: memory does
not grow with queries x components. See `density` for what holds of every density."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from .density import CHUNK, checked, finite, per_query, where_far, with_score
from .dispatch import FUSED, Op, blocks, jit, tl


def gmm_logpdf(
    x: Tensor, weights: Tensor, means: Tensor, precision_roots: Tensor, *, chunk: int = CHUNK
) -> Tensor:
    """log p(x) = log sum_k w_k N(x; mu_k, Sigma_k), Sigma_k^-1 = P_k P_k^T: (n,).

    With z_k = P_k^T (x - mu_k), log N = sum_i log (P_k)_ii - ||z_k||_2^2 / 2 - d/2 log(2 pi).
    weights: (K,), >= 0 with sum 1; means: (K, ...), of x's features.
    precision_roots: P, (K, d, d) triangular with a positive diagonal, or (K, d), the diagonals of diagonal
    ones (1 / standard deviation): scikit-learn's `precisions_cholesky_`. From covariances:
    `torch.linalg.cholesky(sigma).inverse().mT`, or `variance.rsqrt()`.
    chunk: numbers in the largest intermediate (never less than 3 d or K). It changes speed, not the result.
    Differentiable in x alone, once (see `gmm_score`).
    Raises ValueError for a mixture that does not fit x, is not finite or wants a gradient.
    """
    x, *mixture = _checked_mixture("gmm_logpdf", x, weights, means, precision_roots)
    return with_score(_GMM_LOGPDF, x, *mixture, chunk)


def gmm_score(
    x: Tensor, weights: Tensor, means: Tensor, precision_roots: Tensor, *, chunk: int = CHUNK
) -> Tensor:
    """grad log p(x) = -sum_k r_k P_k z_k, r_k = w_k N(x; mu_k, Sigma_k) / p(x): shaped as x.

    Arguments and errors as of `gmm_logpdf`; the score has no gradient.
    """
    flat, *mixture = _checked_mixture("gmm_score", x, weights, means, precision_roots)
    return _GMM_SCORE(flat.detach(), *mixture, chunk).view(x.shape)


def _checked_mixture(name: str, x: Tensor, weights: Tensor, means: Tensor, roots: Tensor) -> list[Tensor]:
    x, mu = checked(name, x, means=means)
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
        finite(name, what, given)
    return [x, weights, mu, roots]


# --- the references --------------------------------------------------------------------------------------


def _gmm_logpdf(x: Tensor, weights: Tensor, means: Tensor, roots: Tensor, chunk: int) -> Tensor:
    found = torch.empty(len(x), dtype=torch.float64, device=x.device)
    for rows, s, _, far in _components(x, weights, means, roots, chunk):
        found[rows] = s.logsumexp(0) - far
    return found.to(x.dtype)


def _gmm_score(x: Tensor, weights: Tensor, means: Tensor, roots: Tensor, chunk: int) -> Tensor:
    found = torch.empty(x.shape, dtype=torch.float64, device=x.device)
    for rows, s, pull, far in _components(x, weights, means, roots, chunk):
        found[rows] = (far - far)[:, None] - pull(s.softmax(0))
    return found.to(x.dtype)


Pull = Callable[[Tensor], Tensor]
"""r (K, b) -> sum_k r_k P_k z_k (b, d)"""
Distances = Callable[[Tensor], tuple[Tensor, Pull, Tensor]]
"""A block of queries -> ||z_k||_2^2 (K, b), their pull, far (b,): inf or NaN where ||x||_2^2 is, else 0"""


def _components(
    x: Tensor, weights: Tensor, means: Tensor, roots: Tensor, chunk: int
) -> Iterator[tuple[slice, Tensor, Pull, Tensor]]:
    """Blocks of queries: rows, s_k = log(w_k N_k(x)) (K, b) in float64, the pull of a block, far (b,)."""
    k, d = means.shape
    size = max(1, min(512, len(x), _CACHE // max(1, d), chunk // max(1, 3 * d, k)))
    diagonal = roots if roots.ndim == 2 else roots.diagonal(dim1=1, dim2=2)
    log_root = diagonal.to(torch.float64).log().sum(1)
    constant = weights.to(torch.float64).log() + log_root - d / 2 * math.log(2 * math.pi)
    distances = (_diagonal if roots.ndim == 2 else _full)(means, roots, size)
    for start in range(0, len(x), size):
        rows = slice(start, min(start + size, len(x)))
        square, pull, far = distances(x[rows])
        yield rows, torch.add(constant[:, None], square, alpha=-0.5), pull, far


def _full(means: Tensor, roots: Tensor, size: int) -> Distances:
    """By differences, whose rounding counts no more than that of the arguments: in float32 at least."""
    work = torch.float64 if means.dtype == torch.float64 else torch.float32
    mu, p = means.to(work), roots.to(work)
    memory = mu.new_empty(3, size, mu.shape[1])  # the same for all blocks: fresh pages cost more than sums

    def distances(x: Tensor) -> tuple[Tensor, Pull, Tensor]:
        a, e, z = memory[:, : len(x)]
        far = _far(torch.square(a.copy_(x), out=e), a, e)
        square = a.new_empty(len(mu), len(a))
        for mu_k, p_k, square_k in zip(mu, p, square, strict=True):
            torch.mm(torch.sub(a, mu_k, out=e), p_k, out=z)
            torch.sum(z.square_(), 1, out=square_k)

        def pull(r: Tensor) -> Tensor:
            total = torch.zeros_like(a)
            for mu_k, p_k, r_k in zip(mu, p, r.to(work), strict=True):
                total.addmm_(torch.sub(a, mu_k).mm(p_k).mul_(r_k[:, None]), p_k.T)
            return total

        return square, pull, far

    return distances


def _diagonal(means: Tensor, roots: Tensor, size: int) -> Distances:
    """In float64, by products about the middle of the means where they cost no digit that counts (an error
    below 4 (d + 8) 2^-53 times 10^6), else by differences."""
    mu, p = means.to(torch.float64), roots.to(torch.float64)
    middle = mu.mean(0)
    mu, p2 = mu - middle, p * p
    mu_p2 = mu * p2
    offset = (mu * mu_p2).sum(1, keepdim=True)
    memory = mu.new_empty(2, size, mu.shape[1])  # as in _full

    def distances(x: Tensor) -> tuple[Tensor, Pull, Tensor]:
        a, a2 = memory[:, : len(x)]
        far = _far(torch.square(a.copy_(x).sub_(middle), out=a2), a, a2)
        square = torch.addmm(offset, p2, a2.T)
        if not len(a) or float(square.amax()) < 1e6:
            square.addmm_(mu_p2, a.T, alpha=-2).clamp_min_(0)
            return square, lambda r: r.T @ p2 * a - r.T @ mu_p2, far
        for mu_k, p_k, square_k in zip(mu, p, square, strict=True):
            torch.sum(torch.sub(a, mu_k, out=a2).mul_(p_k).square_(), 1, out=square_k)

        def pull(r: Tensor) -> Tensor:
            total = torch.zeros_like(a)
            for mu_k, p2_k, r_k in zip(mu, p2, r, strict=True):
                total.addcmul_(torch.sub(a, mu_k).mul_(p2_k), r_k[:, None])
            return total

        return square, pull, far

    return distances


def _far(squares: Tensor, *rows: Tensor) -> Tensor:
    """inf or NaN where the sum of a row of squares is, else 0: (b,). The rows of such a query become 0."""
    far = squares.sum(1)
    near = far.isfinite()
    if not bool(near.all()):
        for row in rows:
            row.masked_fill_(~near[:, None], 0)
    return far.masked_fill_(near, 0)


def _gmm_backward(args: tuple, output: Tensor, grad: Tensor) -> tuple[Tensor | None, ...]:
    return grad[:, None] * _GMM_SCORE.operator(*args), None, None, None, None


# --- the programs ----------------------------------------------------------------------------------------


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
    tl.store(out + tl.program_id(1).to(tl.int64) * n + row, largest + tl.log(summed), mask=row < n)


@jit
def _gmm_score_program(
    x, share, means, pull, out, n, d, k,
    FULL: tl.constexpr, QUERIES: tl.constexpr, FEATURES: tl.constexpr, INNER: tl.constexpr,
):  # fmt: skip
    """-sum_k r_k pull_k (x - mu_k); share: r, (k, n); pull: P_k P_k^T, its diagonal for diagonal roots."""
    row = tl.program_id(0).to(tl.int64) * QUERIES + tl.arange(0, QUERIES)
    j = tl.program_id(1) * FEATURES + tl.arange(0, FEATURES)
    inside = (row < n)[:, None] & (j < d)[None, :]
    at = row[:, None] * d
    whole = tl.load(x + at + j[None, :], mask=inside, other=0.0).to(tl.float32)
    total = tl.zeros((QUERIES, FEATURES), tl.float32)
    for _ in range(k):
        r = tl.load(share + row, mask=row < n, other=0.0)
        if FULL:
            for inner in range(0, d, INNER):
                i = inner + tl.arange(0, INNER)
                here = (row < n)[:, None] & (i < d)[None, :]
                a = tl.load(x + at + i[None, :], mask=here, other=0.0).to(tl.float32)
                a -= tl.load(means + i, mask=i < d, other=0.0).to(tl.float32)[None, :]
                here = (i < d)[:, None] & (j < d)[None, :]
                p = tl.load(pull + i[:, None] * d + j[None, :], mask=here, other=0.0)
                total = tl.dot(-r[:, None] * a, p, total, input_precision="ieee")
        else:
            a = whole - tl.load(means + j, mask=j < d, other=0.0).to(tl.float32)[None, :]
            total -= r[:, None] * a * tl.load(pull + j, mask=j < d, other=0.0)[None, :]
        means += d
        pull += d * d if FULL else d
        share += n
    tl.store(out + at + j[None, :], total.to(out.dtype.element_ty), mask=inside)


# --- the launches ----------------------------------------------------------------------------------------


def _gmm_triton(x: Tensor, weights: Tensor, means: Tensor, roots: Tensor, chunk: int) -> Tensor:
    queries = max(1, *blocks(len(x), _QUERIES))
    parts = _shares(x, weights, means, roots, min(len(means), max(1, _PROGRAMS // queries)))
    return where_far(x, parts.logsumexp(0), -torch.inf).to(x.dtype)


def _gmm_score_triton(x: Tensor, weights: Tensor, means: Tensor, roots: Tensor, chunk: int) -> Tensor:
    (k, d), full = means.shape, roots.ndim == 3
    share = _shares(x, weights, means, roots, k).softmax(0)
    p = roots.to(torch.float32)
    out = torch.empty_like(x)
    if x.numel():
        _gmm_score_program[*blocks(len(x), _QUERIES), *blocks(d, 64)](
            x, share, means, p @ p.mT if full else p * p, out, len(x), d, k,
            FULL=full, QUERIES=_QUERIES, FEATURES=64, INNER=16, num_warps=8 if full else 4, **FUSED,
        )  # fmt: skip
    return where_far(x, out, torch.nan)


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


_QUERIES = 64
_CACHE = 1 << 18
"""Numbers of one block of queries that a cache holds."""

_PROGRAMS = 512
"""Programs that fill a device: where there are few queries, points or components are shared out as well."""
_GMM_LOGPDF = Op("gmm_logpdf", _gmm_logpdf, _gmm_triton, fake=per_query, backward=_gmm_backward)
_GMM_SCORE = Op("gmm_score", _gmm_score, _gmm_score_triton)
