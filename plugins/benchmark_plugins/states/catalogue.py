"""Params and specs of the built-in states. Light: no torch here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from benchmark_core import Count, MethodSpec, NonNegative, Positive, Unit


@dataclass(frozen=True, kw_only=True)
class NeighbourIndexParams:
    """Training points grouped by class, and for each its nearest neighbours in its own class.

    distance: between two points, flattened, in the task's own units: l2, l1, or cosine (1 - cos).
    k: neighbours per point, itself not counted; a class of k points or fewer has all the others instead.
    """

    distance: Literal["l2", "l1", "cosine"] = "l2"
    k: Count = 20


@dataclass(frozen=True, kw_only=True)
class SgldSamplesParams:
    """Inputs that a classifier finds likely for each class: Langevin samples of p(x | class), by energy.

    chains: a class; each gives its last state. steps: of every chain.
    form: `improper` moves by step / 2 times the gradient and by noise of its own size, as joint energy models
    are trained; `proper` couples them: a (b + k)^-decay for both, with a = 2 (width of the prior), b = steps
    / 100.
    step, noise: of the improper form; noise in input units. decay: of the proper form.
    width: chains start uniformly between the smallest mean - width sd and the largest mean + width sd of a
    training feature.
    clip: `box` keeps chains inside the task's box, `none` lets them leave it, as the published ones may.
    """

    chains: Count = 50
    steps: Count = 500
    form: Literal["improper", "proper"] = "improper"
    step: Positive = 2.0
    noise: NonNegative = 0.01
    decay: Positive = 0.9
    width: Positive = 3.0
    clip: Literal["none", "box"] = "none"


@dataclass(frozen=True, kw_only=True)
class ConformalQuantileParams:
    """The threshold of a split conformal classifier: the quantile of 1 - p_label on calibration data.

    coverage: 1 - alpha. share: of the training data that calibrates, drawn at random.
    """

    coverage: Unit = 0.95
    share: Unit = 0.5


SPECS: tuple[MethodSpec, ...] = (
    MethodSpec.state(
        "neighbour-index",
        "benchmark_plugins.states.neighbour_index:NeighbourIndex",
        params=NeighbourIndexParams,
        made_from="task",
        deterministic=True,
        cite="Breunig, Kriegel, Ng, Sander 2000, LOF: identifying density-based local outliers, "
        "doi:10.1145/335191.335388",
    ),
    MethodSpec.state(
        "sgld-samples",
        "benchmark_plugins.states.sgld_samples:SgldSamples",
        params=SgldSamplesParams,
        made_from="model",
        cite="Welling, Teh 2011, Bayesian learning via stochastic gradient Langevin dynamics; improper form: "
        "Grathwohl et al. 2020, arXiv:1912.03263",
    ),
    MethodSpec.state(
        "conformal-quantile",
        "benchmark_plugins.states.conformal_quantile:ConformalQuantile",
        params=ConformalQuantileParams,
        made_from="model",
        revision=2,
        cite="Angelopoulos, Bates 2021, A gentle introduction to conformal prediction, arXiv:2107.07511",
    ),
)
