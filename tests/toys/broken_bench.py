"""A local plugin of methods that break one contract each, beside good twins, to try the conformance kit on.

`BROKEN` says which case of the kit is meant to catch which method; broken_methods.py holds what they do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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
    "keeps-graph": ("keeps-shape-and-dtype", {}),
    "flattens": ("keeps-shape-and-dtype", {}),
    "leaves-box": ("stays-in-the-box", {}),
    "leaves-ball": ("stays-in-its-ball", {}),
    "early-ball": ("stays-in-its-ball", {"early_exit": True, "targeted": False}),
    "in-place": ("leaves-its-inputs", {}),
    "wants-gradients": ("leaves-its-inputs", {}),
    "edits-params": ("leaves-its-inputs", {}),
    "edits-task": ("leaves-its-inputs", {}),
    "adds-hook": ("leaves-the-model", {}),
    "patches-forward": ("leaves-the-model", {}),
    "trains-mode": ("leaves-the-model", {}),
    "fills-grad": ("leaves-the-model", {}),
    "edits-weights": ("leaves-the-model", {}),
    "torch-rng": ("leaves-global-random-state", {}),
    "numpy-rng": ("leaves-global-random-state", {}),
    "python-rng": ("leaves-global-random-state", {}),
    "grad-mode": ("leaves-the-process", {}),
    "global-hook": ("leaves-the-process", {}),
    "matmul": ("leaves-the-process", {}),
    "own-clock": ("repeats-itself", {}),
    "draws-deterministic": ("needs-no-seed-if-deterministic", {}),
    "own-seed": ("another-seed-can-change-it", {"deterministic": False}),
    "draws-nothing": ("another-seed-can-change-it", {"deterministic": False}),
    "good-noise": (None, {"deterministic": False}),
    "counts-calls": ("keeps-nothing-between-calls", {}),
    "keeps-answer": ("keeps-nothing-between-calls", {}),
    "batch-mean": ("does-not-depend-on-the-batch", {}),
    "batch-draw": ("does-not-depend-on-the-batch", {"deterministic": False}),
    "small-batch": ("does-not-depend-on-the-batch", {}),
    "batch-size": ("does-not-depend-on-the-batch", {}),
    "float32": ("keeps-float64", {}),
    "needs-a-sample": ("takes-an-empty-batch", {}),
    "progress": ("tells-progress-that-makes-sense", {}),
    "scalar-note": ("notes-are-per-sample", {}),
    "divides-by-gradient": ("survives-a-flat-model", {}),
    "secret-goal": ("does-the-same-for-every-goal", {}),
    "secret-aim": ("does-the-same-for-every-goal", {}),
    "secret-training": ("does-the-same-for-every-goal", {}),
    "lazy-exit": ("early-exit-costs-no-success", {"early_exit": True}),
    "lazy-aim": ("early-exit-costs-no-success", {"early_exit": True}),
    "forgets-aim": ("aims-at-its-target", {"early_exit": True}),
    "no-aim": ("aims-at-its-target", {}),
    "away-from-target": ("aims-at-its-target", {}),
    "boasts": ("reports-success-as-a-fresh-prediction-would", {}),
    "uncounted": ("goes-through-the-counted-model", {}),
    "no-citation": ("has-a-citation", {"cite": ""}),
    "draft-citation": ("has-a-citation", {"cite": "the paper or page that it comes from"}),
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
    "explainer/moves-immutable-when-lost": "keeps-immutable-features",
    "explainer/moves-immutable-when-flat": "keeps-immutable-features",
    "explainer/mixes-calls": "keeps-nothing-between-calls",
    "explainer/aims-elsewhere": "aims-at-the-target",
    "explainer/good-synthesis": None,
    "explainer/bad-labels": "keeps-shape-and-dtype",
    "explainer/outside-images": "stays-in-the-box",
    "metric/good-score": None,
    "metric/one-number": "returns-one-score-a-sample",
    "metric/out-of-range": "stays-in-its-range",
    "metric/all-nan": "stays-in-its-range",
    "metric/infinite": "stays-in-its-range",
    "metric/graph-score": "returns-one-score-a-sample",
    "metric/undeclared-valid": "gives-the-kind-of-scores-it-declares",
    "metric/half-success": "gives-the-kind-of-scores-it-declares",
    "metric/believes-notes": "asks-the-model-again",
    "metric/believes-valid": "asks-the-model-again",
    "metric/believes-failure": "asks-the-model-again",
    "metric/numbers-calls": "keeps-nothing-between-calls",
    "metric/float32-only": "measures-float64",
    "metric/centres-scores": "does-not-depend-on-the-batch",
    "metric/never-fails": "some-samples-may-fail",
    "model/good-model": None,
    "model/tied": None,
    "model/extra-state": "can-be-stored",
    "model/wrong-classes": "returns-a-network",
    "model/no-features": "has-features",
    "model/detached": "is-differentiable",
    "model/batch-centred": "predicts-samples-not-batches",
    "model/hidden-weight": "lives-in-its-state-dict",
    "model/half": "keeps-the-dtype",
    "model/knows-test-set": "learns-from-training-data-alone",
    "model/numpy-weights": "leaves-global-random-state",
    "defense/good-defense": None,
    "defense/renames": "returns-weights-that-load",
    "defense/freezes": "leaves-the-network-usable",
    "defense/shifts-data": "leaves-its-inputs",
    "defense/unseeded": "repeats-itself",
    "defense/trains-on-test-set": "learns-from-training-data-alone",
    "state/good-state": None,
    "state/has-list": "prepares-tensors",
    "state/nan-state": "prepares-tensors",
    "state/draws-state": "needs-no-seed-if-deterministic",
    "state/made-of-test-labels": "learns-from-training-data-alone",
    "dataset/good-data": None,
    "dataset/outside-data": "gives-a-task",
    "dataset/gap": "has-samples-of-every-class",
    "dataset/leak": "keeps-its-test-set-apart",
    "dataset/test-mean": "normalises-by-training-inputs",
    "dataset/test-std": "normalises-by-training-inputs",
    "dataset/constant-feature": None,
    "dataset/new-data": "repeats-itself",
    "dataset/numpy-favourable": "can-be-stored",
}  # fmt: skip

BROKEN = {f"attack/{name}": case for name, (case, _) in _ATTACKS.items()} | _OTHERS


@hookimpl
def register_methods():
    for name, (_, fields) in _ATTACKS.items():
        step = {
            "params": StepParams,
            "norm": "linf",
            "targeted": True,
            "deterministic": True,
            "cite": "a toy",
        }
        fields = step | fields
        target = "NoParamsKept" if name == "no-params" else "Step"
        yield MethodSpec.attack(name, f"broken_methods:{target}", **_own(name, fields))
    more: dict[str, dict[str, Any]] = {
        "explainer": {"produces": "attribution", "deterministic": True},
        "metric": {"consumes": ("perturbation",), "direction": "higher", "range": (0, 1)},
        "dataset": {"input": "tabular"},
    }
    special: dict[str, dict[str, Any]] = {
        "good-counterfactual": {"produces": "counterfactual", "needs": _needs},
        "moves-immutable": {"produces": "counterfactual", "needs": _needs},
        "aims-elsewhere": {"produces": "counterfactual", "needs": _needs},
        "moves-immutable-when-lost": {"produces": "counterfactual", "needs": _needs},
        "moves-immutable-when-flat": {"produces": "counterfactual", "needs": _needs},
        "mixes-calls": {"produces": "counterfactual", "needs": _needs},
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
        target = f"broken_methods:{kind.capitalize()}"
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
