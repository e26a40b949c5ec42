"""What counterfactuals are measured beside: inputs that have not moved, and real data of the target class."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmark_core import Context, Counterfactual, Explainer

from .catalogue import FactualParams, RealSampleParams


class Factual(Explainer):
    """x' = x. A plausibility metric scores it well wherever classes lie close together."""

    params: FactualParams

    def explain(self, model: nn.Module, x: Tensor, y: Tensor, ctx: Context) -> Counterfactual:
        """x: (n, *shape), y: (n,)."""
        return Counterfactual(x.detach().clone())


class RealSample(Explainer):
    """x' drawn evenly from the test samples whose label is `ctx.target`: no counterfactual of x at all, but
    what a perfectly plausible one would look like. Immutable features stay those of x."""

    params: RealSampleParams

    def explain(self, model: nn.Module, x: Tensor, y: Tensor, ctx: Context) -> Counterfactual:
        """x: (n, *shape), y: (n,), targets from `ctx.target` (n,). Raises ValueError for a target class that
        has no test sample."""
        if ctx.target is None:
            raise ValueError("real-sample needs a selection with targets; add e.g. 'targets: random'")
        labels = ctx.task.y_test
        order = torch.argsort(labels, stable=True)
        sizes = torch.bincount(labels, minlength=ctx.task.n_classes)
        first = sizes.cumsum(0) - sizes
        target = ctx.target.to(labels.device)
        if missing := sorted({int(c) for c in target[sizes[target] == 0]}):
            names = ", ".join(ctx.task.classes[c] for c in missing)
            raise ValueError(f"real-sample: no test sample of {names}; leave the class out of the targets")
        draw = ctx.random.uniform().to(torch.float64).to(labels.device)
        row = first[target] + (draw * sizes[target]).long()
        drawn = ctx.task.x_test[order[row]].to(x)
        return Counterfactual(torch.where(ctx.task.mutable.to(x.device), drawn, x.detach()))
