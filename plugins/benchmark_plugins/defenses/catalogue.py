"""Params and specs of the built-in defenses. Light: no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Lt

from benchmark_core import AttackRef, Count, File, MethodSpec, NonNegative, Positive, Unit


@dataclass(frozen=True, kw_only=True)
class TrainingParams:
    """Minibatch training, in the defenses that train.

    epochs: passes over the training set.
    lr: step size of the optimiser.
    batch: samples a step; it changes the result, so it counts in the key.
    optimizer: adam, or sgd with `momentum` in [0, 1) (adam ignores it).
    weight_decay: weight of the l2 penalty (lambda/2 ||theta||^2 added to the loss).
    """

    epochs: Count = 50
    lr: Positive = 5e-3
    batch: Count = 64
    optimizer: Literal["adam", "sgd"] = "adam"
    momentum: Annotated[Unit, Lt(1)] = 0.9
    weight_decay: NonNegative = 0.0


@dataclass(frozen=True, kw_only=True)
class StandardParams(TrainingParams):
    """Empirical risk minimisation: cross-entropy on clean samples."""


@dataclass(frozen=True, kw_only=True)
class AdversarialTrainingParams(TrainingParams):
    """Training on the adversarial samples that an attack finds at each step, mixed with clean ones.

    attack: the adversary, any attack with its params: `attack: {use: pgd, eps: 0.1, steps: 10}`.
    clean_weight: w in the loss w CE(x) + (1 - w) CE(x_adv), in [0, 1]; 0 trains on adversarial samples alone.
    """

    attack: AttackRef
    clean_weight: Unit = 0.5


@dataclass(frozen=True, kw_only=True)
class PretrainedParams:
    """Weights from a safetensors file instead of training.

    path: the file, a state_dict of the suite's model; the prefix `module.` that DataParallel adds is dropped.
    """

    path: File


SPECS: tuple[MethodSpec, ...] = (
    MethodSpec.defense(
        "standard",
        "benchmark_plugins.defenses.standard:Standard",
        params=StandardParams,
        cite="Vapnik: Principles of risk minimization for learning theory, NIPS 1991",
    ),
    MethodSpec.defense(
        "adversarial-training",
        "benchmark_plugins.defenses.adversarial_training:AdversarialTraining",
        params=AdversarialTrainingParams,
        cite="Madry et al.: Towards deep learning models resistant to adversarial attacks, ICLR 2018, "
        "arXiv 1706.06083; the mixed loss: Goodfellow et al., ICLR 2015, arXiv 1412.6572",
    ),
    MethodSpec.defense(
        "pretrained",
        "benchmark_plugins.defenses.pretrained:Pretrained",
        params=PretrainedParams,
        deterministic=True,
        cite="the safetensors format: https://github.com/huggingface/safetensors",
    ),
)
