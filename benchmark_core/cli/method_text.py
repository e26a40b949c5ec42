"""A method as text: what it does, its params, what its spec says, its source, and how a suite names it."""

from __future__ import annotations

import dataclasses
import math
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, get_args, get_origin

from ..board.formats import finite, significant
from ..spec import (
    AttackSpec,
    DatasetSpec,
    ExplainerSpec,
    FileContent,
    MethodRef,
    MethodSpec,
    MetricSpec,
    Operational,
    RefKind,
    StateSpec,
    markers,
    param_types,
)
from . import output
from .record_text import entry

if TYPE_CHECKING:
    from ..registry import Registry

_WIDE = 11
_SCORES = {
    "score": "a number a sample",
    "bernoulli": "0 or 1 a sample",
    "conditional": "a number a sample, where it is defined",
    "set": "one number for all samples",
}
_JUDGES = {
    "method": "the method that made what it measures",
    "defense": "the defense that met the attack; where rows are attacks, a board turns the direction",
    "attack": "the attack that met a defense; where rows are defenses, a board turns the direction",
}
_READS = {
    "success": "only whether the attack succeeds: it may stop at the first success",
    "result": "the result itself",
    "cost": "only what the result cost",
}
_REFERENCE = {
    "model": "with the model of the defense that `reference: LABEL` names",
    "result": "with the same method's result on the defense that `reference: LABEL` names",
}
_UNSEEN = "No result depends on it."
_BIBTEX = re.compile(r"\s*@\w+\s*\{")


def method_lines(registry: Registry, spec: MethodSpec) -> Iterator[str]:
    yield f"{spec.name} · {spec.kind} · revision {spec.revision}"
    for text in (spec.summary, _docs(spec.params)[0]):
        yield from textwrap.wrap(text, output.width())
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
    bibtex = spec.cite if _BIBTEX.match(spec.cite) else ""
    for name, value in (
        *_capabilities(spec),
        ("cite", "" if bibtex else spec.cite),
        ("from", str(registry.origin(spec))),
        ("code", spec.target),
    ):
        if value:
            yield entry(name, value, _WIDE)
    if bibtex:
        yield ""
        yield from textwrap.dedent(bibtex).strip().splitlines()
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
    if not isinstance(spec, DatasetSpec):
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
            yield "attack", ", ".join(filter(None, parts))
            if spec.control:
                yield "control", "a null method: any real attack should beat it"
        case ExplainerSpec():
            yield "makes", spec.produces
            if spec.ideal:
                yield "reference", "what a perfect method would give: shown, never ranked"
            elif spec.control:
                yield "control", "a null method: any real one should beat it"
        case MetricSpec():
            yield from _metric(spec)
        case StateSpec():
            yield "made of", f"the {spec.made_from}"
        case _:
            pass
    if spec.deterministic and not isinstance(spec, DatasetSpec | MetricSpec):
        yield "seeds", "none needed: the result does not depend on one"


def _metric(spec: MetricSpec) -> Iterator[tuple[str, str]]:
    yield "measures", " or ".join(filter(None, (", ".join(spec.consumes[:-1]), spec.consumes[-1])))
    yield "better", spec.direction or "neither: it describes"
    yield "judges", _JUDGES[spec.judges]
    yield "scores", f"{spec.scores}: {_SCORES[spec.scores]}"
    low, high = (significant(b) if math.isinf(b) else f"{b:g}" for b in spec.range)
    unit = {"%": ", shown in %", "": ""}.get(spec.unit, f", in {spec.unit}")
    yield "range", ("any number" if spec.range == (-math.inf, math.inf) else f"{low} to {high}") + unit
    if spec.scores != "set":
        valid = spec.scores == "conditional" and spec.failure is None
        over = "the samples where it is defined" if valid else "all samples"
        yield "average", f"{spec.average} over {over}"
    if spec.failure is not None:
        yield "failure", f"a sample without a valid result counts as {significant(spec.failure)}"
    yield "reads", _READS[spec.reads]
    if spec.reference:
        yield "compares", _REFERENCE[spec.reference]


def _fields(spec: MethodSpec) -> Iterator[dict[str, str]]:
    about = _docs(spec.params)[1]
    types = param_types(spec.params)
    for f in dataclasses.fields(spec.params):
        yield {
            "name": f.name,
            "type": _type_text(types[f.name]),
            "default": _default_text(f),
            "about": " ".join(
                [about.get(f.name, ""), _UNSEEN if Operational() in markers(types[f.name]) else ""]
            ).strip(),
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
            list(re.finditer(rf"(?:^|(?<=[.;\n])) *((?:{names})(?:, (?:{names}))*): ", text)) if names else []
        )
        ends = [*(mark.start() for mark in marks[1:]), len(text)]
        for mark, end in zip(marks, ends, strict=False):
            for name in mark[1].split(", "):
                found[name] = _plain(text[mark.end() : end]).removesuffix(";")
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
        if isinstance(mark, FileContent):
            return "file"
    if marks:
        return " ".join([_type_text(get_args(annotation)[0]), ", ".join(_bounds(marks))]).strip()
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


def _bounds(marks: Iterable[Any]) -> Iterator[str]:
    """The narrowest of all: `> 0`, `< 1`."""
    marks = list(marks)
    for strict, weak, sign, narrow in (("gt", "ge", ">", max), ("lt", "le", "<", min)):
        told = {
            name: narrow(bounds)
            for name in (strict, weak)
            if (bounds := [b for mark in marks if (b := getattr(mark, name, None)) is not None])
        }
        if told:
            bound = narrow(told.values())
            yield f"{sign if told.get(strict) == bound else f'{sign}='} {bound}"


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


def method_json(registry: Registry, spec: MethodSpec) -> dict[str, Any]:
    """spec: what the spec of its kind says, as it stands; capabilities: the same in words."""
    origin = registry.origin(spec)
    common = {f.name for f in dataclasses.fields(MethodSpec)} - {"accepts", "deterministic"}
    own = {name: value for name, value in dataclasses.asdict(spec).items() if name not in common}
    return {
        "name": spec.name,
        "kind": spec.kind,
        "summary": spec.summary,
        "about": _docs(spec.params)[0],
        "revision": spec.revision,
        "params": list(_fields(spec)),
        "capabilities": dict(_capabilities(spec)),
        "spec": finite(own),
        "cite": spec.cite,
        "target": spec.target,
        "plugin": origin.plugin,
        "distribution": origin.distribution,
        "version": origin.version,
        "file": origin.file,
    }
