"""Saliency: the plain input gradient, on request absolute or times the input."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmark_core import Attribution, Context, Explainer

from .catalogue import SaliencyParams
from .objective import blocks, explained_class, explained_output


class Saliency(Explainer):
    """A(x) = dF(x)/dx (Simonyan et al. 2013), one forward and one backward pass per sample."""

    params: SaliencyParams

    def explain(self, model: nn.Module, x: Tensor, y: Tensor, ctx: Context) -> Attribution:
        """x: (n, *shape), y: (n,). Values: (n, *shape), in output units per input unit; with
        `times_input` in output units."""
        p = self.params
        values = torch.empty_like(x)
        for rows in blocks(x, ctx):
            point = x[rows].detach().requires_grad_()
            logits = model(point)
            target = None if ctx.target is None else ctx.target[rows]
            classes = explained_class(p.of, logits, y[rows], target)
            (values[rows],) = torch.autograd.grad(explained_output(p.output, logits, classes).sum(), point)
            ctx.progress(rows.stop, len(x))
        if p.times_input:
            values *= x
        return Attribution(values.abs_() if p.absolute else values)
