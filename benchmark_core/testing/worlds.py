"""The small worlds that methods are tried in: a table and an image task, each with trained networks."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from functools import cache

import torch
from torch import Tensor, nn

from ..interfaces import (
    Attribution,
    Counterfactual,
    Perturbation,
    Prediction,
    Result,
    Synthesis,
    Task,
)
from ..spec import DatasetSpec, MethodSpec, ResultType
from .tasks import blobs, make_task

SAMPLES = 12


class Probe(nn.Module):
    """A small network that counts the samples which really pass through it, whoever calls it."""

    mean: Tensor
    std: Tensor

    def __init__(self, task: Task, seed: int) -> None:
        super().__init__()
        self.seen = 0
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            if task.is_image:
                channels, height, width = task.shape
                self.body = nn.Sequential(
                    nn.Conv2d(channels, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                    nn.Linear(4 * (height // 2) * (width // 2), 12), nn.ReLU(),
                )  # fmt: skip
            else:
                self.body = nn.Sequential(nn.Flatten(), nn.Linear(task.x_train[0].numel(), 12), nn.ReLU())
            self.head = nn.Linear(12, task.n_classes)
        self.register_buffer("mean", task.mean.clone())
        self.register_buffer("std", task.std.clone())

    def features(self, x: Tensor) -> Tensor:
        self.seen += len(x)
        return self._features(x)

    def forward(self, x: Tensor) -> Tensor:
        self.seen += len(x)
        return self.head(self._features(x))

    def _features(self, x: Tensor) -> Tensor:
        return self.body((x - self.mean) / self.std)


@dataclasses.dataclass(frozen=True, eq=False)
class World:
    """A task, networks on it, and the samples that methods work on.

    rows: (n,) rows of the test set; target, other_target: (n,) two classes to aim at that differ from each
    other. networks: `trained`; `other`, trained from another start; `flat`, whose logits are all 0 and whose
    gradients vanish; `stubborn`, which says class 0 whatever it sees and has gradients all the same; `fresh`,
    untrained. dataset: what `unfit` functions are asked about.
    """

    name: str
    task: Task
    dataset: DatasetSpec
    networks: Mapping[str, nn.Module]
    rows: Tensor
    target: Tensor
    other_target: Tensor

    @property
    def x(self) -> Tensor:
        return self.task.x_test[self.rows]

    @property
    def y(self) -> Tensor:
        return self.task.y_test[self.rows]

    @property
    def labels(self) -> int:
        return self.task.n_classes

    def doubled(self) -> World:
        """The same in float64."""
        return _doubled(self)


@cache
def _doubled(world: World) -> World:
    values = {
        f.name: value.double()
        for f in dataclasses.fields(world.task)
        if isinstance(value := getattr(world.task, f.name), Tensor) and value.is_floating_point()
    }
    return dataclasses.replace(
        world,
        name=f"{world.name}, float64",
        task=dataclasses.replace(world.task, **values),
        networks={name: copy.deepcopy(network).double() for name, network in world.networks.items()},
    )


@cache
def standard_worlds() -> tuple[World, ...]:
    """A table of 5 features whose ranges differ, one of them immutable, and colour images of 8 x 6 pixels.
    Both have three classes, and many values lie on the bounds."""
    return make_world("table", _table()), make_world("image", _images())


def make_world(name: str, task: Task) -> World:
    """Train the networks for a task; its samples are the first of its test set."""
    kind = "image" if task.is_image else "tabular"
    dataset = MethodSpec.dataset(
        f"conformance-{kind}", "benchmark_core.testing.worlds:World", input=kind, cite="the conformance kit"
    )
    rows = torch.arange(min(SAMPLES, len(task.x_test)))
    trained, other = _train(Probe(task, 1), task), _train(Probe(task, 2), task)
    flat = Probe(task, 3)
    nn.init.zeros_(flat.head.weight)
    nn.init.zeros_(flat.head.bias)
    stubborn = copy.deepcopy(trained)
    with torch.no_grad():
        stubborn.head.bias[0] += 50
        predicted = trained(task.x_test[rows]).argmax(1)
    k = task.n_classes
    target = (predicted + 1) % k
    return World(
        name,
        task,
        dataset,
        {"trained": trained, "other": other, "flat": flat, "stubborn": stubborn, "fresh": Probe(task, 4)},
        rows,
        target,
        (target + 1) % k,  # with two classes, the one predicted
    )


def with_another_test_set(task: Task) -> Task:
    """The same training data; test inputs mirrored in the box, labels moved on by one."""
    return dataclasses.replace(
        task, x_test=task.lower + task.upper - task.x_test, y_test=(task.y_test + 1) % task.n_classes
    )


def _train(network: Probe, task: Task) -> Probe:
    optimiser = torch.optim.Adam(network.parameters(), lr=0.02)
    for _ in range(60):
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(task.x_train), task.y_train).backward()
        optimiser.step()
    return network


def _table() -> Task:
    task = blobs(n=60, features=5, classes=3, seed=5)
    scale, shift = torch.tensor([1.0, 4.0, 2.0, 0.5, 8.0]), torch.tensor([0.0, -2.0, 1.0, 0.0, -4.0])
    x_train, x_test = task.x_train * scale + shift, task.x_test * scale + shift
    lower, upper = x_train.quantile(0.15, dim=0), x_train.quantile(0.85, dim=0)
    made = make_task(x_train.clamp(lower, upper), task.y_train, x_test.clamp(lower, upper), task.y_test)
    mutable = torch.tensor([True, True, True, False, True])
    return dataclasses.replace(made, lower=lower, upper=upper, mutable=mutable, favourable=1)


def _images() -> Task:
    g = torch.Generator().manual_seed(6)
    patterns = torch.rand(3, 3, 8, 6, generator=g)
    y = torch.arange(48) % 3
    x = (patterns[y] + 0.5 * torch.randn(48, 3, 8, 6, generator=g)).clamp(0, 1)
    return make_task(x[:30], y[:30], x[30:], y[30:], bounds=(0.0, 1.0))


# --- results to be measured ----------------------------------------------------------------------------


def evidence(
    world: World, kind: ResultType, x: Tensor, y: Tensor, rows: Tensor, target: Tensor, strength: float = 1.0
) -> Result:
    """A result of this kind at x, as a method would give it: some samples succeed and some do not.

    rows: which of the world's samples each x stands for; what is returned depends on a sample alone.
    """
    task = world.task
    centres = torch.stack([task.x_train[task.y_train == c].mean(0) for c in range(task.n_classes)]).to(x)
    share = (strength * torch.tensor([0.0, 1.0, 0.3])[rows % 3]).to(x).view(-1, *[1] * (x.ndim - 1))
    lower, upper = task.lower.to(x), task.upper.to(x)
    if kind == "prediction":
        with torch.no_grad():
            return Prediction(world.networks["trained"](x))
    if kind == "perturbation":
        return Perturbation((x + share * (centres[(y + 1) % task.n_classes] - x)).clamp(lower, upper))
    if kind == "attribution":
        weight = torch.linspace(-1, 2, x[0].numel()).to(x).view(task.shape)
        values = strength * (x - task.mean.to(x)) * weight
        return Attribution(values, delta=values.flatten(1).sum(1) + 0.1 * share.flatten())
    if kind == "counterfactual":
        way = (centres[target] - x) * task.mutable
        return Counterfactual((x + share * way).clamp(lower, upper))
    labels = torch.arange(task.n_classes).repeat(4)
    drift = torch.linspace(-0.1, 0.1, len(labels)).to(x).view(-1, *[1] * (x.ndim - 1))
    return Synthesis((centres[labels] + drift * (upper - lower)).clamp(lower, upper), labels)
