"""Checks raw values against the annotated fields of a params dataclass, with messages a user can act on.

pydantic does the checking; it is imported when the first value is checked. Types are taken strictly (no
`true` or text for a number), but an integral float is fine where a whole number is asked for.
"""

from __future__ import annotations

import re
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from ..errors import RobexError, did_you_mean, one_line
from ..spec import FileContent, Fraction, Kind, MethodRef, RefKind, param_types
from .nodes import Node, locate, show

_LISTS = (tuple, list, set, frozenset, Sequence, Iterable)


@dataclass(frozen=True)
class Wrong:
    """What is wrong with a value: at which node, said after the name of the method or section."""

    node: Node
    message: str


# --- what an annotation says ---------------------------------------------------------------------------


def branches(annotation: Any) -> Iterator[Any]:
    """The plain alternatives of a type: through Annotated, Union and None."""
    if get_origin(annotation) is Annotated:
        yield from branches(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, types.UnionType):
        for branch in get_args(annotation):
            yield from branches(branch)
    else:
        yield annotation


def marker(annotation: Any, of: type) -> Any:
    """The marker of this type that a field carries, also inside a Union, or None."""
    if get_origin(annotation) is Annotated:
        inner, *found = get_args(annotation)
        return next((m for m in found if isinstance(m, of)), None) or marker(inner, of)
    if get_origin(annotation) in (Union, types.UnionType):
        return next((m for b in get_args(annotation) if (m := marker(b, of)) is not None), None)
    return None


def list_depth(annotation: Any) -> int:
    """How many lists deep a value of this type may be: 0 for a scalar, 1 for `tuple[int, ...]`."""
    depths = [0]
    for branch in branches(annotation):
        if branch in _LISTS:
            depths.append(1)
        elif get_origin(branch) in _LISTS:
            depths.append(1 + max((list_depth(a) for a in get_args(branch) if a is not ...), default=0))
    return max(depths)


def item_type(annotation: Any) -> Any:
    """What the items of a list type are."""
    for branch in branches(annotation):
        if get_origin(branch) in _LISTS and get_args(branch):
            return get_args(branch)[0]
    return Any


def ref_kind(annotation: Any) -> Kind | None:
    """The kind of method a field takes, itself or in a list."""
    if found := marker(annotation, RefKind):
        return found.kind
    if list_depth(annotation):
        return ref_kind(item_type(annotation))
    return None


def literals(annotation: Any) -> list[Any]:
    """The values of every Literal in a type, through lists."""
    found = []
    for branch in branches(annotation):
        if get_origin(branch) is Literal:
            found += get_args(branch)
        elif get_origin(branch) is not None:
            found += [v for a in get_args(branch) for v in literals(a)]
    return found


def types_of(cls: type, owner: str) -> Mapping[str, Any]:
    """`param_types`, with a plugin's mistake said in one line."""
    try:
        return param_types(cls)
    except Exception as error:
        raise RobexError(f"{owner}: the types of its params cannot be read: {one_line(error)}") from None


# --- checking ------------------------------------------------------------------------------------------


class Checker:
    """Checks values of one set of fields. Make one with `checker_of` or with field -> annotation."""

    def __init__(self, annotations: Mapping[str, Any]) -> None:
        from pydantic import TypeAdapter
        from typing_extensions import TypedDict

        self.annotations = annotations
        strict = {name: strictly(annotation) for name, annotation in annotations.items()}
        self._adapter = TypeAdapter(TypedDict("Fields", strict, total=False))  # type: ignore[operator]

    def check(self, name: str, raw: Any, node: Node, base: Path) -> tuple[Any, list[Wrong]]:
        """The validated value of one field, or what is wrong with it. base: where relative paths start."""
        from pydantic import ValidationError

        try:
            return self._adapter.validate_python({name: raw}, context={"base": base})[name], []
        except ValidationError as error:
            return None, list(_explain(name, self.annotations[name], raw, node, error.errors()))


@cache
def checker_of(cls: type, owner: str) -> Checker:
    """The checker of a params dataclass."""
    try:
        return Checker(types_of(cls, owner))
    except RobexError:
        raise
    except Exception as error:  # a type that pydantic does not know
        raise RobexError(f"{owner}: the types of its params cannot be checked: {one_line(error)}") from None


def strictly(annotation: Any) -> Any:
    """The type with every int, float and bool in it made strict, and files resolved and looked for."""
    from pydantic import BeforeValidator, Strict, WithJsonSchema

    marks: tuple[Any, ...] = ()
    while get_origin(annotation) is Annotated:
        annotation, *more = get_args(annotation)
        marks = (*more, *marks)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation in (int, float, bool):
        marks = (Strict(), *marks)
        if annotation is int:
            marks += (BeforeValidator(_whole),)
        elif any(isinstance(m, Fraction) for m in marks):
            marks += (BeforeValidator(_number_in_quotes),)
    elif annotation is MethodRef:
        marks += (WithJsonSchema({"robex": "method"}),)  # json_schema puts the methods there
    elif any(isinstance(m, FileContent) for m in marks):
        marks += (BeforeValidator(_existing_file),)
    elif origin in (Union, types.UnionType):
        whole_stays = float in set(branches(annotation))  # `int | float`: 1.0 is no 1 there
        inner = [Annotated[int, Strict()] if whole_stays and a is int else strictly(a) for a in arguments]
        annotation = Union[tuple(inner)]  # noqa: UP007
    elif origin is not None and origin is not Literal and arguments:
        annotation = origin[tuple(a if a is ... else strictly(a) for a in arguments)]
    return Annotated[(annotation, *marks)] if marks else annotation  # type: ignore[return-value]


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


_DECIMAL = re.compile(r"\s*[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?\s*")


def _number_in_quotes(value: Any) -> Any:
    return float(value) if isinstance(value, str) and _DECIMAL.fullmatch(value) else value


def _existing_file(value: Any, info: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        path = locate(info.context["base"], value)
    except OSError as error:
        raise ValueError(f"{show(value)}: {error.strerror}") from None
    if not path.is_file():
        raise ValueError(f"no such file: {path}")
    return str(path)


# --- messages ------------------------------------------------------------------------------------------

_TYPE_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "text",
    "none": "null",
    "tuple": "a list",
    "list": "a list",
    "set": "a list",
    "frozen": "a list",
    "iterable": "a list",
    "is": "another type",
    "dict": "a mapping",
    "mapping": "a mapping",
    "dataclass": "the name of a method or a mapping with use",
}


def _explain(
    name: str, annotation: Any, raw: Any, node: Node, errors: Iterable[Mapping[str, Any]]
) -> Iterator[Wrong]:
    """One line for each place that is wrong; the branches of a Union that failed together become one."""
    places: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for error in errors:
        places.setdefault(_place(raw, error["loc"][1:]), []).append(error)
    for place, found in places.items():
        if any(len(p) > len(place) and p[: len(place)] == place for p in places):
            continue  # what is wrong with an item says more
        value, where = raw, node
        for step in place:
            value, where = value[step], _step(where, step)
        path = name + "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in place)
        yield Wrong(where, _message(path, value, annotation, found))


def _place(raw: Any, location: Iterable[Any]) -> tuple[Any, ...]:
    """The part of pydantic's location that leads through the value; the rest names branches of Unions."""
    place: list[Any] = []
    for step in location:
        if isinstance(raw, list | tuple) and isinstance(step, int):
            if step >= len(raw):  # a missing item: the list is to blame
                break
        elif not (isinstance(raw, dict) and step in raw):
            continue
        raw = raw[step]
        place.append(step)
    return tuple(place)


def _step(node: Node, step: Any) -> Node:
    if isinstance(node.value, list) and isinstance(step, int) and step < len(node.value):
        return node.value[step]
    if isinstance(node.value, dict) and step in node.value:
        return node.value[step]
    return node


def _wanted(error: Mapping[str, Any], annotation: Any) -> str | None:
    """What a value of the wrong type should have been; None when the type is right."""
    kind = error["type"]
    if kind == "literal_error":
        options = [show(v).strip("'") for v in literals(annotation)]
        return f"one of {', '.join(options)}" if len(options) > 1 else options[0]
    family, _, problem = kind.partition("_")
    if kind == "is_instance_of" or problem in ("type", "parsing", "from_float", "required", "set_type"):
        if family == "float" and marker(annotation, Fraction):
            return "a number such as 0.03 or 8/255"
        return _TYPE_WORDS.get(family)
    return None


_BOUNDS = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("more than", "gt"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("less than", "lt"),
    "multiple_of": ("a multiple of", "multiple_of"),
}


def _message(path: str, value: Any, annotation: Any, errors: Sequence[Mapping[str, Any]]) -> str:
    of_right_type = [e for e in errors if _wanted(e, annotation) is None]
    if not of_right_type:
        wanted = dict.fromkeys(str(_wanted(e, annotation)) for e in errors)
        slip = isinstance(value, str) and any(e["type"] == "literal_error" for e in errors)
        hint = did_you_mean(value, map(str, literals(annotation))) if slip else ""
        return f"{path} must be {' or '.join(wanted)}, got {show(value)}{hint}"
    error = of_right_type[0]
    kind, context = error["type"], error.get("ctx", {})
    if kind in _BOUNDS:
        words, key = _BOUNDS[kind]
        limit = context[key]
        limit = int(limit) if isinstance(limit, float) and limit.is_integer() else limit
        return f"{path} must be {words} {limit}, got {show(value)}"
    if kind == "finite_number":
        return f"{path} must be finite, got {show(value)}"
    if kind in ("value_error", "assertion_error"):
        return f"{path}: {' '.join(str(context['error']).split())}"
    if (kind == "missing" or kind.startswith("too_")) and isinstance(value, list | tuple):
        return f"{path} must have {_length(annotation, kind, context)}, got {len(value)}"
    if kind in ("string_too_short", "string_too_long"):
        least = kind.endswith("short")
        limit = _count(context["min_length" if least else "max_length"], "character")
        return f"{path} must have at {'least' if least else 'most'} {limit}, got {show(value)}"
    text = error["msg"].removeprefix("Input ").removeprefix("Value ")
    return f"{path} {text[:1].lower()}{text[1:]}, got {show(value)}"


def _length(annotation: Any, kind: str, context: Mapping[str, Any]) -> str:
    for branch in branches(annotation):
        if get_origin(branch) is tuple and ... not in get_args(branch):
            return f"exactly {_count(len(get_args(branch)), 'item')}"
    if kind == "too_short":
        return f"at least {_count(context['min_length'], 'item')}"
    return f"at most {_count(context.get('max_length', 0), 'item')}"


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"
