"""How the page copies rows: what Markdown and LaTeX need escaped, and fields as CSV writes them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

#: Characters that stand for something else there. The page replaces them in the strings that it shows.
LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{",
    "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "−": "$-$",
    "×": r"$\times$", "·": r"$\cdot$", "–": "--", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "≈": r"$\approx$",
    "✕": r"$\times$", "⚠": "!", "ⓘ": "(i)", "…": r"\dots{}", "<": r"$<$", ">": r"$>$", "\n": " ", "\r": " ",
}  # fmt: skip
MARKDOWN = {"|": r"\|", "*": r"\*", "<": "&lt;", "\n": " ", "\r": " "}


def quoted(fields: Iterable[str]) -> list[str]:
    """Each field as CSV writes it."""
    found = []
    for text in fields:
        out = io.StringIO()
        csv.writer(out, lineterminator="").writerow([text, ""])
        found.append(out.getvalue()[:-1])
    return found
