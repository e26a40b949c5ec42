"""The quantile that turns a classifier's probabilities into conformal prediction sets."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction

import torch
from torch import Tensor, nn

from benchmark_core import Context, State, Task

from .catalogue import ConformalQuantileParams


class ConformalQuantile(State):
    """qhat: (1,), the ceil((n + 1) coverage)-th smallest of the scores 1 - p_label of n calibration samples.

    The set of an input x is {c : 1 - p_c(x) <= qhat}. When ceil((n + 1) coverage) > n, qhat is 1: every class
    is in every set. The calibration samples are training data, which the model has seen: its sets are
    smaller than those of a model trained on the other half, and the coverage is not guaranteed.
    """

    params: ConformalQuantileParams

    def prepare(self, model: nn.Module | None, task: Task, ctx: Context) -> Mapping[str, Tensor]:
        assert model is not None
        p = self.params
        n = max(1, round(p.share * len(task.x_train)))
        rows = torch.randperm(len(task.x_train), generator=ctx.generator)[:n]
        x, y = task.x_train[rows].to(ctx.device), task.y_train[rows].to(ctx.device)
        with torch.no_grad():
            logits = torch.cat([model(batch) for batch in x.split(ctx.batch_size)])
        scores = 1 - logits.softmax(1).gather(1, y[:, None])[:, 0]
        k = math.ceil((n + 1) * Fraction(str(p.coverage)))  # 180 x 0.55 is 99, in floats more
        qhat = scores.kthvalue(max(1, k)).values if k <= n else scores.new_tensor(1.0)
        ctx.note("qhat", qhat.item())
        return {"qhat": qhat.view(1)}
