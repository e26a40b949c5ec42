"""What the page says first: a verdict on each dataset, and how to read the pictures."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import product

from .. import words
from ..formats import plural
from ..headline import Headline
from ..model import Block, Column, Table
from ..strips import told_name, verdict_of
from .tradeoff import Picture

_MOST = 3


def verdict(
    tables: Sequence[Table], chosen: Headline, controls: Collection[str]
) -> list[tuple[str, list[str]]]:
    """(dataset, sentences) for the first datasets. Where a headline has no verdict, that is said."""
    blocks = [block for table in tables for block in table.blocks]
    if not any(column.ranking for block in blocks for column in block.columns):
        several = any(len(block.rows) > 1 for block in blocks)
        text = "No row is ranked: the order shown is the order of the estimates." if several else ""
        return [("", [text])] if text else []
    said: dict[str, dict[str, str]] = {}  # by dataset and metric
    names: dict[str, dict[str, None]] = {}
    asked = [column for column in (chosen.robust, chosen.explained) if column is not None]
    for column in asked:
        for block in _beside(tables, column):
            dataset = block.at.get("dataset", "")
            names.setdefault(dataset, {}).update({at: None for c, at in block.at.items() if c == "model"})
            said.setdefault(dataset, {})[column.metric] = _told(block, column, controls)
    if "" not in said:
        for sentences, column in product(said.values(), asked):
            sentences.setdefault(column.metric, _not_measured(column))
    found = [
        (
            " · ".join([dataset, *names[dataset]]),
            [text for column in asked if (text := of.get(column.metric, ""))],
        )
        for dataset, of in said.items()
    ]
    found = [(name, sentences) for name, sentences in found if sentences]
    more = len(found) - _MOST
    rest = [("", [f"{plural(more, 'more dataset')}: see their boards."])] if more > 0 else []
    return [*found[:_MOST], *rest]


def _beside(tables: Sequence[Table], column: Column) -> Sequence[Block]:
    """The blocks of the board that has this column."""
    return next((t.blocks for t in tables if any(c is column for b in t.blocks for c in b.columns)), ())


def _told(block: Block, column: Column, controls: Collection[str]) -> str:
    """What a headline's column says in a block; where the block lacks it, the first of its metric that no
    control made."""
    if len(block.rows) == 1:
        return ""
    of_metric = [(i, c) for i, c in enumerate(block.columns) if c.metric == column.metric]
    alike = [i for i, c in of_metric if dict(c.shown) == dict(column.shown)]
    others = [i for i, c in of_metric if not set(c.at.values()) & set(controls)]
    for i in [*alike, *others][:1]:
        return verdict_of(block, i) or f"No row is ranked on {told_name(block.columns[i])}."
    return _not_measured(column)


def _not_measured(column: Column) -> str:
    return f"{capital(column.metric)} is not measured here."


def reading(drawn: Sequence[Picture]) -> str:
    """How to read the pictures."""
    said = ["Each mark is one defense and explainer with its 95 % intervals; better is up and to the right."]
    if any(" ≈ " in label.full for p in drawn for label in p.labels):
        said.append("Defenses joined by ≈ cannot be separated in robustness.")
    if any(p.compared for p in drawn):
        said.append(
            "Hollow marks are clearly beaten by another row of their picture (Holm over both columns)."
        )
        said.append(f"Filled marks are the front: {words.FRONT[:1].lower()}{words.FRONT[1:]}")
    if any(p.front for p in drawn):
        said.append("The dashed line joins those that no estimate exceeds on both axes.")
    return " ".join(said)


def capital(text: str) -> str:
    """As at the start of a sentence."""
    return text[:1].upper() + text[1:]
