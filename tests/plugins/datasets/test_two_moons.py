"""Two moons: the points lie where the circles are."""

import numpy as np
import torch
from sklearn.datasets import make_moons


def test_without_noise_all_points_lie_on_the_two_half_circles(load):
    task = load("two-moons", noise=0.0, size=200)
    raw, _ = make_moons(200, noise=0.0, random_state=0)
    x = torch.cat([task.x_train, task.x_test]).double().numpy()
    y = torch.cat([task.y_train, task.y_test]).numpy()
    # back to the plane: the box of the scaled points is the box of the raw ones
    low, high = task.lower.double().numpy(), task.upper.double().numpy()
    x = (x - low) / (high - low) * np.ptp(raw, axis=0) + raw.min(0)
    centre = np.where(y[:, None] == 0, [0.0, 0.0], [1.0, 0.5])
    np.testing.assert_allclose(np.linalg.norm(x - centre, axis=1), 1, atol=1e-5)
    assert (x[y == 0][:, 1] >= -1e-5).all()  # the upper half of its circle
    assert (x[y == 1][:, 1] <= 0.5 + 1e-5).all()


def test_size_noise_and_seed(load):
    task = load("two-moons", size=300, test_share=0.5)
    assert len(task.y_train) == len(task.y_test) == 150
    assert task.y_test.bincount().tolist() == [75, 75]
    assert task.favourable == 1
    assert not torch.equal(task.x_train, load("two-moons", size=300, test_share=0.5, data_seed=1).x_train)
    assert not torch.equal(task.x_train, load("two-moons", size=300, test_share=0.5, noise=0.2).x_train)
