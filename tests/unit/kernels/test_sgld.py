"""The generator against the published vectors of Philox, the normals against scipy, the step against itself
written out."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from benchmark_core.kernels.sgld import normals, philox, sgld_step

PI = (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344)  # digits of pi


@pytest.mark.parametrize(
    ("counter", "key", "answer"),
    [  # Random123, tests/kat_vectors: philox4x32 10
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((2**32 - 1,) * 4, (2**32 - 1,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (PI, (0xA4093822, 0x299F31D0), (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
    ],
)
def test_philox_gives_the_known_answers(counter, key, answer):
    words = philox(key[1] << 32 | key[0], *(np.array([c], np.uint64) for c in counter))
    assert tuple(w.item() for w in words) == answer


def rounds(counter, key):
    """Philox4x32-10 in Python's integers, as the paper defines it."""
    low = 0xFFFFFFFF
    (c0, c1, c2, c3), (k0, k1) = counter, key
    for _ in range(10):
        a, b = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (b >> 32) ^ c1 ^ k0, b & low, (a >> 32) ^ c3 ^ k1, a & low
        k0, k1 = (k0 + 0x9E3779B9) & low, (k1 + 0xBB67AE85) & low
    return c0, c1, c2, c3


def test_philox_of_many_counters_and_the_normals_made_of_them():
    seed, offset, first, n, features = 0x1234567890ABCDEF, 77, 2**32 - 3, 6, 37
    u = normals(n, features, seed, offset, first, torch.empty(0, dtype=torch.float64))
    counters = 12  # 4 ceil(37 / 16)
    for i in range(n):
        row = first + i
        for j in range(features):
            lane, b = divmod(j, counters)
            words = rounds((b, offset, row % 2**32, row >> 32), (seed % 2**32, seed >> 32))
            radius, angle = words[lane // 2 * 2 : lane // 2 * 2 + 2]
            r = math.sqrt(-2 * math.log((radius + 0.5) / 2**32))
            theta = 2 * math.pi * angle / 2**32
            expected = r * (math.cos(theta) if lane % 2 == 0 else math.sin(theta))
            assert float(u[i, j]) == pytest.approx(expected, rel=1e-12, abs=1e-12)
    low = normals(n, features, seed, offset, first, torch.empty(0))
    np.testing.assert_allclose(low, u, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize(("n", "features"), [(500, 784), (40_000, 3)])
def test_the_normals_are_normal_and_independent(n, features):
    u = normals(n, features, 5, 0, 0, torch.empty(0, dtype=torch.float64)).numpy()
    assert stats.kstest(u.ravel()[:100_000], "norm").pvalue > 1e-3
    assert stats.kstest(u.ravel() ** 2, "chi2", args=(1,)).pvalue > 1e-3  # radii and angles together
    size = u.size**0.5
    for moment, value, spread in ((1, 0, 1), (2, 1, 2**0.5), (3, 0, 15**0.5), (4, 3, 96**0.5)):
        assert abs((u**moment).mean() - value) < 5 * spread / size
    half = features // 2  # lanes share a counter: features half a row apart are radius and angle of one pair
    other = normals(n, features, 5, 1, 0, torch.empty(0, dtype=torch.float64)).numpy()
    others = normals(n, features, 6, 0, 0, torch.empty(0, dtype=torch.float64)).numpy()
    for a, b in ((u[1:], u[:-1]), (u[:, half:], u[:, : features - half]), (u, other), (u, others)):
        for power in (1, 2):
            r = np.corrcoef(a.ravel() ** power, b.ravel() ** power)[0, 1]
            assert abs(r) < 5 / a.size**0.5


def test_the_largest_normal_is_finite():
    """Radii from the words 0 and 2^32 - 1."""
    for dtype in (torch.float32, torch.float64):
        ends = torch.tensor([0, 2**32 - 1]).to(dtype).add(0.5).mul(2.0**-32).log().mul(-2).sqrt()
        assert float(ends[0]) == pytest.approx(math.sqrt(2 * 33 * math.log(2)), rel=1e-6)
        assert 0 <= float(ends[1]) < 1e-4


def test_the_step_written_out():
    g = torch.Generator().manual_seed(0)
    x, grad = (torch.randn(6, 2, 3, 3, generator=g, dtype=torch.float64) for _ in range(2))
    u = normals(6, 18, 9, 4, 0, x).view_as(x)
    free = x - 0.35 * grad + 0.2 * u
    torch.testing.assert_close(sgld_step(x, grad, 0.7, 0.2, 9, 4), free, rtol=0, atol=1e-15)
    low, high = torch.full((2, 3, 3), -0.5).double(), torch.linspace(-0.4, 1, 18).double().view(2, 3, 3)
    boxed = sgld_step(x, grad, 0.7, 0.2, 9, 4, low, high)
    torch.testing.assert_close(boxed, free.clamp(low, high), rtol=0, atol=1e-15)
    assert bool((boxed == low).any())
    assert bool((boxed == high).any())
    torch.testing.assert_close(sgld_step(x, grad, 0.7, 0.2, 9, 4, low=low), free.clamp(min=low))
    torch.testing.assert_close(sgld_step(x, grad, 0.7, 0.0, 9, 4), x - 0.35 * grad)


def test_noise_belongs_to_rows_not_to_batches():
    x = torch.zeros(30, 50)
    whole = sgld_step(x, x, 1.0, 1.0, 3, 8)
    parts = [
        sgld_step(x[a:b], x[a:b], 1.0, 1.0, 3, 8, first=a) for a, b in ((0, 1), (1, 1), (1, 17), (17, 30))
    ]
    assert torch.equal(torch.cat(parts), whole)
    wide = torch.zeros(9, 40_000)  # more than the reference hashes at once
    parts = [sgld_step(wide[a:b], wide[a:b], 1.0, 1.0, 3, 8, first=a) for a, b in ((0, 2), (2, 9))]
    assert torch.equal(torch.cat(parts), sgld_step(wide, wide, 1.0, 1.0, 3, 8))
    assert torch.equal(whole, sgld_step(x, x, 1.0, 1.0, 3, 8))
    assert len(whole.unique()) == whole.numel()
    for other in (
        sgld_step(x, x, 1.0, 1.0, 4, 8),
        sgld_step(x, x, 1.0, 1.0, 3, 9),
        sgld_step(x, x, 1.0, 1.0, 3, 8, first=30),
        sgld_step(x, x, 1.0, 1.0, 3 + 2**32, 8),
        sgld_step(x, x, 1.0, 1.0, 3, 8, first=2**32),
    ):
        assert not bool((other == whole).any())


def test_the_global_generator_is_left_alone():
    torch.manual_seed(0)
    state = torch.get_rng_state()
    sgld_step(torch.zeros(2, 3), torch.zeros(2, 3), 1.0, 1.0, 1, 1)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_lower_precision(dtype):
    g = torch.Generator().manual_seed(0)
    x, grad = (torch.randn(9, 40, generator=g).to(dtype) for _ in range(2))
    found = sgld_step(x, grad, 0.5, 0.1, 2, 0)
    assert found.dtype == dtype
    exact = sgld_step(x.double(), grad.double(), 0.5, 0.1, 2, 0)
    torch.testing.assert_close(found.double(), exact, rtol=torch.finfo(dtype).eps, atol=1e-6)


def test_edges():
    assert sgld_step(torch.zeros(0, 3), torch.zeros(0, 3), 1.0, 1.0, 1, 1).shape == (0, 3)
    assert sgld_step(torch.zeros(2, 0), torch.zeros(2, 0), 1.0, 1.0, 1, 1).shape == (2, 0)
    assert sgld_step(torch.zeros(3), torch.zeros(3), 1.0, 1.0, 1, 1).shape == (3,)
    x = torch.tensor([[math.nan, math.inf, -math.inf, 0.0]])
    box = torch.full((4,), -1.0), torch.full((4,), 1.0)
    found = sgld_step(x, torch.zeros(1, 4), 1.0, 0.0, 1, 1, *box)[0]
    assert found[0].isnan()
    assert found[1:].tolist() == [1, -1, 0]
    assert (
        sgld_step(x[:, 3:], torch.full((1, 1), math.nan), 1.0, 0.0, 1, 1, *(b[:1] for b in box)).isnan().all()
    )


def test_what_does_not_fit_is_refused():
    x = torch.zeros(2, 3)
    with pytest.raises(ValueError, match=r"x \(2, 3\) torch.float32 and grad \(3, 2\)"):
        sgld_step(x, x.T, 1.0, 1.0, 0, 0)
    with pytest.raises(ValueError, match=r"a bound is \(2, 3\) torch.float32, needs \(3,\)"):
        sgld_step(x, x, 1.0, 1.0, 0, 0, x)
    for seed, offset, first in ((-1, 0, 0), (2**63, 0, 0), (0, 2**31, 0), (0, 0, -1)):
        with pytest.raises(ValueError, match=r"seed must be in \[0, 2\^63\)"):
            sgld_step(x, x, 1.0, 1.0, seed, offset, first=first)
