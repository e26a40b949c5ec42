"""Score-based counterfactuals (Wachter): proximal Adam on all samples at once, each with its own lam."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark_core import Context, Counterfactual, Explainer

from .catalogue import ScfeParams
from .objective import blocks, logits_of

_BETA_1, _BETA_2, _ADAM_EPS = 0.9, 0.999, 1e-8
_CALM = 5  # iterations below tol: at a turning point momentum stands still for one or two


@dataclass
class _Search:
    """The samples still searching, one row each.

    row: where the sample stands in the answer. k: iterations with this lam; tries: values of lam so far;
    calm: iterations in a row that moved no feature by more than tol. z: the iterate; m, v, v_max: moments of
    Adam.
    """

    row: Tensor
    x: Tensor
    target: Tensor
    low: Tensor
    high: Tensor
    z: Tensor
    m: Tensor
    v: Tensor
    v_max: Tensor
    lam: Tensor
    k: Tensor
    tries: Tensor
    calm: Tensor

    def keep(self, mask: Tensor) -> None:
        for f in fields(self):
            setattr(self, f.name, getattr(self, f.name)[mask])


class Scfe(Explainer):
    """min over x' in the box of l(f(x')) + lam d(x, x'), f = z_t - max_{j != t} z_j (Wachter et al. 2018).

    Adam with amsgrad on l; the distance is part of the gradient for l2 and a proximal step for l1. A
    subgradient of |x' - x| would rattle around x by the step size for ever: no feature would stay unchanged.
    The proximal step in Adam's metric D = diag(sqrt(v_max)) / lr, a soft threshold at lam / D_ii, has exact
    zeros, and its fixed points are the stationary points of the objective; the box is separable and joins it
    as a clip.

    `nearest`: lam is halved, from where the search stands, until a valid iterate has been found and the
    search has converged; the valid iterate at the smallest distance is returned. Losses use logits, whose
    gradient does not vanish where probabilities saturate. Immutable features never move. A sample that
    the model already gives to its target is its own counterfactual.

    Notes: `valid` (1 where a fresh prediction is the target); a sample without any valid iterate gets the one
    with the highest margin. `lam`: the last weight tried.
    """

    params: ScfeParams

    def explain(self, model: nn.Module, x: Tensor, y: Tensor, ctx: Context) -> Counterfactual:
        """x: (n, *shape), y: (n,), targets from `ctx.target` (n,)."""
        if ctx.target is None:
            raise ValueError("scfe needs a selection with targets; add e.g. 'targets: random'")
        x_cf, lam = x.detach().clone(), x.new_empty(len(x))
        for rows in blocks(x, ctx):
            x_cf[rows], lam[rows] = self._search(model, x[rows].detach(), ctx.target[rows], ctx)
            ctx.progress(rows.stop, len(x))
        valid = logits_of(model, x_cf, ctx).argmax(1) == ctx.target if len(x) else x.new_empty(0)
        return Counterfactual(x_cf, notes={"valid": valid.to(x), "lam": lam})

    def _search(self, model: nn.Module, x: Tensor, target: Tensor, ctx: Context) -> tuple[Tensor, Tensor]:
        """The answers (n, *shape) and the last lam (n,) of a block of samples."""
        p = self.params
        n = len(x)
        best, last_lam = x.clone(), x.new_empty(n)
        best_distance, best_margin = x.new_full((n,), torch.inf), x.new_full((n,), -torch.inf)
        s = _start(x, target, p.lam, ctx)
        while len(s.row):
            margin, valid, gradient = self._evaluate(model, s)
            distance = self._distance(s.z - s.x)

            # keep the nearest valid iterate; before there is one, the highest margin
            found = best_distance[s.row] < torch.inf
            better = torch.where(
                valid, distance < best_distance[s.row], ~found & (margin > best_margin[s.row])
            )
            at_start = valid & (distance == 0)
            converged = (s.k >= p.steps) | (s.calm >= _CALM)
            if p.answer == "minimiser":
                better, finished = converged | at_start, converged | at_start
            else:
                finished = at_start | converged & (found | valid | (s.tries >= p.rounds))
            rows = s.row[better]
            best[rows] = s.z[better]
            best_margin[rows] = margin[better]
            best_distance[rows] = torch.where(valid, distance, torch.inf)[better]

            if converged.any() or finished.any():
                last_lam[s.row[finished]] = s.lam[finished]
                _restart(s, converged & ~finished)
                s.keep(~finished)
                gradient = gradient[~finished]
            self._step(s, gradient)
        return best, last_lam

    def _evaluate(self, model: nn.Module, s: _Search) -> tuple[Tensor, Tensor, Tensor]:
        """Margin f (m,), whether it is valid (m,), and the loss's gradient (m, *shape) at the iterates."""
        p = self.params
        z = s.z.requires_grad_()
        logits = model(z)
        own = logits.gather(1, s.target[:, None])[:, 0]
        others = logits.scatter(1, s.target[:, None], -torch.inf).max(1).values
        f = own - others
        match p.loss:
            case "squared":
                loss = (f - p.score) ** 2
            case "hinge":
                loss = functional.relu(p.score - f)
            case "cross-entropy":
                loss = functional.cross_entropy(logits, s.target, reduction="none")
        (gradient,) = torch.autograd.grad(loss.sum(), z)
        s.z = z.detach()
        f, logits = f.detach(), logits.detach()
        # a margin within rounding of 0 could flip in another batch: it does not count
        rounding = 16 * torch.finfo(f.dtype).eps * logits.abs().amax(1)
        return f, f > rounding, gradient

    def _distance(self, w: Tensor) -> Tensor:
        """d of differences w (m, *shape): (m,)."""
        return w.flatten(1).abs().sum(1) if self.params.distance == "l1" else w.flatten(1).square().sum(1)

    def _step(self, s: _Search, gradient: Tensor) -> None:
        """One step of proximal Adam (amsgrad) for every row, in place."""
        p = self.params
        s.k += 1
        lam, k = _column(s.lam, s.x), _column(s.k, s.x)
        if p.distance == "l2":
            gradient = gradient + 2 * lam * (s.z - s.x)
        s.m.lerp_(gradient, 1 - _BETA_1)
        s.v.lerp_(gradient.square(), 1 - _BETA_2)
        torch.maximum(s.v_max, s.v, out=s.v_max)
        step = p.lr / ((s.v_max / (1 - _BETA_2**k)).sqrt() + _ADAM_EPS)
        w = s.z - step * s.m / (1 - _BETA_1**k) - s.x
        if p.distance == "l1":
            w = functional.relu(w.abs() - lam * step).copysign(w)
        z = (s.x + w).clamp(s.low, s.high)
        calm = (z - s.z).abs().flatten(1).amax(1) <= p.tol
        s.calm = torch.where(calm, s.calm + 1, 0) if p.tol > 0 else s.calm
        s.z = z


def _start(x: Tensor, target: Tensor, lam: float, ctx: Context) -> _Search:
    task = ctx.task
    mutable = task.mutable.to(x.device)
    zero = torch.zeros_like(x)
    count = torch.zeros_like(target)
    return _Search(
        row=torch.arange(len(x), device=x.device),
        x=x,
        target=target,
        # an immutable feature may only be what it is, wherever that lies
        low=torch.where(mutable, task.lower.to(x), x),
        high=torch.where(mutable, task.upper.to(x), x),
        z=x.clone(),
        m=zero,
        v=zero.clone(),
        v_max=zero.clone(),
        lam=x.new_full((len(x),), lam),
        k=count,
        tries=count + 1,
        calm=count.clone(),
    )


def _restart(s: _Search, rows: Tensor) -> None:
    """Half the lam and a fresh Adam for some rows, from where they stand."""
    s.lam = torch.where(rows, s.lam / 2, s.lam)
    s.tries = s.tries + rows
    s.k = torch.where(rows, 0, s.k)
    s.calm = torch.where(rows, 0, s.calm)
    for moment in (s.m, s.v, s.v_max):
        moment[rows] = 0


def _column(values: Tensor, like: Tensor) -> Tensor:
    """(m,) values against (m, *shape)."""
    return values.view(-1, *(1,) * (like.ndim - 1))
