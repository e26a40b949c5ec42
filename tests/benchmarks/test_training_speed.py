"""Standard and PGD training against bare loops of the same passes: size of MNIST, network of the first paper.

    pytest tests/benchmarks/test_training_speed.py --benchmark-only
    python tests/benchmarks/test_training_speed.py        # ratios to the bare loop, interleaved

The second command takes processor time of one thread, all candidates in turn and in a new order each round.
Images are noise: what a step costs does not depend on what they show.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmark_core import Context, MethodRef, Task
from benchmark_core.testing import make_context, make_task
from benchmark_plugins.attacks.catalogue import PGDParams
from benchmark_plugins.attacks.pgd import PGD
from benchmark_plugins.defenses.adversarial_training import AdversarialTraining
from benchmark_plugins.defenses.catalogue import AdversarialTrainingParams, StandardParams
from benchmark_plugins.defenses.standard import Standard
from benchmark_plugins.models.catalogue import MLPParams
from benchmark_plugins.models.mlp import MLP

BATCH, LR, EPS, STEPS = 128, 1e-3, 0.3, 20
ALPHA = 2.5 * EPS / STEPS


def noise_task(n: int) -> Task:
    g = torch.Generator().manual_seed(0)
    x, y = 2 * torch.rand(n, 1, 28, 28, generator=g) - 1, torch.arange(n) % 10
    return make_task(x, y, x[:100], y[:100], bounds=(-1.0, 1.0))


def network(task: Task) -> nn.Module:
    """784-128-10 with relu."""
    return MLP(MLPParams(hidden=(128,), normalise=False)).build(task, make_context(task, 1))


def context(task: Task) -> Context:
    return make_context(task, len(task.x_train), make=lambda ref: PGD(ref.params))


def bare(task: Task, epochs: int, loss: Callable[[nn.Module, Tensor, Tensor], Tensor]) -> nn.Module:
    model = network(task)
    optimizer = torch.optim.Adam(model.parameters(), lr=LR)
    for _ in range(epochs):
        for rows in torch.randperm(len(task.x_train)).split(BATCH):
            value = loss(model, task.x_train[rows], task.y_train[rows])
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
    return model


def bare_standard(task: Task, epochs: int) -> nn.Module:
    return bare(task, epochs, lambda model, x, y: cross_entropy(model(x), y))


def bare_adversarial(task: Task, epochs: int) -> nn.Module:
    """The least that PGD training must do: STEPS passes for the adversary, then the mixed loss."""

    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        least, most = (x - EPS).clamp_min(-1), (x + EPS).clamp_max(1)
        x_adv = torch.clamp(x + torch.empty_like(x).uniform_(-EPS, EPS), least, most)
        model.requires_grad_(False)
        for _ in range(STEPS):
            x_adv.requires_grad_()
            (g,) = torch.autograd.grad(cross_entropy(model(x_adv), y, reduction="sum"), x_adv)
            x_adv = torch.clamp(x_adv.detach() + ALPHA * g.sign(), least, most)
        model.requires_grad_(True)
        return 0.5 * cross_entropy(model(x), y) + 0.5 * cross_entropy(model(x_adv), y)

    return bare(task, epochs, loss)


def robex_standard(task: Task, epochs: int) -> nn.Module:
    params = StandardParams(epochs=epochs, lr=LR, batch=BATCH)
    return Standard(params).train(network(task), task, context(task))


def robex_adversarial(task: Task, epochs: int) -> nn.Module:
    attack = MethodRef("attack", "pgd", PGDParams(eps=EPS, steps=STEPS))
    params = AdversarialTrainingParams(epochs=epochs, lr=LR, batch=BATCH, attack=attack)
    return AdversarialTraining(params).train(network(task), task, context(task))


#: group -> (bare loop, ours, images, epochs)
PAIRS = {
    "standard": (bare_standard, robex_standard, 12_800, 5),
    "pgd-20": (bare_adversarial, robex_adversarial, 12_800, 1),
}


@pytest.mark.parametrize("ours", [False, True], ids=["bare", "robex"])
@pytest.mark.parametrize("group", PAIRS)
def test_training(benchmark, group, ours):
    benchmark.group = f"training-{group}"
    *pair, n, epochs = PAIRS[group]
    task = noise_task(n)
    model = benchmark.pedantic(pair[ours], args=(task, epochs), rounds=3, warmup_rounds=1)
    start = network(task).state_dict()
    assert all(not torch.equal(w, start[name]) for name, w in model.state_dict().items())


def ratios(group: str, rounds: int) -> None:
    *pair, n, epochs = PAIRS[group]
    task, seconds = noise_task(n), ([], [])
    for run in pair:
        run(task, 1)
    for _ in range(rounds):
        for i in random.sample((0, 1), 2):
            start = time.process_time()
            pair[i](task, epochs)
            seconds[i].append(time.process_time() - start)
    ratio = [b / a for a, b in zip(*seconds, strict=True)]
    low, *_, high = statistics.quantiles(ratio, n=5)
    step = 1e3 * BATCH / (n * epochs)
    bare_ms, ours_ms = (step * statistics.median(s) for s in seconds)
    print(
        f"| {group} | {bare_ms:.2f} | {ours_ms:.2f} | {statistics.median(ratio):.2f} "
        f"| {low:.2f} | {high:.2f} |"
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(
        "| training | bare, ms a step | robex, ms a step | ratio | 20 % | 80 % |\n|---|---|---|---|---|---|"
    )
    for name in PAIRS:
        ratios(name, 9)
