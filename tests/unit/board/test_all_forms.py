"""One store with everything a board can hold: all forms say the same, in one order and the same strings."""

import csv
import io
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmark_core.board import boards_of, make_board, render
from benchmark_core.board.checked_forms import CSV_FIELDS, SYMBOLS, published_lines, render_checked
from benchmark_core.board.expected import read_expected
from benchmark_core.board.latex import escape
from benchmark_core.board.model import Cell, Column
from benchmark_core.board.records import not_in_csv
from benchmark_core.board.reproduction import check_expected
from benchmark_core.board.site import build_report
from benchmark_core.board.statistics import Estimate
from benchmark_core.board.strips import cells_text
from benchmark_core.board.table import Format
from benchmark_core.suite.nodes import Source

ODD = "L_2 & co|x*"
PAPER = """
values:
  - {at: {dataset: digits, defense: AT, attack: pgd}, metric: robust-accuracy, value: "57.0", scale: 0.01,
     std: 1.5, source: Table 2}
  - {at: {dataset: digits, defense: AT, attack: pgd}, metric: robust-accuracy, value: "0.41", tolerance: 0.03,
     source: Table 9}
  - {at: {dataset: digits, defense: Standard, attack: pgd}, metric: robust-accuracy, value: "3", scale: 0.01,
     source: Table 2}
  - {at: {dataset: digits, defense: Standard}, metric: accuracy, value: "0.900"}
  - {at: {dataset: wine, defense: Gone}, metric: accuracy, value: "0.5"}
claims:
  - {claim: Standard < AT, metric: robust-accuracy, at: {dataset: digits, attack: pgd}, over: defense}
"""


@pytest.fixture
def filled(made, shares):
    """Ties, worst cases, conditional scores, flags, controls, references, medians that end nowhere, NaN, few
    samples, rows that lack cells, cells that do not apply or did not run."""
    levels = {
        "Standard": (0.9, 0.1), "AT": (0.88, 0.57), ODD: (0.88, 0.55), "Few": (0.9, 0.3), "Gone": (0.8, 0),
    }  # fmt: skip
    offsets = {"random": 0.5, "saliency": 0.498, "ig": 0.3, "real": 0.05}
    for dataset in ("digits", "wine"):
        for d, (defense, (clean, robust)) in enumerate(levels.items()):
            for seed in range(3):
                at = {"dataset": dataset, "defense": defense, "seed": seed}
                ran = defense != "Gone" or dataset == "digits"
                made.add(shares(clean, seed=seed) if ran else None, np.arange(100), metric="accuracy", **at)
                for attack, share in (("noise", 0.85), ("pgd", robust)):
                    if defense == "Gone":
                        continue
                    lost = (dataset, defense, attack, seed) == ("digits", "Few", "pgd", 2)
                    kept = None if lost else shares(share, seed=seed)
                    made.add(kept, np.arange(100), metric="robust-accuracy", attack=attack, **at)
                    valid = np.arange(100) < (96 if d % 2 else 90)
                    far = np.linspace(1, 2, 100) * 1e-5 + d * 1e-5
                    made.add(far, valid=valid, metric="distance", attack=attack, **at)
                for e, (explainer, level) in enumerate(offsets.items()):
                    if d > 1:
                        continue
                    rng = np.random.default_rng([seed, d, e])
                    scores = level - d / 10 + rng.normal(0, 0.05, 100)
                    if (defense, explainer) == ("AT", "ig"):
                        scores[:4] = np.nan
                    where = {**at, "explainer": explainer, "on": "clean"}
                    made.add(scores, metric="unfaithfulness", **where)
                    n = 8 if dataset == "wine" else 100
                    valid = rng.random(n) < (0.3 if explainer == "random" else 0.8)
                    made.add(rng.random(n) ** 4, valid=valid, metric="sparseness", **where)
    made.board("robustness", ("dataset", "defense"), ("accuracy", "robust-accuracy", "distance"))
    made.board("explanations", ("dataset", "defense", "explainer"), ("unfaithfulness", "sparseness"))
    made.boards[0]["rank_by"] = "robust-accuracy"
    return made


@pytest.fixture
def manifest(filled) -> Mapping[str, Any]:
    metrics = {name: {**about, "name": name} for name, about in filled.manifest["metrics"].items()}
    metrics["sparseness"] |= {"scores": "conditional", "direction": "lower"}
    metrics["sparseness"] |= {"average": "median", "failure": "inf"}
    controls = {"controls": ["noise", "random", "real"], "ideals": ["real"]}
    return {**filled.manifest, "metrics": metrics, **controls}


@pytest.fixture
def tables(filled, manifest):
    return [make_board(filled.store, manifest, board) for board in boards_of(manifest)]


@pytest.fixture
def checked(filled, manifest, tables):
    expected = read_expected(Source("paper.yaml", PAPER), manifest, boards_of(manifest)[0])
    found = check_expected(expected, filled.store, manifest, tables[0])
    return {("made", "robustness"): found}


def squeezed(text: str) -> str:
    return "".join(text.split())


def markdown_tables(text: str) -> list[list[list[str]]]:
    """The rows of each table, header first, as Markdown shows them."""
    found: list[list[list[str]]] = []
    for chunk in re.findall(r"(?:^\|.*\n)+", text, re.M):
        lines = [re.split(r"(?<!\\)\|", line)[1:-1] for line in chunk.splitlines()]
        plain = [[re.sub(r"\\(.)", r"\1", c).replace("&lt;", "<").strip() for c in line] for line in lines]
        found.append([plain[0], *plain[2:]])
    return found


def test_the_store_has_everything(tables):
    text = render(tables, "text", width=None)
    for sign in (
        "NaN (12)", "–", "·", "(2/3)", "*", "∞", "⚑ like noise", "ⓘ control", "ⓘ reference", "worst of 2",
        "e-5", "(median)", "(valid %)", "few-samples", "low-validity", "reference", "across 2 datasets",
        "Incomplete:", "No mean (–)",
    ):  # fmt: skip
        assert sign in text, sign
    assert re.search(r"^1–2 +a ", text, re.M)


def test_text_has_the_rows_of_markdown(tables):
    lines = [squeezed(line) for line in render(tables, "text", width=None).splitlines()]
    grids = markdown_tables(render(tables, "md"))
    rows = [squeezed("".join(row)) for grid in grids for row in grid[1:]]
    assert len(rows) == 2 * 5 + 2 * 8 + 5 + 8
    at = -1
    for row in rows:
        at = lines.index(row, at + 1)  # in the same order


def test_a_narrow_terminal_keeps_the_column_that_ranks_and_counts_what_it_drops(tables):
    whole = render(tables, "text", width=None).splitlines()
    lines = render(tables, "text", width=60).splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("rank  "))
    assert [line.split() for line in lines[at : at + 3]] == [
        ["rank", "ties", "defense", "robust-accuracy", "%", "↑"],
        ["worst", "of", "2", "noise", "pgd"],
        ["1–2", "a", "AT", "57", "±6", "85", "±4", "57", "±6"],
    ]
    assert max(map(len, lines[: lines.index("+4 columns: --wide")])) <= 60
    assert "+4 columns: --wide" in lines
    assert [line for line in whole if line.startswith("+")] == ["+5 columns: --wide", "+1 column: --wide"]


def test_tables_over_datasets_say_what_they_leave_out(tables):
    text = render(tables, "text", width=None, top=3)
    (robustness, explanations) = (part.split("\n\n")[0] for part in text.split("across 2 datasets")[1:])
    assert robustness.splitlines()[5:] == [
        "+5 columns: --wide",
        "2 more rows (--all)",
        "No mean (–): the row is not complete on every dataset.",
        "A test over datasets of 3 rows takes 7 datasets; there are 2.",
    ]
    assert "+1 column: --wide\n5 more rows (--all)" in explanations
    assert "--wide" not in render(tables, "text", width=None, wide=True)


def test_boards_of_several_suites_are_named_in_every_form(tables, checked):
    (found,) = checked.values()
    twice = [tables[0], replace(tables[0], suite="other")]
    both = {("made", "robustness"): found, ("other", "robustness"): found}
    forms: tuple[tuple[Format, str], ...] = (("text", "·"), ("md", "·"), ("tex", r"$\cdot$"))
    for form, dot in forms:
        text = render(twice, form, width=None, checked=both)
        for suite in ("made", "other"):
            assert len(re.findall(rf"{suite} {re.escape(dot)} robustness {re.escape(dot)} digits", text)) == 1
            told = re.findall(rf"{suite} {re.escape(dot)} robustness {re.escape(dot)} claims", text)
            assert len(told) == (form != "text")
    text = render_checked(found, suite="other", width=None)
    titles = [line.partition("  ")[0] for line in text.splitlines() if line.startswith("other · robustness")]
    ends = ("published numbers", "published order", "claims")
    assert titles == [f"other · robustness · {end}" for end in ends]


def test_the_narrowest_published_numbers_have_their_title(checked):
    (found,) = checked.values()
    text = render_checked(found, width=40)
    assert text.startswith(
        "robustness · published numbers\ndigits · AT · pgd · robust-accuracy\n    published: 57.0"
    )
    assert text.count("published numbers") == 1
    assert render_checked(found, width=None).count("published numbers") == 1


def test_latex_has_the_rows_of_markdown(tables, checked):
    tex = render(tables, "tex", checked=checked)
    grids = markdown_tables(render(tables, "md", checked=checked))
    bodies = [part.partition(r"\bottomrule")[0] for part in tex.split("\\midrule\n")[1:]]
    assert len(bodies) == len(grids)
    for grid, body in zip(grids, bodies, strict=True):
        lines = [line[4:].removesuffix(r" \\").removeprefix("{}") for line in body.splitlines()[:-1]]
        assert len(lines) == len(grid) - 1
        for row, line in zip(grid[1:], lines, strict=True):
            cells = [re.sub(r"^\\textbf\{(.*)\}$", r"\1", c) for c in re.split(r" & ", line)]
            cells = [c.replace(r"\phantom{a}", "") for c in cells]
            assert cells == [escape(c) for c in row]
    bare = re.sub(r"\\[{}%&#$_\\]", "", tex)  # escaped characters are no markup
    assert bare.count("{") == bare.count("}")
    assert bare.count("$") % 2 == 0
    assert tex.isascii()  # every sign that robex itself writes is a command
    for spec, head in re.findall(r"\\begin\{tabular\}\{(\w+)\}\n(.*?)\\midrule", tex, re.S):
        for line in re.findall(r"^    (.*) \\\\$", head, re.M):
            spans = [int(n) for n in re.findall(r"\\multicolumn\{(\d+)\}", line)]
            assert line.count(" & ") + 1 + sum(spans) - len(spans) == len(spec)


def test_csv_and_json_format_to_the_strings_of_text(tables, checked):
    document = json.loads(render(tables, "json", checked=checked))
    lines = csv.DictReader(io.StringIO(render(tables, "csv", checked=checked)))
    grids = iter(markdown_tables(render(tables, "md")))
    for table in document:
        for block in table["blocks"]:
            grid = next(grids)
            first = grid[0].index("defense")
            labels = len(block["rows"][0]["at"])
            flags = grid[0].index("flags") if "flags" in grid[0] else None
            assert [row[first : first + labels] for row in grid[1:]] == [
                list(row["at"].values()) for row in block["rows"]
            ]
            assert [row[grid[0].index("cells")] for row in grid[1:]] == [
                f"{row['done']}/{row['of']}" for row in block["rows"]
            ]
            assert [row[flags] if flags else "" for row in grid[1:]] == [told(row) for row in block["rows"]]
            for c, column in enumerate(block["columns"]):
                shown = [row[first + labels + c] for row in grid[1:]]
                assert strings(column, [row["cells"][c] for row in block["rows"]]) == shown
            by = block["ordered_by"]
            if block["columns"][by]["ranked"]:
                places = [rank(row["cells"][by]) for row in block["rows"]]
                assert [[row[0], squeezed(row[1])] for row in grid[1:]] == places
            for row in block["rows"]:  # and the CSV is the JSON, a line a cell that applies
                for column, cell in zip(block["columns"], row["cells"], strict=True):
                    if cell is not None:
                        line = next(lines)
                        assert_line(line, {**block["at"], **row["at"], **column["at"]}, column, cell)
                        assert told(row).startswith(line["control"] and f"ⓘ {line['control']}")
                        assert line["flags"] == "; ".join(dict.fromkeys(f["word"] for f in row["flags"]))
        for _ in table["across"][:1]:
            next(grids)
    assert next(lines, None) is None
    assert next(grids, None) is None


def told(row: Mapping[str, Any]) -> str:
    control = ["ⓘ reference" if row["reference"] else "ⓘ control"] if row["control"] else []
    return ", ".join(dict.fromkeys([*control, *(f"⚑ {flag['word']}" for flag in row["flags"])]))


def rank(cell: Mapping[str, Any] | None) -> list[str]:
    if cell is None or cell["rank_lo"] is None:
        return ["", ""]
    low, high = cell["rank_lo"], cell["rank_hi"]
    return [f"{low}" if low == high else f"{low}–{high}", cell["ties"]]


def strings(column: Mapping[str, Any], cells: list[Any]) -> list[str]:
    """What a board shows of a column of the JSON."""
    at = {"metric": column["metric"], "at": {}, "shown": {}, "direction": column["direction"]}
    scale = 100.0 if column["unit"] == "%" else 1.0

    def number(x: Any) -> float | None:
        return None if x is None else float(x) / scale

    def cell(c: Mapping[str, Any] | None) -> Cell:
        if c is None:
            return Cell(None, 0, 0)
        share = c["valid_share"] is not None
        valid = Estimate("ok", c["valid_share"], c["valid_lo"], c["valid_hi"]) if share else None
        estimate = Estimate(
            c["state"], number(c["value"]), number(c["lo"]), number(c["hi"]), c["n"], c["seeds"], c["scope"],
            valid, c["not_numbers"],
        )  # fmt: skip
        return Cell(estimate, c["done"], c["of"])

    made = Column(**at, unit=column["unit"], kind=column["kind"], average=column["average"])
    return cells_text(made, [cell(c) for c in cells])


def assert_line(line: Mapping[str, str], at: Mapping[str, str], column: Any, cell: Any) -> None:
    assert {c: line[c] for c in ("dataset", "model", "defense", "attack", "explainer", "on") if line[c]} == at
    assert all(line[name] == column[name] for name in ("metric", "unit", "average"))
    for name, value in {**cell, "keys": " ".join(cell["keys"])}.items():
        assert line[name] == ("" if value is None else str(value)), name


def test_the_page_has_the_strings_of_markdown(filled, manifest, tables):
    whole = {"methods": {}, "file": "made.yaml", "digest": "d", "overrides": {}, "source": [], "left_out": {}}
    page = Rows(build_report(filled.store, [{**manifest, **whole}], tables=tables)).tables
    grids = [g for g in markdown_tables(render(tables, "md")) if "cells" in g[0]]
    assert len(page) == len(grids)
    for shown, grid in zip(page, grids, strict=True):
        ranked = grid[0][0] == "rank"
        first, cells = grid[0].index("defense"), grid[0].index("cells")
        numbers = first + len([h for h in grid[0] if h in ("defense", "explainer")])
        names = [
            [*([row[0] or "–", squeezed(row[1])] if ranked else ()), *row[first:numbers], row[cells]]
            for row in grid[1:]
        ]
        assert [row[:numbers] + row[-1:] for row, _ in shown] == names
        flags = [set(re.sub("[⚑ⓘ] ", "", row[cells + 1]).split(", ")) - {""} for row in grid[1:]] if (
            grid[0][-1] == "flags"
        ) else [set()] * len(shown)  # fmt: skip
        assert [words - {"incomplete"} for _, words in shown] == flags
        # column by column: the page puts the one that ranks first
        columns = sorted(zip(*(map(squeezed, row[numbers:cells]) for row in grid[1:]), strict=True))
        assert sorted(zip(*(map(squeezed, row[numbers:-1]) for row, _ in shown), strict=True)) == columns


class Rows(HTMLParser):
    """The body rows of the boards on a page: the texts of their cells, and the words of their flags."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tables: list[list[tuple[list[str], set[str]]]] = []
        self.open: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        of = dict(attrs)
        if tag == "table":
            self.fresh = True
        elif tag == "tr" and "data-r" in of:
            if self.fresh:
                self.tables.append([])
                self.fresh = False
            self.tables[-1].append(([], set()))
        elif tag in ("td", "th") and self._inside and "flags" not in (of.get("class") or ""):
            self.tables[-1][-1][0].append("")
        if tag not in ("br", "img", "meta", "link", "input", "rect"):
            self.open.append((tag, of))

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        while self.open and self.open.pop()[0] != tag:
            pass

    @property
    def _inside(self) -> bool:
        return any(tag == "tr" and "data-r" in of for tag, of in self.open)

    def handle_data(self, data):
        if not self._inside:
            return
        classes = [str(of.get("class") or "") for _, of in self.open]
        if any("tip" in c.split() for c in classes):
            return
        if any("flags" in c.split() for c in classes):
            if data.strip():
                self.tables[-1][-1][1].add(data.strip().lstrip("⚑⚠ⓘ✕ "))
        elif self.tables[-1][-1][0]:
            self.tables[-1][-1][0][-1] += data


def frame(text: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(text))


def test_csv_has_what_was_published_beside_each_cell(tables, checked):
    plain, told = (frame(render(tables, "csv", **more)) for more in ({}, {"checked": checked}))
    assert not {"published", "verdict"} & set(plain.columns)
    second = [f"{name}_2" for name in CSV_FIELDS]  # of the cell for which two sources have a number
    assert list(told.columns) == [*plain.columns, *CSV_FIELDS, *second]
    pd.testing.assert_frame_equal(told.drop(columns=[*CSV_FIELDS, *second]), plain)
    there = told[told["published"].notna()].set_index(["dataset", "defense", "metric"])
    assert len(there) == 4
    at = there.loc[[("digits", "AT", "robust-accuracy")]].iloc[0]
    assert (at["attack"], at["published"], at["published_std"], at["source"]) == ("pgd", 57.0, 1.5, "Table 2")
    assert (at["tolerance"], at["default_tolerance"]) == (pytest.approx(2.0), True)
    assert at["value"] - at["published"] == pytest.approx(at["difference"])
    assert at["difference_lo"] == pytest.approx(at["lo"] - 57)  # what their 1.5 means is not said: unused
    assert (at["published_2"], at["tolerance_2"], at["source_2"]) == (41.0, 3.0, "Table 9")
    assert at["verdict_2"] == "differs"
    gone = there.loc[[("wine", "Gone", "accuracy")]].iloc[0]
    assert (gone["published"], gone["verdict"], gone["state"]) == (50.0, "cannot tell", "incomplete")
    assert np.isnan(gone["difference"])
    assert np.isnan(gone["value"])


def test_every_form_has_the_published_numbers(tables, checked):
    (found,) = checked.values()
    said = [f"{SYMBOLS[v.verdict]} {v.verdict}" for v in found.values]
    rows = [[v.name, v.published, v.here, v.difference, s] for v, s in zip(found.values, said, strict=True)]
    grids = [g for g in markdown_tables(render(tables, "md", checked=checked)) if "published" in g[0]]
    assert [grid[1:] for grid in grids] == [rows]
    text = [squeezed(line) for line in render_checked(found, width=None).splitlines()]
    assert [line for line in text if line in {squeezed("".join(row)) for row in rows}] == [
        squeezed("".join(row)) for row in rows
    ]
    page = published_lines(found)[: len(rows)]
    assert [[p.name, p.published, p.here, p.difference] for p in page] == [row[:4] for row in rows]
    (block, _) = json.loads(render(tables, "json", checked=checked))
    table = frame(render(tables, "csv", checked=checked))
    verdicts = [*table["verdict"].dropna(), *table["verdict_2"].dropna()]
    assert sorted(verdicts) == sorted(v["verdict"] for v in block["expected"]["values"])
    assert sorted(verdicts) == sorted(v.verdict for v in found.values)


def test_a_csv_says_what_it_leaves_out(tables, checked):
    orders = "robustness: 1 published order and 1 claim: CSV has no place for them, --format json has"
    assert not_in_csv(tables, checked=checked) == [orders]
    assert not_in_csv(tables, 1, checked=checked) == [
        "robustness: 3 of 5 published values are about rows that are not shown (--all)",
        orders,
    ]
    assert not_in_csv(tables) == []
