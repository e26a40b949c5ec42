"""Why two sets of results may differ: versions, hardware, git state and methods that their records name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .cells import Reader, Seed

#: Which stage's record describes a method of which kind, and under which key of its identity.
_METHODS = (
    ("load", "dataset", "method"), ("train", "model", "builds"), ("train", "defense", "method"),
    ("attack", "attack", "method"), ("explain", "explainer", "method"), ("measure", "metric", "method"),
)  # fmt: skip
_ENVIRONMENT = ("python", "cuda", "gpu", "driver", "cpu", "platform")

Facts = dict[str, dict[str, None]]  # what -> its values, in the order in which they were met


def reasons(
    left: Reader, left_seeds: Iterable[Seed], right: Reader, right_seeds: Iterable[Seed], *, methods: bool
) -> list[str]:
    """`torch 2.8.0 → 2.9.1`, `pgd revision 1 → 2`, ...: facts about all records behind the cells of two
    sides that are not the same. methods: also of the methods, matched by label."""
    mine, theirs = _facts(left, left_seeds, methods=methods), _facts(right, right_seeds, methods=methods)
    found = []
    for what in dict.fromkeys((*mine, *theirs)):
        a, b = mine.get(what, {}), theirs.get(what, {})
        if set(a) != set(b):
            found.append(f"{what} {', '.join(a) or 'none'} → {', '.join(b) or 'none'}")
    return found


def of_rows(manifest: Mapping[str, Any], left: Mapping[str, str], right: Mapping[str, str]) -> list[str]:
    """`attack pgd → mifgsm, two methods; eps 0.1 → 0.2`: how two rows of a suite differ."""
    found = []
    for coordinate, label in left.items():
        if right.get(coordinate, label) == label:
            continue
        known = manifest.get("methods", {}).get("attack" if coordinate == "on" else coordinate, {})
        a, b = known.get(label), known.get(right[coordinate])
        if a is None or b is None or a["name"] != b["name"]:
            names = [one["name"] if one else of for one, of in ((a, label), (b, right[coordinate]))]
            found.append(f"{coordinate} {names[0]} → {names[1]}, two methods")
        if a is not None and b is not None:
            mine, theirs = dict(_flat(a["params"])), dict(_flat(b["params"]))
            found += [f"{n} {v} → {theirs[n]}" for n, v in mine.items() if n in theirs and theirs[n] != v]
    return found


def _facts(reader: Reader, seeds: Iterable[Seed], *, methods: bool) -> Facts:
    facts: Facts = {}
    for record in _behind(reader, (seed.key for seed in seeds)):
        pairs = [*_made_with(record), *(_methods(record) if methods else ())]
        for what, value in pairs:
            if value not in (None, ""):
                facts.setdefault(what, {})[str(value)] = None
    return facts


def _behind(reader: Reader, keys: Iterable[str]) -> Iterator[Mapping[str, Any]]:
    """The records of these nodes and of all that went into them, each once."""
    waiting, seen = list(dict.fromkeys(keys))[::-1], set()
    while waiting:
        key = waiting.pop()
        if key in seen:
            continue
        seen.add(key)
        record = reader.record(key)
        if record is not None:
            yield record
            waiting += [k for k in record.get("inputs", {}).values() if k not in seen]


def _made_with(record: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    environment = record.get("environment", {})
    for name, version in record.get("versions", {}).items():
        yield name, version
    for name, version in environment.get("packages", {}).items():
        yield name, version
    for name in _ENVIRONMENT:
        yield name, environment.get(name)
    for name in ("device", "threads"):
        yield name, record.get(name)
    if git := environment.get("git"):
        yield "git", f"{git['commit'][:7]}{' (modified)' if git['dirty'] else ''}"
    if plugin := record.get("plugin"):
        yield f"plugin {plugin['name']}", plugin["version"]


def _methods(record: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    identity, where = record.get("identity", {}), record.get("where", {})
    if "engine" in identity:
        yield "engine code", _short(identity["engine"])
    if version := record.get("suite", {}).get("version"):
        yield "suite version", version
    for stage, kind, part in _METHODS:
        method = identity.get(part)
        if record.get("stage") != stage or method is None or kind not in where:
            continue
        label = where[kind]
        yield f"{label}: method", method["name"]
        yield f"{label} revision", method["revision"]
        for name, value in _flat(method["params"]):
            yield f"{label} {name}", value
        for name, digest in method.get("files", {}).items():
            yield f"{label} file {name}", digest[:7]
        if plugin := record.get("plugin"):
            yield f"code of plugin {plugin['name']}", _short(method.get("code"))


def _flat(params: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Params with those of nested methods written with dots."""
    for name, value in params.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _short(digest: str | None) -> str | None:
    """The first characters of a hash, after a number that may stand before it."""
    if digest is None:
        return None
    *number, last = str(digest).split()
    return " ".join([*number, last[:7]])
