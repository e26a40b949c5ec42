"""Params and specs of the built-in models. Light: no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import MinLen

from benchmark_core import Count, MethodSpec

Widths = Annotated[tuple[Count, ...], MinLen(1)]


@dataclass(frozen=True, kw_only=True)
class LinearParams:
    """Logistic regression: logits = W x + b.

    normalise: subtract the mean and divide by the standard deviation of the training inputs first.
    """

    normalise: bool = True


@dataclass(frozen=True, kw_only=True)
class MLPParams:
    """Multilayer perceptron on the flattened input.

    hidden: widths of the hidden layers, at least one.
    activation: relu, swish (x * sigmoid(x)) or tanh, after each hidden layer.
    normalise: subtract the mean and divide by the standard deviation of the training inputs first.
    """

    hidden: Widths = (64, 64)
    activation: Literal["relu", "swish", "tanh"] = "relu"
    normalise: bool = True


@dataclass(frozen=True, kw_only=True)
class CNNParams:
    """Convolutional network: stages of 3x3 convolution, relu and 2x2 max-pooling, then one hidden layer.

    channels: output channels of the stages; each stage halves height and width, so an 8x8 image takes at
        most three.
    hidden: width of the fully connected hidden layer.
    normalise: subtract the mean and divide by the standard deviation of the training inputs first.
    """

    channels: Widths = (32, 64)
    hidden: Count = 128
    normalise: bool = True


SPECS: tuple[MethodSpec, ...] = (
    MethodSpec.model(
        "linear",
        "benchmark_plugins.models.linear:Linear",
        params=LinearParams,
        cite="Cox: The regression analysis of binary sequences, JRSS B 20, 1958",
    ),
    MethodSpec.model(
        "mlp",
        "benchmark_plugins.models.mlp:MLP",
        params=MLPParams,
        cite="Rumelhart, Hinton, Williams: Learning representations by back-propagating errors, Nature 323, "
        "1986",
    ),
    MethodSpec.model(
        "cnn",
        "benchmark_plugins.models.cnn:CNN",
        params=CNNParams,
        accepts=("image",),
        cite="LeCun, Bottou, Bengio, Haffner: Gradient-based learning applied to document recognition, Proc. "
        "IEEE 86, 1998",
    ),
)
