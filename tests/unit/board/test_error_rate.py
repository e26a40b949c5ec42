"""How often a column with no true difference separates any two rows, and how often it finds a true one:
simulated with seed effects, shared sample effects and noise. `tests/benchmarks/simulate_boards.py` does the
same at length.
"""

import math

import numpy as np
import pytest

from benchmark_core.board.pairs import compare_rows
from benchmark_core.board.statistics import Scores

K, S, N = 5, 5, 60
RUNS = 500


def wrong(noisy, seed_spread, difference=0.0, seed=0):
    """The share of columns in which some pair is separated, and in which the first row is separated from the
    last as larger.

    noisy: how many times the first row's seeds vary as much as those of the others.
    """
    rng = np.random.default_rng(seed)
    spread = np.full(K, seed_spread)
    spread[0] *= noisy
    found = np.zeros(2)
    for _ in range(RUNS):
        of_samples = rng.normal(size=N)
        of_seeds = spread[:, None] * rng.normal(size=(K, S))
        y = of_samples + of_seeds[:, :, None] + rng.normal(size=(K, S, N))
        y[0] += difference
        pairs = compare_rows([Scores(list(row), [None] * S, N) for row in y], "score")
        last = pairs.between(0, K - 1)
        found += (pairs.p_holm < 0.05).any(), last.separated and last.difference > 0
    return found / RUNS


#: Three standard errors above the nominal rate.
MOST = 0.05 + 3 * math.sqrt(0.05 * 0.95 / RUNS)


@pytest.mark.parametrize(("noisy", "r"), [(1, 0.0), (1, 3.0), (6, 0.3)])
def test_wrong_separations_are_rare_in_a_column(noisy, r):
    """r: variance of a mean that comes from seeds, by that from samples. A row six times as noisy over its
    seeds has its share in the pooled variance, and must not make the others look separated."""
    rate, _ = wrong(noisy, math.sqrt(r * S / N))
    assert rate <= MOST


def test_true_differences_are_found():
    """The rates above are not those of a rule that never separates anything."""
    difference = 6 * math.sqrt(2 / (S * N) + 2 * 0.3 / N)  # six standard errors
    _, found = wrong(1, math.sqrt(0.3 * S / N), difference)
    assert found > 0.7
