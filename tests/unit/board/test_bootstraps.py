"""Closed forms against long bootstraps: bootstraps.json, made by tests/benchmarks/bootstraps.py (no robex in
it). A bootstrap that redraws seeds and samples gives each variance component a known factor.
"""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import t

from benchmark_core.board.pairs import compare_pair
from benchmark_core.board.scores import Scores
from benchmark_core.board.statistics import components, estimate_rows

SCRIPT = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "bootstraps.py"))
STORED = json.loads(SCRIPT["OUT"].read_text())
CASES = SCRIPT["CASES"]


def row(y, valid=None):
    masks = [None] * len(y) if valid is None else [v.astype(bool) for v in valid]
    return Scores(list(y), masks, y.shape[1])


def expected_variance(seed, sample, floor, seeds, n):
    """Of the mean of redrawn rows and columns, from V_seed, V_sample and V_floor."""
    a, b = (seeds - 1) / seeds, (n - 1) / n
    return a * seed + b * (sample + floor) + a * b * floor


def estimated(name):
    kind, found = CASES[name][2], SCRIPT["scores"](name)
    kinds = {"shares": "bernoulli", "conditional": "conditional"}
    quantile = 0.5 if kind == "median" else None
    return estimate_rows([row(found["y"], found.get("valid"))], kinds.get(kind, "score"), quantile=quantile)[
        0
    ]


def test_they_are_of_the_scores_here():
    assert {name: found["scores"] for name, found in STORED.items()} == {
        name: SCRIPT["digest"](SCRIPT["scores"](name)) for name in CASES
    }, "run tests/benchmarks/bootstraps.py again"


@pytest.mark.parametrize("name", [n for n, case in CASES.items() if case[2] != "median"])
def test_variance_components(name):
    seeds, n, kind, _ = CASES[name]
    found, stored = SCRIPT["scores"](name), STORED[name]
    of_ratio = 0.01 if kind == "conditional" else 0.0  # its influence is linear in what is redrawn
    if kind == "pair":
        d = found["y"] - found["other"]
        parts, variance = (components(d) if seeds > 1 else None), d.var(ddof=1) / n
    else:
        estimate = estimated(name)
        m, half = estimate.value, (estimate.high - estimate.low) / 2
        parts, variance = estimate.components, (half / t.ppf(0.975, n - 1)) ** 2
        if kind == "shares":  # Wilson's interval is not m +- half
            variance = m * (1 - m) / (n - 1)
    if parts is None:
        predicted = variance * (n - 1) / n
    else:
        assert parts.sample > 0, "else it hides by how much V_floor exceeds it"
        predicted = expected_variance(parts.seed, parts.sample, parts.floor, seeds, n)
    assert abs(predicted - stored["variance"]) <= 5 * stored["error"] + of_ratio * predicted


@pytest.mark.parametrize("name", ["normal, one seed", "conditional, one seed", "shares, one seed"])
def test_intervals_of_one_run(name):
    estimate, stored = estimated(name), STORED[name]
    half = (estimate.high - estimate.low) / 2
    assert [estimate.low, estimate.high] == pytest.approx([stored["low"], stored["high"]], abs=0.06 * half)


def test_the_interval_of_a_median_ends_at_neighbouring_scores():
    name = "median, one seed"
    y, estimate, stored = np.sort(SCRIPT["scores"](name)["y"][0]), estimated(name), STORED[name]
    for ours, theirs in ((estimate.low, stored["low"]), (estimate.high, stored["high"])):
        assert abs(np.searchsorted(y, ours) - np.searchsorted(y, theirs)) <= 2


def test_p_of_a_pair():
    found = SCRIPT["scores"]("pair, one seed")
    pair = compare_pair(row(found["y"]), row(found["other"]), "score")
    assert pair.p == pytest.approx(STORED["pair, one seed"]["p"], rel=0.03)
    assert pair.difference == pytest.approx(np.mean(found["y"] - found["other"]))
