"""SSIM against scikit-image and a loop over windows in float64; its nearest neighbours against all pairs."""

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from benchmark_core.kernels.ssim import ssim, ssim_knn


def images(n, *shape, seed=0, dtype=torch.float64):
    return torch.rand(n, *shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def skimage_ssim(x, y, data_range, crop):
    value, full = structural_similarity(
        x.numpy(),
        y.numpy(),
        data_range=data_range,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        channel_axis=0,
        full=True,
    )
    return value if crop else full.mean()


@pytest.mark.parametrize("crop", [True, False])
@pytest.mark.parametrize("data_range", [1.0, 2.0, 255.0])
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 11, 11), (2, 13, 40)])
def test_scikit_image(shape, data_range, crop):
    x = data_range * images(4, *shape)
    y = (0.7 * x + 0.3 * data_range * images(4, *shape, seed=1)).clamp(0, data_range)
    theirs = [skimage_ssim(a, b, data_range, crop) for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(ssim(x, y, data_range=data_range, crop=crop), theirs, atol=1e-12)
    single = ssim(x.float(), y.float(), data_range=data_range, crop=crop)
    np.testing.assert_allclose(single, theirs, atol=1e-6)


@pytest.mark.parametrize("crop", [True, False])
def test_scikit_image_on_sparse_strokes(crop):
    """Mostly black images, as handwriting is: flat windows are where float32 variances are hardest."""
    x, y = images(6, 1, 28, 28, seed=2), images(6, 1, 28, 28, seed=3)
    x, y = x * (x > 0.85), y * (y > 0.85)
    theirs = [skimage_ssim(a, b, 1.0, crop) for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(ssim(x.float(), y.float(), crop=crop), theirs, atol=1e-6)


def window_loop(x, y, taps, data_range=1.0):
    """Wang et al. 2004, eq. 13-16, window by window: the mean over every window that lies inside."""
    t = np.arange(taps) - taps // 2
    w = np.exp(-0.5 * (t / 1.5) ** 2)
    w = np.outer(w, w) / np.outer(w, w).sum()
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    found = []
    for a, b in zip(x, y, strict=True):
        for i in range(a.shape[0] - taps + 1):
            for j in range(a.shape[1] - taps + 1):
                p, q = a[i : i + taps, j : j + taps], b[i : i + taps, j : j + taps]
                mp, mq = (w * p).sum(), (w * q).sum()
                vp, vq = (w * (p - mp) ** 2).sum(), (w * (q - mq) ** 2).sum()
                cov = (w * (p - mp) * (q - mq)).sum()
                found.append((2 * mp * mq + c1) * (2 * cov + c2) / ((mp**2 + mq**2 + c1) * (vp + vq + c2)))
    return np.mean(found)


@pytest.mark.parametrize(
    ("shape", "taps"), [((1, 8, 8), 7), ((1, 9, 30), 9), ((2, 10, 10), 9), ((1, 12, 11), 11), ((1, 3, 5), 3)]
)
def test_small_images_get_the_largest_odd_window_that_fits(shape, taps):
    x, y = images(3, *shape), images(3, *shape, seed=1)
    expected = [window_loop(a.numpy(), b.numpy(), taps) for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(ssim(x, y), expected, atol=1e-12)


def test_small_images_with_mirrored_borders():
    """scikit-image refuses 8 x 8 unless the crop is set by hand; its full map mirrors as ours does."""
    x, y = images(3, 1, 8, 8), images(3, 1, 8, 8, seed=1)
    theirs = [
        structural_similarity(
            a[0].numpy(), b[0].numpy(), data_range=1.0, gaussian_weights=True, sigma=1.5,
            use_sample_covariance=False, win_size=7, full=True,
        )[1].mean()
        for a, b in zip(x, y, strict=True)
    ]  # fmt: skip
    np.testing.assert_allclose(ssim(x, y, crop=False), theirs, atol=1e-12)


def test_images_smaller_than_half_a_window_are_mirrored_repeatedly():
    """numpy's symmetric padding does the mirroring; then every window lies inside."""
    x, y = images(2, 1, 3, 4), images(2, 1, 3, 4, seed=1)
    pad = [(0, 0), (5, 5), (5, 5)]
    expected = [
        window_loop(np.pad(a.numpy(), pad, "symmetric"), np.pad(b.numpy(), pad, "symmetric"), 11)
        for a, b in zip(x, y, strict=True)
    ]
    np.testing.assert_allclose(ssim(x, y, crop=False), expected, atol=1e-12)


def test_closed_form_for_flat_images():
    """No variance: SSIM = (2ab + C1) / (a^2 + b^2 + C1)."""
    a, b = 0.2, 0.9
    x, y = (
        torch.full((1, 1, 16, 16), a, dtype=torch.float64),
        torch.full((1, 1, 16, 16), b, dtype=torch.float64),
    )
    expected = (2 * a * b + 1e-4) / (a * a + b * b + 1e-4)
    assert ssim(x, y).item() == pytest.approx(expected, abs=1e-12)


def test_identity_and_symmetry():
    x, y = images(5, 3, 20, 20), images(5, 3, 20, 20, seed=1)
    torch.testing.assert_close(ssim(x, x), torch.ones(5, dtype=torch.float64))
    torch.testing.assert_close(ssim(x, y), ssim(y, x))


def test_gradient():
    x, y = images(2, 1, 12, 12).requires_grad_(), images(2, 1, 12, 12, seed=1)
    assert torch.autograd.gradcheck(lambda a: ssim(a, y), (x,))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_dtype_is_kept(dtype):
    x = images(2, 1, 12, 12, dtype=torch.float32).to(dtype)
    assert ssim(x, x).dtype == dtype
    assert ssim_knn(x, x, 1)[0].dtype == dtype
    torch.testing.assert_close(ssim(x, x), torch.ones(2, dtype=dtype))


@pytest.mark.parametrize("crop", [True, False])
@pytest.mark.parametrize("chunk", [1, 3000, 1 << 19])
def test_nearest_neighbours_are_those_of_all_pairs(crop, chunk):
    queries, points = images(7, 2, 12, 12), images(23, 2, 12, 12, seed=1)
    points[4] = queries[2]
    every = torch.stack([ssim(q.expand_as(points), points, crop=crop, data_range=2.0) for q in queries])
    expected, order = ((1 - every) / 2).sort(1)
    distances, indices = ssim_knn(queries, points, 6, crop=crop, data_range=2.0, chunk=chunk)
    torch.testing.assert_close(distances, expected[:, :6])
    assert torch.equal(indices, order[:, :6])
    assert indices[2, 0] == 4
    assert distances[2, 0].abs() < 1e-12


def test_neighbours_of_no_queries():
    distances, indices = ssim_knn(torch.empty(0, 1, 12, 12), images(3, 1, 12, 12, dtype=torch.float32), 2)
    assert distances.shape == indices.shape == (0, 2)


def test_inputs_that_do_not_fit_are_refused():
    x = images(2, 1, 12, 12)
    with pytest.raises(ValueError, match="ssim: needs two"):
        ssim(x, x[:1])
    with pytest.raises(ValueError, match="ssim: needs two"):
        ssim(x[0], x[0])
    with pytest.raises(ValueError, match="of one size"):
        ssim_knn(x, x[..., :11], 1)
    with pytest.raises(ValueError, match=r"k must be in 1..2, the number of points; got 3"):
        ssim_knn(x, x, 3)
