"""AdjustLambda against a convolution of the padded mask and scipy's correlation, border by border."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import correlate, gaussian_filter
from torch.nn import functional

from benchmark_core.kernels.blur import blur_adjust


def window(sigma):
    taps = np.exp(-0.5 * (np.arange(-2, 3) / sigma) ** 2)
    return np.outer(taps, taps) / taps.sum() ** 2


def expected(lam, w, q, sigma=1.5):
    """scipy's `mirror` does not repeat the outermost pixel: d c b | a b c d | c b a."""
    blurred = np.stack([correlate(m, window(sigma), mode="mirror") for m in (w != 0).any(1).double().numpy()])
    return lam.double().numpy() / np.where(blurred != 0, blurred + 1, q)


def example(*shape, seed=0, dtype=torch.float64, share=0.1):
    g = torch.Generator().manual_seed(seed)
    w = torch.randn(shape, generator=g) * (torch.rand(shape, generator=g) < share)
    return torch.rand(shape[0], *shape[2:], generator=g).to(dtype), w.to(dtype)


@pytest.mark.parametrize(
    "shape", [(4, 3, 32, 32), (3, 1, 28, 28), (5, 3, 123, 123), (2, 2, 3, 40), (2, 1, 1, 6), (1, 1, 1, 1)]
)
@pytest.mark.parametrize("sigma", [0.5, 1.5])
def test_against_scipy(shape, sigma):
    lam, w = example(*shape)
    np.testing.assert_allclose(
        blur_adjust(lam, w, 0.25, sigma=sigma), expected(lam, w, 0.25, sigma), rtol=1e-13
    )


def test_against_the_convolution_that_attacks_use():
    lam, w = example(6, 3, 20, 31)
    kernel = torch.from_numpy(window(1.5))[None, None]
    mask = functional.pad(w.abs().mean(1, keepdim=True).sign(), (2, 2, 2, 2), mode="reflect")
    m = functional.conv2d(mask, kernel)[:, 0]
    torch.testing.assert_close(blur_adjust(lam, w, 0.9), lam / torch.where(m != 0, m + 1, 0.9))


def test_inside_it_is_a_gaussian_filter_cut_at_two_pixels():
    lam, w = torch.ones(1, 15, 15).double(), torch.zeros(1, 1, 15, 15).double()
    w[0, 0, 7, 7] = -3
    blurred = gaussian_filter((w[0, 0] != 0).double().numpy(), 1.5, radius=2)
    divisor = np.where(blurred > 0, blurred + 1, 0.5)
    np.testing.assert_allclose(blur_adjust(lam, w, 0.5)[0], 1 / divisor, rtol=1e-13)
    assert int((blur_adjust(lam, w, 0.5) != 2).sum()) == 25


def test_without_a_change_every_threshold_rises_and_with_changes_everywhere_it_halves():
    lam = torch.rand(2, 9, 9)
    torch.testing.assert_close(blur_adjust(lam, torch.zeros(2, 3, 9, 9), 0.25), 4 * lam)
    torch.testing.assert_close(blur_adjust(lam, torch.ones(2, 3, 9, 9), 0.25), lam / 2)


def test_channels_that_cancel_are_still_a_change():
    lam, w = torch.ones(1, 1, 1), torch.tensor([1.0, -1.0]).view(1, 2, 1, 1)
    assert float(blur_adjust(lam, w, 0.25)) == pytest.approx(0.5)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def test_any_input(data):
    """Sides of one pixel and more; a side of two is mirrored onto itself."""
    shape = tuple(data.draw(st.integers(1, top)) for top in (3, 3, 7, 7))
    w = torch.from_numpy(
        data.draw(arrays(np.float64, shape, elements=st.sampled_from([0.0, 0.0, -0.0, 1e-300, -2.0])))
    )
    lam = torch.from_numpy(
        data.draw(
            arrays(np.float64, (shape[0], *shape[2:]), elements=st.sampled_from([0.0, 1.0, 1e9, np.inf]))
        )
    )
    np.testing.assert_allclose(blur_adjust(lam, w, 0.3), expected(lam, w, 0.3), rtol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_lower_precision(dtype):
    lam, w = example(3, 3, 16, 16, dtype=dtype)
    before = lam.clone()
    found = blur_adjust(lam, w, 0.25)
    assert found.dtype == dtype
    np.testing.assert_allclose(found.double(), expected(lam, w, 0.25), rtol=max(1e-6, torch.finfo(dtype).eps))
    assert torch.equal(lam, before)


def test_an_image_does_not_depend_on_its_batch():
    lam, w = example(7, 3, 12, 12)
    whole = blur_adjust(lam, w, 0.25)
    torch.testing.assert_close(blur_adjust(lam[3:4], w[3:4], 0.25), whole[3:4])
    assert blur_adjust(lam[:0], w[:0], 0.25).shape == (0, 12, 12)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"needs lam \(n, H, W\) and w \(n, C, H, W\)"):
        blur_adjust(torch.rand(2, 1, 5, 5), torch.rand(2, 1, 5, 5), 0.25)
    for q, sigma in ((0.0, 1.5), (0.25, 0.0)):
        with pytest.raises(ValueError, match="q and sigma must be positive"):
            blur_adjust(torch.rand(2, 5, 5), torch.rand(2, 1, 5, 5), q, sigma=sigma)
