"""The cells of a suite in its manifest, by column: every coordinate, selection and result as a list of its
distinct values and, for each cell, which of them it has (-1: none). Keys stand one a cell.

    {"at": {"dataset": [["digits"], [0, 0, ...]], ...}, "key": [...], "selection": [[...], [...]], ...}

Manifests written before hold a list of [coordinates, key, selection, result]; everything here reads both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..errors import RobexError

#: Coordinates of one cell, its key, and the keys of its samples and of what was measured.
Listed = tuple[dict[str, Any], str, str, str]


class Interned(NamedTuple):
    """A value a cell: values[which[i]], none where which[i] is -1."""

    values: Sequence[Any]
    which: Sequence[int]

    def listed(self) -> list[Any]:
        values = [*self.values, None]
        return [values[i] for i in self.which]


class Cells(NamedTuple):
    """All cells of a suite. at: by coordinate, the seed among them."""

    at: Mapping[str, Interned]
    keys: Sequence[str]
    selections: Interned
    results: Interned

    def __len__(self) -> int:
        return len(self.keys)

    def listed(self) -> Iterator[Listed]:
        """One after the other."""
        names = list(self.at)
        places = zip(*(column.listed() for column in self.at.values()), strict=True)
        rest = (self.keys, self.selections.listed(), self.results.listed())
        for place, key, selection, result in zip(places, *rest, strict=True):
            at = {c: label for c, label in zip(names, place, strict=True) if label is not None}
            yield at, key, selection, result


def packed(cells: Iterable[Sequence[Any]]) -> dict[str, Any]:
    """The entry of a manifest for cells (coordinates, key, selection, result)."""
    listed = list(cells)
    names = dict.fromkeys(c for at, *_ in listed for c in at)
    return {
        "at": {c: _interned([at.get(c) for at, *_ in listed]) for c in names},
        "key": [cell[1] for cell in listed],
        "selection": _interned([cell[2] for cell in listed]),
        "result": _interned([cell[3] if len(cell) > 3 else "" for cell in listed]),
    }


def cells_in(manifest: Mapping[str, Any]) -> Cells:
    """The cells of a manifest."""
    found = manifest["cells"]
    if not isinstance(found, Mapping):
        found = packed(found)
    return Cells(
        {c: Interned(*column) for c, column in found["at"].items()},
        found["key"],
        Interned(*found["selection"]),
        Interned(*found["result"]),
    )


def nodes_in(manifest: Mapping[str, Any]) -> list[str]:
    """Keys of all nodes that the last run of a suite planned."""
    if "nodes" not in manifest:
        raise RobexError(f"suite {manifest['suite']}: which nodes it needs is not kept; run the suite again")
    return manifest["nodes"]


def _interned(values: Sequence[Any]) -> tuple[list[Any], list[int]]:
    of = {value: i for i, value in enumerate(dict.fromkeys(v for v in values if v is not None))}
    return list(of), [-1 if value is None else of[value] for value in values]
