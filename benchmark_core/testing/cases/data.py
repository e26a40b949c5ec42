"""Datasets: finite and scaled, classes without gaps, a training set that does not know the test set."""

from __future__ import annotations

import torch
from torch import Tensor

from ...interfaces import Task
from ...run.checks import check_task
from ...spec import DatasetSpec
from ..harness import Trial, engine_accepts, expect
from .table import case

#: Real tables have a few rows twice; more than this share of the test set is a leak.
SHARED = 0.05


@case("dataset", rank=1, read="tasks")
def gives_a_task(trial: Trial) -> None:
    task = trial.call().result
    with engine_accepts("a Task: finite inputs inside the box, int64 labels in 0..K-1"):
        check_task(trial.ref, task)
    shape = task.shape
    kind = "image" if task.is_image else "tabular"
    assert isinstance(trial.spec, DatasetSpec)
    expect(
        kind == trial.spec.input, f"samples that are {trial.spec.input}, as the spec says", f"shape {shape}"
    )
    for name in ("x_train", "x_test"):
        dtype = getattr(task, name).dtype
        expect(dtype == torch.float32, "float32 inputs", f"{name} is {dtype}")
    for name in ("lower", "upper", "mutable"):
        found = tuple(getattr(task, name).shape)
        expect(found == shape, f"{name} of the shape of a sample, {shape}", f"it has {found}")
    expect(task.mutable.dtype == torch.bool, "mutable is bool", f"it is {task.mutable.dtype}")
    expect((task.lower <= task.upper).all(), "lower <= upper", "a lower bound lies above its upper one")
    expect((task.std > 0).all(), "std > 0, also for constant features", "a std is 0 or less")
    expect(
        task.is_image or len(task.features) == shape[0],
        f"a name for each of the {shape[0]} features",
        f"{len(task.features)} names",
    )
    known = task.favourable is None or 0 <= task.favourable < task.n_classes
    expect(known, f"a favourable class in 0..{task.n_classes - 1}", f"it is {task.favourable}")


@case("dataset", read="tasks")
def has_samples_of_every_class(trial: Trial) -> None:
    task: Task = trial.call().result
    for part in ("train", "test"):
        counts = torch.bincount(getattr(task, f"y_{part}"), minlength=task.n_classes)
        empty = [task.classes[c] for c in (counts == 0).nonzero().flatten().tolist()]
        expect(
            not empty,
            f"each of the {task.n_classes} classes has samples in the training and in the test set",
            f"y_{part} has none of {', '.join(empty[:5])}",
        )


@case("dataset", read="tasks")
def keeps_its_test_set_apart(trial: Trial) -> None:
    task: Task = trial.call().result
    train = set(map(bytes, _rows(task.x_train)))
    shared = sum(bytes(row) in train for row in _rows(task.x_test))
    expect(
        shared <= SHARED * len(task.x_test),
        "test samples that are not in the training set (a few rows may be there twice)",
        f"{shared} of {len(task.x_test)} test samples are training samples too",
    )


def _rows(x: Tensor) -> list[bytes]:
    return [row.tobytes() for row in x.flatten(1).contiguous().numpy()]


@case("dataset", read="tasks")
def normalises_by_training_inputs(trial: Trial) -> None:
    task: Task = trial.call().result
    x = task.x_train.double()
    spread = x.std().clamp_min(1e-6)
    own = _grouped(x, task.mean).mean(1)
    off = (task.mean.flatten().double() - own).abs().max()
    expect(off <= 1e-3 * spread, "mean is that of the training inputs", f"it is off by {float(off):.3g}")
    values = _grouped(x, task.std)
    own, given = values.std(1, correction=0), task.std.flatten().double()
    m = values.shape[1]
    most = own * (m / max(m - 1, 1)) ** 0.5  # dividing by m or by m - 1, both are in use
    varies = own > 1e-6 * spread  # a constant feature has any std above 0
    wrong = varies & ((given < own * (1 - 1e-3)) | (given > most * (1 + 1e-3)))
    expect(
        not wrong.any(),
        "std is that of the training inputs (any above 0 where they are constant)",
        f"{int(wrong.sum())} of {len(own)} are another, such as {float(given[wrong][0]):.4g} instead of "
        f"{float(own[wrong][0]):.4g}"
        if wrong.any()
        else "",
    )


def _grouped(x: Tensor, like: Tensor) -> Tensor:
    """(k, m) the values of x that each of the k entries of a mean or std stands for: all of them, those of a
    channel, or those of a feature."""
    if like.numel() == 1:
        return x.reshape(1, -1)
    if like.numel() == x[0].numel():
        return x.flatten(1).T
    return x.transpose(0, 1).flatten(1)
