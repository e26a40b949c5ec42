"""Weights that were trained elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from benchmark_core import Context, Defense, Task


class Pretrained(Defense):
    """Loads a state_dict from a safetensors file; every tensor of the model must be there, and no other."""

    def train(self, model: nn.Module, task: Task, ctx: Context) -> nn.Module:
        path = self.params.path
        try:
            stored = load_file(path)
        except SafetensorError as error:
            raise ValueError(
                f"{path} is no safetensors file ({error}); write it with "
                f"safetensors.torch.save_file(model.state_dict(), path)"
            ) from None
        if all(name.startswith("module.") for name in stored):
            stored = {name.removeprefix("module."): value for name, value in stored.items()}
        _check_fits(stored, model.state_dict(), path)
        model.load_state_dict(stored)
        return model.to(ctx.device)


def _check_fits(stored: Mapping[str, Tensor], wanted: Mapping[str, Tensor], path: str) -> None:
    """Raise ValueError that names the first tensors that are missing, unknown, misshapen or not finite."""
    shared = [name for name in wanted if name in stored]
    problems = {
        "it lacks": [name for name in wanted if name not in stored],
        "the model has no": [name for name in stored if name not in wanted],
        "of another shape are": [
            f"{name} {tuple(stored[name].shape)}, not {tuple(wanted[name].shape)}"
            for name in shared
            if stored[name].shape != wanted[name].shape
        ],
        "not finite are": [name for name in shared if not torch.isfinite(stored[name]).all()],
    }
    found = "; ".join(f"{what} {_first(names)}" for what, names in problems.items() if names)
    if found:
        raise ValueError(f"{path} does not fit the model: {found}; use the model it was saved from")


def _first(names: Iterable[str], limit: int = 3) -> str:
    """The first few names, and how many more there are."""
    names = list(names)
    rest = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + rest
