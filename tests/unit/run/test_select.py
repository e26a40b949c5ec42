"""Selections: who is chosen and at what they aim."""

import pytest
import torch

from benchmark_core.errors import RobexError
from benchmark_core.run.select import select_samples
from benchmark_core.suite.model import Wish
from benchmark_core.testing import blobs


def select(task, model=None, seed=0, **wish):
    return select_samples(Wish(**wish), task, model, seed, 7)


def test_all_in_the_order_of_the_test_set(task):
    s = select(task)
    assert s.index.tolist() == list(range(len(task.x_test)))
    assert torch.equal(s.y, task.y_test)
    assert s.target is None


def test_fewer_samples_are_a_subset_of_more(task):
    few, more = select(task, samples=5), select(task, samples=15)
    assert len(few.index) == 5
    assert set(few.index.tolist()) < set(more.index.tolist())
    assert not torch.equal(select(task, samples=5, seed=1).index, few.index)


def test_class_balanced(task):
    s = select(task, select="class-balanced", samples=10)
    assert torch.bincount(s.y).tolist() == [3, 3, 3]
    with pytest.raises(RobexError, match="at least 3 samples"):
        select(task, select="class-balanced", samples=2)


class Rule(torch.nn.Module):
    """Says class 0 exactly when the first feature is below the median."""

    def __init__(self, x):
        super().__init__()
        self.cut = x[:, 0].median()

    def forward(self, x):
        first = (x[:, 0] < self.cut).float()
        return torch.stack([first, 1 - first, torch.zeros(len(x)) - 1], 1)


def test_correct_and_negative(task):
    model = Rule(task.x_test)
    predicted = model(task.x_test).argmax(1)
    s = select(task, model, select="correct")
    assert s.index.tolist() == torch.nonzero(predicted == task.y_test).flatten().tolist()
    import dataclasses

    with pytest.raises(RobexError, match="favourable"):
        select(task, model, select="negative")
    binary = dataclasses.replace(task, favourable=1)
    s = select(binary, model, select="negative")
    assert s.index.tolist() == torch.nonzero(predicted != 1).flatten().tolist()


def test_targets_are_classes_that_the_model_does_not_say(task):
    model = Rule(task.x_test)
    predicted = model(task.x_test).argmax(1)
    nxt = select(task, model, targets="next")
    assert torch.equal(nxt.target, (predicted + 1) % 3)
    rnd = select(task, model, targets="random")
    assert (rnd.target != predicted).all()
    assert len(rnd.target.unique()) == 3
    # the target of a sample does not depend on who else is selected
    few = select(task, model, targets="random", samples=6)
    lookup = dict(zip(rnd.index.tolist(), rnd.target.tolist(), strict=True))
    assert [lookup[i] for i in few.index.tolist()] == few.target.tolist()
    with pytest.raises(RobexError, match="two classes"):
        select(task, model, targets="opposite")


def test_negative_samples_aim_at_the_favourable_class(task):
    import dataclasses

    s = select(
        dataclasses.replace(task, favourable=1), Rule(task.x_test), select="negative", targets="random"
    )
    assert set(s.target.tolist()) == {1}


def test_opposite_of_the_prediction():
    two = blobs(classes=2)

    class Two(Rule):
        def forward(self, x):
            return super().forward(x)[:, :2]

    model = Two(two.x_test)
    flip = select(two, model, targets="opposite")
    assert torch.equal(flip.target, 1 - model(two.x_test).argmax(1))


def test_all_targets_repeat_samples(task):
    model = Rule(task.x_test)
    s = select(task, model, targets="all", samples=4)
    assert len(s.index) == 8
    assert s.index.reshape(4, 2)[:, 0].tolist() == s.index.reshape(4, 2)[:, 1].tolist()
    predicted = model(task.x_test[s.index]).argmax(1).tolist()
    for p, a, b in zip(predicted[::2], s.target[::2].tolist(), s.target[1::2].tolist(), strict=True):
        assert sorted([p, a, b]) == [0, 1, 2]


def test_nobody_left(task):
    model = Rule(task.x_test)
    import dataclasses

    odd = dataclasses.replace(task, y_test=torch.full_like(task.y_test, 2))
    with pytest.raises(RobexError, match="leaves no sample"):
        select(odd, model, select="correct")
