"""`robex show`: what a method does and takes, or how a stored result was made."""

from __future__ import annotations

import dataclasses
import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, get_args, get_origin

import click

from ..board.formats import count, finite
from ..errors import RobexError, did_you_mean
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
from . import measured, output
from .options import (
    command_line,
    find_store,
    json_option,
    load_registry,
    plugin_option,
    store_option,
    trace_option,
)
from .record_text import entry, failure_lines, record_lines

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
            output.say_json([_method_json(registry, spec) for spec in found])
        else:
            for i, spec in enumerate(found):
                if i:
                    output.say()
                for line in _describe(registry, spec):
                    output.say_wrapped(line)
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
    found_record = opened.record(key) if opened.has(key) else opened.failure(key)
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
            yield entry(name, value, 8)
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
