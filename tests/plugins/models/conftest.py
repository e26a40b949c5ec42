"""Builds a built-in model as the engine would: its own seed, torch's global generator left alone."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
import torch
from torch import nn

from benchmark_core import Task
from benchmark_core.testing import make_context, make_task
from benchmark_plugins.models.catalogue import SPECS


@pytest.fixture
def build() -> Callable[..., nn.Module]:
    """`build(name, task, seed=0, **params)` -> network."""

    def build(name: str, task: Task, seed: int = 0, **params: Any) -> nn.Module:
        spec = next(s for s in SPECS if s.name == name)
        module, cls = spec.target.split(":")
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = getattr(import_module(module), cls)(spec.params(**params))
            return model.build(task, make_context(task, 1))

    return build


@pytest.fixture
def images() -> Callable[..., Task]:
    """`images(c, h, w)` -> a task of 24 random images (c, h, w) in 4 classes."""

    def images(*shape: int) -> Task:
        x = torch.rand(24, *shape, generator=torch.Generator().manual_seed(0))
        y = torch.arange(24) % 4
        return make_task(x[:16], y[:16], x[16:], y[16:], bounds=(0.0, 1.0))

    return images
