"""`robex show`: what a method does and takes, or how a stored result was made."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from ..board.formats import count, finite
from ..errors import RobexError, did_you_mean
from ..spec import KINDS
from . import measured, output
from .method_text import method_json, method_lines
from .options import (
    command_line,
    find_store,
    json_option,
    load_registry,
    plugin_option,
    store_option,
    trace_option,
)
from .record_text import failure_lines, record_lines

if TYPE_CHECKING:
    from ..registry import Registry
    from ..spec import MethodSpec
    from ..store import Store

_KEY = re.compile(r"[0-9a-f]{4,64}")


@click.command("show")
@click.argument("what", metavar="[METHOD|KEY]", required=False)
@click.option("--metric", metavar="LABEL", help="List the records of the cells with this metric.")
@click.option("--dataset", metavar="LABEL", help="... on this dataset; and so on.")
@click.option("--model", metavar="LABEL")
@click.option("--defense", metavar="LABEL")
@click.option("--attack", metavar="LABEL")
@click.option("--explainer", metavar="LABEL")
@click.option("--on", metavar="LABEL", help="What is explained: clean, or an attack.")
@click.option("--seed", type=int, metavar="N")
@click.option("--suite", metavar="NAME", help="Only cells of this suite.")
@store_option
@plugin_option
@json_option
@trace_option
def command(
    what: str | None,
    suite: str | None,
    store: str,
    plugins: tuple[str, ...],
    as_json: bool,
    **coordinates: str | int | None,
) -> int:
    """What a method does and takes, how a result was made, or the results of cells.

    METHOD: a name (pgd), or kind/name (attack/pgd) where two kinds share it. KEY: the first characters of a
    record's key; four are enough when they are unique. Coordinates instead (--metric accuracy --defense
    "AT 0.1") list the records of the cells that have them: value and key of each seed.
    """
    wanted = {c: label for c, label in coordinates.items() if label is not None}
    if what is None:
        if not wanted and suite is None:
            raise RobexError(
                "show needs a method, a key or coordinates: robex show pgd, robex show --metric accuracy"
            )
        return _show_cells(store, suite, wanted, as_json=as_json)
    if wanted or suite is not None:
        raise RobexError(f'show takes "{what}" or coordinates, not both')
    registry = load_registry(plugins)
    found = _methods(registry, what)
    if found:
        if as_json:
            output.say_json([method_json(registry, spec) for spec in found])
        else:
            for i, spec in enumerate(found):
                if i:
                    output.say()
                for line in method_lines(registry, spec):
                    if line:
                        output.say_wrapped(line)
                    else:
                        output.say()
        return 0
    if not _KEY.fullmatch(what):
        raise RobexError(_unknown(registry, store, what))
    opened = find_store(store)
    if opened is None:
        raise RobexError(f"{store}: no store here, so no record {what}; name one with --store")
    try:
        key = opened.find(what)
    except RobexError as error:
        raise RobexError(f"{error} ({measured.keys_are_at(store)})") from None
    found_record = opened.record(key, whole=True) if opened.has(key) else opened.failure(key, whole=True)
    if found_record is None:
        raise RobexError(f"{store}: record {key[:12]} cannot be read")
    value = _value_of(opened, found_record, registry) if opened.has(key) else None
    if as_json:
        output.say_json(found_record if value is None else {**found_record, "value": value})
        return 0
    lines = (
        record_lines(opened, found_record, value) if opened.has(key) else failure_lines(opened, found_record)
    )
    for line in lines:
        output.say(line)
    return 0


def _unknown(registry: Registry, store: str, what: str) -> str:
    """No method and no record: perhaps it is a label of a suite."""
    opened = find_store(store)
    suites = [opened.suite(name) for name in opened.suites()] if opened else []
    for kind in measured.CHOOSES:
        if any(what in suite["labels"].get(kind, ()) for suite in suites):
            again = command_line("robex", "show", f"--{kind}", what, store=store)
            return f'"{what}" is a label, not a method or a key; the records of this {kind}: {again}'
    kinds = ", ".join(f"{kind}s" for kind in KINDS)
    hint = did_you_mean(what.rpartition("/")[2], {s.name for s in registry.methods()})
    where = f"; {measured.keys_are_at(store)}" if opened else ""
    return f'no method and no record is called "{what}"{hint} (robex list; kinds: {kinds}{where})'


def _show_cells(store: str, suite: str | None, wanted: Mapping[str, str | int], *, as_json: bool) -> int:
    opened = find_store(store)
    if opened is None:
        raise RobexError(f"{store}: no store here; name one with --store")
    suites = opened.suites() if suite is None else [suite]
    most = None if as_json else measured.MOST_LISTED
    found, total = measured.records_at(opened, wanted, suites, most)
    if as_json:
        output.say_json(finite(found))
        return 0
    for line in output.table(list(measured.table_of(found))):
        output.say(line)
    if total > len(found):
        output.say_wrapped(
            f"and {count(total - len(found))} more; give more coordinates, or --json lists all"
        )
    return 0


def _value_of(store: Store, record: Mapping[str, Any], registry: Registry) -> dict[str, Any] | None:
    """What a record of scores measured; of a damaged one why it is not known."""
    if record["stage"] != "measure":
        return None
    try:
        return finite(measured.value_of(store, record, registry))
    except RobexError as error:
        return {"value": None, "error": str(error)}


# --- methods -------------------------------------------------------------------------------------------


def _methods(registry: Registry, what: str) -> list[MethodSpec]:
    kind, slash, name = what.rpartition("/")
    return [s for s in registry.methods() if s.name == name and (not slash or kind in (s.kind, f"{s.kind}s"))]
