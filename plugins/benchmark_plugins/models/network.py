"""What the built-in models share: normalisation as a layer, features, head."""

from __future__ import annotations

import math

from torch import Tensor, nn

from benchmark_core import Task


class Normalise(nn.Module):
    """x -> (x - mean) / std. mean, std: buffers, (*shape) or broadcastable; they travel with the weights."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean.clone())
        self.register_buffer("std", std.clone())

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std


class Network(nn.Module):
    """logits = head(body(normalise(x))).

    body: (n, *shape) -> (n, width), with one module for each activation (DeepLIFT hooks each of them once).
    """

    def __init__(self, task: Task, body: nn.Module, width: int, *, normalise: bool) -> None:
        super().__init__()
        self.normalise = Normalise(task.mean, task.std) if normalise else nn.Identity()
        self.body = body
        self.head = nn.Linear(width, task.n_classes)

    def features(self, x: Tensor) -> Tensor:
        """The penultimate layer, (n, width)."""
        return self.body(self.normalise(x))

    def forward(self, x: Tensor) -> Tensor:
        """Logits, (n, K)."""
        return self.head(self.features(x))


def input_size(task: Task) -> int:
    """Number of features of a flattened sample."""
    return math.prod(task.shape)
