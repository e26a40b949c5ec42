"""Params and specs of the metrics on attributions. Light: no torch here."""

from __future__ import annotations

import math
from dataclasses import dataclass

from benchmark_core import Count, MethodSpec, Positive


@dataclass(frozen=True, kw_only=True)
class CompletenessGapParams:
    """How far the values of an attribution are from adding up to F(x) - F(baseline)."""


@dataclass(frozen=True, kw_only=True)
class GiniSparsenessParams:
    """Gini index of the absolute values: 0 when all features share alike, towards 1 when one holds all."""


@dataclass(frozen=True, kw_only=True)
class StabilityParams:
    """Largest change of the attribution per change of the input, over random inputs nearby (local Lipschitz).

    radius: half the side of the cube around x, in input units. draws: inputs nearby per sample.
    relative: measure the change of the attribution in units of its own length ||A(x)||_2.
    """

    radius: Positive = 0.05
    draws: Count = 20
    relative: bool = False


@dataclass(frozen=True, kw_only=True)
class MaxSensitivityParams:
    """Largest relative change of the attribution over random inputs nearby.

    radius: half the side of the cube around x, in input units. draws: inputs nearby per sample.
    """

    radius: Positive = 0.05
    draws: Count = 20


_HERE = "benchmark_plugins.metrics.attribution"

SPECS: tuple[MethodSpec, ...] = (
    MethodSpec.metric(
        "completeness-gap",
        f"{_HERE}:CompletenessGap",
        params=CompletenessGapParams,
        consumes=("attribution",),
        direction="lower",
        scores="conditional",
        range=(0.0, math.inf),
        cite="Sundararajan, Taly, Yan 2017, Axiomatic attribution for deep networks, arXiv:1703.01365",
    ),
    MethodSpec.metric(
        "gini-sparseness",
        f"{_HERE}:GiniSparseness",
        params=GiniSparsenessParams,
        consumes=("attribution",),
        direction="higher",
        range=(0.0, 1.0),
        cite="Chalasani et al. 2020, Concise explanations of neural networks using adversarial training, "
        "arXiv:1810.06583",
    ),
    MethodSpec.metric(
        "stability",
        f"{_HERE}:Stability",
        params=StabilityParams,
        consumes=("attribution",),
        direction="lower",
        scores="conditional",
        range=(0.0, math.inf),
        deterministic=False,
        cite="Alvarez-Melis, Jaakkola 2018, On the robustness of interpretability methods, arXiv:1806.08049",
    ),
    MethodSpec.metric(
        "max-sensitivity",
        f"{_HERE}:MaxSensitivity",
        params=MaxSensitivityParams,
        consumes=("attribution",),
        direction="lower",
        scores="conditional",
        range=(0.0, math.inf),
        deterministic=False,
        cite="Yeh et al. 2019, On the (in)fidelity and sensitivity of explanations, arXiv:1901.09392",
    ),
)
