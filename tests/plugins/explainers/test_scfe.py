"""Score-based counterfactuals against closed forms of linear models, and their promises on a deep one."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from benchmark_plugins.explainers.catalogue import ScfeParams
from benchmark_plugins.explainers.scfe import Scfe

W = torch.tensor([2.0, -1.0, 0.5, 3.0, -2.5], dtype=torch.float64)
BIAS, SCORE = -4.0, 0.3


def scfe(**params):
    return Scfe(ScfeParams(**params))


@pytest.fixture
def wide(task64):
    """The task without walls in reach."""
    return replace(task64, lower=torch.full((5,), -50.0), upper=torch.full((5,), 50.0))


def far(n=8):
    """Inputs that the linear model gives to class 0."""
    x = torch.rand(n, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    assert (x @ W + BIAS < 0).all()
    return x, torch.ones(n, dtype=torch.int64)


@pytest.mark.parametrize("free", [(1, 1, 1, 1, 1), (1, 1, 0, 0, 1)])
def test_l2_closed_form(free, linear, wide, explain):
    # x' = x + m w / (lam + ||w||^2), m = s - f(x); immutable features: zero their w
    x, t = far()
    task = replace(wide, mutable=torch.tensor(free, dtype=torch.bool))
    w, lam = W * torch.tensor(free), 2.0
    method = scfe(distance="l2", lam=lam, score=SCORE, answer="minimiser", tol=0.0, lr=0.03, steps=1200)
    found = explain(method, linear(W, BIAS), x, t, task=task, target=t)
    m = SCORE - (x @ W + BIAS)
    torch.testing.assert_close(found.x_cf, x + m[:, None] * w / (lam + w @ w), rtol=0, atol=1e-9)


@pytest.mark.parametrize("lam", [2.0, 1000.0])
def test_l1_closed_form(lam, linear, wide, explain):
    # only j = argmax |w_j| moves, by sign(m) max(0, |m| - lam / (2 |w_j|)) / w_j
    x, t = far()
    method = scfe(distance="l1", lam=lam, score=SCORE, answer="minimiser", tol=0.0, lr=0.03, steps=1200)
    found = explain(method, linear(W, BIAS), x, t, task=wide, target=t)
    m = SCORE - (x @ W + BIAS)
    expected = x.clone()
    expected[:, 3] += m.sign() * (m.abs() - lam / (2 * W[3])).clamp_min(0) / W[3]
    torch.testing.assert_close(found.x_cf, expected, rtol=0, atol=1e-9)
    unchanged = [0, 1, 2, 4]
    assert torch.equal(found.x_cf[:, unchanged], x[:, unchanged])  # exact zeros, not small numbers


@pytest.mark.parametrize("loss", ["squared", "hinge", "cross-entropy"])
@pytest.mark.parametrize("distance", ["l1", "l2"])
def test_valid_in_the_box_and_immutables_kept_on_a_nonlinear_net(loss, distance, mlp, task64, explain):
    x, y = task64.x_test, task64.y_test
    task = replace(task64, mutable=torch.tensor([True, False, True, True, True]))
    target = (mlp(x).argmax(1) + 1) % 3
    found = explain(scfe(loss=loss, distance=distance, steps=300), mlp, x, y, task=task, target=target)
    reached = mlp(found.x_cf).argmax(1) == target
    assert torch.equal(found.notes["valid"], reached.double())
    assert torch.equal(found.x_cf[:, 1], x[:, 1])
    assert (found.x_cf >= task.lower).all()
    assert (found.x_cf <= task.upper).all()
    # every target that a coarse random search of the box can reach is reached; only cross-entropy has minima
    # (here in corners of the box) where a third class stays a little above the target
    probes = torch.rand(2000, 1, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    probes = torch.where(task.mutable, probes, x).flatten(0, 1)
    possible = (mlp(probes).argmax(1).view(2000, -1) == target).any(0)
    assert possible.any()
    assert reached[possible].double().mean() >= (0.7 if loss == "cross-entropy" else 1.0)


def test_the_nearest_answer_is_near_the_nearest_there_is(linear, wide, explain):
    # the boundary <w, x> + b = 0 is at l2 distance |f| / ||w||
    x, t = far()
    found = explain(scfe(distance="l2", score=0.05), linear(W, BIAS), x, t, task=wide, target=t)
    least = (x @ W + BIAS).abs() / W.norm()
    distance = (found.x_cf - x).norm(dim=1)
    assert (found.notes["valid"] == 1).all()
    assert (distance >= least).all()
    assert (distance <= 1.2 * least).all()


def test_lam_falls_by_halves_where_the_distance_outweighs_the_score(linear, wide, explain):
    x, t = far()
    model = linear(W, BIAS)
    stuck = explain(scfe(distance="l2", lam=64.0, rounds=1, steps=400), model, x, t, task=wide, target=t)
    assert (stuck.notes["valid"] == 0).all()
    # the best attempt is nearer to the target than the input
    assert (model(stuck.x_cf)[:, 1] > model(x)[:, 1]).all()
    freed = explain(scfe(distance="l2", lam=64.0, rounds=12, steps=400), model, x, t, task=wide, target=t)
    assert (freed.notes["valid"] == 1).all()
    halvings = torch.log2(64.0 / freed.notes["lam"])
    assert torch.equal(halvings, halvings.round())
    assert (halvings >= 1).all()


def test_an_input_that_is_in_its_target_class_is_its_own_counterfactual(mlp, task64, explain):
    x, y = task64.x_test, task64.y_test
    target = mlp(x).argmax(1)
    for answer in ("nearest", "minimiser"):
        found = explain(scfe(answer=answer), mlp, x, y, target=target)
        assert torch.equal(found.x_cf, x)
        assert (found.notes["valid"] == 1).all()


def test_unreachable_targets_are_returned_as_invalid(task64, explain):
    class Constant(nn.Module):
        def forward(self, x):
            return torch.stack([x.sum(1) * 0 + 1, x.sum(1) * 0], 1)

    x, y = task64.x_test, task64.y_test
    found = explain(scfe(rounds=2, steps=20), Constant().eval(), x, y, target=torch.ones_like(y))
    assert (found.notes["valid"] == 0).all()
    assert torch.equal(found.x_cf, x)


def test_a_sample_does_not_depend_on_its_batch(mlp, task64, explain):
    x, y = task64.x_test, task64.y_test
    target = (mlp(x).argmax(1) + 1) % 3
    method = scfe(steps=150)
    whole = explain(method, mlp, x, y, target=target)
    assert torch.equal(whole.x_cf, explain(method, mlp, x, y, target=target).x_cf)
    rows = torch.tensor([5, 17, 3])
    part = explain(method, mlp, x[rows], y[rows], target=target[rows], ids=rows, batch_size=2)
    torch.testing.assert_close(part.x_cf, whole.x_cf[rows], rtol=0, atol=1e-6)


def test_images_in_single_precision(explain, task64):
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 3)).eval().requires_grad_(False)
    box = {"lower": torch.zeros(1, 8, 8), "upper": torch.ones(1, 8, 8), "mutable": torch.ones(1, 8, 8).bool()}
    x = torch.rand(4, 1, 8, 8)
    target = (net(x).argmax(1) + 1) % 3
    found = explain(scfe(), net, x, target, task=replace(task64, **box), target=target)
    assert found.x_cf.shape == x.shape
    assert found.x_cf.dtype == torch.float32
    assert (net(found.x_cf).argmax(1) == target).all()


def test_missing_targets_are_refused(mlp, task64, explain):
    with pytest.raises(ValueError, match="targets"):
        explain(scfe(), mlp, task64.x_test, task64.y_test)
