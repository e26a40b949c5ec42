"""The two columns that a suite's headline sets against each other, robustness and explanations, and how they
go together across its defenses.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..store import Store
from . import sides
from .aggregate import make_board
from .boards import boards_of
from .correlation import correlate
from .model import AcrossDefenses, Block, Cell, Column, Table, opposite

_EXPLANATIONS = ("attribution", "counterfactual", "synthesis")


@dataclass(frozen=True)
class Place:
    """A cell with the column and the row it stands in. at: all of its coordinates."""

    at: Mapping[str, str]
    block: Block
    column: Column
    row: int
    cell: Cell

    def is_one_of(self, controls: Collection[str]) -> bool:
        """Its attack or its explainer is: of its row or of its column."""
        return self.at.get("attack") in controls or self.at.get("explainer") in controls

    @property
    def value(self) -> float | None:
        """In the unit that is shown; None where there is no complete estimate."""
        e = self.cell.estimate
        if e is None or e.value is None or e.state in ("incomplete", "nan"):
            return None
        return e.value * self.column.scale

    @property
    def bounds(self) -> tuple[float, float] | None:
        e = self.cell.estimate
        if e is None or e.low is None or e.high is None:
            return None
        return e.low * self.column.scale, e.high * self.column.scale


@dataclass(frozen=True)
class Headline:
    """robust, explained: the columns; None where no board has one. attack: that of the robust one."""

    robust: Column | None
    explained: Column | None
    attack: str


def make_boards(store: Store, manifest: Mapping[str, Any], name: str | None = None) -> list[Table]:
    """All tables of a suite, or the one called `name`, from whatever the store holds now; the explanations'
    with what their defenses' robustness has to do with them."""
    return with_defenses([make_board(store, manifest, b) for b in boards_of(manifest, name)], manifest)


def with_defenses(tables: Sequence[Table], manifest: Mapping[str, Any]) -> list[Table]:
    """tables: of one suite."""
    found = across_defenses(tables, manifest)
    if not found:
        return list(tables)
    column = found[0].explained
    at = next(i for i, t in enumerate(tables) if any(c is column for b in t.blocks for c in b.columns))
    return [replace(t, defenses=found) if i == at else t for i, t in enumerate(tables)]


def places_of(tables: Iterable[Table], metric: str, **fixed_at: str) -> list[Place]:
    """All cells of a metric with these coordinates, each place once (the first board that has it)."""
    found: dict[frozenset[tuple[str, str]], Place] = {}
    for table in tables:
        for block in table.blocks:
            for c, column in enumerate(block.columns):
                if column.metric != metric:
                    continue
                if column.opposed:  # places are held against each other over defenses
                    direction, turned = opposite(column.direction), not column.turned
                    column = replace(column, direction=direction, turned=turned, opposed=False)
                for i, row in enumerate(block.rows):
                    at = {**block.at, **row.at, **column.at}
                    if all(at.get(k, label) == label for k, label in fixed_at.items()):
                        found.setdefault(frozenset(at.items()), Place(at, block, column, i, row.cells[c]))
    return list(found.values())


def by_model(places: Iterable[Place]) -> dict[tuple[str, str], list[Place]]:
    """Places by dataset and model."""
    found: dict[tuple[str, str], list[Place]] = {}
    for p in places:
        found.setdefault((p.at.get("dataset", ""), p.at.get("model", "")), []).append(p)
    return found


def headline(manifest: Mapping[str, Any], tables: Sequence[Table]) -> Headline:
    """The first board that ranks an attack's outcome by it, the first that ranks explanations. What judges
    the defense comes before what judges the attack. A control never is the headline."""
    judging = {m for m, about in manifest["metrics"].items() if about.get("judges", "defense") == "defense"}
    robust, attack = _headline(manifest, tables, ("perturbation",), "attack", judging)
    if robust is None:
        robust, attack = _headline(manifest, tables, ("perturbation",), "attack")
    explained, _ = _headline(manifest, tables, _EXPLANATIONS, "explainer")
    return Headline(robust, explained, attack)


def _headline(
    manifest: Mapping[str, Any],
    tables: Sequence[Table],
    consumed: Sequence[str],
    producer: str,
    metrics: Collection[str] | None = None,
) -> tuple[Column | None, str]:
    """The column, and the label of what produced what it measures: the suite's first where rows differ.
    metrics: only of these."""
    controls = set(manifest.get("controls", ()))
    labels = [label for label in manifest["labels"][producer] if label not in controls]
    for table in tables:
        for block in table.blocks:
            ordered = [] if block.ordered_by is None else [block.columns[block.ordered_by]]
            worst = [c for c in block.columns if c.derived]
            for column in [*ordered, *worst, *block.columns]:
                about = manifest["metrics"][column.metric]
                made_by = {**block.at, **column.at}.get(producer)
                in_rows = {row.at[producer] for row in block.rows if producer in row.at}
                if (
                    (metrics is None or column.metric in metrics)
                    and set(consumed) & set(about["consumes"])
                    and column.direction is not None
                    and about["scores"] != "set"
                    and (in_rows or (made_by is not None and made_by not in controls))
                ):
                    return column, made_by or next((label for label in labels if label in in_rows), "")
    return None, ""


def headline_places(tables: Sequence[Table], chosen: Headline) -> tuple[list[Place], list[Place]]:
    """The cells of both columns: one a defense; one a defense, explainer and input that was explained."""
    robust, explained = [], []
    if chosen.robust is not None:
        fixed = {"attack": chosen.attack} if chosen.attack else {}
        robust = [p for p in places_of(tables, chosen.robust.metric, **fixed) if "defense" in p.at]
    if chosen.explained is not None:
        found = places_of(tables, chosen.explained.metric)
        explained = [p for p in found if "explainer" in p.at and "defense" in p.at]
    return robust, explained


def across_defenses(tables: Sequence[Table], manifest: Mapping[str, Any]) -> tuple[AcrossDefenses, ...]:
    """For every dataset, model and explainer (no control) the rank correlation over its defenses."""
    chosen = headline(manifest, tables)
    if chosen.robust is None or chosen.explained is None:
        return ()
    controls = set(manifest.get("controls", ()))
    robust, explained = headline_places(tables, chosen)
    rows = {
        (name, p.at["defense"]): p
        for name, places in by_model(robust).items()
        for p in places
        if not p.is_one_of(controls) and p.value is not None
    }
    robust_way = sides.defenders(manifest["metrics"][chosen.robust.metric])
    wanted = (robust_way, chosen.explained.direction)
    points: dict[tuple[str, str, str], list[tuple[Place, Place]]] = {}
    for name, places in by_model(explained).items():
        for p in places:
            x = rows.get((name, p.at["defense"]))
            clean = p.at.get("on", "clean") == "clean"
            if x and clean and not p.is_one_of(controls) and p.value is not None:
                points.setdefault((*name, p.at["explainer"]), []).append((x, p))
    return tuple(
        AcrossDefenses(
            {c: label for c, label in zip(("dataset", "model", "explainer"), at, strict=True) if label},
            chosen.robust,
            chosen.attack,
            chosen.explained,
            correlate(*_turned([(x.value, y.value) for x, y in pairs], wanted), _single_seeds(pairs, wanted)),
        )
        for at, pairs in points.items()
    )


def _single_seeds(
    pairs: Sequence[tuple[Place, Place]], wanted: tuple[str | None, str | None]
) -> list[tuple[Any, Any]]:
    """Both columns, seed by seed, of the seeds that every defense has."""
    each = [zip(x.cell.by_seed, y.cell.by_seed, strict=False) for x, y in pairs]
    seeds = [list(seed) for seed in zip(*each, strict=False)]
    return [_turned(seed, wanted) for seed in seeds if all(None not in point for point in seed)]


def _turned(
    points: Sequence[tuple[float | None, float | None]], wanted: tuple[str | None, str | None]
) -> tuple[Any, Any]:
    """The two axes (k,), each so that more is better. wanted: their directions."""
    import numpy as np

    signs = [-1.0 if direction == "lower" else 1.0 for direction in wanted]
    x, y = np.array(points, dtype=np.float64).T * np.array(signs)[:, None]
    return x, y
