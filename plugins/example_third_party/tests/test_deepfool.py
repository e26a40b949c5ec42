"""DeepFool on a linear model, where one step is exact, and beside foolbox's."""

import pytest
import torch
from benchmark_core.testing import blobs, make_context, make_task
from torch import nn

from robex_example.deepfool import DeepFool
from robex_example.plugin import DeepFoolParams


def perturb(model, x, y, task, **params):
    return DeepFool(DeepFoolParams(**params)).perturb(model, x, y, make_context(task, len(x))).x_adv


@pytest.fixture
def wide():
    """A task whose box no perturbation reaches, in float64."""
    x = torch.randn(40, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    y = torch.arange(40) % 4
    return make_task(x[:20], y[:20], x[20:], y[20:], bounds=(-100.0, 100.0))


def test_the_distance_to_a_linear_models_nearest_boundary(wide):
    torch.manual_seed(0)
    model = nn.Linear(6, 4).double().requires_grad_(False)
    x = wide.x_test
    f = model(x)
    y = f.argmax(1)
    x_adv = perturb(model, x, y, wide)
    w = model.weight[None] - model.weight[y][:, None]
    distance = (f.gather(1, y[:, None]) - f) / w.norm(dim=2)
    nearest = distance.masked_fill(nn.functional.one_hot(y, 4).bool(), torch.inf).amin(1)
    torch.testing.assert_close((x_adv - x).norm(dim=1), 1.02 * (nearest + 1e-4), rtol=1e-9, atol=1e-12)
    assert (model(x_adv).argmax(1) != y).all()


def test_it_finds_what_foolbox_finds():
    foolbox = pytest.importorskip("foolbox", reason="the peer that these numbers are compared with")
    torch.manual_seed(0)
    task = blobs(300)
    model = nn.Sequential(nn.Linear(5, 32), nn.Tanh(), nn.Linear(32, 3))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(60):
        loss = nn.functional.cross_entropy(model(task.x_train), task.y_train)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval().requires_grad_(False)
    x = task.x_test
    y = model(x).argmax(1)
    ours = perturb(model, x, y, task)
    attack = foolbox.attacks.L2DeepFoolAttack(steps=50, overshoot=0.02, candidates=None)
    fmodel = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    theirs = attack.run(fmodel, x, foolbox.criteria.Misclassification(y))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)
    assert (model(ours).argmax(1) != y).all()
    assert (ours - x).norm(dim=1).median() > 0.05  # not a handful of points on the boundary


def test_samples_that_are_wrong_already_stay():
    task = blobs()
    model = nn.Linear(5, 3).requires_grad_(False)
    wrong = (model(task.x_test).argmax(1) + 1) % 3
    assert torch.equal(perturb(model, task.x_test, wrong, task), task.x_test)


def test_a_vanished_gradient_moves_nothing():
    task = blobs()
    model = nn.Linear(5, 3).requires_grad_(False)
    model.weight.zero_()
    y = model(task.x_test).argmax(1)
    assert torch.equal(perturb(model, task.x_test, y, task), task.x_test)
