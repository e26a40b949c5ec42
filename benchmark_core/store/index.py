"""A sqlite index of a store: what boards and listings need of its nodes without opening each. Derived from
the nodes, brought up to date as it is used; deleting `index.sqlite` costs time and nothing else.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

from .store import RESULT, DamagedNode, Store

_VERSION = 4
_COLUMNS = "key, stage, method, dataset, suite, title, seconds, bytes, created"
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS records (key TEXT PRIMARY KEY, stage TEXT, method TEXT, "
    "dataset TEXT, suite TEXT, title TEXT, seconds REAL, bytes INTEGER, created TEXT)",
    "CREATE TABLE IF NOT EXISTS facts (key TEXT PRIMARY KEY, written INTEGER, size INTEGER, facts TEXT, "
    "data BLOB, checksum INTEGER)",
    "CREATE TABLE IF NOT EXISTS columns (name TEXT PRIMARY KEY, texts TEXT, stamps BLOB, data BLOB, "
    "checksum INTEGER)",
)
_TABLES = ("records", "facts", "columns")
_AT_ONCE = 500  # keys in one query


class Row(NamedTuple):
    """One record. seconds: of the whole node; bytes: of its artifacts; created: ISO time, UTC."""

    key: str
    stage: str
    method: str
    dataset: str
    suite: str
    title: str
    seconds: float
    bytes: int
    created: str


class Index:
    """`Index(store)` opens it and brings it up to date with what lies on disk."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.damaged: list[str] = []
        self._db = _open(store.path)
        try:
            self.refresh()
        except sqlite3.DatabaseError:  # it can be read and not written, or is damaged further in
            self._db = _prepared(sqlite3.connect(":memory:"))
            self.refresh()

    def refresh(self) -> None:
        """Add records that are missing from the index, forget those that are gone."""
        stored = set(self.store.keys())
        known = {key for (key,) in self._db.execute("SELECT key FROM records")}
        with self._db:
            for table in ("records", "facts"):
                self._db.executemany(f"DELETE FROM {table} WHERE key = ?", [(k,) for k in known - stored])
            if known - stored:  # each is one of many in its column
                self._db.execute("DELETE FROM columns")
            rows = self._rows(sorted(stored - known))
            self._db.executemany(f"INSERT OR REPLACE INTO records VALUES ({', '.join('?' * 9)})", rows)

    def rows(self) -> list[Row]:
        """All records, oldest first."""
        query = f"SELECT {_COLUMNS} FROM records ORDER BY created, key"
        return [Row(*values) for values in self._db.execute(query)]

    def times(self) -> list[tuple[str, str, str, float]]:
        """(stage, method, dataset, seconds) of every record, for estimates."""
        return list(self._db.execute("SELECT stage, method, dataset, seconds FROM records"))

    def totals(self) -> tuple[int, int]:
        """Number of records and bytes of their artifacts."""
        count, size = self._db.execute("SELECT count(*), coalesce(sum(bytes), 0) FROM records").fetchone()
        return count, size

    def close(self) -> None:
        self._db.close()

    def _rows(self, keys: Iterable[str]) -> Iterator[Row]:
        for key in keys:
            try:
                record = self.store.record(key)
            except DamagedNode:
                self.damaged.append(key)
                continue
            yield row_of(record)


def row_of(record: dict[str, Any]) -> Row:
    return Row(
        record["key"],
        record["stage"],
        record["identity"].get("method", {}).get("name", ""),
        record["where"].get("dataset", ""),
        record["suite"].get("name", ""),
        record["title"],
        record["cost"]["total_seconds"],
        record["artifacts"][RESULT]["bytes"],
        record["created"],
    )


class Fact(NamedTuple):
    """What was read from a node whose checksums held. written, size: of its result file then (ns, bytes).

    text: JSON, whatever the reader keeps. data: small arrays, as the text says.
    """

    key: str
    written: int
    size: int
    text: str
    data: bytes


class Held(NamedTuple):
    """The facts of several nodes: node i has texts[which[i]], and its data begin at starts[i]."""

    texts: Sequence[str]
    which: Sequence[int]
    starts: Sequence[int]
    data: bytes


class Facts:
    """Facts about nodes, read once. A fact holds while the node's result file is the one it was read from, by
    its time and size: a node that is gone, set aside or written anew has none.

    What cannot be kept (a read-only store, a full disk) is read again by the next process.
    """

    def __init__(self, store: Store) -> None:
        self._nodes = str(store.nodes)
        self._db = _open(store.path)
        self._new: list[Fact] = []
        self._columns: list[tuple[str, str, bytes, bytes, int]] = []

    def stamp(self, key: str) -> tuple[int, int] | None:
        """When a node's result file was written, as one number, and its size; None when there is none."""
        try:
            found = os.stat(f"{self._nodes}/{key[:2]}/{key}/{RESULT}")
        except OSError:
            return None
        return _written(found), found.st_size

    def get(self, keys: Sequence[str]) -> Iterator[Fact]:
        """The facts that hold about these nodes."""
        if self._new:
            self.flush()
        for start in range(0, len(keys), _AT_ONCE):
            some = keys[start : start + _AT_ONCE]
            marks = ", ".join("?" * len(some))
            with suppress(sqlite3.DatabaseError):  # damaged since it was opened: all of it is read again
                for *fact, checksum in self._db.execute(
                    f"SELECT key, written, size, facts, data, checksum FROM facts WHERE key IN ({marks})",
                    some,
                ):
                    key, written, size, text, data = fact
                    if self.stamp(key) == (written, size) and _checksum(text, data) == checksum:
                        yield Fact(key, written, size, text, data)

    def column(self, keys: Sequence[str]) -> Held | None:
        """What is held of exactly these nodes, in one piece; None unless all of it still holds."""
        import numpy as np

        try:
            query = "SELECT texts, stamps, data, checksum FROM columns WHERE name = ?"
            found = self._db.execute(query, (_name(keys),)).fetchone()
        except sqlite3.DatabaseError:
            return None
        if found is None or _checksum(found[0], found[1], found[2]) != found[3]:
            return None
        stamps = np.frombuffer(found[1], np.int64).reshape(4, len(keys))
        stat, nodes = os.stat, self._nodes
        try:
            for key, written, size in zip(keys, *stamps[:2].tolist(), strict=True):
                now = stat(f"{nodes}/{key[:2]}/{key}/{RESULT}")
                if _written(now) != written or now.st_size != size:
                    return None
        except OSError:
            return None
        ends = np.cumsum(stamps[3])
        return Held(json.loads(found[0]), stamps[2].tolist(), (ends - stamps[3]).tolist(), found[2])

    def hold(self, facts: Sequence[Fact]) -> None:
        """Keeps these facts in one piece too, for `column` of their keys."""
        import numpy as np

        texts = {text: i for i, text in enumerate(dict.fromkeys(fact.text for fact in facts))}
        stamps = np.array([(f.written, f.size, texts[f.text], len(f.data)) for f in facts], np.int64).T
        found = json.dumps(list(texts)), stamps.tobytes(), b"".join(fact.data for fact in facts)
        row = (_name([fact.key for fact in facts]), *found, _checksum(*found))
        self._columns.append(row)
        if len(self._columns) >= 100:
            self.flush()

    def add(self, fact: Fact) -> None:
        self._new.append(fact)
        if len(self._new) >= 5000:
            self.flush()

    def flush(self) -> None:
        rows, self._new = [(*fact, _checksum(fact.text, fact.data)) for fact in self._new], []
        columns, self._columns = self._columns, []
        with suppress(sqlite3.DatabaseError), self._db:
            self._db.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?, ?, ?, ?, ?)", rows)
            self._db.executemany("INSERT OR REPLACE INTO columns VALUES (?, ?, ?, ?, ?)", columns)

    def close(self) -> None:
        self.flush()
        self._db.close()


def _written(found: os.stat_result) -> int:
    """Differs for another file and for other content of the same one, even where somebody set its mtime."""
    return (found.st_mtime_ns * 31 + found.st_ctime_ns * 17 + found.st_ino) & (2**63 - 1)


def _checksum(text: str, *data: bytes) -> int:
    found = crc32(text.encode())
    for part in data:
        found = crc32(part, found)
    return found


def _name(keys: Sequence[str]) -> str:
    return sha256("".join(keys).encode()).hexdigest()


def _open(folder: Path) -> sqlite3.Connection:
    """The index of a store. One that is damaged is made anew; where none can be written, one in memory."""
    path = folder / "index.sqlite"
    for again in (False, True):
        try:
            return _prepared(sqlite3.connect(path, timeout=30))
        except sqlite3.OperationalError:  # read-only, or held by somebody for half a minute
            break
        except sqlite3.DatabaseError:
            with suppress(OSError):
                path.unlink(missing_ok=True)
            if again:
                break
    return _prepared(sqlite3.connect(":memory:"))


def _prepared(db: sqlite3.Connection) -> sqlite3.Connection:
    try:
        db.execute("PRAGMA mmap_size = 4294967296")
        db.execute("PRAGMA synchronous = OFF")  # what a power cut may cost is made anew
        if db.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
            with db:
                for table in _TABLES:
                    db.execute(f"DROP TABLE IF EXISTS {table}")
                for statement in _SCHEMA:
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {_VERSION}")
        for table in _TABLES:
            db.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone()
    except sqlite3.Error:
        db.close()
        raise
    return db
