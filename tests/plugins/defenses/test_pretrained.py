"""Weights from a file."""

import pytest
import torch
from safetensors.torch import save_file

from benchmark_plugins.defenses.catalogue import PretrainedParams
from benchmark_plugins.defenses.pretrained import Pretrained


@pytest.fixture
def load(tmp_path, task, mlp, context):
    """`load(weights)` -> a fresh perceptron with the weights of a file that holds them."""

    def load(weights):
        path = tmp_path / "weights.safetensors"
        save_file(weights, path)
        return Pretrained(PretrainedParams(path=str(path))).train(mlp(task, seed=1), task, context(task))

    return load


@pytest.fixture
def weights(task, mlp):
    return mlp(task, seed=0).state_dict()


@pytest.mark.parametrize("prefix", ["", "module."])
def test_round_trip(load, weights, task, mlp, prefix):
    net = load({prefix + name: value for name, value in weights.items()})
    assert torch.equal(net(task.x_test), mlp(task, seed=0)(task.x_test))


def test_a_prefix_that_only_some_names_have_is_not_dropped(load, weights):
    weights["module.head.weight"] = weights.pop("head.weight")
    with pytest.raises(ValueError, match=r"it lacks head.weight; the model has no module.head.weight"):
        load(weights)


def test_missing_tensors_are_named_the_first_few(load, weights):
    kept = {name: value for name, value in weights.items() if not name.startswith("body")}
    with pytest.raises(
        ValueError,
        match=r"does not fit the model: it lacks body.1.weight, body.1.bias, "
        r"body.3.weight and 1 more; use the model it was saved from",
    ):
        load(kept)


def test_unknown_tensors_are_named(load, weights):
    with pytest.raises(ValueError, match=r"does not fit the model: the model has no extra;"):
        load({**weights, "extra": torch.zeros(1)})


def test_other_shapes_are_named_with_both_shapes(load, weights):
    weights["head.bias"] = torch.zeros(7)
    with pytest.raises(ValueError, match=r"of another shape are head.bias \(7,\), not \(3,\);"):
        load(weights)


def test_weights_that_are_not_finite_are_refused(load, weights):
    weights["head.bias"] = torch.tensor([0.0, float("nan"), 0.0])
    with pytest.raises(ValueError, match=r"not finite are head.bias;"):
        load(weights)


def test_every_error_is_one_line_and_the_model_stays_as_it_was(tmp_path, task, mlp, context, weights):
    path = tmp_path / "weights.safetensors"
    save_file({"head.weight": torch.zeros(3, 64), "head.bias": torch.zeros(7)}, path)
    net = mlp(task, seed=1)
    before = net(task.x_test)
    with pytest.raises(ValueError, match="lacks") as caught:
        Pretrained(PretrainedParams(path=str(path))).train(net, task, context(task))
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    assert torch.equal(net(task.x_test), before)


def test_another_kind_of_file_is_refused(tmp_path, task, mlp, context):
    path = tmp_path / "weights.pt"
    torch.save({"head.bias": torch.zeros(3)}, path)
    with pytest.raises(ValueError, match=r"weights.pt is no safetensors file .*save_file"):
        Pretrained(PretrainedParams(path=str(path))).train(mlp(task), task, context(task))
