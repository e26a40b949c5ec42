"""Estimates and tests against statsmodels: analysis of variance, Wilson's interval, t, McNemar, Holm."""

import numpy as np
import pandas as pd
import pytest

from benchmark_core.board.p_values import holm
from benchmark_core.board.pairs import compare_pair
from benchmark_core.board.scores import Scores
from benchmark_core.board.statistics import components, estimate_rows

pytest.importorskip("statsmodels", reason="needs statsmodels (pip install 'robex[test]')")


def row(y):
    return Scores(list(y), [None] * len(y), y.shape[1])


@pytest.mark.parametrize("shape", [(2, 9), (4, 12)])
def test_components_are_those_of_a_two_way_analysis_of_variance(shape):
    from statsmodels.formula.api import ols
    from statsmodels.stats.anova import anova_lm

    seeds, n = shape
    rng = np.random.default_rng(seeds)
    y = rng.normal(size=(seeds, 1)) + 2 * rng.normal(size=n) + rng.normal(size=shape)
    s, i = np.indices(shape)
    frame = pd.DataFrame({"y": y.ravel(), "s": s.ravel(), "i": i.ravel()})
    squares = anova_lm(ols("y ~ C(s) + C(i)", frame).fit())["mean_sq"] / y.size
    found = components(y)
    assert found.seed == pytest.approx(squares["C(s)"])
    assert found.sample == pytest.approx(squares["C(i)"] - squares["Residual"])
    assert found.floor == pytest.approx(squares["Residual"])


@pytest.mark.parametrize(("ones", "n"), [(1, 40), (37, 50), (500, 1000), (999, 1000)])
def test_wilsons_interval(ones, n):
    from statsmodels.stats.proportion import proportion_confint

    y = (np.arange(n) < ones).astype(float)
    found = estimate_rows([row(y[None])], "bernoulli", (0, 1))[0]
    assert (found.low, found.high) == pytest.approx(proportion_confint(ones, n, method="wilson"))


def test_the_t_interval_and_the_paired_t_test():
    from statsmodels.stats.weightstats import DescrStatsW

    rng = np.random.default_rng(5)
    y, z = rng.normal(size=(1, 60)), rng.normal(0.2, size=(1, 60))
    found = estimate_rows([row(y)], "score")[0]
    assert (found.low, found.high) == pytest.approx(DescrStatsW(y[0]).tconfint_mean())
    pair, theirs = compare_pair(row(y), row(z), "score"), DescrStatsW((y - z)[0])
    assert (pair.low, pair.high) == pytest.approx(theirs.tconfint_mean())
    assert pair.p == pytest.approx(theirs.ttest_mean()[1])


@pytest.mark.parametrize(("b", "c"), [(12, 3), (5, 5), (0, 8), (40, 61)])
def test_exact_mcnemar(b, c):
    from statsmodels.stats.contingency_tables import mcnemar

    y, z = np.ones((1, 150)), np.ones((1, 150))
    z[0, :b] = y[0, b : b + c] = 0
    found = compare_pair(row(y), row(z), "bernoulli")
    assert found.p == pytest.approx(mcnemar([[150 - b - c, b], [c, 0]], exact=True).pvalue)


@pytest.mark.parametrize("count", [1, 2, 45, 1225])
def test_holm(count):
    from statsmodels.stats.multitest import multipletests

    p = np.random.default_rng(count).beta(0.3, 2.0, size=count)
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])
