"""The engine of iterated gradient attacks: it ascends a loss in a ball and keeps what the caller will use."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from benchmark_core import Context, Perturbation

from .balls import Ball
from .losses import LOSSES, cross_entropy, cross_entropy_slope, succeeds, temperature


def ascend(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    ctx: Context,
    *,
    norm: str,
    eps: float,
    alpha: float,
    steps: int,
    random_start: bool,
    restarts: int = 1,
    loss: str = "ce",
    keep: Literal["best", "last"] = "best",
) -> Perturbation:
    """Ascend `loss` by `steps` steps of length `alpha` in the eps-ball of `norm` around x: (n, *shape).

    keep: `best` judges x and every iterate of every restart: one that succeeds before one that does not, then
    the highest loss. When only success counts (`ctx.goal`), the first that succeeds is kept and its sample
    leaves the batch; the same samples succeed. `last` takes the final iterate, of several restarts the best.
    Judging costs one forward pass a restart, and one for x itself before a random start.

    loss: a key of LOSSES, or `auto`: ce of logits divided by their `temperature` at x (at the start, where x
    is not judged), so that the scale of the logits does not matter.

    Notes, 1 or 0 a sample (none inside a training): `vanished_gradient`, at some step before a success the
    gradient was zero, NaN, or so small that float rounds its entries (the largest below tiny / eps of the
    dtype): the attack was blind there, and robustness it reports is not to be trusted. `saturated` (without
    targets): at x, the gradient of plain cross-entropy in the logits is that small. An attack that follows it
    stops there and reports robustness; this one follows the log-odds and goes on.
    """
    ascent = _Ascent(model, x, y, ctx, norm, eps, alpha, loss, keep)
    x_k = ascent.judge(x) if keep == "best" and random_start else x
    for restart in range(restarts):
        if ascent.finished:
            break
        x_k = ascent.ball.start(ascent.random) if random_start else ascent.ball.x
        for k in range(steps):
            x_k = ascent.step(x_k)
            ctx.progress(restart * steps + k + 1, restarts * steps)
            if ascent.finished:
                break
        if keep == "best" or restarts > 1:
            x_k = ascent.judge(x_k)
    return Perturbation(ascent.result(x_k), ascent.notes())


class _Ascent:
    """The samples still attacked (`rows` of the batch), and the best that was found for each of the batch."""

    def __init__(
        self,
        model: nn.Module,
        x: Tensor,
        y: Tensor,
        ctx: Context,
        norm: str,
        eps: float,
        alpha: float,
        loss: str,
        keep: str,
    ) -> None:
        x = x.detach()
        self.model, self.alpha = model, alpha
        self.objective = LOSSES["ce" if loss == "auto" else loss]
        self.rescales = loss == "auto" and ctx.goal != "training"
        self.tau: Tensor | None = None
        self.rows: Tensor | slice = slice(None)
        self.y, self.target, self.random = y, ctx.target, ctx.random
        self.ball = Ball(norm, x, eps, ctx.task.lower.to(x), ctx.task.upper.to(x))

        self.judges = keep == "best"
        self.leaves = self.judges and ctx.goal == "success"
        self.judged = False
        self.best = x.clone()
        self.found = torch.zeros_like(y, dtype=torch.bool)
        self.top = x.new_full((len(x),), -torch.inf)

        self.watches = ctx.goal != "training"
        self.met = False
        self.least = torch.finfo(x.dtype).tiny / torch.finfo(x.dtype).eps
        self.weakest = x.new_full((len(x),), torch.inf)  # largest entry of a gradient, least over the steps
        self.saturated: Tensor | None = None

    @property
    def finished(self) -> bool:
        return len(self.y) == 0

    @torch.enable_grad()
    def step(self, x_k: Tensor) -> Tensor:
        """x_{k+1} of the samples that stay."""
        x_k = x_k.detach().requires_grad_()
        z = self.model(x_k)
        if self.objective is cross_entropy and not self.judges and not self.watches:
            # inside a training nobody asks how far the attack is: a tenth of a step on a small network
            (g,) = torch.autograd.grad(z, x_k, cross_entropy_slope(z.detach(), self.y, self.target))
            return self.ball.step(x_k.detach(), g.nan_to_num_(), self.alpha)
        value, slope, success = self._assess(z.detach())
        stay = self._see(x_k.detach(), value, success) if self.judges else None
        if self.finished:
            return x_k.detach()[stay]
        (g,) = torch.autograd.grad(z, x_k, slope)
        x_k = x_k.detach()
        if stay is not None:
            x_k, g, success = x_k[stay], g[stay], success[stay]
        if self.watches:
            largest = g.abs().flatten(1).amax(1).masked_fill_(success, torch.inf)
            self.weakest[self.rows] = torch.minimum(self.weakest[self.rows], largest)  # NaN stays NaN
        return self.ball.step(x_k, g.nan_to_num_(), self.alpha)

    @torch.no_grad()
    def judge(self, x_k: Tensor) -> Tensor:
        """Judge x_k without a step: x_k of the samples that stay."""
        if self.finished:
            return x_k
        value, _, success = self._assess(self.model(x_k))
        stay = self._see(x_k, value, success)
        return x_k if stay is None else x_k[stay]

    def _assess(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The loss, its derivative in z (up to a factor a sample) and the success of logits z: (n, K)."""
        if not self.met:
            self.met = True
            self.tau = temperature(z) if self.rescales else None
            if self.watches and self.target is None:
                # the derivative of cross-entropy is sigmoid(m) times that of the log-odds m
                self.saturated = cross_entropy(z, self.y, None)[0] < math.log(self.least)
        value, slope = self.objective(z if self.tau is None else z / self.tau, self.y, self.target)
        return value, slope, succeeds(z, self.y, self.target)

    def _see(self, x_k: Tensor, value: Tensor, success: Tensor) -> Tensor | None:
        """Keep x_k where it is the best so far. Which samples stay: their indices, or None for all."""
        self.judged = True
        if not self.leaves:
            better = torch.where(success == self.found, value > self.top, success)
            self.found |= success
            self.top = torch.where(better, value, self.top)
            self.best = torch.where(better.view(-1, *[1] * (x_k.ndim - 1)), x_k, self.best)
            return None
        if not success.any():
            return None
        rows = torch.arange(len(self.best), device=x_k.device)[self.rows]
        leave, stay = success.nonzero().squeeze(1), (~success).nonzero().squeeze(1)
        self.best[rows[leave]] = x_k[leave]
        self.rows = rows[stay]
        self.y, self.random, self.ball = self.y[stay], self.random.take(stay.cpu()), self.ball.take(stay)
        self.target = None if self.target is None else self.target[stay]
        self.tau = None if self.tau is None else self.tau[stay]
        return stay

    def result(self, x_k: Tensor) -> Tensor:
        """(n, *shape). x_k: the last iterate of the samples that never left."""
        if self.leaves:
            self.best[self.rows] = x_k
        return self.best if self.judged else x_k

    def notes(self) -> dict[str, Tensor]:
        if not self.watches:
            return {}
        notes = {"vanished_gradient": ~(self.weakest >= self.least)}
        if self.saturated is not None:
            notes["saturated"] = self.saturated
        return {name: note.to(self.weakest.dtype) for name, note in notes.items()}
