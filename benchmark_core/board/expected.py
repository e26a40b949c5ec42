"""A board's `expected:` file: published values and ordered claims, each tied to the cells of the board
that it is about. `reproduction` puts them beside what was measured.

    values:
      - {at: {dataset: mnist, defense: Strong-AT}, metric: implausibility, value: "0.221", source: Table 1}
    claims:
      - {claim: Strong-AT < Weak-AT < Standard, metric: implausibility, at: {dataset: mnist}, over: defense}
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt

from ..errors import Problem, RobexError, did_you_mean
from ..suite.fields import Checker
from ..suite.nodes import Mark, Node, Problems, Source, parse, read_text, show
from . import words
from .aggregate import make_board
from .cells import COORDINATES
from .claims import parse_claim
from .model import Block, Cell, Column, Row, Table
from .published import Published

VALUE_TYPES: Mapping[str, Any] = {
    "metric": str,
    "value": str,
    "tolerance": Annotated[float, Ge(0)],
    "std": Annotated[float, Ge(0)],
    "std_means": Literal["seeds", "standard-error", "ci95"],
    "runs": Annotated[int, Ge(1)],
    "scale": Annotated[float, Gt(0)],
    "source": str,
}
CLAIM_TYPES: Mapping[str, Any] = {"claim": str, "metric": str, "over": str}
_LISTS = ("values", "claims")


class ExpectedErrors(RobexError):
    """Everything that is wrong with an `expected:` file, in its order."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(set(problems))
        super().__init__("\n".join(map(str, self.problems)))


# --- what a file says ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Spot:
    """A cell of a board: the coordinates of its block and row, and its column's metric and coordinates."""

    block: tuple[tuple[str, str], ...]
    row: tuple[tuple[str, str], ...]
    metric: str
    column: tuple[tuple[str, str], ...]

    @property
    def at(self) -> dict[str, str]:
        return {**dict(self.block), **dict(self.row), **dict(self.column)}


@dataclass(frozen=True)
class PublishedValue:
    """A published number and the cell it belongs to. source: where it was printed."""

    spot: Spot
    number: Published
    source: str = ""


@dataclass(frozen=True)
class Claim:
    """An ordered claim: labels in ascending order of values, and the cell of each."""

    text: str
    labels: tuple[str, ...]
    spots: tuple[Spot, ...]


@dataclass(frozen=True)
class Expected:
    """The file of one board."""

    file: str
    values: tuple[PublishedValue, ...]
    claims: tuple[Claim, ...]


def read_expected(
    source: str | os.PathLike[str] | Source, manifest: Mapping[str, Any], board: Mapping[str, Any]
) -> Expected:
    """Read the file of a board (a path, or a `Source` for its text) and find the cells it names.

    Needs no results: a suite can be checked before it runs. Raises ExpectedErrors.
    """
    shares = {name for name, metric in manifest["metrics"].items() if metric["unit"] == "%"}
    return _read(source, _FileReader(Problems(), str(board["name"]), _layout(manifest, board), shares))


def check_form(file: str | os.PathLike[str]) -> None:
    """What can be said of a file while its suite cannot be read. Raises ExpectedErrors."""
    _read(file, _FileReader(Problems(), "", None))


def _read(source: str | os.PathLike[str] | Source, reader: _FileReader) -> Expected:
    if not isinstance(source, Source):
        path = Path(source)
        try:
            source = Source(str(path), read_text(path), path.parent)
        except (OSError, ValueError) as error:
            why = "no such file" if isinstance(error, FileNotFoundError) else str(error)
            raise ExpectedErrors([Problem(str(path), 0, 0, why)]) from None
    found = reader.file(source, parse(source, reader.problems))
    if reader.problems.found:
        raise ExpectedErrors(reader.problems.found)
    return found


def _layout(manifest: Mapping[str, Any], board: Mapping[str, Any]) -> list[Spot]:
    """Every cell that the board plans, in the order of the suite; worst cases over attacks come after all
    attacks."""
    labels = manifest["labels"]

    def place(spot: Spot) -> list[int]:
        known = ((labels.get("attack" if c == "on" else c, []), spot.at.get(c)) for c in COORDINATES)
        return [order.index(label) if label in order else len(order) for order, label in known]

    table = make_board(None, manifest, board)
    return sorted((spot for spot, *_ in spots_of(table)), key=place)


def spots_of(table: Table) -> Iterator[tuple[Spot, Block, Row, Column, Cell]]:
    """The cells of a board that apply, with where they stand."""
    for block in table.blocks:
        for row in block.rows:
            for column, cell in zip(block.columns, row.cells, strict=True):
                if cell.of:
                    yield _spot(block, row, column), block, row, column, cell


def _spot(block: Block, row: Row, column: Column) -> Spot:
    at = {c: label for c, label in block.at.items() if c not in row.at and c not in column.at}
    return Spot(tuple(at.items()), tuple(row.at.items()), column.metric, tuple(column.at.items()))


@dataclass
class _FileReader:
    """Turns nodes into values and claims; what is wrong goes to `problems`. spots: the board's cells, None
    when they are not known: then only the form of the file is judged."""

    problems: Problems
    board: str
    spots: Sequence[Spot] | None
    shares: Collection[str] = ()

    def __post_init__(self) -> None:
        self._seen: set[tuple[Spot, str]] = set()

    def file(self, source: Source, root: Node | None) -> Expected:
        if root is None or not isinstance(root.value, dict):
            if not self.problems.found:
                has = "the file is empty" if root is None or root.value is None else "this is no mapping"
                mark = root.mark if root else Mark(source, 1, 1)
                self.problems.add(mark, f"{has}; an expected file has the keys values and claims")
            return Expected(source.name, (), ())
        self._known(root, _LISTS, "an expected file")
        values = [v for node in self._items(root, "values") if (v := self._value(node)) is not None]
        claims = [c for node in self._items(root, "claims") if (c := self._claim(node)) is not None]
        return Expected(source.name, tuple(values), tuple(claims))

    def _items(self, root: Node, name: str) -> list[Node]:
        node = root.value.get(name)
        if node is None or node.value is None:
            return []
        if not isinstance(node.value, list):
            self.problems.add(node.mark, f"{name} must be a list, got {show(node.plain())}")
            return []
        found = []
        for item in node.value:
            if isinstance(item.value, dict):
                found.append(item)
            else:
                self.problems.add(item.mark, f"{name}: an item is a mapping, got {show(item.plain())}")
        return found

    def _known(self, node: Node, known: Iterable[str], owner: str) -> None:
        known = list(known)
        for key in node.value:
            if key not in known:
                self.problems.add(
                    node.keys[key],
                    f'{owner} has no key "{key}"{did_you_mean(key, known) or "."} It has: {", ".join(known)}',
                )

    def _fields(
        self, node: Node, types: Mapping[str, Any], needed: Iterable[str], owner: str
    ) -> dict[str, Any]:
        """The checked values of a mapping's keys, but for `at`."""
        self._known(node, ("at", *types), owner)
        checker, values = Checker(types), {}
        for key, child in node.value.items():
            if key not in types:
                continue
            raw = child.plain()
            if key == "value" and isinstance(raw, int | float) and not isinstance(raw, bool):
                self.problems.add(
                    child.mark, f'value: write it in quotes, as printed: "{raw}"; its digits count'
                )
                continue
            value, wrong = checker.check(key, raw, child, child.mark.source.folder)
            for w in wrong:
                self.problems.add(w.node.mark, w.message)
            if not wrong:
                values[key] = value
        for key in needed:
            if key not in node.value:
                self.problems.add(node.mark, f"{owner} needs {key}")
        return values

    # -- values --

    def _value(self, node: Node) -> PublishedValue | None:
        before = len(self.problems)
        fields = self._fields(node, VALUE_TYPES, ("metric", "value"), "a value")
        spots = self._at(node, self._of_metric(node, fields))
        number = None
        if "value" in fields:
            numbers = ("tolerance", "std", "std_means", "runs", "scale")
            try:
                number = Published(
                    printed=fields["value"], **{key: fields[key] for key in numbers if key in fields}
                )
            except RobexError as error:
                self.problems.add(node.value["value"].mark, str(error))
            else:
                if fields.get("metric") in self.shares and number.value > 1:
                    self.problems.add(
                        node.value["value"].mark,
                        f"{fields['metric']} is a share: {number.printed} of 1 cannot be; for percent add "
                        "scale: 0.01",
                    )
        if len(self.problems) > before or number is None:
            return None
        spot = self._one(spots, node.value["at"].mark if "at" in node.value else node.mark)
        if spot is None:
            return None
        source = fields.get("source", "")
        if (spot, source) in self._seen:  # which of them would be in the published order?
            self.problems.add(
                node.mark,
                "this cell has a value"
                + (f' of source "{source}"' if source else "")
                + " already; remove one, or name two sources",
            )
        self._seen.add((spot, source))
        return PublishedValue(spot, number, source)

    def _of_metric(self, node: Node, fields: Mapping[str, Any]) -> list[Spot]:
        """The board's cells of the metric."""
        if "metric" not in fields or self.spots is None:
            return []
        name, known = fields["metric"], list(dict.fromkeys(spot.metric for spot in self.spots))
        if name not in known:
            hint = did_you_mean(name, known) or f"; metrics are: {', '.join(known)}"
            self.problems.add(
                node.value["metric"].mark, f'metric "{name}" is not on board {self.board}{hint}'
            )
        return [spot for spot in self.spots if spot.metric == name]

    def _at(self, node: Node, spots: list[Spot]) -> list[Spot]:
        """Those of the cells that fit the coordinates given."""
        at = node.value.get("at")
        if at is None:
            return spots
        if not isinstance(at.value, dict):
            self.problems.add(
                at.mark, f"at must be a mapping such as {{dataset: mnist}}, got {show(at.plain())}"
            )
            return []
        self._known(at, COORDINATES, "at")
        left = spots
        for coordinate, child in at.value.items():
            if coordinate not in COORDINATES:
                continue
            if not isinstance(child.value, str):
                self.problems.add(
                    child.mark, f"at.{coordinate} must be a label in quotes, got {show(child.plain())}"
                )
                continue
            if spots and self._label(coordinate, child.value, spots, child.mark):
                left = [spot for spot in left if spot.at.get(coordinate) == child.value]
        if spots and not left and not self._reported(at):
            self.problems.add(at.mark, f"no cell of board {self.board} has all of these coordinates")
        return left

    def _reported(self, node: Node) -> bool:
        """Whether something is wrong with a node or what stands in it."""
        marks = {(m.line, m.column) for m in (*node.keys.values(), *(c.mark for c in node.value.values()))}
        return any((p.line, p.column) in marks for p in self.problems.found)

    def _label(self, coordinate: str, label: str, spots: Sequence[Spot], mark: Mark) -> bool:
        """Whether some of these cells have the label."""
        known = list(dict.fromkeys(spot.at[coordinate] for spot in spots if coordinate in spot.at))
        if label in known:
            return True
        if not known:
            self.problems.add(mark, f"{spots[0].metric} on board {self.board} has no {coordinate}")
            return False
        row = any(coordinate == c for spot in spots for c, _ in spot.row)
        what = "row" if row else coordinate
        hint = f"; {what}s are: {', '.join(known)}" if len(known) <= 12 else did_you_mean(label, known)
        self.problems.add(mark, f'{what} "{label}" is not on board {self.board}{hint}')
        return False

    def _one(self, spots: Sequence[Spot], mark: Mark) -> Spot | None:
        if len(spots) == 1:
            return spots[0]
        if spots:
            self.problems.add(mark, f"at fits {len(spots)} cells; add {_ways(spots)}")
        return None

    # -- claims --

    def _claim(self, node: Node) -> Claim | None:
        before = len(self.problems)
        fields = self._fields(node, CLAIM_TYPES, ("claim", "metric"), "a claim")
        spots = self._at(node, self._of_metric(node, fields))
        labels: tuple[str, ...] = ()
        if "claim" in fields:
            try:
                labels = parse_claim(fields["claim"])
            except RobexError as error:
                self.problems.add(node.value["claim"].mark, str(error))
        if len(self.problems) > before or self.spots is None:
            return None
        over = self._over(node, fields, spots)
        if over is None:
            return None
        mark, found = node.value["claim"].mark, []
        for label in labels:
            if self._label(over, label, spots, mark):
                spot = self._one([s for s in spots if s.at.get(over) == label], node.mark)
                found += [] if spot is None else [spot]
        return Claim(fields["claim"], labels, tuple(found)) if len(found) == len(labels) else None

    def _over(self, node: Node, fields: Mapping[str, Any], spots: Sequence[Spot]) -> str | None:
        """The coordinate that the labels of a claim are of: the one given, or the only one that varies."""
        over = fields.get("over")
        if over is None:
            varying = [c for c in COORDINATES if len({spot.at.get(c) for spot in spots}) > 1]
            if len(varying) == 1:
                return varying[0]
            choice = f"; here it is one of {', '.join(varying)}" if varying else ""
            self.problems.add(node.mark, f"a claim needs over: the coordinate its labels are of{choice}")
        elif over not in COORDINATES:
            hint = did_you_mean(over, COORDINATES) or f"; coordinates are: {', '.join(COORDINATES)}"
            self.problems.add(node.value["over"].mark, f'over: "{over}" is no coordinate{hint}')
            return None
        return over


def _ways(spots: Sequence[Spot]) -> str:
    """`attack (fgsm, pgd)`: the coordinates in which cells differ."""
    ways = []
    for coordinate in COORDINATES:
        labels = list(dict.fromkeys(spot.at.get(coordinate, "none") for spot in spots))
        if len(labels) > 1:
            more = ", ..." if len(labels) > 6 else ""
            ways.append(f"{coordinate} ({', '.join(labels[:6])}{more})")
    return words.listed(ways)
