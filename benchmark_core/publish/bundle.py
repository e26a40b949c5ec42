"""Bundles: the records of a suite in one file, without weights and images. Unpacked it is a store that shows
the same boards; everything in it can be checked against its own checksums.

    <suite>/store.json, suites/<name>.json
    <suite>/nodes/<ab>/<key>/record.json              of every node, weights and attacks included
    <suite>/nodes/<ab>/<key>/result.safetensors       of scores and of the samples they were measured on
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import RobexError, printable, reason
from ..plan.keys import key_of
from ..store import DamagedNode, Store
from ..store.cells import Listed, cells_in
from ..store.store import RECORD, RESULT, write_atomically

#: The stages whose results boards read; the others' are large, and made again by running the suite.
KEPT = ("measure", "select")


@dataclass(frozen=True)
class Bundled:
    """records: in the file; results: how many of them come with their result."""

    path: Path
    records: int
    results: int
    bytes: int


@dataclass(frozen=True)
class Verified:
    """What a store's records say when all is looked at. records: sound ones; results: how many of these come
    with their result, sound too. damaged: one line for each record that is not among them."""

    records: int
    results: int
    damaged: tuple[str, ...]


def bundle(store: Store, name: str, path: Path) -> Bundled:
    """Writes the records of a suite's last run to `path`, a .tar.xz. The same records give the same bytes.

    Raises RobexError when a score is missing or damaged, or the file cannot be written.
    """
    records = _reached(store, name)
    results = [key for key, record in records.items() if record["stage"] in KEPT]
    for key in results:
        store.tensors(key, records[key], numpy=True)  # none goes out damaged
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:xz", preset=9) as tar:
        files = [store.path / "store.json", store.path / "suites" / f"{name}.json"]
        files += [store.folder(key) / RECORD for key in sorted(records)]
        files += [store.folder(key) / RESULT for key in sorted(results)]  # alike side by side packs better
        for file in files:
            _add(tar, f"{name}/{file.relative_to(store.path).as_posix()}", file)
    try:
        write_atomically(path, held.getvalue())
    except OSError as error:
        raise RobexError(f"{path}: {reason(error)}") from error
    return Bundled(path, len(records), len(results), held.tell())


def verify(store: Store) -> Verified:
    """Every record against its checksum, its key against what it says it was made from, every result that is
    there against the record, and what suites say of their cells against the records of these."""
    damaged, records, results = [], 0, 0
    for key in list(store.keys()):
        try:
            record = store.record(key, whole=True)
            if not _is_of(key, record):
                raise DamagedNode(key, "says it was made from something else than its key does")
            with_result = record["stage"] in KEPT or (store.folder(key) / RESULT).exists()
            if with_result:
                store.tensors(key, record, numpy=True)
            records += 1
            results += with_result
        except DamagedNode as error:
            damaged.append(str(error))
    for name in store.suites():
        damaged += _mislabelled(store, name)
    return Verified(records, results, tuple(damaged))


def _is_of(key: str, record: Mapping[str, Any]) -> bool:
    try:
        return key_of(record["identity"]) == key
    except (ValueError, RecursionError):  # what no identity can hold
        return False


def _mislabelled(store: Store, name: str) -> Iterator[str]:
    """A suite says which record stands in which cell. Records name their cell as the suite that made them
    did: where that is this one, both have to agree; and they are of its metric and samples in any case."""
    try:
        manifest = store.suite(name)
    except RobexError as error:
        yield str(error)
        return
    cells: dict[str, list[Listed]] = {}
    for cell in cells_in(manifest).listed():
        cells.setdefault(cell[1], []).append(cell)
    for key, named in cells.items():
        try:
            record = store.record(key, whole=True) if store.has(key) else None
        except DamagedNode:  # told already
            continue
        if record is None:
            continue
        made_here = record["suite"].get("digest") == manifest["digest"]
        metric = record["identity"].get("method", {}).get("name")
        selection = record["inputs"].get("selection")
        if not all(
            manifest["metrics"][at["metric"]]["name"] == metric and picked == selection
            for at, _, picked, _ in named
        ) or (made_here and all(at != record["where"] for at, *_ in named)):
            yield f"suite {printable(name)} takes record {key[:12]} for something else than the record says"


def _reached(store: Store, name: str) -> dict[str, dict[str, Any]]:
    """The records of the cells, and of all they were made from that is still there."""
    cells = cells_in(store.suite(name))
    stack = [*cells.keys, *cells.selections.values]
    if missing := sum(not store.has(key) for key in stack):
        raise RobexError(
            f"{store.path}: {missing:,} records of {name} are missing; run the suite to its end first"
        )
    records: dict[str, dict[str, Any]] = {}
    while stack:
        key = stack.pop()
        if key not in records and store.has(key):
            records[key] = store.record(key, whole=True)
            stack.extend(records[key]["inputs"].values())
    return records


def _add(tar: tarfile.TarFile, name: str, file: Path) -> None:
    """Without times, owners and modes of this machine."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise RobexError(f"{file}: {reason(error)}") from error
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))
