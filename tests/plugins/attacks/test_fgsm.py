"""FGSM against foolbox and torchattacks, and against the closed form on a linear model."""

import foolbox
import torch
import torchattacks
from torch import nn

from benchmark_core.run.counted import CountedModel
from benchmark_core.testing import make_context
from benchmark_plugins.attacks.catalogue import FGSMParams
from benchmark_plugins.attacks.fgsm import FGSM

EPS = 0.1


def test_equals_foolbox_and_torchattacks(victim):
    v = victim.double()
    ours = FGSM(FGSMParams(eps=EPS)).perturb(v.model, v.x, v.y, v.context()).x_adv
    fmodel = foolbox.PyTorchModel(v.model, bounds=(0, 1))
    theirs = foolbox.attacks.FGSM(random_start=False).run(fmodel, v.x, v.y, epsilon=EPS)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(ours, torchattacks.FGSM(v.model, eps=EPS)(v.x, v.y))


def test_targeted_equals_torchattacks(victim):
    v = victim.double()
    target = (v.y + 1) % len(v.task.classes)
    ours = FGSM(FGSMParams(eps=EPS)).perturb(v.model, v.x, v.y, v.context(target=target)).x_adv
    peer = torchattacks.FGSM(v.model, eps=EPS)
    peer.set_mode_targeted_by_label(quiet=True)
    torch.testing.assert_close(ours, peer(v.x, target))


def test_is_the_worst_case_of_a_linear_model(task):
    model = nn.Linear(5, 2).double()
    with torch.no_grad():
        model.weight[0] = 0
    model.requires_grad_(False)
    x, y = task.x_test.double() * 0.2 + 0.4, task.y_test % 2
    x_adv = FGSM(FGSMParams(eps=EPS)).perturb(model, x, y, make_context(task, len(x))).x_adv
    w, s = model.weight[1], 2 * y - 1

    def f(u):
        return s * (model(u)[:, 1] - model(u)[:, 0])

    # max over the ball of g(-f) is g(eps ||w||_1 - f), g increasing
    torch.testing.assert_close(f(x_adv), f(x) - EPS * w.abs().sum())


def test_costs_one_forward_and_one_backward_pass(cnn):
    model = CountedModel(cnn.model)
    FGSM(FGSMParams(eps=EPS)).perturb(model, cnn.x, cnn.y, cnn.context())
    assert (model.forward_passes, model.backward_passes) == (len(cnn.x), len(cnn.x))
