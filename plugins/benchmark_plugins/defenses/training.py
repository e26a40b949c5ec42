"""The minibatch loop that trained defenses share; they differ in the loss of a batch."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmark_core import Context, SampleRandom, Task

from .catalogue import TrainingParams

BatchLoss = Callable[[Tensor, Tensor, SampleRandom], Tensor]
"""(x (b, *shape), y (b,), random) -> the mean loss of the batch. random: draws for its samples, new in each
epoch."""


def on_device(task: Task, device: torch.device) -> Task:
    """The task with all of its tensors on `device`."""
    tensors = {
        f.name: value.to(device)
        for f in dataclasses.fields(task)
        if isinstance(value := getattr(task, f.name), Tensor)
    }
    return dataclasses.replace(task, **tensors)


def fit(model: nn.Module, task: Task, ctx: Context, params: TrainingParams, loss: BatchLoss) -> nn.Module:
    """Minimise `loss` over the training set, in place; the model must be on `ctx.device`.

    Here, unlike in attacks, losses are averaged over the batch, so that `lr` means the same for any batch
    size. Shuffles and the seed of each epoch's draws come from `ctx.generator`, whether or not the loss uses
    the draws: all defenses meet the same batches at the same seed.
    Notes: `train_loss` (mean of the last epoch, as optimised) and `train_accuracy` (clean, after training).
    Raises RuntimeError as soon as an epoch ends with a loss that is not finite.
    """
    x, y = task.x_train.to(ctx.device), task.y_train.to(ctx.device)
    optimizer = _optimizer(model, params)
    samples = torch.arange(len(x))
    mean = math.nan
    for epoch in range(1, params.epochs + 1):
        model.train()
        random = SampleRandom(int(torch.randint(2**62, (), generator=ctx.generator)), samples)
        order = torch.randperm(len(x), generator=ctx.generator)
        total = torch.zeros((), device=ctx.device)
        # draws live on the CPU, data on the device; there, the order is moved once an epoch
        batches = zip(order.split(params.batch), order.to(ctx.device).split(params.batch), strict=True)
        for ids, rows in batches:
            value = loss(x.index_select(0, rows), y.index_select(0, rows), random.take(ids))
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            optimizer.step()
            total += value.detach() * len(rows)
        mean = total.item() / len(x)
        if not math.isfinite(mean):
            raise RuntimeError(
                f"training diverged: the loss is {mean} after epoch {epoch} of {params.epochs}; lower lr "
                f"(now {params.lr:g})"
            )
        ctx.progress(epoch, params.epochs)
    ctx.note("train_loss", mean)
    ctx.note("train_accuracy", _accuracy(model, x, y, ctx.batch_size))
    return model


def _optimizer(model: nn.Module, params: TrainingParams) -> torch.optim.Optimizer:
    weights = [p for p in model.parameters() if p.requires_grad]
    if params.optimizer == "adam":
        return torch.optim.Adam(weights, lr=params.lr, weight_decay=params.weight_decay)
    return torch.optim.SGD(weights, lr=params.lr, momentum=params.momentum, weight_decay=params.weight_decay)


@torch.no_grad()
def _accuracy(model: nn.Module, x: Tensor, y: Tensor, batch_size: int) -> float:
    model.eval()
    hits = [
        (model(a).argmax(1) == b).sum() for a, b in zip(x.split(batch_size), y.split(batch_size), strict=True)
    ]
    return torch.stack(hits).sum().item() / len(y)
