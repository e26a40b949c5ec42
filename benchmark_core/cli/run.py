"""`robex run`: run what the store lacks of a suite, tell what failed, show the boards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ..board.formats import count, duration, plural
from . import output
from .options import SuiteCall, command_line, plugin_option, store_option, suite_options, trace_option

if TYPE_CHECKING:
    from ..plan.model import Plan
    from ..run.scheduler import RunReport
    from ..run.session import ExecutorName
    from ..store import Store


@click.command("run")
@suite_options
@click.option("--jobs", "-j", type=int, default=1, show_default=True, metavar="N", help="Worker processes.")
@click.option(
    "--executor",
    type=click.Choice(["auto", "inline", "local"]),
    default="auto",
    show_default=True,
    help="Where nodes run: in this process (inline, the default for one job) or in workers (local), which "
    "limits of time and memory can stop.",
)
@click.option(
    "--only",
    metavar="KEY",
    multiple=True,
    help="Only the nodes whose key starts so, and what they need; may be repeated.",
)
@click.option("--quiet", "-q", is_flag=True, help="No progress; failures and boards only.")
@click.option("--json", "as_json", is_flag=True, help="Print every event as a line of JSON (JSON Lines).")
@store_option
@plugin_option
@trace_option
def command(
    suite_file: str,
    settings: tuple[str, ...],
    samples: int | None,
    seeds: int | None,
    jobs: int,
    executor: ExecutorName,
    only: tuple[str, ...],
    quiet: bool,
    as_json: bool,
    store: str,
    plugins: tuple[str, ...],
) -> int:
    """Run what the store lacks of a suite, then show its boards.

    Everything that finishes is kept: Ctrl-C loses at most what is under way, and the same command goes on.
    Boards go to stdout, progress to stderr. Exit code 1 when something failed.
    """
    from ..run.session import run_plan
    from ..store import Store
    from .boards import planned
    from .data import needed, needed_lines
    from .progress import display_for

    call = SuiteCall(suite_file, settings, samples, seeds, plugins)
    plan, registry = planned(call)
    opened = Store(store)
    display = display_for(quiet=quiet, as_json=as_json)
    if not quiet and not as_json:
        for line in needed_lines(needed(plan.needed(opened.has).values(), registry)):
            output.note(line)
    report = run_plan(plan, registry, opened, display, jobs=jobs, executor=executor, only=only)
    if as_json:
        return report.exit_code
    _tell(report, plan, opened, call.command("run", store), quiet=quiet)
    if not only and not report.interrupted and _boards(plan, opened):
        _remind(report, plan, store)
    return report.exit_code


def _tell(report: RunReport, plan: Plan, store: Store, again: str, *, quiet: bool) -> None:
    """How the run ended, and every failure."""
    from ..run.manifest import manifest_name
    from .failures import Failure, describe
    from .plan import emptiness

    nodes = f"{count(report.done)} of {plural(len(report.selected), 'node')}"
    if report.interrupted:
        output.note(f"Stopped. {nodes} are kept; the same command goes on.")
    elif not quiet and not plan.cells:
        for line in emptiness(plan):
            output.note(line)
    elif not quiet and not report.ran:
        output.note(f"Nothing to do: {nodes} are in the store.")
    elif not quiet:
        done, cells = sum(map(store.has, report.cells)), len(report.cells)
        of_cells = f", {count(done)} of {plural(cells, 'cell')}" if cells else ""
        output.note(f"Done in {duration(report.seconds)}: {nodes}{of_cells}.")
    failures = [Failure(e.key, e.title, e.message, e.where, e.blocked) for e in report.failures.values()]
    for line in describe(failures, again, str(store.path)):
        output.note(line)
    if plan.suite.overrides and not quiet:
        name = manifest_name(plan.suite)
        table = command_line("robex", "table", name, store=str(store.path))
        output.note(f"A quick look, kept as {name}: {table}")


def _remind(report: RunReport, plan: Plan, store: str) -> None:
    """What failed was told before the boards, perhaps pages ago."""
    from ..run.manifest import manifest_name

    if report.failures:
        more = f", {count(len(report.blocked))} more did not run" if report.blocked else ""
        status = command_line("robex", "status", manifest_name(plan.suite), store=store)
        output.note(f"{plural(len(report.failures), 'node')} failed{more}: {status}")


def _boards(plan: Plan, store: Store) -> bool:
    """The boards on stdout, what was published beside them, and the report beside the records. False: there
    is none."""
    from ..board.checked_forms import published_lines
    from ..run.manifest import manifest_name
    from .boards import checked_of, render_tables, tables_of, write_checked
    from .report import leave_report

    manifest = store.suite(manifest_name(plan.suite))
    tables = tables_of(store, [manifest])
    if tables:
        output.note()
        output.write(render_tables(tables))
        checked = checked_of(store, manifest, tables)
        write_checked(checked)
        output.note()
        lines = [line for one in checked for line in published_lines(one)]
        leave_report(store, manifest, tables, lines)
    return bool(tables)
