"""Integrated gradients against captum, the closed form of one-layer models, and completeness."""

import pytest
import torch
from captum.attr import IntegratedGradients as CaptumIG
from torch import nn

from benchmark_core.run.counted import CountedModel
from benchmark_plugins.explainers.catalogue import IntegratedGradientsParams
from benchmark_plugins.explainers.integrated_gradients import IntegratedGradients

RULES = ("gauss-legendre", "trapezoid", "left", "right", "middle")


def ig(**params):
    return IntegratedGradients(IntegratedGradientsParams(**params))


def captum_method(rule):
    return "gausslegendre" if rule == "gauss-legendre" else f"riemann_{rule}"


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("of", ["label", "target", "predicted"])
def test_equals_captum(rule, of, mlp, task64, explain):
    x, y = task64.x_test, task64.y_test
    target = (y + 1) % 3
    found = explain(ig(rule=rule, steps=20, of=of), mlp, x, y, target=target)
    classes = {"label": y, "target": target, "predicted": mlp(x).argmax(1)}[of]
    peer, gap = CaptumIG(mlp).attribute(
        x, target=classes, n_steps=20, method=captum_method(rule), return_convergence_delta=True
    )
    if rule == "trapezoid":
        # captum's n weights sum to (n-1)/n, so its values are too small by that factor
        assert not torch.allclose(found.values, peer, rtol=1e-2, atol=0)
        peer = peer * 20 / 19
    else:
        torch.testing.assert_close(found.values.flatten(1).sum(1) - found.delta, gap, atol=1e-6, rtol=0)
    # captum rounds the weights to float32: agreement ends near 1e-7
    torch.testing.assert_close(found.values, peer, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("output", ["probability", "loss"])
def test_other_outputs_equal_captum_on_the_same_function(output, mlp, task64, explain):
    x, y = task64.x_test, task64.y_test

    def function(points):  # captum repeats the samples once per step
        p = mlp(points).softmax(1).gather(1, y.repeat(len(points) // len(y))[:, None])[:, 0]
        return p if output == "probability" else -p.log()

    found = explain(ig(output=output, of="label"), mlp, x, y)
    torch.testing.assert_close(found.values, CaptumIG(function).attribute(x), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("output", ["logit", "probability", "loss"])
def test_one_layer_closed_form(output, linear, task64, explain):
    # F(x) = g(<w, x> + b): IG_i = (F(x) - F(x')) (x_i - x'_i) w_i / <x - x', w>
    w = torch.tensor([2.0, -1.0, 0.5, 3.0, -2.5], dtype=torch.float64)
    model, x = linear(w, 0.3), task64.x_test
    start = torch.full_like(x[:1], 0.1)
    ones = torch.ones(len(x), dtype=torch.int64)
    found = explain(
        ig(output=output, of="label", baseline="given", baseline_value=0.1, steps=30), model, x, ones
    )

    def f(points):
        z = points @ w + 0.3
        p = torch.sigmoid(z)
        return {"logit": z, "probability": p, "loss": -p.log()}[output]

    delta = f(x) - f(start)
    expected = delta[:, None] * (x - start) * w / ((x - start) @ w)[:, None]
    torch.testing.assert_close(found.values, expected, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(found.delta, delta)


@pytest.mark.parametrize("rule", RULES)
def test_completeness_converges_at_the_order_of_the_rule(rule, mlp, task64, explain):
    x, y = task64.x_test, task64.y_test
    gaps = []
    for steps in (10, 40):
        found = explain(ig(rule=rule, steps=steps), mlp, x, y)
        gaps.append((found.values.sum(1) - found.delta).abs().mean().item())
    order = {"left": 1, "right": 1, "middle": 2, "trapezoid": 2}
    if rule == "gauss-legendre":
        assert gaps[0] < 1e-5
        assert gaps[1] < 1e-12
    else:
        assert gaps[0] / gaps[1] > 0.8 * 4 ** order[rule]


@pytest.mark.parametrize("baseline", ["zero", "mean", "given", "set"])
def test_baselines(baseline, mlp, task64, explain):
    x, y = task64.x_test, task64.y_test
    found = explain(ig(baseline=baseline, baseline_value=0.7, baseline_draws=4), mlp, x, y, seed=3)
    classes = mlp(x).argmax(1)
    if baseline == "set":  # the mean over the same draws, each as captum has it
        from benchmark_core import SampleRandom

        drawn = SampleRandom(3, torch.arange(len(x))).integers(len(task64.x_train), 4)
        starts = [task64.x_train[drawn[:, j]] for j in range(4)]
    else:
        value = {
            "zero": torch.zeros(5).double(),
            "mean": task64.x_train.mean(0),
            "given": 0.7 + torch.zeros(5),
        }
        starts = [value[baseline].double().expand_as(x)]
    peers = torch.stack([CaptumIG(mlp).attribute(x, baselines=b, target=classes) for b in starts])
    torch.testing.assert_close(found.values, peers.mean(0), rtol=1e-6, atol=1e-7)
    outputs = torch.stack([(mlp(x) - mlp(b)).gather(1, classes[:, None])[:, 0] for b in starts])
    torch.testing.assert_close(found.delta, outputs.mean(0))


def test_a_sample_does_not_depend_on_its_batch_or_the_seed_on_the_call(mlp, task64, explain):
    x, y = task64.x_test, task64.y_test
    method = ig(baseline="set", baseline_draws=3)
    whole = explain(method, mlp, x, y)
    again = explain(method, mlp, x, y)
    assert torch.equal(whole.values, again.values)
    rows = torch.tensor([7, 2, 30])
    part = explain(method, mlp, x[rows], y[rows], ids=rows, batch_size=1)
    torch.testing.assert_close(part.values, whole.values[rows])
    torch.testing.assert_close(part.delta, whole.delta[rows])
    other = explain(method, mlp, x, y, seed=1)
    assert not torch.allclose(other.values, whole.values)


def test_passes_and_their_size(mlp, task64, explain):
    x, y = task64.x_test, task64.y_test
    sizes = []

    class Recorder(nn.Module):
        def forward(self, x):
            sizes.append(len(x))
            return mlp(x)

    model = CountedModel(Recorder())
    explain(ig(steps=50), model, x, y, batch_size=8)
    n = len(x)
    assert max(sizes) <= 8 * 16  # small inputs share a pass: at most 16 batches
    assert model.backward_passes == 50 * n
    assert model.forward_passes == 50 * n + n + 1  # and F(x), F(baseline)


def test_single_precision_images_keep_shape_and_dtype(explain):
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Softplus(), nn.Flatten(), nn.Linear(4 * 36, 3))
    net.eval().requires_grad_(False)
    x = torch.rand(6, 1, 8, 8)
    found = explain(ig(), net, x, torch.zeros(6, dtype=torch.int64))
    assert found.values.shape == x.shape
    assert found.values.dtype == found.delta.dtype == torch.float32
    torch.testing.assert_close(found.values.flatten(1).sum(1), found.delta, rtol=1e-4, atol=1e-5)


def test_target_without_targets_is_refused(mlp, task64, explain):
    with pytest.raises(ValueError, match="targets"):
        explain(ig(of="target"), mlp, task64.x_test, task64.y_test)


def test_one_trapezoid_step_is_refused_when_the_suite_is_read():
    with pytest.raises(ValueError, match="steps >= 2"):
        IntegratedGradientsParams(rule="trapezoid", steps=1)
