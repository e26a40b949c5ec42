"""`robex show`: what a method does and takes, or how a stored result was made."""

from __future__ import annotations

import dataclasses
import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, get_args, get_origin

import click

from ..board import layout
from ..board.formats import count, duration, plural, size
from ..errors import RobexError
from ..spec import (
    KINDS,
    AttackSpec,
    DatasetSpec,
    DefenseSpec,
    ExplainerSpec,
    MethodRef,
    MetricSpec,
    RefKind,
    StateSpec,
    markers,
    param_types,
)
from . import output
from .options import (
    call_of,
    find_store,
    json_option,
    load_registry,
    plugin_option,
    store_option,
    trace_option,
)

if TYPE_CHECKING:
    from ..registry import Registry
    from ..spec import MethodSpec
    from ..store import Store

_KEY = re.compile(r"[0-9a-f]{4,64}")


@click.command("show")
@click.argument("what", metavar="METHOD|KEY")
@store_option
@plugin_option
@json_option
@trace_option
def command(what: str, store: str, plugins: tuple[str, ...], as_json: bool) -> int:
    """What a method does and takes, or how a result was made.

    METHOD: a name (pgd), or kind/name (attack/pgd) where two kinds share it. KEY: the first characters of a
    record's key; four are enough when they are unique.
    """
    registry = load_registry(plugins)
    found = _methods(registry, what)
    if found:
        if as_json:
            output.say_json([_method_json(registry, spec) for spec in found])
        else:
            for i, spec in enumerate(found):
                if i:
                    output.say()
                for line in _describe(registry, spec):
                    output.say_wrapped(line)
        return 0
    if not _KEY.fullmatch(what):
        kinds = ", ".join(f"{kind}s" for kind in KINDS)
        from ..errors import did_you_mean

        hint = did_you_mean(what.rpartition("/")[2], {s.name for s in registry.methods()})
        raise RobexError(f'no method and no record is called "{what}"{hint} (robex list; kinds: {kinds})')
    opened = find_store(store)
    if opened is None:
        raise RobexError(f"{store}: no store here, so no record {what}; name one with --store")
    key = opened.find(what)
    found_record = opened.record(key) if opened.has(key) else opened.failure(key)
    if found_record is None:
        raise RobexError(f"{store}: record {key[:12]} cannot be read")
    if as_json:
        output.say_json(found_record)
        return 0
    lines = _record(opened, found_record) if opened.has(key) else _failure(opened, found_record)
    for line in lines:
        output.say(line)
    return 0


# --- methods -------------------------------------------------------------------------------------------


def _methods(registry: Registry, what: str) -> list[MethodSpec]:
    kind, slash, name = what.rpartition("/")
    return [s for s in registry.methods() if s.name == name and (not slash or kind in (s.kind, f"{s.kind}s"))]


def _describe(registry: Registry, spec: MethodSpec) -> Iterator[str]:
    origin = registry.origin(spec)
    yield f"{spec.name} · {spec.kind} · revision {spec.revision}"
    yield spec.summary
    yield from textwrap.wrap(_docs(spec.params)[0], output.width())
    fields = list(_fields(spec))
    if fields:
        yield ""
        rows = [["param", "type", "default"], *([f["name"], f["type"], f["default"]] for f in fields)]
        head, *lines = output.columns(rows)
        if max(map(len, (head, *lines))) > output.width():
            head = "param: type; default"
            lines = [f"{f['name']}: {f['type']}; {f['default']}" for f in fields]
        yield head
        for line, field in zip(lines, fields, strict=True):
            yield line
            if field["about"]:
                yield from textwrap.wrap(
                    field["about"], output.width() - 8, initial_indent="    ", subsequent_indent="    "
                )
    yield ""
    for name, value in (
        *_capabilities(spec),
        ("cite", spec.cite),
        ("from", str(origin)),
        ("code", spec.target),
    ):
        if value:
            yield _line(name, value, 8)
    yield ""
    yield "In a suite:"
    yield f"  {spec.kind}s:" if spec.kind != "state" else "  (methods that need it name it; a suite does not)"
    if spec.kind != "state":
        yield f"    - {_example(spec, fields)}"


def _example(spec: MethodSpec, fields: list[dict[str, str]]) -> str:
    """The entry with its required params, or its first one."""
    chosen = [f for f in fields if f["default"] == "required"] or fields[:1]
    params = "".join(f", {f['name']}: {_sample_value(f)}" for f in chosen)
    extra = ", reference: LABEL" if isinstance(spec, MetricSpec) and spec.reference else ""
    return f"{{use: {spec.name}{params}{extra}}}" if params or extra else spec.name


def _sample_value(field: Mapping[str, str]) -> str:
    if field["default"] not in ("required", "none"):
        return field["default"]
    if field["type"] == "attack":
        return "{use: pgd, eps: 0.1}"
    if field["type"].startswith("integer"):
        return "10"
    return "0.1" if field["type"].startswith("number") else field["type"].partition(" | ")[0].upper()


def _capabilities(spec: MethodSpec) -> Iterator[tuple[str, str]]:
    yield "inputs", " or ".join(spec.accepts)
    match spec:
        case DatasetSpec():
            yield "samples", f"{spec.input}{'; files: ' + ', '.join(spec.files) if spec.files else ''}"
        case AttackSpec():
            parts = [
                f"norm {spec.norm}" if spec.norm else "",
                "targeted or not" if spec.targeted else "untargeted",
            ]
            parts += ["stops at the first success when only that counts" if spec.early_exit else ""]
            parts += ["a control: any real attack should beat it" if spec.control else ""]
            yield "attack", ", ".join(filter(None, parts))
        case ExplainerSpec():
            yield (
                "makes",
                f"{spec.produces}{' (a control: any real method should beat it)' if spec.control else ''}",
            )
        case MetricSpec():
            better = (
                f"{spec.direction} is better" if spec.direction else "a description: no direction is better"
            )
            low, high = spec.range
            unit = " shown in %" if spec.unit == "%" else f" {spec.unit}".rstrip()
            about = f"{better}; {spec.scores}, in [{low:g}, {high:g}]{unit}"
            yield "metric", f"of {', '.join(spec.consumes)}; {about}"
        case StateSpec():
            yield "from", spec.made_from
        case DefenseSpec():
            pass
    if spec.deterministic and not isinstance(spec, DatasetSpec | MetricSpec):
        yield "seeds", "none needed: the result does not depend on one"


def _fields(spec: MethodSpec) -> Iterator[dict[str, str]]:
    about = _docs(spec.params)[1]
    types = param_types(spec.params)
    for f in dataclasses.fields(spec.params):
        yield {
            "name": f.name,
            "type": _type_text(types[f.name]),
            "default": _default_text(f),
            "about": about.get(f.name, ""),
        }


def _docs(params: type) -> tuple[str, dict[str, str]]:
    """What a params docstring says beyond its first line: in general, and of each field (`name: what it is`).

    Fields that a base class declares are described there.
    """
    names = "|".join(re.escape(f.name) for f in dataclasses.fields(params))
    general, found = "", {}
    for cls in reversed(params.__mro__):
        if not dataclasses.is_dataclass(cls) or (cls.__doc__ or "").startswith(f"{cls.__name__}("):
            continue
        text = (cls.__doc__ or "").partition("\n")[2]
        marks = (
            list(re.finditer(rf"(?:^|(?<=[.\n])) *((?:{names})(?:, (?:{names}))*): ", text)) if names else []
        )
        ends = [*(mark.start() for mark in marks[1:]), len(text)]
        for mark, end in zip(marks, ends, strict=False):
            for name in mark[1].split(", "):
                found[name] = _plain(text[mark.end() : end])
        if cls is params:
            general = _plain(text[: marks[0].start()] if marks else text)
    return general, found


def _plain(text: str) -> str:
    return " ".join(text.split())


def _type_text(annotation: Any) -> str:
    """A param's type for people: `number > 0`, `linf | l2 | l1`, `attack`."""
    marks = markers(annotation)
    for mark in marks:
        if isinstance(mark, RefKind):
            return mark.kind
    if marks:
        base = get_args(annotation)[0]
        bounds = [
            f"{sign} {getattr(mark, name)}"
            for mark in marks
            for name, sign in (("gt", ">"), ("ge", ">="), ("lt", "<"), ("le", "<="))
            if getattr(mark, name, None) is not None
        ]
        return " ".join([_type_text(base), ", ".join(bounds)]).strip()
    names = {
        float: "number",
        int: "integer",
        bool: "true | false",
        str: "text",
        type(None): "none",
        MethodRef: "method",
    }
    if annotation in names:
        return names[annotation]
    arguments = get_args(annotation)
    if str(get_origin(annotation)) == "typing.Literal":
        return " | ".join(map(str, arguments))
    if get_origin(annotation) in (tuple, list):
        return f"list of {_type_text(arguments[0])}"
    if arguments:
        return " | ".join(_type_text(a) for a in arguments)
    return getattr(annotation, "__name__", str(annotation))


def _default_text(f: dataclasses.Field[Any]) -> str:
    if f.default is not dataclasses.MISSING:
        value = f.default
    elif f.default_factory is not dataclasses.MISSING:
        value = f.default_factory()
    else:
        return "required"
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(str, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _method_json(registry: Registry, spec: MethodSpec) -> dict[str, Any]:
    origin = registry.origin(spec)
    return {
        "name": spec.name,
        "kind": spec.kind,
        "summary": spec.summary,
        "about": _docs(spec.params)[0],
        "revision": spec.revision,
        "params": list(_fields(spec)),
        "capabilities": dict(_capabilities(spec)),
        "cite": spec.cite,
        "target": spec.target,
        "plugin": origin.plugin,
        "distribution": origin.distribution,
        "version": origin.version,
        "file": origin.file,
    }


# --- records -------------------------------------------------------------------------------------------


def _record(store: Store, record: Mapping[str, Any]) -> Iterator[str]:
    cost, environment = record["cost"], record["environment"]
    yield from output.wrapped([*record["title"].split(" · "), record["stage"]])
    yield _line("key", record["key"])
    yield _line(
        "made",
        f"{record['created']}, suite {record['suite'].get('name')} version {record['suite'].get('version')}",
    )
    yield from _identity(record["identity"])
    yield _line("inputs", "")
    yield from _inputs(store, record["inputs"], "  ", set())
    yield _line("seed", str(record["seed"]))
    identity = record["identity"]
    if goal := identity.get("goal"):
        asked = {"success": "only whether it succeeds: samples leave at their first success"}
        yield _line("asked", asked.get(goal, "for the perturbation itself"))
    if over := identity.get("over"):
        yield _line("targets", f"the {over} over all targets of a sample")
    yield _line(
        "cost",
        f"{duration(cost['seconds'])} ({duration(cost['total_seconds'])} with reading and storing), "
        f"{count(cost['samples'])} samples, {count(cost['forward'])} forward and {count(cost['backward'])} "
        f"backward passes, at most {size(record['peak_memory'])}",
    )
    for name, value in record["notes"].items():
        yield _line("note", f"{name} = {value:g}")
    yield _line(
        "result",
        ", ".join(
            f"{n} {size(a['bytes'])} sha256 {a['sha256'][:12]}" for n, a in record["artifacts"].items()
        ),
    )
    threads = plural(record["threads"], "thread")
    yield _line("on", f"{record['device']}, {threads}, batches of {record['batch_size']}")
    yield _line(
        "versions",
        ", ".join(f"{n} {v}" for n, v in {**record["versions"], **environment["packages"]}.items()),
    )
    machine = [
        f"python {environment['python']}",
        environment["platform"],
        environment["cpu"],
        environment.get("gpu", ""),
    ]
    yield _line("machine", ", ".join(filter(None, machine)))
    if git := environment.get("git"):
        yield _line("git", f"{git['commit'][:12]}{' with changes' if git['dirty'] else ''}")
    yield from _again(store, record)


def _failure(store: Store, failure: Mapping[str, Any]) -> Iterator[str]:
    yield from output.wrapped([*f"FAILED  {failure['title']}".split(" · "), failure["stage"]])
    yield _line("key", failure["key"])
    yield _line("why", f"{failure['reason']}: {failure['message']}")
    yield from _identity(failure["identity"])
    yield from _again(store, failure)
    if failure["trace"]:
        yield ""
        yield failure["trace"].rstrip()


def _identity(identity: Mapping[str, Any]) -> Iterator[str]:
    for role in ("method", "builds"):
        if method := identity.get(role):
            text = f"{method['kind']} {method['name']}, revision {method['revision']}: "
            yield _line(role, text + (_values(method["params"]) or "no params"))
    if wish := identity.get("wish"):
        yield _line("wish", _values(wish))


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
        record = store.record(key) if known else None
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
        yield _line("again", f"{run} --only {record['key'][:12]}")
        if name and manifest["digest"] != record["suite"].get("digest"):
            yield _line("", "(the suite or its options have changed since)")
        return


def _belongs(manifest: Mapping[str, Any], record: Mapping[str, Any]) -> bool:
    from ..store.cells import cells_in

    return any(
        record["key"] in keys or record["where"].items() <= at.items()
        for at, *keys in cells_in(manifest).listed()
    )


def _line(name: str, value: str, wide: int = 9) -> str:
    """A name and its value on as many lines as it takes; commands and keys stay whole."""
    if name in ("key", "again"):
        return f"{name:{wide}}{value}"
    gap = " " * wide
    lines = textwrap.wrap(
        value, output.width(), initial_indent=gap, subsequent_indent=gap, break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip
    return "\n".join([f"{name:{wide}}{lines[0].strip()}", *lines[1:]]) if lines else name
