"""Time of explainers beside a bare loop of the same passes and beside captum.

    pytest tests/benchmarks/test_explainer_speed.py --benchmark-only

`test_explainer_ratios` times all in turns, so that a change of the machine's speed hits each alike, in
processor time (one thread, so a busy machine adds little), and keeps the median ratio to the bare loop in
the report's `extra_info` (shown with -s). No test asserts a time.
"""

from __future__ import annotations

import statistics
import time

import pytest
import torch
from captum.attr import IntegratedGradients as CaptumIG
from captum.attr import Saliency as CaptumSaliency
from sklearn.datasets import load_digits, load_wine
from torch import nn

from benchmark_core.run.counted import CountedModel
from benchmark_core.testing import make_context, make_task
from benchmark_plugins.explainers.catalogue import IntegratedGradientsParams, SaliencyParams
from benchmark_plugins.explainers.integrated_gradients import IntegratedGradients
from benchmark_plugins.explainers.objective import pass_size
from benchmark_plugins.explainers.saliency import Saliency

STEPS = 50
ROUNDS = {"cnn": 3, "mlp": 30}


def _digits_cnn():
    """1x8x8, two convolutions (32, 64) and a linear layer; 256 digits."""
    x, y = load_digits(return_X_y=True)
    net = nn.Sequential(
        *(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU()),
        *(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64 * 16, 10)),
    )
    return torch.tensor(x / 16, dtype=torch.float32).view(-1, 1, 8, 8)[:256], torch.tensor(y)[:256], net


def _wine_mlp():
    """13-64-64-3; all 178 wines, standardised."""
    x, y = load_wine(return_X_y=True)
    x = torch.tensor((x - x.mean(0)) / x.std(0), dtype=torch.float32)
    net = nn.Sequential(nn.Linear(13, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 3))
    return x, torch.tensor(y), net


class Case:
    """One model and the three ways to explain it."""

    def __init__(self, name: str) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.x, self.y, self.net = {"cnn": _digits_cnn, "mlp": _wine_mlp}[name]()
        self.net.eval().requires_grad_(False)
        self.ctx = make_context(make_task(self.x, self.y, self.x, self.y), len(self.x))
        self.classes = self.net(self.x).argmax(1)

    def bare_integrated_gradients(self, points_per_pass: int) -> None:
        """50 gradients per sample of the logit of the class, F(x) and F(baseline), and nothing else."""
        with torch.no_grad():
            self.net(self.x)
            self.net(self.x[:1])
        every = self.x.repeat(STEPS, *(1,) * (self.x.ndim - 1))
        classes = self.classes.repeat(STEPS)
        for points, c in zip(every.split(points_per_pass), classes.split(points_per_pass), strict=True):
            self._bare(points, c)

    def bare_saliency(self) -> None:
        self._bare(self.x, self.classes)

    def _bare(self, points, classes) -> None:
        points = points.detach().requires_grad_()
        torch.autograd.grad(self.net(points).gather(1, classes[:, None]).sum(), points)

    def functions(self, method: str) -> dict:
        """{who: function without arguments}; the bare loop in the fastest of these chunk sizes."""
        x, y, ctx = self.x, self.y, self.ctx
        if method == "saliency":
            explainer, peer = Saliency(SaliencyParams()), CaptumSaliency(self.net)
            leaf = x.clone().requires_grad_()
            return {
                "bare": self.bare_saliency,
                "ours": lambda: explainer.explain(CountedModel(self.net), x, y, ctx),
                "captum": lambda: peer.attribute(leaf, target=self.classes, abs=False),
            }
        ours, peer = IntegratedGradients(IntegratedGradientsParams(steps=STEPS)), CaptumIG(self.net)
        sizes = (256, 512, pass_size(x, ctx), 1024, 4096)
        best = min(sizes, key=lambda size: _time(lambda: self.bare_integrated_gradients(size), 3))
        return {
            "bare": lambda: self.bare_integrated_gradients(best),
            "ours": lambda: ours.explain(CountedModel(self.net), x, y, ctx),
            "captum": lambda: peer.attribute(
                x, target=self.classes, n_steps=STEPS, return_convergence_delta=True
            ),
            "captum, batches of 256": lambda: peer.attribute(
                x,
                target=self.classes,
                n_steps=STEPS,
                internal_batch_size=256,
                return_convergence_delta=True,
            ),
        }


def _time(function, repeat: int) -> float:
    """Least processor seconds of a call, after a warm-up."""
    function()
    times = []
    for _ in range(repeat):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times)


PAIRS = [(method, model) for method in ("integrated-gradients", "saliency") for model in ("cnn", "mlp")]


@pytest.fixture(scope="module", params=PAIRS, ids=lambda pair: "-".join(pair))
def pair(request):
    method, model = request.param
    case = Case(model)
    return method, model, len(case.x), case.functions(method)


@pytest.mark.parametrize("who", ["bare", "ours", "captum"])
def test_explainer(benchmark, pair, who):
    method, model, _, functions = pair
    benchmark.group = f"{method} {model}"
    benchmark.pedantic(functions[who], rounds=ROUNDS[model], warmup_rounds=1)


def test_explainer_ratios(benchmark, pair):
    """All in turns: the ratio is the median over rounds of (this / bare) in the same round."""
    method, model, n, functions = pair
    times = {who: [] for who in functions}

    def turn():
        for who, function in functions.items():
            start = time.process_time()
            function()
            times[who].append(time.process_time() - start)

    benchmark.group = f"{method} {model}, in turns"
    benchmark.pedantic(turn, rounds=2 * ROUNDS[model], warmup_rounds=1)
    for who, seconds in times.items():
        ratios = [a / b for a, b in zip(seconds[1:], times["bare"][1:], strict=True)]
        benchmark.extra_info[who] = {
            "processor ms per sample": round(1e3 * statistics.median(seconds[1:]) / n, 5),
            "of the bare loop": round(statistics.median(ratios), 3),
        }
    print(f"\n{method} {model}: {benchmark.extra_info}")
