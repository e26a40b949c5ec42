"""ECCo against its objective in numpy for a softmax regression, where every gradient is a closed form."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from benchmark_core.registry import Registry
from benchmark_core.testing import blobs, make_context
from benchmark_plugins.explainers.catalogue import EcccoParams, EccoParams
from benchmark_plugins.explainers.ecco import Ecco

W = np.array([[1.5, -2.0, 0.5, 0.3, -1.0], [-0.5, 1.0, 2.0, -1.5, 0.4], [0.2, 0.6, -1.2, 1.1, 0.9]])
B = np.array([0.1, -0.2, 0.05])


class Softmax(nn.Module):
    """Logits W x + b in float64."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.from_numpy(W), requires_grad=False)
        self.b = nn.Parameter(torch.from_numpy(B), requires_grad=False)
        self.eval()

    def forward(self, x):
        return x.double() @ self.w.T + self.b


def softmax(z):
    e = np.exp(z - z.max())
    return e / e.sum()


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def by_hand(x, t, p, low, high, free, qhat=None, start=None):
    """One sample, step by step: every gradient is written out, nothing is differentiated."""
    z, m, v = (x if start is None else start).copy(), np.zeros_like(x), np.zeros_like(x)
    gamma = 1 / 3 if p.threshold == "uniform" else p.threshold
    for k in range(1, p.steps + 1):
        f = W @ z + B
        prob = softmax(f)
        gradient = W.T @ (prob - np.eye(3)[t])  # of the cross-entropy
        gradient = gradient + p.lam_distance * np.sign(z - x)
        b = max(1, round(p.steps / 25))
        if p.decay == "polynomial":
            phi = b / 10 * (b + k) ** -p.decay_rate
        elif p.decay == "exponential":
            phi = np.exp(-p.decay_rate * k) if k % p.decay_every == 0 else 1.0
        else:
            phi = 1.0
        gradient = gradient + p.lam_energy * phi * (2 * p.reg * f[t] - 1) * W[t]
        if p.lam_set_size and prob[t] >= 0.5:
            c = sigmoid((qhat - (1 - prob)) / p.temperature)
            d_c = c * (1 - c) / p.temperature  # by p
            jacobian = np.diag(prob) - np.outer(prob, prob)  # d p / d f
            if np.all(1 - prob > qhat):
                gradient = gradient - p.lam_set_size * W.T @ (jacobian @ d_c)
            elif c.sum() > p.kappa:
                gradient = gradient + p.lam_set_size * W.T @ (jacobian @ d_c)
        gradient = np.where(free, gradient, 0.0)
        stop = prob[t] >= gamma
        if p.until == "target-class":
            stop = stop and np.abs(gradient).max() < p.tol
        if stop:
            return z, k - 1, True
        if p.optimiser == "adam":
            m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
            gradient = m / (1 - 0.9**k) / (np.sqrt(v / (1 - 0.999**k)) + 1e-8)
        z = np.clip(z - p.lr * gradient, np.where(free, low, x), np.where(free, high, x))
    last = softmax(W @ z + B)[t] >= gamma
    return z, p.steps, bool(last) and p.until == "boundary"


CASES = [
    EccoParams(start_noise=0.0),
    EccoParams(start_noise=0.0, until="boundary"),
    EccoParams(start_noise=0.0, until="boundary", threshold="uniform", steps=500),
    EccoParams(start_noise=0.0, optimiser="adam", steps=30, lr=0.02),
    EccoParams(start_noise=0.0, tol=0.3, lam_distance=0.0, lam_energy=0.0, steps=200, lr=0.5),
    EccoParams(start_noise=0.0, decay="none", reg=0.2, lam_energy=0.4),
    EccoParams(start_noise=0.0, decay="exponential", decay_rate=0.3, decay_every=3, steps=12),
    EccoParams(start_noise=0.0, steps=5),
    EcccoParams(),
    EcccoParams(lam_set_size=0.7, temperature=0.3, kappa=0.8, lr=0.3),
]


@pytest.mark.parametrize("free", [(1, 1, 1, 1, 1), (1, 0, 1, 1, 0)])
@pytest.mark.parametrize("params", CASES, ids=lambda p: f"{type(p).__name__}-{CASES.index(p)}")
@pytest.mark.parametrize("qhat", [0.6, 0.02])
def test_every_step_is_the_one_written_out(params, free, qhat, explain, task64):
    task = replace(task64, mutable=torch.tensor(free, dtype=torch.bool), lower=torch.full((5,), -0.2),
                   upper=torch.full((5,), 1.3))  # fmt: skip
    g = torch.Generator().manual_seed(1)
    x = torch.rand(12, 5, dtype=torch.float64, generator=g)
    target = (Softmax()(x).argmax(1) + 1 + torch.arange(12) % 2) % 3
    states = {"conformal": {"qhat": torch.tensor([qhat])}}
    found = explain(Ecco(params), Softmax(), x, target, task=task, target=target, states=states)
    q = float(torch.tensor([qhat]).double())
    for i in range(12):
        z, steps, converged = by_hand(
            x[i].numpy(), int(target[i]), params, -0.2, 1.3, np.array(free, dtype=bool), q
        )
        np.testing.assert_allclose(found.x_cf[i].numpy(), z, rtol=0, atol=1e-7)
        assert (int(found.notes["steps"][i]), bool(found.notes["converged"][i])) == (steps, converged)
        assert bool(found.notes["valid"][i]) == (int(np.argmax(W @ found.x_cf[i].numpy() + B)) == target[i])
    fixed = ~task.mutable
    assert torch.equal(found.x_cf[:, fixed], x[:, fixed])


def test_cases_stop_by_every_rule(explain, task64):
    # the comparison above would prove little if no sample ever stopped early, or all did
    g = torch.Generator().manual_seed(1)
    x = torch.rand(12, 5, dtype=torch.float64, generator=g)
    target = (Softmax()(x).argmax(1) + 1 + torch.arange(12) % 2) % 3
    states = {"conformal": {"qhat": torch.tensor([0.6])}}

    def converged(params):
        return explain(Ecco(params), Softmax(), x, target, target=target, states=states).notes["converged"]

    assert converged(CASES[2]).all()
    assert converged(CASES[4]).sum() > 0
    assert not converged(CASES[7]).any()


def test_start_noise_belongs_to_samples_and_keeps_the_box(mlp, task64):
    x, n = task64.x_test[:16], 16
    target = (mlp(x).argmax(1) + 1) % 3
    method = Ecco(EccoParams(steps=1, lr=1e-12, start_noise=0.3))
    whole = method.explain(mlp, x, target, make_context(task64, n, target=target))
    part = method.explain(
        mlp, x[3:7], target[3:7], make_context(task64, 4, ids=torch.arange(3, 7), target=target[3:7])
    )
    torch.testing.assert_close(whole.x_cf[3:7], part.x_cf)
    moved = whole.x_cf - x
    inside = (whole.x_cf > task64.lower) & (whole.x_cf < task64.upper)
    assert 0.2 < float(moved[inside].std()) < 0.3 + 0.05
    assert bool((whole.x_cf >= task64.lower).all() and (whole.x_cf <= task64.upper).all())


@pytest.mark.parametrize(
    "params",
    [
        EccoParams(until="boundary", steps=40, start_noise=0.0),
        EccoParams(tol=0.3, lam_distance=0.0, steps=40, start_noise=0.0),
        EccoParams(until="boundary", optimiser="adam", lr=0.05, steps=40, start_noise=0.0),
    ],
    ids=["boundary", "target-class", "adam"],
)
def test_a_thousand_at_once_are_what_each_is_alone(params, mlp, task64):
    """Though those that stop make room, and the last ones take their places."""
    g = torch.Generator().manual_seed(0)
    x = torch.rand(1000, 5, generator=g).double()
    target = (mlp(x).argmax(1) + 1) % 3
    kept = x.clone(), target.clone()
    method = Ecco(params)
    together = method.explain(mlp, x, target, make_context(task64, 1000, target=target))
    for rows in (slice(0, 3), slice(500, 501), slice(900, 1000)):
        ctx = make_context(task64, len(x[rows]), target=target[rows])
        alone = method.explain(mlp, x[rows], target[rows], ctx)
        torch.testing.assert_close(alone.x_cf, together.x_cf[rows])
        assert torch.equal(alone.notes["steps"], together.notes["steps"][rows])
    assert float(together.notes["valid"].mean()) > 0.5
    assert len(together.notes["steps"].unique()) > 5
    assert torch.equal(x, kept[0])
    assert torch.equal(target, kept[1])


def test_presets_and_what_they_need():
    registry = Registry.load()
    ecco, eccco = (registry.get("explainer", name) for name in ("ecco", "eccco"))
    assert ecco.needs is not None
    assert eccco.needs is not None
    assert not ecco.needs(EccoParams())
    assert eccco.needs(EcccoParams(coverage=0.9))["conformal"].params == {"coverage": 0.9}
    # arXiv:2312.10648, experiments on MNIST
    p = EcccoParams()
    assert (p.lr, p.lam_distance, p.lam_set_size, p.lam_energy, p.reg, p.start_noise) == (
        0.05, 0.01, 0.1, 0.3, 0.0, 0.0
    )  # fmt: skip


def test_without_targets_it_says_so(mlp, task64):
    with pytest.raises(ValueError, match="targets: random"):
        Ecco(EccoParams()).explain(mlp, task64.x_test[:2], task64.y_test[:2], make_context(task64, 2))


def test_no_samples(mlp, task64):
    none = torch.zeros(0, dtype=torch.int64)
    found = Ecco(EccoParams()).explain(mlp, task64.x_test[:0], none, make_context(task64, 0, target=none))
    assert found.x_cf.shape == (0, 5)


def test_float32_stays(mlp):
    task = blobs()
    target = torch.zeros(4, dtype=torch.int64)
    found = Ecco(EccoParams(steps=3)).explain(
        mlp, task.x_test[:4], target, make_context(task, 4, target=target)
    )
    assert found.x_cf.dtype == torch.float32
