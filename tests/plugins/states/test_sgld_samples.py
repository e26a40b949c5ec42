"""Langevin samples against the closed forms of a linear and a quadratic energy, with the same noise."""

import pytest
import torch
from torch import nn

from benchmark_core.kernels.sgld import normals
from benchmark_core.testing import blobs, make_context, make_task
from benchmark_plugins.states.catalogue import SgldSamplesParams
from benchmark_plugins.states.sgld_samples import SgldSamples

W = torch.tensor([[0.02, -0.03, 0.01, 0.0, 0.05], [-0.04, 0.01, 0.02, 0.03, -0.01], [0.01] * 5])


class Linear(nn.Module):
    def forward(self, x):
        return x @ W.to(x).T


class Bowl(nn.Module):
    """f_c(x) = -||x - c||^2 / (2 v): p(x | c) is a normal distribution with variance v around c."""

    def __init__(self, v):
        super().__init__()
        self.v = v

    def forward(self, x):
        centres = torch.arange(3.0)[:, None].to(x)
        return -(x[:, None] - centres).square().sum(2) / (2 * self.v)


def task64():
    task = blobs()
    return make_task(
        task.x_train.double(), task.y_train, task.x_test.double(), task.y_test, bounds=(0.0, 1.0)
    )


def prepare(task, model, seed=0, batch_size=256, **params):
    ctx = make_context(task, 1, seed=seed, batch_size=batch_size)
    return SgldSamples(SgldSamplesParams(**params)).prepare(model, task, ctx), ctx.notes


def start_and_noise(task, samples, steps, width, seed=0):
    """The same draws, in the same order."""
    g = torch.Generator().manual_seed(seed)
    x = task.x_train.double()
    mean, sd = x.mean(0), x.std(0, correction=0)
    low, high = (mean - width * sd).min(), (mean + width * sd).max()
    start = low + (high - low) * torch.rand(3 * samples, 5, generator=g, dtype=torch.float64)
    key = int(torch.randint(1 << 62, (), generator=g))
    noise = [normals(3 * samples, 5, key, k, 0, x) for k in range(1, steps + 1)]
    return start, noise, float(high - low)


def test_improper_chains_on_a_linear_energy():
    # the gradient is constant: x_T = x_0 + T (step / 2) w_c + noise sum_k u_k
    task = task64()
    found, _ = prepare(task, Linear(), chains=7, steps=20, step=3.0, noise=0.05, width=2.0)
    start, noise, _ = start_and_noise(task, 7, 20, 2.0)
    classes = torch.arange(3).repeat_interleave(7)
    x = start + 20 * 1.5 * W.double()[classes] + 0.05 * torch.stack(noise).sum(0)
    energy = -(x * W.double()[classes]).sum(1).view(3, 7)
    order = energy.argsort(1)
    expected = x.view(3, 7, 5).gather(1, order[..., None].expand(3, 7, 5))
    torch.testing.assert_close(found["x"], expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(found["energy"], energy.gather(1, order), rtol=0, atol=1e-12)
    assert bool((found["energy"].diff(dim=1) >= 0).all())


def test_proper_chains_follow_the_schedule():
    task = task64()
    found, _ = prepare(task, Linear(), chains=4, steps=30, form="proper", decay=0.8)
    start, noise, width = start_and_noise(task, 4, 30, 3.0)
    classes = torch.arange(3).repeat_interleave(4)
    x = start
    for k, u in enumerate(noise, start=1):
        e = 2 * width * (30 / 100 + k) ** -0.8
        x = x + e / 2 * W.double()[classes] + e * u
    expected = {tuple(row) for row in x.view(3, 4, 5)[1].round(decimals=9).tolist()}
    assert {tuple(row) for row in found["x"][1].round(decimals=9).tolist()} == expected


def test_the_stationary_distribution_of_a_bowl():
    # x <- (1 - a) x + a c + s u, a = step / (2 v): normal with mean c and variance s^2 / (1 - (1 - a)^2)
    task = task64()
    v, step, noise = 0.5, 0.1, 0.2
    found, _ = prepare(task, Bowl(v), chains=2000, steps=200, step=step, noise=noise)
    a = step / (2 * v)
    variance = noise**2 / (1 - (1 - a) ** 2)
    for c in range(3):
        x = found["x"][c]
        assert float((x.mean(0) - c).abs().max()) < 5 * (variance / 2000) ** 0.5
        torch.testing.assert_close(x.var(0), torch.full((5,), variance).double(), rtol=0.2, atol=0)


def test_chains_do_not_depend_on_the_size_of_a_pass_nor_on_their_number_of_steps_being_shared():
    task = task64()
    whole, _ = prepare(task, Bowl(1.0), chains=10, steps=15)
    parts, _ = prepare(task, Bowl(1.0), chains=10, steps=15, batch_size=4)
    torch.testing.assert_close(whole["x"], parts["x"], rtol=0, atol=1e-12)
    other, _ = prepare(task, Bowl(1.0), chains=10, steps=15, seed=1)
    assert not torch.equal(other["x"], whole["x"])


def test_the_box_holds_chains_when_asked():
    free, notes = prepare(task64(), Linear(), steps=400)
    assert float(free["x"].abs().max()) > 1
    assert notes["farthest"] == pytest.approx(float(free["x"].abs().amax(2).mean()))
    boxed, _ = prepare(task64(), Linear(), steps=400, clip="box")
    assert (float(boxed["x"].min()), float(boxed["x"].max())) == (0.0, 1.0)


class Cubic(nn.Module):
    def forward(self, x):
        return torch.stack([x.pow(3).sum(1)] * 3, 1)


def test_a_chain_that_explodes_is_refused():
    with pytest.raises(ValueError, match="smaller step or clip: box"):
        prepare(task64(), Cubic(), steps=50, step=50.0)
