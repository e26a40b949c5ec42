"""Saliency against captum and the analytic gradient."""

import pytest
import torch
from captum.attr import InputXGradient
from captum.attr import Saliency as CaptumSaliency

from benchmark_core.run.counted import CountedModel
from benchmark_plugins.explainers.catalogue import SaliencyParams
from benchmark_plugins.explainers.saliency import Saliency


def saliency(**params):
    return Saliency(SaliencyParams(**params))


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("of", ["label", "target", "predicted"])
def test_equals_captum(absolute, of, mlp, task64, explain):
    x, y = task64.x_test, task64.y_test
    target = (y + 2) % 3
    classes = {"label": y, "target": target, "predicted": mlp(x).argmax(1)}[of]
    found = explain(saliency(absolute=absolute, of=of), mlp, x, y, target=target, batch_size=7)
    peer = CaptumSaliency(mlp).attribute(x.clone().requires_grad_(), target=classes, abs=absolute)
    torch.testing.assert_close(found.values, peer)
    assert found.delta is None


def test_times_input_equals_captum(mlp, task64, explain):
    x, y = task64.x_test, task64.y_test
    found = explain(saliency(times_input=True, of="label"), mlp, x, y)
    peer = InputXGradient(mlp).attribute(x.clone().requires_grad_(), target=y)
    torch.testing.assert_close(found.values, peer)
    both = explain(saliency(times_input=True, absolute=True, of="label"), mlp, x, y)
    torch.testing.assert_close(both.values, peer.abs())


@pytest.mark.parametrize("output", ["logit", "probability", "loss"])
def test_analytic_gradient_of_a_logistic_model(output, linear, task64, explain):
    w = torch.tensor([2.0, -1.0, 0.5, 3.0, -2.5], dtype=torch.float64)
    x = task64.x_test
    found = explain(saliency(output=output, of="label"), linear(w), x, torch.ones(len(x), dtype=torch.int64))
    p = torch.sigmoid(x @ w)[:, None]
    factor = {"logit": torch.ones_like(p), "probability": p * (1 - p), "loss": p - 1}[output]
    torch.testing.assert_close(found.values, factor * w)


def test_a_sample_does_not_depend_on_its_batch(mlp, task64, explain):
    x, y = task64.x_test, task64.y_test
    whole = explain(saliency(), mlp, x, y)
    rows = torch.tensor([4, 0, 11])
    part = explain(saliency(), mlp, x[rows], y[rows], ids=rows)
    torch.testing.assert_close(part.values, whole.values[rows])


def test_one_pass_per_sample(mlp, task64, explain):
    model = CountedModel(mlp)
    explain(saliency(), model, task64.x_test, task64.y_test, batch_size=1)
    assert (model.forward_passes, model.backward_passes) == (len(task64.x_test),) * 2


def test_no_samples_give_no_values(mlp, task64, explain):
    found = explain(saliency(), mlp, task64.x_test[:0], task64.y_test[:0])
    assert found.values.shape == (0, 5)
