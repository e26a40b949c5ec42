"""Text that fits a width without cutting: lines are wrapped, and a table that is too wide puts the name of a
row above its numbers, on the narrowest terminals each number on a line of its own.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

_GAP = "  "
_INDENT = "    "


def wrapped(line: str, width: int | None) -> list[str]:
    """A line on as many as it needs, the further ones indented. width None: one."""
    if width is None or len(line) <= width:
        return [line]
    indent = line[: len(line) - len(line.lstrip())] + _GAP
    return textwrap.wrap(
        line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    width: int | None,
    below: Sequence[str] | None = None,
) -> Iterator[str]:
    """Rows under their heads, the first column being names. below: what stands under each row."""
    lines = [heads, *rows]
    wide = [max(map(len, column)) for column in zip(*lines, strict=True)]
    total = sum(wide) + len(_GAP) * (len(wide) - 1)
    beside = width is None or total <= width
    under = width is not None and len(_INDENT) + total - wide[0] - len(_GAP) <= width
    for i, (name, *texts) in enumerate(lines):
        line = _GAP.join(text.ljust(w) for text, w in zip(texts, wide[1:], strict=True)).rstrip()
        if beside:
            yield f"{name:{wide[0]}}{_GAP}{line}".rstrip()
        elif under:
            yield from wrapped(name, width)
            yield f"{_INDENT}{line}"
        elif i:
            yield from wrapped(name, width)
            for head, text in zip(heads[1:], texts, strict=True):
                if text:
                    yield from wrapped(f"{_INDENT}{head}: {text}", width)
        if i and below and below[i - 1]:
            yield from wrapped(f"{_INDENT}{below[i - 1]}", width)
