"""Standard training."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmark_core import Context, Defense, SampleRandom, Task

from .training import fit


class Standard(Defense):
    """Empirical risk minimisation: min_theta mean_i CE(f_theta(x_i), y_i)."""

    def train(self, model: nn.Module, task: Task, ctx: Context) -> nn.Module:
        model = model.to(ctx.device)

        def loss(x: Tensor, y: Tensor, random: SampleRandom) -> Tensor:
            return cross_entropy(model(x), y)

        return fit(model, task, ctx, self.params, loss)
