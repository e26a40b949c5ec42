"""Multinomial logistic regression."""

import numpy as np
import torch


def test_logits_are_affine_in_the_normalised_input(build, task):
    net = build("linear", task)
    weight, bias = (p.detach().double().numpy() for p in (net.head.weight, net.head.bias))
    z = ((task.x_test - task.mean) / task.std).double().numpy()
    np.testing.assert_allclose(net(task.x_test).detach(), z @ weight.T + bias, atol=1e-5)
    torch.testing.assert_close(net.features(task.x_test), torch.from_numpy(z).float())


def test_it_has_one_weight_a_feature_and_class(build, images):
    net = build("linear", images(3, 5, 4))
    assert sum(p.numel() for p in net.parameters()) == 3 * 5 * 4 * 4 + 4
