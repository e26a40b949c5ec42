"""One table in all its forms: what text shows, what narrow terminals drop, what machines get."""

import csv
import io
import json
import re

import numpy as np
import pytest

from benchmark_core.board import boards_of, make_board, render


@pytest.fixture
def tables(made, shares):
    for d, defense in enumerate(("Standard", "AT")):
        for seed in range(3):
            made.add(shares(0.9 - d / 20, seed=seed), metric="accuracy", seed=seed, defense=defense)
            for attack in ("fgsm eps=0.1", "pgd eps=0.1"):
                at = {"seed": seed, "defense": defense, "attack": attack}
                missing = (defense, seed, attack) == ("Standard", 1, "pgd eps=0.1")
                made.add(
                    None if missing else shares(0.2 + d / 2, seed=seed),
                    np.arange(100),
                    metric="robust-accuracy",
                    **at,
                )
                valid = np.arange(100) < 90
                made.add(np.linspace(1, 2, 100) + d, valid=valid, metric="distance", **at)
    made.board("robustness", ("dataset", "defense"), (), "accuracy")
    return [make_board(made.store, made.manifest, b) for b in boards_of(made.manifest)]


def test_text(tables):
    lines = render(tables, "text", width=200).splitlines()
    assert (
        lines[0] == "digits · mlp · 3 seeds × 100 samples · ranked by accuracy % ↑ · ± half a 95 % interval"
    )
    assert lines[1].split()[:3] == ["rank", "ties", "defense"]
    assert lines[1].count("robust-accuracy % ↑") == 1  # one name above both of its columns
    assert "distance ↓ (valid %)" in lines[1]
    attacks = ["fgsm", "eps=0.1", "pgd", "eps=0.1"]
    assert lines[2].split() == [*attacks, "worst", "of", "2", *attacks]
    assert lines[3].split()[:4] == ["1–2", "a", "Standard", "90"]
    assert "20.0 (2/3)" in lines[3]
    assert lines[3].endswith("14/15")
    assert lines[4].endswith("15/15")
    assert lines[5] == (
        "No row can be separated from another on accuracy with 3 seeds and 100 samples. "
        "The order shown is the order of the estimates."
    )
    assert "* low-validity" in lines[6]
    assert "Incomplete: 1 cell of 1 row missing" in lines[7]


def test_narrow_terminals_say_what_they_drop(tables):
    text = render(tables, "text", width=60)
    assert max(map(len, text.splitlines()[1:5])) <= 60
    assert re.search(r"^\+\d columns: --wide$", text, re.M)
    assert "+" not in render(tables, "text", width=60, wide=True).replace("±", "")
    for width in (1, 30, 80, 100):
        first = render(tables, "text", width=width).splitlines()
        assert any("Standard" in line for line in first)


def test_ascii(tables):
    text = render(tables, "text", unicode=False, wide=True)
    assert text.isascii()
    assert len(text.splitlines()) == len(render(tables, "text", wide=True).splitlines())


def test_top_says_how_many_more(tables):
    text = render(tables, "text", top=1)
    assert "AT" not in text
    assert "1 more row (--all)" in text


def test_incomplete_rows_beyond_the_cut_are_counted_and_can_be_asked_for(made, shares):
    for d, defense in enumerate(("A", "B", "C", "D")):
        for seed in range(3):
            gone = (defense, seed) == ("D", 2)
            made.add(None if gone else shares(0.9 - d / 5, seed=seed), metric="accuracy", seed=seed,
                     defense=defense)  # fmt: skip
    table = make_board(made.store, made.manifest, boards_of(made.manifest)[0])
    assert "\n2 more rows (--all), 1 incomplete row (--incomplete)\n" in render([table], "text", top=1)
    asked = render([table], "text", top=1, incomplete=True)
    assert "\n2 more rows (--all)\n" in asked
    rows = [line for line in asked.splitlines() if line.endswith("/3")]
    assert [line.split()[-1] for line in rows] == ["3/3", "2/3"]
    assert "D" in rows[1].split()
    for form in ("md", "tex", "csv"):
        for incomplete in (False, True):
            text = render([table], form, top=1, incomplete=incomplete)
            assert ("30.0 (2/3)" in text or ",D," in text) == incomplete, form
    document = json.loads(render([table], "json", top=1, incomplete=True))
    assert [r["at"]["defense"] for r in document[0]["blocks"][0]["rows"]] == ["A", "D"]


def test_signs_that_occur_are_explained_and_no_others(tables, made):
    key = render(tables, "text").rpartition("How to read it: ")[2].replace("\n", " ")
    assert "share a letter" in key
    assert "rank 2–4: somewhere from 2 to 4" in key
    assert "78 (2/3): two of three seeds are measured" in key
    assert "control" not in key
    assert "·: does not apply" not in key
    assert "* low-validity (fewer than 95 % of the samples have a valid result): shown, not ranked." in (
        render(tables, "text").replace("\n", " ")
    )


def test_the_narrowest_terminals_get_every_cell_on_its_own_line(tables):
    text = render(tables, "text", width=24)
    tall = text[text.index("1–2 · a · Standard") :].splitlines()
    assert tall[0] == "1–2 · a · Standard"
    assert "    accuracy % ↑: 90 ±6" in " ".join(tall[1:4]).replace("      ", " ") or tall[1].startswith(
        "    accuracy"
    )
    assert max(len(line) for line in tall) <= 30
    assert "AT" in text


def test_inputs_that_nothing_attacked_are_named_only_where_nothing_else_is(made, shares):
    for seed in range(3):
        for explainer in ("boundary", "saliency"):
            for on in ("clean", "pgd"):
                made.add(shares(0.5, seed=seed), metric="sparseness", seed=seed, explainer=explainer, on=on)
    made.board("wide", ("dataset", "defense"))
    made.board("tall", ("dataset", "explainer"))
    wide, tall = (make_board(made.store, made.manifest, b) for b in boards_of(made.manifest))
    heads = render([wide], "text", width=None).splitlines()[2]
    assert re.split(r"  +", heads.strip()) == [
        "boundary", "boundary · on pgd", "saliency", "saliency · on pgd",
    ]  # fmt: skip
    assert render([tall], "text", width=None).splitlines()[2].split()[:3] == ["clean", "on", "pgd"]


def test_seeds_that_are_equal_are_told_as_run(made, shares):
    for defense in ("A", "B"):
        for seed in range(3):
            made.add(shares(0.5), metric="accuracy", seed=seed, defense=defense)
    table = make_board(made.store, made.manifest, boards_of(made.manifest)[0])
    said = "All 3 seeds gave equal scores: they count as one, and this holds for these runs."
    text = render([table], "text")
    assert text.startswith("digits · mlp · 3 seeds × 100 samples")
    assert f"accuracy % ↑: {said}" in text
    assert "One seed:" not in text
    (block,) = json.loads(render([table], "json"))[0]["blocks"]
    assert f"accuracy % ↑: {said}" in block["notes"]
    assert block["columns"][0]["notes"] == [said]
    cell = block["rows"][0]["cells"][0]
    assert (cell["seeds"], cell["done"], cell["of"], cell["scope"]) == (1, 3, 3, "these runs")


def test_what_is_damaged_is_told_in_every_form_that_has_words(made, shares):
    keys = [made.add(shares(0.9, seed=s), metric="accuracy", seed=s) for s in range(3)]
    (made.store.folder(keys[1]) / "record.json").write_text("{")
    table = make_board(made.store, made.manifest, boards_of(made.manifest)[0])
    for form in ("text", "md", "tex", "json"):
        assert "it counts as missing until" in " ".join(render([table], form).split()), form


def test_markdown(tables):
    text = render(tables, "md")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len({row.count("|") for row in rows}) == 1
    assert len(rows) == 4
    assert "robust-accuracy % ↑<br>fgsm eps=0.1" in rows[0]


def test_markdown_escapes_names(made, shares):
    for seed in range(3):
        made.add(shares(0.9, seed=seed), metric="accuracy", seed=seed, defense="a|b*c")
    table = make_board(made.store, made.manifest, boards_of(made.manifest)[0])
    assert r"a\|b\*c" in render([table], "md")


def test_csv_and_json_hold_the_same_full_numbers(tables):
    records = list(csv.DictReader(io.StringIO(render(tables, "csv"))))
    assert len(records) == 12  # with the worst case over both attacks
    document = json.loads(render(tables, "json"))
    block = document[0]["blocks"][0]
    flat = [
        (row["at"]["defense"], column["metric"], column["at"].get("attack", ""), cell)
        for row in block["rows"]
        for column, cell in zip(block["columns"], row["cells"], strict=True)
    ]
    for record, (defense, metric, attack, cell) in zip(records, flat, strict=True):
        assert (record["defense"], record["metric"], record["attack"]) == (defense, metric, attack)
        for name in ("value", "lo", "hi", "valid_share"):
            assert (float(record[name]) if record[name] else None) == cell[name]
    estimate = tables[0].blocks[0].rows[0].cells[0].estimate
    assert flat[0][3]["value"] == estimate.value * 100  # in the unit of the column: %
    assert flat[0][3]["lo"] == estimate.low * 100
    distance = next(cell for _, metric, _, cell in flat if metric == "distance")
    assert distance["state"] == "low-validity"
    assert distance["valid_share"] == pytest.approx(0.9)
    assert block["rows"][0]["done"] == 14


def test_nan_is_told_and_json_stays_valid(made):
    for seed in range(3):
        made.add([np.nan] * 4 + [0.5] * 16, metric="sparseness", seed=seed, explainer="s", on="clean")
    table = make_board(made.store, made.manifest, boards_of(made.manifest)[0])
    text = " ".join(render([table], "text").split())
    assert "NaN (4)" in text  # seeds that are all equal count as one
    assert "4 of 20 scores are not a number." in text
    assert json.loads(render([table], "json"))[0]["blocks"][0]["rows"][0]["cells"][0]["value"] is None


def test_missing_and_does_not_apply(made, shares):
    for seed in range(3):
        made.add(None, np.arange(10), metric="accuracy", seed=seed, defense="A")
        made.add(shares(0.5, seed=seed), metric="robust-accuracy", seed=seed, defense="B", attack="pgd")
    table = make_board(made.store, made.manifest, boards_of(made.manifest)[0])
    b, a = (line.split() for line in render([table], "text").splitlines()[3:5])
    assert a == ["A", "·", "–", "0/3"]
    assert (b[0], b[-2]) == ("B", "·")


def test_one_seed_is_said(made, shares):
    made.add(shares(0.5), metric="accuracy", seed=0)
    table = make_board(made.store, made.manifest, boards_of(made.manifest)[0])
    assert "One seed: this holds for these trained models" in render([table], "text")


def test_columns_with_different_samples_say_so(made, shares):
    for seed in range(3):
        made.add(shares(0.5, seed=seed), metric="accuracy", seed=seed)
        made.add(shares(0.5, 40, seed), metric="robust-accuracy", seed=seed, attack="pgd")
    table = make_board(made.store, made.manifest, boards_of(made.manifest)[0])
    text = render([table], "text")
    assert "3 seeds × 40 to 100 samples" in text
    assert "n = 100" in text
    assert "n = 40" in text
