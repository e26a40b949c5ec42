"""Counts of patches and regions against brute force and scipy.ndimage.label."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import label

from benchmark_core.kernels.cases.masks import spiral
from benchmark_core.kernels.dispatch import OPS
from benchmark_core.kernels.patches import count_components, patch_count

STRUCTURE = {4: None, 8: np.ones((3, 3))}
counts = pytest.mark.parametrize(
    "count", [count_components, OPS["count_components"].reference], ids=["public", "reference"]
)


def sparse(shape, share, seed=0, dtype=torch.float32):
    g = torch.Generator().manual_seed(seed)
    return (torch.randn(shape, generator=g) * (torch.rand(shape, generator=g) < share)).to(dtype)


def brute_patches(w, size):
    """Every patch cut out, its norm compared with 0."""
    patches = w.double().unfold(2, size, 1).unfold(3, size, 1)
    return (patches.square().sum((1, 4, 5)) > 0).sum((1, 2))


def labels(mask, connectivity):
    return [label(image, STRUCTURE[connectivity])[1] for image in mask.numpy()]


@pytest.mark.parametrize("share", [0.0, 0.002, 0.02, 0.3])
@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((4, 3, 32, 32), 8),
        ((3, 1, 28, 28), 8),
        ((2, 2, 8, 8), 8),
        ((5, 3, 123, 17), 5),
        ((3, 1, 1, 1), 1),
        ((2, 3, 9, 40), 7),
    ],
)
def test_patches_against_brute_force(shape, size, share):
    w = sparse(shape, share)
    assert torch.equal(patch_count(w, size), brute_patches(w, size))


def test_maxima_are_those_of_the_papers_image_sizes():
    for side, most in ((32, 625), (224, 47_089), (256, 62_001)):
        assert patch_count(torch.ones(1, 3, side, side)).tolist() == [most]


def test_one_pixel_touches_64_patches_and_a_corner_one():
    w = torch.zeros(3, 3, 32, 32)
    w[0, 1, 15, 15] = -1e-30
    w[1, 2, 0, 0] = 1
    w[2, :, 0, 31] = torch.nan
    assert patch_count(w).tolist() == [64, 1, 1]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def test_patches_of_any_image(data):
    shape = tuple(data.draw(st.integers(1, top)) for top in (3, 3, 12, 12))
    size = data.draw(st.integers(1, min(shape[2:])))
    values = st.sampled_from([0.0, -0.0, 0.0, 0.0, 1.0, -2.0])
    w = torch.from_numpy(data.draw(arrays(np.float32, shape, elements=values)))
    assert torch.equal(patch_count(w, size), brute_patches(w, size))


@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.6, 0.9])
@pytest.mark.parametrize("shape", [(20, 32, 32), (5, 123, 123), (9, 1, 40), (9, 40, 1), (6, 2, 2)])
@counts
def test_components_are_those_of_scipy(count, shape, share, connectivity):
    """About 0.6 (4) and 0.4 (8) large regions meet and are long and winding."""
    mask = sparse(shape, share) != 0
    assert count(mask, connectivity).tolist() == labels(mask, connectivity)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.data())
def test_components_of_any_mask(data):
    shape = tuple(data.draw(st.integers(1, top)) for top in (3, 9, 9))
    mask = torch.from_numpy(data.draw(arrays(np.bool_, shape)))
    for connectivity in (4, 8):
        for count in (count_components, OPS["count_components"].reference):
            assert count(mask, connectivity).tolist() == labels(mask, connectivity)


@counts
def test_shapes_that_labels_travel_far_in(count):
    """A spiral, a comb whose teeth meet in the last row, a checkerboard, and their complements."""
    side = 65
    comb = torch.zeros(side, side, dtype=torch.bool)
    comb[:, ::2], comb[-1] = True, True
    board = (torch.arange(side)[:, None] + torch.arange(side)) % 2 == 0
    masks = torch.stack([spiral(side), comb, board])
    masks = torch.cat([masks, ~masks, masks.mT, masks.flip(1)])
    for connectivity in (4, 8):
        assert count(masks, connectivity).tolist() == labels(masks, connectivity)
    assert count(masks[:3], 4).tolist() == [1, 1, (side * side + 1) // 2]
    assert count(masks[:3], 8).tolist() == [1, 1, 1]


@counts
def test_images_do_not_touch_each_other(count):
    """The last row of one image is not beside the first of the next, nor a row's end beside a row's begin."""
    mask = torch.ones(4, 3, 3, dtype=torch.bool)
    assert count(mask, 8).tolist() == [1, 1, 1, 1]
    mask = torch.zeros(1, 2, 4, dtype=torch.bool)
    mask[0, 0, 3] = mask[0, 1, 0] = True
    assert count(mask, 8).tolist() == [2]


def test_nothing_and_all():
    assert patch_count(torch.zeros(0, 3, 9, 9)).shape == (0,)
    assert patch_count(torch.zeros(2, 1, 9, 9)).dtype == torch.int64
    for count in (count_components, OPS["count_components"].reference):
        assert count(torch.zeros(2, 5, 5, dtype=torch.bool), 4).tolist() == [0, 0]
        assert count(torch.ones(2, 5, 5, dtype=torch.bool), 4).tolist() == [1, 1]
        for shape in ((0, 5, 5), (3, 0, 5), (3, 5, 0)):
            found = count(torch.zeros(shape, dtype=torch.bool), 4)
            assert (found.tolist(), found.dtype) == ([0] * shape[0], torch.int64)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_dtype(dtype):
    w = sparse((3, 2, 20, 20), 0.01, dtype=dtype)
    assert torch.equal(patch_count(w), brute_patches(w, 8))


def test_what_does_not_fit_is_refused():
    for w, size in ((torch.zeros(2, 1, 7, 9), 8), (torch.zeros(2, 9, 9), 8), (torch.zeros(1, 1, 9, 9), 0)):
        with pytest.raises(ValueError, match=f"no {size} x {size} patch fits into w"):
            patch_count(w, size)
    with pytest.raises(ValueError, match="connectivity must be 4 or 8, got 6"):
        count_components(torch.zeros(1, 2, 2, dtype=torch.bool), 6)
    for mask in (torch.zeros(1, 2, 2), torch.zeros(2, 2, dtype=torch.bool)):
        with pytest.raises(ValueError, match=r"needs \(n, H, W\) bool"):
            count_components(mask)
