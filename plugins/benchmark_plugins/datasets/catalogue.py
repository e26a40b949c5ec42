"""Params and specs of the built-in datasets. Light: no torch, no scikit-learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt

from benchmark_core import MethodSpec, NonNegative, Unit

Seed = Annotated[int, Ge(0), Le(2**32 - 1)]


@dataclass(frozen=True, kw_only=True)
class SplitParams:
    """Rows split into training and test set.

    test_share: share of every class that becomes test set, in (0, 1).
    split: seed of the split alone. Repetitions of a suite share it, so that all models meet one test set.
    """

    test_share: Annotated[Unit, Gt(0), Lt(1)] = 0.3
    split: Seed = 0


@dataclass(frozen=True, kw_only=True)
class TabularParams(SplitParams):
    """Scaled features.

    scale: `minmax` maps the training rows onto [0, 1], `standard` gives them mean 0 and variance 1, both
        feature by feature. The box reaches from the least to the largest value of all rows, so test rows
        may lie outside [0, 1] but never outside the box.
    """

    scale: Literal["minmax", "standard"] = "minmax"


@dataclass(frozen=True, kw_only=True)
class WineParams(TabularParams):
    """178 wines of three growers, 13 chemical features."""


@dataclass(frozen=True, kw_only=True)
class BreastCancerParams(TabularParams):
    """569 tumours, malignant or benign (favourable), 30 features of the cell nuclei."""


@dataclass(frozen=True, kw_only=True)
class DigitsParams(SplitParams):
    """1797 handwritten digits, grey images of 8 x 8 pixels in [0, 1]."""


@dataclass(frozen=True, kw_only=True)
class TwoMoonsParams(TabularParams):
    """Two interleaved half circles in the plane; the lower one is favourable.

    size: number of points, half of them in each class.
    noise: standard deviation of the Gaussian noise on both coordinates, before scaling (the radius is 1).
    data_seed: seed of the points. `minmax` and `standard` scale them as they scale measured data.
    """

    size: Annotated[int, Ge(10)] = 1000
    noise: NonNegative = 0.1
    data_seed: Seed = 0


WINE = MethodSpec.dataset(
    "wine",
    "benchmark_plugins.datasets.wine:Wine",
    params=WineParams,
    input="tabular",
    files={"wine_data.csv": "10e8a802908b34f86e5da8ce962f3c806694bc98450a18f61851af59f324bede"},
    cite="Aeberhard, Forina: Wine, UCI Machine Learning Repository 1991, doi:10.24432/C5PC7J",
)
BREAST_CANCER = MethodSpec.dataset(
    "breast-cancer",
    "benchmark_plugins.datasets.breast_cancer:BreastCancer",
    params=BreastCancerParams,
    input="tabular",
    files={"breast_cancer.csv": "fed3eb72d0575ef6192293f5093c6e801b1476b577d0386bf4455504522172ed"},
    cite="Wolberg, Mangasarian, Street, Street: Breast Cancer Wisconsin (Diagnostic), UCI Machine Learning "
    "Repository 1993, doi:10.24432/C5DW2B",
)
DIGITS = MethodSpec.dataset(
    "digits",
    "benchmark_plugins.datasets.digits:Digits",
    params=DigitsParams,
    input="image",
    files={"digits.csv.gz": "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22"},
    cite="Alpaydin, Kaynak: Optical Recognition of Handwritten Digits, UCI Machine Learning Repository 1998, "
    "doi:10.24432/C50P49",
)
TWO_MOONS = MethodSpec.dataset(
    "two-moons",
    "benchmark_plugins.datasets.two_moons:TwoMoons",
    params=TwoMoonsParams,
    input="tabular",
    cite="make_moons of Pedregosa et al.: Scikit-learn, JMLR 12, 2011",
)

SPECS: tuple[MethodSpec, ...] = (WINE, BREAST_CANCER, DIGITS, TWO_MOONS)
