"""Comparisons of stores and rows: which cells are paired, what is said of each, and why some are
not compared."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmark_core import Scores as Result
from benchmark_core import Selection
from benchmark_core.board.compare import (
    Side,
    compare_suites,
    compare_two_rows,
    row_of,
)
from benchmark_core.board.compare_text import comparison_json, render_comparison
from benchmark_core.board.pairs import compare_pair
from benchmark_core.board.statistics import Scores
from benchmark_core.errors import RobexError
from benchmark_core.store import Store


@pytest.fixture
def other(tmp_path, made):
    """A second hand-made store."""
    return type(made)(Store(tmp_path / "other"), seeds=3)


def compared(made, other, **options):
    a, b = (Side(name, m.store, m.manifest) for name, m in (("old", made), ("new", other)))
    return compare_suites([(a, b)], "old", "new", **options)


def noisy(level, seed, n=200):
    """Scores whose samples are the same in every store, and whose seeds differ a little."""
    rng = np.random.default_rng(7)
    return level + rng.normal(size=n) + np.random.default_rng(seed).normal(size=n) / 50


def fill(made, shift=0.0, defenses=("Standard", "AT"), metric="distance", **at):
    for defense in defenses:
        for seed in range(3):
            by = shift if defense == "AT" else 0.0
            made.add(noisy(5, seed) + by, metric=metric, seed=seed, defense=defense, attack="pgd", **at)


def verdicts(found):
    return {cell.at["defense"]: cell.verdict for cell in found.cells}


@pytest.mark.parametrize(("shift", "verdict"), [(0.5, "worse"), (-0.5, "better")])
def test_only_what_changed_differs(made, other, shift, verdict):
    fill(made)
    fill(other, shift)
    found = compared(made, other)
    assert verdicts(found) == {"Standard": "identical", "AT": verdict}  # a smaller distance is better
    cell = found.of(verdict)[0]
    assert cell.pair.difference == pytest.approx(shift)
    assert cell.pair.p_holm == pytest.approx(min(1.0, 2 * cell.pair.p))  # Holm over both cells
    assert not found.passes
    assert compared(made, made).passes


def test_differences_are_right_minus_left_on_paired_samples(made, other):
    for seed in range(3):
        made.add(noisy(1, seed), metric="sparseness", seed=seed, explainer="saliency", on="clean")
        other.add(noisy(1.2, seed + 9), metric="sparseness", seed=seed, explainer="saliency", on="clean")
    cell = compared(made, other).cells[0]
    a, b = (Scores([noisy(v, s + d) for s in range(3)], [None] * 3, 200) for v, d in ((1, 0), (1.2, 9)))
    assert cell.pair == compare_pair(b, a, "score")
    assert cell.pair.difference == pytest.approx(0.2, abs=0.02)
    # The samples are the same: their spread of 1 does not widen the interval of the difference.
    assert cell.pair.high - cell.pair.low < 0.1 < cell.left.high - cell.left.low
    assert cell.verdict == "differs"  # the metric has no direction


def test_cells_of_one_side_are_counted(made, other):
    fill(made, defenses=("Standard", "AT", "TRADES"))
    fill(other, defenses=("Standard", "New"))
    other.add(None, metric="distance", seed=0, defense="AT", attack="pgd")
    found = compared(made, other)
    assert [cell.at["defense"] for cell in found.cells] == ["Standard"]
    assert [at["defense"] for at in found.only_left] == ["AT", "TRADES"]
    assert [at["defense"] for at in found.only_right] == ["New"]
    assert not found.passes
    assert compared(other, made).only_right == found.only_left


def test_new_cells_pass_and_unmeasured_ones_are_told(made, other):
    fill(made, defenses=("Standard",))
    fill(other, defenses=("Standard", "New"))
    for one in (made, other):
        one.add(None, metric="distance", seed=0, defense="TRADES", attack="pgd")
    found = compared(made, other)
    assert found.passes
    assert found.unmeasured == 1
    assert "1 only right, 1 not measured" in render_comparison(found)


def test_other_samples_are_not_comparable(made, other):
    for seed in range(3):
        made.add(noisy(5, seed), np.arange(200), metric="distance", seed=seed, attack="pgd")
        other.add(noisy(5, seed), np.arange(200) + 1, metric="distance", seed=seed, attack="pgd")
    found = compared(made, other)
    assert found.cells[0].reason == "Not comparable: old and new were measured on different samples."
    assert not found.passes
    assert "1 cell not compared: Not comparable: old and new" in render_comparison(found)


def test_other_data_are_not_comparable(made, other):
    """Equal rows of another version of the data set."""
    index = torch.arange(200)
    for one, digit in ((made, 1.0), (other, 2.0)):
        data, selection = "da".ljust(64, "0"), "5e".ljust(64, "0")
        one.store.write({"key": data, "inputs": {}}, {"x": torch.full((3,), digit)})
        one.store.write({"key": selection, "inputs": {"task": data}}, Selection(index, index % 2))
        for seed in range(3):
            fill_key = one.add(None, metric="distance", seed=seed, attack="pgd")
            one.cells[-1][2] = selection
            one.store.write({"key": fill_key, "inputs": {}}, Result(torch.as_tensor(noisy(5, seed)), None))
    assert "different data versions" in compared(made, other).cells[0].reason
    assert compared(made, made).cells[0].verdict == "identical"


@pytest.mark.parametrize(
    ("seeds", "lost", "reason"),
    [
        (3, 1, "new has 2 of 3 seeds; what both have is identical"),  # made again, to see whether it is so
        (3, 2, "new has 2 of 3 seeds; 1 of the 2 that both have differ"),
        (5, None, "old has 3 seeds and new 5"),
    ],
)
def test_missing_and_other_seeds(made, other, seeds, lost, reason):
    fill(made, defenses=("AT",))
    for seed in range(seeds):
        y = noisy(5, seed if lost != 2 else seed * 10)
        other.add(
            None if seed == lost else y, np.arange(200),
            metric="distance", seed=seed, defense="AT", attack="pgd",
        )  # fmt: skip
    assert compared(made, other).cells[0].reason == reason


def test_few_samples_and_scores_that_are_no_numbers(made, other):
    for seed in range(3):
        made.add(np.arange(5.0), metric="sparseness", seed=seed, explainer="few", on="clean")
        other.add(np.arange(5.0) + seed, metric="sparseness", seed=seed, explainer="few", on="clean")
        bad = noisy(1, seed)
        made.add(bad.copy(), metric="sparseness", seed=seed, explainer="bad", on="clean")
        bad[3] = np.nan
        other.add(bad, metric="sparseness", seed=seed, explainer="bad", on="clean")
    few, bad = compared(made, other).cells
    assert few.reason == "Only 5 samples: not ranked (10 are needed)."
    assert bad.reason == "new: 3 of 600 scores are not a number."
    # Written twice the same, NaN is no difference.
    assert {cell.verdict for cell in compared(other, other).cells} == {"identical"}


@pytest.mark.parametrize(
    ("key", "values", "said"),
    [
        ("direction", ("lower", "higher"), "its direction is lower and higher"),
        ("name", ("cost", "perturbation-norm"), "its method is cost and perturbation-norm"),
    ],
)
def test_another_metric_of_the_same_label(made, other, key, values, said):
    sides = []
    for one, value in zip((made, other), values, strict=True):
        fill(one, defenses=("AT",))
        manifest = json.loads(json.dumps(one.manifest))
        manifest["metrics"]["distance"][key] = value
        sides.append(Side("s", one.store, manifest))
    found = compare_suites([tuple(sides)], "a", "b")
    assert said in found.cells[0].reason


def test_conditional_rows_that_solve_different_samples(made, other):
    """The right side is larger on its own samples and smaller on those that are valid on both."""
    n, own, common = 200, np.arange(200) < 60, np.arange(200) >= 140
    base = np.where(own, 9.0, np.where(common, 1.0, 3.0)) + np.arange(n) / 1e4
    for seed in range(3):
        tiny = np.random.default_rng(seed).normal(size=n) / 1e3
        at = {"metric": "distance", "seed": seed, "attack": "pgd"}
        made.add(base + 0.2 + tiny, valid=~own, **at)
        other.add(base + 2 * tiny, valid=~common, **at)
    found = compared(made, other)
    (cell,) = found.cells
    assert cell.pair.difference > 1
    assert cell.common.difference == pytest.approx(-0.2, abs=0.01)
    assert cell.verdict == "no statement"
    text = render_comparison(found)
    assert "on samples valid on both sides: −0.2" in text
    assert "The two rows solve different samples; no statement." in text


def test_why_they_may_differ(made, other):
    def record(one, versions, revision, eps):
        for seed in range(3):
            key = one.add(None, np.arange(200), metric="distance", seed=seed, attack="pgd")
            selection, attack = one.cells[-1][2], f"{seed}a".ljust(64, "0")
            index = torch.arange(200)
            if not one.store.has(selection):
                one.store.write({"key": selection, "inputs": {}}, Selection(index, index % 2))
            method = {"kind": "attack", "name": "pgd", "revision": revision, "params": {"eps": eps}}
            one.store.write(
                {
                    "key": attack, "stage": "attack", "inputs": {}, "where": {"attack": "pgd"},
                    "identity": {"method": method}, "environment": {"packages": versions, "git": None},
                },
                {"x": torch.zeros(1)},
            )  # fmt: skip
            values = torch.as_tensor(noisy(5 + revision, seed))
            one.store.write({"key": key, "stage": "measure", "inputs": {"result": attack}}, Result(values))

    record(made, {"torch": "2.8.0", "numpy": "2.1"}, 1, 0.1)
    record(other, {"torch": "2.9.1", "numpy": "2.1"}, 2, 0.1)
    found = compared(made, other)
    assert found.reasons == ("torch 2.8.0 → 2.9.1", "pgd revision 1 → 2")
    why = "Why they may differ: torch 2.8.0 → 2.9.1; pgd revision 1 → 2"
    assert why in render_comparison(found)
    tied = replace(found, cells=tuple(replace(cell, verdict="tie") for cell in found.cells))
    assert why in render_comparison(tied)  # not separated, and yet not the same
    same = replace(found, cells=tuple(replace(cell, verdict="identical") for cell in found.cells))
    assert why not in render_comparison(same)


def test_text_lists_differences_and_counts_the_rest(made, other):
    fill(made)
    fill(other, 0.5)
    lines = render_comparison(compared(made, other)).splitlines()
    assert lines[0] == (
        "2 cells on both sides, 0 only left, 0 only right. Paired by sample; Holm over 2 tests."
    )
    assert lines[1] == "3 seeds × 200 samples, scope: new runs."
    assert lines[2].split() == ["cell", "left", "right", "difference"]
    assert lines[3].startswith("worse ▼  AT · distance")
    assert "Standard" not in "".join(lines)
    assert "1 differs, 1 cannot be separated (1 identical)." in lines[-1]
    everything = render_comparison(compared(made, other), everything=True)
    assert "Standard · distance" in everything
    assert "adjusted p" in everything


def test_narrow_and_ascii_text(made, other):
    fill(made)
    fill(other, 0.5)
    found = compared(made, other)
    assert render_comparison(found, unicode=False).isascii()
    for width in (72, 60, 40):
        text = render_comparison(found, width=width)
        assert max(map(len, text.splitlines())) <= width
        words = " ".join(text.split())
        assert "worse ▼ AT · distance" in words
        assert "…" not in words


def test_json_holds_every_cell_in_the_unit_shown(made, other, shares):
    for seed in range(3):
        made.add(shares(0.9, 400, seed), metric="accuracy", seed=seed)
        other.add(shares(0.5, 400, seed), metric="accuracy", seed=seed)
    found = comparison_json(compared(made, other))
    json.dumps(found, allow_nan=False)
    (cell,) = found["cells"]
    assert cell["pair"]["difference"] == pytest.approx(-40)
    assert cell["left"]["value"] == pytest.approx(90)
    assert (found["differ"], cell["verdict"]) == (1, "worse")


def test_several_suites_are_told_apart(made, other):
    fill(made)
    fill(other, 0.5)
    a, b = Side("old", made.store, made.manifest), Side("new", other.store, other.manifest)
    second = Side("new", other.store, {**other.manifest, "suite": "second"})
    first = Side("old", other.store, {**other.manifest, "suite": "second"})
    found = compare_suites([(a, b), (first, second)], "old", "new")
    assert [cell.at["suite"] for cell in found.cells] == ["made", "made", "second", "second"]
    assert found.tests == 4
    assert "made · AT · distance" in render_comparison(found)


def test_a_suite_that_one_side_lacks_is_lost_or_new(made, other):
    fill(made)
    fill(other)
    a, b = Side("old", made.store, made.manifest), Side("new", other.store, other.manifest)
    more = Side("old", made.store, {**made.manifest, "suite": "second"})
    lost = compare_suites([(a, b), (more, None)], "old", "new")
    assert [(at["suite"], at["defense"]) for at in lost.only_left] == [
        ("second", "Standard"),
        ("second", "AT"),
    ]
    assert (len(lost.cells), lost.only_right, lost.passes) == (2, (), False)
    assert "--check exits 1" in render_comparison(lost)
    new = compare_suites([(b, a), (None, more)], "new", "old")
    assert (new.only_right, new.only_left, new.passes) == (lost.only_left, (), True)
    assert "--check" not in render_comparison(new)


def test_where_nothing_is_compared_nothing_passes(made, other):
    made.add(None, np.arange(200), metric="distance", seed=0, attack="pgd")
    other.add(noisy(5, 0), metric="distance", seed=0, attack="pgd")
    for one in (made, other):
        assert not compared(made, one).passes


def test_turned_round_a_comparison_says_the_same(made, other):
    """Also its scope, where the seeds of one side alone are equal and that side alone could be ranked."""
    for seed in range(3):
        for metric, at in (
            ("distance", {"attack": "pgd"}),
            ("sparseness", {"explainer": "x", "on": "clean"}),
        ):
            made.add(noisy(5, 0), metric=metric, seed=seed, **at)
            valid = np.arange(200) >= 20 if metric == "distance" else None
            other.add(noisy(6, seed), valid=valid, metric=metric, seed=seed, **at)
    found, turned = compared(made, other), compared(other, made)
    assert [cell.verdict for cell in found.cells] == ["worse", "differs"]
    assert [cell.verdict for cell in turned.cells] == ["better", "differs"]
    for cell, back in zip(found.cells, turned.cells, strict=True):
        assert (cell.scope, back.scope) == ("new runs", "new runs")
        assert cell.pair.difference == -back.pair.difference
        assert (cell.pair.low, cell.pair.high) == (-back.pair.high, -back.pair.low)
        assert (cell.pair.p, cell.pair.p_holm) == (back.pair.p, back.pair.p_holm)


# --- two rows ------------------------------------------------------------------------------------------


def test_two_defenses_are_compared_column_by_column(made, shares):
    for defense, level in (("Standard", 0.9), ("AT", 0.6)):
        for seed in range(3):
            made.add(shares(level, 400, seed), metric="accuracy", seed=seed, defense=defense)
            made.add(noisy(level, seed) + 3, metric="distance", seed=seed, defense=defense, attack="pgd")
    found = compare_two_rows(Side("s", made.store, made.manifest), "Standard", "AT")
    assert [(c.metric, c.verdict) for c in found.cells] == [("accuracy", "worse"), ("distance", "better")]
    assert found.cells[0].pair.difference == pytest.approx(-0.3)
    lines = render_comparison(found).splitlines()
    assert lines[2].split() == ["AT", "is", "column", "Standard", "AT", "difference", "adjusted", "p"]
    assert lines[3].split()[:3] == ["worse", "▼", "accuracy"]
    text = " ".join(" ".join(lines).split())
    assert "Standard is better than AT on accuracy % (difference 30.0 [" in text
    assert "AT is better than Standard on pgd · distance (difference −0.3" in text
    assert [cell["better"] for cell in comparison_json(found)["cells"]] == ["left", "right"]


def test_a_p_that_few_samples_limit_is_told(made):
    """Three seeds that differ on the same 2 of 100 samples: the guard says p >= 2^(1-2)."""
    for defense, right in (("Standard", 98), ("AT", 100)):
        for seed in range(3):
            y = np.arange(100) < right
            y[50 + seed] = False  # on both sides: the seeds are not equal
            made.add(y, metric="accuracy", seed=seed, defense=defense)
    found = compare_two_rows(Side("s", made.store, made.manifest), "Standard", "AT")
    [cell] = found.cells
    assert cell.pair.p == 0.5
    assert cell.limited == 2
    assert comparison_json(found)["cells"][0]["p_limited_by"] == 2
    text = " ".join(render_comparison(found).split())
    assert "p limited by the 2 samples on which they differ (before adjusting: 0.50)" in text
    assert "p is adjusted over the 1 column compared here; a board adjusts over all pairs" in text


def test_a_p_of_many_samples_is_not_limited(made, shares):
    for defense, level in (("Standard", 0.9), ("AT", 0.6)):
        for seed in range(3):
            made.add(shares(level, 400, seed), metric="accuracy", seed=seed, defense=defense)
    found = compare_two_rows(Side("s", made.store, made.manifest), "Standard", "AT")
    assert found.cells[0].limited is None
    assert "limited" not in render_comparison(found)


def test_rows_of_two_methods_are_told_apart(made):
    """In methods first, then in params that both have; a plugin without a version is no difference."""
    for attack in ("pgd", "mi"):
        for seed in range(3):
            made.add(noisy(5 + (attack == "mi"), seed), metric="distance", seed=seed, attack=attack)
    methods = {
        "pgd": {"name": "pgd", "params": {"eps": 0.1, "steps": 20}},
        "mi": {"name": "mifgsm", "params": {"eps": 0.2, "decay": 1.0}},
    }
    manifest = {**made.manifest, "methods": {"attack": methods}}
    found = compare_two_rows(Side("s", made.store, manifest), "pgd", "mi")
    assert found.reasons == ("attack pgd → mifgsm, two methods", "eps 0.1 → 0.2")


def test_a_plugin_without_a_version_is_no_reason():
    from benchmark_core.board.provenance import reasons

    class Records:
        def __init__(self, record):
            self.record = {"k": record}.get

    class Key:
        key = "k"

    mine = Records({"plugin": {"name": "file:mifgsm", "version": ""}})
    assert reasons(mine, [Key], Records({}), [Key], methods=False) == []


def test_at_most_five_columns_are_put_in_words(made, shares):
    for attack in range(7):
        for defense, level in (("Standard", 0.9), ("AT", 0.5)):
            for seed in range(3):
                at = {"seed": seed, "defense": defense, "attack": f"pgd {attack}"}
                made.add(noisy(level, seed), metric="distance", **at)
    text = render_comparison(compare_two_rows(Side("s", made.store, made.manifest), "Standard", "AT"))
    assert text.count("AT is better than Standard on") == 5
    assert "... and 2 more, as the table says" in text


def test_two_rows_that_cannot_be_separated_are_told_so(made, shares):
    for defense in ("Standard", "AT"):
        for seed in range(3):
            y = shares(0.9, 400, seed + (9 if defense == "AT" else 0))
            made.add(y, metric="accuracy", seed=seed, defense=defense)
    found = compare_two_rows(Side("s", made.store, made.manifest), "Standard", "AT")
    said = "AT and Standard cannot be separated with these data (difference 0.0 ["
    assert said in " ".join(render_comparison(found).split())


def test_the_scope_is_told(made, shares):
    """Seeds that are all equal say nothing about new runs, on a board and here."""
    for defense, level in (("Standard", 0.9), ("AT", 0.6)):
        for seed in range(3):
            made.add(shares(level, 400), metric="accuracy", seed=seed, defense=defense)
    side = Side("s", made.store, made.manifest)
    text = " ".join(render_comparison(compare_two_rows(side, "Standard", "AT")).split())
    assert (
        "3 seeds × 400 samples, scope: these runs. All 3 seeds gave equal scores: they count as one, and "
        "this holds for these runs." in text
    )
    for defense, level in (("Standard", 5), ("AT", 6)):
        for seed in range(3):
            made.add(noisy(level, seed), metric="distance", seed=seed, defense=defense, attack="pgd")
    side = Side("s", made.store, made.manifest)
    found = compare_two_rows(side, "Standard", "AT")
    assert [cell["scope"] for cell in comparison_json(found)["cells"]] == ["these runs", "new runs"]
    text = " ".join(render_comparison(found).split())
    assert "scope: new runs; in 1 column where no seed differs from another: these runs." in text


def test_cells_without_a_valid_sample_are_no_tests(made):
    for defense in ("Standard", "AT"):
        for seed in range(3):
            at = {"seed": seed, "defense": defense}
            made.add(noisy(5, seed), valid=np.zeros(200, bool), metric="distance", attack="pgd", **at)
            made.add(noisy(len(defense), seed), metric="sparseness", explainer="x", on="clean", **at)
    found = compare_two_rows(Side("s", made.store, made.manifest), "Standard", "AT")
    assert found.tests == 1
    (cell,) = found.of("identical")
    assert cell.pair is None
    line = next(line for line in render_comparison(found).splitlines() if "distance" in line)
    assert line.split()[-5:] == ["none", "valid", "none", "valid", "–"]


def test_rows_have_the_worst_case_of_a_board(made):
    """Attacks that break different samples: the worst case is lower than each of them."""
    n, rng = 400, np.random.default_rng(0)
    hold = {d: rng.random((2, 3, n)) < level for d, level in (("Standard", 0.6), ("AT", 0.8))}
    for defense, kept in hold.items():
        for seed in range(3):
            for attack, of_attack in zip(("fgsm", "pgd"), kept[:, seed].astype(float), strict=True):
                at = {"seed": seed, "defense": defense, "attack": attack}
                made.add(of_attack, metric="robust-accuracy", **at)
    found = compare_two_rows(Side("s", made.store, made.manifest), "Standard", "AT")
    assert [cell.at["attack"] for cell in found.cells] == ["fgsm", "pgd", "worst of 2"]
    worst = found.cells[-1]
    by_hand = {d: kept.all(axis=0).mean() for d, kept in hold.items()}
    assert (worst.left.value, worst.right.value) == pytest.approx((by_hand["Standard"], by_hand["AT"]))
    assert worst.pair.difference == pytest.approx(by_hand["AT"] - by_hand["Standard"])
    assert found.tests == 3
    assert worst.verdict == "better"
    # A board has no worst case over attacks on other samples, so a comparison has none either.
    made.add(hold["AT"][0, 0].astype(float), np.arange(n) + 1, metric="robust-accuracy", seed=0, attack="odd",
             defense="AT")  # fmt: skip
    found = compare_two_rows(Side("s", made.store, made.manifest), "Standard", "AT")
    assert [cell.at["attack"] for cell in found.cells] == ["fgsm", "pgd"]


def test_medians_and_failure_values_are_compared_as_declared(made, other):
    """Failed attacks are infinitely far: the median counts them, and other declarations do not compare."""
    for one, shift in ((made, 0.0), (other, 0.5)):
        for seed in range(3):
            values = noisy(5, seed) + shift
            one.add(values, valid=np.arange(200) >= 20, metric="distance", seed=seed, attack="pgd")
    manifests = []
    for one in (made, other):
        manifest = json.loads(json.dumps(one.manifest))
        manifest["metrics"]["distance"] |= {"average": "median", "failure": "inf"}
        manifests.append(manifest)
    a, b = (Side("s", o.store, m) for o, m in zip((made, other), manifests, strict=True))
    (cell,) = compare_suites([(a, b)], "a", "b").cells
    pool = np.concatenate([np.where(np.arange(200) < 20, np.inf, noisy(5, s)) for s in range(3)])
    assert cell.left.value == np.quantile(pool, 0.5, method="inverted_cdf")
    assert cell.verdict == "worse"
    assert cell.pair.difference == pytest.approx(0.5)
    mean = Side("s", other.store, other.manifest)
    (cell,) = compare_suites([(a, mean)], "a", "b").cells
    assert "its average is median and none" in cell.reason


def test_the_side_without_a_finite_median_is_named(made, other):
    """In one seed most attacks failed: that seed has no median to compare."""
    sides = []
    for one, failed in ((made, 20), (other, 150)):
        for seed in range(3):
            valid = np.arange(200) >= (20 if seed else failed)
            one.add(noisy(5, seed), valid=valid, metric="distance", seed=seed, attack="pgd")
        manifest = json.loads(json.dumps(one.manifest))
        manifest["metrics"]["distance"] |= {"average": "median", "failure": "inf"}
        sides.append(Side("s", one.store, manifest))
    for pair in (sides, sides[::-1]):
        names = ["whole" if side is sides[0] else "failing" for side in pair]
        (cell,) = compare_suites([tuple(pair)], *names).cells
        assert cell.reason.startswith("failing has a seed whose value is no finite number")


def test_names_of_rows(made):
    for explainer in ("saliency", "lime"):
        made.add(noisy(1, 0), metric="sparseness", seed=0, defense="AT 0.1", explainer=explainer, on="clean")
    made.add(noisy(1, 0), metric="distance", seed=0, defense="AT 0.1", attack="pgd")
    assert row_of(made.manifest, "AT 0.1") == {"defense": "AT 0.1"}
    assert row_of(made.manifest, "AT 0.1 · lime") == {"defense": "AT 0.1", "explainer": "lime"}
    assert row_of(made.manifest, "mlp · AT 0.1") == {"model": "mlp", "defense": "AT 0.1"}
    assert row_of(made.manifest, "lime · on pgd") == {"explainer": "lime", "on": "pgd"}
    with pytest.raises(RobexError, match=r'called "AT 0\.2"; did you mean "AT 0\.1"'):
        row_of(made.manifest, "AT 0.2")
    side = Side("s", made.store, made.manifest)
    with pytest.raises(RobexError, match="the same row"):
        compare_two_rows(side, "AT 0.1", "AT 0.1")
    with pytest.raises(RobexError, match="by the same coordinates"):
        compare_two_rows(side, "AT 0.1", "lime")
