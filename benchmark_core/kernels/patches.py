"""Counts of where a perturbation is: the patches that it touches, and its connected regions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .dispatch import EXACT, Op, jit, next_power_of_2, tl

PATCH = 8


def patch_count(w: Tensor, size: int = PATCH) -> Tensor:
    """d_{2,0}: the number of size x size patches with an entry of w that is not 0: (n,) int64.

    w: (n, C, H, W). Patches overlap (stride 1) and hold all channels: at most (H - size + 1)(W - size + 1).
    Raises ValueError when w is no batch of images or no patch fits into it.

    Source: Sadiku, Wagner, Nagarajan, Pokutta 2025, arXiv:2311.17434, section 3.2.
    """
    if w.ndim != 4 or not 1 <= size <= min(w.shape[2:]):
        raise ValueError(f"patch_count: no {size} x {size} patch fits into w of shape {tuple(w.shape)}")
    return _PATCH_COUNT(w, size)


def count_components(mask: Tensor, connectivity: int = 4) -> Tensor:
    """The number of connected regions of every mask: (n,) int64. mask: (n, H, W) bool.

    connectivity: 4 joins pixels that share an edge, 8 also those that share a corner.
    On the CPU scipy counts them, in one call for the batch.
    Raises ValueError for another connectivity, shape or dtype.
    """
    if connectivity not in (4, 8):
        raise ValueError(f"count_components: connectivity must be 4 or 8, got {connectivity}")
    if mask.ndim != 3 or mask.dtype != torch.bool:
        raise ValueError(
            f"count_components: needs (n, H, W) bool, got {tuple(mask.shape)} {mask.dtype}; "
            "a perturbation's mask is (w != 0).any(1)"
        )
    return _COUNT_COMPONENTS(mask, connectivity)


# --- the references --------------------------------------------------------------------------------------


def _patch_count(w: Tensor, size: int) -> Tensor:
    touched = (w != 0).any(1)
    for dim in (1, 2):
        touched = _any_of_window(touched, size, dim)
    return touched.sum((1, 2))


def _any_of_window(mask: Tensor, size: int, dim: int) -> Tensor:
    """Whether any of mask[i .. i + size - 1] holds, for every such window along `dim`: windows double."""
    width = 1
    while width < size:
        step = min(width, size - width)
        length = mask.shape[dim] - step
        mask = mask.narrow(dim, 0, length) | mask.narrow(dim, step, length)
        width += step
    return mask


def _count_components(mask: Tensor, connectivity: int) -> Tensor:
    """Trees of a graph whose nodes are the runs of pixels in a row, numbered from the first image on.

    Every round the roots at an edge's ends meet, the larger hooks onto the smallest it meets, and paths are
    compressed; edges within a tree are dropped (Liu, Tarjan 2019, Simple concurrent labeling algorithms for
    connected components).
    """
    first = mask & ~_shifted(mask)
    run = first.flatten().cumsum(0).view_as(first) - 1
    sample = first.nonzero()[:, 0]
    a, b = (torch.cat(ends) for ends in zip(*_edges(mask, run, connectivity), strict=True))
    parent = number = torch.arange(len(sample), device=mask.device)
    while len(a):
        parent = parent.scatter_reduce(0, torch.maximum(a, b), torch.minimum(a, b), "amin")
        while not torch.equal(grand := parent[parent], parent):
            parent = grand
        a, b = parent[a], parent[b]
        apart = a != b
        a, b = a[apart], b[apart]
    return torch.bincount(sample[parent == number], minlength=len(mask))


def _edges(mask: Tensor, run: Tensor, connectivity: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Runs of adjacent rows that touch, about once each."""
    upper, lower = mask[:, :-1], mask[:, 1:]
    both = upper & lower
    begin = both & ~_shifted(both)
    yield run[:, :-1][begin], run[:, 1:][begin]
    if connectivity == 8:  # a corner alone: where an edge joins the two, that is enough
        for left, right, a, b in (
            (upper, lower, run[:, :-1], run[:, 1:]),
            (lower, upper, run[:, 1:], run[:, :-1]),
        ):
            corner = left[..., :-1] & right[..., 1:] & ~(left[..., 1:] | right[..., :-1])
            yield a[..., :-1][corner], b[..., 1:][corner]


def _shifted(mask: Tensor) -> Tensor:
    """What the pixel to the left holds; False at the border."""
    return torch.nn.functional.pad(mask, (1, 0))[..., :-1]


def _labelled(mask: Tensor, connectivity: int) -> Tensor:
    """As `_count_components`, several times as fast on a CPU: scipy labels many images as one picture, with a
    blank row below each, small enough for a cache."""
    from scipy import ndimage

    label: Any = ndimage.label  # numbers regions from 1 on, from the first row to the last
    structure = np.ones((3, 3)) if connectivity == 8 else None
    images = max(1, (1 << 18) // max(1, mask[:1].numel()))
    counts = []
    for part in torch.nn.functional.pad(mask, (0, 0, 0, 1)).split(images):
        numbers = label(part.flatten(0, 1).numpy(), structure)[0]
        last = np.maximum.accumulate(numbers.reshape(part.shape).max((1, 2), initial=0))
        counts.append(np.diff(last, prepend=0))
    return torch.from_numpy(np.concatenate(counts)).to(torch.int64)


# --- the programs ----------------------------------------------------------------------------------------


@jit
def touched_tile(w, image, channels, height, width, r, c, inside):
    """Whether any channel of w is not 0 at the pixels (r, c) of one image, False outside."""
    at = w + image * channels * height * width + r * width + c
    touched = tl.zeros(inside.shape, tl.int1)
    for _ in range(channels):
        touched = touched | (tl.load(at, mask=inside, other=0.0).to(tl.float32) != 0)
        at += height * width
    return touched


@jit
def _patch_program(w, out, channels, height, width, across, size, step8, SIDE: tl.constexpr):
    """The patches that begin in the first 8 step8 rows and columns of one tile of SIDE x SIDE pixels. With
    B[i, j] = 1 where the window that begins at i holds j, B m B^T counts the touched pixels of every patch,
    exactly: entries of both products are whole numbers up to SIDE."""
    image = tl.program_id(0).to(tl.int64)
    tile = tl.program_id(1)
    i = tl.arange(0, SIDE)
    step = step8 * 8  # rows of a tile begin at multiples of 16 bytes where those of the image do
    r, c = tile // across * step + i[:, None], tile % across * step + i[None, :]
    m = touched_tile(w, image, channels, height, width, r, c, (r < height) & (c < width)).to(tl.bfloat16)
    band = ((i[None, :] >= i[:, None]) & (i[None, :] < i[:, None] + size)).to(tl.bfloat16)
    pixels = tl.dot(tl.dot(band, m).to(tl.bfloat16), tl.trans(band))
    own = (i[:, None] < step) & (i[None, :] < step) & (r <= height - size) & (c <= width - size)
    count = tl.sum(tl.sum(((pixels > 0) & own).to(tl.int32), axis=1), axis=0)
    tl.store(out + image * tl.num_programs(1) + tile, count)


@jit
def _components_program(mask, label, out, height, width, EIGHT: tl.constexpr, BLOCK: tl.constexpr):
    """One image. label[p] is a pixel of p's region that is not after p. In every sweep it falls to the least
    label around p and to that label's label, and p's old label falls with it. Labels only fall, and stay
    in the region whatever order threads run in; after a sweep without change they are constant on
    regions, and the first pixel of a region is its own label."""
    image = tl.program_id(0).to(tl.int64)
    pixels = height * width
    mask += image * pixels
    label += image * pixels
    j = tl.arange(0, BLOCK)
    for start in range(0, pixels, BLOCK):
        p = start + j
        tl.store(label + p, p, mask=p < pixels)
    tl.debug_barrier()
    changed = 1
    while changed > 0:
        changed = 0
        for start in range(0, pixels, BLOCK):
            p = start + j
            r, c = p // width, p % width
            inside = tl.load(mask + p, mask=p < pixels, other=0) != 0
            old = tl.load(label + p, mask=inside, other=0)
            least = old
            for dr in tl.static_range(-1, 2):
                for dc in tl.static_range(-1, 2):
                    if (dr * dr + dc * dc == 1) or (EIGHT and dr * dr + dc * dc == 2):
                        q = p + dr * width + dc
                        there = inside & (r + dr >= 0) & (r + dr < height) & (c + dc >= 0) & (c + dc < width)
                        there = there & (tl.load(mask + q, mask=there, other=0) != 0)
                        least = tl.minimum(least, tl.load(label + q, mask=there, other=0x7FFFFFFF))
            least = tl.minimum(least, tl.load(label + least, mask=inside, other=0x7FFFFFFF))
            falls = inside & (least < old)
            tl.atomic_min(label + p, least, mask=falls)
            tl.atomic_min(label + old, least, mask=falls)
            changed += tl.sum(falls.to(tl.int32), axis=0)
        tl.debug_barrier()
    count = 0
    for start in range(0, pixels, BLOCK):
        p = start + j
        inside = tl.load(mask + p, mask=p < pixels, other=0) != 0
        first = inside & (tl.load(label + p, mask=inside, other=-1) == p)
        count += tl.sum(first.to(tl.int32), axis=0)
    tl.store(out + image, count)


# --- the launches ----------------------------------------------------------------------------------------


def tile_side(height: int, width: int, halo: int) -> int:
    """Pixels along one side of the square that a program holds: the image, if it is small, and at most 64."""
    return min(64, max(16, 2 * halo, next_power_of_2(max(height, width))))


def _patch_triton(w: Tensor, size: int) -> Tensor:
    if size > 32:
        return _patch_count(w, size)
    n, channels, height, width = w.shape
    side = tile_side(height, width, size)
    step = side if side >= max(height, width) else (side - size + 1) // 8 * 8
    down, across = -(-(height - size + 1) // step), -(-(width - size + 1) // step)
    out = torch.empty(n, down * across, dtype=torch.int32, device=w.device)
    if n:
        _patch_program[n, down * across](
            w, out, channels, height, width, across, size, step // 8, SIDE=side, num_warps=4, **EXACT
        )
    return out.sum(1)


def _components_triton(mask: Tensor, connectivity: int) -> Tensor:
    n, height, width = mask.shape
    out = torch.zeros(n, dtype=torch.int64, device=mask.device)
    if mask.numel():
        label = torch.empty(mask.shape, dtype=torch.int32, device=mask.device)
        block = min(4096, next_power_of_2(height * width))
        _components_program[n,](
            mask, label, out, height, width,
            EIGHT=connectivity == 8, BLOCK=block, num_warps=max(1, block // 512), num_stages=1, **EXACT,
        )  # fmt: skip
    return out


def _per_image(x: Tensor, option: int) -> Tensor:
    return x.new_empty(len(x), dtype=torch.int64)


_PATCH_COUNT = Op("patch_count", _patch_count, _patch_triton, fake=_per_image)
_COUNT_COMPONENTS = Op(
    "count_components", _count_components, _components_triton, fake=_per_image, cpu=_labelled
)
