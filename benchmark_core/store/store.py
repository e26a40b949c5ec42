"""The store: one immutable folder per finished node, found by its key.

    <store>/nodes/<ab>/<key>/record.json, result.safetensors
    <store>/failures/<key>.json          why a node failed last time
    <store>/suites/<name>.json           which cells of a suite stand for which keys

A node is written to a temporary folder, synced and renamed, so that a reader sees all of it or nothing and
two writers of one key need no lock. Nothing is ever pickled.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import RobexError, did_you_mean, printable, reason
from .shapes import Misshapen, check_failure, check_manifest, check_record, check_tensors

FORMAT = 1
RECORD = "record.json"
RESULT = "result.safetensors"
#: How the folder of a damaged node that was set aside ends.
BAD = ".bad"


class DamagedNode(RobexError):
    """A stored node does not match its checksums; it has to be computed again."""

    def __init__(self, key: str, why: str) -> None:
        super().__init__(printable(f"record {key[:12]} {why}"))
        self.key = key


class StoreError(RobexError):
    """The store cannot be written. That is nobody's node's fault: the run stops."""


class Store:
    """A folder of records. `Store(path)` makes it when it is not there."""

    def __init__(self, path: str | os.PathLike[str], *, create: bool = True) -> None:
        self.path = Path(path)
        self.nodes = self.path / "nodes"
        marker = self.path / "store.json"
        try:
            if marker.is_file():
                found = json.loads(marker.read_text())["format"]
                if found > FORMAT:
                    raise RobexError(
                        f"{self.path}: written by a newer robex (store format {found}); update robex"
                    )
            elif not create:
                raise RobexError(f"{self.path}: no store here; run a suite first, or name one with --store")
            elif self.path.is_dir() and not all(map(self._of_a_new_store, os.listdir(self.path))):
                raise RobexError(f"{self.path}: not empty and no store; name another folder with --store")
            else:
                self.nodes.mkdir(parents=True, exist_ok=True)
                write_atomically(marker, (json.dumps({"format": FORMAT}) + "\n").encode())
        except OSError as error:
            raise RobexError(f"{self.path}: {reason(error)}") from error
        except _UNREADABLE:
            raise RobexError(f"{marker}: unreadable; restore it as {{'format': {FORMAT}}}") from None

    def _of_a_new_store(self, name: str) -> bool:
        """Whether another process that makes this very store may have written it."""
        return name == self.nodes.name or name.startswith(".store.json-")

    def folder(self, key: str) -> Path:
        return self.nodes / key[:2] / key

    def has(self, key: str) -> bool:
        return os.path.isfile(f"{self.nodes}/{key[:2]}/{key}/{RECORD}")

    def keys(self) -> Iterator[str]:
        """Keys of all stored nodes, sorted."""
        return (name for name in self.names() if not name.endswith(BAD))

    def names(self) -> Iterator[str]:
        """Keys of all stored nodes and names of those that were set aside, sorted."""
        if self.nodes.is_dir():
            for prefix in sorted(os.scandir(self.nodes), key=lambda e: e.name):
                if prefix.is_dir():
                    yield from sorted(os.listdir(prefix.path))

    def find(self, prefix: str) -> str:
        """The one key (stored or failed) that starts with `prefix`."""
        failed = (p.stem for p in (self.path / "failures").glob(f"{prefix}*.json"))
        if len(prefix) >= 2:
            folder = self.nodes / prefix[:2]
            stored = os.listdir(folder) if folder.is_dir() else []
        else:
            stored = list(self.keys())
        found = sorted({k for k in (*stored, *failed) if k.startswith(prefix) and not k.endswith(BAD)})
        if not found:
            raise RobexError(f"{self.path}: no record starts with {prefix!r}")
        if len(found) > 1:
            raise RobexError(f"{self.path}: {len(found)} records start with {prefix!r}; give more of the key")
        return found[0]

    # -- reading --

    def record(self, key: str, *, whole: bool = False) -> dict[str, Any]:
        """The record of a node, checked against its checksum, and every entry that robex writes for what it
        is. whole: none of them may be missing."""
        try:
            record = json.loads((self.folder(key) / RECORD).read_bytes())
            claimed = record.pop("checksum")
            matches = claimed == _digest(record) and record.get("key") == key
            if matches:
                check_record(record, whole=whole)
        except FileNotFoundError:
            raise DamagedNode(key, "is missing") from None
        except Misshapen as error:
            raise DamagedNode(key, f"is not as robex writes it ({error})") from None
        except (*_UNREADABLE, NotADirectoryError, IsADirectoryError):
            raise DamagedNode(key, "cannot be read") from None
        except OSError as error:
            raise RobexError(f"{self.folder(key) / RECORD}: {reason(error)}") from error
        if not matches:
            raise DamagedNode(key, "does not match its checksum")
        return record

    def tensors(
        self, key: str, record: Mapping[str, Any] | None = None, *, numpy: bool = False
    ) -> dict[str, Any]:
        """The tensors of a node (torch, or numpy arrays), checked against the record's checksum."""
        record = record or self.record(key)
        try:
            data = (self.folder(key) / RESULT).read_bytes()
        except FileNotFoundError:
            raise DamagedNode(key, f"has no {RESULT}") from None
        except IsADirectoryError:
            raise DamagedNode(key, f"cannot be read ({RESULT})") from None
        except OSError as error:
            raise RobexError(f"{self.folder(key) / RESULT}: {reason(error)}") from error
        if hashlib.sha256(data).hexdigest() != record["artifacts"].get(RESULT, {}).get("sha256"):
            raise DamagedNode(key, f"does not match its checksum ({RESULT})")
        from safetensors import SafetensorError

        if numpy:
            from safetensors.numpy import load
        else:
            from safetensors.torch import load
        try:
            tensors = load(data)
            check_tensors(record.get("stage", ""), tensors)
        except (SafetensorError, KeyError, ValueError, TypeError) as error:
            why = error if isinstance(error, Misshapen) else "not readable"
            raise DamagedNode(key, f"holds no result of its stage ({RESULT}: {why})") from None
        return tensors

    def result(self, key: str) -> Any:
        """What the node returned: a result dataclass, or a mapping of tensors."""
        from .codec import decode

        record = self.record(key)
        return decode(record["result"]["type"], self.tensors(key, record), record["result"]["fields"])

    # -- writing --

    def write(self, record: Mapping[str, Any], result: Any) -> bool:
        """Store a node's result under record["key"]. False: somebody had stored that key already, and what
        they stored stays."""
        from safetensors.torch import save

        from .codec import encode

        key = record["key"]
        type_name, tensors, fields = encode(result)
        data = save(tensors)
        full = {
            **record,
            "result": {"type": type_name, "fields": fields},
            "artifacts": {RESULT: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}},
        }
        target = f"{self.nodes}/{key[:2]}/{key}"
        draft = f"{self.path}/tmp/{key[:16]}-{os.getpid()}-{secrets.token_hex(4)}"
        ours = False
        try:
            _in_folder(draft, lambda: os.mkdir(draft))
            _write_synced(f"{draft}/{RESULT}", data)
            _write_synced(f"{draft}/{RECORD}", _signed(full))
            try:
                _in_folder(target, lambda: os.rename(draft, target))
                ours = True
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                if not self.is_sound(key):  # else somebody stored the same key meanwhile
                    self.set_aside(key)
                    os.rename(draft, target)
                    ours = True
        except OSError as error:
            raise self.unwritable(error) from error
        finally:
            if not ours:
                shutil.rmtree(draft, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.unlink(f"{self.path}/failures/{key}.json")
        return ours

    def unwritable(self, error: OSError) -> StoreError:
        return StoreError(f"{self.path}: cannot be written: {reason(error)}")

    def set_aside(self, key: str) -> None:
        """Keep a damaged node as <key>.bad, so that it is computed again."""
        bad = self.folder(key).with_name(f"{key}{BAD}")
        shutil.rmtree(bad, ignore_errors=True)
        try:
            self.folder(key).rename(bad)
        except FileNotFoundError:  # somebody else was faster
            pass
        except OSError as error:
            raise self.unwritable(error) from error

    def is_sound(self, key: str) -> bool:
        """Whether a node is there and matches its checksums."""
        try:
            self.tensors(key, numpy=True)
        except DamagedNode:
            return False
        return True

    def remove(self, key: str) -> int:
        """Delete a node; returns the bytes freed. It is gone at once, whatever interrupts the deleting."""
        size = self.size(key)
        doomed = self.path / "tmp" / f"{key[:16]}-{secrets.token_hex(4)}"
        doomed.parent.mkdir(exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            self.folder(key).rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)
        return size

    def size(self, key: str) -> int:
        folder = self.folder(key)
        return sum(f.stat().st_size for f in os.scandir(folder)) if folder.is_dir() else 0

    # -- failures and suites --

    def write_failure(self, key: str, failure: Mapping[str, Any]) -> None:
        write_atomically(self.path / "failures" / f"{key}.json", _sealed(failure))

    def failure(self, key: str, *, whole: bool = False) -> dict[str, Any] | None:
        """Why the node failed last time, or None: it did not, or nobody can read why. whole: None too where
        anything is missing that robex writes."""
        try:
            failure = _unsealed((self.path / "failures" / f"{key}.json").read_bytes())
            check_failure(failure, whole=whole)
            return failure
        except (OSError, *_UNREADABLE):
            return None

    def write_suite(self, name: str, manifest: Mapping[str, Any]) -> None:
        write_atomically(self.path / "suites" / f"{name}.json", _sealed(manifest))

    def suites(self) -> list[str]:
        return sorted(p.stem for p in (self.path / "suites").glob("*.json"))

    def suite(self, name: str) -> dict[str, Any]:
        """The manifest that the last run of a suite left: its cells, boards and metrics."""
        try:
            manifest = _unsealed((self.path / "suites" / f"{name}.json").read_bytes())
            check_manifest(manifest)
            return manifest
        except FileNotFoundError:
            known = self.suites()
            listed = f"; it holds: {', '.join(known)}" if known else ""
            hint = did_you_mean(name, known) or listed
            raise RobexError(f'{self.path}: no suite called "{name}" has run here{hint}') from None
        except OSError as error:
            raise RobexError(f"{self.path}/suites/{name}.json: {reason(error)}") from error
        except _UNREADABLE as error:
            why = error if isinstance(error, Misshapen) else "damaged"
            raise RobexError(
                f"{self.path}/suites/{name}.json: {why}; run the suite again (no result is lost)"
            ) from None

    def sweep(self, older_than: float = 24 * 3600.0) -> int:
        """Remove what killed writers left behind, once it is that many seconds old; returns how many."""
        drafts = [d for d in (self.path / "tmp").glob("*") if time.time() - d.stat().st_mtime > older_than]
        for draft in drafts:
            shutil.rmtree(draft, ignore_errors=True)
        return len(drafts)


#: What text that is not ours raises when it is taken for ours.
_UNREADABLE = (ValueError, KeyError, AttributeError, TypeError, RecursionError)


def _sealed(value: Mapping[str, Any]) -> bytes:
    """JSON whose last entry is the sha256 of it without that entry."""
    text = json.dumps(value)
    return f'{text[:-1]}, "checksum": "{hashlib.sha256(text.encode()).hexdigest()}"}}\n'.encode()


def _unsealed(data: bytes) -> dict[str, Any]:
    """The inverse; one of _UNREADABLE when the text was changed. What was written before there were checksums
    has none."""
    value = json.loads(data)
    claimed = value.pop("checksum", None)
    end = f', "checksum": "{claimed}"}}\n'.encode()
    if claimed is not None and hashlib.sha256(data.removesuffix(end) + b"}").hexdigest() != claimed:
        raise ValueError("does not match its checksum")
    return value


_compact = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


def _digest(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(_compact(record).encode()).hexdigest()


def _signed(record: Mapping[str, Any]) -> bytes:
    """The text of a record: its entries, one a line, and their `_digest`. Each becomes JSON once."""
    entries = [(_compact(name), _compact(record[name])) for name in sorted(record)]
    signed = f"{{{','.join(f'{name}:{value}' for name, value in entries)}}}"
    entries.append(('"checksum"', f'"{hashlib.sha256(signed.encode()).hexdigest()}"'))
    lines = ",\n".join(f" {name}: {value}" for name, value in entries)
    return f"{{\n{lines}\n}}\n".encode()


def _in_folder(path: str, act: Callable[[], None]) -> None:
    """Make something at a path, and the folder that it lies in when that is not there."""
    try:
        act()
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        act()


def _write_synced(path: str | os.PathLike[str], data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def write_atomically(path: Path, data: bytes) -> None:
    """All of it or nothing, synced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}-{os.getpid()}-{secrets.token_hex(4)}")
    try:
        _write_synced(draft, data)
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
