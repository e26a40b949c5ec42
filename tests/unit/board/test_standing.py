"""Ranks, worst cases and flags on whole boards, made by hand."""

import json

import numpy as np
import pytest
import torch

from benchmark_core.board import boards_of, gates, make_board, words
from benchmark_core.board.model import Cell, Column
from benchmark_core.board.standing import worst_of
from benchmark_core.board.statistics import Estimate, Scores, estimate_rows
from benchmark_core.board.table import render

N = 120


def board(made, rows=("dataset", "defense"), metrics=()):
    made.boards = []
    made.board("b", rows, metrics)
    manifest = made.manifest
    return make_board(made.store, manifest, boards_of(manifest)[0]).blocks[0]


def right(rng, share):
    return (rng.random(N) < share).astype(float)


def fill(made, shares, seed=0):
    """shares: defense -> attack -> share of samples that stay correct."""
    rng = np.random.default_rng(seed)
    for defense, attacks in shares.items():
        for attack, share in attacks.items():
            for s in range(made.seeds):
                made.add(right(rng, share), metric="robust-accuracy", seed=s, defense=defense, attack=attack)


def test_rows_that_differ_are_ranked_and_rows_that_do_not_share_a_rank(made):
    rng = np.random.default_rng(1)
    base = {s: right(rng, 0.9) for s in range(made.seeds)}
    for s in range(made.seeds):
        flipped = base[s].copy()
        flipped[s] = 1 - flipped[s]
        for defense, values in (("A", base[s]), ("B", flipped), ("C", right(rng, 0.2))):
            made.add(values, metric="accuracy", seed=s, defense=defense)
    block = board(made)
    standings = dict(
        zip((r.at["defense"] for r in block.rows), block.columns[0].ranking.standings, strict=True)
    )
    assert (standings["A"].low, standings["A"].high) == (standings["B"].low, standings["B"].high) == (1, 2)
    assert (standings["C"].low, standings["C"].high) == (3, 3)
    assert standings["A"].ties == standings["B"].ties != standings["C"].ties
    better = {(p.better, p.first, p.second) for p in block.columns[0].ranking.pairs if p.better is not None}
    names = [r.at["defense"] for r in block.rows]
    assert {tuple(names[i] for i in three) for three in better} <= {
        (winner, *pair) for winner in "AB" for pair in ((winner, "C"), ("C", winner))
    }
    assert len(better) == 2


def test_the_worst_case_is_taken_sample_by_sample(made):
    one, two = np.zeros(N), np.zeros(N)
    one[: N // 2] = 1
    two[N // 4 : N // 2] = 1
    for s in range(made.seeds):
        for defense, extra in (("A", 0), ("B", N // 2)):
            for attack, values in (("pgd", one), ("fgsm", np.roll(two, extra))):
                made.add(values, metric="robust-accuracy", seed=s, defense=defense, attack=attack)
    block = board(made)
    at = [c.at.get("attack") for c in block.columns]
    worst = at.index("worst of 2")
    assert block.ordered_by == worst
    found = {r.at["defense"]: r.cells[worst].estimate.value for r in block.rows}
    assert found == {"A": pytest.approx(0.25), "B": 0.0}
    assert all(r.done == r.of == 2 * made.seeds for r in block.rows)  # derived cells are not counted


def test_a_missing_seed_of_one_attack_leaves_the_worst_case_incomplete(made):
    rng = np.random.default_rng(0)
    for s in range(made.seeds):
        made.add(right(rng, 0.5), metric="robust-accuracy", seed=s, attack="pgd")
        made.add(right(rng, 0.5) if s else None, metric="robust-accuracy", seed=s, attack="fgsm")
    block = board(made)
    worst = next(c for c, col in enumerate(block.columns) if col.at["attack"].startswith("worst"))
    assert block.rows[0].cells[worst].estimate.state == "incomplete"


def test_attacks_on_different_samples_have_no_common_worst_case(made):
    rng = np.random.default_rng(0)
    for s in range(made.seeds):
        made.add(right(rng, 0.5), metric="robust-accuracy", seed=s, attack="pgd")
        other = np.arange(N) + 7
        made.add(right(rng, 0.5), other, metric="robust-accuracy", seed=s, attack="fgsm")
    assert [c.at["attack"] for c in board(made).columns] == ["pgd", "fgsm"]


def test_worst_of_needs_every_attack():
    ones = Scores([np.ones(3)], [None], 3)
    assert worst_of([ones, None], higher=True) is None
    low = worst_of([ones, Scores([np.array([0.0, 1.0, 0.0])], [None], 3)], higher=True)
    assert low.values[0].tolist() == [0, 1, 0]
    high = worst_of([ones, Scores([np.array([0.0, 1.0, 0.0])], [None], 3)], higher=False)
    assert high.values[0].tolist() == [1, 1, 1]


METHODS = {
    "pgd 0.1": {"name": "pgd", "params": {"eps": 0.1, "norm": "linf", "steps": 5}},
    "pgd 0.2": {"name": "pgd", "params": {"eps": 0.2, "norm": "linf", "steps": 5}},
    "fgsm 0.1": {"name": "fgsm", "params": {"eps": 0.1}},
}


def flags(made, shares, **manifest):
    fill(made, shares)
    made.board("b", ("dataset", "defense"))
    full = {**made.manifest, "methods": {"attack": METHODS}, **manifest}
    block = make_board(made.store, full, boards_of(full)[0]).blocks[0]
    return {row.at["defense"]: {flag.word for flag in row.flags} for row in block.rows}


def test_a_stronger_attack_that_does_worse_is_flagged(made):
    found = flags(
        made,
        {
            "odd": {"fgsm 0.1": 0.3, "pgd 0.1": 0.7, "pgd 0.2": 0.2},
            "rising": {"fgsm 0.1": 0.9, "pgd 0.1": 0.3, "pgd 0.2": 0.8},
            "fine": {"fgsm 0.1": 0.7, "pgd 0.1": 0.6, "pgd 0.2": 0.2},
        },
    )
    assert found == {"odd": {"pgd above fgsm"}, "rising": {"rises with eps"}, "fine": set()}


def test_attacks_on_two_models_are_not_held_against_each_other(made):
    """The columns of a board of defenses have the model too: pgd on a robust one may well leave more."""
    shares = {"weak": {"fgsm 0.1": 0.3, "pgd 0.1": 0.2}, "robust": {"fgsm 0.1": 0.9, "pgd 0.1": 0.8}}
    for model, attacks in shares.items():
        for attack, share in attacks.items():
            for s in range(made.seeds):
                y = (np.arange(N) < share * N).astype(float)
                made.add(y, metric="robust-accuracy", seed=s, model=model, attack=attack)
    assert flags(made, {}) == {"Standard": set()}


@pytest.mark.parametrize("judges", ["defense", None, "method"])
@pytest.mark.parametrize("rows", [("attack",), ("defense", "attack"), ("dataset", "defense")])
def test_attacks_in_rows_are_held_against_each_other_too(made, rows, judges):
    """What judges the attack (a share of successes) may well rise with its strength."""
    shares = {"fgsm 0.1": 0.3, "pgd 0.1": 0.7, "pgd 0.2": 0.9}
    fill(made, {"A": shares, "B": dict.fromkeys(shares, 0.5)})
    made.board("b", rows)
    full = {**made.manifest, "methods": {"attack": METHODS}}
    if judges is not None:
        full["metrics"]["robust-accuracy"]["judges"] = judges
    (block,) = make_board(made.store, full, boards_of(full)[0]).blocks
    found = {row.name: {flag.word: flag.text for flag in row.flags} for row in block.rows}
    above, rises = "pgd above fgsm", "rises with eps"
    expected = {
        ("attack",): {"fgsm 0.1": set(), "pgd 0.1": {above}, "pgd 0.2": {rises}},
        ("defense", "attack"): {
            **{f"{d} · {attack}": set() for d in "AB" for attack in shares},
            "A · pgd 0.1": {above}, "A · pgd 0.2": {rises},
        },
        ("dataset", "defense"): {"A": {above, rises}, "B": set()},
    }[rows]  # fmt: skip
    if judges == "method":
        expected = {name: set() for name in expected}
    assert {name: set(of_row) for name, of_row in found.items()} == expected
    texts = [text for of_row in found.values() for text in of_row.values()]
    assert all("under pgd 0.1" in text for text in texts)
    assert sum("under fgsm 0.1" in text for text in texts) == sum(
        above in of_row for of_row in found.values()
    )


@pytest.mark.parametrize("index", [np.arange(N) + 7, np.arange(N // 2)])
def test_attacks_on_other_samples_are_not_compared(made, index):
    rng = np.random.default_rng(0)
    for s in range(made.seeds):
        made.add(right(rng, 0.2), metric="robust-accuracy", seed=s, attack="fgsm 0.1")
        scores = right(rng, 0.9)[: len(index)]
        made.add(scores, index, metric="robust-accuracy", seed=s, attack="pgd 0.1")
    made.board("b", ("dataset", "defense"))
    full = {**made.manifest, "methods": {"attack": METHODS}}
    (row,) = make_board(made.store, full, boards_of(full)[0]).blocks[0].rows
    assert row.flags == ()


def test_the_worst_of_means_over_targets_is_no_share(made):
    rng = np.random.default_rng(1)
    for defense in ("A", "B"):
        for s in range(made.seeds):
            where = {"metric": "robust-accuracy", "seed": s, "defense": defense}
            made.add(right(rng, 0.6), attack="fgsm 0.1", **where)  # worst target: 0 or 1
            made.add(rng.integers(0, 5, N) / 4, attack="pgd 0.1", **where)  # mean over four targets
    block = board(made)
    assert [c.kind for c in block.columns] == ["score", "bernoulli", "score"]
    scores = Scores([np.asarray(v) for v in _worst_values(made, "A")], [None] * made.seeds, N)
    expected = estimate_rows([scores], "score", (0.0, 1.0))[0]
    found = next(r for r in block.rows if r.at["defense"] == "A").cells[0].estimate
    assert (found.low, found.high) == (pytest.approx(expected.low), pytest.approx(expected.high))


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_a_share_that_is_no_number_leaves_the_others_shares(made, broken):
    rng = np.random.default_rng(2)
    for defense in ("A", "B", "C"):
        for s in range(made.seeds):
            scores = right(rng, 0.6)
            scores[0] = broken if defense == "C" else scores[0]
            made.add(scores, metric="accuracy", seed=s, defense=defense)
    block = board(made)
    assert [r.cells[0].estimate.state for r in block.rows] == ["ok", "ok", "nan"]
    assert block.columns[0].kind == "bernoulli"


def _worst_values(made, defense):
    by_seed: dict[int, list[np.ndarray]] = {}
    for at, key, *_ in made.cells:
        if at["defense"] == defense:
            by_seed.setdefault(at["seed"], []).append(made.store.tensors(key, numpy=True)["values"])
    return [np.minimum(*pair) for pair in by_seed.values()]


def test_what_no_test_can_tell_is_not_flagged(made):
    assert flags(made, {"A": {"fgsm 0.1": 0.50, "pgd 0.1": 0.51}}) == {"A": set()}


def test_an_explainer_like_noise_is_flagged(made):
    rng = np.random.default_rng(3)
    for s in range(made.seeds):
        for explainer, level in (("random", 0.5), ("same", 0.5), ("good", 0.8)):
            values = level + 0.05 * rng.standard_normal(N)
            made.add(values, metric="sparseness", seed=s, explainer=explainer, on="clean")
    made.board("b", ("dataset", "explainer"))
    manifest = {**made.manifest, "controls": ["random"]}
    manifest["metrics"]["sparseness"] = {**manifest["metrics"]["sparseness"], "direction": "higher"}
    block = make_board(made.store, manifest, boards_of(manifest)[0]).blocks[0]
    found = {row.at["explainer"]: ({f.word for f in row.flags}, row.control) for row in block.rows}
    assert found == {"random": (set(), True), "same": ({"like noise"}, False), "good": (set(), False)}


def test_unranked_rows_change_nobodys_rank(made):
    rng = np.random.default_rng(4)
    for s in range(made.seeds):
        for defense, share in (("A", 0.9), ("B", 0.5)):
            made.add(right(rng, share), metric="accuracy", seed=s, defense=defense)
    before = board(made).columns[0].ranking
    made.add(None, metric="accuracy", seed=0, defense="C")
    for s in range(1, made.seeds):
        made.add(right(rng, 0.99), metric="accuracy", seed=s, defense="C")
    block = board(made)
    assert block.rows[-1].at["defense"] == "C"
    after = block.columns[0].ranking
    assert after.standings[-1] is None
    assert after.standings[:2] == before.standings
    assert after.of == 2


def test_a_column_made_in_two_places_is_told(made):
    rng = np.random.default_rng(5)
    for s in range(made.seeds):
        for defense in ("A", "B"):
            made.add(right(rng, 0.5), metric="accuracy", seed=s, defense=defense)
    made.board("b", ("dataset", "defense"))
    manifest = made.manifest
    table = make_board(made.store, manifest, boards_of(manifest)[0])
    assert table.warnings == ()
    key = manifest["cells"][0][1]
    result = made.store.result(key)
    made.store.remove(key)
    record = {"key": key, "inputs": {}, "identity": {}, "notes": {}, "device": "cuda", "threads": 2}
    made.store.write({**record, "environment": {"gpu": "H100", "packages": {"torch": "9.9"}}}, result)
    (warning,) = make_board(made.store, manifest, boards_of(manifest)[0]).warnings
    assert "made in 2 environments" in warning
    assert "torch 9.9 on cuda, H100, 2 threads" in warning


def test_environments_of_strangers_are_written_out_and_cut():
    """They come from records, which may be another person's."""
    said = gates.mixed("stability \x1b[2J", ["a\x1b]0;x\x07", "b\n# b" + "x" * 9999, *map(str, range(50))])
    assert said.isprintable()
    assert len(said) < 1500
    assert "made in 52 environments" in said
    assert "and 48 more" in said


# --- null controls and references ------------------------------------------------------------------------


def explained(made, levels, noise=None, **manifest):
    """A board of explainers, higher is better. noise: spread of an explainer's seeds."""
    rng, base = np.random.default_rng(3), np.random.default_rng(9).standard_normal(N)
    for explainer, level in levels.items():
        for s in range(made.seeds):
            shift = (noise or {}).get(explainer, 0.01) * rng.standard_normal()
            values = level + shift + 0.1 * base + 0.01 * rng.standard_normal(N)
            made.add(values, metric="sparseness", seed=s, explainer=explainer, on="clean")
    made.boards = []
    made.board("b", ("dataset", "explainer"))
    full = {**made.manifest, **manifest}
    full["metrics"]["sparseness"] = {**full["metrics"]["sparseness"], "direction": "higher"}
    return make_board(made.store, full, boards_of(full)[0])


def flagged(table):
    return {row.at["explainer"]: {f.word: f.text for f in row.flags} for row in table.blocks[0].rows}


def test_a_noisy_row_does_not_make_others_look_like_noise(made):
    """Each row is held against its control by its own variance, not by that of all pairs of the board."""
    levels = {"random": 0.5, "good": 0.8, "same": 0.5, "wild": 0.6}
    table = explained(made, levels, {"wild": 5.0}, controls=["random"])
    (block,) = table.blocks
    names = [row.at["explainer"] for row in block.rows]
    standings = dict(zip(names, block.columns[0].ranking.standings, strict=True))
    assert standings["good"].ties == standings["random"].ties  # the board's pooled variance says nothing
    found = flagged(table)
    assert {name: set(flags) for name, flags in found.items()} == {
        "random": set(), "good": set(), "same": {"like noise"}, "wild": {"like noise"},
    }  # fmt: skip
    text = found["same"]["like noise"]
    assert text.startswith("sparseness is 0.5")
    assert "of the control random 0.5" in text
    assert "not separated as better than this null method (difference " in text


def test_a_row_worse_than_its_control_is_told_so(made):
    found = flagged(explained(made, {"random": 0.5, "bad": 0.2, "good": 0.8}, controls=["random"]))
    assert {name: set(flags) for name, flags in found.items()} == {
        "random": set(), "bad": {"worse than control"}, "good": set(),
    }  # fmt: skip
    text = found["bad"]["worse than control"]
    assert "separated as worse than this null method, compared with it alone (difference −0.3" in text
    assert "not separated as better" not in text


def test_a_reference_is_shown_and_takes_no_part(made):
    """One outlier of what real data scores must not decide which methods are separated."""
    levels, noise = {"random": 0.5, "good": 0.8, "fair": 0.65, "real": 3.0}, {"real": 9.0}
    without = explained(made, {k: v for k, v in levels.items() if k != "real"}, controls=["random"])
    ranking = without.blocks[0].columns[0].ranking
    assert [(s.low, s.high) for s in ranking.standings] == [(1, 1), (2, 2), (3, 3)]
    made.cells.clear()
    table = explained(made, levels, noise, controls=["random", "real"], ideals=["real"])
    (block,) = table.blocks
    assert [row.at["explainer"] for row in block.rows] == ["good", "fair", "random", "real"]
    real = block.rows[-1]
    estimate = real.cells[0].estimate
    assert (estimate.state, real.reference, estimate.low is None) == ("reference", True, False)
    found = block.columns[0].ranking
    assert (found.standings, found.of) == ((*ranking.standings, None), 3)
    assert list(found.pairs) == list(ranking.pairs)
    assert not real.flags
    row = json.loads(render([table], "json"))[0]["blocks"][0]["rows"][-1]["cells"][0]
    assert (row["state"], row["rank_lo"]) == ("reference", None)
    assert words.notes(estimate, "m", "score", 3)[0] == words.REFERENCE
    text = " ".join(render([table], "text", width=200).split())
    assert "ⓘ reference" in text
    assert "* reference (what real data itself scores): shown, not ranked." in text
    assert "ⓘ reference: what real data itself scores; nothing has to beat it" in text
    # Without it, the other rows are as pooled; ranked with them, it would tie them all.
    ranked = explained(made, {}, controls=["random"]).blocks[0].columns[0].ranking
    assert {s.ties for s in ranking.standings} != {s.ties for s in ranked.standings} == {"a"}


def test_a_column_of_a_reference_is_not_ranked(made):
    """The explainer may be a coordinate of the columns: what real data scores ranks no defense."""
    rng = np.random.default_rng(0)
    for explainer in ("lime", "real"):
        for defense, level in (("A", 0.2), ("B", 0.6)):
            for s in range(made.seeds):
                values = level + 0.1 * rng.random(N)
                at = {"seed": s, "defense": defense, "explainer": explainer, "on": "clean"}
                made.add(values, metric="sparseness", **at)
    made.board("b", ("dataset", "defense"))
    full = {**made.manifest, "controls": ["real"], "ideals": ["real"]}
    full["metrics"]["sparseness"] = {**full["metrics"]["sparseness"], "direction": "higher"}
    (block,) = make_board(made.store, full, boards_of(full)[0]).blocks
    lime, real = (next(c for c in block.columns if c.at["explainer"] == e) for e in ("lime", "real"))
    assert [s.low for s in lime.ranking.standings] == [1, 2]
    assert real.ranking is None
    at = block.columns.index(real)
    assert {row.cells[at].estimate.state for row in block.rows} == {"reference"}


def test_vanished_gradients_are_flagged(made):
    def words_of(share):
        made.cells.clear()
        fill(made, {"A": {"pgd": 0.8}})
        if made.store.has("c" * 64):
            made.store.remove("c" * 64)
        record = {"key": "c" * 64, "inputs": {}, "identity": {}, "notes": {"vanished_gradient": share}}
        made.store.write(record, {"x": torch.zeros(1)})
        return {flag.word: flag.text for flag in board(made).rows[0].flags}

    assert words_of(0.01) == {}
    for share, said in ((0.05, "5 %"), (0.999, "99.9 %"), (1.0, "100 %")):
        text = words_of(share)["vanished gradients"]
        assert text.startswith(f"pgd met no usable gradient on up to {said} of the samples of a seed")


def test_a_blind_attack_in_a_row_is_flagged(made):
    column = Column("robust-accuracy", {}, {}, "%", "higher", "bernoulli")
    cell = Cell(Estimate("ok", 0.8), 1, 1)
    view = gates.View(column, [cell, cell], [None, None], [("a",), ("b",)])
    made.add(np.ones(N), metric="robust-accuracy", seed=0, attack="pgd")
    rows = [{"attack": "pgd"}, {"attack": "fgsm"}]
    found = gates.flags([view], rows, made.manifest, {"a": 0.5, "b": 0.0}.get)
    assert [[flag.word for flag in of_row] for of_row in found] == [["vanished gradients"], []]
    assert found[0][0].text.startswith("pgd met no usable gradient on up to 50 % ")


def test_a_cell_that_is_missing_elsewhere_does_not_cost_a_row_its_rank(made):
    rng = np.random.default_rng(4)
    for s in range(made.seeds):
        for defense, share in (("A", 0.9), ("B", 0.5)):
            made.add(right(rng, share), metric="accuracy", seed=s, defense=defense)
            values = None if (defense, s) == ("A", 2) else right(rng, share)
            made.add(values, np.arange(N), metric="robust-accuracy", seed=s, defense=defense, attack="pgd")
    block = board(made)
    robust, accuracy = block.columns
    assert [(row.at["defense"], row.done, row.of) for row in block.rows] == [("B", 6, 6), ("A", 5, 6)]
    assert [(s.low, s.high) for s in accuracy.ranking.standings] == [(2, 2), (1, 1)]
    assert robust.ranking is None
    assert block.rows[1].cells[0].estimate.state == "incomplete"


def test_a_reference_stands_last_where_nothing_is_ranked(made):
    table = explained(made, {"a real one": 3.0, "lime": 0.5}, controls=["a real one"], ideals=["a real one"])
    (block,) = table.blocks
    assert block.columns[0].ranking is None
    assert [row.at["explainer"] for row in block.rows] == ["lime", "a real one"]
