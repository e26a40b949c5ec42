"""What the page says in words about boards that are not whole, not alike or not won by a method."""

import json
import re

import numpy as np
import pytest
from site_store import fill
from test_site import Page

from benchmark_core.board import boards_of, make_board, render
from benchmark_core.board.site import build_report, crossmap
from benchmark_core.board.site.data import Strings
from benchmark_core.board.site.facts import Facts
from benchmark_core.board.site.places import Ranked
from benchmark_core.board.site.view import Boards

N = 200


@pytest.fixture
def whole(made):
    """The manifest as a run writes it, with a name for each metric."""

    def manifest(**more):
        metrics = {name: {**about, "name": name} for name, about in made.manifest["metrics"].items()}
        return {**made.manifest, "metrics": metrics, **more}

    return manifest


def view(made, manifest):
    """The first block of the first board, with the strings of its drawers."""
    table = make_board(made.store, manifest, boards_of(manifest)[0])
    strings = Strings()
    block = Boards(Facts(made.store, manifest), strings, "robex run x").block(table, table.blocks[0])
    return block, strings.all, " ".join(render([table], "text").split())


def page_text(made, manifest):
    return " ".join(Page(build_report(made.store, [manifest])).text.split())


def add(made, shares, metric="accuracy", *, seeds=3, missing=(), moved=0, equal=False, **at):
    """shares: defense -> share of ones. missing: (defense, seed). moved: by so many samples a seed."""
    for defense, share in shares.items():
        for seed in range(seeds):
            scores = (np.random.default_rng(0 if equal else seed).random(N) < share).astype(float)
            values = None if (defense, seed) in missing else scores
            made.add(values, np.arange(N) + moved * seed, metric=metric, seed=seed, defense=defense, **at)


# --- incomplete rows -----------------------------------------------------------------------------------


def test_a_row_ranked_by_another_column_is_not_said_to_be_unranked(made, whole):
    add(made, {"A": 0.9, "B": 0.5})
    add(made, {"A": 0.8, "B": 0.4, "C": 0.2}, "robust-accuracy", attack="pgd", missing=[("A", 2)])
    made.board("main", ("dataset", "defense"), ("accuracy", "robust-accuracy"), "accuracy")
    block, _, text = view(made, whole())
    (row,) = (r for r in block.ranked if r.labels == ("A",))
    assert row.place is not None
    assert row.incomplete == (
        "Incomplete: 5 of 6 cells (robust-accuracy · pgd: 1 seed: not run yet). "
        "Not ranked by robust-accuracy · pgd; the ranks of the other rows do not use it."
    )
    assert "Incomplete: 1 cell of 1 row missing; not ranked by robust-accuracy · pgd." in text
    table = make_board(made.store, whole(), boards_of(whole())[0])
    assert Ranked(table.blocks[0], 1).rest_title == "Incomplete: listed, not ranked by this column"


def test_a_row_that_no_column_ranks_is_said_to_be_unranked(made, whole):
    add(made, {"A": 0.9, "B": 0.5, "C": 0.2}, missing=[("A", 2)])
    block, _, text = view(made, whole())
    (row,) = block.rest
    assert row.incomplete.endswith(". Not ranked; the ranks of the other rows do not use it.")
    assert block.rest_title == "Incomplete: listed, never ranked"
    assert "Incomplete: 1 cell of 1 row missing; they are not ranked." in text


# --- intervals -----------------------------------------------------------------------------------------


def drawers(strings):
    return [text for text in strings if "95 % interval" in text]


def test_what_the_drawer_says_of_seeds_with_samples_of_their_own(made, whole):
    """Their interval is that of the seed means, and one row alone differs from no other."""
    add(made, {"A": 0.9}, moved=1)
    block, strings, text = view(made, whole())
    (told,) = drawers(strings)
    assert "95 % interval (over seeds), holds for new runs" in told
    assert "Not comparable" not in " ".join(block.notes) + text
    page = page_text(made, whole())
    assert "Intervals95 %, over seeds Flags" in page
    add(made, {"B": 0.8}, moved=2)
    block, _, text = view(made, whole())
    said = "Not comparable, measured on different samples: accuracy % ↑."
    assert said in block.notes
    assert said in text


def test_crossed_seeds(made, whole):
    add(made, {"A": 0.9, "B": 0.5})
    block, strings, _ = view(made, whole())
    assert "95 % interval (Wilson, over seeds and samples), holds for new runs" in drawers(strings)[0]
    assert block.footer.startswith("Intervals: 95 %, over seeds and samples. Ranks")
    assert "Intervals95 %, over seeds and samples Flags" in page_text(made, whole())


def test_facts_line_and_footer_agree_where_all_seeds_are_equal(made, whole):
    add(made, {"A": 0.9, "B": 0.5}, equal=True)
    page = page_text(made, whole())
    assert "Intervals95 %, over samples Flags" in page
    assert "Intervals: 95 %, over samples. Ranks" in page
    assert "over seeds" not in page


def test_columns_that_rest_on_different_things(made, whole):
    add(made, {"A": 0.9, "B": 0.5})
    add(made, {"A": 0.8, "B": 0.4}, "robust-accuracy", attack="pgd", moved=1)
    block, _, _ = view(made, whole())
    assert block.footer.startswith(
        "Intervals: 95 %, over seeds and samples; of robust-accuracy over seeds. R"
    )
    assert "Intervals95 %, over seeds and samples; some over seeds Flags" in page_text(made, whole())


def test_a_band_has_whole_sentences(tmp_path):
    page = Page(build_report(fill(tmp_path / "one", seeds=1))).text
    assert (
        "One seed: intervals cover samples only. This holds for these trained models, not for the methods in "
        "general. Run 3 seeds or more."
    ) in " ".join(page.split())


# --- verdicts ------------------------------------------------------------------------------------------


def test_the_verdict_names_what_made_its_column_and_no_dataset_is_silent(made, whole):
    """Dataset b has no explainer e, c no explanations at all, d rows that cannot be compared."""
    for dataset in "abcd":
        attacks = ("pgd", "fgsm") if dataset != "c" else ("pgd",)
        for attack in attacks:
            add(made, {"A": 0.9, "B": 0.3}, "robust-accuracy", attack=attack, dataset=dataset)
    for dataset, explainer in (("a", "e"), ("a", "f"), ("b", "f"), ("d", "e")):
        for i, defense in enumerate("AB"):
            for seed in range(3):
                values = i + 1 + np.random.default_rng(seed).random(N)
                index = np.arange(N) + (N * i if dataset == "d" else 0)
                at = {"defense": defense, "dataset": dataset, "explainer": explainer, "on": "clean"}
                made.add(values, index, metric="unfaithfulness", seed=seed, **at)
    made.board("robustness", ("dataset", "defense"), ("robust-accuracy",))
    made.board("explanations", ("dataset", "defense"), ("unfaithfulness",))
    page = page_text(made, whole())

    def said(dataset, *columns):
        """The verdict that A leads these columns, with whatever numbers."""
        best = (f"A is better than every other row on {re.escape(c)}: [^:]*? ahead of B\\. " for c in columns)
        return f"On {dataset} · mlp: {''.join(best)}"

    assert re.search(said("a", "robust-accuracy (worst of 2)", "unfaithfulness (e)"), page)
    assert re.search(said("b", "robust-accuracy (worst of 2)", "unfaithfulness (f)"), page)
    assert re.search(said("c", "robust-accuracy (pgd)") + "Unfaithfulness is not measured here", page)
    assert "On d" not in page
    assert "1 more dataset: see their boards." in page
    cells = [cell for cell in whole()["cells"] if cell[0]["dataset"] not in "bc"]
    page = page_text(made, whole(cells=cells))
    unranked = r"No row is ranked on unfaithfulness \(e\)\."
    assert re.search(said("d", "robust-accuracy (worst of 2)") + unranked, page)


@pytest.mark.parametrize("nulls", [("null",), ("null", "zero")])
def test_winners_that_are_controls_are_called_so(made, whole, nulls):
    for explainer in (*nulls, "real"):
        for defense in "AB":
            for seed in range(3):
                values = (2.0 if explainer == "real" else 1.0) + np.random.default_rng(seed).random(N)
                at = {"defense": defense, "explainer": explainer, "on": "clean"}
                made.add(values, metric="unfaithfulness", seed=seed, **at)
    made.board("explanations", ("dataset", "defense", "explainer"), ("unfaithfulness",))
    said = "All of them are controls, which every method should beat."
    block, _, text = view(made, whole(controls=list(nulls)))
    assert block.verdict.endswith(said)
    assert said in text
    table = make_board(made.store, whole(controls=list(nulls)), boards_of(whole())[0])
    assert json.loads(render([table], "json"))[0]["blocks"][0]["columns"][0]["verdict"].endswith(said)
    assert said in page_text(made, whole(controls=list(nulls))).partition("Cells")[0]
    block, _, text = view(made, whole(controls=["real"]))
    assert said not in block.verdict + text


def test_the_pill_of_a_reference_says_what_it_is(made, whole):
    for explainer in ("null", "ideal", "real"):
        for seed in range(3):
            values = np.random.default_rng(seed).random(N)
            at = {"defense": "A", "explainer": explainer, "on": "clean"}
            made.add(values, metric="unfaithfulness", seed=seed, **at)
    made.board("explanations", ("dataset", "defense", "explainer"), ("unfaithfulness",))
    page = build_report(made.store, [whole(controls=["null", "ideal"], ideals=["ideal"])])
    rows = {
        explainer: next(r for r in re.findall(r"<tr data-r.*?</tr>", page, re.S) if f">{explainer}<" in r)
        for explainer in ("null", "ideal", "real")
    }
    assert "ⓘ control" in rows["null"]
    assert "A null method" in rows["null"]
    assert "ⓘ reference" in rows["ideal"]
    assert (
        "A reference: what real data itself scores. Nothing has to beat it, and it is not ranked."
        in (rows["ideal"])
    )
    assert "null method" not in rows["ideal"]
    assert "ⓘ" not in rows["real"]
    assert "<span>References: shown, never ranked</span>" in page


# --- the map -------------------------------------------------------------------------------------------


def test_the_map_prints_all_of_a_word(made, whole):
    """`none valid`, not `none`."""
    for defense, valid in (("A", 0), ("B", N)):
        for seed in range(3):
            at = {"defense": defense, "explainer": "e", "on": "clean"}
            made.add(np.ones(N) + seed, valid=np.arange(N) < valid, metric="unfaithfulness", seed=seed, **at)
    made.board("explanations", ("dataset", "defense", "explainer"), ("unfaithfulness",))
    manifest = whole()
    manifest["metrics"]["unfaithfulness"]["scores"] = "conditional"
    page = build_report(made.store, [manifest])
    crossed = page.partition("Cross product</h2>")[2].partition("</section>")[0]
    assert '<td class="hatch"><span>none valid</span></td>' in crossed
    assert crossmap._number("2.00") == 2
