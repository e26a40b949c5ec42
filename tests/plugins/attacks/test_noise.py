"""The null attacks: nothing, and noise."""

import pytest
import torch

from benchmark_core.testing import make_context
from benchmark_plugins.attacks.catalogue import NoiseParams, NoneParams
from benchmark_plugins.attacks.noise import Noise
from benchmark_plugins.attacks.none import NoAttack

ORDER = {"linf": torch.inf, "l2": 2, "l1": 1}


def run(v, rows=slice(None), ids=None, target=None, **params):
    x, y = v.x[rows], v.y[rows]
    ctx = make_context(v.task, len(x), ids=ids, target=None if target is None else target[rows])
    return Noise(NoiseParams(**params)).perturb(v.model, x, y, ctx).x_adv


def test_none_returns_the_inputs(mlp):
    assert NoAttack(NoneParams()).perturb(mlp.model, mlp.x, mlp.y, mlp.context()).x_adv is mlp.x


@pytest.mark.parametrize("norm", ORDER)
def test_stays_in_ball_and_box(cnn, norm):
    x_adv = run(cnn, eps=0.8, norm=norm, draws=3)
    sizes = torch.linalg.vector_norm((x_adv - cnn.x).flatten(1), ORDER[norm], dim=1)
    assert (sizes <= 0.8 + 1e-5).all()
    assert sizes.max() > 0.1
    assert x_adv.min() >= 0
    assert x_adv.max() <= 1


@pytest.mark.parametrize("targeted", [False, True])
def test_keeps_the_first_draw_that_succeeds(mlp, targeted):
    target = (mlp.y + 1) % 3 if targeted else None
    ctx = mlp.context()
    noise = Noise(NoiseParams(eps=0.5, draws=1))
    # the draws one after another, from the same stream
    draws = torch.stack([noise.perturb(mlp.model, mlp.x, mlp.y, ctx).x_adv for _ in range(4)])
    says = mlp.model(draws.flatten(0, 1)).argmax(1).view(4, -1)
    wins = says != mlp.y if target is None else says == target
    assert 0 < wins.any(0).sum() < len(mlp.x)
    first = torch.where(wins.any(0), wins.int().argmax(0), 3)
    x_adv = run(mlp, eps=0.5, draws=4, target=target)
    assert torch.equal(x_adv, draws[first, torch.arange(len(first))])


def test_does_not_depend_on_the_batch(cnn):
    rows = torch.arange(20, 40)
    part = run(cnn, rows, ids=rows, eps=0.4, draws=4)
    torch.testing.assert_close(part, run(cnn, eps=0.4, draws=4)[rows])
