"""Params and specs of the metrics on counterfactuals and on cost. Light: no torch here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from benchmark_core import Count, DatasetSpec, MethodSpec, NonNegative, Positive, Unit, Use, use


@dataclass(frozen=True, kw_only=True)
class ValidityParams:
    """Share of counterfactuals that the model gives the target class.

    rule: argmax (the target has the largest logit) or threshold (its probability is at least `threshold`).
    threshold: probability in [0, 1]; 1 / number of classes gives the rule of CounterfactualExplanations.jl.
    """

    rule: Literal["argmax", "threshold"] = "argmax"
    threshold: Unit = 0.5


@dataclass(frozen=True, kw_only=True)
class CostParams:
    """Distance between input and counterfactual.

    norm: l1, l2 or linf of the difference, in the task's own units.
    among: valid (only counterfactuals whose predicted class is the target) or all.
    """

    norm: Literal["l1", "l2", "linf"] = "l2"
    among: Literal["valid", "all"] = "valid"


@dataclass(frozen=True, kw_only=True)
class SparsityParams:
    """Number of features that the counterfactual changes; the channels of a pixel count one by one.

    A feature is changed when |x' - x| > atol + rtol |x|.
    atol: in input units; it is above numpy's 1e-8 so that float32 rounding near 0 is not a change.
    among: valid (only counterfactuals whose predicted class is the target) or all.
    """

    atol: NonNegative = 1e-5
    rtol: NonNegative = 1e-5
    among: Literal["valid", "all"] = "valid"


@dataclass(frozen=True, kw_only=True)
class LofParams:
    """Local outlier factor of the counterfactual among training points of its target class; about 1 inside.

    k: neighbours; a class of k points or fewer uses all but one, as scikit-learn does.
    distance: between flattened points in the task's own units: l2, l1, or cosine (1 - cos).
    """

    k: Count = 20
    distance: Literal["l2", "l1", "cosine"] = "l2"


@dataclass(frozen=True, kw_only=True)
class ImplausibilityParams:
    """Mean distance from the counterfactual to the nearest training points of its target class.

    k: how many of them; a class with fewer points is used whole.
    distance: l2, l1 (the plain sum, not divided by the number of features), cosine (1 - cos), or, for images,
    ssim: (1 - SSIM) / 2 with the task's box scaled to [0, 1]. auto: ssim on images, l2 on tables.
    borders: what SSIM does there: `mirror` the image and average all pixels, or `crop` to pixels whose whole
    window lies inside.
    among: all, or valid (only counterfactuals whose predicted class is the target).
    """

    k: Count = 100
    distance: Literal["auto", "l2", "l1", "cosine", "ssim"] = "l2"
    borders: Literal["mirror", "crop"] = "mirror"
    among: Literal["all", "valid"] = "all"


@dataclass(frozen=True, kw_only=True)
class UnfaithfulnessParams:
    """Mean distance from the counterfactual to what the model itself expects of the target class.

    chains: Langevin samples a class; keep: how many of them, those of the lowest energy, are compared with.
    steps, form, step, noise, width, clip: of the sampler (state sgld-samples).
    distance, borders, among: as for implausibility.
    scale: `mean` of the distances, or `published`: times keep / chains, as the numbers of Altmeyer et al.
    2024 are (their code sums over `keep` samples and divides by all of them).
    """

    chains: Count = 50
    keep: Count = 25
    steps: Count = 500
    form: Literal["improper", "proper"] = "improper"
    step: Positive = 2.0
    noise: NonNegative = 0.01
    width: Positive = 3.0
    clip: Literal["none", "box"] = "none"
    distance: Literal["auto", "l2", "l1", "cosine", "ssim"] = "l2"
    borders: Literal["mirror", "crop"] = "mirror"
    among: Literal["all", "valid"] = "all"
    scale: Literal["mean", "published"] = "mean"

    def __post_init__(self) -> None:
        if self.keep > self.chains:
            raise ValueError(f"keep must be at most chains ({self.chains}), got {self.keep}")


@dataclass(frozen=True, kw_only=True)
class RuntimeParams:
    """Wall seconds that the method took per sample, on the machine it ran on."""


@dataclass(frozen=True, kw_only=True)
class GradientCallsParams:
    """Backward passes per sample: the cost of a method, whatever the machine."""


def _lof_needs(params: LofParams) -> Mapping[str, Use]:
    return {"index": use("neighbour-index", distance=params.distance, k=params.k)}


def _implausibility_needs(params: ImplausibilityParams) -> Mapping[str, Use]:
    # Only its grouping by class is read, so any index will do: the one that `lof` makes by default.
    return {"index": use("neighbour-index")}


def _unfaithfulness_needs(params: UnfaithfulnessParams) -> Mapping[str, Use]:
    names = ("chains", "steps", "form", "step", "noise", "width", "clip")
    return {"sgld": use("sgld-samples", **{name: getattr(params, name) for name in names})}


def _ssim_unfit(params: ImplausibilityParams | UnfaithfulnessParams, dataset: DatasetSpec) -> str | None:
    if params.distance == "ssim" and dataset.input != "image":
        return f"distance ssim compares images; {dataset.name} is {dataset.input}"
    return None


_COUNTERFACTUAL = "benchmark_plugins.metrics.counterfactual"
_COST = "benchmark_plugins.metrics.cost"
_ALTMEYER = (
    "Altmeyer, Farmanbar, van Deursen, Liem 2024, Faithful model explanations through energy-constrained "
    "conformal counterfactuals, arXiv:2312.10648"
)

SPECS: tuple[MethodSpec, ...] = (
    MethodSpec.metric(
        "validity",
        f"{_COUNTERFACTUAL}:Validity",
        params=ValidityParams,
        consumes=("counterfactual",),
        direction="higher",
        scores="bernoulli",
        unit="%",
        range=(0.0, 1.0),
        cite="Mothilal, Sharma, Tan 2020, Explaining machine learning classifiers through diverse "
        "counterfactual explanations, arXiv:1905.07697",
    ),
    MethodSpec.metric(
        "cost",
        f"{_COUNTERFACTUAL}:CounterfactualCost",
        params=CostParams,
        consumes=("counterfactual",),
        direction="lower",
        scores="conditional",
        range=(0.0, math.inf),
        cite="Pawelczyk et al. 2021, CARLA: a Python library to benchmark algorithmic recourse and "
        "counterfactual explanation algorithms, arXiv:2108.00783",
    ),
    MethodSpec.metric(
        "sparsity",
        f"{_COUNTERFACTUAL}:Sparsity",
        params=SparsityParams,
        consumes=("counterfactual",),
        direction="lower",
        scores="conditional",
        unit="features",
        range=(0.0, math.inf),
        cite="Pawelczyk et al. 2021, CARLA: a Python library to benchmark algorithmic recourse and "
        "counterfactual explanation algorithms, arXiv:2108.00783",
    ),
    MethodSpec.metric(
        "lof",
        f"{_COUNTERFACTUAL}:Lof",
        params=LofParams,
        consumes=("counterfactual",),
        direction="lower",
        range=(0.0, math.inf),
        needs=_lof_needs,
        cite="Breunig, Kriegel, Ng, Sander 2000, LOF: identifying density-based local outliers, "
        "doi:10.1145/335191.335388",
    ),
    MethodSpec.metric(
        "implausibility",
        f"{_COUNTERFACTUAL}:Implausibility",
        params=ImplausibilityParams,
        consumes=("counterfactual",),
        direction="lower",
        scores="conditional",
        range=(0.0, math.inf),
        needs=_implausibility_needs,
        unfit=_ssim_unfit,
        cite=_ALTMEYER,
    ),
    MethodSpec.metric(
        "unfaithfulness",
        f"{_COUNTERFACTUAL}:Unfaithfulness",
        params=UnfaithfulnessParams,
        consumes=("counterfactual",),
        direction="lower",
        scores="conditional",
        range=(0.0, math.inf),
        needs=_unfaithfulness_needs,
        unfit=_ssim_unfit,
        cite=_ALTMEYER,
    ),
    MethodSpec.metric(
        "runtime",
        f"{_COST}:Runtime",
        params=RuntimeParams,
        consumes=("perturbation", "attribution", "counterfactual", "synthesis"),
        direction="lower",
        scores="set",
        unit="s",
        range=(0.0, math.inf),
        reads="cost",
        cite="wall time that the engine records",
    ),
    MethodSpec.metric(
        "gradient-calls",
        f"{_COST}:GradientCalls",
        params=GradientCallsParams,
        consumes=("perturbation", "attribution", "counterfactual", "synthesis"),
        direction="lower",
        scores="set",
        unit="passes",
        range=(0.0, math.inf),
        reads="cost",
        cite="backward passes that the engine counts",
    ),
)
