"""From raw tables to tasks: split, scale by the training rows, box around all rows."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark_core import Task

from .catalogue import TabularParams
from .split import stratified_split


def tabular_task(
    x: NDArray[np.number],
    y: NDArray[np.integer],
    params: TabularParams,
    *,
    classes: Iterable[str],
    features: Iterable[str],
    favourable: int | None = None,
) -> Task:
    """A Task of a table x (N, F) with labels y (N,). Features constant in training are only shifted."""
    train, test = stratified_split(y, params)
    if params.scale == "minmax":
        shift, span = x[train].min(0), np.ptp(x[train], axis=0)
    else:
        shift, span = x[train].mean(0), x[train].std(0)
    scaled = torch.from_numpy((x - shift) / np.where(span > 0, span, 1.0)).float()
    labels = torch.from_numpy(y).long()
    x_train = scaled[train]
    return Task(
        x_train=x_train,
        y_train=labels[train],
        x_test=scaled[test],
        y_test=labels[test],
        lower=scaled.amin(0),
        upper=scaled.amax(0),
        mutable=torch.ones(scaled.shape[1], dtype=torch.bool),
        mean=x_train.mean(0),
        std=x_train.std(0, correction=0).clamp_min(1e-6),
        classes=tuple(map(str, classes)),
        features=tuple(map(str, features)),
        favourable=favourable,
    )
