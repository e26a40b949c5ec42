"""Integrated gradients, with correct quadrature rules and single or sampled baselines."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from benchmark_core import Attribution, Context, Explainer
from benchmark_core.kernels.path import path_integral, path_rule

from .catalogue import IntegratedGradientsParams
from .objective import explained_class, explained_output, logits_of, pass_size


class IntegratedGradients(Explainer):
    """IG_i(x) = (x_i - b_i) int_0^1 dF/dx_i (b + a (x - b)) da (Sundararajan et al. 2017, eq. 1).

    The integral is a sum over `steps` nodes; many nodes and samples share one forward and backward pass.
    With `baseline: set` values and delta are means over the drawn baselines. The values add up to
    delta = F(x) - F(b) up to the error of the quadrature, which `completeness-gap` reports.
    """

    params: IntegratedGradientsParams

    def explain(self, model: nn.Module, x: Tensor, y: Tensor, ctx: Context) -> Attribution:
        """x: (n, *shape), y: (n,). Values: (n, *shape), in units of the output."""
        if not len(x):
            return Attribution(torch.zeros_like(x), delta=x.new_zeros(0))
        p = self.params
        alpha, weight = path_rule(p.rule, p.steps)
        logits = logits_of(model, x, ctx)
        classes = explained_class(p.of, logits, y, ctx.target)
        max_points = pass_size(x, ctx)

        def gradient(points: Tensor, rows: slice) -> Tensor:
            points.requires_grad_()
            part = classes[rows]
            output = explained_output(p.output, model(points), part.repeat(len(points) // len(part)))
            return torch.autograd.grad(output.sum(), points)[0]

        values, baseline_output = torch.zeros_like(x), torch.zeros_like(logits[:, 0])
        draws = p.baseline_draws if p.baseline == "set" else 1
        for done, baseline in enumerate(self._baselines(x, ctx), start=1):
            integral = path_integral(gradient, x, baseline, alpha, weight, max_points)
            values.addcmul_(x - baseline, integral, value=1 / draws)
            at_baseline = logits_of(model, baseline, ctx).expand_as(logits)
            baseline_output += explained_output(p.output, at_baseline, classes) / draws
            ctx.progress(done, draws)
        return Attribution(values, delta=explained_output(p.output, logits, classes) - baseline_output)

    def _baselines(self, x: Tensor, ctx: Context) -> Iterator[Tensor]:
        """The baselines, one after the other: (1, *shape), or (n, *shape) where samples have their own."""
        p = self.params
        match p.baseline:
            case "zero":
                yield torch.zeros_like(x[:1])
            case "given":
                yield torch.full_like(x[:1], p.baseline_value)
            case "mean":
                yield ctx.task.x_train.mean(0, keepdim=True).to(x)
            case "set":
                train = ctx.task.x_train
                for rows in ctx.random.integers(len(train), p.baseline_draws).to(train.device).unbind(1):
                    yield train[rows].to(x)
