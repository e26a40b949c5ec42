"""The boards of suites in a store as text: shared by `run` and `table`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import Problem, RobexError, SuiteErrors, did_you_mean
from ..suite import Source
from . import output

if TYPE_CHECKING:
    from ..board import Table
    from ..board.reproduction import Checked
    from ..board.table import Format
    from ..plan.model import Plan
    from ..registry import Registry
    from ..store import Store
    from ..suite.model import Board
    from .options import SuiteCall

#: Rows of a block that a terminal shows without being asked for more.
DEFAULT_TOP = 20


def tables_of(store: Store, manifests: Sequence[Mapping[str, Any]], board: str | None = None) -> list[Table]:
    """The tables of these suites (the board called `board` only, of those that have it), without empty
    ones."""
    from ..board import boards_of, make_boards

    if board is not None and len(manifests) > 1:
        known = {m["suite"]: [one["name"] for one in boards_of(m)] for m in manifests}
        if not any(board in names for names in known.values()):
            hint = did_you_mean(board, {name for names in known.values() for name in names})
            have = "; ".join(f"{suite} has {', '.join(names) or 'none'}" for suite, names in known.items())
            raise RobexError(f'no suite has a board called "{board}"{hint or f"; {have}"}')
        manifests = [m for m in manifests if board in known[m["suite"]]]
    made = [table for m in manifests for table in make_boards(store, m, board)]
    return [table for table in made if table.blocks]


def render_tables(
    tables: Sequence[Table], form: Format = "text", *, top: int | None = DEFAULT_TOP, **options: Any
) -> str:
    """options: those of board.render."""
    from ..board import render

    unicode = output.is_unicode(sys.stdout)
    width = output.width() if output.is_terminal() else None
    return render(tables, form, width=width, top=top, unicode=unicode, **options)


def planned(call: SuiteCall) -> tuple[Plan, Registry]:
    """Read and plan a suite, the `expected:` files of its boards included, before anything runs. Raises
    SuiteErrors with all that is wrong with them."""
    from ..plan import build_plan

    try:
        suite, registry = call.read()
        plan = build_plan(suite, registry)
    except SuiteErrors as error:
        boards = error.suite.boards if error.suite else ()
        raise SuiteErrors([*error.problems, *_mistakes_of_form(boards)], error.suite) from None
    _check_expected_files(plan, registry)
    return plan, registry


def _mistakes_of_form(boards: Iterable[Board]) -> Iterator[Problem]:
    """What is wrong with expected files, whatever the suite will say."""
    from ..board.expected import ExpectedErrors, check_form

    for file in dict.fromkeys(board.expected for board in boards):
        if file and Path(file).is_file():
            try:
                check_form(file)
            except ExpectedErrors as error:
                yield from error.problems


def _check_expected_files(plan: Plan, registry: Registry) -> None:
    if not any(board.expected for board in plan.suite.boards):
        return
    from ..board import boards_of
    from ..board.expected import ExpectedErrors, read_expected
    from ..run.manifest import manifest_of

    manifest, problems = manifest_of(plan, registry), []
    for board in boards_of(manifest):
        if board.get("expected"):
            try:
                read_expected(_source(board), manifest, board)
            except ExpectedErrors as error:
                problems += error.problems
    if problems:
        raise SuiteErrors(problems)


def _source(board: Mapping[str, Any]) -> Source:
    """The expected values as they were when the suite ran."""
    return Source(board["expected"], board["expected_text"], Path(board["expected"]).parent)


def checked_of(store: Store, manifest: Mapping[str, Any], tables: Sequence[Table]) -> list[Checked]:
    """Published values and claims of a suite's boards beside ours."""
    from ..board import boards_of
    from ..board.expected import read_expected
    from ..board.reproduction import check_expected

    made = {table.board: table for table in tables if table.suite == manifest["suite"]}
    return [
        check_expected(read_expected(_source(board), manifest, board), store, manifest, made[board["name"]])
        for board in boards_of(manifest)
        if board.get("expected") and board["name"] in made
    ]


def write_checked(found: Iterable[Checked], suite: str = "") -> None:
    """suite: named where boards of several are shown."""
    from ..board.checked_forms import render_checked

    for one in found:
        output.say()
        width = output.width() if output.is_terminal() else None
        output.write(render_checked(one, suite=suite, unicode=output.is_unicode(sys.stdout), width=width))
