"""What holds for every built-in model: normalisation inside, features, head."""

import pytest
import torch

from benchmark_plugins.models.catalogue import SPECS

ALL = [spec.name for spec in SPECS]


@pytest.fixture
def task(images):
    return images(1, 8, 8)


@pytest.mark.parametrize("name", ALL)
def test_logits_are_the_head_of_the_features(build, task, name):
    net = build(name, task)
    logits, features = net(task.x_test), net.features(task.x_test)
    assert logits.shape == (8, 4)
    assert features.ndim == 2
    torch.testing.assert_close(logits, features @ net.head.weight.T + net.head.bias)


@pytest.mark.parametrize("name", ALL)
def test_normalisation_is_the_manual_one(build, task, name):
    inside, outside = build(name, task), build(name, task, normalise=False)
    by_hand = (task.x_test - task.mean) / task.std
    torch.testing.assert_close(inside(task.x_test), outside(by_hand))
    assert not torch.allclose(inside(task.x_test), outside(task.x_test))


@pytest.mark.parametrize("name", ALL)
def test_the_seed_decides_the_weights(build, task, name):
    a, b, c = build(name, task), build(name, task), build(name, task, seed=1)
    assert torch.equal(a(task.x_test), b(task.x_test))
    assert not torch.equal(a(task.x_test), c(task.x_test))


@pytest.mark.parametrize("name", ALL)
def test_weights_travel_by_state_dict(build, task, name):
    a, b = build(name, task), build(name, task, seed=1)
    b.load_state_dict(a.state_dict())
    assert torch.equal(a(task.x_test), b(task.x_test))


@pytest.mark.parametrize("name", ALL)
def test_float64_gives_the_same_logits(build, task, name):
    net = build(name, task)
    single = net(task.x_test)
    double = net.double()(task.x_test.double())
    assert double.dtype == torch.float64
    torch.testing.assert_close(single.double(), double, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ALL)
def test_a_sample_s_logits_do_not_depend_on_its_batch_even_in_train_mode(build, task, name):
    net = build(name, task).train()
    torch.testing.assert_close(net(task.x_test)[2:3], net(task.x_test[2:3]))


@pytest.mark.parametrize("name", ALL)
def test_every_module_runs_once_and_not_in_place(build, task, name):
    """DeepLIFT-like explainers hook each activation and want its own input."""
    net = build(name, task)
    calls = []
    for module in net.modules():
        if not list(module.children()):
            module.register_forward_hook(lambda m, args, out: calls.append((m, args[0], args[0]._version)))
    net(task.x_test)
    assert len(calls) == len({id(m) for m, _, _ in calls})
    assert all(x._version == version for _, x, version in calls)
    assert {m for m, _, _ in calls} == {m for m in net.modules() if not list(m.children())}
