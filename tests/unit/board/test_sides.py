"""Boards that rank attacks: from whose side a metric is read, and what attacks are held against."""

import numpy as np
import pytest

from benchmark_core import MethodSpec
from benchmark_core.board import boards_of, make_board, make_boards, render
from benchmark_core.board.compare import compare_two_rows
from benchmark_core.board.headline import headline, headline_places
from benchmark_core.board.matching import Side

N = 200
KEPT = {"noise": 0.8, "weak": 0.8, "fgsm": 0.5, "pgd": 0.2}


def fill(made, kept):
    """kept: defense -> attack -> share of samples that stay correct; distance: how far the attack went."""
    rng = np.random.default_rng(0)
    hard = rng.random(N)  # samples are as hard for every attack and seed, so that few seeds separate attacks
    for defense, attacks in kept.items():
        for attack, share in attacks.items():
            for seed in range(made.seeds):
                at = {"seed": seed, "defense": defense, "attack": attack}
                made.add(
                    (hard + 0.03 * rng.standard_normal(N) < share).astype(float),
                    metric="robust-accuracy",
                    **at,
                )
                made.add(1.5 - share + 0.01 * rng.random(N), metric="distance", **at)


def manifest_of(made, *rows, judges="defense"):
    made.boards = []
    for each in rows:
        made.board("-".join(each), each, ("robust-accuracy", "distance"))
    manifest = {**made.manifest, "controls": ["noise"]}
    if judges:
        manifest["metrics"]["robust-accuracy"]["judges"] = judges
    return manifest


def table_of(made, *rows, judges="defense"):
    manifest = manifest_of(made, rows, judges=judges)
    return make_board(made.store, manifest, boards_of(manifest)[0])


def flagged(table, column="robust-accuracy"):
    return {
        row.name: {flag.word for flag in row.flags if flag.text.startswith(column)}
        for row in table.blocks[0].rows
    }


def test_two_attacks_are_compared_from_their_side(made):
    fill(made, {"Standard": KEPT, "AT": {attack: share + 0.1 for attack, share in KEPT.items()}})
    side = Side("made", made.store, manifest_of(made, ("attack",)))

    def verdicts(left, right):
        return {
            c.metric: c.verdict for c in compare_two_rows(side, left, right).cells if c.metric != "distance"
        }

    assert verdicts("fgsm", "pgd") == {"robust-accuracy": "better"}
    assert verdicts("Standard · fgsm", "Standard · pgd") == {"robust-accuracy": "better"}
    assert verdicts("AT · fgsm", "Standard · pgd") == {"robust-accuracy": "worse"}, "the defense's"
    assert verdicts("Standard", "AT") == {"robust-accuracy": "better"}


@pytest.mark.parametrize("rows", [("attack",), ("dataset", "attack")])
def test_attacks_are_ranked_from_their_side(made, rows):
    fill(made, {"Standard": KEPT})
    table = table_of(made, *rows)
    (block,) = table.blocks
    robust, distance = block.columns
    names = [row.at["attack"] for row in block.rows]
    assert names[:2] == ["pgd", "fgsm"]
    assert [s.low for s in robust.ranking.standings] == [1, 2, 3, 3]
    assert (robust.direction, robust.turned) == ("lower", True)
    assert (distance.direction, distance.turned) == ("lower", False), "that of the attack already"
    assert robust.ranking.verdict.startswith("pgd")
    (note,) = [note for note in table.notes if "attacker" in note]
    assert note.endswith("is better: lower robust-accuracy.")
    text = render([table], "text", width=200)
    assert "robust-accuracy % ↓" in text
    assert note in text


@pytest.mark.parametrize(
    ("rows", "defenses"), [(("attack",), ["AT"]), (("defense", "attack"), ["Standard", "AT"])]
)
def test_an_attack_beats_its_control_by_harm_whatever_the_order(made, rows, defenses):
    fill(made, {defense: {**KEPT, "helps": 1.2} for defense in defenses})
    found = {
        (name.split(" · ")[-1], frozenset(words)) for name, words in flagged(table_of(made, *rows)).items()
    }
    assert found == {
        ("noise", frozenset()), ("fgsm", frozenset()), ("pgd", frozenset()),
        ("weak", frozenset({"like noise"})), ("helps", frozenset({"worse than control"})),
    }  # fmt: skip


@pytest.mark.parametrize("rows", [("defense", "attack"), ("model", "attack"), ("defense",)])
def test_with_networks_in_the_rows_the_direction_is_the_defenders(made, rows):
    fill(made, {"Standard": KEPT} if "model" in rows else {"Standard": KEPT, "AT": {**KEPT, "pgd": 0.7}})
    table = table_of(made, *rows)
    columns = [c for c in table.blocks[0].columns if c.metric == "robust-accuracy"]
    assert {(c.direction, c.turned) for c in columns} == {("higher", False)}
    assert not any("attacker" in note for note in table.notes)
    if rows == ("defense", "attack"):
        assert [row.name for row in table.blocks[0].rows][-1] == "Standard · pgd"


def test_a_manifest_that_does_not_say_whom_a_metric_judges_is_read_as_it_stands(made):
    fill(made, {"Standard": KEPT})
    table = table_of(made, "attack", judges=None)
    assert table.blocks[0].columns[0].direction == "higher"
    assert flagged(table)["pgd"] == {"worse than control"}


def test_defenses_meet_explanations_from_their_own_side(made):
    """A board of attacks may be the first that has the robust column; points of the picture are defenses."""
    fill(made, {"Standard": KEPT, "AT": {**KEPT, "pgd": 0.7}})
    manifest = manifest_of(made, ("attack",))
    tables = make_boards(made.store, manifest)
    chosen = headline(manifest, tables)
    assert chosen.robust.turned
    robust, _ = headline_places(tables, chosen)
    assert {p.at["defense"] for p in robust} == {"Standard", "AT"}
    assert {(p.column.direction, p.column.turned) for p in robust} == {("higher", False)}


@pytest.mark.parametrize("metrics", [("distance",), ("distance", "robust-accuracy")])
def test_robust_is_what_is_hard_to_attack(made, metrics):
    """A short way is good for the attack: the defense that asks for a long one is the more robust. What
    judges the defense itself comes first."""
    rng = np.random.default_rng(0)
    hard = rng.random(N)
    for k in range(6):
        for seed in range(made.seeds):
            at = {"seed": seed, "defense": f"D{k}"}
            for metric in metrics:
                y = 1 + k + 0.1 * hard if metric == "distance" else (hard < 0.2 + 0.1 * k).astype(float)
                made.add(y, metric=metric, attack="cw", **at)
            y = 9 - k + 0.1 * rng.random(N)
            made.add(y, metric="unfaithfulness", explainer="saliency", on="clean", **at)
    manifest = {
        **made.manifest,
        "metrics": {m: made.manifest["metrics"][m] for m in (*metrics, "unfaithfulness")},
    }
    for metric, about in manifest["metrics"].items():
        about["judges"] = {"robust-accuracy": "defense", "distance": "attack"}.get(metric, "method")
    tables = make_boards(made.store, manifest)
    (found,) = [one for table in tables for one in table.defenses]
    assert found.robust.metric == metrics[-1]
    assert found.found.rho == found.found.single_low == found.found.single_high == 1


@pytest.mark.parametrize(
    ("rows", "best", "direction"),
    [
        (("defense",), "AT", "higher"),
        (("attack",), "near", "lower"),
        (("defense", "attack"), "Standard · near", "lower"),
    ],
)
def test_how_far_an_attack_had_to_go_is_good_for_the_defense(made, rows, best, direction):
    rng = np.random.default_rng(0)
    defenses = ("Standard",) if rows == ("attack",) else ("Standard", "AT")
    for d, defense in enumerate(defenses):
        for a, attack in enumerate(("near", "far")):
            for seed in range(made.seeds):
                y = 1 + d + 0.3 * a + 0.01 * rng.random(N)
                made.add(y, metric="distance", attack=attack, defense=defense, seed=seed)
    manifest = manifest_of(made, rows, judges=None)
    manifest["metrics"]["distance"]["judges"] = "attack"
    (table,) = (make_board(made.store, manifest, board) for board in boards_of(manifest))
    block = table.blocks[0]
    assert block.rows[0].name == best
    assert {c.direction for c in block.columns} == {direction}
    told = "Ranked from the defense's side, where what is harder to attack is better: higher distance."
    assert (told in table.notes) == (rows == ("defense",))


def test_the_worst_case_of_what_judges_the_attack_is_the_defenses(made, shares):
    """0/1 scores of success: the worst that can happen to the defense is that any attack succeeds."""
    first, second = shares(0.3, seed=1), shares(0.4, seed=2)
    for defense in ("Standard", "AT"):
        for attack, y in (("fgsm", first), ("pgd", second)):
            for seed in range(made.seeds):
                made.add(y, metric="robust-accuracy", attack=attack, defense=defense, seed=seed)
    table = table_of(made, "defense", judges="attack")
    worst = table.blocks[0].rows[0].cells[0]
    assert worst.estimate.value == pytest.approx(np.maximum(first, second).mean())


def test_only_what_attacks_make_judges_a_defense_or_an_attack():
    for judges in ("defense", "attack"):
        with pytest.raises(ValueError, match="consumes no perturbation"):
            MethodSpec.metric("m", "a.b:C", consumes=("prediction",), direction="higher", judges=judges)
    with pytest.raises(ValueError, match="judges must be one of method, defense, attack"):
        MethodSpec.metric("m", "a.b:C", consumes=("perturbation",), direction="higher", judges="us")
