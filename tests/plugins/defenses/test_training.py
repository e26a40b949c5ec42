"""The minibatch loop."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from torch.nn.functional import cross_entropy

from benchmark_plugins.defenses.catalogue import StandardParams, TrainingParams
from benchmark_plugins.defenses.standard import Standard
from benchmark_plugins.defenses.training import fit


def weights_of(net):
    return [p.detach().double().numpy().copy() for p in net.parameters()]


def loss_and_gradient(weight, bias, x, y):
    """Mean cross-entropy of softmax(W x + b), and its gradient, by hand."""
    logits = x @ weight.T + bias
    residual = (softmax(logits, axis=1) - np.eye(len(bias))[y]) / len(y)
    return -log_softmax(logits, axis=1)[range(len(y)), y].mean(), residual.T @ x, residual.sum(0)


@pytest.mark.parametrize("momentum", [0.0, 0.5])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_two_full_batch_steps_of_sgd_are_gradient_descent(task, linear, context, momentum, weight_decay):
    net = linear(task, normalise=False)
    weight, bias = weights_of(net)
    x, y = task.x_train.double().numpy(), task.y_train.numpy()
    v_w, v_b = np.zeros_like(weight), np.zeros_like(bias)
    for _ in range(2):
        loss, g_w, g_b = loss_and_gradient(weight, bias, x, y)
        v_w, v_b = momentum * v_w + g_w + weight_decay * weight, momentum * v_b + g_b + weight_decay * bias
        weight, bias = weight - 0.3 * v_w, bias - 0.3 * v_b
    params = StandardParams(
        epochs=2, lr=0.3, batch=len(x), optimizer="sgd", momentum=momentum, weight_decay=weight_decay
    )
    ctx = context(task)
    trained = weights_of(Standard(params).train(net, task, ctx))
    np.testing.assert_allclose(trained[0], weight, atol=1e-6)
    np.testing.assert_allclose(trained[1], bias, atol=1e-6)
    assert ctx.notes["train_loss"] == pytest.approx(loss, rel=1e-5)
    assert ctx.notes["train_accuracy"] == pytest.approx(((x @ weight.T + bias).argmax(1) == y).mean())


def test_the_first_step_of_adam_is_lr_times_the_sign_of_the_gradient(task, linear, context):
    net = linear(task, normalise=False)
    weight, bias = weights_of(net)
    _, g_w, g_b = loss_and_gradient(weight, bias, task.x_train.double().numpy(), task.y_train.numpy())
    params = StandardParams(epochs=1, lr=0.01, batch=len(task.x_train))
    trained = weights_of(Standard(params).train(net, task, context(task)))
    np.testing.assert_allclose(trained[0], weight - 0.01 * np.sign(g_w), atol=1e-5)
    np.testing.assert_allclose(trained[1], bias - 0.01 * np.sign(g_b), atol=1e-5)


def test_every_epoch_meets_every_row_once_in_a_new_order_with_new_draws(task, linear, context):
    net, seen = linear(task), []

    def loss(x, y, random):
        seen.append((x, y, random.uniform()))
        return cross_entropy(net(x), y)

    fit(net, task, context(task), TrainingParams(epochs=2, batch=32), loss)
    assert [len(y) for _, y, _ in seen] == [32, 32, 16] * 2
    orders, draws = [], []
    for epoch in (seen[:3], seen[3:]):
        x, y, u = (torch.cat(part) for part in zip(*epoch, strict=True))
        rows = (x[:, None] == task.x_train).all(2).int().argmax(1)
        assert sorted(rows.tolist()) == list(range(80))
        assert torch.equal(y, task.y_train[rows])
        orders.append(rows)
        draws.append(u[rows.argsort()])
    assert not torch.equal(*orders)
    assert not torch.isclose(*draws).any()


def test_draws_belong_to_samples_not_to_batches(task, linear, context):
    def draws(batch):
        net, seen = linear(task), []

        def loss(x, y, random):
            seen.append((x, random.uniform(2)))
            return cross_entropy(net(x), y)

        fit(net, task, context(task), TrainingParams(epochs=1, batch=batch), loss)
        x, u = (torch.cat(part) for part in zip(*seen, strict=True))
        return u[(x[:, None] == task.x_train).all(2).int().argmax(1).argsort()]

    assert torch.equal(draws(7), draws(80))
    assert len(draws(80).unique()) == 2 * 80


def test_the_same_seed_gives_the_same_weights_and_global_state_is_untouched(task, mlp, context):
    state = torch.get_rng_state()
    params = StandardParams(epochs=3)
    nets = [Standard(params).train(mlp(task), task, context(task, seed=seed)) for seed in (0, 0, 1)]
    a, b, c = (net(task.x_test) for net in nets)
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert torch.equal(state, torch.get_rng_state())


def test_progress_counts_epochs(task, linear, context):
    seen = []
    ctx = context(task, progress=lambda done, total: seen.append((done, total)))
    Standard(StandardParams(epochs=3)).train(linear(task), task, ctx)
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_divergence_is_an_error_that_names_lr(task, mlp, context):
    params = StandardParams(epochs=30, lr=1e12, optimizer="sgd")
    with pytest.raises(
        RuntimeError, match=r"training diverged: the loss is (nan|inf) after epoch \d+ of 30; lower lr"
    ):
        Standard(params).train(mlp(task), task, context(task))


def test_weights_that_were_frozen_stay_as_they_were(task, mlp, context):
    net = mlp(task)
    frozen = net.body[1].weight.requires_grad_(False)
    before = frozen.clone()
    Standard(StandardParams(epochs=2)).train(net, task, context(task))
    assert torch.equal(frozen, before)
