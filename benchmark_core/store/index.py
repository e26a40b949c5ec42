"""A sqlite index of a store: what boards and listings need of its nodes without opening each. Derived from
the nodes, brought up to date as it is used; deleting `index.sqlite` costs time and nothing else.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from zlib import crc32

from .stamps import Ahead, able, stamp, stamps
from .store import BAD, RESULT, DamagedNode, Store

if TYPE_CHECKING:
    import numpy as np

FILE = "index.sqlite"
_VERSION = 6
_COLUMNS = "key, stage, method, dataset, suite, title, seconds, bytes, created"
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS records (key TEXT PRIMARY KEY, stage TEXT, method TEXT, "
    "dataset TEXT, suite TEXT, title TEXT, seconds REAL, bytes INTEGER, created TEXT, checksum INTEGER)",
    "CREATE TABLE IF NOT EXISTS facts (key TEXT PRIMARY KEY, written INTEGER, size INTEGER, facts TEXT, "
    "data BLOB, checksum INTEGER)",
    "CREATE TABLE IF NOT EXISTS columns (name TEXT PRIMARY KEY, texts TEXT, stamps BLOB, data BLOB, "
    "checksum INTEGER)",
)
_TABLES = ("records", "facts", "columns")
_AT_ONCE = 500  # keys in one query
_MANY = 20_000  # nodes that are worth another process
#: A damaged name of a table may stand in the message, which then is no text.
_ERRORS = (sqlite3.DatabaseError, UnicodeDecodeError)
#: Errors that are no fault of the file's content.
_ELSEWHERE = (
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
)


T = TypeVar("T")


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
        self._keys: set[str] = set()
        self._db = _open(store.path)
        self._anew_if_damaged(self.refresh)

    def refresh(self) -> None:
        """Add records that are missing from the index, forget those that are gone."""
        self.damaged.clear()
        names = set(self.store.names())
        aside = {name.removesuffix(BAD) for name in names if name.endswith(BAD)}
        stored = {name for name in names if not name.endswith(BAD)}
        known = {key for (key,) in self._db.execute("SELECT key FROM records")}
        with self._db:
            for table in ("records", "facts"):
                self._db.executemany(f"DELETE FROM {table} WHERE key = ?", [(k,) for k in known - stored])
            if known - stored:  # each is one of many in its column
                self._db.execute("DELETE FROM columns")
            # A node that was set aside has been computed again: its record is another.
            rows = ((*row, _checksum(*row)) for row in self._rows(sorted(stored - known | stored & aside)))
            self._db.executemany(f"INSERT OR REPLACE INTO records VALUES ({', '.join('?' * 10)})", rows)
        self._keys = stored.difference(self.damaged)

    def rows(self) -> list[Row]:
        """All records, oldest first."""
        return self._anew_if_damaged(self._read)

    def times(self) -> list[tuple[str, str, str, float]]:
        """(stage, method, dataset, seconds) of every record, for estimates."""
        return [(row.stage, row.method, row.dataset, row.seconds) for row in self.rows()]

    def totals(self) -> tuple[int, int]:
        """Number of records and bytes of their artifacts."""
        rows = self.rows()
        return len(rows), sum(row.bytes for row in rows)

    def close(self) -> None:
        self._db.close()

    def _read(self) -> list[Row]:
        rows = []
        for *values, checksum in self._db.execute(
            f"SELECT {_COLUMNS}, checksum FROM records ORDER BY created, key"
        ):
            if _checksum(*values) != checksum:
                raise sqlite3.DatabaseError("a row of another content than was written")
            rows.append(Row(*values))
        keys = {row.key for row in rows}
        if not self._keys <= keys or len(keys) < len(rows):
            raise sqlite3.DatabaseError("rows are gone or doubled")
        return rows

    def _anew_if_damaged(self, act: Callable[[], T]) -> T:
        """What act returns. An index that is damaged further in than its opening shows, or that can be read
        and not written, makes room for one in memory; the damaged file for a new one at the next opening.
        """
        try:
            return act()
        except _ERRORS as error:
            if _is_damage(error):
                _drop(self.store.path)
            self._db.close()
            self._db = _prepared(sqlite3.connect(":memory:"))
            self.refresh()
            return act()

    def _rows(self, keys: Iterable[str]) -> Iterator[Row]:
        for key in keys:
            try:
                row = row_of(self.store.record(key))
            except (DamagedNode, KeyError):  # or a record without what listings need
                self.damaged.append(key)
                continue
            yield row


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
    which: np.ndarray
    starts: np.ndarray
    data: bytes


class Facts:
    """Facts about nodes, read once. A fact holds while the node's result file is the one it was read from, by
    its time and size: a node that is gone, set aside or written anew has none.

    What cannot be kept (a read-only store, a full disk) is read again by the next process.
    """

    def __init__(self, store: Store) -> None:
        self._folder = store.path
        self._nodes = str(store.nodes)
        self._db = _open(store.path)
        self._new: list[Fact] = []
        self._columns: list[tuple[str, str, bytes, bytes, int]] = []
        self._ahead: Ahead | None = None

    def stamp(self, key: str) -> tuple[int, int] | None:
        """When a node's result file was written, as one number, and its size; None when there is none."""
        try:
            return stamp(self._nodes, key, RESULT)
        except OSError:
            return None

    def expect(self, columns: Sequence[Sequence[str]]) -> None:
        """Says which columns will be asked for, in about this order: if there are many, a process beside this
        one looks at the result files meanwhile."""
        if sum(map(len, columns)) < _MANY or not able():
            return
        named = {_name(keys): keys for keys in columns}
        names, held = list(named), set[str]()
        with self._dropped_if_damaged():
            for start in range(0, len(names), _AT_ONCE):
                some = names[start : start + _AT_ONCE]
                query = f"SELECT name FROM columns WHERE name IN ({', '.join('?' * len(some))})"
                held.update(name for (name,) in self._db.execute(query, some))
        groups = {name: keys for name, keys in named.items() if name in held}
        if sum(map(len, groups.values())) >= _MANY:
            with suppress(OSError):  # then this process looks
                self._ahead = Ahead(self._nodes, groups, RESULT)

    def get(self, keys: Sequence[str]) -> Iterator[Fact]:
        """The facts that hold about these nodes."""
        if self._new:
            self.flush()
        for start in range(0, len(keys), _AT_ONCE):
            some = keys[start : start + _AT_ONCE]
            marks = ", ".join("?" * len(some))
            with self._dropped_if_damaged():
                for *fact, checksum in self._db.execute(
                    f"SELECT key, written, size, facts, data, checksum FROM facts WHERE key IN ({marks})",
                    some,
                ):
                    if _checksum(*fact) == checksum:
                        found = Fact(*fact)
                        if self.stamp(found.key) == (found.written, found.size):
                            yield found

    def column(self, keys: Sequence[str]) -> Held | None:
        """What is held of exactly these nodes, in one piece; None unless all of it still holds."""
        import numpy as np

        found, name = None, _name(keys)
        with self._dropped_if_damaged():
            query = "SELECT texts, stamps, data, checksum FROM columns WHERE name = ?"
            found = self._db.execute(query, (name,)).fetchone()
        if found is None or _checksum(*found[:3]) != found[3]:
            return None
        held = np.frombuffer(found[1], np.int64).reshape(4, len(keys))
        now = (self._ahead and self._ahead.get(name)) or stamps(self._nodes, keys, RESULT)
        if (held[:2] != np.frombuffer(now, np.int64).reshape(-1, 2).T).any():
            return None
        ends = np.cumsum(held[3])
        return Held(json.loads(found[0]), held[2], ends - held[3], found[2])

    def hold(self, facts: Sequence[Fact]) -> None:
        """Keeps these facts in one piece too, for `column` of their keys."""
        import numpy as np

        texts = {text: i for i, text in enumerate(dict.fromkeys(fact.text for fact in facts))}
        numbers = np.array([(f.written, f.size, texts[f.text], len(f.data)) for f in facts], np.int64).T
        found = json.dumps(list(texts)), numbers.tobytes(), b"".join(fact.data for fact in facts)
        row = (_name([fact.key for fact in facts]), *found, _checksum(*found))
        self._columns.append(row)
        if len(self._columns) >= 100:
            self.flush()

    def add(self, fact: Fact) -> None:
        self._new.append(fact)
        if len(self._new) >= 5000:
            self.flush()

    def flush(self) -> None:
        rows, self._new = [(*fact, _checksum(*fact)) for fact in self._new], []
        columns, self._columns = self._columns, []
        with self._dropped_if_damaged(), self._db:
            self._db.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?, ?, ?, ?, ?)", rows)
            self._db.executemany("INSERT OR REPLACE INTO columns VALUES (?, ?, ?, ?, ?)", columns)

    @contextmanager
    def _dropped_if_damaged(self) -> Iterator[None]:
        """What a damaged index holds is read from the nodes again, and kept from the next opening on."""
        try:
            yield
        except _ERRORS as error:
            if _is_damage(error):
                _drop(self._folder)

    def close(self) -> None:
        if self._ahead is not None:
            self._ahead.close()
        self.flush()
        self._db.close()


def _checksum(*parts: object) -> int:
    """Of values and their types: one bit of a file can make a text a blob."""
    found = 0
    for part in parts:
        found = crc32(part if isinstance(part, bytes) else repr(part).encode(), found)
    return found


def _name(keys: Sequence[str]) -> str:
    return sha256("".join(keys).encode()).hexdigest()


def _open(folder: Path) -> sqlite3.Connection:
    """The index of a store. One that is damaged is made anew; where none can be written, one in memory."""
    path = folder / FILE
    if path.is_symlink():  # it may lead to a database that is none of ours
        _drop(folder)
    for again in (False, True):
        try:
            return _prepared(sqlite3.connect(path, timeout=30))
        except _ERRORS as error:
            if again or not _is_damage(error):
                break
            _drop(folder)
    return _prepared(sqlite3.connect(":memory:"))


def _is_damage(error: Exception) -> bool:
    """Not so: it is read-only, held by somebody for half a minute, or its disk is full or failing."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    return code not in _ELSEWHERE


def _drop(folder: Path) -> None:
    with suppress(OSError):
        (folder / FILE).unlink(missing_ok=True)


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
    except _ERRORS:
        db.close()
        raise
    return db
