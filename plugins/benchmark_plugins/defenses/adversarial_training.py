"""Adversarial training with any attack as the adversary."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmark_core import Context, Defense, SampleRandom, Task

from .training import fit, on_device


class AdversarialTraining(Defense):
    """min_theta mean_i w CE(f_theta(x_i), y_i) + (1 - w) CE(f_theta(x_i^adv), y_i), with x_i^adv from the
    attack against the current weights (Madry et al. 2018; the mixture: Goodfellow et al. 2015).

    The attack meets the model as it would in a benchmark: frozen and in eval mode. A term of weight 0 is not
    computed, so w = 1 is standard training.
    """

    def train(self, model: nn.Module, task: Task, ctx: Context) -> nn.Module:
        model, task = model.to(ctx.device), on_device(task, ctx.device)
        attack, w = ctx.method(self.params.attack), self.params.clean_weight
        weights = [p for p in model.parameters() if p.requires_grad]
        inner = dataclasses.replace(
            ctx, task=task, goal="training", target=None, notes={}, progress=lambda done, total: None
        )

        def loss(x: Tensor, y: Tensor, random: SampleRandom) -> Tensor:
            if w == 1:
                return cross_entropy(model(x), y)
            inner.random = random
            with _frozen(model, weights):
                x_adv = attack.perturb(model, x, y, inner).x_adv.detach()
            adversarial = cross_entropy(model(x_adv), y)
            return adversarial if w == 0 else w * cross_entropy(model(x), y) + (1 - w) * adversarial

        return fit(model, task, ctx, self.params, loss)


@contextmanager
def _frozen(model: nn.Module, weights: Iterable[nn.Parameter]) -> Iterator[None]:
    """In eval mode and without gradients of the trained weights; afterwards with them, in train mode."""
    model.eval()
    for p in weights:
        p.requires_grad = False
    try:
        yield
    finally:
        for p in weights:
            p.requires_grad = True
        model.train()
