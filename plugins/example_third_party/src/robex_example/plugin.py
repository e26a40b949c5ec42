"""What this plugin registers. Light: robex imports it for every command, so there is no torch here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from benchmark_core import Count, MethodSpec, NonNegative, Positive, hookimpl

if TYPE_CHECKING:
    import click


@dataclass(frozen=True, kw_only=True)
class DeepFoolParams:
    """The smallest l2 perturbation that DeepFool finds: step to the nearest boundary of the linearised model.

    steps: linearisations at most; a sample stops at its first success.
    overshoot: how much farther than the boundary it goes, as a share of the way.
    candidates: how many of the most likely other classes are looked at, each at one backward pass a step.
    """

    steps: Count = 50
    overshoot: NonNegative = 0.02
    candidates: Count = 9


@dataclass(frozen=True, kw_only=True)
class SmoothGradParams:
    """The gradient of the predicted class's logit, averaged over noisy copies of the input.

    draws: copies a sample, each at one forward and one backward pass.
    noise: standard deviation of the Gaussian noise, as a share of the width of the task's box.
    """

    draws: Count = 25
    noise: Positive = 0.1


@dataclass(frozen=True, kw_only=True)
class DeletionParams:
    """Area under the probability of the predicted class while features are deleted, most important first.

    steps: in how many equal parts the features are deleted. A deleted feature takes its training mean.
    order: what makes a feature important, the magnitude of its attribution or its signed value.
    """

    steps: Count = 20
    order: Literal["magnitude", "value"] = "magnitude"


@hookimpl
def register_methods() -> Iterator[MethodSpec]:
    yield MethodSpec.attack(
        "deepfool",
        "robex_example.deepfool:DeepFool",
        params=DeepFoolParams,
        deterministic=True,
        cite="Moosavi-Dezfooli, Fawzi, Frossard: DeepFool: a simple and accurate method to fool deep neural "
        "networks (CVPR 2016). arXiv:1511.04599",
    )
    yield MethodSpec.explainer(
        "smoothgrad",
        "robex_example.smoothgrad:SmoothGrad",
        params=SmoothGradParams,
        produces="attribution",
        cite="Smilkov, Thorat, Kim, Viégas, Wattenberg: SmoothGrad: removing noise by adding noise (2017). "
        "arXiv:1706.03825",
    )
    yield MethodSpec.metric(
        "deletion",
        "robex_example.deletion:Deletion",
        params=DeletionParams,
        consumes=("attribution",),
        direction="lower",
        range=(0.0, 1.0),
        deterministic=True,
        cite="Petsiuk, Das, Saenko: RISE: randomized input sampling for explanation of black-box models "
        "(BMVC 2018). arXiv:1806.07421",
    )


@hookimpl
def register_commands(group: click.Group) -> None:
    from .commands import winners

    group.add_command(winners)
