"""Which test samples a cell group works on, and at which classes it aims."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import RobexError
from ..interfaces import Selection, Task
from ..random import SampleRandom
from ..suite.model import Wish


def select_samples(wish: Wish, task: Task, model: nn.Module | None, seed: int, batch_size: int) -> Selection:
    """The first `wish.samples` eligible rows of a seeded shuffle, in the order of the test set.

    A larger `samples` therefore keeps the rows of a smaller one. Targets are classes other than the one the
    model predicts now: aiming at that would be no task. Samples selected as `negative` aim at the favourable
    class. Raises RobexError when nobody is eligible or the targets make no sense for this task.
    """
    n = len(task.x_test)
    order = torch.argsort(SampleRandom(seed, torch.arange(n)).uniform().cpu(), stable=True)
    y = predicted = task.y_test.cpu()
    if wish.needs_model:
        assert model is not None
        predicted = _predictions(model, task.x_test, batch_size)
        if wish.select == "correct":
            order = order[(predicted == y)[order]]
        elif wish.select == "negative" and task.favourable is None:
            raise RobexError("select: negative needs a dataset with a favourable class; this one names none")
        elif wish.select == "negative":
            order = order[(predicted != task.favourable)[order]]
    if wish.select == "class-balanced":
        order = _balanced(order, y, wish.samples)
    elif wish.samples is not None:
        order = order[: wish.samples]
    if len(order) == 0:
        raise RobexError(f"select: {wish.select} leaves no sample of {n}")
    index = order.sort().values
    target = None
    if wish.targets != "none" and wish.select == "negative":
        target = torch.full_like(index, task.favourable or 0)
    elif wish.targets != "none":
        index, target = _aim(wish.targets, index, predicted[index], task.n_classes, seed)
    index = index.to(task.x_test.device)
    return Selection(index, task.y_test[index], None if target is None else target.to(index.device))


def _predictions(model: nn.Module, x: Tensor, batch_size: int) -> Tensor:
    with torch.no_grad():
        return torch.cat([model(batch).argmax(1) for batch in x.split(batch_size)]).cpu()


def _balanced(order: Tensor, y: Tensor, samples: int | None) -> Tensor:
    """Equally many of each class: as many as the rarest has, or samples / K rounded down."""
    classes = y.unique()
    per_class = min(int((y == c).sum()) for c in classes)
    if samples is not None:
        per_class = min(per_class, samples // len(classes))
        if per_class == 0:
            raise RobexError(f"select: class-balanced needs at least {len(classes)} samples, got {samples}")
    return torch.cat([order[y[order] == c][:per_class] for c in classes])


def _aim(targets: str, index: Tensor, predicted: Tensor, k: int, seed: int) -> tuple[Tensor, Tensor]:
    if targets == "opposite" and k != 2:
        raise RobexError(f"targets: opposite needs two classes, this task has {k}; use random, next or all")
    if targets in ("next", "opposite"):
        return index, (predicted + 1) % k
    if targets == "random":
        return index, (predicted + 1 + SampleRandom(seed + 1, index).integers(k - 1)) % k
    others = (predicted[:, None] + torch.arange(1, k)) % k
    return index.repeat_interleave(k - 1), others.flatten()
