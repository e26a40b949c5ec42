"""`expected:` files: places of everything that is wrong, and verdicts on values, claims and orders."""

import dataclasses

import numpy as np
import pytest

from benchmark_core.board import boards_of, make_board, render
from benchmark_core.board.checked_forms import SYMBOLS, checked_json, published_lines, render_checked
from benchmark_core.board.claims import check_claim
from benchmark_core.board.expected import ExpectedErrors, read_expected
from benchmark_core.board.latex import escape
from benchmark_core.board.reproduction import check_expected
from benchmark_core.board.statistics import Scores
from benchmark_core.suite.nodes import Source

LEVELS = {"Standard": 0.10, "Weak-AT": 0.40, "Strong-AT": 0.80}


@pytest.fixture
def filled(made, shares):
    """Robust accuracy of 10, 40 and 80 % under pgd, 10 points more under fgsm; implausible distances."""
    for dataset in ("mnist", "wine"):
        for d, (defense, level) in enumerate(LEVELS.items()):
            for seed in range(3):
                at = {"dataset": dataset, "defense": defense, "seed": seed}
                made.add(shares(0.9, 400, seed), metric="accuracy", **at)
                for attack, more in (("fgsm", 0.1), ("pgd", 0.0)):
                    # nested: what survives the stronger attack survives the weaker one
                    y = (shares(1, 400).cumsum() <= 400 * (level + more)).astype(float)
                    made.add(np.roll(y, seed), metric="robust-accuracy", attack=attack, **at)
                y = np.linspace(1, 2, 400) + d + seed / 100
                made.add(y, metric="sparseness", explainer="lime", on="clean", **at)
    made.board("table-1", ("dataset", "defense"))
    return made


def read(made, text):
    return read_expected(Source("poster.yaml", text), made.manifest, boards_of(made.manifest)[0])


def check(made, text):
    board = boards_of(made.manifest)[0]
    table = make_board(made.store, made.manifest, board)
    return check_expected(read(made, text), made.store, made.manifest, table)


def value(more="", metric="robust-accuracy", defense="Strong-AT", printed="0.80", attack="pgd"):
    at = f"dataset: mnist, defense: {defense}" + (f", attack: {attack}" if attack else "")
    return f'  - {{at: {{{at}}}, metric: {metric}, value: "{printed}"{more}}}\n'


# --- reading -------------------------------------------------------------------------------------------


def errors(made, text):
    with pytest.raises(ExpectedErrors) as caught:
        read(made, text)
    return str(caught.value).splitlines()


def test_everything_wrong_is_told_at_once_with_its_place(filled):
    text = (
        "values:\n"
        '  - {at: {dataset: mnist, defense: Strong AT}, metric: accuracy, value: "1"}\n'
        "  - {at: {dataset: mnist, defense: Standard}, metric: accurracy, value: 0.5}\n"
        '  - {at: {dataset: mnist, colour: red}, metric: accuracy, value: "1", tolerance: -1}\n'
        '  - {metric: accuracy, value: "about 3", std_means: seeds}\n'
        "  - 7\n"
        "claims:\n"
        "  - {claim: Standard < Weak, metric: accuracy, at: {dataset: mnist}}\n"
        "  - {claim: Standard <, metric: accuracy, at: {dataset: mnist}, over: defence}\n"
        "other: 1\n"
    )
    wrong = [  # (line, what the place points at, message)
        (2, "Strong AT", 'row "Strong AT" is not on board table-1; rows are: Standard, Weak-AT, Strong-AT'),
        (3, "accurracy", 'metric "accurracy" is not on board table-1; did you mean "accuracy"?'),
        (3, "0.5", 'value: write it in quotes, as printed: "0.5"; its digits count'),
        (4, "colour", 'at has no key "colour". It has: dataset, model, defense, attack, explainer, on'),
        (4, "-1", "tolerance must be at least 0, got -1"),
        (5, '"about 3"', 'published value "about 3" is not a number'),
        (6, "7", "values: an item is a mapping, got 7"),
        (8, "Standard < Weak,", 'row "Weak" is not on board table-1; rows are: Standard, Weak-AT, Strong-AT'),
        (9, "Standard <,", 'claim "Standard <": write values in ascending order, as in "A < B < C"'),
        (10, "other", 'an expected file has no key "other". It has: values, claims'),
    ]
    lines = text.splitlines()
    assert errors(filled, text) == [
        f"poster.yaml:{line}:{lines[line - 1].index(at) + 1}: {message}" for line, at, message in wrong
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            'values: [{at: {dataset: mnist, defense: Standard}, metric: robust-accuracy, value: "1"}]',
            "at fits 3 cells; add attack (fgsm, pgd, worst of 2)",
        ),
        (
            'values: [{metric: accuracy, value: "1"}]',
            "at fits 6 cells; add dataset (mnist, wine) and defense (Standard, Weak-AT, Strong-AT)",
        ),
        (
            'values: [{at: {attack: pgd}, metric: accuracy, value: "1"}]',
            "accuracy on board table-1 has no attack",
        ),
        (
            "values: [{at: {dataset: mnist, defense: Standard}, metric: accuracy, value: '1', std: 0.1, "
            "std_means: seeds}]",
            "std_means: seeds needs the number of runs",
        ),
        (
            "claims: [{claim: A < B, metric: accuracy}]",
            "a claim needs over: the coordinate its labels are of; here it is one of dataset, defense",
        ),
        (
            "claims: [{claim: A < B, metric: accuracy, over: defence}]",
            'over: "defence" is no coordinate; did you mean "defense"?',
        ),
        ("", "the file is empty"),
        ("values: 3", "values must be a list, got 3"),
        ("values: [}", "not valid YAML"),
    ],
)
def test_messages(filled, line, message):
    (found,) = errors(filled, line)
    assert message in found


def test_two_values_of_one_source_are_one_too_many(filled):
    """A published order has one of them, and the file does not say which."""
    twice = "values:\n" + value() + value(", source: Table 2") + value(printed="0.10")
    (said,) = errors(filled, twice)
    assert said == "poster.yaml:4:5: this cell has a value already; remove one, or name two sources"
    (said,) = errors(filled, "values:\n" + 2 * value(", source: Table 2"))
    assert 'has a value of source "Table 2" already' in said
    assert len(read(filled, "values:\n" + value() + value(", source: Table 2")).values) == 2


def test_a_file_that_is_not_there(filled, tmp_path):
    board = boards_of(filled.manifest)[0]
    with pytest.raises(ExpectedErrors, match="no such file"):
        read_expected(tmp_path / "none.yaml", filled.manifest, board)
    path = tmp_path / "some.yaml"
    path.write_text("values:\n" + value())
    assert len(read_expected(path, filled.manifest, board).values) == 1


def test_reading_needs_no_results(filled, tmp_path):
    """The cells are those of the plan, worst cases among them."""
    filled.store = None
    text = (
        "values:\n"
        + value(attack="worst of 2")
        + "claims: [{claim: Standard < Strong-AT, "
        + ("metric: accuracy, at: {dataset: wine}}]")
    )
    found = read(filled, text)
    assert found.values[0].spot.at["attack"] == "worst of 2"
    assert [spot.at["defense"] for spot in found.claims[0].spots] == ["Standard", "Strong-AT"]
    assert found.values[0].number.printed == "0.80"


# --- values --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("printed", "more", "verdict"),
    [
        ("0.80", ", tolerance: 0.06", "within tolerance"),
        ("0.80", ", tolerance: 0.001", "cannot tell"),
        ("0.30", ", tolerance: 0.05", "differs"),
        ("80", ", tolerance: 6, scale: 0.01", "within tolerance"),
        ("30", ", tolerance: 5, scale: 0.01", "differs"),
        # Their own spread makes a difference of 0.1 undecided.
        ("0.90", ", tolerance: 0.02", "differs"),
        ("0.90", ", tolerance: 0.02, std: 0.1, std_means: seeds, runs: 2", "cannot tell"),
    ],
)
def test_verdicts_on_values(filled, printed, more, verdict):
    (found,) = check(filled, "values:\n" + value(more, printed=printed)).values
    assert found.verdict == verdict
    assert found.name == "mnist · Strong-AT · pgd · robust-accuracy"


def test_numbers_are_shown_in_the_unit_of_the_paper(filled):
    (found,) = check(filled, "values:\n" + value(", scale: 0.01, std: 2", printed="80.0")).values
    assert found.published == "80.0 ±2"
    assert found.here.startswith("80 ±")
    assert found.difference.startswith("0 [−")
    (other,) = check(filled, "values:\n" + value(", scale: 0.01, std: 2", printed="30.0")).values
    assert "against 30, tolerance 2 (a default)" in other.sentence
    assert "The published +- 2 is not used" in found.sentence


def test_ours_is_the_number_of_the_board(filled):
    board = boards_of(filled.manifest)[0]
    table = make_board(filled.store, filled.manifest, board)
    found = check(filled, "values:\n" + value(attack="worst of 2")).values[0]
    block = next(b for b in table.blocks if b.at["dataset"] == "mnist")
    at = next(i for i, c in enumerate(block.columns) if c.at.get("attack") == "worst of 2")
    row = next(r for r in block.rows if r.at["defense"] == "Strong-AT")
    assert found.agreed.ours == row.cells[at].estimate.value == pytest.approx(0.8)


def test_what_is_not_measured_is_said(filled):
    for cell in filled.cells:
        if cell[0]["defense"] == "Strong-AT" and cell[0].get("attack") == "pgd" and cell[0]["seed"] == 1:
            cell[1] = "f" * 64
    found = check(filled, "values:\n" + value() + "claims: [{claim: Standard < Strong-AT, "
        "metric: robust-accuracy, at: {dataset: mnist, attack: pgd}}]")  # fmt: skip
    assert found.values[0].verdict == "cannot tell"
    assert found.values[0].sentence == "Cannot tell: only 2 of 3 seeds are measured."
    assert found.claims[0].verdict == "undecided"
    assert found.claims[0].sentence == "Undecided: Strong-AT: only 2 of 3 seeds are measured."


# --- claims and orders ---------------------------------------------------------------------------------


def claim(text, attack="pgd"):
    at = f"{{dataset: mnist, attack: {attack}}}"
    return f"claims: [{{claim: {text}, metric: robust-accuracy, at: {at}, over: defense}}]"


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("Standard < Weak-AT < Strong-AT", "supported"),
        ("Weak-AT < Standard < Strong-AT", "contradicted"),
    ],
)
@pytest.mark.parametrize("attack", ["fgsm", "pgd", "worst of 2"])
def test_claims(filled, text, verdict, attack):
    (found,) = check(filled, claim(text, attack)).claims
    assert found.verdict == verdict
    assert found.sentence.lower().startswith(verdict)


def test_a_claim_is_called_after_what_its_cells_share(filled):
    claims = [
        "{claim: pgd < fgsm, metric: robust-accuracy, at: {dataset: mnist, defense: Weak-AT}}",
        "{claim: Standard < Weak-AT, metric: robust-accuracy, at: {dataset: mnist, attack: pgd}}",
        "{claim: wine < mnist, metric: robust-accuracy, at: {defense: Weak-AT, attack: pgd}}",
    ]
    found = check(filled, f"claims: [{', '.join(claims)}]").claims
    assert [one.name for one in found] == [
        "mnist · Weak-AT · robust-accuracy",
        "mnist · pgd · robust-accuracy",
        "Weak-AT · pgd · robust-accuracy",
    ]


def test_a_claim_is_judged_on_the_scores_of_its_cells(filled):
    (found,) = check(filled, claim("Standard < Weak-AT")).claims
    scores = {}
    for label in ("Standard", "Weak-AT"):
        keys = [
            key for at, key, *_ in filled.cells
            if (at["dataset"], at["defense"], at.get("attack")) == ("mnist", label, "pgd")
        ]  # fmt: skip
        scores[label] = Scores([filled.store.tensors(k, numpy=True)["values"] for k in keys], [None] * 3, 400)
    assert found.found == check_claim(("Standard", "Weak-AT"), scores.__getitem__, "bernoulli")


def test_a_claim_over_equal_rows_is_undecided(filled):
    text = "claims: [{claim: Standard < Weak-AT, metric: accuracy, at: {dataset: mnist}}]"
    (found,) = check(filled, text).claims
    assert (found.verdict, found.found.p) == ("undecided", 0.5)


def test_rows_on_different_samples_have_no_order(made, shares):
    for d, defense in enumerate(("A", "B")):
        for seed in range(3):
            y = shares(0.2 + d / 2, 400, seed)
            made.add(y, np.arange(400) + d, metric="accuracy", seed=seed, defense=defense)
    made.board("b", ("dataset", "defense"))
    (found,) = check(made, "claims: [{claim: A < B, metric: accuracy}]").claims
    assert found.sentence == "Undecided: these rows were measured on different samples."


@pytest.mark.parametrize(
    ("published", "verdict", "order"),
    [
        (("0.05", "0.5", "0.9"), "same order", "Standard < Weak-AT < Strong-AT"),
        (("0.5", "0.05", "0.9"), "other order", "Weak-AT < Standard < Strong-AT"),
        (("0.1", "0.1", "0.9"), "same order", "Standard = Weak-AT < Strong-AT"),
    ],
)
def test_published_orders(filled, published, verdict, order):
    lines = [value(defense=d, printed=v) for d, v in zip(LEVELS, published, strict=True)]
    (found,) = check(filled, "values:\n" + "".join(lines)).orders
    assert (found.verdict, found.order) == (verdict, order)
    assert found.name == "mnist · pgd · robust-accuracy"


def test_orders_keep_columns_and_sources_apart(filled):
    up = ("0.1", "0.2", "0.3")
    lines = [value(", source: Table 1", defense=d, printed=v) for d, v in zip(LEVELS, up, strict=True)]
    down = reversed(up)
    lines += [value(", source: Table 2", defense=d, printed=v) for d, v in zip(LEVELS, down, strict=True)]
    lines += [value(defense=d, attack="fgsm", printed="0.5") for d in LEVELS]  # no two differ: no order
    found = check(filled, "values:\n" + "".join(lines)).orders
    assert [(o.name.rpartition(" · ")[2], o.verdict) for o in found] == [
        ("Table 1", "same order"),
        ("Table 2", "other order"),
    ]


def test_percent_without_its_scale_is_told(filled):
    with pytest.raises(ExpectedErrors, match=r"is a share: 97.1 of 1 cannot be; for percent add scale: 0.01"):
        check(filled, "values:\n" + value(defense="Standard", printed="97.1"))


def test_rows_whose_seeds_share_a_record_are_compared(made, shares):
    """Given weights, measured once for all seeds, against a network that was trained three times."""
    shared = None
    for seed in range(3):
        key = made.add(shares(0.45, 400), metric="accuracy", seed=seed, defense="given")
        shared = shared or key
        made.cells[-1][1] = shared
    for seed in range(3):
        made.add(shares(0.92, 400, seed), metric="accuracy", seed=seed, defense="trained")
    made.board("b", ("dataset", "defense"))
    text = "claims: [{claim: given < trained, metric: accuracy}]"
    (found,) = check(made, text).claims
    assert (found.verdict, found.sentence) == (
        "supported",
        "Supported: every step holds (largest p < 0.001).",
    )
    values = (
        'values:\n  - {at: {defense: given}, metric: accuracy, value: "0.4"}\n'
        '  - {at: {defense: trained}, metric: accuracy, value: "0.9"}\n'
    )
    (order,) = check(made, values).orders
    assert order.verdict == "same order"


def test_a_published_median_beside_an_interval_without_an_end(made):
    """The median over samples of which many failed: its interval ends at infinity."""
    for defense in "AB":
        for seed in range(3):
            valid = np.arange(40) < (24 if seed else 21)
            at = {"seed": seed, "defense": defense, "attack": "pgd"}
            made.add(np.linspace(1, 2, 40), valid=valid, metric="distance", **at)
    made.board("b", ("dataset", "defense"))
    manifest = dict(made.manifest)
    manifest["metrics"]["distance"] |= {"average": "median", "failure": "inf"}
    board = boards_of(manifest)[0]
    table = make_board(made.store, manifest, board)
    assert table.blocks[0].rows[0].cells[0].estimate.high == np.inf
    text = 'values:\n  - {at: {defense: A}, metric: distance, value: "1.0"}\n'
    expected = read_expected(Source("e.yaml", text), manifest, board)
    found = check_expected(expected, made.store, manifest, table)
    (value,) = found.values
    assert value.verdict == "differs"
    assert value.sentence.startswith("Differs: 1.49 [1.33, ∞] against 1, tolerance 0.1 (a default).")
    assert "∞" in render_checked(found)
    assert checked_json(found)["values"][0]["hi"] == np.inf


def test_a_reference_may_be_claimed_about(filled):
    """It is not ranked, but a pair is compared by itself."""
    manifest = {**filled.manifest, "ideals": ["lime"], "controls": ["lime"]}
    board = boards_of(manifest)[0]
    table = make_board(filled.store, manifest, board)
    text = "claims: [{claim: Standard < Weak-AT, metric: sparseness, at: {dataset: mnist}}]"
    expected = read_expected(Source("e.yaml", text), manifest, board)
    (found,) = check_expected(expected, filled.store, manifest, table).claims
    assert found.verdict == "supported"


def test_a_value_that_differs_is_no_verdict(filled):
    differs = "`differs` is a fact about two numbers"
    assert differs in " ".join(render_checked(check(filled, "values:\n" + value(printed="0.1"))).split())
    assert differs not in render_checked(check(filled, "values:\n" + value(printed="0.80")))


# --- forms ---------------------------------------------------------------------------------------------

ALL = (
    "values:\n"
    + value(", source: 'https://example.org/t1'")
    + value(printed="0.1")
    + claim("Standard < Weak-AT")
)


def test_text(filled):
    text = render_checked(check(filled, ALL))
    lines = text.splitlines()
    assert " ".join(lines[0].split()) == "table-1 · published numbers published here difference verdict"
    assert lines[1].startswith("mnist · Strong-AT · pgd · robust-accuracy  0.80")
    assert lines[2].endswith("✕ differs")
    assert "✓ supported  mnist · pgd · robust-accuracy: Standard < Weak-AT" in lines
    assert render_checked(check(filled, ALL), unicode=False).isascii()
    assert check(filled, ALL).differs
    assert not check(filled, claim("Standard < Weak-AT")).differs


def test_markdown_and_latex_have_the_same_strings(filled):
    found = check(filled, ALL)
    table = make_board(filled.store, filled.manifest, boards_of(filled.manifest)[0])
    checked = {(table.suite, table.board): found}
    md, tex = (render([table], form, checked=checked) for form in ("md", "tex"))
    assert md.startswith(render([table], "md"))
    for v in found.values:
        line = next(line for line in md.splitlines() if v.published in line and v.name in line)
        cells = [cell.strip().replace("\\", "") for cell in line.strip("|").split("|")]
        assert cells == [v.name, v.published, v.here, v.difference, f"{SYMBOLS[v.verdict]} {v.verdict}"]
        texts = [escape(text) for text in (v.name, v.published, v.here, v.difference, v.verdict)]
        assert any(all(text in line for text in texts) for line in tex.splitlines())
    (claim,) = found.claims
    assert (
        f"| {claim.name} | {claim.order.replace('<', '&lt;')} | ✓ supported | every step holds"
        in " ".join(md.split())
    )
    assert escape(claim.order) in tex
    assert not set("✓✕≈±−·") & set(tex)
    assert (
        tex.count(r"\begin{table}")
        == tex.count(r"\end{table}")
        == render([table], "tex").count("caption") + 2
    )


def test_json_and_lines_of_the_page(filled):
    found = check(filled, ALL)
    json = checked_json(found)
    assert json["values"][1]["verdict"] == "differs"
    assert json["values"][1]["difference"] == pytest.approx(0.7)
    assert json["claims"][0]["p"] < 0.05
    lines = published_lines(found)
    assert [line.verdict for line in lines] == ["cannot tell", "differs", "same order"]
    assert (lines[2].name, lines[2].published) == ("mnist · pgd · robust-accuracy", "Standard < Weak-AT")
    assert lines[0].link == "https://example.org/t1"
    assert dataclasses.asdict(lines[1])["published"] == "0.1"


def test_narrow_text_cuts_nothing(filled):
    found = check(filled, ALL)
    for width in (90, 60, 40):
        text = render_checked(found, width=width)
        assert max(map(len, text.splitlines())) <= width
        words = " ".join(text.split())
        for value in found.values:
            assert value.name in words
            assert value.difference in words
