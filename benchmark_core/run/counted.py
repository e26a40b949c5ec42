"""The model as methods see it: frozen, in eval mode, and counting its forward and backward passes."""

from __future__ import annotations

from torch import Tensor, nn


class CountedModel(nn.Module):
    """Wraps a trained network. `forward_passes` and `backward_passes` count samples, not calls: they are
    the machine-independent cost of a method."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model.eval().requires_grad_(False)
        self.training = False
        self.forward_passes = 0
        self.backward_passes = 0

    def forward(self, x: Tensor) -> Tensor:
        return self._count(self.model(x))

    def features(self, x: Tensor) -> Tensor:
        """The penultimate layer, (n, F)."""
        return self._count(self.model.features(x))  # type: ignore[operator]

    def _count(self, out: Tensor) -> Tensor:
        n = len(out)
        self.forward_passes += n
        if out.requires_grad:
            out.register_hook(lambda grad: self._backward(n))
        return out

    def _backward(self, n: int) -> None:
        self.backward_passes += n
