"""What holds over all blocks of a board: wins, ties and losses of each row, its mean, which rows differ, and
the params that the attacks share.

No row gets a rank here: whoever leads by mean rank depends on who else is on the board.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import repeat
from typing import Any

from .blocks import CriticalDifference, blocks_needed, critical_difference, mean_over_blocks, wins_ties_losses
from .model import Across, AcrossRow, Block, Column, Row, Table
from .ranks import Direction, Standing
from .statistics import Estimate

#: A column or a row wherever it stands: its metric and coordinates.
_Key = tuple[tuple[str, str], ...]
#: A column of a block, and the numbers of its rows.
_At = tuple[Block, int, Sequence[int]]


def completed(table: Table, manifest: Mapping[str, Any]) -> Table:
    """The table with all that its blocks say together."""
    return replace(
        table, across=across_blocks(table.blocks), notes=(*table.notes, *_attacks(table, manifest))
    )


def across_blocks(blocks: Sequence[Block]) -> tuple[Across, ...]:
    """The columns with a direction that two or more blocks have, the one that orders the board first.

    Blocks of one model each (another for every dataset) count it as their own: rows and columns then match
    without it.
    """
    own = [c for c in ("model",) if all(c in block.at for block in blocks)]
    names: dict[_Key, int] = {}  # of rows; columns work with their numbers
    found: dict[_Key, list[_At]] = {}
    for block in blocks:
        rows = [names.setdefault(_key(row.at, own), len(names)) for row in block.rows]
        for i, column in enumerate(block.columns):
            if column.direction is not None:
                found.setdefault(_column_key(column, own), []).append((block, i, rows))
    shared = [places for places in found.values() if len(places) > 1]
    shared.sort(key=lambda places: all(block.ordered_by != i for block, i, _ in places))
    made = (_across(places, list(names)) for places in shared)
    return tuple(
        a for a in made if len(a.rows) > 1 and any(r.ranked > 1 or r.mean is not None for r in a.rows)
    )


def _across(places: Sequence[_At], names: Sequence[_Key]) -> Across:
    """names: what the rows are called whose numbers the places have."""
    first = places[0][0].columns[places[0][1]]
    standings: list[dict[int, Standing | None]] = []
    estimates: list[dict[int, Estimate | None]] = []
    for block, i, numbers in places:
        ranking = block.columns[i].ranking
        shown = ranking.standings if ranking else repeat(None)
        standings.append(dict(zip(numbers, shown, strict=False)))
        estimates.append({k: _shared(block, i, row) for k, row in zip(numbers, block.rows, strict=True)})
    records = wins_ties_losses(standings)
    measures = [(block.columns[i].unit, block.columns[i].direction) for block, i, _ in places]
    everywhere = set(names[next(iter(records))]).intersection(*(names[k] for k in records))
    made = {
        k: AcrossRow(
            {c: label for c, label in names[k] if (c, label) not in everywhere} or dict(names[k][-1:]),
            record,
            sum(of.get(k) is not None for of in standings),
            mean_over_blocks(measures, [of.get(k) for of in estimates]),
        )
        for k, record in records.items()
    }
    order = sorted(made, key=lambda k: _place(made[k]))
    values = [[_value(of.get(k)) for of in estimates] for k in order]
    compared = tuple(n for n, of_row in enumerate(values) if None not in of_row)
    direction: Direction = "lower" if first.direction == "lower" else "higher"
    titles = [block.at for block, *_ in places]
    same = {c for c in titles[0] if all(t.get(c) == titles[0][c] for t in titles)}
    return Across(
        replace(first, ranking=None),
        tuple({c: label for c, label in t.items() if c not in same} for t in titles),
        tuple(made[k] for k in order),
        _critical([values[n] for n in compared], [made[order[n]].name for n in compared], direction),
        compared,
        blocks_needed(len(compared)),
    )


def _place(row: AcrossRow) -> tuple[bool, int, str]:
    return not row.ranked, row.record.losses - row.record.wins, row.name


def _critical(
    values: Sequence[Sequence[float | None]], names: Sequence[str], direction: Direction
) -> CriticalDifference | None:
    """values: (K, N), a row for each name."""
    if len(values) < 2:
        return None
    import numpy as np

    return critical_difference(np.array(values, dtype=np.float64).T, names, direction)


def _column_key(column: Column, own: Sequence[str]) -> _Key:
    return (("metric", column.metric), *_key(column.at, own))


def _key(at: Mapping[str, str], own: Sequence[str]) -> _Key:
    return tuple((c, label) for c, label in at.items() if c not in own)


def _shared(block: Block, i: int, row: Row) -> Estimate | None:
    """What stands beside other rows: nothing where they were measured on other samples."""
    return row.cells[i].estimate if block.columns[i].comparable else None


def _value(estimate: Estimate | None) -> float | None:
    """A finite estimate of a row that could be ranked."""
    if estimate is None or estimate.value is None or estimate.state != "ok":
        return None
    return estimate.value if math.isfinite(estimate.value) else None


def _attacks(table: Table, manifest: Mapping[str, Any]) -> list[str]:
    """`All attacks: eps=0.1.`: the headers name attacks by what tells them apart."""
    methods: Mapping[str, Any] = manifest.get("methods", {}).get("attack", {})
    places = [at for b in table.blocks for at in (b.at, *(r.at for r in b.rows), *(c.at for c in b.columns))]
    named = {at.get(c) for at in places for c in ("attack", "on")} - set(manifest.get("controls", ()))
    attacks: list[str] = [label for label in methods if label in named]
    if not attacks:
        return []
    first, *others = (methods[label]["params"] for label in attacks)
    shared = [
        f"{name}={_param(value)}"
        for name, value in first.items()
        if value is not None and all(name in other and other[name] == value for other in others)
    ]
    told = [f"{_who(attacks, manifest)}: {', '.join(shared)}."] if shared else []
    # A radius says how strong an attack is: it is told wherever the header does not.
    told += [
        f"{label}: eps={_param(params['eps'])}."
        for label in attacks
        if (params := methods[label]["params"]).get("eps") is not None
        and "eps=" not in label
        and not any(part.startswith("eps=") for part in shared)
    ]
    told += dict.fromkeys(text for block in table.blocks for text in _spans(block, methods))
    return [" ".join(told)] if told else []


def _spans(block: Block, methods: Mapping[str, Any]) -> Iterator[str]:
    """For a worst case over attacks of several radii, which they are: the largest decides most of it."""
    for column in block.columns:
        if column.derived:
            over = {c.at.get("attack") for c in block.columns if c.metric == column.metric}
            radii: dict[str, set[float]] = {}  # "": an attack of one norm only has no such param
            for params in (methods[label]["params"] for label in methods if label in over):
                if isinstance(eps := params.get("eps"), int | float):
                    radii.setdefault(str(params.get("norm", "")), set()).add(eps)
            several = [of_norm for of_norm in radii.values() if len(of_norm) > 1]
            wide = [sorted(one) for one in several if not any(one < other for other in several)]
            if wide:
                shown = "; ".join(dict.fromkeys(", ".join(map(_param, of_norm)) for of_norm in wide))
                yield f"{column.at['attack']} spans eps {shown}: what withstands it withstands the largest."


def _who(attacks: Sequence[str], manifest: Mapping[str, Any]) -> str:
    if len(attacks) == 1:
        return attacks[0]
    null = set(manifest.get("controls", ())) & set(manifest.get("labels", {}).get("attack", ()))
    return "All attacks but controls" if null else "All attacks"


def _param(value: Any) -> str:
    if isinstance(value, Mapping):
        return str(value.get("use", "..."))
    return (
        str(value).lower()
        if isinstance(value, bool)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )
