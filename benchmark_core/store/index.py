"""A sqlite index of a store: sizes, times and origins of records without opening each. Derived from the
records and rebuilt whenever it does not match them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from .store import RESULT, DamagedNode, Store

_VERSION = 1
_COLUMNS = "key, stage, method, dataset, suite, title, seconds, bytes, created"


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
        path = store.path / "index.sqlite"
        try:
            self._db = sqlite3.connect(path, timeout=30)
            self._prepare()
        except sqlite3.DatabaseError:  # read-only, or not a database: an index in memory serves as well
            self._db = sqlite3.connect(":memory:")
            self._prepare()
        self.refresh()

    def refresh(self) -> None:
        """Add records that are missing from the index, forget those that are gone."""
        stored = set(self.store.keys())
        known = {key for (key,) in self._db.execute("SELECT key FROM records")}
        with self._db:
            self._db.executemany("DELETE FROM records WHERE key = ?", [(k,) for k in known - stored])
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

    def _prepare(self) -> None:
        with self._db:
            if self._db.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
                self._db.execute("DROP TABLE IF EXISTS records")
                self._db.execute(f"PRAGMA user_version = {_VERSION}")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS records (key TEXT PRIMARY KEY, stage TEXT, method TEXT, "
                "dataset TEXT, suite TEXT, title TEXT, seconds REAL, bytes INTEGER, created TEXT)"
            )

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
