"""Params and specs of the metrics of accuracy and robustness. Light: no torch here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from benchmark_core import MethodSpec


@dataclass(frozen=True, kw_only=True)
class AccuracyParams:
    """Share of inputs that the model classifies correctly."""


@dataclass(frozen=True, kw_only=True)
class RobustAccuracyParams:
    """Share of inputs that the model still classifies correctly once they are attacked."""


@dataclass(frozen=True, kw_only=True)
class AttackSuccessRateParams:
    """Share of correctly classified inputs that the attack turns: into the target where it has one."""


@dataclass(frozen=True, kw_only=True)
class PerturbationNormParams:
    """Size of the perturbation, ||x_adv - x||, in input units.

    norm: l0 (how many entries changed), l1, l2 or linf.
    among: `successes`, the correctly classified inputs that the attack turned, or `all` inputs.
    """

    norm: Literal["l0", "l1", "l2", "linf"] = "l2"
    among: Literal["successes", "all"] = "successes"


@dataclass(frozen=True, kw_only=True)
class TransferParams:
    """Attack success rate on another model, over inputs that both models classify correctly.

    The attack is made on the model of the row and tried on the model that `reference: LABEL` names: the row
    Standard with `reference: AT` says how often attacks on Standard also fool AT. The row of the reference
    itself (Standard on Standard) is the white-box value.
    """


_HERE = "benchmark_plugins.metrics.robustness"

SPECS: tuple[MethodSpec, ...] = (
    MethodSpec.metric(
        "accuracy",
        f"{_HERE}:Accuracy",
        params=AccuracyParams,
        consumes=("prediction",),
        direction="higher",
        scores="bernoulli",
        unit="%",
        range=(0.0, 1.0),
        cite="Sokolova, Lapalme: A systematic analysis of performance measures for classification tasks, "
        "Information Processing & Management 45(4), 2009",
    ),
    MethodSpec.metric(
        "robust-accuracy",
        f"{_HERE}:RobustAccuracy",
        params=RobustAccuracyParams,
        consumes=("perturbation",),
        direction="higher",
        judges="defense",
        scores="bernoulli",
        unit="%",
        range=(0.0, 1.0),
        reads="success",
        cite="Madry, Makelov, Schmidt, Tsipras, Vladu: Towards deep learning models resistant to adversarial "
        "attacks (ICLR 2018). arXiv:1706.06083",
    ),
    MethodSpec.metric(
        "attack-success-rate",
        f"{_HERE}:AttackSuccessRate",
        params=AttackSuccessRateParams,
        consumes=("perturbation",),
        direction="lower",
        judges="defense",
        scores="conditional",
        unit="%",
        range=(0.0, 1.0),
        reads="success",
        cite="Carlini, Wagner: Towards evaluating the robustness of neural networks (S&P 2017). "
        "arXiv:1608.04644",
    ),
    MethodSpec.metric(
        "perturbation-norm",
        f"{_HERE}:PerturbationNorm",
        params=PerturbationNormParams,
        consumes=("perturbation",),
        direction="lower",
        judges="attack",
        scores="conditional",
        range=(0.0, math.inf),
        cite="Carlini, Wagner: Towards evaluating the robustness of neural networks (S&P 2017). "
        "arXiv:1608.04644",
    ),
    MethodSpec.metric(
        "transfer",
        f"{_HERE}:Transfer",
        params=TransferParams,
        consumes=("perturbation",),
        direction="lower",
        judges="defense",
        scores="conditional",
        unit="%",
        range=(0.0, 1.0),
        reference="model",
        cite="Papernot, McDaniel, Goodfellow: Transferability in machine learning (2016). arXiv:1605.07277",
    ),
)
