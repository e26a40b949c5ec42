"""Which cells of a suite stand where on a board: blocks of rows and columns, and the seeds in each place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from ..store.cells import Cells, cells_in
from .cells import COORDINATES

if TYPE_CHECKING:
    import numpy as np

#: (coordinate, label), ... in the order in which they are shown.
Pairs = tuple[tuple[str, str], ...]
#: What a column is called: its metric and its coordinates.
Head = tuple[str, Pairs]


class Asked(NamedTuple):
    """The cells of a column: of each row the keys of its seeds in ascending order, of their samples, and of
    what was measured; empty where the column does not apply."""

    keys: Sequence[tuple[str, ...]]
    selections: Sequence[tuple[str, ...]]
    results: Sequence[tuple[str, ...]]


@dataclass(eq=False)
class Grid:
    """The cells of one block. rows, heads: in the order of the manifest, and what `spans` calls them.

    spans: for each head the cells of its column and their rows, by row and seed. selections, results: which
    each cell has.
    """

    block: Pairs
    cells: Cells
    rows: dict[Pairs, int]
    heads: dict[Head, int]
    spans: Mapping[int, tuple[np.ndarray, np.ndarray]]
    selections: np.ndarray
    results: np.ndarray

    def asked(self, head: Head, rows: Sequence[Pairs]) -> Asked:
        """A column, its rows in this order."""
        import numpy as np

        cells, lines = self.spans[self.heads[head]]
        names = np.array([self.rows[row] for row in rows])
        starts, ends = (np.searchsorted(lines, names, side) for side in ("left", "right"))
        cuts = [slice(*cut) for cut in zip(starts.tolist(), ends.tolist(), strict=True)]

        def of_rows(values: Sequence[str], which: np.ndarray) -> list[tuple[str, ...]]:
            ids: list[int] = which.tolist()
            alike = (which == ids[0]).all()
            listed = [values[ids[0]]] * len(ids) if alike else [values[i] for i in ids]
            return [tuple(listed[cut]) for cut in cuts]

        selections, results = self.cells.selections.values, self.cells.results.values
        return Asked(
            of_rows(self.cells.keys, cells),
            of_rows(selections, self.selections[cells]),
            of_rows(results, self.results[cells]),
        )


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
    heads = [(pairs[0][1], pairs[1:]) for pairs in columns]
    seed = np.asarray(cells.at["seed"].values)[which["seed"]]
    order = np.lexsort((seed, line, column, block))
    starts = np.flatnonzero(np.diff(block[order] * len(columns) + column[order], prepend=-1)).tolist()
    spans: list[dict[int, tuple[np.ndarray, np.ndarray]]] = [{} for _ in blocks]
    for start, end in pairwise([*starts, len(order)]):
        some = order[start:end]
        spans[block[some[0]]][int(column[some[0]])] = found[some], line[some]
    interned = [np.asarray(of.which) for of in (cells.selections, cells.results)]
    return [
        Grid(
            pairs,
            cells,
            {lines[i]: i for i in _first(line[block == b])},
            {heads[i]: i for i in _first(column[block == b])},
            spans[b],
            *interned,
        )
        for b, pairs in enumerate(blocks)
    ]


def _first(codes: np.ndarray) -> list[int]:
    """The distinct ones, in the order in which they appear."""
    import numpy as np

    kinds, first = np.unique(codes, return_index=True)
    return kinds[np.argsort(first)].tolist()


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
