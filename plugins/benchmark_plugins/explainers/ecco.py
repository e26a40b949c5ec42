"""Energy-constrained counterfactuals (ECCo), and with a conformal penalty ECCCo: gradient descent on all
samples at once, each stopping by itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark_core import Context, Counterfactual, Explainer

from .catalogue import EccoParams
from .objective import blocks, logits_of

_BLOCK = 1 << 20  # numbers: a step has twenty small operations, which cost less a sample in larger blocks
_BETA_1, _BETA_2, _ADAM_EPS = 0.9, 0.999, 1e-8


@dataclass
class _Search:
    """The samples still searching, one row each. Its tensors are its own: they are written over.

    row: where the sample stands in the answer. x: the factual; z: the iterate; m, v: moments of Adam.
    steep: (m, 1) the feature whose entry of the gradient was the largest when last all were looked at.
    work: memory for what is needed for a moment; fresh memory at every step would cost as much as the step.
    gradient: of the objective at z, while a step needs it.
    """

    row: Tensor
    x: Tensor
    target: Tensor
    z: Tensor
    steep: Tensor
    work: Tensor
    m: Tensor | None = None
    v: Tensor | None = None
    gradient: Tensor | None = None

    def drop(self, done: Tensor) -> None:
        """Forget the samples in these rows, (d,) ascending: others, from the end, move into their places."""
        left = len(self.row) - len(done)
        stays = torch.ones_like(self.row, dtype=torch.bool)
        stays[done] = False
        gaps, last = done[done < left], left + stays[left:].nonzero()[:, 0]
        for f in fields(self):
            if (value := getattr(self, f.name)) is not None:
                value[gaps] = value[last]
                setattr(self, f.name, value[:left])


class Ecco(Explainer):
    """min over x' in the box of CE(f(x'), t) + lam_1 ||x' - x||_1 + lam_2 phi_k (E + r E^2) + lam_3 Omega.

    E(x') = -f_t(x') is the energy of x' given the class t, k = 1, 2, ... the iteration, and phi_k its weight:
    `polynomial` a (b + k)^-rate with b = round(steps / 25), a = b / 10; `exponential` exp(-rate k) in every
    `decay_every`-th iteration and 1 in the others; `none` 1. Omega, the smooth size of the conformal set with
    C_c = sigmoid((qhat - (1 - p_c)) / T), is max(0, sum_c C_c - kappa), or sum_c (1 - C_c) where the set
    {c : 1 - p_c <= qhat} is empty; it counts where p_t >= 1/2.

    Each sample stops before the step at which p_t >= threshold (`boundary`), or at which also no entry of
    the gradient exceeds tol (`target-class`), and after `steps` at the latest; the iterate where it stands is
    the answer. Immutable features never move. Notes, one a sample: `valid` (a fresh prediction is the
    target), `steps` taken, `converged` (stopped by the rule, not by the number of steps).

    Source: Altmeyer et al. 2024, arXiv:2312.10648; constants as in CounterfactualExplanations.jl. There b has
    no lower bound of 1, which switches the energy off below 13 steps.
    """

    params: EccoParams

    def explain(self, model: nn.Module, x: Tensor, y: Tensor, ctx: Context) -> Counterfactual:
        """x: (n, *shape), y: (n,), targets from `ctx.target` (n,)."""
        if ctx.target is None:
            raise ValueError("ecco needs a selection with targets; add e.g. 'targets: random'")
        x = x.detach()
        start = self._start(x, ctx)
        x_cf = torch.empty_like(x)
        steps = x.new_full((len(x),), self.params.steps)
        converged = x.new_zeros(len(x))
        for rows in blocks(x, ctx, _BLOCK):
            x_cf[rows], steps[rows], converged[rows] = self._search(
                model, x[rows], start[rows], ctx.target[rows], ctx
            )
            ctx.progress(rows.stop, len(x))
        logits = logits_of(model, x_cf, ctx) if len(x) else x.new_empty(0, ctx.task.n_classes)
        valid = logits.argmax(1) == ctx.target
        if self.params.until == "boundary":  # the last step may have crossed it
            loss = functional.cross_entropy(logits, ctx.target, reduction="none")
            converged = torch.maximum(converged, (loss <= self._bound(ctx)).to(x))
        return Counterfactual(x_cf, notes={"valid": valid.to(x), "steps": steps, "converged": converged})

    def _start(self, x: Tensor, ctx: Context) -> Tensor:
        """The factual plus noise, inside the box; immutable features as they are."""
        if self.params.start_noise == 0:
            return x.clone()
        start = ctx.random.normal(*x.shape[1:]).to(x).mul_(self.params.start_noise).add_(x)
        _Walls(x, ctx).clamp_(start)
        return start if (fixed := _fixed(x, ctx)) is None else torch.where(fixed, x, start)

    def _search(
        self, model: nn.Module, x: Tensor, start: Tensor, target: Tensor, ctx: Context
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Answers (n, *shape), steps taken and whether the rule stopped them (n,) of a block of samples."""
        p = self.params
        row, steep = torch.arange(len(x), device=x.device), torch.zeros_like(target)[:, None]
        s = _Search(row, x.clone(), target.clone(), start.clone(), steep, torch.empty_like(x))
        if p.optimiser == "adam":
            s.m, s.v = torch.zeros_like(x), torch.zeros_like(x)
        fixed, walls, bound = _fixed(x, ctx), _Walls(x, ctx), self._bound(ctx)
        qhat = ctx.states["conformal"]["qhat"].to(x) if p.lam_set_size > 0 else None
        answer, steps, converged = torch.empty_like(x), x.new_full((len(x),), p.steps), x.new_zeros(len(x))
        for k in range(1, p.steps + 1):
            log_p, s.gradient = self._evaluate(model, s, k, qhat)
            if fixed is not None:
                s.gradient.masked_fill_(fixed, 0)
            done = self._done(s, s.gradient, log_p >= -bound)
            if len(done):
                rows = s.row[done]
                answer[rows], steps[rows], converged[rows] = s.z[done], k - 1, 1
                s.drop(done)
                if not len(s.row):
                    return answer, steps, converged
            walls.clamp_(self._step_(s, s.gradient, k))
            s.gradient = None  # the next one finds its memory warm
            if fixed is not None:  # an immutable feature may lie outside the box
                s.z = torch.where(fixed, s.x, s.z)
        answer[s.row] = s.z
        return answer, steps, converged

    def _evaluate(self, model: nn.Module, s: _Search, k: int, qhat: Tensor | None) -> tuple[Tensor, Tensor]:
        """log p_t (m,) and the gradient of the objective (m, *shape) at the iterates."""
        p = self.params
        z = s.z.requires_grad_()
        logits = model(z)
        # Classes first: a softmax of ten numbers a sample runs six times as fast across the samples.
        f, t = logits.detach().t(), s.target[None]
        log_p = f.log_softmax(0)
        log_p_t = log_p.gather(0, t)
        # The gradient in the logits has a closed form: p - e_t, and (2 r f_t - 1) e_t of the energy.
        if weight := p.lam_energy * self._phi(k):
            at_t = f.gather(0, t).mul_(2 * p.reg).sub_(1).mul_(weight).sub_(1)
        else:
            at_t = torch.full_like(log_p_t, -1)
        of_logits = log_p.exp_().scatter_add_(0, t, at_t).t().contiguous()
        if qhat is not None:
            f = logits.detach().requires_grad_()
            omega = self._set_size(f, s.target, qhat).sum()
            of_logits.add_(torch.autograd.grad(omega, f)[0], alpha=p.lam_set_size)
        (gradient,) = torch.autograd.grad(logits, z, of_logits)
        s.z = z.detach()
        if p.lam_distance:
            gradient.add_(torch.sub(s.z, s.x, out=s.work).sign_(), alpha=p.lam_distance)
        return log_p_t[0], gradient

    def _phi(self, k: int) -> float:
        p = self.params
        match p.decay:
            case "polynomial":
                b = max(1, round(p.steps / 25))
                return b / 10 * (b + k) ** -p.decay_rate
            case "exponential":
                return math.exp(-p.decay_rate * k) if k % p.decay_every == 0 else 1.0
            case "none":
                return 1.0

    def _set_size(self, logits: Tensor, target: Tensor, qhat: Tensor) -> Tensor:
        """Omega: (m,)."""
        p = self.params
        probabilities = logits.softmax(1)
        members = torch.sigmoid((qhat - (1 - probabilities)) / p.temperature)
        size = functional.relu(members.sum(1) - p.kappa)
        empty = (1 - probabilities.detach() > qhat).all(1)
        omega = torch.where(empty, (1 - members).sum(1), size)
        return omega * (probabilities.detach().gather(1, target[:, None])[:, 0] >= 0.5)

    def _bound(self, ctx: Context) -> float:
        """p_t >= threshold where the cross-entropy -log p_t is at most this."""
        gamma = 1 / ctx.task.n_classes if self.params.threshold == "uniform" else self.params.threshold
        return -math.log(gamma) if gamma > 0 else math.inf

    def _done(self, s: _Search, gradient: Tensor, likely: Tensor) -> Tensor:
        """Rows (d,) of the samples that stop: the `likely` ones (m,), where p_t >= threshold, and with
        `target-class` only those of them whose gradient has no entry of tol or more.

        Most have one where they had it before, and then nobody reads the others.
        """
        if self.params.until == "boundary":
            return likely.nonzero()[:, 0]
        g, tol = gradient.flatten(1), self.params.tol
        rows = (g.gather(1, s.steep)[:, 0].abs_() < tol).logical_and_(likely).nonzero()[:, 0]
        if not len(rows):
            return rows
        largest, s.steep[rows] = g[rows].abs_().max(1, keepdim=True)
        return rows[largest[:, 0] < tol]

    def _step_(self, s: _Search, gradient: Tensor, k: int) -> Tensor:
        """The iterate after one step, in place."""
        p = self.params
        if s.m is None or s.v is None:
            return s.z.sub_(gradient, alpha=p.lr)
        s.m.lerp_(gradient, 1 - _BETA_1)
        s.v.lerp_(gradient.square(), 1 - _BETA_2)
        scale = (s.v / (1 - _BETA_2**k)).sqrt_().add_(_ADAM_EPS)
        return s.z.addcdiv_(s.m, scale, value=-p.lr / (1 - _BETA_1**k))


class _Walls:
    """The task's box. Two numbers where it is a cube: half the memory traffic of two tensors."""

    def __init__(self, x: Tensor, ctx: Context) -> None:
        low, high = ctx.task.lower.to(x), ctx.task.upper.to(x)
        cube = len(low.unique()) == len(high.unique()) == 1
        self._box: tuple[Any, Any] = (low.min().item(), high.max().item()) if cube else (low, high)

    def clamp_(self, z: Tensor) -> Tensor:
        return z.clamp_(*self._box)


def _fixed(x: Tensor, ctx: Context) -> Tensor | None:
    """(*shape) the immutable features; None when there are none."""
    fixed = ~ctx.task.mutable.to(x.device)
    return fixed if fixed.any() else None
