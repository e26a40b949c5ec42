"""Time of counterfactual searches and samplers beside a bare loop of the same forward and backward passes.

    pytest tests/benchmarks/test_counterfactual_speed.py --benchmark-only

All run in turns, in processor time of one thread, so that a change of the machine's speed hits each alike;
the median ratio to the bare loop is in `extra_info`. No test asserts a time.
"""

from __future__ import annotations

import statistics
import time
from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.nn import functional

from benchmark_core.run.counted import CountedModel
from benchmark_core.testing import make_context, make_task
from benchmark_plugins.explainers.catalogue import EccoParams
from benchmark_plugins.explainers.ecco import Ecco
from benchmark_plugins.states.catalogue import SgldSamplesParams
from benchmark_plugins.states.sgld_samples import SgldSamples

N, STEPS = 1000, 100
NETWORKS = {
    "mnist mlp": ((1, 28, 28), (784, 128, 10)),
    "california mlp": ((8,), (8, 32, 32, 32, 2)),
}


class Case:
    """1000 inputs, targets other than what an untrained network of the paper's shape predicts."""

    def __init__(self, name: str) -> None:
        shape, sizes = NETWORKS[name]
        with torch.random.fork_rng():
            torch.manual_seed(0)
            layers = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.ReLU())]
            self.net = nn.Sequential(nn.Flatten(), *layers[:-1]).eval().requires_grad_(False)
            self.x = 2 * torch.rand(N, *shape) - 1
        self.target = (self.net(self.x).argmax(1) + 1) % sizes[-1]
        self.task = make_task(self.x, self.target, self.x, self.target, bounds=(-1.0, 1.0))

    def bare(self) -> None:
        """100 plain gradient steps on the cross-entropy of all samples at once, then a prediction."""
        x = self.x
        for _ in range(STEPS):
            z = x.detach().requires_grad_()
            loss = functional.cross_entropy(self.net(z), self.target, reduction="sum")
            x = z.detach() - 0.1 * torch.autograd.grad(loss, z)[0]
        with torch.no_grad():
            self.net(x)

    def ecco(self, **params) -> None:
        ctx = make_context(self.task, N, target=self.target)
        explainer = Ecco(EccoParams(steps=STEPS, tol=0.0, **params))
        explainer.explain(CountedModel(self.net), self.x, self.target, ctx)

    def bare_sgld(self) -> None:
        """100 gradients of the chains' logits."""
        for _ in range(STEPS):
            for x, target in zip(self.x.split(256), self.target.split(256), strict=True):
                z = x.detach().requires_grad_()
                torch.autograd.grad(self.net(z).gather(1, target[:, None]).sum(), z)

    def sgld(self) -> None:
        """1000 chains in all."""
        state = SgldSamples(SgldSamplesParams(chains=N // self.task.n_classes, steps=STEPS))
        state.prepare(CountedModel(self.net), self.task, make_context(self.task, 1))


WAYS = {
    "ecco": (Case.bare, Case.ecco),
    "sgld": (Case.bare_sgld, Case.sgld),
}


@pytest.mark.parametrize("method", WAYS)
@pytest.mark.parametrize("network", NETWORKS)
def test_counterfactual_ratios(benchmark, method, network):
    """The ratio is the median over rounds of (ours / bare) in the same round."""
    case = Case(network)
    bare, ours = WAYS[method]
    times: dict[str, list[float]] = {"bare": [], "ours": []}

    def round_() -> None:
        for who, function in (("bare", bare), ("ours", ours)):
            start = time.process_time()
            function(case)
            times[who].append(time.process_time() - start)

    torch.set_num_threads(1)
    benchmark.group = f"{method} {network}"
    benchmark.pedantic(round_, rounds=7, warmup_rounds=1)
    ratios = [a / b for a, b in zip(times["ours"][1:], times["bare"][1:], strict=True)]
    benchmark.extra_info["ours / bare"] = round(statistics.median(ratios), 3)
    benchmark.extra_info["ms a sample"] = round(1e3 * statistics.median(times["ours"]) / N, 4)
    print(f"\n{method} {network}: {benchmark.extra_info}")
