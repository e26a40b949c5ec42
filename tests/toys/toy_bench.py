"""A local plugin for engine tests: tiny methods of every kind that can misbehave on demand."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import benchmark_core as robex
from benchmark_core import AttackRef, Count, Eps, MethodSpec, NonNegative, Operational, Use, hookimpl, use


@dataclass(frozen=True, kw_only=True)
class ToyDataParams:
    """Gaussian blobs."""

    size: Count = 60
    classes: Count = 3
    features: Count = 4


@dataclass(frozen=True, kw_only=True)
class ToyTrainParams:
    """A few steps of gradient descent."""

    lr: NonNegative = 0.5
    steps: Count = 5
    fail: bool = False


@dataclass(frozen=True, kw_only=True)
class ToyNestParams:
    """Trains on an attack's outputs."""

    attack: AttackRef
    steps: Count = 3


Behaviour = Literal[
    "good", "raise", "sleep", "eat", "crash", "nan", "shape", "ball", "box", "flaky", "interrupt",
    "weights", "hook", "mode", "task", "input", "exit", "keyboard", "deaf", "stubborn", "family", "chatty",
    "folder", "handlers", "threads", "dtype", "device", "grad", "settings",
    "fury", "data", "backward-hook", "forward", "numpy", "module-hooks", "precision", "kernels", "autocast",
    "anomaly", "alarm", "attached", "reused", "numpy-draw", "python-draw", "garbled", "speechless",
    "numbered", "streams", "forked",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ToyAttackParams:
    """Moves every input by eps, or misbehaves."""

    eps: Eps = 0.1
    behave: Behaviour = "good"
    seconds: NonNegative = 0.0
    marker: Annotated[str, Operational()] = ""


@dataclass(frozen=True, kw_only=True)
class ToyExplainParams:
    """Draws that belong to samples."""

    scale: NonNegative = 1.0


@hookimpl
def register_methods():
    def here(name: str) -> str:
        return f"toy_bench:{name}"

    yield MethodSpec.dataset("toy", here("ToyData"), params=ToyDataParams, input="tabular")
    yield MethodSpec.dataset("toy-image", here("ToyImages"), input="image")
    yield MethodSpec.model("toy-linear", here("ToyLinear"))
    yield MethodSpec.model("toy-drawn", here("ToyDrawn"))
    yield MethodSpec.model("toy-conv", here("ToyLinear"), accepts=("image",))
    yield MethodSpec.defense("toy-train", here("ToyTrain"), params=ToyTrainParams)
    yield MethodSpec.defense("toy-nest", here("ToyNest"), params=ToyNestParams)
    yield MethodSpec.attack("toy-shift", here("ToyShift"), params=ToyAttackParams, norm="linf", targeted=True)
    yield MethodSpec.attack(
        "toy-quick", here("ToyQuick"), params=ToyAttackParams, norm="linf", early_exit=True,
        deterministic=True,
    )  # fmt: skip
    yield MethodSpec.explainer("toy-attr", here("ToyAttr"), params=ToyExplainParams, produces="attribution")
    yield MethodSpec.explainer("toy-cf", here("ToyCF"), produces="counterfactual", needs=_centre_needs)
    yield MethodSpec.metric(
        "toy-accuracy", here("ToyAccuracy"), consumes=("prediction",), direction="higher", scores="bernoulli",
        range=(0, 1), unit="%",
    )  # fmt: skip
    yield MethodSpec.metric(
        "toy-robust", here("ToyRobust"), consumes=("perturbation",), direction="higher", scores="bernoulli",
        range=(0, 1), reads="success",
    )  # fmt: skip
    yield MethodSpec.metric("toy-size", here("ToySize"), consumes=("perturbation",), direction="lower")
    yield MethodSpec.metric(
        "toy-transfer", here("ToyTransfer"), consumes=("perturbation",), direction="lower", reference="model"
    )
    yield MethodSpec.metric(
        "toy-change", here("ToyChange"), consumes=("attribution",), direction="lower", reference="result"
    )
    yield MethodSpec.metric("toy-again", here("ToyAgain"), consumes=("attribution",), direction="lower")
    yield MethodSpec.metric(
        "toy-near", here("ToyNear"), consumes=("counterfactual",), direction="lower", needs=_centre_needs
    )
    yield MethodSpec.metric(
        "toy-cost", here("ToyCost"), consumes=("perturbation", "attribution"), direction="lower",
        scores="set", reads="cost",
    )  # fmt: skip
    yield MethodSpec.state("toy-centres", here("ToyCentres"), deterministic=True)


def _centre_needs(params: object) -> Mapping[str, Use]:
    return {"centres": use("toy-centres")}


class ToyData(robex.Dataset):
    def load(self, ctx):
        from benchmark_core.testing import blobs

        return blobs(self.params.size, self.params.features, self.params.classes)


class ToyImages(robex.Dataset):
    def load(self, ctx):
        import torch

        from benchmark_core.testing import make_task

        x = torch.rand(24, 1, 4, 4, generator=torch.Generator().manual_seed(0))
        y = torch.arange(24) % 2
        return make_task(x[:12], y[:12], x[12:], y[12:], bounds=(0.0, 1.0))


class ToyLinear(robex.Model):
    def build(self, task, ctx):
        from torch import nn

        class Linear(nn.Module):
            def __init__(self):
                super().__init__()
                self.flat = nn.Flatten()
                self.head = nn.Linear(task.x_train[0].numel(), task.n_classes)

            def features(self, x):
                return self.flat(x)

            def forward(self, x):
                return self.head(self.features(x))

        return Linear()


class ToyDrawn(ToyLinear):
    """Draws weights from every global generator."""

    def build(self, task, ctx):
        import numpy as np
        import torch

        network = super().build(task, ctx)
        drawn = np.random.normal(size=network.head.weight.shape) + random.random()  # noqa: NPY002
        with torch.no_grad():
            network.head.weight.copy_(torch.from_numpy(drawn))
        return network


class ToyTrain(robex.Defense):
    def train(self, model, task, ctx):
        import torch

        if self.params.fail:
            raise RuntimeError("told to fail")
        optimiser = torch.optim.SGD(model.parameters(), lr=self.params.lr)
        for _ in range(self.params.steps):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(model(task.x_train), task.y_train).backward()
            optimiser.step()
        ctx.note("last_lr", self.params.lr)
        return model


class ToyNest(robex.Defense):
    def train(self, model, task, ctx):
        import torch

        attack = ctx.method(self.params.attack)
        ctx.random = robex.SampleRandom(1, torch.arange(len(task.x_train)))
        x = attack.perturb(model, task.x_train, task.y_train, ctx).x_adv
        optimiser = torch.optim.SGD(model.parameters(), lr=0.5)
        for _ in range(self.params.steps):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(model(x), task.y_train).backward()
            optimiser.step()
        return model


class Speechless(Exception):
    def __str__(self):
        raise RuntimeError("no words")


#: Shape -> memory that an attack uses again.
_memory = {}


class ToyShift(robex.Attack):
    def perturb(self, model, x, y, ctx):
        import numpy as np
        import torch

        p = self.params
        if p.seconds:
            time.sleep(p.seconds)
        if p.behave == "raise":
            raise ValueError("told to raise")
        if p.behave == "garbled":
            raise ValueError("\udcff and \x1b[31m")
        if p.behave == "speechless":
            raise Speechless
        if p.behave == "numbered":
            for step in range(12):
                ctx.note(step, 0.5)
        if p.behave == "streams":
            sys.stderr.close()
            with contextlib.suppress(OSError):
                os.close(2)
            sys.stdin = sys.stdout = None
        if p.behave == "forked":
            os.fork()  # the child goes on as if it were the parent
        if p.behave == "sleep":
            time.sleep(3600)
        if p.behave == "eat":
            hog = []
            while True:
                hog.append(torch.ones(8_000_000))
                time.sleep(0.01)
        if p.behave == "crash":
            os._exit(3)
        if p.behave == "interrupt":
            signal.raise_signal(signal.SIGINT)
        if p.behave == "exit":
            sys.exit(0)
        if p.behave == "keyboard":
            raise KeyboardInterrupt
        if p.behave == "deaf":  # to anything that asks it to stop
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            time.sleep(3600)
        if p.behave == "stubborn":
            while True:
                with contextlib.suppress(BaseException):
                    time.sleep(3600)
        if p.behave == "family":
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
            time.sleep(3600)
        if p.behave == "chatty":
            for _ in range(40):
                print("x" * 100_000)
            subprocess.run([sys.executable, "-c", "print('from a child')"], check=True)
        if p.behave == "folder":
            os.chdir("/")
        if p.behave == "handlers":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if p.behave == "threads":
            torch.set_num_threads(torch.get_num_threads() + 1)
        if p.behave == "dtype":
            torch.set_default_dtype(torch.float64)
        if p.behave == "device":
            torch.set_default_device("meta")
            x = x.clone()
        if p.behave == "grad":
            torch.set_grad_enabled(not torch.is_grad_enabled())
        if p.behave == "settings":  # those that libraries change every day
            os.environ["TOY_WAS_HERE"] = "yes"
            torch.manual_seed(3)
            np.random.seed(3)  # noqa: NPY002
            random.seed(3)
            warnings.simplefilter("error")
            np.seterr(all="raise")
        if p.behave == "flaky" and not os.path.exists(p.marker):
            open(p.marker, "w").close()
            os.kill(os.getpid(), 9)
        if p.behave in ("weights", "fury"):
            for weight in model.parameters():
                weight.mul_(0)
        if p.behave == "fury":
            ctx.task.y_test.zero_()
            raise RuntimeError("after the damage")
        if p.behave == "hook":
            model.model.register_forward_hook(lambda module, args, out: -out)
        if p.behave == "mode":
            model.train()
        if p.behave == "data":  # which torch does not count as a change
            for weight in model.parameters():
                weight.data.add_(weight.data.sign())
        if p.behave == "backward-hook":
            model.model.head.register_full_backward_hook(lambda module, inner, outer: (-inner[0],))
        if p.behave == "forward":
            inner = model.model.forward
            model.model.forward = lambda z: inner(z).flip(1)
        if p.behave == "numpy":
            ctx.task.x_test.numpy()[:] = 0.5
        if p.behave == "module-hooks":
            torch.nn.modules.module.register_module_forward_hook(lambda module, args, out: -out)
        if p.behave == "precision":
            torch.set_float32_matmul_precision("medium")
        if p.behave == "kernels":
            torch.backends.mkldnn.enabled = False
        if p.behave == "autocast":
            torch.set_autocast_enabled("cpu", True)
        if p.behave == "anomaly":
            torch.autograd.set_detect_anomaly(True)
        if p.behave == "alarm":
            signal.alarm(0 if signal.getitimer(signal.ITIMER_REAL)[0] else 3)
        if p.behave == "task":
            ctx.task.y_test.zero_()
        if p.behave == "input":
            x += 0.3
        if p.behave == "nan":
            return robex.Perturbation(x * float("nan"))
        if p.behave == "shape":
            return robex.Perturbation(x[:, :1])
        if p.behave == "attached":
            return robex.Perturbation(x.requires_grad_() * 1.0)
        if p.behave == "reused":
            memory = _memory.setdefault(x.shape, torch.empty_like(x))
            return robex.Perturbation(memory.copy_((x + p.eps).clamp(ctx.task.lower, ctx.task.upper)))
        if p.behave in ("numpy-draw", "python-draw"):
            draw = np.random.uniform if p.behave == "numpy-draw" else random.uniform
            return robex.Perturbation((x + p.eps * draw(-1, 1)).clamp(ctx.task.lower, ctx.task.upper))
        scale = {"ball": 3.0, "box": 1.0}.get(p.behave, 1.0)
        with torch.enable_grad():
            z = x.clone().requires_grad_()
            (g,) = torch.autograd.grad(torch.nn.functional.cross_entropy(model(z), y, reduction="sum"), z)
        sign = g.sign() * (1 if ctx.target is None else -1)
        x_adv = x + scale * p.eps * sign * ctx.random.uniform(*x.shape[1:], low=0.5)
        x_adv = x_adv + 2 if p.behave == "box" else x_adv.clamp(ctx.task.lower, ctx.task.upper)
        return robex.Perturbation(x_adv, {"moved": (x_adv != x).flatten(1).any(1).float()})


class ToyQuick(robex.Attack):
    def perturb(self, model, x, y, ctx):
        import torch

        return robex.Perturbation(x.clone(), {"quick": torch.full((len(x),), float(ctx.goal == "success"))})


class ToyAttr(robex.Explainer):
    def explain(self, model, x, y, ctx):
        return robex.Attribution(x * self.params.scale + ctx.random.normal(*x.shape[1:]))


class ToyCF(robex.Explainer):
    def explain(self, model, x, y, ctx):
        return robex.Counterfactual(ctx.states["centres"]["centres"][ctx.target])


class ToyCentres(robex.State):
    def prepare(self, model, task, ctx):
        import torch

        classes = range(task.n_classes)
        return {"centres": torch.stack([task.x_train[task.y_train == c].mean(0) for c in classes])}


class ToyAccuracy(robex.Metric):
    def measure(self, result, model, ctx):
        return robex.Scores((result.logits.argmax(1) == ctx.y).double())


class ToyRobust(robex.Metric):
    def measure(self, result, model, ctx):
        return robex.Scores((ctx.logits(model, result.x_adv).argmax(1) == ctx.y).double())


class ToySize(robex.Metric):
    def measure(self, result, model, ctx):
        result.x_adv.numpy()  # refused of a tensor with a graph
        return robex.Scores((result.x_adv - ctx.x).flatten(1).abs().amax(1))


class ToyTransfer(robex.Metric):
    def measure(self, result, model, ctx):
        return robex.Scores((ctx.logits(ctx.reference_model, result.x_adv).argmax(1) != ctx.y).double())


class ToyChange(robex.Metric):
    def measure(self, result, model, ctx):
        return robex.Scores((result.values - ctx.reference_result.values).flatten(1).abs().sum(1))


class ToyAgain(robex.Metric):
    """0 when the rerun draws the same numbers for the same sample."""

    def measure(self, result, model, ctx):
        import torch

        rows = torch.arange(len(ctx.x)).flip(0)
        again = ctx.rerun(ctx.x[rows], rows)
        return robex.Scores((again.values - result.values[rows]).flatten(1).abs().sum(1).flip(0))


class ToyNear(robex.Metric):
    def measure(self, result, model, ctx):
        centres = ctx.states["centres"]["centres"][ctx.target]
        return robex.Scores((result.x_cf - centres).flatten(1).norm(dim=1))


class ToyCost(robex.Metric):
    def measure(self, result, model, ctx):
        import torch

        return robex.Scores(torch.tensor([ctx.cost.backward / ctx.cost.samples]))
