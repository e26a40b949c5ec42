"""PGD against a bare loop of the same passes, foolbox and torchattacks.

    pytest tests/benchmarks/test_attack_speed.py --benchmark-only
    python tests/benchmarks/test_attack_speed.py        # ratios to the bare loop, interleaved

The second command runs all candidates in turn, in a new order each round, and takes ratios within a round, so
that a machine that others use does not favour one of them.
"""

from __future__ import annotations

import random
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import foolbox
import pytest
import torch
import torch.nn.functional as F
import torchattacks
from sklearn.datasets import load_digits, load_wine
from torch import Tensor, nn

from benchmark_core import Task
from benchmark_core.testing import make_context, make_task
from benchmark_plugins.attacks.catalogue import PGDParams
from benchmark_plugins.attacks.pgd import PGD

EPS, STEPS, ALPHA = 0.1, 40, 0.1 / 16  # ALPHA is PGD's default, 2.5 eps / steps


@dataclass
class Case:
    name: str
    task: Task
    model: nn.Module
    x: Tensor
    y: Tensor


def digits_cnn() -> Case:
    x, y = load_digits(return_X_y=True)
    x, y = torch.tensor(x / 16, dtype=torch.float32).view(-1, 1, 8, 8), torch.tensor(y)
    model = nn.Sequential(
        *(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU()),
        *(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(1024, 64), nn.ReLU(), nn.Linear(64, 10)),
    )
    return trained("cnn-digits-256", x, y, 1300, 256, model, epochs=6)


def wine_mlp() -> Case:
    x, y = load_wine(return_X_y=True)
    x = torch.tensor((x - x.min(0)) / (x.max(0) - x.min(0)), dtype=torch.float32)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    model = nn.Sequential(nn.Linear(13, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 3))
    return trained("mlp-wine-59", x[order], torch.tensor(y)[order], 119, 59, model, epochs=40)


def trained(name: str, x: Tensor, y: Tensor, cut: int, n: int, model: nn.Module, epochs: int) -> Case:
    task = make_task(x[:cut], y[:cut], x[cut:], y[cut:], bounds=(0.0, 1.0))
    optimiser = torch.optim.Adam(model.parameters(), 2e-3)
    for epoch in range(epochs):
        order = torch.randperm(cut, generator=torch.Generator().manual_seed(epoch))
        for rows in order.split(64):
            optimiser.zero_grad()
            F.cross_entropy(model(x[rows]), y[rows]).backward()
            optimiser.step()
    return Case(name, task, model.eval().requires_grad_(False), task.x_test[:n], task.y_test[:n])


def bare(case: Case) -> Tensor:
    """The least that PGD must do: STEPS forward and backward passes, a sign, a step and two clamps."""
    x, x_adv = case.x, case.x
    for _ in range(STEPS):
        x_adv = x_adv.detach().requires_grad_()
        loss = F.cross_entropy(case.model(x_adv), case.y, reduction="sum")
        (g,) = torch.autograd.grad(loss, x_adv)
        d = (x_adv.detach() + ALPHA * g.sign() - x).clamp(-EPS, EPS)
        x_adv = (x + d).clamp(0, 1)
    return x_adv


def ours(goal: str, iterate: str = "auto", *, random_start: bool = False) -> Callable[[Case], Tensor]:
    attack = PGD(PGDParams(eps=EPS, steps=STEPS, iterate=iterate, random_start=random_start))

    def run(case: Case) -> Tensor:
        context = make_context(case.task, len(case.x), goal=goal)
        return attack.perturb(case.model, case.x, case.y, context).x_adv

    return run


def with_foolbox(case: Case) -> Tensor:
    attack = foolbox.attacks.LinfPGD(abs_stepsize=ALPHA, steps=STEPS, random_start=False)
    return attack.run(foolbox.PyTorchModel(case.model, bounds=(0, 1)), case.x, case.y, epsilon=EPS)


def with_torchattacks(case: Case) -> Tensor:
    attack = torchattacks.PGD(case.model, eps=EPS, alpha=ALPHA, steps=STEPS, random_start=False)
    return attack(case.x, case.y)


CANDIDATES: dict[str, Callable[[Case], Tensor]] = {
    "bare": bare,
    "robex-training": ours("training"),
    "robex-last": ours("perturbation", "last"),
    "robex-best": ours("perturbation"),
    "robex-best-random-start": ours("perturbation", random_start=True),
    "robex-success": ours("success"),
    "robex-success-random-start": ours("success", random_start=True),
    "foolbox": with_foolbox,
    "torchattacks": with_torchattacks,
}


@pytest.fixture(scope="module", params=[digits_cnn, wine_mlp], ids=lambda make: make.__name__)
def case(request: pytest.FixtureRequest) -> Case:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return request.param()


@pytest.mark.parametrize("name", CANDIDATES)
def test_pgd(benchmark, case, name):
    benchmark.group = f"pgd-{case.name}"
    x_adv = benchmark.pedantic(CANDIDATES[name], args=(case,), rounds=7, warmup_rounds=1)
    accuracy = (case.model(x_adv).argmax(1) == case.y).float().mean().item()
    benchmark.extra_info["robust accuracy"] = accuracy
    assert accuracy < 0.9


def ratios(case: Case, rounds: int) -> None:
    seconds: dict[str, list[float]] = {name: [] for name in CANDIDATES}
    order = list(CANDIDATES)
    for _ in range(rounds):
        random.shuffle(order)
        for name in order:
            start = time.perf_counter()
            CANDIDATES[name](case)
            seconds[name].append(time.perf_counter() - start)
    print(
        f"\n| {case.name} | ms | ratio to bare | 20 % | 80 % | robust accuracy |\n|---|---|---|---|---|---|"
    )
    for name, run in CANDIDATES.items():
        ratio = [a / b for a, b in zip(seconds[name], seconds["bare"], strict=True)]
        low, *_, high = statistics.quantiles(ratio, n=5)
        accuracy = (case.model(run(case)).argmax(1) == case.y).float().mean().item()
        print(
            f"| {name} | {1e3 * statistics.median(seconds[name]):.1f} | {statistics.median(ratio):.2f} "
            f"| {low:.2f} | {high:.2f} | {100 * accuracy:.1f} % |"
        )


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    for make, rounds in ((digits_cnn, 9), (wine_mlp, 61)):
        torch.manual_seed(0)
        ratios(make(), rounds)
