"""What the engine checks of every result before it is stored: shapes, numbers, the box, the ball, immutables.

A method that breaks its contract fails its node with one line that says what was expected.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..errors import RobexError
from ..interfaces import Attribution, Counterfactual, Perturbation, Scores, Synthesis, Task
from ..spec import AttackSpec, MethodRef, MetricSpec

_RESULTS = {"perturbation": Perturbation, "attribution": Attribution, "counterfactual": Counterfactual}


class BrokenContract(RobexError):
    """A method returned something that its contract forbids."""


def check_task(ref: MethodRef, task: Any) -> None:
    if not isinstance(task, Task):
        raise BrokenContract(f"dataset {ref.name} returned {_type(task)}, expected a Task")
    for part in ("train", "test"):
        x, y = getattr(task, f"x_{part}"), getattr(task, f"y_{part}")
        _finite(f"dataset {ref.name}: x_{part}", x)
        _expect(len(x) == len(y), f"dataset {ref.name}: {len(x)} inputs x_{part} but {len(y)} labels")
        _expect(y.dtype == torch.int64, f"dataset {ref.name}: y_{part} must be int64, is {y.dtype}")
        in_range = bool(((y >= 0) & (y < task.n_classes)).all())
        _expect(in_range, f"dataset {ref.name}: y_{part} has labels outside 0..{task.n_classes - 1}")
        inside = bool(((x >= task.lower) & (x <= task.upper)).all())
        _expect(inside, f"dataset {ref.name}: x_{part} leaves the box [lower, upper]")


def check_like(what: str, value: Any, x: Tensor) -> None:
    """`value` must be a finite tensor with the shape and dtype of x."""
    _expect(isinstance(value, Tensor), f"{what} must be a tensor, is {_type(value)}")
    _expect(value.shape == x.shape, f"{what} must have shape {tuple(x.shape)}, has {tuple(value.shape)}")
    _expect(value.dtype == x.dtype, f"{what} must be {x.dtype}, is {value.dtype}")
    _finite(what, value)


def check_result(
    ref: MethodRef, spec: Any, produces: str, result: Any, x: Tensor, task: Task, *, clean: bool = True
) -> None:
    """A perturbation, attribution or counterfactual made at x. clean: x itself lies in the box."""
    name = f"{spec.kind} {ref.name}"
    if produces == "synthesis":
        _expect(isinstance(result, Synthesis), f"{name} returned {_type(result)}, expected a Synthesis")
        _finite(f"{name}: images", result.images)
        return
    expected = _RESULTS[produces]
    _expect(isinstance(result, expected), f"{name} returned {_type(result)}, expected {expected.__name__}")
    if isinstance(result, Attribution):
        check_like(f"{name}: values", result.values, x)
        return
    if isinstance(result, Perturbation):
        moved, what = result.x_adv, f"{name}: x_adv"
    else:
        moved, what = result.x_cf, f"{name}: x_cf"
    check_like(what, moved, x)
    tiny = 1e-5 * (task.upper - task.lower).abs().clamp_min(1e-6)
    beyond = torch.maximum(task.lower - moved, moved - task.upper)
    outside = (beyond > tiny).flatten(1).any(1)
    if outside.any():
        raise BrokenContract(
            f"{what} leaves the task's box [lower, upper] by up to {float(beyond.max()):.2g} in "
            f"{int(outside.sum())} of {len(moved)} samples; clamp it"
        )
    if isinstance(result, Counterfactual):
        kept = bool((moved == x)[:, ~task.mutable].all())
        _expect(kept, f"{what} changes immutable features; leave them as they are (task.mutable)")
    elif isinstance(spec, AttackSpec):
        _check_ball(what, ref, spec, moved - x)


def check_scores(ref: MethodRef, spec: MetricSpec, scores: Any, n: int) -> None:
    name = f"metric {ref.name}"
    _expect(isinstance(scores, Scores), f"{name} returned {_type(scores)}, expected Scores")
    rows = 1 if spec.scores == "set" else n
    shape = tuple(scores.values.shape)
    _expect(shape == (rows,), f"{name}: values must have shape ({rows},), has {shape}")
    if scores.valid is not None:
        same = scores.valid.shape == scores.values.shape and scores.valid.dtype == torch.bool
        _expect(same, f"{name}: valid must be a bool tensor of shape {shape}")
    values = scores.values if scores.valid is None else scores.values[scores.valid]
    low, high = spec.range
    finite = values[torch.isfinite(values)]
    slack = 1e-4 * max(1.0, abs(low) if abs(low) < 1e30 else 1.0)
    inside = bool(((finite >= low - slack) & (finite <= high + slack)).all())
    _expect(inside, f"{name}: a score lies outside its range [{low:g}, {high:g}]")
    if spec.scores == "bernoulli":
        between = finite[(finite != 0) & (finite != 1)]
        if len(between):
            raise BrokenContract(
                f"{name}: its scores are 'bernoulli', 0 or 1 each, and {len(between)} of {n} are not, such "
                f"as {float(between[0]):g}; say scores='score' in its spec"
            )


def _check_ball(what: str, ref: MethodRef, spec: AttackSpec, delta: Tensor) -> None:
    norm = getattr(ref.params, "norm", spec.norm)
    eps = getattr(ref.params, "eps", None)
    if norm is None or eps is None or not len(delta):
        return
    flat = delta.flatten(1).double()
    size = {
        "linf": lambda: flat.abs().amax(1),
        "l2": lambda: flat.norm(dim=1),
        "l1": lambda: flat.abs().sum(1),
        "l0": lambda: (flat != 0).sum(1).double(),
    }[norm]().max()
    _expect(size <= eps * (1 + 1e-4) + 1e-6, f"{what} leaves the {norm} ball: {size:.6g} > eps = {eps:g}")


def _finite(what: str, tensor: Tensor) -> None:
    bad = int((~torch.isfinite(tensor)).sum())
    _expect(bad == 0, f"{what} has {bad} values that are NaN or infinite")


def _expect(holds: Any, message: str) -> None:
    if not holds:
        raise BrokenContract(message)


def _type(value: Any) -> str:
    return type(value).__name__
