"""What the first screen says beside who leads: by how much, how sure, and what robustness costs."""

import re

import numpy as np
import pytest
from site_store import fill
from test_site import Page

from benchmark_core.board.site import build_report

N, SEEDS = 200, 3


@pytest.fixture
def said(html):
    """What stands above the facts."""
    return lambda *suite, **more: " ".join(Page(html(*suite, **more)).text.split()).partition(" Cells")[0]


@pytest.fixture
def html(made):
    """The page of a suite with two boards: rows by defense, and by defense and explainer."""

    def tell(robust, explained, controls=()):
        """robust: defense -> share of ones. explained: (defense, explainer) -> mean of its scores."""
        for seed in range(SEEDS):
            rng = np.random.default_rng(seed)
            hard, noise = rng.random(N), rng.normal(0, 0.1, N)
            for defense, share in robust.items():
                values = (hard < share).astype(float)
                made.add(values, metric="robust-accuracy", seed=seed, defense=defense, attack="pgd")
            for (defense, explainer), mean in explained.items():
                at = {"defense": defense, "explainer": explainer, "on": "clean"}
                values = mean + noise * (1.5 if defense == "B" else 1.0)
                made.add(values, metric="unfaithfulness", seed=seed, **at)
        made.board("robustness", ("dataset", "defense"), ("robust-accuracy",))
        made.board("explanations", ("dataset", "defense", "explainer"), ("unfaithfulness",))
        metrics = {name: {**about, "name": name} for name, about in made.manifest["metrics"].items()}
        return build_report(made.store, [{**made.manifest, "metrics": metrics, "controls": list(controls)}])

    return tell


def hard(share):
    """The share of ones of a defense, seed by seed, as the suite draws it."""
    return np.mean([np.random.default_rng(seed).random(N) < share for seed in range(SEEDS)])


def test_who_leads_has_its_number_and_by_how_much(said):
    page = said({"A": 0.8, "B": 0.5}, {("A", "e"): 1.0, ("B", "e"): 2.0})
    own, ahead = 100 * hard(0.8), 100 * (hard(0.8) - hard(0.5))
    found = re.search(
        r"A is better than every other row on robust-accuracy \(pgd\): (\S+) ±(\S+) %, "
        r"(\S+) \[(\S+), (\S+)\] ahead of B\. ", page
    )  # fmt: skip
    assert found, page
    number, half, difference, low, high = map(float, found.groups())
    assert abs(number - own) <= 0.5
    assert abs(difference - ahead) <= 0.5
    assert 0 < low < difference < high
    assert half > 1
    # Lower is better here; ahead is a distance all the same.
    found = re.search(
        r"unfaithfulness: \S+ ±\S+ \(lower is better\), (\S+) \[(\S+), (\S+)\] ahead of B · e\.", page
    )
    assert found, page
    difference, low, high = map(float, found.groups())
    assert 0.9 < low < difference < high < 1.1
    assert page.endswith("At the top of both: A · e.")


def test_rows_that_cannot_be_separated_have_their_numbers(said):
    page = said({"A": 0.8, "B": 0.8, "C": 0.2}, {("A", "e"): 1.0, ("B", "e"): 1.0, ("C", "e"): 3.0})
    shown = f"{100 * hard(0.8):.0f}"
    assert re.search(
        rf"A and B cannot be separated at the top of robust-accuracy \(pgd\): {shown} ±\S+ and {shown} ±",
        page,
    ), page
    assert page.endswith("At the top of both: B · e and A · e.")


def test_many_at_the_top_have_a_range(said):
    shares = {name: 0.8 + 0.01 * i for i, name in enumerate("ABCDE")}
    page = said({**shares, "Z": 0.1}, {(name, "e"): 1.0 for name in "ABCDEZ"})
    first, last = f"{100 * hard(0.84):.0f}", f"{100 * hard(0.8):.0f}"
    assert re.search(rf"\(pgd\): {first} \S+(?: \S+)? to {last} \S+(?: \S+)? %\. ", page), page
    assert "top of both" not in page, "nothing is separated on explanations"


def test_what_robustness_costs(said):
    """The most robust defense explains worse: both steps are told with their numbers."""
    explained = {("A", "e"): 3.0, ("A", "f"): 2.0, ("B", "e"): 1.0, ("B", "f"): 4.0}
    page = said({"A": 0.8, "B": 0.3}, explained)
    found = re.search(
        r"No row is at the top of both: from B · e to A · f, robust-accuracy goes from (\S+) \S+ to (\S+) "
        r"\S+ % and unfaithfulness from (\S+) \S+ to (\S+) \S+\.$", page
    )  # fmt: skip
    assert found, page
    np.testing.assert_allclose(
        list(map(float, found.groups())), [100 * hard(0.3), 100 * hard(0.8), 1.0, 2.0], rtol=0.02
    )


def test_a_control_at_the_top_costs_nothing(said):
    page = said({"A": 0.8, "B": 0.3}, {("A", "e"): 3.0, ("B", "null"): 1.0}, controls=["null"])
    assert "It is a control" in page
    assert "top of both" not in page


def test_before_a_run_nothing_is_flagged(tmp_path):
    html = build_report(fill(tmp_path / "s", ran=False))
    assert "<dt>Flags</dt>" not in html
    assert "<dt>Flags</dt>" in build_report(fill(tmp_path / "t"))


def test_names_of_rows_that_lead_are_bold(tmp_path, html):
    """One leads the robust rows; where no row is separated from another, none does."""
    page = build_report(fill(tmp_path / "s"))
    robust = page.partition('id="b1"')[2].partition("</section>")[0]
    leads = re.findall(r'<tr data-r="\d+" class="lead">.*?<bdi>(.*?)</bdi>', robust, re.S)
    assert leads == ["Strong"]
    page = html({"A": 0.8, "B": 0.8}, {("A", "e"): 1.0, ("B", "e"): 2.0})
    robust, explained = (page.partition(f'id="{b}"')[2].partition("</section>")[0] for b in ("b1", "b2"))
    assert 'class="lead"' not in robust
    assert explained.count('class="lead"') == 1


def test_signs_in_the_boards_are_explained(tmp_path):
    page = Page(build_report(fill(tmp_path / "s", missing=[("Weak", "ecco")]))).text
    assert "cells: measured/planned" in page
    assert "78 (2/3): two of three seeds are measured" in page
    assert "worst of 2: sample by sample, what these attacks leave at worst." in page
