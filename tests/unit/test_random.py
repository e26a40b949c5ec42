"""Draws that belong to samples: their distribution, their independence of each other, and of the batch."""

import numpy as np
import pytest
import torch
from scipy import stats

from benchmark_core import SampleRandom

SEEDS = [0, 1, -1, 2**63 + 5, 123456789]
IDS = {
    "0..n-1": torch.arange(200),
    "far apart": torch.arange(200) * 2**40,
    "negative": -torch.arange(1, 201),
    "hashes": torch.randint(-(2**62), 2**62, (200,), generator=torch.Generator().manual_seed(0)),
}


def columns(seed=0, n=300, draws=20, elements=20):
    """(n, draws, elements) uniform draws, one call a draw."""
    random = SampleRandom(seed, torch.arange(n))
    return torch.stack([random.uniform(elements) for _ in range(draws)], 1).double().numpy()


# --- distributions -------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("ids", IDS)
def test_uniform_passes_kolmogorov_smirnov(ids, seed):
    draws = SampleRandom(seed, IDS[ids]).uniform(500).flatten().numpy()
    assert stats.kstest(draws, "uniform").pvalue > 1e-3


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("ids", IDS)
def test_normal_passes_kolmogorov_smirnov(ids, seed):
    draws = SampleRandom(seed, IDS[ids]).normal(500).flatten().numpy()
    assert stats.kstest(draws, "norm").pvalue > 1e-3


@pytest.mark.parametrize("high", [2, 3, 10, 1000])
def test_integers_are_equally_likely(high):
    draws = SampleRandom(7, torch.arange(300)).integers(high, 400).flatten().numpy()
    assert stats.chisquare(np.bincount(draws, minlength=high)).pvalue > 1e-3


def test_uniform_along_each_axis_alone():
    """One element over samples, one sample over elements, one element over calls: each is uniform."""
    u = columns(n=150, draws=150, elements=150)
    for line in (u[:, 0, 0], u[5, :, 3], u[9, 2, :], np.diagonal(u[:, :, 0])):
        assert stats.kstest(line, "uniform").pvalue > 1e-3


def test_moments():
    """Of N draws, the r-th sample moment has standard error sd(z^r) / sqrt(N); four of them are allowed."""
    random = SampleRandom(3, torch.arange(1000))
    u, z = random.uniform(1000).double(), random.normal(1000).double()
    root = 1000.0
    for power, exact in [(1, 1 / 2), (2, 1 / 3), (3, 1 / 4), (4, 1 / 5)]:
        sd = (1 / (2 * power + 1) - exact**2) ** 0.5
        assert abs(u.pow(power).mean().item() - exact) < 4 * sd / root
    for power, exact, square in [(1, 0, 1), (2, 1, 3), (3, 0, 15), (4, 3, 105)]:
        sd = (square - exact**2) ** 0.5
        assert abs(z.pow(power).mean().item() - exact) < 4 * sd / root


# --- independence --------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", ["samples", "draws", "elements"])
@pytest.mark.parametrize("lag", [1, 2, 7])
def test_neighbours_along_an_axis_are_uncorrelated(axis, lag):
    """N pairs of independent uniforms have a correlation of standard deviation 1 / sqrt(N)."""
    u = np.moveaxis(columns(), ["samples", "draws", "elements"].index(axis), 0)
    a, b = u[:-lag].ravel(), u[lag:].ravel()
    assert abs(np.corrcoef(a, b)[0, 1]) < 4 / len(a) ** 0.5
    assert abs(np.corrcoef((a - 0.5) ** 2, (b - 0.5) ** 2)[0, 1]) < 4 / len(a) ** 0.5
    assert stats.kstest((a + b) % 1, "uniform").pvalue > 1e-3


def test_seeds_are_uncorrelated():
    """Seeds that differ by one, or by the constants of the mixing function, give unrelated streams."""
    base = columns(seed=0).ravel()
    for seed in (1, 2, 2**32, 0x9E3779B97F4A7C15, 0xD1342543DE82EF95, 2**64 - 1):
        other = columns(seed=seed).ravel()
        assert abs(np.corrcoef(base, other)[0, 1]) < 4 / len(base) ** 0.5


def test_all_samples_correlate_with_none_other():
    """The largest of all pairwise correlations is where the largest of so many normals should be."""
    u = SampleRandom(0, torch.arange(200)).uniform(2000).double().numpy()
    correlations = np.corrcoef(u)[np.triu_indices(200, 1)] * 2000**0.5
    assert stats.kstest(correlations, "norm").pvalue > 1e-3
    assert np.abs(correlations).max() < 6


def test_no_two_elements_share_their_bits():
    u = SampleRandom(0, torch.arange(100))
    draws = torch.stack([u.normal(100) for _ in range(10)])
    assert len(draws.unique()) > 0.99 * draws.numel()  # float32 rounds a few onto each other


# --- draws belong to samples ---------------------------------------------------------------------------


def three_draws(random):
    return random.uniform(3, 2), random.normal(4), random.integers(10, 5)


ROWS = {
    "slice": slice(2, 6),
    "indices": torch.tensor([5, 0, 5]),
    "mask": torch.arange(8) % 2 == 0,
    "none": torch.tensor([], dtype=torch.int64),
}


@pytest.mark.parametrize("rows", ROWS)
def test_the_batch_does_not_matter_by_ids(rows):
    ids = torch.tensor([11, 3, 8, 100, -4, 2**50, 7, 0])
    whole = three_draws(SampleRandom(5, ids))
    part = three_draws(SampleRandom(5, ids[ROWS[rows]]))
    for a, b in zip(whole, part, strict=True):
        assert torch.equal(a[ROWS[rows]], b)


@pytest.mark.parametrize("rows", ROWS)
def test_the_batch_does_not_matter_by_take(rows):
    """Also after earlier draws: a part goes on where the whole stands."""
    whole = SampleRandom(5, torch.arange(8))
    whole.uniform(9)
    part = whole.take(ROWS[rows])
    for a, b in zip(three_draws(whole), three_draws(part), strict=True):
        assert torch.equal(a[ROWS[rows]], b)


def test_take_leaves_the_whole_where_it_was():
    random, untouched = SampleRandom(5, torch.arange(8)), SampleRandom(5, torch.arange(8))
    three_draws(random.take(torch.tensor([1, 2])))
    assert torch.equal(random.uniform(3), untouched.uniform(3))
    assert len(random) == 8
    assert len(random.take(torch.tensor([1, 2]))) == 2


def test_the_first_elements_do_not_depend_on_how_many_are_drawn():
    ids = torch.arange(4)
    assert torch.equal(SampleRandom(0, ids).uniform(10)[:, :3], SampleRandom(0, ids).uniform(3))
    assert torch.equal(SampleRandom(0, ids).uniform(6).view(4, 2, 3), SampleRandom(0, ids).uniform(2, 3))


def test_the_same_seed_repeats_and_another_does_not():
    ids = torch.arange(50)
    assert torch.equal(SampleRandom(1, ids).normal(20), SampleRandom(1, ids).normal(20))
    assert not torch.equal(SampleRandom(1, ids).normal(20), SampleRandom(2, ids).normal(20))
    again = SampleRandom(1, ids)
    assert not torch.equal(again.normal(20), again.normal(20))


def test_the_global_generator_is_left_alone():
    before = torch.get_rng_state()
    three_draws(SampleRandom(0, torch.arange(5)))
    assert torch.equal(torch.get_rng_state(), before)


# --- shapes and ranges ---------------------------------------------------------------------------------


def test_shapes_and_types():
    random = SampleRandom(0, torch.arange(6))
    assert (random.uniform(2, 3).shape, random.uniform(2, 3).dtype) == ((6, 2, 3), torch.float32)
    assert (random.normal().shape, random.normal().dtype) == ((6,), torch.float32)
    assert (random.integers(4, 2).shape, random.integers(4, 2).dtype) == ((6, 2), torch.int64)


def test_ranges():
    random = SampleRandom(0, torch.arange(1000))
    u = random.uniform(1000)
    assert 0 <= u.min() < 1e-5
    assert 1 - 1e-5 < u.max() < 1
    low_high = random.uniform(1000, low=-2.0, high=0.5)
    assert -2 <= low_high.min() < -1.999
    assert 0.499 < low_high.max() <= 0.5
    z = random.normal(1000)
    assert z.isfinite().all()
    assert 4 < z.abs().max() < 7  # the largest of 10^6 normals
    assert set(random.integers(3, 1000).unique().tolist()) == {0, 1, 2}
    assert random.integers(1, 10).unique().tolist() == [0]


def test_uniform_takes_values_on_a_grid_of_two_to_the_minus_24():
    u = SampleRandom(0, torch.arange(100)).uniform(100).double() * 2**24
    assert torch.equal(u, u.round())


def test_splitmix64_is_the_mixing_function():
    """The finaliser of Steele, Lea and Flood (2014), in Python's unbounded integers: a draw by hand."""
    mask = 2**64 - 1

    def mix(z):
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & mask
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB & mask
        return z ^ (z >> 31)

    golden = 0x9E3779B97F4A7C15
    for seed, i, draw, element in [(0, 0, 1, 0), (42, 17, 3, 5), (2**64 - 1, 2**40, 1, 2)]:
        state = mix((i * golden + mix(seed)) & mask)
        bits = mix((mix((state + draw * 0xD1342543DE82EF95) & mask) + (element + 1) * golden) & mask)
        random = SampleRandom(seed, torch.tensor([i]))
        for _ in range(draw - 1):
            random.uniform(1)
        assert random.uniform(element + 1)[0, element].item() == (bits >> 40) * 2.0**-24
