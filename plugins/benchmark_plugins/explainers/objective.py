"""What an explanation is about: which class, which output of it, and how many samples one pass may hold."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark_core import Context

from .catalogue import OfClass, Output

PASS_ELEMENTS = 1 << 15
"""Small inputs share a pass until it holds this many numbers (the cache of a core; far below any memory)."""
PASS_FACTOR = 16
"""... but at most this many times `ctx.batch_size`, so that a smaller batch size always saves memory."""


def pass_size(x: Tensor, ctx: Context, elements: int = PASS_ELEMENTS) -> int:
    """How many inputs like x (n, *shape) go through the model at once.

    `ctx.batch_size`, or more for inputs so small that the time would go to starting operations.
    """
    small = elements // max(1, x[0].numel())
    return max(ctx.batch_size, min(small, PASS_FACTOR * ctx.batch_size))


def blocks(x: Tensor, ctx: Context, elements: int = PASS_ELEMENTS) -> list[slice]:
    """Slices of the samples that cover x in passes of `pass_size`."""
    if not len(x):
        return []
    size = pass_size(x, ctx, elements)
    return [slice(start, min(start + size, len(x))) for start in range(0, len(x), size)]


def logits_of(model: nn.Module, x: Tensor, ctx: Context) -> Tensor:
    """model(x) without gradients: (n, K)."""
    with torch.no_grad():
        return torch.cat([model(x[rows]) for rows in blocks(x, ctx)])


def explained_class(of: OfClass, logits: Tensor, y: Tensor, target: Tensor | None) -> Tensor:
    """The class that is explained, (n,): the label y, the argmax of the logits (n, K), or the target."""
    match of:
        case "label":
            return y
        case "predicted":
            return logits.detach().argmax(1)
        case "target":
            if target is None:
                raise ValueError("of: target needs a selection with targets; add e.g. 'targets: random'")
            return target


def explained_output(output: Output, logits: Tensor, classes: Tensor) -> Tensor:
    """F for logits (n, K) and classes c (n,): z_c, softmax(z)_c, or the loss -log softmax(z)_c: (n,)."""
    match output:
        case "logit":
            return logits.gather(1, classes[:, None])[:, 0]
        case "probability":
            return logits.softmax(1).gather(1, classes[:, None])[:, 0]
        case "loss":
            return functional.cross_entropy(logits, classes, reduction="none")
