"""How often intervals cover and how often ranks are wrong, on simulated columns whose truth is known.

    python tests/benchmarks/simulate_boards.py --runs 2000 --seed 0

Scores are Y[k, s, i] = seed effect + sample effect + noise, all normal. r is the variance of a row's mean
that comes from seeds, divided by the variance that comes from samples. Writes Markdown tables to stdout.
"""

import argparse
import math
from collections.abc import Callable, Iterator

import numpy as np
from scipy import stats

from benchmark_core.board.pairs import compare_rows, holm
from benchmark_core.board.statistics import Scores, estimate_rows

N = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--runs", type=int, default=2000, help="simulated columns for each line (default 2000)"
    )
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.runs < 1:
        parser.error("--runs must be at least 1")
    parts = (coverage, shares, wrong, found, skewed)
    for part, seed in zip(parts, np.random.SeedSequence(options.seed).spawn(len(parts)), strict=True):
        print("\n".join(part(np.random.default_rng(seed), options.runs)), end="\n\n", flush=True)


def columns(rng, rows, seeds, r, *, noisy=1.0, shift=0.0) -> Iterator[np.ndarray]:
    """Columns (rows, seeds, N). All samples have an effect shared by the rows, and one of their own.

    noisy: factor on the seed effects of the first row. shift: added to the first half of the rows.
    """
    own = math.sqrt(r * seeds / N)  # variance of a mean: own^2 / seeds from seeds, 1 / N from samples
    factor = np.ones((rows, 1, 1))
    factor[0] = noisy
    add = np.zeros((rows, 1, 1))
    add[: rows // 2] = shift
    while True:
        yield (
            add
            + factor * own * rng.normal(size=(rows, seeds, 1))
            + rng.normal(size=(rows, 1, N))
            + rng.normal(size=(1, 1, N))
            + 0.5 * rng.normal(size=(rows, seeds, N))
        )


def scores(y: np.ndarray) -> Scores:
    return Scores(list(y), [None] * len(y), y.shape[1])


def table(head: list[str], lines: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *lines)]


# --- intervals ---------------------------------------------------------------------------------------


def coverage(rng, runs) -> list[str]:
    """Share of nominal 95 % intervals that hold the true mean 0, over new seeds and samples."""
    lines = []
    for seeds, r in [(3, 0), (3, 1), (3, 5), (5, 0), (5, 1), (10, 1)]:
        own = math.sqrt(r * seeds / N)
        hits, width = np.zeros(3), 0.0
        for _ in range(runs):
            y = (
                own * rng.normal(size=(seeds, 1))
                + rng.normal(size=(1, N))
                + 0.5 * rng.normal(size=(seeds, N))
            )
            found = estimate_rows([scores(y)], "score")[0]
            width += (found.high - found.low) / 2 / runs
            m = y.mean()
            of_seeds = stats.t.ppf(0.975, seeds - 1) * y.mean(1).std(ddof=1) / math.sqrt(seeds)
            pooled = stats.t.ppf(0.975, y.size - 1) * y.std(ddof=1) / math.sqrt(y.size)
            hits += [found.low <= 0 <= found.high, abs(m) <= of_seeds, abs(m) <= pooled]
        lines.append([f"{seeds}", f"{r}", f"{hits[0] / runs:.3f} ({width:.3f})", *rates(hits[1:], runs)])
    head = ["S", "r", "two-source (mean half-width)", "t on seed means", "all n × S independent"]
    return [f"Coverage, n = {N}:", "", *table(head, lines)]


def shares(rng, runs) -> list[str]:
    """The same for 0/1 scores: a sample is solved when its difficulty, moved by the seed, is below a
    limit."""
    lines = []
    for seeds, n, p in [(3, 100, 0.05), (3, 100, 0.5), (5, 1000, 0.02), (5, 1000, 0.3)]:
        limit = stats.norm.ppf(p)
        hits, spread = np.zeros(3), 0.1
        for _ in range(runs):
            # Unit variance in all, so that the true share is p.
            parts = spread * rng.normal(size=(seeds, 1)) + 0.8 * rng.normal(size=(1, n))
            rest = math.sqrt(1 - spread**2 - 0.8**2) * rng.normal(size=(seeds, n))
            y = (parts + rest < limit).astype(np.float64)
            wilson = estimate_rows([scores(y)], "bernoulli", (0.0, 1.0))[0]
            plain = estimate_rows([scores(y)], "score", (0.0, 1.0))[0]
            independent = stats.binomtest(int(y.sum()), y.size).proportion_ci(method="wilson")
            hits += [
                wilson.low <= p <= wilson.high,
                plain.low <= p <= plain.high,
                independent.low <= p <= independent.high,
            ]
        lines.append([f"{seeds}", f"{n}", f"{p}", *rates(hits, runs)])
    head = ["S", "n", "true share", "Wilson, two-source width", "m ± h", "Wilson, n × S independent"]
    return [
        "Coverage of shares (seeds move a sample's difficulty by a tenth of its spread):",
        "",
        *table(head, lines),
    ]


def rates(hits: np.ndarray, runs: int) -> list[str]:
    return [f"{hit / runs:.3f}" for hit in hits]


# --- ranks -------------------------------------------------------------------------------------------


def ours(y: np.ndarray) -> np.ndarray:
    return compare_rows([scores(row) for row in y], "score").p_holm < 0.05


def of_samples(y: np.ndarray) -> np.ndarray:
    """Paired t tests over samples, seeds averaged."""
    j, k = np.triu_indices(len(y), 1)
    b = y.mean(1)
    return stats.ttest_rel(b[j], b[k], axis=1).pvalue


def samples_only(y: np.ndarray) -> np.ndarray:
    return holm(of_samples(y)) < 0.05


def uncorrected(y: np.ndarray) -> np.ndarray:
    return compare_rows([scores(row) for row in y], "score").p < 0.05


def apart(y: np.ndarray) -> np.ndarray:
    """The intervals of the two rows do not overlap."""
    found = estimate_rows([scores(row) for row in y], "score")
    low, high = (np.array([getattr(e, side) for e in found]) for side in ("low", "high"))
    j, k = np.triu_indices(len(y), 1)
    return (low[j] > high[k]) | (low[k] > high[j])


PROCEDURES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "this": ours,
    "samples only, Holm": samples_only,
    "no correction": uncorrected,
    "intervals apart": apart,
}


def wrong(rng, runs) -> list[str]:
    """Share of columns with any separation, all rows truly equal."""
    lines = []
    settings = [
        (5, 1, 0.0, 1.0), (5, 3, 0.3, 1.0), (5, 5, 0.0, 1.0), (5, 5, 3.0, 1.0), (5, 5, 0.3, 6.0),
        (20, 1, 0.0, 1.0), (20, 3, 0.3, 1.0), (20, 5, 0.3, 1.0), (20, 5, 3.0, 1.0), (20, 5, 0.3, 6.0),
        (3, 5, 0.3, 6.0), (3, 3, 3.0, 6.0),
    ]  # fmt: skip
    for rows, seeds, r, noisy in settings:
        many = max(1, runs // max(1, rows // 5))
        hits = np.zeros(len(PROCEDURES))
        for _, y in zip(range(many), columns(rng, rows, seeds, r, noisy=noisy), strict=False):
            hits += [test(y).any() for test in PROCEDURES.values()]
        what = f"{r:g}, one row {noisy:g} times as noisy" if noisy != 1 else f"{r:g}"
        lines.append([f"{rows}", f"{seeds}", what, f"{many}", *rates(hits, many)])
    head = ["K", "S", "r", "columns", *PROCEDURES]
    return [
        f"Any wrong separation in a column, all rows equal, n = {N} (nominal 0.05):",
        "",
        *table(head, lines),
    ]


def found(rng, runs) -> list[str]:
    """Share of true differences of six standard errors that are found; half of the rows are better."""
    lines = []
    rows = 20
    j, k = np.triu_indices(rows, 1)
    differ = (j < rows // 2) != (k < rows // 2)
    for seeds, r in [(1, 0.0), (3, 0.0), (3, 0.3), (5, 0.0), (5, 0.3), (10, 0.3)]:
        # One seed answers for these runs only: its seed effects are part of the truth.
        error = math.sqrt(2 * ((0.0 if seeds == 1 else r / N) + 1 / N + 0.25 / (seeds * N)))
        many = max(1, runs // 10)
        hit = 0.0
        for _, y in zip(range(many), columns(rng, rows, seeds, r, shift=6 * error), strict=False):
            hit += ours(y)[differ].mean() / many
        lines.append([f"{seeds}", f"{r:g}", f"{many}", f"{hit:.2f}"])
    return [
        f"Share of true differences of 6 standard errors that are found, K = {rows}, n = {N}:",
        "",
        *table(["S", "r", "columns", "found"], lines),
    ]


def skewed(rng, runs) -> list[str]:
    """Coverage for log-normal scores (sigma 1), as they are and on a log scale; one seed."""
    lines = []
    for n in (30, 100, 1000):
        hits = np.zeros(2)
        for _ in range(runs):
            logs = rng.normal(size=(1, n))
            plain = estimate_rows([scores(np.exp(logs))], "score")[0]
            scaled = estimate_rows([scores(logs)], "score")[0]
            hits += [plain.low <= math.exp(0.5) <= plain.high, scaled.low <= 0 <= scaled.high]
        lines.append([f"{n}", *rates(hits, runs)])
    return ["Coverage for very skewed scores, S = 1:", "", *table(["n", "as they are", "log scale"], lines)]


if __name__ == "__main__":
    main()
