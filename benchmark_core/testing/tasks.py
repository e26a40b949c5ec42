"""Small tasks and ready contexts, as the engine would give them, for tests of single methods."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..interfaces import Context, MetricContext, Task
from ..random import SampleRandom


def make_task(
    x_train: Tensor,
    y_train: Tensor,
    x_test: Tensor,
    y_test: Tensor,
    *,
    bounds: tuple[float, float] | None = None,
) -> Task:
    """A Task around given tensors; the box is `bounds`, or the range of the data feature by feature."""
    both = torch.cat([x_train, x_test])
    shape = both.shape[1:]
    lower = both.amin(0) if bounds is None else torch.full(shape, bounds[0], dtype=both.dtype)
    upper = both.amax(0) if bounds is None else torch.full(shape, bounds[1], dtype=both.dtype)
    return Task(
        x_train=x_train,
        y_train=y_train,
        x_test=x_test,
        y_test=y_test,
        lower=lower,
        upper=upper,
        mutable=torch.ones(shape, dtype=torch.bool),
        mean=x_train.mean(0),
        std=x_train.std(0).clamp_min(1e-6),
        classes=tuple(str(c) for c in range(int(torch.cat([y_train, y_test]).max()) + 1)),
        features=tuple(f"x{i}" for i in range(shape[0])) if len(shape) == 1 else (),
    )


def blobs(n: int = 120, features: int = 5, classes: int = 3, seed: int = 0) -> Task:
    """Gaussian blobs in [0, 1]^features, two thirds for training."""
    g = torch.Generator().manual_seed(seed)
    centres = 0.25 + 0.5 * torch.rand(classes, features, generator=g)
    y = torch.arange(n) % classes
    x = (centres[y] + 0.08 * torch.randn(n, features, generator=g)).clamp(0, 1)
    cut = 2 * n // 3
    return make_task(x[:cut], y[:cut], x[cut:], y[cut:], bounds=(0.0, 1.0))


def make_context(task: Task, n: int, *, seed: int = 0, ids: Tensor | None = None, **fields: Any) -> Context:
    """The context of a call with n samples. Fields (`target`, `goal`, `states`, ...) as in `Context`."""
    return Context(**_fields(task, n, seed, ids), **fields)


def make_metric_context(
    task: Task, x: Tensor, y: Tensor, *, seed: int = 0, ids: Tensor | None = None, **fields: Any
) -> MetricContext:
    """The context of `Metric.measure` for inputs x with labels y."""
    return MetricContext(**_fields(task, len(x), seed, ids), x=x, y=y, **fields)


def _fields(task: Task, n: int, seed: int, ids: Tensor | None) -> dict[str, Any]:
    return {
        "task": task,
        "device": torch.device("cpu"),
        "generator": torch.Generator().manual_seed(seed),
        "random": SampleRandom(seed, torch.arange(n) if ids is None else ids),
    }
