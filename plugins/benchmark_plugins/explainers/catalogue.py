"""Params and specs of the built-in explainers. Light: no torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from benchmark_core import Count, MethodSpec, NonNegative, Number, Positive, Unit, Use, use

Output = Literal["logit", "probability", "loss"]
"""The number that is explained: the logit of a class, its softmax probability, or the loss towards it."""
OfClass = Literal["label", "predicted", "target"]
"""Whose output: the class of the label, the one the model predicts at the input, or the one aimed at."""


@dataclass(frozen=True, kw_only=True)
class RandomParams:
    """Standard normal numbers instead of an explanation: the null that any explainer should beat."""


@dataclass(frozen=True, kw_only=True)
class SaliencyParams:
    """The gradient of the model's output with respect to its input.

    output, of: the explained number F and its class c: the logit z_c, the probability softmax(z)_c or the
    loss -log softmax(z)_c; c is the label, the predicted class or the selection's target.
    absolute: return |values|.
    times_input: multiply the gradient by the input (before `absolute`).
    """

    output: Output = "logit"
    of: OfClass = "predicted"
    absolute: bool = False
    times_input: bool = False


@dataclass(frozen=True, kw_only=True)
class IntegratedGradientsParams:
    """The gradient integrated along the straight path from a baseline, times the way from it.

    steps: gradients per sample and baseline.
    rule: where they are taken and how they are weighted; gauss-legendre needs the fewest steps.
    baseline: the input that stands for "nothing": `zero` (0 in input units, also where the task's box
    excludes 0), `mean` (of the training inputs), `given` (`baseline_value` everywhere), or `set` (the mean
    over `baseline_draws` random training inputs per sample: expected gradients with exact paths).
    baseline_value: in input units, for `given`. baseline_draws: for `set`.
    output, of: the explained number F and its class, as for saliency; the class stays fixed along the path.
    """

    steps: Count = 50
    rule: Literal["gauss-legendre", "trapezoid", "left", "right", "middle"] = "gauss-legendre"
    baseline: Literal["zero", "mean", "given", "set"] = "zero"
    baseline_value: Number = 0.0
    baseline_draws: Count = 10
    output: Output = "logit"
    of: OfClass = "predicted"

    def __post_init__(self) -> None:
        if self.rule == "trapezoid" and self.steps < 2:
            raise ValueError("rule 'trapezoid' needs steps >= 2")


@dataclass(frozen=True, kw_only=True)
class ScfeParams:
    """Score-based counterfactuals (Wachter): reach a target score at the least distance.

    loss: on the margin f = z_target - max of the other logits: `squared` (f - score)^2, `hinge`
    max(0, score - f); or `cross-entropy` -log softmax(z)_target, which has no `score`.
    score: the margin aimed at, in logits.
    distance: d(x, x'): `l1`, or `l2` (the squared euclidean distance), in input units.
    lam: weight of the distance; the first one tried, or the only one for `answer: minimiser`.
    rounds: how many values of lam are tried (each half of the last) on samples without a counterfactual.
    steps: iterations at most per value of lam.
    lr: step size of Adam, in input units.
    tol: a search has converged when no feature moves by more, five iterations in a row (input units).
    answer: `nearest`, the valid iterate at the smallest distance; or `minimiser`, the last iterate for the
    one `lam` given, valid or not.
    """

    loss: Literal["squared", "hinge", "cross-entropy"] = "squared"
    score: Number = 0.1
    distance: Literal["l1", "l2"] = "l1"
    lam: NonNegative = 0.1
    rounds: Count = 10
    steps: Count = 1000
    lr: Positive = 0.01
    tol: NonNegative = 1e-5
    answer: Literal["nearest", "minimiser"] = "nearest"


@dataclass(frozen=True, kw_only=True)
class EccoParams:
    """Energy-constrained counterfactuals: reach the target class where the model itself expects its inputs.

    The defaults are those of CounterfactualExplanations.jl.
    until: `boundary` stops at p_target >= threshold; `target-class` goes on until also no entry of the
    gradient exceeds tol. threshold: a probability, or `uniform`: 1 / number of classes (what the library's
    `:decision_threshold` means).
    steps: at most.
    optimiser: plain gradient `descent`, or `adam`. lr: its step size, in input units for Adam.
    lam_distance, lam_energy: weights of ||x' - x||_1 (input units) and of the energy -logit_target.
    reg: weight of the squared energy beside the energy.
    decay: of the energy's weight over iterations k: `polynomial` a (b + k)^-decay_rate with
    b = round(steps / 25), a = b / 10; `exponential` exp(-decay_rate k) every `decay_every` iterations, else
    1; `none`.
    start_noise: standard deviation of the noise added to the factual to start from, in input units.
    lam_set_size: weight of the smooth size of the conformal prediction set (0: no such penalty), with its
    `coverage` (1 - alpha), `kappa` (the size that costs nothing) and `temperature`.
    """

    until: Literal["boundary", "target-class"] = "target-class"
    threshold: Unit | Literal["uniform"] = 0.5
    tol: NonNegative = 0.01
    steps: Count = 100
    lr: Positive = 0.1
    optimiser: Literal["descent", "adam"] = "descent"
    lam_distance: NonNegative = 0.1
    lam_energy: NonNegative = 1.0
    reg: NonNegative = 0.001
    decay: Literal["polynomial", "exponential", "none"] = "polynomial"
    decay_rate: NonNegative = 0.9
    decay_every: Count = 1
    start_noise: NonNegative = 0.1
    lam_set_size: NonNegative = 0.0
    coverage: Unit = 0.95
    kappa: NonNegative = 1.0
    temperature: Positive = 0.1


@dataclass(frozen=True, kw_only=True)
class EcccoParams(EccoParams):
    """Energy-constrained conformal counterfactuals, with the published settings for MNIST.

    For California Housing the paper has lam_distance 0.1, lam_set_size 0.1 and lam_energy 0.5. Params as for
    ecco. The paper tunes decay_rate and decay_every over (0, 1), (0.01, 1) and (0.1, 1).
    """

    lr: Positive = 0.05
    lam_distance: NonNegative = 0.01
    lam_energy: NonNegative = 0.3
    lam_set_size: NonNegative = 0.1
    reg: NonNegative = 0.0
    decay: Literal["polynomial", "exponential", "none"] = "exponential"
    decay_rate: NonNegative = 0.1
    start_noise: NonNegative = 0.0


@dataclass(frozen=True, kw_only=True)
class FactualParams:
    """The input itself, unchanged: what any metric of a counterfactual gives to one that has not moved."""


@dataclass(frozen=True, kw_only=True)
class RealSampleParams:
    """A random test sample whose label is the target: what any metric gives to real data of that class."""


def _ecco_needs(params: EccoParams) -> Mapping[str, Use]:
    if params.lam_set_size == 0:
        return {}
    return {"conformal": use("conformal-quantile", coverage=params.coverage)}


_HERE = "benchmark_plugins.explainers"
_ECCO = (
    "Altmeyer, Farmanbar, van Deursen, Liem 2024, Faithful model explanations through energy-constrained "
    "conformal counterfactuals, arXiv:2312.10648"
)

SPECS: tuple[MethodSpec, ...] = (
    MethodSpec.explainer(
        "random",
        f"{_HERE}.random:RandomAttribution",
        params=RandomParams,
        produces="attribution",
        control=True,
        cite="null control",
    ),
    MethodSpec.explainer(
        "saliency",
        f"{_HERE}.saliency:Saliency",
        params=SaliencyParams,
        produces="attribution",
        deterministic=True,
        cite="Simonyan, Vedaldi, Zisserman 2013, Deep inside convolutional networks, arXiv:1312.6034",
    ),
    MethodSpec.explainer(
        "integrated-gradients",
        f"{_HERE}.integrated_gradients:IntegratedGradients",
        params=IntegratedGradientsParams,
        produces="attribution",
        cite="Sundararajan, Taly, Yan 2017, Axiomatic attribution for deep networks, arXiv:1703.01365; "
        "sets of baselines: Erion et al. 2021, arXiv:1906.10670",
    ),
    MethodSpec.explainer(
        "scfe",
        f"{_HERE}.scfe:Scfe",
        params=ScfeParams,
        produces="counterfactual",
        deterministic=True,
        cite="Wachter, Mittelstadt, Russell 2018, Counterfactual explanations without opening the black box, "
        "arXiv:1711.00399",
    ),
    MethodSpec.explainer(
        "ecco",
        f"{_HERE}.ecco:Ecco",
        params=EccoParams,
        produces="counterfactual",
        needs=_ecco_needs,
        cite=_ECCO,
    ),
    MethodSpec.explainer(
        "eccco",
        f"{_HERE}.ecco:Ecco",
        params=EcccoParams,
        produces="counterfactual",
        needs=_ecco_needs,
        cite=_ECCO,
    ),
    MethodSpec.explainer(
        "factual",
        f"{_HERE}.references:Factual",
        params=FactualParams,
        produces="counterfactual",
        deterministic=True,
        control=True,
        cite="null control",
    ),
    MethodSpec.explainer(
        "real-sample",
        f"{_HERE}.references:RealSample",
        params=RealSampleParams,
        produces="counterfactual",
        ideal=True,
        cite="reference of real data",
    ),
)
