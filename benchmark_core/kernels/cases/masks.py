"""What perturbations of images look like to the counts: nothing, one pixel, specks, blobs, spirals, all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from .. import blur, patches  # noqa: F401 - registers the operations
from . import Case


def perturbation(g: Generator, *shape: int) -> Tensor:
    """(n, C, H, W): the share of pixels that are touched grows from image to image, from none to all."""
    n = shape[0]
    share = torch.linspace(0, 1, max(n, 2))[:n].view(-1, 1, 1, 1).pow(3)
    return torch.randn(shape, generator=g) * (torch.rand(n, 1, *shape[2:], generator=g) < share)


def spiral(side: int) -> Tensor:
    """(side, side) bool: one line of pixels winding inwards, its turns a pixel apart."""
    mask = torch.zeros(side, side, dtype=torch.bool)
    r, c, turn = 0, 0, 0
    mask[0, 0] = True
    for length in (side - 1, *(length for length in range(side - 1, 0, -2) for _ in range(2))):
        for _ in range(length):
            r, c = r + (0, 1, 0, -1)[turn], c + (1, 0, -1, 0)[turn]
            mask[r, c] = True
        turn = (turn + 1) % 4
    return mask


def _w(*shape: int, size: int = 8) -> Callable[[Generator], tuple[Any, ...]]:
    return lambda g: (perturbation(g, *shape), size)


def _masks(*shape: int, connectivity: int) -> Callable[[Generator], tuple[Any, ...]]:
    return lambda g: ((perturbation(g, shape[0], 1, *shape[1:]) != 0).any(1), connectivity)


def _spirals(connectivity: int) -> Callable[[Generator], tuple[Any, ...]]:
    return lambda g: (torch.stack([spiral(13), ~spiral(13)]), connectivity)


def _lam(n: int, channels: int, height: int, width: int) -> Callable[[Generator], tuple[Any, ...]]:
    return lambda g: (
        torch.rand(n, height, width, generator=g),
        perturbation(g, n, channels, height, width),
        0.25,
        1.5,
    )


def _label(args: tuple[Any, ...]) -> Callable[[], Any]:
    import numpy as np
    from scipy import ndimage

    label: Any = ndimage.label
    mask, connectivity = args[0].numpy(), args[1]
    structure = np.ones((3, 3)) if connectivity == 8 else None
    return lambda: [label(image, structure)[1] for image in mask]


def _convolved(args: tuple[Any, ...]) -> Callable[[], Any]:
    """As attacks do it: a depthwise convolution of the padded mask."""
    lam, w, q, sigma = args
    taps = torch.exp(-0.5 * (torch.arange(-2.0, 3.0) / sigma) ** 2)
    taps = (taps / taps.sum()).to(w)
    kernel = torch.outer(taps, taps)[None, None]

    def adjust() -> Tensor:
        mask = w.abs().sum(1, keepdim=True).sign()
        m = torch.nn.functional.conv2d(torch.nn.functional.pad(mask, (2, 2, 2, 2), mode="reflect"), kernel)
        return lam / torch.where(m != 0, m + 1, q)[:, 0]

    return adjust


def _unfolded(args: tuple[Any, ...]) -> Callable[[], Any]:
    w, size = args
    return lambda: (torch.nn.functional.max_pool2d(w.abs().amax(1), size, 1) > 0).sum((1, 2))


MASK = (torch.float32,)  # the floats of these cases, of which there are none
CASES = [
    *(
        Case("patch_count", "x".join(map(str, shape)) + f"-{size}", _w(*shape, size=size))
        for shape, size in (
            ((0, 3, 9, 9), 8),
            ((6, 3, 32, 32), 8),
            ((4, 1, 28, 28), 8),
            ((3, 2, 8, 11), 8),
            ((2, 1, 5, 123), 3),
            ((3, 1, 70, 65), 16),
            ((3, 2, 4, 4), 1),
            ((2, 1, 40, 40), 33),
        )
    ),
    *(
        Case(
            "count_components",
            "x".join(map(str, shape)) + f"-{connectivity}",
            _masks(*shape, connectivity=connectivity),
            dtypes=MASK,
        )
        for connectivity in (4, 8)
        for shape in ((0, 4, 4), (4, 1, 1), (5, 9, 7), (3, 1, 40), (4, 20, 20))
    ),
    *(
        Case("count_components", f"spirals-{connectivity}", _spirals(connectivity), dtypes=MASK)
        for connectivity in (4, 8)
    ),
    *(
        Case("blur_adjust", "x".join(map(str, shape)), _lam(*shape), rtol=2e-6)
        for shape in (
            (0, 3, 9, 9),
            (6, 3, 32, 32),
            (4, 1, 28, 28),
            (2, 1, 1, 1),
            (2, 2, 2, 5),
            (2, 1, 70, 123),
        )
    ),
    *(
        case
        for shape in ((4096, 3, 32, 32), (64, 3, 224, 224))
        for case in (
            Case(
                "patch_count",
                "x".join(map(str, shape)),
                _w(*shape),
                use="bench",
                peer=("max-pool", _unfolded),
            ),
            Case(
                "count_components",
                "x".join(map(str, (shape[0], *shape[2:]))),
                _masks(shape[0], *shape[2:], connectivity=4),
                use="bench",
                dtypes=MASK,
                peer=("scipy", _label),
            ),
            Case(
                "blur_adjust",
                "x".join(map(str, shape)),
                _lam(*shape),
                use="bench",
                rtol=2e-6,
                peer=("conv2d", _convolved),
            ),
        )
    ),
]
