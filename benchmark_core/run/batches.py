"""Results of batches and of targets as one result."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ..interfaces import Scores
from .checks import BrokenContract

Report = Callable[[int, int], None]


def within(report: Report, start: int, stop: int, n: int) -> Report:
    """A method's progress on samples start..stop, told as progress on all n."""
    return lambda done, total: report(start * total + done * (stop - start), n * total)


def join(parts: list[Any]) -> Any:
    """Results of batches as one result; a field must be there in all parts or in none."""
    if len(parts) == 1:
        return parts[0]
    values: dict[str, Any] = {}
    for f in dataclasses.fields(parts[0]):
        pieces = [getattr(p, f.name) for p in parts]
        if isinstance(pieces[0], Mapping):
            values[f.name] = {k: torch.cat([p[k] for p in pieces]) for k in pieces[0]}
        elif isinstance(pieces[0], Tensor):
            values[f.name] = torch.cat(pieces)
        elif any(piece is not None for piece in pieces):
            raise BrokenContract(f"{f.name} is there in some batches and missing in others")
    return type(parts[0])(**values)


def reduce_targets(scores: Scores, index: Tensor, over: str, direction: str | None) -> Scores:
    """Scores of several targets of one sample as one: their mean, or the best or worst by direction. A sample
    is valid when all its targets are, for the best when any is."""
    samples, group = torch.unique_consecutive(index, return_inverse=True)
    values = scores.values.double()
    valid = torch.ones_like(values, dtype=torch.bool) if scores.valid is None else scores.valid
    n = len(samples)
    count = torch.zeros(n, dtype=torch.float64, device=values.device).index_add_(0, group, valid.double())
    if over == "mean":
        total = torch.zeros_like(count).index_add_(0, group, torch.where(valid, values, 0.0))
        reduced = total / count.clamp_min(1)
    else:
        largest = (over == "best") == (direction != "lower")
        fill = -torch.inf if largest else torch.inf
        reduced = torch.full_like(count, fill).scatter_reduce(
            0, group, torch.where(valid, values, fill), "amax" if largest else "amin"
        )
    targets = torch.zeros_like(count).index_add_(0, group, torch.ones_like(values))
    kept = count > 0 if over == "best" else count == targets
    return Scores(torch.where(kept, reduced, 0.0), None if scores.valid is None else kept)
