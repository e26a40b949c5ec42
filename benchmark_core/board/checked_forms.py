"""What was published beside what was measured, in every form: text, tables for Markdown and LaTeX, JSON,
fields of the CSV, and lines of the page.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from . import layout, words
from .formats import ascii_text
from .reproduction import Checked, CheckedOrder, CheckedValue, Said
from .strips import Strip

if TYPE_CHECKING:
    from .site import PublishedLine

SYMBOLS: Mapping[Said, str] = {
    "within tolerance": "✓", "differs": "✕", "cannot tell": "?",
    "same order": "≈", "other order": "✕", "order undecided": "?",
    "supported": "✓", "contradicted": "✕", "undecided": "?",
}  # fmt: skip
_ASCII = str.maketrans({"≈": "~"})


def render_checked(found: Checked, *, suite: str = "", unicode: bool = True, width: int | None = 100) -> str:
    """Published values, then orders and claims, as text that ends in a newline. suite: named where boards of
    several are shown. width None: long lines."""

    def plain(text: str) -> str:
        return text if unicode else ascii_text(text.translate(_ASCII))

    lines: list[str] = []
    if found.values:
        title, heads, rows, notes = _values(found, suite)
        heads[0] = plain(" · ".join(title))
        told = list(layout.table(list(map(plain, heads)), [list(map(plain, row)) for row in rows], width))
        # Where each number stands on a line of its own there is no line of heads.
        lines += told if told[0].startswith(heads[0]) else [*layout.wrapped(heads[0], width), *told]
        for note in notes:
            lines += layout.wrapped(note, width)
    for what, orders in (("published order", found.orders), ("claims", found.claims)):
        if orders:
            lines += ["", plain(" · ".join(_title(found, what, suite)))]
        for order in orders:
            said = f"{_said(order.verdict)}  {order.name}: {order.order}"
            lines += layout.wrapped(plain(said), width)
            lines += layout.wrapped(plain(f"    {order.sentence}"), width)
    return plain("".join(f"{line}\n" for line in lines).lstrip("\n"))


def tables_of_checked(found: Checked, suite: str = "") -> Iterator[tuple[list[str], list[Strip], list[str]]]:
    """Title, columns and notes of the tables that Markdown and LaTeX put below a board. suite: as above."""
    parts = [_values(found, suite)] if found.values else []
    parts += [
        (
            _title(found, what, suite),
            ["where", what.removeprefix("published ").removesuffix("s"), "verdict", "why"],
            [[o.name, o.order, _said(o.verdict), o.sentence.partition(": ")[2]] for o in orders],
            [],
        )
        for what, orders in (("published order", found.orders), ("claims", found.claims))
        if orders
    ]
    for title, heads, rows, notes in parts:
        cells = zip(heads, zip(*rows, strict=True), strict=True)
        yield title, [Strip([head], list(column), False) for head, column in cells], notes


_Part = tuple[list[str], list[str], list[list[str]], list[str]]


def _title(found: Checked, what: str, suite: str) -> list[str]:
    return [*([suite] if suite else []), found.board, what]


def _values(found: Checked, suite: str) -> _Part:
    """Title, heads, rows and notes of the published values."""
    rows = [[v.name, v.published, v.here, v.difference, _said(v.verdict)] for v in found.values]
    told = Counter(note for v in found.values for note in _notes(v))
    notes = [f"{note}  ({n} of {len(found.values)} values)" for note, n in told.items()]
    if any(v.verdict == "differs" for v in found.values):
        notes.append(words.REPRODUCTION)
    heads = ["where", "published", "here", "difference", "verdict"]
    return _title(found, "published numbers", suite), heads, rows, notes


def _said(verdict: Said) -> str:
    return f"{SYMBOLS[verdict]} {verdict}"


def _notes(value: CheckedValue) -> Iterator[str]:
    agreed = value.agreed
    if agreed is None:
        yield value.sentence
        return
    if agreed.agreement == "cannot tell":
        yield words.published(agreed, agreed.low, agreed.high)
    if agreed.default:
        yield words.DEFAULT_TOLERANCE
    if agreed.unused_std is not None:
        yield "A published ± is not used: what it measures is not stated."


def checked_json(found: Checked) -> dict[str, Any]:
    """Everything as JSON; numbers in the paper's unit, full float64."""
    return {
        "board": found.board,
        "file": found.file,
        "values": [_value_json(value) for value in found.values],
        "orders": [_order_json(order) for order in found.orders],
        "claims": [_order_json(claim) for claim in found.claims],
    }


def _value_json(found: CheckedValue) -> dict[str, Any]:
    number, agreed = found.value.number, found.agreed

    def theirs(x: float | None) -> float | None:
        return None if x is None else x / number.scale

    return {
        "at": found.value.spot.at,
        "metric": found.value.spot.metric,
        "published": number.printed,
        "std": number.std,
        "std_means": number.std_means,
        "source": found.value.source,
        "value": theirs(agreed.ours) if agreed else None,
        "difference": theirs(agreed.ours - agreed.theirs) if agreed else None,
        "lo": theirs(agreed.low) if agreed else None,
        "hi": theirs(agreed.high) if agreed else None,
        "tolerance": theirs(agreed.tolerance) if agreed else number.tolerance,
        "default_tolerance": agreed.default if agreed else number.tolerance is None,
        "verdict": found.verdict,
        "sentence": found.sentence,
    }


#: The fields of the CSV that a published value has beside the cell it is about.
CSV_FIELDS = (
    "published", "published_std", "tolerance", "default_tolerance", "difference", "difference_lo",
    "difference_hi", "verdict", "source",
)  # fmt: skip


def csv_fields(found: CheckedValue, scale: float) -> dict[str, Any]:
    """The value in the unit of the board, full float64; empty what is not known. scale: of its column."""
    number, agreed = found.value.number, found.agreed

    def ours(x: float | str | None) -> float | None:
        """In the unit of the board, of a number in the paper's: as decimals, which printed numbers are."""
        return None if x is None else float(Decimal(str(x)) * Decimal(str(number.scale)) * Decimal(scale))

    def shown(x: float | None) -> float | None:
        return None if x is None else x * scale

    default = shown(agreed.tolerance) if agreed else None
    fields = (
        ours(number.printed.strip()),
        ours(number.std),
        default if number.tolerance is None else ours(number.tolerance),
        number.tolerance is None,
        shown(agreed.ours - agreed.theirs) if agreed else None,
        shown(agreed.low) if agreed else None,
        shown(agreed.high) if agreed else None,
    )
    return dict(zip(CSV_FIELDS, (*fields, found.verdict, found.value.source), strict=True))


def _order_json(found: CheckedOrder) -> dict[str, Any]:
    return {
        "name": found.name,
        "order": found.order,
        "verdict": found.verdict,
        "p": found.found.p if found.found else None,
        "sentence": found.sentence,
    }


def published_lines(found: Checked) -> list[PublishedLine]:
    """The same for the HTML page: values, then orders and claims."""
    from .site import PublishedLine

    verdicts: dict[str, Literal["within tolerance", "same order", "differs", "cannot tell"]] = {
        "within tolerance": "within tolerance",
        "differs": "differs",
        "same order": "same order",
        "supported": "same order",
        "other order": "differs",
        "contradicted": "differs",
    }
    lines = [
        PublishedLine(
            found.board, v.name, v.published, v.here, v.difference,
            verdicts.get(v.verdict, "cannot tell"), v.sentence, v.value.source,
        )
        for v in found.values
    ]  # fmt: skip
    for order in (*found.orders, *found.claims):
        verdict = verdicts.get(order.verdict, "cannot tell")
        lines.append(
            PublishedLine(found.board, order.name, order.order, order.verdict, "", verdict, order.sentence)
        )
    return lines
