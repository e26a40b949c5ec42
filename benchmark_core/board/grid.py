"""Which cells of a suite stand where on a board: blocks of rows and columns, and the seeds in each place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..store.cells import Cells, cells_in
from .cells import COORDINATES, Seed

if TYPE_CHECKING:
    import numpy as np

#: (coordinate, label), ... in the order in which they are shown.
Pairs = tuple[tuple[str, str], ...]
#: What a column is called: its metric and its coordinates.
Head = tuple[str, Pairs]


@dataclass(eq=False)
class Grid:
    """The cells of one block. rows, heads: in the order of the manifest."""

    block: Pairs
    cells: Cells
    rows: dict[Pairs, int] = field(default_factory=dict)
    heads: dict[Head, int] = field(default_factory=dict)
    places: dict[tuple[int, int], Sequence[int]] = field(default_factory=dict)

    def seeds(self, head: Head, rows: Iterable[Pairs]) -> list[list[Seed]]:
        """The seeds of a column, in ascending order, one list a row; empty where it does not apply."""
        column, keys, places = self.heads[head], self.cells.keys, self.places
        seeds, seed = self.cells.at["seed"]
        selections, selection = self.cells.selections
        results, result = self.cells.results
        return [
            [
                Seed(seeds[seed[i]], keys[i], selections[selection[i]], results[result[i]])
                for i in places.get((self.rows[row], column), ())
            ]
            for row in rows
        ]


def grids_of(
    manifest: Mapping[str, Any], rows: Sequence[str], metrics: Sequence[str], without: str | None
) -> list[Grid]:
    """The blocks of a board whose rows are told apart by these coordinates, in the order of the manifest.

    Cells count that have one of the metrics, all coordinates of `rows`, and no coordinate `without`.
    """
    import numpy as np

    cells = cells_in(manifest)
    if not len(cells):
        return []
    names = [c for c in COORDINATES if c in cells.at]
    which = {c: np.asarray(cells.at[c].which) for c in (*names, "metric", "seed")}
    kept = np.array([label in metrics for label in cells.at["metric"].values])[which["metric"]]
    for c in rows:
        kept &= which[c] >= 0 if c in which else False
    if without in which:
        kept &= which[without] < 0
    found = np.flatnonzero(kept)
    if not len(found):
        return []
    which = {c: ids[found] for c, ids in which.items()}
    blocks, block = _pairs(cells, which, [c for c in names if c == "dataset" and c in rows])
    lines, line = _pairs(cells, which, [c for c in names if c != "dataset" and c in rows])
    columns, column = _pairs(cells, which, ["metric", *(c for c in names if c not in rows)])
    grids = [Grid(pairs, cells) for pairs in blocks]
    heads = [(pairs[0][1], pairs[1:]) for pairs in columns]
    place = (block * len(lines) + line) * len(columns) + column
    seed = np.asarray(cells.at["seed"].values)[which["seed"]]
    order = np.lexsort((seed, place))
    ends = np.flatnonzero(np.diff(place[order], append=-1)) + 1
    starts = [0, *ends[:-1].tolist()]
    first = np.minimum.reduceat(order, starts)  # the cell of the place that the manifest names first
    for p in np.argsort(first).tolist():
        cut, at = order[starts[p] : ends[p]], order[starts[p]]
        grid, r, c = grids[block[at]], int(line[at]), int(column[at])
        grid.rows.setdefault(lines[r], r)
        grid.heads.setdefault(heads[c], c)
        grid.places[r, c] = found[cut].tolist()
    return grids


def _pairs(
    cells: Cells, which: Mapping[str, np.ndarray], names: Sequence[str]
) -> tuple[list[Pairs], np.ndarray]:
    """The distinct (coordinate, label) pairs in these coordinates, in the order in which they appear, and
    which of them each cell has."""
    import numpy as np

    code, bound = np.zeros(len(which["metric"]), dtype=np.int64), 1
    for c in names:
        size = len(cells.at[c].values) + 1
        if bound * size >= 2**62:
            kinds, code = np.unique(code, return_inverse=True)
            bound = len(kinds)
        code, bound = code * size + which[c] + 1, bound * size
    _, first, code = np.unique(code, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))

    def pairs(i: int) -> Pairs:
        return tuple((c, cells.at[c].values[at]) for c in names if (at := int(which[c][i])) >= 0)

    return [pairs(i) for i in first[order].tolist()], place[code]
