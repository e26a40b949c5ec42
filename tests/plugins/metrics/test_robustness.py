"""Metrics of accuracy and robustness against numbers worked out by hand.

The models read their logits off the input, so every prediction below is the largest entry.
"""

import pytest
import torch
from torch import nn

from benchmark_core import Perturbation, Prediction
from benchmark_core.testing import make_metric_context, make_task
from benchmark_plugins.metrics.catalogue_robustness import SPECS, PerturbationNormParams
from benchmark_plugins.metrics.robustness import (
    Accuracy,
    AttackSuccessRate,
    PerturbationNorm,
    RobustAccuracy,
    Transfer,
)

E = torch.eye(3)
Y = torch.tensor([0, 0, 1, 2, 1])
X = E[[0, 0, 1, 2, 2]]  # the last is misclassified
X_ADV = E[[1, 0, 2, 2, 0]]
TARGET = torch.tensor([1, 1, 0, 1, 0])


class Shifted(nn.Module):
    """Says one class further than the largest entry where that is class 2."""

    def forward(self, x):
        return torch.where(x[:, 2:] > 0, x.roll(1, dims=1), x)


@pytest.fixture
def ctx():
    task = make_task(X, Y, X, Y, bounds=(0.0, 1.0))
    return lambda **fields: make_metric_context(task, X, Y, batch_size=2, **fields)


def test_accuracy(ctx):
    scores = Accuracy(None).measure(Prediction(X), nn.Identity(), ctx())
    assert scores.values.tolist() == [1, 1, 1, 1, 0]
    assert scores.valid is None


@pytest.mark.parametrize("target", [None, TARGET])
def test_robust_accuracy_is_the_label_kept(ctx, target):
    scores = RobustAccuracy(None).measure(Perturbation(X_ADV), nn.Identity(), ctx(target=target))
    assert scores.values.tolist() == [0, 1, 0, 1, 0]
    assert scores.valid is None


def test_attack_success_rate_counts_correct_inputs(ctx):
    scores = AttackSuccessRate(None).measure(Perturbation(X_ADV), nn.Identity(), ctx())
    assert scores.valid.tolist() == [True, True, True, True, False]
    assert scores.values[scores.valid].tolist() == [1, 0, 1, 0]


def test_attack_success_rate_with_targets(ctx):
    scores = AttackSuccessRate(None).measure(Perturbation(X_ADV), nn.Identity(), ctx(target=TARGET))
    assert scores.valid.tolist() == [True, True, True, True, False]
    assert scores.values[scores.valid].tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize(("norm", "size"), [("l0", 2), ("l1", 0.7), ("l2", 0.5), ("linf", 0.4)])
def test_perturbation_norm(ctx, norm, size):
    d = torch.tensor([0.3, -0.4, 0.0])
    x_adv = X_ADV.clone()
    x_adv[1] = X[1] + 0.5 * d  # does not succeed
    context = ctx()
    context.x = torch.cat([X_ADV[:1] - d, X[1:]])
    context.x[0, 0] = 2  # still class 0
    x_adv[0] = context.x[0] + torch.tensor([0.0, -0.4, 0.0]) + torch.tensor([0.0, 0.0, 0.3])
    among = PerturbationNorm(PerturbationNormParams(norm=norm, among="all"))
    scores = among.measure(Perturbation(x_adv), nn.Identity(), context)
    assert scores.valid is None
    assert scores.values[0].item() == pytest.approx(size)
    assert scores.values[1].item() == pytest.approx(size if norm == "l0" else size / 2)
    assert scores.values[3] == 0


def test_perturbation_norm_among_successes(ctx):
    metric = PerturbationNorm(PerturbationNormParams(norm="l1"))
    scores = metric.measure(Perturbation(X_ADV), nn.Identity(), ctx())
    assert scores.valid.tolist() == [True, False, True, False, False]
    assert scores.values[scores.valid].tolist() == [2, 2]


def test_transfer(ctx):
    # the reference model says 0 for class 2: wrong at samples 3 and 4; it says 0 at the third x_adv
    scores = Transfer(None).measure(Perturbation(X_ADV), nn.Identity(), ctx(reference_model=Shifted()))
    assert scores.valid.tolist() == [True, True, True, False, False]
    assert scores.values[scores.valid].tolist() == [1, 0, 1]
    aimed = ctx(reference_model=Shifted(), target=TARGET)
    scores = Transfer(None).measure(Perturbation(X_ADV), nn.Identity(), aimed)
    assert scores.values[scores.valid].tolist() == [1, 0, 1]


def test_transfer_without_a_reference_says_what_to_do(ctx):
    with pytest.raises(ValueError, match="reference: LABEL"):
        Transfer(None).measure(Perturbation(X_ADV), nn.Identity(), ctx())


def test_only_metrics_of_success_let_attacks_stop_early():
    reads = {spec.name: spec.reads for spec in SPECS if spec.consumes == ("perturbation",)}
    assert reads == {
        "robust-accuracy": "success",
        "attack-success-rate": "success",
        "perturbation-norm": "result",
        "transfer": "result",
    }
