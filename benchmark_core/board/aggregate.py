"""From a suite's manifest and its records to tables: blocks, their rows and their columns."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from ..store import Store
from . import gates, sides
from .across import completed
from .cells import COORDINATES, Reader
from .columns import Columns, Lines
from .grid import Asked, Grid, Head, Pairs, grids_of
from .model import Block, Row, Table
from .order import in_order, ordering, ranked_first, why_ordered
from .standing import reordered


def make_board(store: Store | None, manifest: Mapping[str, Any], board: Mapping[str, Any]) -> Table:
    """The table of one board, from whatever the store holds of it now (None: nothing). Damaged nodes are set
    aside."""
    reader = Reader(store, set_aside=True)
    try:
        with _undisturbed():
            return completed(_Maker(reader, manifest, board).table(), manifest)
    finally:
        reader.close()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """On one thread, so that sums do not depend on how many the machine has, nor do small products wait for
    others; and without looking for garbage: a large board has millions of objects, and none is."""
    import numpy  # noqa: F401  its threads can be set once it is there
    from threadpoolctl import threadpool_limits

    collects = gc.isenabled()
    gc.disable()
    try:
        with threadpool_limits(1):
            yield
    finally:
        if not gc.get_freeze_count():  # what was made counts as old: looked through some day, not now
            gc.freeze()
            gc.unfreeze()
        if collects:
            gc.enable()


@dataclass(frozen=True)
class _Laid:
    """A block of which nothing is read yet: its rows, and the cells of every column."""

    block: Pairs
    rows: Sequence[Pairs]
    heads: Mapping[Head, Asked]


@dataclass
class _Maker:
    reader: Reader
    manifest: Mapping[str, Any]
    board: Mapping[str, Any]
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        labels = self.manifest["labels"]
        kinds = {"on": "attack"}
        self._order = {
            c: {label: i for i, label in enumerate(labels.get(kinds.get(c, c), []), start=1)}
            for c in (*COORDINATES, "metric")
        }
        patterns = self.board["metrics"] or ("*",)
        known = self.manifest["metrics"]
        self._metrics = list(dict.fromkeys(m for p in patterns for m in known if fnmatchcase(m, p)))
        self._order["metric"] = {m: i for i, m in enumerate(self._metrics)}
        self.columns = Columns(self.reader, self.manifest, self.board["rows"], self.warnings)

    def table(self) -> Table:
        if changed := self.manifest.get("overrides"):
            shown = ", ".join(f"{name} {value}" for name, value in changed.items())
            self.warnings.append(f"A quick look, not the whole suite: {shown}.")
        grids = grids_of(self.manifest, self.board["rows"], self._metrics, self.board.get("without"))
        laid = [self._laid(grid) for grid in sorted(grids, key=lambda grid: self._rank(grid.block))]
        self.reader.expect(asked.keys for one in laid for asked in one.heads.values())
        made = tuple(map(self._block, laid))
        why = why_ordered(made, self._metrics) if self.board["rank_by"] is None else ()
        return Table(
            self.manifest["suite"],
            self.manifest["version"],
            self.board["name"],
            made,
            (*self.warnings, *self.reader.damaged),
            (*why, *sides.notes(made, self.board["rows"])),
        )

    # -- which cells --

    def _rank(self, pairs: Iterable[tuple[str, str]]) -> list[tuple[int, int]]:
        """Sorts coordinates by the order of the suite; `clean` comes before attacks."""
        return [(COORDINATES.index(c), self._order[c].get(label, 0)) for c, label in pairs]

    # -- one block --

    def _laid(self, grid: Grid) -> _Laid:
        rows = sorted(grid.rows, key=self._rank)
        heads = sorted(grid.heads, key=lambda h: (self._order["metric"][h[0]], self._rank(h[1])))
        return _Laid(grid.block, rows, {head: grid.asked(head, rows) for head in heads})

    def _block(self, laid: _Laid) -> Block:
        block, rows = laid.block, laid.rows
        constant = _constant(list(laid.heads))
        fixed = _same([dict(row) for row in rows])
        if len(rows) == 1:  # something has to name the row
            fixed.popitem()
        places = [dict(row) for row in rows]
        references = {i for i, at in enumerate(places) if self.columns.is_reference({**dict(block), **at})}
        lines = Lines(
            [" · ".join(at.values()) for at in places],
            references,
            gates.beside_controls(places, self.manifest),
        )
        of_heads = [
            self.columns.made(
                metric, dict(pairs), {c: label for c, label in pairs if c not in constant}, asked, lines
            )
            for (metric, pairs), asked in laid.heads.items()
        ]
        made = self.columns.with_worst_cases(of_heads, lines)
        flags = self.columns.flags(made, places)
        controls = set(self.manifest.get("controls", ()))
        made_rows = [
            Row(
                dict(row),
                tuple(one.cells[i] for one in made),
                tuple(flags[i]),
                any(label in controls for c, label in row if c in ("attack", "explainer")),
                i in references,
            )
            for i, row in enumerate(rows)
        ]
        columns = [one.column for one in made]
        by = ordering(columns, self.board["rank_by"], self.manifest["metrics"])
        order = in_order(columns, made_rows, by)
        shown = ranked_first(columns, by)
        return Block(
            {**dict(block), **constant, **fixed},
            tuple(c for c, _ in rows[0] if c not in fixed),
            tuple(reordered(columns[i], order) for i in shown),
            tuple(replace(made_rows[i], cells=tuple(made_rows[i].cells[c] for c in shown)) for i in order),
            None if by is None else 0,
        )


def _constant(heads: Sequence[Head]) -> dict[str, str]:
    """Coordinates that all columns share: the title has them, not every header."""
    first, *others = (set(pairs) for _, pairs in heads)
    shared = first.intersection(*others)
    return {c: label for c, label in heads[0][1] if (c, label) in shared}


def _same(rows: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Coordinates that all rows share."""
    return {c: label for c, label in rows[0].items() if all(row[c] == label for row in rows)}
