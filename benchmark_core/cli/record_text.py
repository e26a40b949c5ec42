"""A record as text: what was measured, how it was made, from what, and how to make it again."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..board import layout
from ..board.formats import count, duration, plural, size
from . import measured, output
from .options import call_of

if TYPE_CHECKING:
    from ..store import Store


def record_lines(store: Store, record: Mapping[str, Any], value: Mapping[str, Any] | None) -> Iterator[str]:
    cost, environment = record["cost"], record["environment"]
    yield from output.wrapped([*record["title"].split(" · "), record["stage"]])
    if value is not None:
        yield entry("value", value["error"] if "error" in value else measured.value_text(value))
    yield entry("key", record["key"])
    yield entry(
        "made",
        f"{record['created']}, suite {record['suite'].get('name')} version {record['suite'].get('version')}",
    )
    yield from _identity(record["identity"])
    yield entry("inputs", "")
    yield from _inputs(store, record["inputs"], "  ", set())
    yield entry("seed", str(record["seed"]))
    identity = record["identity"]
    if goal := identity.get("goal"):
        asked = {"success": "only whether it succeeds: samples leave at their first success"}
        yield entry("asked", asked.get(goal, "for the perturbation itself"))
    if over := identity.get("over"):
        yield entry("targets", f"the {over} over all targets of a sample")
    yield entry(
        "cost",
        f"{duration(cost['seconds'])} ({duration(cost['total_seconds'])} with reading and storing), "
        f"{count(cost['samples'])} samples, {count(cost['forward'])} forward and {count(cost['backward'])} "
        f"backward passes, at most {size(record['peak_memory'])}",
    )
    for name, noted in record["notes"].items():
        yield entry("note", f"{name} = {f'{noted:g}' if isinstance(noted, float | int) else noted}")
    yield entry(
        "result",
        ", ".join(
            f"{n} {size(a['bytes'])} sha256 {a['sha256'][:12]}" for n, a in record["artifacts"].items()
        ),
    )
    threads = plural(record["threads"], "thread")
    yield entry("on", f"{record['device']}, {threads}, batches of {record['batch_size']}")
    yield entry(
        "versions",
        ", ".join(f"{n} {v}" for n, v in {**record["versions"], **environment["packages"]}.items()),
    )
    machine = [
        f"python {environment['python']}",
        environment["platform"],
        environment["cpu"],
        environment.get("gpu", ""),
    ]
    yield entry("machine", ", ".join(filter(None, machine)))
    if git := environment.get("git"):
        yield entry("git", f"{git['commit'][:12]}{' with changes' if git['dirty'] else ''}")
    yield from _again(store, record)


def failure_lines(store: Store, failure: Mapping[str, Any]) -> Iterator[str]:
    yield from output.wrapped([*f"FAILED  {failure['title']}".split(" · "), failure["stage"]])
    yield entry("key", failure["key"])
    yield entry("why", f"{failure['reason']}: {failure['message']}")
    yield from _identity(failure["identity"])
    yield from _again(store, failure)
    if failure["trace"]:
        yield ""
        yield failure["trace"].rstrip()


def _identity(identity: Mapping[str, Any]) -> Iterator[str]:
    for role in ("method", "builds"):
        if method := identity.get(role):
            text = f"{method['kind']} {method['name']}, revision {method['revision']}: "
            yield entry(role, text + (_values(method["params"]) or "no params"))
    if wish := identity.get("wish"):
        yield entry("wish", _values(wish))


def _values(params: Mapping[str, Any]) -> str:
    """`eps: 0.1, steps: 20`, as in a suite; methods inside as `{use: pgd, eps: 0.1}`."""
    return ", ".join(f"{name}: {_value(value)}" for name, value in params.items())


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        inside = {"use": value["use"], **value.get("params", {})} if "use" in value else value
        return f"{{{_values(inside)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "none", True: "true", False: "false"}[value]
    return str(value)


def _inputs(store: Store, inputs: Mapping[str, str], indent: str, seen: set[str]) -> Iterator[str]:
    """A tree of what a result was made from; what was shown already is not opened again."""
    for role, key in inputs.items():
        known = store.has(key)
        record = store.record(key, whole=True) if known else None
        title = f"{record['stage']}  {record['title']}" if record else "not in this store"
        line = f"{indent}{role:10} {key[:12]}  {title}{'  (above)' if key in seen else ''}"
        yield "\n".join(layout.wrapped(line, output.width()))
        if record and key not in seen:
            seen.add(key)
            yield from _inputs(store, record["inputs"], f"{indent}  ", seen)


def _again(store: Store, record: Mapping[str, Any]) -> Iterator[str]:
    """The command that makes it again, from the manifest of a suite that the store knows."""
    name = record.get("suite", {}).get("name")
    for suite in [name] if name in store.suites() else store.suites():
        manifest = store.suite(suite)
        if name is None and not _belongs(manifest, record):
            continue
        run = call_of(manifest).command("run", str(store.path))
        yield entry("again", f"{run} --only {record['key'][:12]}")
        if name and manifest["digest"] != record["suite"].get("digest"):
            yield entry("", "(the suite or its options have changed since)")
        return


def _belongs(manifest: Mapping[str, Any], record: Mapping[str, Any]) -> bool:
    from ..store.cells import cells_in

    return any(
        record["key"] in keys or record["where"].items() <= at.items()
        for at, *keys in cells_in(manifest).listed()
    )


def entry(name: str, value: str, wide: int = 9) -> str:
    """A name and its value on as many lines as it takes; commands and keys stay whole."""
    if name in ("key", "again"):
        return f"{name:{wide}}{value}"
    gap = " " * wide
    lines = textwrap.wrap(
        value, output.width(), initial_indent=gap, subsequent_indent=gap, break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip
    return "\n".join([f"{name:{wide}}{lines[0].strip()}", *lines[1:]]) if lines else name
