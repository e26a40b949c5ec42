"""The trade-off pictures against the boards they stand on, counted by hand; and where their names go."""

import re

import numpy as np
import pytest
from site_store import fill

from benchmark_core.board import boards_of, make_board
from benchmark_core.board.headline import across_defenses, headline, headline_places, make_boards, places_of
from benchmark_core.board.site import build_report, labels, tradeoff
from benchmark_core.board.site.labels import place, short, stack

DEFENSES = ("A", "B", "C", "D", "E", "F")
N = 200


@pytest.fixture
def suite(made, shares):
    """explained: explainer -> defense -> unfaithfulness (lower is better); robust: defense -> share. Every
    explainer has a column of its own, or with `rows` they tell rows apart. Scores have some noise."""

    def make(robust, explained, *, rows=False, spread=0.1, valid=None, controls=(), ideals=()):
        for seed in range(3):
            rng = np.random.default_rng(seed)
            for defense, share in robust.items():
                at = {"seed": seed, "defense": defense}
                kept = np.arange(N) < round(share * N) if np.isscalar(share) else share[seed]
                made.add(kept.astype(float), metric="robust-accuracy", attack="pgd", **at)
            for explainer, of in explained.items():
                for defense, value in of.items():
                    at = {"seed": seed, "defense": defense, "explainer": explainer, "on": "clean"}
                    ok = None if valid is None else np.arange(N) < valid.get((explainer, defense), N)
                    made.add(value + spread * rng.normal(size=N), valid=ok, metric="unfaithfulness", **at)
        made.board("robustness", ("dataset", "defense"), ("robust-accuracy",))
        by = ("dataset", "defense", "explainer") if rows else ("dataset", "defense")
        made.board("explanations", by, ("unfaithfulness",))
        manifest = {**made.manifest, "controls": [*controls, *ideals], "ideals": list(ideals)}
        manifest["metrics"] = {name: {**of, "name": name} for name, of in manifest["metrics"].items()}
        if valid is not None:
            manifest["metrics"]["unfaithfulness"]["scores"] = "conditional"
        return manifest

    return make


def drawn(made, manifest):
    """By title: the pictures of the suite's headline."""
    tables = make_boards(made.store, manifest)
    robust, explained = headline_places(tables, headline(manifest, tables))
    of = [manifest[kind] for kind in ("controls", "ideals")]
    found = tradeoff.pictures("digits", robust, explained, manifest["labels"]["explainer"], *of)
    return {picture.title.removeprefix("digits · "): picture for picture in found}


def marks(picture):
    return {mark.title.partition(":")[0]: mark for mark in picture.marks}


def beaten(picture):
    return {name for name, mark in marks(picture).items() if mark.hollow}


def names(picture):
    return [label.full for label in picture.labels]


def test_defenses_are_tied_by_the_robust_columns_own_comparisons(made, suite):
    """A and B are separated on their board, with 15 tests, and not with those of ten columns more."""
    rng = np.random.default_rng(5)
    base = rng.random((3, N)) < 0.5
    better = base.copy()
    better[:, np.flatnonzero(~base.any(0))[:14]] = True
    robust = {"A": base, "B": better, "C": 0.8, "D": 0.802, "E": 0.95, "F": 0.2}
    explained = {f"e{i}": dict.fromkeys(DEFENSES, 1.0) for i in range(10)}
    manifest = suite(robust, explained)
    column = make_board(made.store, manifest, boards_of(manifest, "robustness")[0]).blocks[0]
    of = {row.name: i for i, row in enumerate(column.rows)}
    pairs = {frozenset((p.first, p.second)): p for p in column.columns[0].ranking.pairs}
    close = pairs[frozenset((of["A"], of["B"]))]
    assert close.p_adjusted < 0.05 < 150 * close.p
    assert pairs[frozenset((of["C"], of["D"]))].better is None
    pictures = drawn(made, manifest)
    assert len(pictures) == 10
    for picture in pictures.values():
        tied = [set(name.split(" ≈ ")) for name in names(picture) if " ≈ " in name]
        assert tied == [{"C", "D"}]


def test_a_picture_has_the_front_of_its_own_marks(made, suite):
    """Explainer f is better than e everywhere: no line and no mark of e knows of it."""
    robust = {"A": 0.1, "B": 0.4, "C": 0.7, "D": 0.9}
    e = {"A": 4.0, "B": 6.0, "C": 5.0, "D": 5.5}
    explained = {"e": e, "f": {d: v - 3.5 for d, v in e.items()}, "null": dict.fromkeys(e, 0.01)}
    manifest = suite(robust, explained, controls=["null"])
    pictures = drawn(made, manifest)
    assert list(pictures) == ["e", "f"]
    for picture in pictures.values():
        own = marks(picture)
        assert beaten(picture) == {"B"}  # by C and D: more robust and lower
        assert picture.front == tuple((own[d].x, own[d].y) for d in "DCA")
        assert own["B"].title.endswith("clearly beaten by C and D")


def test_columns_that_were_never_compared_beat_nobody(made, suite):
    """A is far worse than B by e, and A by f is above B by e in both numbers: B by e is not beaten."""
    manifest = suite({"A": 0.9, "B": 0.2}, {"e": {"A": 5.0, "B": 4.0}, "f": {"A": 1.0, "B": 2.0}})
    pictures = drawn(made, manifest)
    assert beaten(pictures["e"]) == set()
    assert beaten(pictures["f"]) == {"B"}


def test_holm_runs_over_the_two_columns_of_a_picture(made, suite):
    """More explainers beside it change nothing in a picture."""
    robust = dict(zip(DEFENSES, (0.1, 0.15, 0.2, 0.25, 0.3, 0.35), strict=True))
    rng = np.random.default_rng(1)
    e = {d: 1 + 0.02 * rng.normal() for d in DEFENSES}
    rest = {f"e{i}": dict.fromkeys(DEFENSES, 2.0 + i) for i in range(12)}
    manifest = suite(robust, {"e": e, **rest}, spread=0.3)
    many = drawn(made, manifest)["e"]
    cells = [cell for cell in manifest["cells"] if cell[0].get("explainer", "e") == "e"]
    (one,) = drawn(made, {**manifest, "cells": cells}).values()
    assert 0 < len(beaten(one)) < 6
    assert beaten(many) == beaten(one)
    assert names(many) == names(one)


@pytest.mark.parametrize("rows", [False, True])
def test_controls_are_no_marks_and_not_correlated(made, suite, rows):
    """Whether the explainer tells rows or columns apart."""
    robust = dict(zip(DEFENSES, (0.1, 0.3, 0.4, 0.5, 0.7, 0.9), strict=True))
    values = {d: 5.0 - 3 * share for d, share in robust.items()}
    manifest = suite(
        robust, {"e": values, "null": dict.fromkeys(values, 0.5), "real": dict.fromkeys(values, 0.25)},
        rows=rows, controls=["null"], ideals=["real"], spread=0.01,
    )  # fmt: skip
    (picture,) = drawn(made, manifest).values()
    assert picture.series == ("e",)
    assert set(marks(picture)) == set(DEFENSES)
    said = r"Left out: control null \(0\.\d+( to 0\.\d+)?\), reference real \(0\.2\d+( to 0\.2\d+)?\)\."
    assert re.fullmatch(said, picture.left_out)
    assert float(picture.y_ticks[0].text) == 2  # the axis is that of the marks
    correlated = across_defenses(make_boards(made.store, manifest), manifest)
    assert [one.at["explainer"] for one in correlated] == ["e"]
    assert correlated[0].found.rho == 1


def test_what_is_not_ranked_is_dotted_beats_nobody_and_is_on_no_front(made, suite):
    """A would be the best of all, and has a value for 80 % of the samples."""
    robust = {"A": 0.9, "B": 0.6, "C": 0.3}
    manifest = suite(robust, {"e": {"A": 1.0, "B": 3.0, "C": 2.0}}, valid={("e", "A"): 160, ("e", "B"): 198})
    (picture,) = drawn(made, manifest).values()
    own = marks(picture)
    assert own["A"].unranked
    assert own["A"].title.endswith("not ranked")
    assert beaten(picture) == set()
    assert picture.front == tuple((own[d].x, own[d].y) for d in "BC")
    assert picture.note == "Dotted marks are not ranked."
    assert 'class="m s0 dotted"' in build_report(made.store, [manifest])


def test_without_comparisons_no_front_and_nothing_is_beaten(made, suite):
    manifest = suite({"A": 0.9, "B": 0.1}, {"e": {"A": 1.0}, "f": {"A": 1.0, "B": 9.0}})
    pictures = drawn(made, manifest)
    assert not pictures["e"].compared
    assert pictures["e"].note == "No front is drawn: the rows were not compared."
    assert not beaten(pictures["e"])
    assert beaten(pictures["f"]) == {"B"}


def test_the_page_says_only_what_its_pictures_show(made, suite):
    page = build_report(made.store, [suite({"A": 0.9, "B": 0.1}, {"e": {"A": 1.0, "B": 9.0}})])
    assert "Filled marks are the front: no row is separated as better than these on one axis" in page
    assert "joined by ≈" not in page
    assert "dashed line" not in page


def test_a_mark_is_hollow_exactly_where_another_row_clearly_beats_it(tmp_path):
    store = fill(tmp_path / "store", missing=[("Weak", "ecco")])
    manifest = store.suite("made")
    tables = [make_board(store, manifest, board) for board in boards_of(manifest)]
    robust = places_of(tables, "robust-accuracy", attack="pgd")
    explained = places_of(tables, "unfaithfulness")
    (picture,) = tradeoff.pictures("digits", robust, explained, ["random", "saliency", "ecco"], ["random"])
    assert picture.series == ("saliency", "ecco")
    assert len(picture.marks) == 5  # 3 defenses × 2 explainers; one row is incomplete, the control left out
    assert re.fullmatch(r"Left out: control random \(\d\.\d+ to \d\.\d+\)\.", picture.left_out)
    # All columns separate everything here by construction, except what shares a defense: count by hand.
    assert len({p.row: p for p in explained}) == 9
    assert beaten(picture) == {f"{d} × saliency" for d in ("Standard", "Weak", "Strong")}
    assert all(labels.LEFT <= m.x <= labels.RIGHT for m in picture.marks)


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (0.2131, 0.2139), (-3, 7), (1e-7, 3e-7), (5, 5), (0, 0), (120, 99999)]
)
def test_axes_have_few_round_steps_around_the_data(low, high):
    steps = tradeoff._steps(low, high, 6)
    assert steps[0] <= low
    assert steps[-1] >= high
    assert 2 <= len(steps) <= 8
    np.testing.assert_allclose(np.diff(steps), steps[1] - steps[0])
    assert len({tradeoff._tick(v, steps) for v in steps}) == len(steps)


# --- names ---------------------------------------------------------------------------------------------


def check(named, placed):
    """No name covers another, and no line to a mark crosses a name below it."""
    boxes = [
        (level, centre - len(short(text)) * 4, centre + len(short(text)) * 4, x)
        for (text, x), (centre, level) in zip(named, placed, strict=True)
        if level is not None
    ]
    assert boxes
    for i, (level, left, right, x) in enumerate(boxes):
        for other, their_left, their_right, their_x in boxes[i + 1 :]:
            assert level != other or right <= their_left or their_right <= left
            assert level <= other or not their_left < x < their_right
            assert level >= other or not left < their_x < right


def test_names_above_a_picture_do_not_overlap_and_end():
    rng = np.random.default_rng(0)
    named = [(f"a name {i}" * rng.integers(1, 4), x) for i, x in enumerate(sorted(rng.uniform(60, 540, 40)))]
    check(named, stack(named))


def test_names_of_marks_at_the_edge_are_not_lost():
    """Centred, `AT 0.05` has no place: its line would cross the name of its neighbour at the edge."""
    named = [("Standard", 55.6), ("AT 0.05", 64.2), ("AT 0.1", 99.0), ("AT 0.2", 216.0), ("AT 0.3", 284.0)]
    placed = stack(named)
    assert None not in [level for _, level in placed]
    check(named, placed)


def test_no_name_reaches_the_numbers_of_the_axis():
    """Left of the picture stand the ticks."""
    named = [("a long name at the edge", 66.0), ("Standard", 70.0), ("AT 0.3", 300.0)]
    for (text, _), (centre, level) in zip(named, stack(named), strict=True):
        assert level is None or centre - len(short(text)) * 4 >= labels.LEFT


def test_long_names_that_begin_alike_differ_when_cut():
    long = [f"a very long name of a defense with all of its params, number {i}" for i in range(3)]
    assert len({short(name) for name in long}) == 3
    assert all(len(short(name)) == 34 for name in long)


def test_names_of_marks_on_one_spot_share_a_line():
    named = [("Standard", 200.0, [0]), ("AT 0.05", 201.0, [1]), ("AT 0.1", 202.0, [2]), ("far", 400.0, [3])]
    joined, placed = place(named)
    assert None not in [level for _, level in placed]
    assert sorted(k for _, _, ks in joined for k in ks) == [0, 1, 2, 3]
    assert ("far", 400.0, [3]) in joined
    assert len(joined) < 4
