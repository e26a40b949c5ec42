"""Attribution metrics by hand, by brute force, and on models whose attributions are known."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from benchmark_core import Attribution, SampleRandom
from benchmark_core.testing import blobs, make_context, make_metric_context
from benchmark_plugins.explainers.catalogue import IntegratedGradientsParams, RandomParams, SaliencyParams
from benchmark_plugins.explainers.integrated_gradients import IntegratedGradients
from benchmark_plugins.explainers.random import RandomAttribution
from benchmark_plugins.explainers.saliency import Saliency
from benchmark_plugins.metrics.attribution import CompletenessGap, GiniSparseness, MaxSensitivity, Stability
from benchmark_plugins.metrics.catalogue_attribution import (
    SPECS,
    CompletenessGapParams,
    GiniSparsenessParams,
    MaxSensitivityParams,
    StabilityParams,
)

W = torch.tensor([2.0, -1.0, 0.5, 3.0, -2.5], dtype=torch.float64)


class Linear(nn.Module):
    def forward(self, x):
        z = x @ W.to(x)
        return torch.stack([torch.zeros_like(z), z], 1)


class Square(nn.Module):
    """Logit of class 1: sum w_i x_i^2, so that saliency is 2 w x."""

    def forward(self, x):
        z = x**2 @ W.to(x)
        return torch.stack([torch.zeros_like(z), z], 1)


@pytest.fixture
def task():
    task = blobs()
    return replace(task, x_train=task.x_train.double(), x_test=task.x_test.double())


def stability_of(metric, explainer, model, task, seed=0, rows=None):
    """The score of an explainer as the engine asks for it; also the inputs that were asked for."""
    ids = torch.arange(len(task.x_test)) if rows is None else rows
    x, y = task.x_test[ids], torch.ones(len(ids), dtype=torch.int64)
    result = explainer.explain(model, x, y, make_context(task, len(x), ids=ids))
    calls = []

    def rerun(z, of):
        calls.append((z, of))
        return explainer.explain(model, z, y[of], make_context(task, len(z), ids=ids[of]))

    scores = metric.measure(result, model, make_metric_context(task, x, y, seed=seed, ids=ids, rerun=rerun))
    return scores, result, calls


def test_completeness_gap():
    values = torch.tensor([[1.0, 2.0, -0.5], [0.0, 0.25, 0.0]])
    result = Attribution(values, delta=torch.tensor([2.0, 0.5]))
    scores = CompletenessGap(CompletenessGapParams()).measure(result, None, None)
    torch.testing.assert_close(scores.values, torch.tensor([0.5, 0.25]))
    assert scores.valid is None


def test_completeness_gap_is_defined_nowhere_without_delta_and_refuses_a_wrong_one():
    metric = CompletenessGap(CompletenessGapParams())
    scores = metric.measure(Attribution(torch.ones(3, 2, 2)), None, None)
    assert scores.valid.tolist() == [False] * 3
    with pytest.raises(ValueError, match="delta has shape"):
        metric.measure(Attribution(torch.ones(3, 2), delta=torch.zeros(3, 1)), None, None)


def test_completeness_gap_of_integrated_gradients_on_a_square(task):
    # F = sum w x^2 is integrated exactly by gauss-legendre; left sums miss sum w x^2 / n
    x, y = task.x_test, torch.ones(len(task.x_test), dtype=torch.int64)
    for rule, expected in (("gauss-legendre", torch.zeros(len(x)).double()), ("left", (x**2 @ W).abs() / 10)):
        method = IntegratedGradients(IntegratedGradientsParams(rule=rule, steps=10, of="label"))
        result = method.explain(Square(), x, y, make_context(task, len(x)))
        scores = CompletenessGap(CompletenessGapParams()).measure(result, None, None)
        torch.testing.assert_close(scores.values, expected, rtol=1e-9, atol=1e-12)


def test_gini_of_signed_values():
    # a = 0, 1, 1, 2 (+ 1e-7): (-3*0 - 1*1 + 1*1 + 3*2) / (4 * 4) = 0.375
    # all equal: 0; one-hot: 1 - 1/4; all zero: 0
    values = torch.tensor([[-1.0, 2.0, 0.0, 1.0], [3.0, -3.0, 3.0, 3.0], [0.0, 0.0, -5.0, 0.0], [0.0] * 4])
    scores = GiniSparseness(GiniSparsenessParams()).measure(Attribution(values.view(4, 1, 2, 2)), None, None)
    torch.testing.assert_close(scores.values, torch.tensor([0.375, 0.0, 0.75, 0.0]), atol=1e-6, rtol=0)


def test_constant_saliency_is_perfectly_stable(task):
    for metric in (Stability(StabilityParams()), MaxSensitivity(MaxSensitivityParams())):
        scores, _, calls = stability_of(metric, Saliency(SaliencyParams(of="label")), Linear(), task)
        assert torch.equal(scores.values, torch.zeros(len(task.x_test)).double())
        assert scores.valid.all()
        assert len(calls) == 1  # all perturbed inputs together


@pytest.mark.parametrize("relative", [False, True])
def test_stability_equals_a_loop_where_the_attribution_is_known(relative, task):
    # integrated gradients of a linear model: A(x) = x * w (baseline 0), so A(x) - A(x') = (x - x') * w
    metric = Stability(StabilityParams(radius=0.1, draws=6, relative=relative))
    method = IntegratedGradients(IntegratedGradientsParams(steps=3, of="label"))
    scores, _, _ = stability_of(metric, method, Linear(), task, seed=5)
    x = task.x_test
    u = SampleRandom(5, torch.arange(len(x))).uniform(6, 5, low=-0.1, high=0.1).double()
    for i in range(len(x)):
        ratios = []
        for j in range(6):
            d = (x[i] + u[i, j]).clamp(0, 1) - x[i]
            ratios.append((d * W).norm() / d.norm() / ((x[i] * W).norm() if relative else 1))
        assert scores.values[i].item() == pytest.approx(max(ratios).item(), rel=1e-5)
    if not relative:
        assert (scores.values <= W.abs().max()).all()
        assert (scores.values >= W.abs().min()).all()


def test_stability_approaches_the_lipschitz_constant(task):
    # saliency of sum w x^2 is 2 w x: Lipschitz constant 2 max|w|, met as draws cover all directions
    method = Saliency(SaliencyParams(of="label"))
    few, _, _ = stability_of(Stability(StabilityParams(draws=2)), method, Square(), task)
    many, _, _ = stability_of(Stability(StabilityParams(draws=500)), method, Square(), task)
    bound = 2 * W.abs().max()
    assert (many.values <= bound + 1e-9).all()
    assert many.values.mean() > 0.93 * bound
    assert many.values.mean() > few.values.mean()


def test_max_sensitivity_equals_its_formula(task):
    metric = MaxSensitivity(MaxSensitivityParams(radius=0.2, draws=7))
    scores, result, calls = stability_of(metric, Saliency(SaliencyParams(of="label")), Square(), task)
    ((near, rows),) = calls
    change = (2 * W * near - 2 * W * task.x_test[rows]).norm(dim=1) / (2 * W * task.x_test[rows]).norm(dim=1)
    torch.testing.assert_close(scores.values, change.view(-1, 7).amax(1))
    torch.testing.assert_close(result.values, 2 * W * task.x_test)


def test_perturbed_inputs_stay_in_cube_and_box(task):
    metric = Stability(StabilityParams(radius=0.3, draws=11))
    _, _, calls = stability_of(metric, Saliency(SaliencyParams()), Square(), task)
    ((near, rows),) = calls
    assert rows.tolist() == [i for i in range(len(task.x_test)) for _ in range(11)]
    assert (near >= 0).all()
    assert (near <= 1).all()
    assert ((near - task.x_test[rows]).abs() <= 0.3 + 1e-6).all()
    assert (near - task.x_test[rows]).abs().max() > 0.29


def test_a_sample_does_not_depend_on_its_batch(task):
    metric, method = Stability(StabilityParams()), Saliency(SaliencyParams())
    whole, _, _ = stability_of(metric, method, Square(), task)
    rows = torch.tensor([20, 3, 8])
    part, _, _ = stability_of(metric, method, Square(), task, rows=rows)
    torch.testing.assert_close(part.values, whole.values[rows])


def test_undefined_ratios_are_not_valid(task):
    # a box of one point: every x' is x; and a model that attributes nothing to anything
    x, y = task.x_test[:1], torch.ones(1, dtype=torch.int64)
    point = replace(task, x_test=x, y_test=y, lower=x[0], upper=x[0])
    scores, _, _ = stability_of(Stability(StabilityParams()), Saliency(SaliencyParams()), Square(), point)
    assert scores.valid.tolist() == [False]
    assert scores.values.isfinite().all()

    nothing = replace(task, x_test=torch.zeros(1, 5).double(), y_test=y)
    for metric in (MaxSensitivity(MaxSensitivityParams()), Stability(StabilityParams(relative=True))):
        scores, _, _ = stability_of(metric, Saliency(SaliencyParams(of="label")), Square(), nothing)
        assert scores.valid.tolist() == [False]
        assert scores.values.isfinite().all()


def test_the_random_control_is_the_least_stable(task):
    metric = MaxSensitivity(MaxSensitivityParams())
    random, _, _ = stability_of(metric, RandomAttribution(RandomParams()), Square(), task)
    saliency, _, _ = stability_of(metric, Saliency(SaliencyParams(of="label")), Square(), task)
    assert random.values.mean() > 5 * saliency.values.mean()


def test_a_context_that_cannot_rerun_is_refused(task):
    x, y = task.x_test, task.y_test
    with pytest.raises(RuntimeError, match="rerun"):
        Stability(StabilityParams()).measure(Attribution(x), Square(), make_metric_context(task, x, y))


def test_specs_declare_what_the_scores_are():
    assert [s.name for s in SPECS] == ["completeness-gap", "gini-sparseness", "stability", "max-sensitivity"]
    assert {s.name: s.direction for s in SPECS if s.direction == "higher"} == {"gini-sparseness": "higher"}
