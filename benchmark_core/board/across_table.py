"""How a column over datasets, and a correlation over defenses, look as text: strings for every format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import words
from .cells import COORDINATES
from .formats import fixed, plural, significant
from .model import Across, AcrossDefenses, AcrossRow, Table
from .ranks import letter
from .strips import Strip, column_name, producers, ties_text

_NAMED = 4


def title_of(across: Across) -> list[str]:
    """`across 2 datasets`, `digits, wine`, `robust-accuracy % ↑ worst of 3`."""
    names = [" · ".join(at.values()) for at in across.blocks]
    return [
        f"across {plural(len(across.blocks), 'dataset')}",
        words.listed(names, _NAMED),
        " ".join([column_name(across.column), *producers(across.column)]),
    ]


def strips_of(across: Across, top: int | None = None) -> list[Strip]:
    rows = across.rows[:top]
    labels = [c for c in COORDINATES if any(c in row.at for row in across.rows)]
    strips = [Strip([c], [row.at.get(c, "") for row in rows], False) for c in labels]
    strips.append(Strip(["wins-ties-losses"], [str(row.record) if row.ranked else "–" for row in rows]))
    if any(row.mean is not None for row in across.rows):
        strips.append(Strip(["mean"], [_mean(across, row) for row in rows]))
    if (found := across.critical) is not None:
        at = {i: k for k, i in enumerate(across.compared)}
        ranks = [fixed(found.mean_ranks[at[i]], 2) if i in at else "–" for i in range(len(rows))]
        letters = [
            "".join(letter(g) for g, group in enumerate(found.groups) if i in at and at[i] in group)
            for i in range(len(rows))
        ]
        strips += [Strip(["mean rank"], ranks), Strip(["ties"], [ties_text(text) for text in letters], False)]
    ranked = [f"{row.ranked} of {len(across.blocks)}" for row in rows]
    strips.append(Strip(["ranked in"], ranked, False))
    return strips


def notes_of(across: Across) -> list[str]:
    compared, means = len(across.compared), {row.mean is None for row in across.rows}
    notes = ["No mean (–): the row is not complete on every dataset."] if len(means) > 1 else []
    if across.critical is not None:
        return [*notes, words.MEAN_RANKS.format(k=compared)]
    if compared < 2:
        return notes
    needed, there = across.needed, len(across.blocks)
    return [*notes, f"A test over datasets of {compared} rows takes {needed} datasets; there are {there}."]


def defense_lines(tables: Sequence[Table], *, least: int) -> list[str]:
    """The correlations of all suites as text, a line each; nothing where no defense list has `least`."""
    lines: list[str] = []
    for table in tables:
        told = [d for d in table.defenses if d.found.k >= least]
        if told:
            columns = [
                " ".join(filter(None, (told[0].robust.metric, told[0].attack))),
                told[0].explained.metric,
            ]
            lines.append(f"Across defenses, {columns[0]} against {columns[1]}: {words.TURNED}")
            models = {d.at.get("model") for d in told}
            lines += [f"{_of(d, model=len(models) > 1)}: {words.correlation(d.found)}" for d in told]
            lines.append(words.CHOSEN)
    return lines


def _of(one: AcrossDefenses, *, model: bool) -> str:
    return " · ".join(label for c, label in one.at.items() if model or c != "model")


def _mean(across: Across, row: AcrossRow) -> str:
    return "–" if row.mean is None else significant(row.mean * across.column.scale)


# --- JSON ----------------------------------------------------------------------------------------------


def across_json(across: Across) -> dict[str, Any]:
    column, found = across.column, across.critical
    names = [across.rows[i].name for i in across.compared]
    return {
        "metric": column.metric,
        "at": dict(column.at),
        "unit": column.unit,
        "direction": column.direction,
        "blocks": [dict(at) for at in across.blocks],
        "rows": [
            {
                "at": dict(row.at),
                "wins": row.record.wins,
                "ties": row.record.ties,
                "losses": row.record.losses,
                "ranked": row.ranked,
                "mean": None if row.mean is None else row.mean * column.scale,
            }
            for row in across.rows
        ],
        "blocks_needed": across.needed,
        "mean_ranks": None
        if found is None
        else {
            "rows": names,
            "mean_ranks": list(found.mean_ranks),
            "p_holm": found.p_holm.tolist(),
            "groups": [[names[k] for k in group] for group in found.groups],
        },
    }


def defenses_json(one: AcrossDefenses) -> dict[str, Any]:
    found = one.found
    robust = {"metric": one.robust.metric, **({"attack": one.attack} if one.attack else {})}
    return {
        "at": dict(one.at),
        "robust": robust,
        "explained": {"metric": one.explained.metric},
        "defenses": found.k,
        "rho": found.rho,
        "p": found.p,
        "exact": found.exact,
        "lo": found.low,
        "hi": found.high,
        "single_seeds": None if found.single_low is None else [found.single_low, found.single_high],
    }
