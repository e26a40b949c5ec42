"""Adversarial training, with attacks written here as adversaries."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from benchmark_core import Attack, MethodRef, Perturbation
from benchmark_plugins.defenses.adversarial_training import AdversarialTraining
from benchmark_plugins.defenses.catalogue import AdversarialTrainingParams, StandardParams
from benchmark_plugins.defenses.standard import Standard


@dataclass(frozen=True)
class Radius:
    eps: float
    clip: bool = True


class FGSM(Attack):
    """x + eps * sign(gradient), clipped to the task's box."""

    def perturb(self, model, x, y, ctx):
        x = x.clone().requires_grad_()
        (grad,) = torch.autograd.grad(cross_entropy(model(x), y, reduction="sum"), x)
        x_adv = x.detach() + self.params.eps * grad.sign()
        if self.params.clip:
            x_adv = x_adv.clamp(ctx.task.lower, ctx.task.upper)
        return Perturbation(x_adv)


def adversarial(attack: type[Attack], eps: float = 0.1, clip: bool = True, **params):
    """The defense, and the `make` of a context that can give it its adversary."""
    ref = MethodRef("attack", "in-test", Radius(eps, clip))
    defense = AdversarialTraining(AdversarialTrainingParams(attack=ref, **params))
    return defense, {"make": lambda r: attack(r.params)}


def test_clean_weight_1_is_standard_training(task, mlp, context):
    defense, make = adversarial(FGSM, clean_weight=1.0, epochs=3)
    one = defense.train(mlp(task), task, context(task, **make))
    two = Standard(StandardParams(epochs=3)).train(mlp(task), task, context(task))
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("clean_weight", [0.0, 0.5])
def test_an_adversary_without_power_gives_standard_training(task, mlp, context, clean_weight):
    """At the same seed all defenses start from the same weights and meet the same batches."""
    defense, make = adversarial(FGSM, eps=0.0, clean_weight=clean_weight, epochs=3)
    one = defense.train(mlp(task), task, context(task, **make))
    two = Standard(StandardParams(epochs=3)).train(mlp(task), task, context(task))
    torch.testing.assert_close(one(task.x_test), two(task.x_test))


@pytest.mark.parametrize("w", [0.0, 0.3])
def test_a_step_on_a_linear_model_is_that_of_the_closed_form(moons, linear, context, w):
    """Two classes: max over the linf ball of CE = log(1 + exp(eps ||w_1 - w_0||_1 - margin))."""
    eps, net = 0.05, linear(moons, normalise=False)
    weight, bias = (p.detach().double().clone().requires_grad_() for p in net.parameters())
    x, sign = moons.x_train.double(), 2.0 * moons.y_train - 1
    margin = sign * (x @ (weight[1] - weight[0]) + bias[1] - bias[0])
    worst = torch.nn.functional.softplus(eps * (weight[1] - weight[0]).abs().sum() - margin).mean()
    (w * torch.nn.functional.softplus(-margin).mean() + (1 - w) * worst).backward()
    defense, make = adversarial(
        FGSM, eps, clip=False, clean_weight=w, epochs=1, lr=0.5, batch=len(x), optimizer="sgd", momentum=0.0
    )
    trained = defense.train(net, moons, context(moons, **make))
    for p, start in zip(trained.parameters(), (weight, bias), strict=True):
        np.testing.assert_allclose(p.detach(), (start - 0.5 * start.grad).detach(), atol=1e-6)


def test_it_raises_robust_accuracy_on_digits(digits, mlp, context, accuracy):
    defense, make = adversarial(FGSM, eps=0.1, epochs=15)
    robust = defense.train(mlp(digits), digits, context(digits, **make))
    standard = Standard(StandardParams(epochs=15)).train(mlp(digits), digits, context(digits))

    def under_attack(net):
        x_adv = FGSM(Radius(0.1)).perturb(net, digits.x_test, digits.y_test, context(digits)).x_adv
        return accuracy(net, x_adv, digits.y_test)

    assert accuracy(robust, digits.x_test, digits.y_test) > 0.93
    assert under_attack(robust) > under_attack(standard) + 0.2


def test_the_adversary_meets_a_frozen_model_and_a_training_context(task, mlp, context):
    seen = []

    class Spy(Attack):
        def perturb(self, model, x, y, ctx):
            trainable = any(p.requires_grad for p in model.parameters())
            seen.append((model.training, trainable, ctx.goal, ctx.target))
            assert len(ctx.random) == len(x)
            ctx.note("train_loss", 99.0)
            ctx.progress(1, 1)
            return Perturbation(x)

    steps = []
    defense, make = adversarial(Spy, epochs=2, batch=32)
    ctx = context(task, progress=lambda *at: steps.append(at), target=task.y_train, **make)
    net = defense.train(mlp(task), task, ctx)
    assert seen == [(False, False, "training", None)] * 6
    assert all(p.requires_grad for p in net.parameters())
    assert ctx.notes["train_loss"] != 99.0
    assert steps == [(1, 2), (2, 2)]
    assert ctx.goal == "perturbation"
    assert torch.equal(ctx.target, task.y_train)


def test_the_model_learns_in_train_mode_and_keeps_its_frozen_weights(task, mlp, context):
    modes, net = [], mlp(task)
    net.body[1].weight.requires_grad_(False)
    before = net.body[1].weight.clone()
    net.register_forward_hook(lambda m, args, out: modes.append(m.training) if out.grad_fn else None)
    defense, make = adversarial(FGSM, epochs=1, batch=80)
    defense.train(net, task, context(task, **make))
    assert modes == [False, True, True]  # the adversary's pass, then both terms of the loss
    assert torch.equal(net.body[1].weight, before)
    assert not net.body[1].weight.requires_grad


def test_a_failing_adversary_leaves_the_model_trainable(task, mlp, context):
    class Broken(Attack):
        def perturb(self, model, x, y, ctx):
            raise ZeroDivisionError

    net = mlp(task)
    defense, make = adversarial(Broken)
    with pytest.raises(ZeroDivisionError):
        defense.train(net, task, context(task, **make))
    assert net.training
    assert all(p.requires_grad for p in net.parameters())


def test_random_starts_are_new_in_every_epoch_and_the_same_at_the_same_seed(task, mlp, context):
    def starts(seed):
        seen = []

        class Noise(Attack):
            def perturb(self, model, x, y, ctx):
                seen.append(ctx.random.uniform(*x.shape[1:], low=-0.1, high=0.1))
                return Perturbation(x + seen[-1])

        defense, make = adversarial(Noise, epochs=2, batch=80)
        defense.train(mlp(task), task, context(task, seed=seed, **make))
        return seen

    first, again, other = starts(0), starts(0), starts(1)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.isin(first[0], first[1]).any()
    assert not torch.equal(first[0], other[0])
