"""LaTeX tables: what stands in them is what Markdown shows, and no text can get out of its cell."""

import re

import numpy as np
import pytest

from benchmark_core.board import boards_of, make_board, render
from benchmark_core.board.latex import escape, render_latex

HOSTILE = (
    r"\input{/etc/passwd}",
    "50% & more \\\\ \\end{tabular}",
    "$x_1^2$ #1 ~",
    "[2cm] * --- ``a''",
    'x"y|z<w>',
    "line\n\nbreak\ttab",
    "\u202eright\x07 to left\u200b",
)


@pytest.fixture
def board(made, shares):
    def make(names=("Standard", "AT"), attacks=("fgsm", "pgd")):
        for d, defense in enumerate(names):
            for seed in range(3):
                made.add(shares(0.9 - d / 20, seed=seed), metric="accuracy", seed=seed, defense=defense)
                for attack in attacks:
                    made.add(
                        shares(0.2 + min(d, 1) / 2, seed=seed),
                        metric="robust-accuracy", seed=seed, defense=defense, attack=attack,
                    )  # fmt: skip
        made.boards.clear()
        made.board("robustness", ("dataset", "defense"), (), "robust-accuracy")
        return make_board(made.store, made.manifest, boards_of(made.manifest)[0])

    return make


def cells(tex):
    """The cells of the body, a list a row."""
    body = tex.partition("\\midrule")[2].partition("\\bottomrule")[0].strip()
    rows = re.split(r"(?<!\\)\\\\\n?", body)
    return [[c.strip() for c in re.split(r"(?<!\\)&", row)] for row in rows if row.strip()]


def printed(cell):
    """What a cell of ordinary text prints: markup and commands taken back."""
    cell = re.sub(r"\\textbf\{(.*)\}", r"\1", cell)
    cell = cell.replace(r"\phantom{a}", " ").replace(r"\textendash{}", "–")
    for command, sign in ((r"$\pm$", "±"), (r"$\cdot$", "·"), ("$-$", "−"), (r"\%", "%")):
        cell = cell.replace(command, sign)
    return cell


def test_rows_order_and_strings_are_those_of_markdown(board):
    table = board()
    grid = [line for line in render([table], "md").splitlines() if line.startswith("|")][2:]
    expected = [[c.strip() for c in line.strip("|").split("|")] for line in grid]
    found = [[printed(c).strip() for c in row] for row in cells(render_latex([table]))]
    assert found == expected
    assert found[0][:3] == ["1", "a", "AT"]  # ranks and ties come along
    assert [row[2] for row in found] == ["AT", "Standard"]


def test_heads_share_the_name_of_a_metric(board):
    tex = render_latex([board()])
    assert tex.count(r"\multicolumn{3}{c}{robust-accuracy \% $\uparrow$}") == 1
    assert r"\cmidrule(lr){4-6}" in tex
    assert " &  &  & worst of 2 & fgsm & pgd &  &  \\\\" in tex
    assert r"\caption{digits $\cdot$ mlp $\cdot$ 3 seeds $\times$ 100 samples" in tex
    assert r"\begin{tabular}{lllrrrrl}" in tex


def test_the_best_are_bold_where_something_is_separated(board):
    body = cells(render_latex([board()]))
    bold = [[c.startswith(r"\textbf{") for c in row] for row in body]
    assert bold[0] == [False, False, False, True, True, True, False, False]  # accuracy separates nothing
    assert not any(bold[1])


def test_one_environment_a_block_and_only_the_first_rows(made, board):
    table = board(names=("A", "B", "C"))
    assert len(cells(render_latex([table], top=2))) == 2
    both = render_latex([table, table])
    assert both.count(r"\begin{table}") == both.count(r"\end{table}") == 2
    assert both.count("needs \\usepackage{booktabs}") == 1


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_in_their_cell(board, name):
    tex = render_latex([board(names=(name, "AT"))])
    assert {len(row) for row in cells(tex)} == {8}
    assert tex.count(r"\begin{") == tex.count(r"\end{") == 2
    bare = re.sub(r"\\[{}%&#$_\\]", "", tex)  # escaped characters are no markup
    assert bare.count("{") == bare.count("}")
    assert "\\input" not in tex
    line = next(line for line in tex.splitlines() if "AT" not in line and "&" in line and "20" in line)
    assert "%" not in re.sub(r"\\%", "", line)


@pytest.mark.parametrize("text", HOSTILE)
def test_no_special_character_is_left(text):
    """Reads the escaped text as TeX would: every command is one of those that print a sign."""
    commands = re.findall(r"\\([a-zA-Z]+|.)", escape(text))
    signs = {
        "textbackslash", "textasciicircum", "textasciitilde", "textless", "textgreater", "textbar",
        "textasciigrave", "char", *"{}$&#%_",
    }  # fmt: skip
    assert set(commands) <= signs
    left = re.sub(r"\\([a-zA-Z]+(34)?\{\}|.)", "", escape(text)).replace("-{}", "-").replace("'{}", "'")
    assert not re.search(r"[\\{}$&#%_^~<>|\"`\x00-\x1f\u200b\u202e]", left)
    assert "--" not in escape(text)  # no dash that nobody wrote


def test_signs():
    assert escape("96.8 ±1.0") == r"96.8 $\pm$1.0"
    assert escape("−0.5 [−1, 2–3]") == "$-$0.5 [$-$1, 2\\textendash{}3]"
    assert escape("a-b") == "a-b"
    assert escape("eps=8/255, ℓ∞ é") == r"eps=8/255, ℓ$\infty$ é"


def test_a_row_that_starts_with_a_bracket_is_no_argument(made):
    for defense in ("[1cm]", "*"):
        for seed in range(3):
            y = np.arange(20) / 100
            made.add(y, metric="sparseness", seed=seed, defense=defense, explainer="lime", on="clean")
    made.board("b", ("dataset", "defense"))
    tex = render_latex([make_board(made.store, made.manifest, boards_of(made.manifest)[0])])
    assert "\n    {}[1cm] & " in tex
    assert "\n    {}* & " in tex
