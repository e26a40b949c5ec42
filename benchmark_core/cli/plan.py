"""`robex plan`: what a suite would run, what the store has already, what was left out and why."""

from __future__ import annotations

import textwrap
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

import click

from ..board.formats import count, plural, rough_duration, size
from ..data import missing
from ..run.manifest import manifest_name
from . import output
from .data import needed, needed_lines
from .options import (
    SuiteCall,
    command_line,
    find_store,
    json_option,
    plugin_option,
    store_option,
    suite_options,
    trace_option,
)

if TYPE_CHECKING:
    from ..plan.model import Node, Plan
    from ..registry import Registry
    from ..run.estimate import Estimator
    from ..store import Store
    from ..suite.model import Suite

_SECTIONS = ("dataset", "model", "defense", "attack", "explainer", "metric")


@click.command("plan")
@suite_options
@store_option
@plugin_option
@json_option
@trace_option
def command(
    suite_file: str,
    settings: tuple[str, ...],
    samples: int | None,
    seeds: int | None,
    store: str,
    plugins: tuple[str, ...],
    as_json: bool,
) -> int:
    """What a suite would run, what the store has already, and how long the rest takes.

    Estimates come from the times of earlier records in the store.
    """
    from .boards import planned

    call = SuiteCall(suite_file, settings, samples, seeds, plugins)
    plan, registry = planned(call)
    opened = find_store(store)
    todo = plan.needed(opened.has if opened else lambda key: False)
    past = Past.of(opened)
    lacking = needed(todo.values(), registry)
    warnings = list(wide_balls(plan.suite, registry))
    if as_json:
        download = {spec.name: missing(spec) for spec in lacking}
        output.say_json(_json(plan, todo, past) | {"download": download, "warnings": warnings})
        return 0
    _print(plan, todo, past)
    for warning in warnings:
        output.note(warning)
    for line in needed_lines(lacking):
        output.say_wrapped(line)
    if not plan.cells:
        output.say_wrapped("Nothing to run: no combination makes a cell.")
    elif todo:
        output.say(f"Run it: {call.command('run', store)}")
    else:
        output.say_wrapped(f"Nothing to run: everything is in {store}.")
        output.say(f"Boards: {_boards_command(call, plan.suite, opened, store)}")
    return 0


def _boards_command(call: SuiteCall, suite: Suite, opened: Store | None, store: str) -> str:
    """What shows the boards: `table` where this very suite has run, else `run`, which does nothing more."""
    name = manifest_name(suite)
    if opened and name in opened.suites() and opened.suite(name)["digest"] == suite.digest:
        return command_line("robex", "table", name, store=store)
    return call.command("run", store)


@dataclass(frozen=True)
class Past:
    """What earlier records tell: times, sizes, and how many there are of each stage."""

    estimator: Estimator
    records: Mapping[str, int] = field(default_factory=dict)
    bytes: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, store: Store | None) -> Past:
        from ..run.estimate import Estimator

        if store is None:
            return cls(Estimator())
        from ..store.index import Index

        index = Index(store)
        rows = index.rows()
        index.close()
        sizes: defaultdict[str, list[int]] = defaultdict(list)
        for row in rows:
            sizes[row.stage].append(row.bytes)
        return cls(
            Estimator([(row.stage, row.method, row.dataset, row.seconds) for row in rows]),
            Counter(row.stage for row in rows),
            {stage: median(found) for stage, found in sizes.items()},
        )


def wide_balls(suite: Suite, registry: Registry) -> Iterator[str]:
    """Attacks, those inside defenses too, whose linf ball holds every input between 0 and 1."""
    from ..plan.questions import refs_in

    for entry in (*suite.of("attack"), *suite.of("defense")):
        for ref in refs_in(entry.ref):
            spec, eps = registry.get(ref.kind, ref.name), getattr(ref.params, "eps", None)
            norm = getattr(ref.params, "norm", getattr(spec, "norm", None))
            if ref.kind == "attack" and norm == "linf" and isinstance(eps, int | float) and eps >= 1:
                who = entry.label if ref is entry.ref else f"{entry.label}: {ref.name}"
                yield (
                    f"{entry.file}:{entry.line}:{entry.column}: {who}: eps {eps:g} covers the whole domain "
                    "where inputs lie in [0, 1]"
                )


def emptiness(plan: Plan) -> Iterator[str]:
    """Why a plan has no cell, if it has none."""
    if not plan.cells:
        reasons = sorted(plan.left_out, key=lambda reason: (-plan.left_out[reason], reason))
        why = "; ".join(reasons[:3]) + (f"; and {len(reasons) - 3} more reasons" if len(reasons) > 3 else "")
        yield f"{plan.suite.file}: no cell, so nothing would run" + (f": {why}" if why else "")


def crossing(suite: Suite) -> str:
    """`2 datasets × 4 defenses × 3 attacks × 4 explainers · 5 seeds`."""
    parts = [plural(len(suite.of(kind)), kind) for kind in _SECTIONS if suite.of(kind)]
    return f"{' × '.join(parts)} · {plural(suite.seeds, 'seed')}"


def _print(plan: Plan, todo: Mapping[str, Node], past: Past) -> None:
    suite = plan.suite
    for line in output.wrapped([f"suite {suite.name}, version {suite.version}", crossing(suite)]):
        output.say_wrapped(line)
    if suite.overrides:
        output.say_wrapped(f"A quick look, not the whole suite: kept as {manifest_name(suite)}.")
    output.say_wrapped(
        f"{plural(len(plan.cells), 'cell')} share {plural(len(plan.nodes), 'node')} "
        f"({count(without_sharing(plan))} without sharing)"
    )
    stages, to_run = _stages(plan.nodes.values()), _stages(todo.values())
    rows, after = [["", "nodes", "cached", "to run", "estimate"]], [""]
    for stage, nodes in stages.items():
        left = to_run.get(stage, [])
        time, basis = _estimate(stage, left, past)
        rows.append([stage, *_counts(len(nodes), len(left)), time])
        after.append(basis)
    rows.append(["total", *_counts(len(plan.nodes), len(todo)), ""])
    after.append(_total(to_run, past, suite))
    *lines, total = output.columns(rows, right=(1, 2, 3))
    wide = max(map(len, lines))
    at = lines[0].index("estimate")
    told = all(wide + 2 + len(basis) <= output.width() for basis in after[:-1])
    for line, basis in zip(lines, after[:-1], strict=True):
        output.say(f"{line:{wide}}  {basis}".rstrip() if told else line)
    _say_with(f"{total:{at}}", after[-1])
    if not told:
        output.say_wrapped("+1 column, what the estimates rest on: a wider terminal")
    if guessed := _guessed(to_run, past):
        output.say_wrapped(f"Never timed here, so guessed: {', '.join(guessed)}")
    _print_left_out(plan.left_out)


def _say_with(line: str, more: str) -> None:
    """A line and what follows it, on lines of its own where the terminal is too narrow."""
    if len(line) + len(more) <= output.width():
        output.say(f"{line}{more}".rstrip())
        return
    output.say(line.rstrip())
    for part in textwrap.wrap(more, output.width(), initial_indent="  ", subsequent_indent="  "):
        output.say(part)


def _counts(nodes: int, to_run: int) -> list[str]:
    return [count(nodes), count(nodes - to_run), count(to_run)]


def _estimate(stage: str, nodes: Sequence[Node], past: Past) -> tuple[str, str]:
    """The time for these nodes, and what it rests on."""
    from ..run.estimate import count_places

    if not nodes:
        return "", ""
    places = count_places(nodes)
    seconds = past.estimator.total(places)
    if seconds is None:
        return "–", ""
    basis = f"from {plural(past.records.get(stage, 0), 'earlier record')}"
    if guessed := past.estimator.guessed(places):
        names = ", ".join(guessed[:3]) + (f" and {len(guessed) - 3} more" if len(guessed) > 3 else "")
        basis += f"; {names}: guessed"
    return rough_duration(seconds), f"({basis})"


def _guessed(to_run: Mapping[str, Sequence[Node]], past: Past) -> list[str]:
    """Methods whose time is taken from others, where anything is known of their stage at all."""
    from ..run.estimate import count_places

    found = (count_places(nodes) for nodes in to_run.values())
    known = [p for p in found if past.estimator.total(p) is not None]
    return sorted({name for places in known for name in past.estimator.guessed(places)})


def _total(to_run: Mapping[str, Sequence[Node]], past: Past, suite: Suite) -> str:
    from ..run.estimate import count_places

    found = {stage: past.estimator.total(count_places(nodes)) for stage, nodes in to_run.items()}
    if not found:
        return ""
    known = [seconds for seconds in found.values() if seconds is not None]
    if not known:
        return "no estimate yet: nothing like it ran in this store"
    text = f"{rough_duration(sum(known))} on 1 worker, {suite.limits.device}"
    if unknown := [stage for stage, seconds in found.items() if seconds is None]:
        text += f", without {', '.join(unknown)}"
    if room := sum(len(nodes) * past.bytes.get(stage, 0) for stage, nodes in to_run.items()):
        text += f" · about {size(room)}"
    return text


def _print_left_out(left_out: Mapping[str, int]) -> None:
    total = sum(left_out.values())
    if total:
        output.say(f"Left out: {plural(total, 'cell')}.")
    for reason, cells in sorted(left_out.items(), key=lambda item: (-item[1], item[0])):
        text = f"{reason}: {count(cells)}" if cells else reason
        for line in textwrap.wrap(text, output.width(), initial_indent="  ", subsequent_indent="    "):
            output.say(line)


def without_sharing(plan: Plan) -> int:
    """How many nodes the cells would take if each computed all it needs itself."""
    needs: dict[str, frozenset[str]] = {}
    for key, node in plan.nodes.items():  # a node follows its inputs
        needs[key] = frozenset({key}).union(*(needs[i] for i in node.inputs.values()))
    return sum(len(needs[cell.key]) for cell in plan.cells)


def _stages(nodes: Iterable[Node]) -> dict[str, list[Node]]:
    from ..plan import STAGES

    found: dict[str, list[Node]] = {stage: [] for stage in STAGES}
    for node in nodes:
        found[node.stage].append(node)
    return {stage: nodes for stage, nodes in found.items() if nodes}


def _json(plan: Plan, todo: Mapping[str, Node], past: Past) -> dict[str, Any]:
    from ..run.estimate import count_places

    to_run = _stages(todo.values())
    return {
        "suite": plan.suite.name,
        "version": plan.suite.version,
        "seeds": plan.suite.seeds,
        "digest": plan.suite.digest,
        "kept_as": manifest_name(plan.suite),
        "stages": {
            stage: {
                "nodes": len(nodes),
                "to_run": len(to_run.get(stage, [])),
                "seconds": past.estimator.total(count_places(to_run.get(stage, []))),
            }
            for stage, nodes in _stages(plan.nodes.values()).items()
        },
        "without_sharing": without_sharing(plan),
        "left_out": dict(plan.left_out),
        "nodes": [
            {
                "key": node.key,
                "stage": node.stage,
                "title": node.title,
                "cached": node.key not in todo,
                "where": dict(node.where),
                "inputs": dict(node.inputs),
            }
            for node in plan.nodes.values()
        ],
        "cells": [{**cell.coordinates, "key": cell.key} for cell in plan.cells],
    }
