"""Time of all comparisons of a column of 200 rows, 10,000 samples and 5 seeds, on one thread.

    pytest tests/benchmarks/test_pairs_speed.py --benchmark-only

Before a kind is timed, some pairs are compared with their difference formed in full. Nothing here asserts a
time.
"""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from benchmark_core.board.pairs import compare_rows
from benchmark_core.board.statistics import Scores, components

ROWS, SEEDS, N = 200, 5, 10_000


@pytest.fixture(autouse=True)
def _one_thread():
    with threadpool_limits(1):
        yield


def column(kind):
    """Rows as the store holds them: float32, a mask where the metric is conditional."""
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(1, N)).astype(np.float32)
    rows = []
    for _ in range(ROWS):
        y = shared + np.float32(0.02) * rng.normal() + rng.normal(size=(SEEDS, N)).astype(np.float32)
        valid = list(rng.random((SEEDS, N)) < 0.97) if kind == "conditional" else [None] * SEEDS
        rows.append(Scores(list((y > 0).astype(np.float32) if kind == "bernoulli" else y), valid, N))
    return rows


@pytest.mark.parametrize("kind", ["score", "bernoulli", "conditional"])
def test_all_pairs_of_a_column(benchmark, kind):
    rows = column(kind)
    found = compare_rows(rows, kind)
    if kind != "conditional":
        for j, k in [(0, 1), (3, 150), (198, 199)]:
            d = np.stack(rows[j].values).astype(float) - np.stack(rows[k].values)
            assert found.between(j, k).difference == pytest.approx(components(d).mean)
    benchmark.group = f"{ROWS} rows, {N} samples, {SEEDS} seeds"
    benchmark.pedantic(compare_rows, (rows, kind), rounds=5, warmup_rounds=1)
