"""What manifests, records and what is kept of failures have to look like. A checksum says that nobody changed
a text by accident; that every entry is of the type that boards and listings take it for is said here, before
anything works on what somebody else may have written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn

from .cells import packed

#: Raises Misshapen unless a value is as it should be. The text says where it stands: `boards[0].rows`.
Check = Callable[[Any, str], None]

_KEY = 64  # hexadecimal digits
_SHOWN = 40
_COORDINATES = ("dataset", "model", "defense", "attack", "explainer", "on")


class Misshapen(ValueError):
    """`boards[0].rows is 7, not a list`."""


def check_manifest(value: Any) -> None:
    _MANIFEST(value, "")
    names = [board["name"] for board in value["boards"]]
    if len(set(names)) < len(names):
        raise Misshapen("boards have a name twice")
    for i, board in enumerate(value["boards"]):
        if set(board["rows"]) <= {"dataset"}:
            raise Misshapen(f"boards[{i}].rows tell no rows apart")
        if board["expected"] is not None and type(board.get("expected_text")) is not str:
            raise Misshapen(f"boards[{i}].expected_text is missing")
    _cells(value["cells"], value)


def check_record(value: Any, *, whole: bool = False) -> None:
    """whole: not only what is there, but everything that a run writes."""
    (_WHOLE if whole else _RECORD)(value, "")


def check_failure(value: Any, *, whole: bool = False) -> None:
    (_WHOLE_FAILURE if whole else _FAILURE)(value, "")


def check_tensors(stage: str, tensors: Mapping[str, Any]) -> None:
    """That what boards read of a result is there: a list of scores, or of the samples of a selection."""
    needed, others = {"measure": ("values", ("valid",)), "select": ("index", ())}.get(stage, (None, ()))
    if needed is None:
        return
    if needed not in tensors:
        raise Misshapen(f"{needed} is missing")
    count = len(tensors[needed]) if tensors[needed].ndim == 1 else -1
    for name in (needed, *(other for other in others if other in tensors)):
        found = tensors[name]
        if found.ndim != 1 or len(found) != count:
            raise Misshapen(f"{name} has the shape {tuple(found.shape)}, not ({max(count, 0)},)")
        kind = str(found.dtype).removeprefix("torch.")
        if not kind.startswith(
            {"values": ("float", "bfloat", "int", "uint", "bool"), "valid": "bool"}.get(name, "int")
        ):
            raise Misshapen(f"{name} holds {kind}")


# --- how checks are made -------------------------------------------------------------------------------


def _of(types: type | tuple[type, ...], what: str) -> Check:
    def check(value: Any, at: str) -> None:
        if not isinstance(value, types) or (isinstance(value, bool) and types is not bool):
            _refuse(value, at, what)

    return check


def _maybe(inner: Check) -> Check:
    return lambda value, at: None if value is None else inner(value, at)


def _one_of(*words: str | None) -> Check:
    def check(value: Any, at: str) -> None:
        if not isinstance(value, str | None) or value not in words:
            _refuse(value, at, f"one of {', '.join(filter(None, words))}")

    return check


def _many(inner: Check) -> Check:
    def check(value: Any, at: str) -> None:
        if not isinstance(value, list):
            _refuse(value, at, "a list")
        for i, one in enumerate(value):
            inner(one, f"{at}[{i}]")

    return check


def _named(inner: Check) -> Check:
    def check(value: Any, at: str) -> None:
        for name, one in _mapping(value, at).items():
            inner(one, f"{at}.{name}")

    return check


def _fields(needed: Mapping[str, Check], others: Mapping[str, Check] | None = None) -> Check:
    """others: may be missing. Entries that have no name here may be anything."""
    every = {**needed, **(others or {})}

    def check(value: Any, at: str) -> None:
        found = _mapping(value, at)
        for name, inner in every.items():
            if name in found:
                inner(found[name], f"{at}.{name}" if at else name)
            elif name in needed:
                raise Misshapen(f"{at}.{name} is missing" if at else f"{name} is missing")

    return check


def _mapping(value: Any, at: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        _refuse(value, at, "an object")
    return value


def _refuse(value: Any, at: str, what: str) -> NoReturn:
    raise Misshapen(f"{at or 'the whole'} is {_shown(value)}, not {what}")


def _shown(value: Any) -> str:
    """On one line, and short however long the value is."""
    kind = {dict: "an object", list: "a list"}.get(type(value))
    text = kind or ascii(value[: _SHOWN + 1] if isinstance(value, str) else value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 4]} ..."


_text = _of(str, "a text")
_mapped = _of(dict, "an object")


def _number(value: Any, at: str) -> None:
    if type(value) not in (int, float) or (type(value) is int and abs(value) > 2**1000):
        _refuse(value, at, "a number")


def _whole(value: Any, at: str) -> None:
    if type(value) is not int or not -(2**63) <= value < 2**63:
        _refuse(value, at, "a whole number of at most 64 bits")


def _amount(value: Any, at: str) -> None:
    _number(value, at)
    if not 0 <= value < 1e18:
        _refuse(value, at, "a number from 0 to 1e18")


def _label(value: Any, at: str) -> None:
    if not isinstance(value, str):
        _whole(value, at)


def _failure_value(value: Any, at: str) -> None:
    try:
        float(value)
    except (TypeError, ValueError, OverflowError):
        _refuse(value, at, "a number")


def _range(value: Any, at: str) -> None:
    _many(_maybe(_number))(value, at)
    if len(value) != 2:
        _refuse(value, at, "two numbers")


def _pair(value: Any, at: str) -> None:
    _many(_text)(value, at)
    if len(value) != 2:
        _refuse(value, at, "two texts")


def _keys(value: Any, at: str) -> None:
    """All at once: there may be millions. A key becomes part of a path."""
    if not isinstance(value, list):
        _refuse(value, at, "a list")
    alike = set(map(type, value)) <= {str} and set(map(len, value)) <= {_KEY}
    try:
        if alike and len(bytes.fromhex("".join(value))) == len(value) * _KEY // 2:
            return
    except ValueError:
        pass
    bad = next((i for i, key in enumerate(value) if not _is_key(key)), 0)
    _refuse(value[bad], f"{at}[{bad}]", f"a key ({_KEY} hexadecimal digits)")


def _is_key(value: Any) -> bool:
    return isinstance(value, str) and len(value) == _KEY and set(value) <= set("0123456789abcdefABCDEF")


# --- manifests -----------------------------------------------------------------------------------------

_METRIC = _fields(
    {
        "unit": _text,
        "direction": _one_of("higher", "lower", None),
        "range": _range,
        "scores": _one_of("score", "bernoulli", "conditional", "set"),
        "consumes": _many(_text),
        "name": _text,
    },
    {
        "summary": _text,
        "judges": _text,
        "average": _one_of("mean", "median"),
        "failure": _maybe(_failure_value),
    },
)
_BOARD = _fields(
    {
        "name": _text,
        "rows": _many(_one_of(*_COORDINATES)),
        "metrics": _many(_text),
        "rank_by": _maybe(_text),
        "expected": _maybe(_text),
    },
    {"expected_text": _maybe(_text)},
)
_METHOD = _fields({"name": _text, "params": _mapped})
_MANIFEST = _fields(
    {
        "suite": _text,
        "version": _whole,
        "file": _text,
        "digest": _text,
        "overrides": _mapped,
        "source": _many(_pair),
        "seeds": _whole,
        "labels": _named(_many(_text)),
        "metrics": _named(_METRIC),
        "boards": _many(_BOARD),
        "cells": _of((dict, list), "an object"),
    },
    {
        "description": _text,
        "plugins": _many(_text),
        "methods": _named(_named(_METHOD)),
        "controls": _many(_text),
        "ideals": _many(_text),
        "left_out": _named(_whole),
        "nodes": _keys,
    },
)


def _cells(value: Any, manifest: Mapping[str, Any]) -> None:
    if isinstance(value, list):  # as they were written once
        value = _packed(value)
    at, keys = _mapping(value.get("at"), "cells.at"), value.get("key")
    _keys(keys, "cells.key")
    columns = {f"at.{name}": at[name] for name in at}
    columns |= {name: value.get(name) for name in ("selection", "result")}
    for name, column in columns.items():
        _interned(column, f"cells.{name}", len(keys))
    for name in ("selection", "result"):
        if -1 in value[name][1]:
            raise Misshapen(f"cells.{name} is missing for some cells")
        _keys([key for key in value[name][0] if key != ""], f"cells.{name}[0]")
    if not keys:
        return
    for name in ("dataset", "model", "defense", "seed", "metric"):
        if name not in at or -1 in at[name][1]:
            raise Misshapen(f"cells.at.{name} is missing")
    for name, (values, _) in at.items():
        _many(_whole if name == "seed" else _text)(values, f"cells.at.{name}[0]")
        if name in ("seed", "metric"):
            continue
        known = manifest["labels"].get("attack" if name == "on" else name, [])
        if unknown := set(values).difference(known, ["clean"] if name == "on" else []):
            raise Misshapen(f"cells.at.{name} holds {_shown(min(unknown))}, which labels do not")
    for name in at["metric"][0]:
        if name not in manifest["metrics"]:
            raise Misshapen(f"metrics.{name} is missing")


def _packed(value: Sequence[Any]) -> dict[str, Any]:
    for i, cell in enumerate(value):
        if not isinstance(cell, list) or len(cell) not in (3, 4):
            _refuse(cell, f"cells[{i}]", "coordinates and keys")
        _named(_label)(cell[0], f"cells[{i}][0]")
        _many(_text)(cell[1:], f"cells[{i}]")
    return packed(value)


def _interned(value: Any, at: str, count: int) -> None:
    """A list of values, and for each cell which of them it has."""
    if not (
        isinstance(value, list | tuple) and len(value) == 2 and all(isinstance(part, list) for part in value)
    ):
        _refuse(value, at, "a list of values and a list of places")
    values, which = value
    if len(which) != count or not set(map(type, which)) <= {int} or not _within(which, len(values)):
        _refuse(which, f"{at}[1]", f"{count} places in a list of {len(values)}")


def _within(which: Iterable[int], count: int) -> bool:
    return min(which, default=-1) >= -1 and max(which, default=-1) < count


# --- records -------------------------------------------------------------------------------------------

#: Of a method as it counts in a key, of what a node cost and of where it ran: text or number by name.
_BUILT: dict[str, Check] = {"name": _text, "kind": _text, "params": _mapped, "revision": _label}
_COST: dict[str, Check] = dict.fromkeys(
    ("total_seconds", "seconds", "forward", "backward", "samples"), _amount
)
_MACHINE: dict[str, Check] = {
    "python": _text,
    "platform": _text,
    "cpu": _maybe(_text),
    "packages": _named(_maybe(_text)),
}
_FILES: dict[str, Check] = {"files": _named(_text), "code": _text}
_CHIPS: dict[str, Check] = {
    **dict.fromkeys(("gpu", "cuda", "driver"), _maybe(_text)),
    "git": _maybe(_fields({"commit": _text, "dirty": _of(bool, "true or false")})),
}


def _identity(method: Check) -> Check:
    return _fields({}, {"method": method, "builds": method, "wish": _mapped, "goal": _text, "over": _text})


_WRITTEN: dict[str, Check] = {
    "key": _text,
    "stage": _text,
    "title": _text,
    "where": _named(_label),
    "identity": _identity(_fields({}, {**_BUILT, **_FILES})),
    "inputs": lambda value, at: _keys(list(_mapping(value, at).values()), at),
    "suite": _fields({}, {"name": _text, "digest": _text, "version": _whole}),
    "seed": _maybe(_whole),
    "cost": _fields({}, _COST),
    "notes": _fields({}, {"vanished_gradient": _maybe(_number)}),
    "peak_memory": _amount,
    "threads": _whole,
    "device": _text,
    "batch_size": _maybe(_whole),
    "versions": _named(_text),
    "environment": _fields({}, {**_MACHINE, **_CHIPS}),
    "created": _text,
    "result": _fields({"type": _text, "fields": _mapped}),
    "artifacts": _named(_fields({"sha256": _text, "bytes": _amount})),
}
_PLUGIN: dict[str, Check] = {
    "plugin": _fields({"name": _text}, {"version": _maybe(_text), "distribution": _maybe(_text)})
}
_RECORD = _fields({"artifacts": _WRITTEN["artifacts"]}, {**_WRITTEN, **_PLUGIN})
_WHOLE_IDENTITY = _identity(_fields(_BUILT, _FILES))
_WHOLE = _fields(
    {
        **_WRITTEN,
        "identity": _WHOLE_IDENTITY,
        "cost": _fields(_COST),
        "environment": _fields(_MACHINE, _CHIPS),
    },
    _PLUGIN,
)
_FAILED: dict[str, Check] = {
    **dict.fromkeys(("key", "stage", "title", "reason", "message"), _text),
    "where": _named(_label),
    "identity": _WHOLE_IDENTITY,
    "trace": _maybe(_text),
}
_FAILURE, _WHOLE_FAILURE = _fields({}, _FAILED), _fields(_FAILED)
