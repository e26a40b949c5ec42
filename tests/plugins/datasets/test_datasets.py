"""What holds for every built-in dataset."""

import dataclasses

import pytest
import torch

from benchmark_plugins.datasets.catalogue import SPECS, SplitParams

ALL = [spec.name for spec in SPECS]
FEWER = {"mnist": {"train": 2000, "test": 500}}


@pytest.mark.parametrize("name", ALL)
def test_the_task_keeps_its_contract(load, name):
    task = load(name, **FEWER.get(name, {}))
    for x, y in ((task.x_train, task.y_train), (task.x_test, task.y_test)):
        assert x.dtype == torch.float32
        assert y.dtype == torch.int64
        assert x.shape == (len(y), *task.shape)
        assert torch.isfinite(x).all()
        assert set(y.tolist()) == set(range(task.n_classes))
        assert (x >= task.lower).all()
        assert (x <= task.upper).all()
    assert task.lower.shape == task.upper.shape == task.mutable.shape == task.shape
    assert task.mutable.dtype == torch.bool
    assert task.mutable.all()
    assert torch.broadcast_shapes(task.mean.shape, task.std.shape, task.shape) == task.shape
    assert (task.std > 0).all()
    assert len(task.features) == (0 if task.is_image else task.shape[0])
    assert task.favourable is None or 0 <= task.favourable < task.n_classes


@pytest.mark.parametrize("name", ALL)
def test_input_type_is_the_declared_one(load, name):
    spec = next(s for s in SPECS if s.name == name)
    assert load(name, **FEWER.get(name, {})).is_image == (spec.input == "image")


@pytest.mark.parametrize("name", ALL)
def test_loading_twice_gives_the_same(load, name):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one, two = load(name, **FEWER.get(name, {})), load(name, **FEWER.get(name, {}))
    for field in dataclasses.fields(one):
        a, b = getattr(one, field.name), getattr(two, field.name)
        assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", [s.name for s in SPECS if issubclass(s.params, SplitParams)])
def test_another_split_has_other_test_rows(load, name):
    assert not torch.equal(load(name).x_test, load(name, split=1).x_test)
