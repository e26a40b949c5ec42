"""A table as text for a terminal, Markdown, LaTeX, CSV or JSON: the same rows in the same order everywhere.

Text, Markdown and LaTeX show rounded numbers; CSV and JSON hold full float64.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal

from . import across_table, formats, layout
from .checked_forms import tables_of_checked
from .correlation import MIN_POINTS
from .formats import plural
from .model import Block, Table
from .strips import Strip, hidden_text, key_of, notes_of, rows_shown, strips_of, title_of

if TYPE_CHECKING:
    from .reproduction import Checked

Format = Literal["text", "md", "tex", "csv", "json"]
FORMATS: tuple[Format, ...] = ("text", "md", "tex", "csv", "json")

_GAP = "  "
#: What has a meaning in a cell of a Markdown table. The page replaces the same in what it copies.
MARKDOWN = {
    "\\": r"\\", "|": r"\|", "*": r"\*", "`": r"\`", "[": r"\[", "]": r"\]", "<": "&lt;",
    "\n": " ", "\r": " ",
}  # fmt: skip
_MARKDOWN = str.maketrans(MARKDOWN)


def render(
    tables: Sequence[Table],
    form: Format,
    *,
    width: int | None = 100,
    wide: bool = False,
    top: int | None = None,
    incomplete: bool = False,
    unicode: bool = True,
    checked: Mapping[tuple[str, str], Checked] | None = None,
) -> str:
    """All tables in one form, ending in a newline. width (None: no limit), wide (no limit, and over datasets
    not only the column that orders the board), unicode: text only. top: rows a block; incomplete: and those
    further down that lack cells. checked: what was published beside ours, by suite and board, for all forms
    but text.
    """
    several = len({table.suite for table in tables}) > 1
    names = [
        [*([table.suite] if several else []), *([table.board] if len(tables) > 1 else [])] for table in tables
    ]
    if form in ("csv", "json"):
        from . import records

        if form == "csv":
            return records.render_csv(tables, top, incomplete=incomplete, checked=checked)
        return records.render_json(tables, top, incomplete=incomplete, checked=checked)
    if form == "tex":
        from .latex import render_latex

        return render_latex(tables, names, top=top, incomplete=incomplete, checked=checked)
    cut = partial(rows_shown, top=top, incomplete=incomplete)
    if form == "md":
        return "\n".join(
            _markdown(table, cut, top, name, several, (checked or {}).get((table.suite, table.board)))
            for table, name in zip(tables, names, strict=True)
        )
    limit = None if wide else width
    texts = [
        _text(table, limit, cut, top, name, unicode=unicode, wide=wide)
        for table, name in zip(tables, names, strict=True)
    ]
    shown = [(block, cut(block)) for table in tables for block in table.blocks]
    if key := key_of(shown, across=any(table.across for table in tables)):
        texts.append("".join(f"{part}\n" for part in _filled(key, limit)))
    if lines := across_table.defense_lines(tables, least=MIN_POINTS):
        texts.append("".join(f"{part}\n" for line in lines for part in _filled(line, limit)))
    text = "\n".join(texts)
    return text if unicode else formats.ascii_text(text)


# --- text ----------------------------------------------------------------------------------------------


def _text(
    table: Table,
    width: int | None,
    cut: Callable[[Block], list[int]],
    top: int | None,
    name: Sequence[str],
    *,
    unicode: bool,
    wide: bool,
) -> str:
    """cut: which rows of a block are shown."""
    blocks = []
    for block in table.blocks:
        shown = cut(block)
        strips = strips_of(block, shown)
        lines = _wrapped([*name, *title_of(block)], width)
        kept, dropped = _fitting(strips, width, unicode)
        lines += _aligned(kept, unicode) if kept else _stacked(strips, width or 0, unicode)
        if dropped:
            lines.append(f"+{plural(dropped, 'column')}: --wide")
        if hidden := hidden_text(block, shown):
            lines += _filled(hidden, width)
        starred = any("*" in cell for strip in kept or strips for cell in strip.cells)
        told = [note for note in notes_of(block) if starred or not note.startswith("* ")]
        notes = [line for note in told for line in _filled(note, width)]
        blocks.append("\n".join([*lines, *notes]) + "\n")
    for across in table.across if wide else table.across[:1]:
        strips = across_table.strips_of(across, top)
        kept, _ = _fitting(strips, width, unicode)
        lines = _wrapped([*name, *across_table.title_of(across)], width)
        lines += _aligned(kept, unicode) if kept else _stacked(strips, width or 0, unicode)
        if not wide and (others := len(table.across) - 1):
            lines.append(f"+{plural(others, 'column')}: --wide")
        if top is not None and (more := len(across.rows) - top) > 0:
            lines.append(f"{plural(more, 'more row')} (--all)")
        notes = [line for note in across_table.notes_of(across) for line in _filled(note, width)]
        blocks.append("\n".join([*lines, *notes]) + "\n")
    told = [*table.notes, *table.warnings]
    return "\n".join([*blocks, *("\n".join(_filled(text, width)) + "\n" for text in told)])


def _filled(note: str, width: int | None) -> list[str]:
    return textwrap.wrap(note, width or 100, break_on_hyphens=False)


def _fitting(strips: list[Strip], width: int | None, unicode: bool) -> tuple[list[Strip], int]:
    """The columns that fit, and how many on the right do not; none where not even the labels and one number
    do."""
    kept = list(strips)
    least = next((i for i, s in enumerate(strips) if s.numbers), len(strips)) + 1
    while width is not None and max(map(len, _aligned(kept, unicode))) > width:
        if len(kept) <= least:
            return [], 0
        kept.pop()
    return kept, len(strips) - len(kept)


def _stacked(strips: Sequence[Strip], width: int, unicode: bool) -> list[str]:
    """For the narrowest terminals: rank and labels of a row, and below each other all its cells."""
    plain = (lambda text: text) if unicode else formats.ascii_text
    first = next((i for i, s in enumerate(strips) if s.numbers), len(strips))
    lines: list[str] = []
    for row in zip(*(strip.cells for strip in strips), strict=True):
        lines += _wrapped([plain(cell.strip()) for cell in row[:first] if cell.strip()], width)
        for strip, cell in zip(strips[first:], row[first:], strict=True):
            if cell:
                head = " ".join(filter(None, strip.head))
                lines += layout.wrapped(plain(f"    {head}: {cell}"), width)
    return lines


def _aligned(strips: Sequence[Strip], unicode: bool) -> list[str]:
    """Lines of equal columns. Neighbours under one metric name share it: it is written once, above all."""
    plain = (lambda text: text) if unicode else formats.ascii_text
    height = max(len(s.head) for s in strips)
    groups: list[tuple[str, list[list[str]]]] = []
    for strip in strips:
        cells = [plain(cell) for cell in strip.cells]
        name, *below = map(plain, strip.head)
        lines = [*below, *[""] * (height - 1 - len(below)), *(_lined_up(cells) if strip.numbers else cells)]
        wide = max(map(len, lines))
        column = [line.ljust(wide) for line in lines]
        if groups and groups[-1][0] == name:
            groups[-1][1].append(column)
        else:
            groups.append((name, [column]))
    parts = []
    for name, columns in groups:
        lines = [name, *(_GAP.join(cells) for cells in zip(*columns, strict=True))]
        wide = max(map(len, lines))
        parts.append([line.ljust(wide) for line in lines])
    whole = [_GAP.join(line).rstrip() for line in zip(*parts, strict=True)]
    return [line for i, line in enumerate(whole) if line or i >= height]  # no empty line of heads


def _lined_up(cells: Sequence[str]) -> list[str]:
    """Estimates with their right ends under each other, so that equal decimals align."""
    heads = [cell.strip().partition(" ") for cell in cells]
    wide = max((len(head) for head, _, _ in heads), default=0)
    return [f"{head:>{wide}}{gap}{rest}" for head, gap, rest in heads]


def _wrapped(parts: Sequence[str], width: int | None) -> list[str]:
    """Parts joined by dots, on as many lines as they need."""
    lines: list[str] = []
    for part in parts:
        if lines and (width is None or len(lines[-1]) + 3 + len(part) <= width):
            lines[-1] += f" · {part}"
        else:
            lines.append(part)
    return lines


# --- Markdown ------------------------------------------------------------------------------------------


def _markdown(
    table: Table,
    cut: Callable[[Block], list[int]],
    top: int | None,
    name: Sequence[str],
    several: bool,
    checked: Checked | None,
) -> str:
    parts = [
        *((title_of(b), strips_of(b, cut(b)), notes_of(b)) for b in table.blocks),
        *(
            (across_table.title_of(a), across_table.strips_of(a, top), across_table.notes_of(a))
            for a in table.across[:1]
        ),
    ]
    blocks = [_grid([*name, *title], strips, notes) for title, strips, notes in parts]
    told = [f"{_escaped(text)}\n" for text in (*table.notes, *table.warnings)]
    suite = table.suite if several else ""
    published = [_grid(*part) for part in tables_of_checked(checked, suite)] if checked else []
    return "\n".join([*blocks, *told, *published])


def _grid(title: Sequence[str], strips: Sequence[Strip], notes: Sequence[str]) -> str:
    from tabulate import tabulate

    heads = ["<br>".join(_escaped(line) for line in s.head if line) for s in strips]
    rows = [[_escaped(cell) for cell in cells] for cells in zip(*(s.cells for s in strips), strict=True)]
    grid = tabulate(rows, heads, tablefmt="pipe", disable_numparse=True)
    said = "".join(f"\n{_escaped(note)}\n" for note in notes)
    return f"**{_escaped(' · '.join(title))}**\n\n{grid}\n{said}"


def _escaped(text: str) -> str:
    return text.translate(_MARKDOWN)
