"""The convolutional network."""

import numpy as np
import pytest
from scipy.signal import correlate2d


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 8), (1, 28, 28), (3, 32, 32), (2, 9, 13)])
def test_shapes(build, images, shape):
    task = images(*shape)
    net = build("cnn", task, channels=(4, 6), hidden=10)
    assert net.features(task.x_test).shape == (8, 10)
    assert net(task.x_test).shape == (8, 4)


def test_logits_by_hand(build, images):
    task = images(2, 6, 6)
    net = build("cnn", task, channels=(3,), hidden=5, normalise=False)
    kernel, shift, w1, b1, w2, b2 = (p.detach().double().numpy() for p in net.parameters())
    image = task.x_test[0].double().numpy()
    maps = (
        np.stack([sum(correlate2d(image[c], k[c], mode="same") for c in range(2)) for k in kernel])
        + shift[:, None, None]
    )
    pooled = np.maximum(maps, 0).reshape(3, 3, 2, 3, 2).max((2, 4))
    hidden = np.maximum(w1 @ pooled.ravel() + b1, 0)
    np.testing.assert_allclose(net.features(task.x_test[:1])[0].detach(), hidden, atol=1e-5)
    np.testing.assert_allclose(net(task.x_test[:1])[0].detach(), w2 @ hidden + b2, atol=1e-5)


def test_stages_that_halve_the_image_to_nothing_are_refused(build, images):
    assert build("cnn", images(1, 8, 8), channels=(2, 2, 2), hidden=3)
    with pytest.raises(ValueError, match=r"4 stages halve a 8x8 image to nothing.*`channels` fewer"):
        build("cnn", images(1, 8, 8), channels=(2, 2, 2, 2), hidden=3)
