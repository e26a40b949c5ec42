"""A board as LaTeX tables in the style of booktabs: the same rows, order and strings as the other forms.

Needs `\\usepackage{booktabs}` and UTF-8 input, nothing else. Letters that are not Latin pass as they are:
pdfLaTeX needs a font that has them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from . import across_table
from .checked_forms import tables_of_checked
from .model import Block, Table
from .strips import Strip, notes_of, ranking_of, rows_shown, strips_of, title_of

if TYPE_CHECKING:
    from .reproduction import Checked

#: Every character that TeX gives a meaning, and the signs that boards use. The page replaces the same.
SIGNS = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%",
    "_": r"\_", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\char34{}", "`": r"\textasciigrave{}", "'": r"'{}",
    "-": r"-{}", "±": r"$\pm$", "−": "$-$", "×": r"$\times$", "·": r"$\cdot$",
    "–": r"\textendash{}", "—": r"\textemdash{}",
    "…": r"\ldots{}", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "→": r"$\to$", "≈": r"$\approx$",
    "≠": r"$\neq$", "≤": r"$\leq$", "≥": r"$\geq$", "∞": r"$\infty$", "⚑": r"$\triangleright$",
    "ⓘ": r"\textcircled{\scriptsize i}",
    "✓": r"$\surd$", "✕": r"$\times$",
    "α": r"$\alpha$", "β": r"$\beta$", "γ": r"$\gamma$", "δ": r"$\delta$", "ε": r"$\varepsilon$",
    "λ": r"$\lambda$", "μ": r"$\mu$", "µ": r"$\mu$", "ρ": r"$\rho$", "σ": r"$\sigma$", "τ": r"$\tau$",
}  # fmt: skip
_TABLE = str.maketrans(SIGNS)
_LIGATURE = re.compile(r"-\{\}(?!-)")


def render_latex(
    tables: Sequence[Table],
    names: Sequence[Sequence[str]] | None = None,
    *,
    top: int | None = None,
    incomplete: bool = False,
    checked: Mapping[tuple[str, str], Checked] | None = None,
) -> str:
    """One `table` environment a block, one for all blocks together, and those of what was published, ending
    in a newline. names: with which the caption of a table begins (its suite, its board), if it needs any;
    top: rows of each; incomplete: and those that lack cells; checked: by suite and board."""
    several = len({table.suite for table in tables}) > 1
    parts = []
    for table, name in zip(tables, names or [()] * len(tables), strict=True):
        label = re.sub(r"[^A-Za-z0-9]+", "-", f"{table.suite}-{table.board}").strip("-")
        for number, block in enumerate(table.blocks):
            shown = rows_shown(block, top, incomplete=incomplete)
            strips = strips_of(block, shown)
            bold = _bold(block, len(strips), shown)
            last = number == len(table.blocks) - 1
            notes = [*notes_of(block), *((*table.notes, *table.warnings) if last else ())]
            suffix = f"-{number + 1}" if number else ""
            parts.append(_environment([*name, *title_of(block)], label + suffix, strips, notes, bold))
        for across in table.across[:1]:
            strips, notes = across_table.strips_of(across, top), across_table.notes_of(across)
            parts.append(
                _environment([*name, *across_table.title_of(across)], f"{label}-across", strips, notes)
            )
        if found := (checked or {}).get((table.suite, table.board)):
            for title, strips, notes in tables_of_checked(found, table.suite if several else ""):
                parts.append(_environment(title, f"{label}-{title[-1].replace(' ', '-')}", strips, notes))
    return "\n".join(["% needs \\usepackage{booktabs}\n", *parts])


def escape(text: str) -> str:
    """Any text so that LaTeX prints it: one line, without control and direction characters."""
    kept = "".join(
        c for c in " ".join(text.split()) if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co")
    )
    # A hyphen needs an end only where the next one would make a dash of it.
    return _LIGATURE.sub("-", kept.translate(_TABLE))


def _environment(
    title: Sequence[str],
    label: str,
    strips: Sequence[Strip],
    notes: Sequence[str],
    bold: Container[tuple[int, int]] = (),
) -> str:
    """bold: (row, column) of cells."""
    body = []
    for i, _ in enumerate(strips[0].cells):
        cells = [_cell(strip.head[0], strip.cells[i]) for strip in strips]
        body.append(_row([rf"\textbf{{{cell}}}" if (i, j) in bold else cell for j, cell in enumerate(cells)]))
    lines = [
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{escape(' · '.join(title))}}}",
        rf"  \label{{tab:{label}}}",
        rf"  \begin{{tabular}}{{{''.join('r' if strip.numbers else 'l' for strip in strips)}}}",
        r"    \toprule",
        *(f"    {line}" for line in _head(strips)),
        r"    \midrule",
        *(f"    {line}" for line in body),
        r"    \bottomrule",
        r"  \end{tabular}",
        *(rf"  \par\smallskip{{\footnotesize {escape(note)}\par}}" for note in notes),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _head(strips: Sequence[Strip]) -> list[str]:
    """Header rows. Neighbours under one metric share its name, with a rule below."""
    height = max(len(strip.head) for strip in strips)
    cells, rules, at = [], [], 1
    for name, group in groupby(strips, key=lambda strip: strip.head[0]):
        wide = len(list(group))
        if wide > 1:
            cells.append(rf"\multicolumn{{{wide}}}{{c}}{{{escape(name)}}}")
            rules.append(rf"\cmidrule(lr){{{at}-{at + wide - 1}}}")
        else:
            cells.append(escape(name))
        at += wide
    lines = [_row(cells), *([" ".join(rules)] if rules else [])]
    lines += [
        _row([escape(strip.head[level]) if level < len(strip.head) else "" for strip in strips])
        for level in range(1, height)
    ]
    return lines


def _row(cells: Sequence[str]) -> str:
    line = " & ".join(cells) + r" \\"
    # After \\ and after rules, a bracket or star would be taken for an argument.
    return f"{{}}{line}" if line[0] in "[*(" else line


def _cell(head: str, text: str) -> str:
    """Letters of ties keep their places: blanks as wide as a letter stand for those that are not there."""
    if head == "ties":
        stripped = text.lstrip(" ")
        return "".join(r"\phantom{a}" if c == " " else escape(c) for c in text) if stripped else ""
    return escape(text)


def _bold(block: Block, width: int, shown: Sequence[int]) -> set[tuple[int, int]]:
    """(row, column) of estimates that nothing is separated from as better, unless that is true of all."""
    first = len(block.labels) + (2 if ranking_of(block) is not None else 0)
    found = set()
    for j, column in enumerate(block.columns):
        standings = column.ranking.standings if column.ranking else ()
        top = [i for i, standing in enumerate(standings) if standing is not None and standing.low == 1]
        ranked = sum(standing is not None for standing in standings)
        if len(top) < ranked and first + j < width:
            found |= {(at, first + j) for at, i in enumerate(shown) if i in top}
    return found
