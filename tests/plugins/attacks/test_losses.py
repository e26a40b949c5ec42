"""Losses against autograd of the published formulas, in float64."""

import pytest
import torch
import torch.nn.functional as F

from benchmark_plugins.attacks.losses import (
    HEIGHT,
    LOSSES,
    cross_entropy,
    cross_entropy_slope,
    succeeds,
    temperature,
)


@pytest.fixture
def batch():
    g = torch.Generator().manual_seed(0)
    z = 3 * torch.randn(40, 5, generator=g, dtype=torch.float64)
    y = torch.randint(5, (40,), generator=g)
    return z.requires_grad_(), y, (y + 1 + torch.randint(4, (40,), generator=g)) % 5


def highest_other(z, label):
    return z.masked_fill(F.one_hot(label, z.shape[1]).bool(), -torch.inf).amax(1)


def pick(z, label):
    return z.gather(1, label[:, None]).squeeze(1)


def published(name, z, y, t):
    s = z.sort(1, descending=True).values
    if name == "ce":
        return (
            F.cross_entropy(z, y, reduction="none") if t is None else -F.cross_entropy(z, t, reduction="none")
        )
    if name == "cw":
        return highest_other(z, y) - pick(z, y) if t is None else pick(z, t) - highest_other(z, t)
    if t is None:
        return -(pick(z, y) - highest_other(z, y)) / (s[:, 0] - s[:, 2])
    return -(pick(z, y) - pick(z, t)) / (s[:, 0] - (s[:, 2] + s[:, 3]) / 2)


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_value_and_slope(name, targeted, batch):
    z, y, t = batch
    t = t if targeted else None
    expected = published(name, z, y, t)
    (slope,) = torch.autograd.grad(expected.sum(), z)
    value, ours = LOSSES[name](z.detach(), y, t)
    if name == "ce":  # an increasing function of it: softplus of the log-odds
        sign = -1 if targeted else 1
        value = sign * F.softplus(sign * value)
        ours = ours * slope.abs().amax(1, keepdim=True) / ours.abs().amax(1, keepdim=True)
    torch.testing.assert_close(value, expected.detach())
    torch.testing.assert_close(ours, slope)


def test_cross_entropy_keeps_its_direction_where_softmax_saturates():
    z = torch.tensor([[200.0, 1.0, 0.0]])
    y = torch.tensor([0])
    plain = z.clone().requires_grad_()
    (vanished,) = torch.autograd.grad(F.cross_entropy(plain, y), plain)
    assert not vanished.any()
    p = 1 / (1 + torch.e)
    torch.testing.assert_close(cross_entropy(z, y, None)[1], torch.tensor([[-1.0, 1 - p, p]]))


def test_dlr_needs_three_classes():
    z, y = torch.zeros(2, 2), torch.tensor([0, 1])
    with pytest.raises(ValueError, match="dlr needs 3 classes"):
        LOSSES["dlr"](z, y, None)
    with pytest.raises(ValueError, match="dlr with targets needs 4 classes"):
        LOSSES["dlr"](torch.zeros(2, 3), y, y)


def test_equal_logits_are_no_trouble():
    z, y = torch.zeros(2, 4), torch.tensor([0, 1])
    for loss in LOSSES.values():
        value, slope = loss(z, y, None)
        assert value.isfinite().all()
        assert slope.isfinite().all()
    assert (temperature(z) == 1).all()


def test_temperature_undoes_scale(batch):
    z = batch[0].detach()
    scaled = z / temperature(z)
    torch.testing.assert_close(scaled.amax(1) - scaled.mean(1), torch.full((40,), HEIGHT, dtype=z.dtype))
    torch.testing.assert_close(20 * z / temperature(20 * z), scaled)


def test_success():
    z, y = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]), torch.tensor([0, 1])
    assert succeeds(z, y, None).tolist() == [False, True]
    assert succeeds(z, y, torch.tensor([1, 2])).tolist() == [False, True]
    assert succeeds(z, y, torch.tensor([0, 0])).tolist() == [True, False]


@pytest.mark.parametrize("targeted", [False, True])
def test_the_slope_alone_is_that_of_the_loss(targeted):
    z = 30 * torch.randn(50, 7)
    y, t = torch.arange(50) % 7, (torch.arange(50) + 3) % 7 if targeted else None
    assert torch.equal(cross_entropy_slope(z, y, t), cross_entropy(z, y, t)[1])
