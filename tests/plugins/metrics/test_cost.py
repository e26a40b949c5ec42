"""Cost metrics on costs written by hand, and on the passes of a counted model."""

import pytest
import torch
from torch import nn

from benchmark_core import Attribution, Cost, Counterfactual, Perturbation, Synthesis
from benchmark_core.run.counted import CountedModel
from benchmark_core.testing import blobs, make_metric_context
from benchmark_plugins.metrics.catalogue_counterfactual import SPECS, GradientCallsParams, RuntimeParams
from benchmark_plugins.metrics.cost import GradientCalls, Runtime

SPEC = {spec.name: spec for spec in SPECS}
METRICS = [Runtime(RuntimeParams()), GradientCalls(GradientCallsParams())]
RESULTS = [
    Perturbation(torch.zeros(8, 5)),
    Attribution(torch.zeros(8, 5)),
    Counterfactual(torch.zeros(8, 5)),
    Synthesis(torch.zeros(8, 5), torch.zeros(8, dtype=torch.int64)),
]


def context(cost):
    task = blobs()
    return make_metric_context(task, task.x_test[:8], task.y_test[:8], cost=cost)


@pytest.mark.parametrize("result", RESULTS)
def test_per_sample_by_hand(result):
    ctx = context(Cost(seconds=2.0, forward=400, backward=120, samples=8))
    values = [metric.measure(result, nn.Identity(), ctx).values.tolist() for metric in METRICS]
    assert values == [[0.25], [15.0]]


def test_backward_passes_of_a_counted_model():
    """Three gradient steps on eight samples, in batches of 5 and 3: three a sample."""
    model = CountedModel(nn.Linear(5, 3))
    for batch in blobs().x_test[:8].split(5):
        for _ in range(3):
            x = batch.clone().requires_grad_()
            torch.autograd.grad(model(x).sum(), x)
    ctx = context(Cost(seconds=1.0, forward=model.forward_passes, backward=model.backward_passes, samples=8))
    assert METRICS[1].measure(RESULTS[0], model, ctx).values.tolist() == [3.0]


@pytest.mark.parametrize("metric", METRICS)
def test_a_result_without_a_cost_is_refused(metric):
    with pytest.raises(ValueError, match="without a cost"):
        metric.measure(RESULTS[0], nn.Identity(), context(None))
    with pytest.raises(ValueError, match="on no samples"):
        metric.measure(RESULTS[0], nn.Identity(), context(Cost(1.0, 0, 0, 0)))


@pytest.mark.parametrize("name", ["runtime", "gradient-calls"])
def test_specs_ask_for_the_cost_alone(name):
    assert (SPEC[name].scores, SPEC[name].reads, SPEC[name].direction) == ("set", "cost", "lower")
