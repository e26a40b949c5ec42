"""Samples of a classifier's class-conditional distribution, made once per model and shared."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from benchmark_core import Context, State, Task
from benchmark_core.kernels.sgld import sgld_step

from .catalogue import SgldSamplesParams


class SgldSamples(State):
    """Stochastic gradient Langevin dynamics on E(x) = -f_c(x), all chains of all classes side by side.

    improper: x <- x - (step / 2) grad E(x) + noise N(0, I)   (step 2, noise 0.01: Grathwohl et al. 2020)
    proper:   x <- x - (e_k / 2) grad E(x) + e_k N(0, I),  e_k = a (b + k)^-decay, k = 1, 2, ...

    Energies of chains are summed, never averaged: a chain's steps do not depend on how many run beside it
    (EnergySamplers.jl averages; its drift shrinks with the batch). The noise of the proper form has the scale
    e_k, as there, where theory has its square root.

    The noise of a step is that of `benchmark_core.kernels.sgld`: the same on every device.

    x: (K, chains, *shape), each class by ascending energy; energy: (K, chains).
    Notes: `energy` and `farthest`, the means of the energies and of the largest |x_i| of a chain.
    Raises ValueError when a chain leaves the finite numbers.
    """

    params: SgldSamplesParams

    def prepare(self, model: nn.Module | None, task: Task, ctx: Context) -> Mapping[str, Tensor]:
        assert model is not None
        p = self.params
        flat = task.x_train.flatten(1).to(torch.float64)
        mean, sd = flat.mean(0), flat.std(0, correction=0)
        low, high = float((mean - p.width * sd).min()), float((mean + p.width * sd).max())
        if not high > low:
            raise ValueError("sgld-samples: the training inputs are constant; there is nothing to sample")

        total = task.n_classes * p.chains
        classes = torch.arange(task.n_classes, device=ctx.device).repeat_interleave(p.chains)
        start = torch.rand(total, *task.shape, generator=ctx.generator, dtype=torch.float64)
        x = (low + (high - low) * start).to(task.x_train.dtype).to(ctx.device)
        walls = (task.lower.to(x), task.upper.to(x)) if p.clip == "box" else ()
        seed = int(torch.randint(1 << 62, (), generator=ctx.generator))
        for k in range(1, p.steps + 1):
            drift, scale = self._sizes(k, high - low)
            x = sgld_step(x, self._gradient(model, x, classes, ctx), 2 * drift, scale, seed, k, *walls)
            ctx.progress(k, p.steps)
        energy = torch.cat([
            -model(rows).gather(1, c[:, None])[:, 0].detach()
            for rows, c in zip(x.split(ctx.batch_size), classes.split(ctx.batch_size), strict=True)
        ])  # fmt: skip
        if not (x.isfinite().all() and energy.isfinite().all()):
            raise ValueError(
                "sgld-samples: a chain left the finite numbers; take a smaller step or clip: box"
            )
        ctx.note("energy", energy.mean().item())
        ctx.note("farthest", x.flatten(1).abs().amax(1).mean().item())
        energy = energy.view(task.n_classes, p.chains)
        order = torch.argsort(energy, dim=1, stable=True)
        x = x.view(task.n_classes, p.chains, -1)
        x = x.gather(1, order[:, :, None].expand_as(x)).view(task.n_classes, p.chains, *task.shape)
        return {"x": x, "energy": energy.gather(1, order)}

    def _sizes(self, k: int, width: float) -> tuple[float, float]:
        """What the gradient and the noise of step k are multiplied with."""
        p = self.params
        if p.form == "improper":
            return p.step / 2, p.noise
        e_k = 2 * width * (p.steps / 100 + k) ** -p.decay
        return e_k / 2, e_k

    def _gradient(self, model: nn.Module, x: Tensor, classes: Tensor, ctx: Context) -> Tensor:
        """grad E = -grad f_c at every chain."""
        parts = []
        for rows, c in zip(x.split(ctx.batch_size), classes.split(ctx.batch_size), strict=True):
            z = rows.requires_grad_()
            parts.append(torch.autograd.grad(-model(z).gather(1, c[:, None]).sum(), z)[0])
        return torch.cat(parts)
