"""Params and specs of the built-in datasets. Light: no torch, no scikit-learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt

from benchmark_core import Archive, Count, DataSource, MethodSpec, NonNegative, Number, Unit

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


@dataclass(frozen=True, kw_only=True)
class MnistParams:
    """70,000 handwritten digits, grey images of 28 x 28 pixels, with their official split.

    scale: `unit` puts pixels into [0, 1], `symmetric` into [-1, 1] (eps is then twice as large).
    train, test: how many images of each set to use; all by default.
    subset: which ones: `first` in the official order, `balanced` for the first tenth of that number of each
        class (then a multiple of 10), or `random`.
    validation: this many training images, the last ones, stand in for the test set, which stays unseen: for
        choosing settings. 0 uses the test set.
    noise: standard deviation of the Gaussian noise added to training images, in scaled units, as energy-based
        models like it; the box then widens to the noisy extremes.
    draw: seed of `random` and of the noise.
    """

    scale: Literal["unit", "symmetric"] = "unit"
    train: Count | None = None
    test: Count | None = None
    subset: Literal["first", "balanced", "random"] = "first"
    validation: Annotated[int, Ge(0), Lt(60000)] = 0
    noise: NonNegative = 0.0
    draw: Seed = 0


CaliforniaFeature = Literal[
    "MedInc", "HouseAge", "AveRooms", "AveBedrms", "Population", "AveOccup", "Latitude", "Longitude"
]


@dataclass(frozen=True, kw_only=True)
class CaliforniaHousingParams(TabularParams):
    """20,640 Californian block groups, 8 features; is the median house value above the median?

    threshold: house value in dollars above which a block group is `above` (favourable); none takes the median
        of all rows, 179,700.
    immutable: features that recourse may not change, such as [Latitude, Longitude].
    """

    test_share: Annotated[Unit, Gt(0), Lt(1)] = 0.2
    scale: Literal["minmax", "standard"] = "standard"
    threshold: Number | None = None
    immutable: tuple[CaliforniaFeature, ...] = ()


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


def _mnist(name: str, size: int) -> DataSource:
    """The copies that torchvision and TensorFlow load; the owner's own site serves the files no more."""
    copies = (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    )
    return DataSource(
        bytes=size, urls=tuple(copy + name for copy in copies), page="http://yann.lecun.com/exdb/mnist/"
    )


MNIST = MethodSpec.dataset(
    "mnist",
    "benchmark_plugins.datasets.mnist:Mnist",
    params=MnistParams,
    input="image",
    files={
        "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    },
    sources={
        name: _mnist(name, size)
        for name, size in (
            ("train-images-idx3-ubyte.gz", 9912422),
            ("train-labels-idx1-ubyte.gz", 28881),
            ("t10k-images-idx3-ubyte.gz", 1648877),
            ("t10k-labels-idx1-ubyte.gz", 4542),
        )
    },
    cite="LeCun, Cortes, Burges: The MNIST database of handwritten digits, http://yann.lecun.com/exdb/mnist",
)
CALIFORNIA_HOUSING = MethodSpec.dataset(
    "california-housing",
    "benchmark_plugins.datasets.california_housing:CaliforniaHousing",
    params=CaliforniaHousingParams,
    input="tabular",
    files={"cal_housing.data": "a2b44dcc7e1c9091b43c4f458b25cbd1f7e8068d08edd26bc4703108d3fa6214"},
    sources={
        "cal_housing.data": DataSource(
            bytes=2071484,
            urls=("https://ndownloader.figshare.com/files/5976036",),  # the archive that scikit-learn loads
            page="https://doi.org/10.6084/m9.figshare.3829992",
            archive=Archive(
                member="CaliforniaHousing/cal_housing.data",
                sha256="aaa5c9a6afe2225cc2aed2723682ae403280c4a3695a2ddda4ffb5d8215ea681",
                bytes=441963,
            ),
        )
    },
    cite="Pace, Barry: Sparse spatial autoregressions, Statistics and Probability Letters 33, 1997",
)

SPECS: tuple[MethodSpec, ...] = (WINE, BREAST_CANCER, DIGITS, TWO_MOONS, MNIST, CALIFORNIA_HOUSING)
