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
    mean = torch.broadcast_to(task.mean, task.shape)
    own = task.x_train.double().mean(0)
    per_feature = mean.flatten() if task.mean.numel() == own.numel() else None
    if per_feature is None:  # a mean a channel, or one for all
        own = torch.stack([own.mean()]) if task.mean.numel() == 1 else own.flatten(1).mean(1)
        per_feature = task.mean.flatten()
    spread = task.x_train.double().std().clamp_min(1e-6)
    off = (per_feature.double() - own.flatten()).abs().max()
    expect(off <= 1e-3 * spread, "mean is that of the training inputs", f"it is off by {float(off):.3g}")
