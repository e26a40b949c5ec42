"""Structural similarity of images, one pair at a time or all pairs for a nearest-neighbour search.

At every pixel, with Gaussian-weighted local means mu, variances and covariance (Wang et al. 2004, eq. 13),

    SSIM = (2 mu_x mu_y + C1)(2 cov_xy + C2) / ((mu_x^2 + mu_y^2 + C1)(var_x + var_y + C2)),

C1 = (0.01 R)^2, C2 = (0.03 R)^2 for data of range R; then the mean over pixels and channels.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .knn import smallest

SIGMA, TAPS, K1, K2 = 1.5, 11, 0.01, 0.03


def ssim(x: Tensor, y: Tensor, *, data_range: float = 1.0, crop: bool = True) -> Tensor:
    """SSIM of x[i] and y[i]: (n,), in [-1, 1].

    x, y: (n, C, H, W) images whose values span `data_range`.
    crop: average only pixels whose whole window lies inside the image, as Wang et al. and the value of
    `skimage.metrics.structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False)`;
    images smaller than 11 pixels get the largest odd window that fits, with the weights normalised again.
    Without crop the borders are mirrored (d c b a | a b c d | d c b a) and all pixels count, as Matlab's
    `ssim` and Julia's `assess_ssim`.
    Raises ValueError when the shapes differ or are not (n, C, H, W).
    """
    if x.shape != y.shape or x.ndim != 4:
        raise ValueError(f"ssim: needs two (n, C, H, W) batches of one shape, got {_shapes(x, y)}")
    x, y, dtype = *_wide(x, y), x.dtype
    rows, columns = _filters(x, crop)
    mean_x, var_x = _moments(x, rows, columns)
    mean_y, var_y = _moments(y, rows, columns)
    mixed = rows @ (x * y @ columns.T)
    return _similarity(mean_x, var_x, mean_y, var_y, mixed, data_range).to(dtype)


@torch.no_grad()
def ssim_knn(
    queries: Tensor,
    points: Tensor,
    k: int,
    *,
    data_range: float = 1.0,
    crop: bool = True,
    chunk: int = 1 << 19,
) -> tuple[Tensor, Tensor]:
    """The k images nearest to every query by (1 - SSIM) / 2: distances (n, k), ascending, and indices (n, k).

    queries: (n, C, H, W), points: (N, C, H, W); `data_range` and `crop` as in `ssim`.
    chunk: numbers in the largest intermediate, at least one image. Beside it, memory holds the local means
    and variances of all points and the k best, never queries x points.
    Means and variances are computed once an image; a pair costs one filtering, of its product.
    Raises ValueError when k is not in 1..N, when the shapes do not fit, or when a point is not finite.
    """
    if queries.ndim != 4 or queries.shape[1:] != points.shape[1:]:
        raise ValueError(
            f"ssim_knn: needs (n, C, H, W) and (N, C, H, W) of one size, got {_shapes(queries, points)}"
        )
    if not 1 <= k <= len(points):
        raise ValueError(f"ssim_knn: k must be in 1..{len(points)}, the number of points; got {k}")
    dtype = queries.dtype
    if not len(queries):
        return queries.new_empty(0, k), torch.empty(0, k, dtype=torch.int64, device=queries.device)
    queries, points = _wide(queries, points)
    if not points.sum().isfinite():
        raise ValueError("ssim_knn: points hold NaN or infinite values; clean the data")
    rows, columns = _filters(points, crop)
    mean_p, var_p = _moments(points, rows, columns)
    pairs = max(1, chunk // math.prod(points.shape[1:]))
    parts = []
    for q in queries.split(max(1, math.isqrt(pairs))):
        x, (mean_q, var_q) = q[:, None], (m[:, None] for m in _moments(q, rows, columns))

        def distances(start: int, stop: int, x=x, mean_q=mean_q, var_q=var_q) -> Tensor:
            mixed = rows @ (x * points[start:stop] @ columns.T)
            return (
                1 - _similarity(mean_q, var_q, mean_p[start:stop], var_p[start:stop], mixed, data_range)
            ) / 2

        parts.append(smallest(distances, len(points), k, max(1, pairs // len(q))))
    best, indices = (torch.cat(part) for part in zip(*parts, strict=True))
    return best.to(dtype), indices


def _filters(x: Tensor, crop: bool) -> tuple[Tensor, Tensor]:
    """The separable window as two matrices, so that the local mean of an image is `rows @ image @ columns.T`.

    Matrix products beat convolutions with one channel by far at the sizes of benchmark images.
    """
    height, width = x.shape[-2:]
    radius = TAPS // 2
    if crop:
        radius = min(radius, (min(height, width) - 1) // 2)
    offset = torch.arange(-radius, radius + 1)
    taps = torch.exp(-0.5 * (offset.to(torch.float64) / SIGMA) ** 2)
    taps /= taps.sum()

    def matrix(size: int) -> Tensor:
        centre = torch.arange(radius, size - radius) if crop else torch.arange(size)
        column = (centre[:, None] + offset) % (2 * size)
        column = torch.where(column < size, column, 2 * size - 1 - column)  # mirror at the borders
        weights = torch.zeros(len(centre), size, dtype=torch.float64)
        return weights.scatter_add_(1, column, taps.expand(column.shape)).to(x)

    return matrix(height), matrix(width)


def _moments(x: Tensor, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
    """Local mean and variance at every kept pixel."""
    mean = rows @ (x @ columns.T)
    return mean, rows @ (x * x @ columns.T) - mean * mean


def _similarity(
    mean_x: Tensor, var_x: Tensor, mean_y: Tensor, var_y: Tensor, mixed: Tensor, data_range: float
) -> Tensor:
    """Mean SSIM over the last three axes from local moments; `mixed` is the local mean of x y."""
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    product = mean_x * mean_y
    top = (2 * product + c1) * (2 * (mixed - product) + c2)
    bottom = (mean_x.square() + mean_y.square() + c1) * (var_x + var_y + c2)
    return (top / bottom).mean((-3, -2, -1))


def _wide(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Half precision is computed in float32."""
    if x.dtype in (torch.float32, torch.float64):
        return x, y
    return x.float(), y.float()


def _shapes(x: Tensor, y: Tensor) -> str:
    return f"{tuple(x.shape)} and {tuple(y.shape)}"
