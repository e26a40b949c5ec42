"""The eps-balls around a batch of inputs, cut by the task's box: where an attack starts and how it steps.

A ball knows x: (n, *shape), eps and the box. `start` draws a point of it, `step` moves along a gradient and
comes back into the ball and the box (`benchmark_core.kernels.steps`), and `take` goes on with some of the
samples. Steps use only the direction of a gradient: scaling it per sample changes nothing.
"""

from __future__ import annotations

import functools

from torch import Tensor

from benchmark_core import SampleRandom
from benchmark_core.kernels.projections import uniform_in_ball
from benchmark_core.kernels.steps import STEPS, linf_bounds, linf_step_


class Ball:
    """norm: linf, l2 or l1."""

    def __init__(self, norm: str, x: Tensor, eps: float, lower: Tensor, upper: Tensor) -> None:
        self.norm, self.x, self.eps, self.lower, self.upper = norm, x, eps, lower, upper

    def take(self, rows: Tensor) -> Ball:
        return Ball(self.norm, self.x[rows], self.eps, self.lower, self.upper)

    def start(self, random: SampleRandom) -> Tensor:
        return (self.x + uniform_in_ball(self.norm, self.eps, random, self.x)).clamp_(self.lower, self.upper)

    def step(self, x: Tensor, g: Tensor, alpha: float) -> Tensor:
        """x, g: (n, *shape); g is overwritten."""
        if self.norm == "linf" and not x.is_cuda:
            return linf_step_(x, g, alpha, *self._bounds)
        return STEPS[self.norm](x, g, self.x, alpha, self.eps, self.lower, self.upper)

    @functools.cached_property
    def _bounds(self) -> tuple[Tensor, Tensor]:
        return linf_bounds(self.x, self.eps, self.lower, self.upper)
