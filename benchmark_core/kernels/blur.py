"""The threshold update of group-wise sparse attacks: it falls near changed pixels and rises elsewhere."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .dispatch import FUSED, Op, jit, tl, work_dtype
from .patches import touched_tile

TAPS, SIGMA = 5, 1.5


def blur_adjust(lam: Tensor, w: Tensor, q: float, *, sigma: float = SIGMA) -> Tensor:
    """AdjustLambda: lam / (M + 1) where M != 0, lam / q elsewhere: (n, H, W), M the 5x5 Gaussian blur of the
    mask sign(sum_c |w_c|).

    lam: (n, H, W), a threshold for every pixel; w: (n, C, H, W); 0 < q <= 1.
    sigma: of the Gaussian, in pixels; its 25 weights sum to 1. Borders are mirrored without repeating the
    outermost pixel (c b | a b c), as in torchvision's GaussianBlur.
    Half precision is computed in float32. Raises ValueError when shapes do not fit, or q or sigma <= 0.

    Source: Sadiku, Wagner, Nagarajan, Pokutta 2025, arXiv:2311.17434, section 2.3.
    """
    if w.ndim != 4 or lam.shape != w.shape[:1] + w.shape[2:]:
        raise ValueError(
            "blur_adjust: needs lam (n, H, W) and w (n, C, H, W), "
            f"got {tuple(lam.shape)} and {tuple(w.shape)}"
        )
    if not (q > 0 and sigma > 0):
        raise ValueError(f"blur_adjust: q and sigma must be positive, got {q} and {sigma}")
    return _BLUR_ADJUST(lam, w, q, sigma)


def _blur_adjust(lam: Tensor, w: Tensor, q: float, sigma: float) -> Tensor:
    work = lam.to(work_dtype(lam))
    mask = (w != 0).any(1).to(work)
    rows, columns = (_band(size, sigma, work) for size in w.shape[2:])
    blurred = rows @ (mask @ columns.T)
    return (work / torch.where(blurred != 0, blurred + 1, q)).to(lam.dtype)


def _band(size: int, sigma: float, like: Tensor) -> Tensor:
    """(size, size): the blur along one side of an image as a matrix. Products with it beat convolutions of
    one channel at the sizes of benchmark images."""
    pixel = torch.arange(size)[:, None] + torch.arange(-(TAPS // 2), TAPS // 2 + 1)
    period = max(1, 2 * (size - 1))
    pixel = pixel % period
    pixel = torch.minimum(pixel, period - pixel) if size > 1 else torch.zeros_like(pixel)
    weights = torch.exp(-0.5 * (torch.arange(-(TAPS // 2), TAPS // 2 + 1, dtype=torch.float64) / sigma) ** 2)
    weights = (weights / weights.sum()).expand(pixel.shape)
    return torch.zeros(size, size, dtype=torch.float64).scatter_add_(1, pixel, weights).to(like)


@jit
def _band_tile(pixel, size, decay, inverse_total):
    """G[i, j] = the weight of pixel[j] in pixel[i], on a side of `size` pixels mirrored at its ends."""
    period = tl.maximum(2 * size - 2, 1)
    band = tl.zeros((pixel.shape[0], pixel.shape[0]), tl.float32)
    for tap in tl.static_range(-2, 3):
        source = tl.abs(pixel + tap) % period
        source = tl.minimum(source, period - source) % size
        weight = tl.exp(-decay * (tap * tap)) * inverse_total
        band += tl.where(source[:, None] == pixel[None, :], weight, 0.0)
    return band


@jit
def _blur_program(
    lam, w, out, channels, height, width, across, q, decay, inverse_total,
    HALO: tl.constexpr, SIDE: tl.constexpr,
):  # fmt: skip
    """One tile of a mask m, SIDE x SIDE pixels with HALO more on every side than are written: G m H^T, with G
    and H as in the reference. tf32x3 keeps float32's digits, and 0 stays 0."""
    image = tl.program_id(0).to(tl.int64)
    tile = tl.program_id(1)
    i = tl.arange(0, SIDE)
    row, column = tile // across * (SIDE - 2 * HALO) - HALO + i, tile % across * (SIDE - 2 * HALO) - HALO + i
    r, c = row[:, None], column[None, :]
    inside = (r >= 0) & (r < height) & (c >= 0) & (c < width)
    m = touched_tile(w, image, channels, height, width, r, c, inside).to(tl.float32)
    g = _band_tile(row, height, decay, inverse_total)
    h = _band_tile(column, width, decay, inverse_total)
    blurred = tl.dot(tl.dot(g, m, input_precision="tf32x3"), tl.trans(h), input_precision="tf32x3")
    own = (i >= HALO) & (i < SIDE - HALO)
    own = inside & own[:, None] & own[None, :]
    at = image * height * width + r * width + c
    before = tl.load(lam + at, mask=own, other=0.0).to(tl.float32)
    after = before / tl.where(blurred != 0, blurred + 1, q)
    tl.store(out + at, after.to(out.dtype.element_ty), mask=own)


def _blur_triton(lam: Tensor, w: Tensor, q: float, sigma: float) -> Tensor:
    out = torch.empty_like(lam)
    n, channels, height, width = w.shape
    if out.numel():
        side = 16 if max(height, width) <= 16 else 32
        halo = 0 if max(height, width) <= side else 4  # of which 2 are needed, and 4 are 16 bytes
        down, across = -(-height // (side - 2 * halo)), -(-width // (side - 2 * halo))
        decay = 0.5 / sigma**2
        total = 1 + 2 * (math.exp(-decay) + math.exp(-4 * decay))
        _blur_program[n, down * across](
            lam, w, out, channels, height, width, across, q, decay, 1 / total,
            HALO=halo, SIDE=side, num_warps=4, **FUSED,
        )  # fmt: skip
    return out


_BLUR_ADJUST = Op("blur_adjust", _blur_adjust, _blur_triton)
