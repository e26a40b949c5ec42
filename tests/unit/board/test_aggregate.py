"""Rows, columns, blocks and estimates of boards made from a hand-made store."""

import numpy as np
import pytest

from benchmark_core.board import boards_of, make_board
from benchmark_core.board.statistics import Scores, estimate_rows
from benchmark_core.errors import RobexError


def only_board(made):
    return make_board(made.store, made.manifest, boards_of(made.manifest)[0])


def fill(made, shares, defenses=("Standard", "AT"), attacks=("fgsm", "pgd")):
    for d, defense in enumerate(defenses):
        for seed in range(made.seeds):
            made.add(shares(0.9 - d / 20, seed=seed), metric="accuracy", seed=seed, defense=defense)
            for a, attack in enumerate(attacks):
                share = 0.2 + 0.4 * d - 0.1 * a
                made.add(
                    shares(share, seed=seed + 9),
                    metric="robust-accuracy",
                    seed=seed,
                    defense=defense,
                    attack=attack,
                )


def test_columns_are_metrics_under_each_attack(made, shares):
    fill(made, shares)
    made.board("b", ("dataset", "defense"))
    block = only_board(made).blocks[0]
    assert [(c.metric, c.shown) for c in block.columns] == [
        ("robust-accuracy", {"attack": "worst of 2"}),  # the one that orders the rows
        ("robust-accuracy", {"attack": "fgsm"}),
        ("robust-accuracy", {"attack": "pgd"}),
        ("accuracy", {}),
    ]
    assert block.labels == ("defense",)
    assert block.at == {"dataset": "digits", "model": "mlp"}


def test_estimates_are_those_of_the_scores(made, shares):
    fill(made, shares)
    made.board("b", ("dataset", "defense"))
    block = only_board(made).blocks[0]
    row = next(r for r in block.rows if r.at["defense"] == "AT")
    y = [shares(0.5, seed=seed + 9) for seed in range(3)]
    expected = estimate_rows([Scores(y, [None] * 3, 100)], "bernoulli", (0, 1))[0]
    assert row.cells[2].estimate == expected
    assert expected.value == pytest.approx(0.5)
    assert (row.done, row.of) == (9, 9)


def test_rows_are_ordered_by_the_wanted_metric(made, shares):
    fill(made, shares)
    made.board("by-accuracy", ("dataset", "defense"), (), "accuracy")
    made.board("by-robustness", ("dataset", "defense"), (), "robust-accuracy")
    names = [
        [row.name for row in make_board(made.store, made.manifest, b).blocks[0].rows]
        for b in boards_of(made.manifest)
    ]
    assert names == [["Standard", "AT"], ["AT", "Standard"]]


def test_an_attack_called_worst_is_no_worst_case(made, shares):
    fill(made, shares, attacks=("worst-guess", "pgd"))
    made.board("b", ("dataset", "defense"))
    block = only_board(made).blocks[0]
    assert [c.derived for c in block.columns] == [True, False, False, False]
    assert block.columns[block.ordered_by].at["attack"] == "worst of 2"


def test_without_a_wish_what_an_attack_made_orders_and_the_board_says_why(made, shares):
    fill(made, shares)
    made.board("all", ("dataset", "defense"))
    made.board("plain", ("dataset", "defense"), ("accuracy",))
    made.board("first", ("dataset", "defense"), ("robust-accuracy", "accuracy"))
    made.board("wished", ("dataset", "defense"), (), "accuracy")
    tables = [make_board(made.store, made.manifest, b) for b in boards_of(made.manifest)]
    by = [(b.columns[b.ordered_by].metric, b.rows[0].name) for (b,) in (t.blocks for t in tables)]
    assert by == [("robust-accuracy", "AT"), ("accuracy", "Standard"), ("robust-accuracy", "AT"),
                  ("accuracy", "Standard")]  # fmt: skip
    told = ["Rows are ordered by robust-accuracy" in " ".join(t.notes) for t in tables]
    assert told == [True, False, False, False], "only where it is not the first column"


def test_lower_is_better_and_descriptions_keep_the_order_of_the_suite(made):
    for defense, size in (("far", 3.0), ("near", 1.0)):
        for seed in range(3):
            y = np.full(20, size) + np.arange(20) / 100
            made.add(y, metric="distance", seed=seed, defense=defense, attack="pgd")
            made.add(
                y / 10, metric="sparseness", seed=seed, defense=defense, explainer="saliency", on="clean"
            )
    robustness, explanations = (make_board(made.store, made.manifest, b) for b in boards_of(made.manifest))
    assert [r.at["defense"] for r in robustness.blocks[0].rows] == ["near", "far"]
    assert explanations.blocks[0].ordered_by is None
    assert [r.at["defense"] for r in explanations.blocks[0].rows] == ["far", "near"]


def test_a_block_for_each_dataset(made, shares):
    for dataset in ("wine", "digits"):
        for seed in range(3):
            made.add(shares(0.9, seed=seed), metric="accuracy", seed=seed, dataset=dataset)
    made.board("b", ("dataset", "defense"))
    assert [b.at["dataset"] for b in only_board(made).blocks] == ["wine", "digits"]


def test_incomplete_rows_come_last(made, shares):
    fill(made, shares, defenses=("Standard", "AT", "TRADES"))
    made.cells[0][1] = "f" * 64  # Standard lacks its first seed
    made.board("b", ("dataset", "defense"), (), "accuracy")
    rows = only_board(made).blocks[0].rows
    assert [r.name for r in rows] == ["AT", "TRADES", "Standard"]
    assert rows[-1].cells[0].estimate.state == "incomplete"
    assert (rows[-1].cells[0].done, rows[-1].cells[0].of) == (2, 3)


def test_a_metric_that_a_row_does_not_have(made, shares):
    fill(made, shares)
    made.cells = [c for c in made.cells if (c[0]["defense"], c[0].get("attack")) != ("AT", "pgd")]
    made.board("b", ("dataset", "defense"))
    row = next(r for r in only_board(made).blocks[0].rows if r.name == "AT")
    assert (row.cells[2].estimate, row.cells[2].of) == (None, 0)


def test_damaged_scores_count_as_missing_and_are_told(made, shares):
    fill(made, shares)
    made.board("b", ("dataset", "defense"))
    (made.store.folder(made.cells[0][1]) / "result.safetensors").write_bytes(b"no")
    found = only_board(made)
    assert "checksum" in found.warnings[0]
    assert found.blocks[0].rows[-1].cells[-1].estimate.state == "incomplete"


def test_rows_on_different_samples_are_not_comparable(made, shares):
    for d, defense in enumerate(("Standard", "AT")):
        for seed in range(3):
            made.add(
                shares(0.9, seed=seed), np.arange(100) + d, metric="accuracy", seed=seed, defense=defense
            )
    made.board("b", ("dataset", "defense"))
    assert not only_board(made).blocks[0].columns[0].comparable


def test_seeds_on_different_samples_use_the_rule_of_sets(made, shares):
    for seed in range(3):
        made.add(shares(0.8 + seed / 20, seed=seed), np.arange(100) + seed, metric="accuracy", seed=seed)
    made.board("b", ("dataset", "defense"))
    estimate = only_board(made).blocks[0].rows[0].cells[0].estimate
    means = np.array([0.8, 0.85, 0.9])
    half = 4.302653 * means.std(ddof=1) / np.sqrt(3)
    assert (estimate.low, estimate.high) == pytest.approx((0.85 - half, min(1, 0.85 + half)), abs=1e-6)


def test_rows_with_the_same_samples_in_each_seed_are_ranked(made, shares):
    """Seeds may see different samples: `select: correct` takes those that a seed's network has right."""
    for d, defense in enumerate(("a", "b", "c")):
        for seed in range(3):
            y = shares(0.9 - 0.3 * d + seed / 100, seed=seed)
            made.add(y, np.arange(100) + seed, metric="accuracy", seed=seed, defense=defense)
    made.board("b", ("dataset", "defense"))
    (column,) = only_board(made).blocks[0].columns
    assert column.comparable
    assert [(s.low, s.high) for s in column.ranking.standings] == [(1, 1), (2, 2), (3, 3)]


@pytest.mark.parametrize("lacking", ["samples", "a seed"])
def test_a_row_that_is_not_ranked_does_not_keep_others_from_being_compared(made, shares, lacking):
    for defense, share in (("a", 0.9), ("b", 0.4), ("c", 0.6)):
        n = 100 if defense != "c" else 8 if lacking == "samples" else 90
        for seed in range(3):
            y = None if (defense, lacking, seed) == ("c", "a seed", 2) else shares(share, n, seed=seed)
            made.add(y, np.arange(n), metric="accuracy", seed=seed, defense=defense)
    made.board("b", ("dataset", "defense"))
    block = only_board(made).blocks[0]
    assert [r.cells[0].estimate.state == "ok" for r in block.rows] == [True, True, False]
    assert block.columns[0].ranking.of == 2


def test_repeated_targets_are_no_more_samples(made):
    for seed in range(3):
        made.add(
            [0.1 * seed, 0.5, 0.7],
            np.repeat(np.arange(3), 9),
            metric="sparseness",
            seed=seed,
            explainer="s",
            on="clean",
        )
    assert only_board(made).blocks[0].rows[0].cells[0].estimate.n == 3


def test_on_an_attack_is_a_column_of_its_own(made):
    for seed in range(3):
        for on in ("clean", "pgd"):
            made.labels["attack"] = ["pgd"]
            made.add(np.arange(20) / 20, metric="sparseness", seed=seed, explainer="saliency", on=on)
    block = only_board(made).blocks[0]
    assert [c.shown for c in block.columns] == [{"on": "clean"}, {"on": "pgd"}]


def test_default_boards_follow_the_metrics(made, shares):
    fill(made, shares)
    assert [b["name"] for b in boards_of(made.manifest)] == ["robustness"]


def test_an_unknown_board(made, shares):
    fill(made, shares)
    with pytest.raises(RobexError, match='no board called "robustnes"; did you mean "robustness"'):
        boards_of(made.manifest, "robustnes")


def test_patterns_choose_metrics(made, shares):
    fill(made, shares)
    made.board("b", ("dataset", "defense"), ("robust-*",))
    assert {c.metric for c in only_board(made).blocks[0].columns} == {"robust-accuracy"}
