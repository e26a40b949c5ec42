"""Where the source of plugins and of the engine lies, and its hash: source that changes changes keys."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path

from .errors import RobexError


def distribution_of(name: str) -> metadata.Distribution | None:
    try:
        return metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None


def is_editable(dist: metadata.Distribution | None) -> bool:
    """Whether source may change under an unchanged version: editable, or not installed at all."""
    if dist is None:
        return True
    try:
        text = dist.read_text("direct_url.json")
        return bool(text) and bool(json.loads(text or "{}").get("dir_info", {}).get("editable"))
    except (OSError, ValueError):
        return False


def locations(top: str) -> list[Path]:
    """Where a top-level package or module lies, without importing it."""
    try:
        found = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return []
    if found is None:
        return []
    if found.submodule_search_locations is not None:
        return [Path(p) for p in found.submodule_search_locations]
    return [Path(found.origin)] if found.origin else []


def top_package(file: Path) -> Path:
    """The outermost package folder that holds a module file, or the file itself."""
    top = file
    while top.parent != top and (top.parent / "__init__.py").is_file():
        top = top.parent
    return top


def _files(path: Path) -> Iterator[Path]:
    """A file itself; of a package all that lies in it, data too, but for what Python and editors leave."""
    if path.is_file():
        yield path
    for folder, folders, names in os.walk(path):
        folders[:] = [f for f in folders if f != "__pycache__" and not f.startswith(".")]
        yield from (Path(folder, n) for n in names if not n.startswith(".") and not n.endswith((".pyc", "~")))


#: Files of a package above so many bytes count by name and size: every process would read all of them.
LARGE = 2**26

#: What the sources of a plugin hashed to when this process first looked.
first_seen: dict[str, str] = {}


def unchanged(what: str, sources: tuple[Path, ...]) -> str:
    """The hash of source files; RobexError if it is not what this process saw first."""
    found = _hash_sources(sources)
    if first_seen.setdefault(what, found) != found:
        raise RobexError(f"the source of {what} changed while it was in use; run the same command again")
    return found


def _hash_sources(sources: tuple[Path, ...]) -> str:
    digest = hashlib.sha256()
    for source in sources:
        for path in sorted(_files(source)):
            status = path.stat()
            digest.update(os.path.relpath(path, source.parent).encode())
            if status.st_size <= LARGE:
                digest.update(_file_hash(str(path), status.st_mtime_ns, status.st_size))
            else:
                digest.update(str(status.st_size).encode())
    return digest.hexdigest()


@cache
def _file_hash(path: str, mtime_ns: int, size: int) -> bytes:
    return hashlib.sha256(Path(path).read_bytes()).digest()
