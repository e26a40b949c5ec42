"""A local plugin of methods that break one contract each, beside good twins, to try the conformance kit on.

`BROKEN` says which case of the kit is meant to catch which method.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import benchmark_core as robex
from benchmark_core import Count, Eps, MethodSpec, Use, hookimpl, use


@dataclass(frozen=True, kw_only=True)
class StepParams:
    """A signed gradient step of length eps."""

    eps: Eps = 0.2


@dataclass(frozen=True, kw_only=True)
class BadDefaultParams:
    """A step with a radius below zero."""

    eps: Eps = 0.2
    draws: Count = 0


@dataclass(frozen=True, kw_only=True)
class NoKeyParams:
    """A step whose weight is no plain value."""

    eps: Eps = 0.2
    weight: Any = complex(1, 1)


@dataclass(frozen=True, kw_only=True)
class SilentParams:
    eps: Eps = 0.2


@dataclass(frozen=True, kw_only=True)
class Plain:
    """A toy for the conformance kit."""


_ATTACKS: dict[str, tuple[str | None, dict[str, Any]]] = {
    "good": (None, {}),
    "raises": ("runs", {}),
    "nan": ("keeps-shape-and-dtype", {}),
    "flattens": ("keeps-shape-and-dtype", {}),
    "leaves-box": ("stays-in-the-box", {}),
    "leaves-ball": ("stays-in-its-ball", {}),
    "early-ball": ("stays-in-its-ball", {"early_exit": True}),
    "in-place": ("leaves-its-inputs", {}),
    "edits-task": ("leaves-its-inputs", {}),
    "adds-hook": ("leaves-the-model", {}),
    "trains-mode": ("leaves-the-model", {}),
    "fills-grad": ("leaves-the-model", {}),
    "edits-weights": ("leaves-the-model", {}),
    "torch-rng": ("leaves-global-random-state", {}),
    "numpy-rng": ("leaves-global-random-state", {}),
    "python-rng": ("leaves-global-random-state", {}),
    "grad-mode": ("leaves-the-process", {}),
    "own-clock": ("repeats-itself", {}),
    "draws-deterministic": ("needs-no-seed-if-deterministic", {"deterministic": True}),
    "batch-mean": ("does-not-depend-on-the-batch", {}),
    "batch-draw": ("does-not-depend-on-the-batch", {}),
    "float32": ("keeps-float64", {}),
    "needs-a-sample": ("takes-an-empty-batch", {}),
    "progress": ("tells-progress-that-makes-sense", {}),
    "scalar-note": ("notes-are-per-sample", {}),
    "divides-by-gradient": ("survives-a-flat-model", {}),
    "secret-goal": ("does-the-same-for-every-goal", {}),
    "lazy-exit": ("early-exit-costs-no-success", {"early_exit": True}),
    "no-aim": ("aims-at-its-target", {}),
    "away-from-target": ("aims-at-its-target", {}),
    "boasts": ("reports-success-as-a-fresh-prediction-would", {}),
    "uncounted": ("goes-through-the-counted-model", {}),
    "no-citation": ("has-a-citation", {"cite": ""}),
    "no-summary": ("has-a-summary", {"params": SilentParams}),
    "bad-default": ("has-valid-defaults", {"params": BadDefaultParams}),
    "no-key": ("makes-a-key", {"params": NoKeyParams}),
    "lambda": ("travels-between-processes", {"unfit": lambda params, dataset: None}),
    "no-params": ("has-a-class-behind-its-target", {}),
}  # fmt: skip

_OTHERS: dict[str, str | None] = {
    "explainer/good-attribution": None,
    "explainer/bad-delta": "keeps-shape-and-dtype",
    "explainer/batch-scale": "does-not-depend-on-the-batch",
    "explainer/good-counterfactual": None,
    "explainer/moves-immutable": "keeps-immutable-features",
    "explainer/aims-elsewhere": "aims-at-the-target",
    "explainer/good-synthesis": None,
    "explainer/bad-labels": "keeps-shape-and-dtype",
    "explainer/outside-images": "stays-in-the-box",
    "metric/good-score": None,
    "metric/one-number": "returns-one-score-a-sample",
    "metric/out-of-range": "stays-in-its-range",
    "metric/undeclared-valid": "gives-the-kind-of-scores-it-declares",
    "metric/half-success": "gives-the-kind-of-scores-it-declares",
    "metric/believes-notes": "asks-the-model-again",
    "metric/float32-only": "measures-float64",
    "metric/centres-scores": "does-not-depend-on-the-batch",
    "metric/never-fails": "some-samples-may-fail",
    "model/good-model": None,
    "model/wrong-classes": "returns-a-network",
    "model/no-features": "has-features",
    "model/detached": "is-differentiable",
    "model/batch-centred": "predicts-samples-not-batches",
    "model/hidden-weight": "lives-in-its-state-dict",
    "model/half": "keeps-the-dtype",
    "model/numpy-weights": "leaves-global-random-state",
    "defense/good-defense": None,
    "defense/renames": "returns-weights-that-load",
    "defense/freezes": "leaves-the-network-usable",
    "defense/shifts-data": "leaves-its-inputs",
    "defense/unseeded": "repeats-itself",
    "state/good-state": None,
    "state/has-list": "prepares-tensors",
    "state/nan-state": "prepares-tensors",
    "state/draws-state": "needs-no-seed-if-deterministic",
    "dataset/good-data": None,
    "dataset/outside-data": "gives-a-task",
    "dataset/gap": "has-samples-of-every-class",
    "dataset/leak": "keeps-its-test-set-apart",
    "dataset/test-mean": "normalises-by-training-inputs",
    "dataset/new-data": "repeats-itself",
    "dataset/numpy-favourable": "can-be-stored",
}  # fmt: skip

BROKEN = {f"attack/{name}": case for name, (case, _) in _ATTACKS.items()} | _OTHERS


@hookimpl
def register_methods():
    for name, (_, fields) in _ATTACKS.items():
        fields = {"params": StepParams, "norm": "linf", "targeted": True, "cite": "a toy"} | fields
        target = "NoParamsKept" if name == "no-params" else "Step"
        yield MethodSpec.attack(name, f"broken_bench:{target}", **_own(name, fields))
    more: dict[str, dict[str, Any]] = {
        "explainer": {"produces": "attribution"},
        "metric": {"consumes": ("perturbation",), "direction": "higher", "range": (0, 1)},
        "dataset": {"input": "tabular"},
    }
    special: dict[str, dict[str, Any]] = {
        "good-counterfactual": {"produces": "counterfactual", "needs": _needs},
        "moves-immutable": {"produces": "counterfactual", "needs": _needs},
        "aims-elsewhere": {"produces": "counterfactual", "needs": _needs},
        "good-synthesis": {"produces": "synthesis"},
        "bad-labels": {"produces": "synthesis"},
        "outside-images": {"produces": "synthesis"},
        "half-success": {"scores": "bernoulli"},
        "believes-notes": {"reads": "success"},
        "never-fails": {"scores": "conditional", "average": "median", "failure": math.inf},
        "draws-state": {"deterministic": True},
        "good-state": {"deterministic": True},
    }
    for path in _OTHERS:
        kind, _, name = path.partition("/")
        fields = {"params": Plain, "cite": "a toy"} | more.get(kind, {}) | special.get(name, {})
        target = f"broken_bench:{kind.capitalize()}"
        yield getattr(MethodSpec, kind)(name, target, **_own(name, fields))


#: A class of params for every method, so that an implementation knows which one it is.
_PARAMS: dict[str, type] = {}


def _own(name: str, fields: dict[str, Any]) -> dict[str, Any]:
    base = fields["params"]
    if name not in _PARAMS:
        made = type(
            base.__name__ + "_" + name.replace("-", "_"),
            (base,),
            {"__doc__": None if base is SilentParams else base.__doc__},
        )
        made.__module__ = __name__
        setattr(made, "method", name)  # noqa: B010 - it is no field
        _PARAMS[name] = globals()[made.__name__] = dataclass(frozen=True, kw_only=True)(made)
    return fields | {"params": _PARAMS[name]}


def _needs(params: object) -> Mapping[str, Use]:
    return {"centres": use("good-state")}


_calls = 0


def _count() -> int:
    global _calls
    _calls += 1
    return _calls


class Step(robex.Attack):
    """x + eps sign(gradient), in the box; `method` of the params says which contract it breaks."""

    def perturb(self, model, x, y, ctx):
        import random

        import numpy as np
        import torch

        name, eps = self.params.method, self.params.eps
        if name == "raises":
            raise ValueError("told to raise")
        if name == "needs-a-sample":
            x.max()
        if name == "edits-task":
            ctx.task.y_test[0] += 1
        if name == "adds-hook":
            model.model.register_forward_hook(lambda module, args, out: None)
        if name == "trains-mode":
            model.train()
        if name == "edits-weights":
            next(model.parameters()).mul_(1.001)
        if name == "torch-rng":
            torch.rand(1)
        if name == "numpy-rng":
            np.random.rand()  # noqa: NPY002
        if name == "python-rng":
            random.random()
        if name == "uncounted":
            model.model(x)
        if name == "progress":
            ctx.progress(3, 2)
        ctx.progress(1, 1)

        aim = None if name == "no-aim" else ctx.target
        with torch.enable_grad():
            z = x.clone().requires_grad_()
            logits = model(z)
            loss = torch.nn.functional.cross_entropy(logits, y if aim is None else aim, reduction="sum")
            (g,) = torch.autograd.grad(loss, z)
        if name == "fills-grad" and len(x):
            next(model.parameters()).grad = torch.zeros_like(next(model.parameters()))
        up = 1 if (aim is None) != (name == "away-from-target") else -1
        if name == "away-from-target" and aim is None:
            up = 1
        step = up * eps * g.sign()
        if name == "divides-by-gradient":
            step = step * (g.abs().amax() / g.abs().amax()) if len(x) else step
        if name == "batch-mean" and len(x):
            step = step * (0.5 + 0.5 * torch.sigmoid(g.mean()))
        if name == "batch-draw":
            step = step * torch.rand(x.shape, generator=ctx.generator).to(x)
        if name == "draws-deterministic":
            step = step * ctx.random.uniform(*x.shape[1:]).to(x)
        if name == "own-clock":
            step = step / (1 + 0.01 * _count())
        if name == "secret-goal" and ctx.goal == "success":
            step = step / 2
        if name == "lazy-exit" and ctx.goal == "success":
            step = step * 0
        if name == "leaves-ball" or (name == "early-ball" and ctx.goal == "success"):
            step = 2 * step
        x_adv = x + step
        if name != "leaves-box":
            x_adv = x_adv.clamp(ctx.task.lower.to(x), ctx.task.upper.to(x))
        if name == "nan":
            x_adv = x_adv * float("nan")
        if name == "flattens":
            x_adv = x_adv.flatten(1)[:, :1]
        if name == "float32":
            x_adv = x_adv.float()
        if name == "in-place":
            x += 0.001
        if name == "grad-mode":
            torch.set_grad_enabled(False)
        notes = {}
        if name == "scalar-note":
            notes = {"loss": loss.detach()}
        if name == "boasts":
            notes = {"success": torch.ones(len(x))}
        return robex.Perturbation(x_adv, notes)


class NoParamsKept(Step):
    """Forgets its params once it is made, but acts by them."""

    def __init__(self, params):
        self.params = replace(params, eps=params.eps / 2)


class Explainer(robex.Explainer):
    def explain(self, model, x, y, ctx):
        import torch

        name, task = self.params.method, ctx.task
        if name in ("good-synthesis", "bad-labels", "outside-images"):
            labels = torch.arange(task.n_classes)
            images = task.x_train[:1].to(x).repeat(len(labels), *[1] * (x.ndim - 1))
            images = images + 100 if name == "outside-images" else images
            return robex.Synthesis(images, labels + 1 if name == "bad-labels" else labels)
        if ctx.states:
            aim = (ctx.target + 1) % task.n_classes if name == "aims-elsewhere" else ctx.target
            way = ctx.states["centres"]["centres"].to(x)[aim] - x
            way = way if name == "moves-immutable" else way * task.mutable
            return robex.Counterfactual(x + way.clamp(task.lower.to(x) - x, task.upper.to(x) - x))
        values = x * 2
        if name == "batch-scale" and len(x):
            values = values / values.abs().max().clamp_min(1)
        return robex.Attribution(values, delta=values.flatten() if name == "bad-delta" else None)


class Metric(robex.Metric):
    def measure(self, result, model, ctx):
        import torch

        name = self.params.method
        fooled = (ctx.logits(model, result.x_adv).argmax(1) != ctx.y).to(result.x_adv)
        if name == "one-number":
            return robex.Scores(fooled.mean()[None])
        if name == "out-of-range":
            return robex.Scores(100 * fooled + 1)
        if name == "undeclared-valid":
            return robex.Scores(fooled, fooled == 0)
        if name == "half-success":
            return robex.Scores(fooled / 2 + 0.5 * (1 - fooled))
        if name == "believes-notes" and "success" in result.notes:
            return robex.Scores(result.notes["success"])
        if name == "float32-only":
            torch.ones(3) @ torch.ones(3, dtype=result.x_adv.dtype)
        if name == "centres-scores":
            moved = (result.x_adv - ctx.x).flatten(1).abs().sum(1)
            return robex.Scores(moved / moved.sum().clamp_min(1e-9))
        return robex.Scores(fooled)


class Model(robex.Model):
    def build(self, task, ctx):
        import numpy as np
        import torch
        from torch import nn

        name = self.params.method

        class Network(nn.Module):
            def __init__(self):
                super().__init__()
                size = task.x_train[0].numel()
                self.flat, self.head = nn.Flatten(), nn.Linear(size, task.n_classes)
                self.bias = torch.rand(())
                if name == "wrong-classes":
                    self.head = nn.Linear(size, 1)
                if name == "numpy-weights":
                    nn.init.constant_(self.head.bias, np.random.rand())  # noqa: NPY002
                if name != "no-features":
                    self.features = self.flat

            def forward(self, x):
                x = self.flat(x)
                if name == "detached":
                    x = x.detach()
                if name == "batch-centred":
                    x = x - x.mean(0)
                if name == "hidden-weight":
                    x = x * self.bias
                z = self.head(x)
                return z.float() if name == "half" else z

        return Network()


class Defense(robex.Defense):
    def train(self, model, task, ctx):
        import torch
        from torch import nn

        name = self.params.method
        optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
        torch.nn.functional.cross_entropy(model(task.x_train), task.y_train).backward()
        optimiser.step()
        if name == "renames":
            return nn.Sequential(model)
        if name == "freezes":
            return model.requires_grad_(False)
        if name == "shifts-data":
            task.x_train.sub_(0.1)
        if name == "unseeded":
            with torch.no_grad():
                next(model.parameters()).add_(0.01 * _count())
        return model


class State(robex.State):
    def prepare(self, model, task, ctx):
        import torch

        name, classes = self.params.method, range(task.n_classes)
        centres = torch.stack([task.x_train[task.y_train == c].mean(0) for c in classes])
        if name == "has-list":
            return {"centres": centres.tolist()}
        if name == "nan-state":
            centres = centres * float("nan")
        if name == "draws-state":
            centres = centres + torch.rand(centres.shape, generator=ctx.generator)
        return {"centres": centres}


class Dataset(robex.Dataset):
    def load(self, ctx):
        import numpy as np
        import torch

        from benchmark_core.testing import blobs

        name = self.params.method
        task = blobs(seed=_count() if name == "new-data" else 0)
        if name == "outside-data":
            return replace(task, upper=task.upper / 2)
        if name == "gap":
            return replace(task, classes=(*task.classes, "nobody"))
        if name == "leak":
            half = len(task.x_test) // 2
            x_test = torch.cat([task.x_train[:half], task.x_test[half:]])
            return replace(task, x_test=x_test, y_test=torch.cat([task.y_train[:half], task.y_test[half:]]))
        if name == "numpy-favourable":
            return replace(task, favourable=np.int64(1))
        if name == "test-mean":
            return replace(task, mean=task.x_test.mean(0) + 0.1)
        return task
