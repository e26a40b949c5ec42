"""SmoothGrad where its expectation is known."""

import torch
from benchmark_core.testing import blobs, make_context
from torch import nn

from robex_example.plugin import SmoothGradParams
from robex_example.smoothgrad import SmoothGrad

TASK = blobs()


class Cube(nn.Module):
    """f = (0, sum_i x_i^3 + 9): the gradient of class 1 is 3 x^2."""

    def forward(self, x):
        z = (x**3).sum(1) + 9
        return torch.stack([torch.zeros_like(z), z], 1)


def explain(model, x, **params):
    y = torch.zeros(len(x), dtype=torch.int64)
    explainer = SmoothGrad(SmoothGradParams(**params))
    return explainer.explain(model, x, y, make_context(TASK, len(x))).values


def test_a_linear_model_has_one_gradient():
    model = nn.Linear(5, 3).requires_grad_(False)
    x = TASK.x_test
    torch.testing.assert_close(explain(model, x, draws=3), model.weight[model(x).argmax(1)])


def test_noise_adds_its_variance_to_the_gradient_of_a_cube():
    # E 3 (x + s u)^2 = 3 x^2 + 3 s^2; variance of 3 (x + s u)^2: 36 x^2 s^2 + 18 s^4
    x, s, draws = TASK.x_test.double(), 0.2, 4000
    values = explain(Cube(), x, draws=draws, noise=s)
    error = (36 * x**2 * s**2 + 18 * s**4).sqrt() / draws**0.5
    z = (values - (3 * x**2 + 3 * s**2)) / error
    assert z.abs().max() < 5
    assert 0.8 < z.std() < 1.2
