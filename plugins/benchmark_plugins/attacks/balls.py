"""The eps-balls around a batch of inputs, cut by the task's box: where an attack starts and how it steps.

A ball knows x: (n, *shape), eps and the box. `start` draws a point of it, `step` moves along a gradient and
comes back into the ball and then into the box (that order, as foolbox and torchattacks; since x lies in the
box, clipping shrinks every |x_adv - x|, so the result lies in both), and `take` goes on with some of the
samples. Steps use only the direction of a gradient: scaling it per sample changes nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor

from benchmark_core import SampleRandom
from benchmark_core.kernels.projections import feature_dims, project_l1, project_l2, uniform_in_ball


class LinfBall:
    """Steps alpha sign(g). Ball and box together are one interval a feature."""

    def __init__(self, x: Tensor, eps: float, lower: Tensor, upper: Tensor) -> None:
        self.x, self.eps = x, eps
        self.least, self.most = torch.maximum(x - eps, lower), torch.minimum(x + eps, upper)

    def take(self, rows: Tensor) -> LinfBall:
        part = object.__new__(LinfBall)
        part.x, part.eps = self.x[rows], self.eps
        part.least, part.most = self.least[rows], self.most[rows]
        return part

    def start(self, random: SampleRandom) -> Tensor:
        return (self.x + uniform_in_ball("linf", self.eps, random, self.x)).clamp_(self.least, self.most)

    def step(self, x: Tensor, g: Tensor, alpha: float) -> Tensor:
        """x, g: (n, *shape). g is used up."""
        return torch.add(x, g.sign_(), alpha=alpha).clamp_(self.least, self.most)


class L2Ball:
    """Steps alpha g / ||g||_2."""

    norm, project = "l2", staticmethod(project_l2)

    def __init__(self, x: Tensor, eps: float, lower: Tensor, upper: Tensor) -> None:
        self.x, self.eps, self.lower, self.upper = x, eps, lower, upper

    def take(self, rows: Tensor) -> L2Ball:
        return type(self)(self.x[rows], self.eps, self.lower, self.upper)

    def start(self, random: SampleRandom) -> Tensor:
        return (self.x + uniform_in_ball(self.norm, self.eps, random, self.x)).clamp_(self.lower, self.upper)

    def step(self, x: Tensor, g: Tensor, alpha: float) -> Tensor:
        """x, g: (n, *shape)."""
        d = torch.add(x - self.x, unit_l2(g), alpha=alpha)
        return (self.x + self.project(d, self.eps)).clamp_(self.lower, self.upper)


class L1Ball(L2Ball):
    """The same Euclidean step as in l2; the projection is what makes it sparse. This is projected gradient
    ascent proper: step and projection share one geometry (steps along the few largest entries, as in SLIDE,
    need a tuned quantile)."""

    norm, project = "l1", staticmethod(project_l1)


BALLS: dict[str, type[LinfBall] | type[L2Ball]] = {"linf": LinfBall, "l2": L2Ball, "l1": L1Ball}


def unit_l2(g: Tensor) -> Tensor:
    """g / ||g||_2 sample by sample, 0 where g is 0. The largest entry is scaled to 1 first, so that gradients
    of any size keep their direction: ||g||_2 alone underflows in float32 at entries of 1e-23."""
    dims = feature_dims(g)
    g = g / _nonzero(torch.linalg.vector_norm(g, torch.inf, dim=dims, keepdim=True))
    return g / _nonzero(torch.linalg.vector_norm(g, dim=dims, keepdim=True))


def _nonzero(norm: Tensor) -> Tensor:
    return norm.masked_fill(norm == 0, 1)
