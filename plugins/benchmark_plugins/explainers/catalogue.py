"""Params and specs of the built-in explainers. Light: no torch here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from benchmark_core import Count, MethodSpec, NonNegative, Number, Positive

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


_HERE = "benchmark_plugins.explainers"

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
)
