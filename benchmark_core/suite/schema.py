"""The JSON Schema (draft 2020-12) of suites with the methods at hand, for editors: names, params, texts.

It accepts what the loader accepts, but for what needs the whole file: labels, patterns, params that must fit
together.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import RobexError
from ..registry import Registry
from ..spec import ENTRY_KEYS, KINDS, AttackSpec, ExplainerSpec, Kind, MethodSpec, MetricSpec
from .fields import checker_of, ref_kind, strictly
from .keys import (
    BOARD_TYPES,
    HEAD_TYPES,
    LIMIT_TYPES,
    NAME_PATTERN,
    REQUIRED,
    RULE_TYPES,
    SECTIONS,
    SUITE_KEYS,
)
from .methods import KEY_TYPES, entry_keys
from .model import Board, Limits

_KEY_TEXT = {
    "use": "The method.",
    "as": 'Label on boards; may hold params, as in "PGD {eps}".',
    "samples": "How many test samples it works on; all for every one.",
    "select": "Which test samples: all, correctly classified or negative ones, or equally many of a class.",
    "targets": "Classes to aim at.",
    "over": "How the scores of several targets of a sample become one.",
    "on": "What it explains: clean inputs, or the outputs of attacks (labels or patterns).",
    "reference": "Label of the defense it compares with; a list makes one metric of each.",
}
assert set(_KEY_TEXT) == set(ENTRY_KEYS)


def json_schema(registry: Registry) -> dict[str, Any]:
    """The schema of whole suites; installed plugins included."""
    specs: dict[Kind, list[MethodSpec]] = {kind: registry.methods(kind) for kind in KINDS}
    writer = _Writer()
    properties = {key: _typed(t) for key, t in HEAD_TYPES.items()}
    properties["suite"]["pattern"] = f"^{NAME_PATTERN}$"
    properties["extends"] = {"type": "string", "minLength": 1}
    properties["plugins"] = {"type": "array", "items": {"type": "string"}}
    for section, kind in SECTIONS.items():
        properties[section] = {"type": "array", "items": writer.entry(kind, specs[kind])}
        if section in REQUIRED:
            properties[section]["minItems"] = 1
    rule = _object({k: _typed(t) for k, t in RULE_TYPES.items()}, minProperties=1)
    properties["include"] = properties["exclude"] = {"type": "array", "items": rule}
    properties["limits"] = _object({k: _typed(t) for k, t in LIMIT_TYPES.items()})
    _describe(properties["limits"]["properties"], Limits)
    board = {k: _typed(t) for k, t in BOARD_TYPES.items()}
    board["name"]["pattern"] = f"^{NAME_PATTERN}$"
    _describe(board, Board)
    properties["boards"] = {"type": "array", "items": _object(board, required=["name", "rows"])}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "robex suite",
        "type": "object",
        "properties": {key: {"description": text, **properties[key]} for key, text in SUITE_KEYS.items()},
        "additionalProperties": False,
        "anyOf": [{"required": list(REQUIRED)}, {"required": ["suite", "extends"]}],
        "$defs": writer.definitions(specs),
    }


class _Writer:
    """Writes the schemas of methods; those inside others are `$defs`, written when one refers to them."""

    def __init__(self) -> None:
        self._wanted: list[Kind] = []

    def entry(self, kind: Kind, specs: Iterable[MethodSpec]) -> dict[str, Any]:
        """An item of a section: a bare name, or a mapping with params and the entry's own keys."""
        return self._one_of(specs, lambda spec: {k: _entry_key(spec, k) for k in entry_keys(spec)})

    def definitions(self, specs: Mapping[Kind, list[MethodSpec]]) -> dict[Kind, Any]:
        done: dict[Kind, Any] = {}
        for kind in self._wanted:  # writing one may ask for another
            done[kind] = self._one_of(specs[kind], lambda spec: {})
        return done

    def _one_of(self, specs: Iterable[MethodSpec], keys: Any) -> dict[str, Any]:
        specs = list(specs)
        bare = [s for s in specs if not _required(s) and not (isinstance(s, MetricSpec) and s.reference)]
        names = [{"const": s.name, **_text(s.summary)} for s in bare]
        return {"oneOf": [*names, *(self._mapping(s, keys(s)) for s in specs)]}

    def _mapping(self, spec: MethodSpec, keys: Mapping[str, Any]) -> dict[str, Any]:
        try:
            types = checker_of(spec.params, spec.name).annotations
        except RobexError as error:  # a plugin's mistake, which the loader reports when the method is used
            return {"properties": {"use": {"const": spec.name}}, "required": ["use"], **_text(str(error))}
        fields = [f for f in dataclasses.fields(spec.params) if f.init]
        params = {f.name: self._param(types[f.name], f) for f in fields}
        _describe(params, spec.params)
        required = ["use", *_required(spec)]
        if "reference" in keys:
            required.append("reference")
        use = {"const": spec.name, **_text(spec.summary)}
        return _object({"use": use, **keys, **params}, required=required, **_text(_about(spec)))

    def _param(self, annotation: Any, f: dataclasses.Field[Any]) -> dict[str, Any]:
        schema = _with_grid(self._value(annotation))
        if isinstance(f.default, str | int) or (isinstance(f.default, float) and math.isfinite(f.default)):
            schema["default"] = f.default
        return schema

    def _value(self, annotation: Any) -> dict[str, Any]:
        schema = _typed(annotation)
        if kind := ref_kind(annotation):
            if kind not in self._wanted:
                self._wanted.append(kind)
            schema = _replaced(schema, {"$ref": f"#/$defs/{kind}"})
        return schema


def _typed(annotation: Any) -> dict[str, Any]:
    """The schema of one type as pydantic writes it."""
    from pydantic import TypeAdapter

    return TypeAdapter(strictly(annotation)).json_schema()


def _replaced(schema: Any, reference: Mapping[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_replaced(s, reference) for s in schema]
    if not isinstance(schema, dict):
        return schema
    if "robex" in schema:
        return dict(reference)
    return {k: _replaced(v, reference) for k, v in schema.items()}


def _with_grid(value: dict[str, Any]) -> dict[str, Any]:
    """The value, or a list of such values; for a list type these are lists again."""
    return {"anyOf": [value, {"type": "array", "items": value, "minItems": 1}]}


def _entry_key(spec: MethodSpec, key: str) -> dict[str, Any]:
    schema = _typed(KEY_TYPES[key])
    if key == "as":
        schema |= {"minLength": 1, "maxLength": 100}
    elif key == "targets" and isinstance(spec, AttackSpec) and not spec.targeted:
        schema = {"const": "none"}
    elif key == "targets" and isinstance(spec, ExplainerSpec) and spec.produces == "counterfactual":
        schema["enum"] = [v for v in schema["enum"] if v != "none"]
    if key not in ("as", "on"):
        schema = _with_grid(schema)
    return {**schema, "description": _KEY_TEXT[key]}


def _required(spec: MethodSpec) -> list[str]:
    missing = dataclasses.MISSING
    return [
        f.name
        for f in dataclasses.fields(spec.params)
        if f.init and f.default is missing and f.default_factory is missing
    ]


def _object(properties: Mapping[str, Any], required: list[str] | None = None, **more: Any) -> dict[str, Any]:
    found = {"type": "object", "properties": dict(properties), "additionalProperties": False, **more}
    return {**found, "required": required} if required else found


def _text(text: str) -> dict[str, str]:
    return {"description": text} if text else {}


def _about(spec: MethodSpec) -> str:
    return "\n\n".join(part for part in (spec.summary, spec.cite) if part)


def _describe(properties: Mapping[str, dict[str, Any]], cls: type) -> None:
    """Give fields the words that follow `name:` in the docstring of their dataclass."""
    doc = " ".join((cls.__doc__ or "").split())
    if doc.startswith(f"{cls.__name__}("):
        return
    names = "|".join(re.escape(f.name) for f in dataclasses.fields(cls))
    parts = re.split(rf"(?:^|(?<=[.;:] ))((?:(?:{names})(?:, | and )?)+): ", doc)
    for heads, text in zip(parts[1::2], parts[2::2], strict=True):
        for name in re.findall(r"\w+", heads):
            if name in properties and "description" not in properties[name]:
                text = text.strip()
                properties[name]["description"] = text[:1].upper() + text[1:]
