"""Columns over several datasets, and correlations over defenses: counted and computed here a second way."""

import json
from typing import Any

import numpy as np
import pytest
from scipy import stats

from benchmark_core.board import boards_of, make_board, make_boards, render
from benchmark_core.board.across import completed
from benchmark_core.board.model import Table
from benchmark_core.board.site.across import rank_picture

N = 40


@pytest.fixture
def across(made):
    """across(levels): a board of datasets x defenses; levels[dataset][defense] is the mean score (None: the
    last seed is missing)."""

    def make(levels, models=("mlp",), metrics=("sparseness",), controls=()):
        rng = np.random.default_rng(0)
        for d, of_dataset in enumerate(levels):
            sample = rng.normal(0, 0.1, N)
            for defense, level in of_dataset.items():
                for seed in range(3):
                    gone = level is None and seed == 2
                    y = None if gone else (level or 0.0) + sample + rng.normal(0, 0.01, N)
                    at = {"dataset": f"data {d}", "defense": defense, "model": models[d % len(models)]}
                    for metric in metrics:
                        made.add(y, np.arange(N), metric=metric, seed=seed, **at, explainer="e", on="clean")
        made.board("b", ("dataset", "model", "defense"), (), "accuracy")
        manifest = {**made.manifest, "controls": list(controls)}
        manifest["metrics"]["sparseness"]["direction"] = "higher"
        return make_board(made.store, manifest, boards_of(manifest)[0])

    return make


LEVELS = [{"A": 3.0, "B": 2.0, "C": 2.0}, {"A": 3.0, "B": 2.0, "C": 1.0}, {"A": 1.0, "B": 2.0, "C": None}]


def test_wins_ties_losses_and_means_by_counting(across):
    table = across(LEVELS)
    (found,) = table.across
    pairs = {b.at["dataset"]: (b, b.columns[0].ranking) for b in table.blocks}
    for row in found.rows:
        counted, values = [0, 0, 0], []
        for block, ranking in pairs.values():
            names = [r.at["defense"] for r in block.rows]
            for p in ranking.pairs:
                pair = [names[p.first], names[p.second]]
                if row.name in pair:
                    better = None if p.better is None else names[p.better]
                    counted[1 if better is None else 0 if better == row.name else 2] += 1
            values.append(block.rows[names.index(row.name)].cells[0].estimate)
        assert [row.record.wins, row.record.ties, row.record.losses] == counted
        if row.name == "C":
            assert (row.mean, row.ranked) == (None, 2)
        else:
            assert row.mean == pytest.approx(np.mean([e.value for e in values]))
            assert row.ranked == 3
    assert [row.name for row in found.rows] == ["A", "B", "C"]
    assert [at["dataset"] for at in found.blocks] == ["data 0", "data 1", "data 2"]
    assert (found.compared, found.needed, found.critical) == ((0, 1), 6, None)


def test_a_model_for_each_dataset_is_part_of_the_block(across):
    (found,) = across(LEVELS, models=("mlp", "cnn", "vit")).across
    assert [row.name for row in found.rows] == ["A", "B", "C"]
    assert found.blocks[1] == {"dataset": "data 1", "model": "cnn"}


def test_one_block_or_row_has_nothing_across(across, made):
    assert across(LEVELS[:1]).across == ()
    made.cells.clear()
    assert across([{"A": 1.0}, {"A": 2.0}]).across == ()


def test_mean_ranks_need_enough_blocks(across):
    names = "ABCD"
    rng = np.random.default_rng(1)
    levels = [dict(zip(names, (4.0, 3.0, *rng.permutation([1.0, 2.0])), strict=True)) for _ in range(8)]
    table = across(levels)
    (found,) = table.across
    assert found.needed == 8
    assert found.critical is not None
    ranks = [stats.rankdata([-row.cells[0].estimate.value for row in b.rows]) for b in table.blocks]
    by_name = {
        name: np.mean([
            r[[row.at["defense"] for row in b.rows].index(name)]
            for r, b in zip(ranks, table.blocks, strict=True)
        ])
        for name in names
    }  # fmt: skip
    assert {
        found.rows[i].name: m for i, m in zip(found.compared, found.critical.mean_ranks, strict=True)
    } == (pytest.approx(by_name))
    picture = rank_picture(found)
    assert picture is not None
    assert picture.axis == "mean rank among these 4 rows"
    assert [m.name for m in picture.marks] == sorted(names, key=lambda n: (by_name[n], n))
    xs = [m.x for m in picture.marks]
    assert xs == sorted(xs)
    assert len(picture.bars) == sum(len(g) > 1 for g in found.critical.groups)
    text = render([table], "text")
    assert "Mean ranks are among these 4 rows: who leads depends on who else is on the board." in text
    assert "mean rank" in text


def test_every_form_says_it(across):
    table = across(LEVELS)
    text = render([table], "text")
    lines = text[text.index("across 3 datasets") :].splitlines()
    assert lines[0] == "across 3 datasets · data 0, data 1 and data 2 · sparseness ↑"
    assert lines[1].split() == ["defense", "wins-ties-losses", "mean", "ranked", "in"]
    assert lines[2].split()[:2] == ["A", "4-0-1"]
    assert lines[2].endswith("3 of 3")
    assert lines[4].split()[:3] == ["C", "0-1-3", "–"]
    said = "A test over datasets of 2 rows takes 6 datasets"
    assert said in " ".join(lines)
    assert "4-0-1" in render([table], "md")
    tex = render([table], "tex")
    assert r"\label{tab:made-b-across}" in tex
    assert "4-0-1" in tex
    (found,) = json.loads(render([table], "json"))[0]["across"]
    assert [(r["at"]["defense"], r["wins"], r["ties"], r["losses"]) for r in found["rows"]] == [
        ("A", 4, 0, 1), ("B", 2, 1, 2), ("C", 0, 1, 3),
    ]  # fmt: skip
    assert found["blocks_needed"] == 6
    assert "across" not in render([table], "csv")


def test_only_the_column_that_orders_unless_wide(across, made):
    table = across(LEVELS, metrics=("sparseness", "accuracy"))
    assert [a.column.metric for a in table.across] == ["accuracy", "sparseness"]
    assert render([table], "text").count("across 3 datasets") == 1
    assert render([table], "text", wide=True).count("across 3 datasets") == 2


def test_a_radius_is_told_where_the_header_does_not():
    from benchmark_core.board.across import completed
    from benchmark_core.board.model import Block, Column, Table

    methods = {
        "pgd": {"params": {"eps": 0.3, "steps": 5}},
        "fgsm eps=0.1": {"params": {"eps": 0.1, "steps": 5}},
    }
    columns = tuple(Column("m", {"attack": a}, {}, "", None, "score") for a in methods)
    table = Table("s", 1, "b", (Block({"dataset": "d"}, ("defense",), columns, ()),))
    told = completed(table, {"methods": {"attack": methods}}).notes
    assert told == ("All attacks: steps=5. pgd: eps=0.3.",)


def test_shared_params_of_attacks_are_told_once():
    pgd = {"eps": 0.1, "norm": "linf", "steps": 20, "step_size": None, "random_start": True}
    methods = {"pgd": {"params": pgd}, "fgsm": {"params": {"eps": 0.1}}, "noise": {"params": {"eps": 9.0}}}

    def notes(*attacks):
        from benchmark_core.board.model import Block, Column

        columns = tuple(Column("m", {"attack": a}, {}, "", None, "score") for a in attacks)
        table = Table("s", 1, "b", (Block({}, (), columns, ()),))
        return completed(table, {"methods": {"attack": methods}, "controls": ["noise"]}).notes

    assert notes("pgd", "fgsm", "noise") == ("All attacks: eps=0.1.",)
    assert notes("pgd", "noise") == ("pgd: eps=0.1, norm=linf, steps=20, random_start=true.",)
    assert notes("clean") == ()


# --- over defenses -------------------------------------------------------------------------------------


def _both(made, defenses, seeds=3):
    """Robustness rises with the defense, the distance (lower is better) mostly falls."""
    rng = np.random.default_rng(2)
    for d in range(defenses):
        for seed in range(seeds):
            at = {"defense": f"D{d}", "seed": seed}
            kept = (np.arange(N) < 4 * d + seed).astype(float)
            made.add(kept, metric="robust-accuracy", attack="pgd", **at)
            y = 9 - d + rng.normal(0, 1.5) + rng.normal(0, 0.1, N)
            made.add(y, metric="sparseness", explainer="lime", on="clean", **at)
    made.board("robust", ("dataset", "defense"), ("robust-accuracy",))
    made.board("explained", ("dataset", "defense", "explainer"), ("sparseness",))
    manifest = {**made.manifest, "controls": []}
    manifest["metrics"]["sparseness"]["direction"] = "lower"
    return manifest


def test_correlation_over_defenses_is_spearmans_of_what_the_boards_show(made):
    manifest = _both(made, 6)
    robust, explained = make_boards(made.store, manifest)
    assert robust.defenses == ()
    (found,) = explained.defenses
    assert found.at == {"dataset": "digits", "model": "mlp", "explainer": "lime"}

    def values(table, seed=None):
        rows = sorted(table.blocks[0].rows, key=lambda row: row.at["defense"])
        return [r.cells[0].estimate.value if seed is None else r.cells[0].by_seed[seed] for r in rows]

    expected = stats.spearmanr(values(robust), -np.array(values(explained))).statistic
    single = [stats.spearmanr(values(robust, s), -np.array(values(explained, s))).statistic for s in range(3)]
    assert found.found.rho == pytest.approx(expected)
    assert (found.found.single_low, found.found.single_high) == pytest.approx((min(single), max(single)))
    text = render([robust, explained], "text")
    assert "Across defenses, robust-accuracy pgd against sparseness: above 0" in text
    assert f"digits · lime: Spearman {expected:.2f} over these 6 chosen defenses (exact p" in text
    assert "The defenses were chosen, not drawn" in text
    (told,) = json.loads(render([robust, explained], "json"))[1]["across_defenses"]
    assert told["rho"] == found.found.rho
    assert told["defenses"] == 6


def test_four_defenses_are_too_few(made):
    manifest = _both(made, 4)
    tables = make_boards(made.store, manifest)
    assert tables[1].defenses[0].found.rho is None
    assert "Across defenses" not in render(tables, "text")


def test_a_worst_case_over_several_radii_says_so(made, shares):
    for seed in range(3):
        for attack in ("pgd eps=0.1", "pgd eps=0.2", "noise"):
            made.add(shares(0.5, seed=seed), metric="robust-accuracy", seed=seed, attack=attack)
    params: dict[str, dict[str, Any]] = {
        "pgd eps=0.1": {"eps": 0.1},
        "pgd eps=0.2": {"eps": 0.2},
        "noise": {"eps": 0.1},
    }
    methods = {"attack": {a: {"name": a.split()[0], "params": p} for a, p in params.items()}}
    manifest = {**made.manifest, "methods": methods}
    (board,) = boards_of(manifest)
    said = "worst of 3 spans eps 0.1, 0.2: what withstands it withstands the largest."
    assert said in make_board(made.store, manifest, board).notes[0]
    params["pgd eps=0.2"]["eps"] = 0.1
    assert "spans" not in " ".join(make_board(made.store, manifest, board).notes)
    params["pgd eps=0.2"] |= {"eps": 2.0, "norm": "l2"}  # another ball is no larger one
    assert "spans" not in " ".join(make_board(made.store, manifest, board).notes)


def test_rows_that_are_not_comparable_have_no_mean_and_no_mean_rank(made):
    """Seven data sets, and on each of them every row has samples of its own."""
    rng = np.random.default_rng(0)
    for d in range(7):
        for j, defense in enumerate("ABC"):
            for seed in range(3):
                y = (rng.random(50) < 0.5 + 0.1 * j).astype(float)
                at = {"dataset": f"data {d}", "defense": defense, "seed": seed}
                made.add(y, np.arange(50) + 100 * j, metric="accuracy", **at)
    made.board("b", ("dataset", "model", "defense"))
    table = make_board(made.store, made.manifest, boards_of(made.manifest)[0])
    assert all(not column.comparable for block in table.blocks for column in block.columns)
    assert table.across == ()
    assert "mean rank" not in render([table], "text")


def test_rows_with_few_valid_samples_have_no_mean_rank(made):
    """Seven data sets: a row that gives up on half of the samples is ranked on none, and not over them."""
    rng = np.random.default_rng(0)
    for d in range(7):
        for j, defense in enumerate("ABC"):
            valid = np.arange(50) < (25 if defense == "A" else 50)
            for seed in range(3):
                at = {"dataset": f"data {d}", "defense": defense, "seed": seed, "attack": "pgd"}
                made.add(rng.random(50) + j, valid=valid, metric="distance", **at)
    made.board("b", ("dataset", "model", "defense"))
    (found,) = make_board(made.store, made.manifest, boards_of(made.manifest)[0]).across
    assert [(row.name, row.ranked) for row in found.rows] == [("B", 7), ("C", 7), ("A", 0)]
    assert found.rows[1].record.losses == 7, "even so it stands above a row that is ranked nowhere"
    assert {found.rows[i].name for i in found.compared} == {"B", "C"}


def test_radii_are_listed_once(made, shares):
    """FGSM has one norm only, which is no param of it."""
    methods = {
        f"{name} {eps}": {"name": name, "params": {"eps": eps, **({"norm": "linf"} if name == "pgd" else {})}}
        for name in ("fgsm", "pgd")
        for eps in (0.1, 0.2)
    }
    for attack in methods:
        for seed in range(3):
            made.add(shares(0.5, seed=seed), metric="robust-accuracy", seed=seed, attack=attack)

    def said():
        manifest = {**made.manifest, "methods": {"attack": methods}}
        return " ".join(make_board(made.store, manifest, boards_of(manifest)[0]).notes)

    assert "worst of 4 spans eps 0.1, 0.2: what" in said()
    methods["pgd 0.2"]["params"]["eps"] = 0.3
    assert "worst of 4 spans eps 0.1, 0.2; 0.1, 0.3: what" in said()
