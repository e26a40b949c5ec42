"""Official data files: where they lie, whether they are the right ones, and fetching those that are missing.

The data folder is `ROBEX_DATA`, or a folder of the user's cache. A file of dataset `mnist` lies in its folder
`mnist` there. What is read was checked against the sha256 that the dataset's spec pins; what is downloaded is
checked before it gets its name.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Literal
from urllib.parse import urlsplit

from .board.formats import size
from .errors import RobexError
from .spec import DatasetSpec, DataSource

State = Literal["there", "missing", "wrong"]
Progress = Callable[[int, int], None]

_TIMEOUT = 30.0  # seconds without a byte
_PARTIAL = ".partial-"  # folders of downloads under way
_STALE = 24 * 3600.0  # seconds after which such a folder is what a killed process left


class DataError(RobexError):
    """A data file that is missing, is not the official one, or cannot be fetched."""

    exit_code = 1


def _silent(done: int, total: int) -> None:
    pass


# --- where files lie -----------------------------------------------------------------------------------


def data_folder() -> Path:
    """The folder that `ROBEX_DATA` names, or `robex` in the user's cache."""
    if named := os.environ.get("ROBEX_DATA"):
        return Path(named).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_cache_dir("robex"))


def own_folder(spec: DatasetSpec) -> Path:
    """The dataset's folder in the data folder: `some-name`, or `some_name` if that exists."""
    root = data_folder()
    other = root / spec.name.replace("-", "_")
    return other if other.is_dir() and not (root / spec.name).is_dir() else root / spec.name


def state(spec: DatasetSpec, name: str) -> State:
    """Whether a file is there; `wrong` by its size alone, its content is checked when it is read."""
    path = _placed(spec, name)
    if path is None:
        return "missing"
    source = spec.sources.get(name)
    return "there" if source is None or path.stat().st_size == source.bytes else "wrong"


def missing(spec: DatasetSpec) -> list[str]:
    """Names of the files with a source that are not there."""
    return [name for name in spec.sources if state(spec, name) == "missing"]


def transfer(spec: DatasetSpec, names: Iterable[str]) -> int:
    """Bytes that fetching these files moves; an archive counts once. 0 for files got by hand."""
    loads = {s.urls: s.archive.bytes if s.archive else s.bytes for n in names if (s := spec.sources[n]).urls}
    return sum(loads.values())


def find(spec: DatasetSpec, name: str) -> Path | None:
    """The path of a file after a check of its content, None where it is missing. Raises DataError where
    another file has its name."""
    path = _placed(spec, name)
    if path is not None and (found := sha256_of(path)) != spec.files[name]:
        raise DataError(
            f"{path}: sha256 is {found}, expected {spec.files[name]}; this is not the official file; remove "
            f"it and get the official one (robex data fetch {spec.name})"
        )
    return path


def locate(spec: DatasetSpec, name: str, progress: Progress = _silent) -> Path:
    """The path of a checked file, downloaded first where it is missing.

    progress: (bytes done, bytes in all) of a download.
    Raises DataError that says which file, from where, into which folder.
    """
    if name not in spec.files:
        raise RobexError(f"dataset {spec.name} asks for {name}, which its spec does not declare in files")
    return find(spec, name) or fetch(spec, name, progress)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _placed(spec: DatasetSpec, name: str) -> Path | None:
    """The file in the dataset's folder, or right in the data folder if it is the official one there (another
    dataset may have a file of that name)."""
    own, flat = own_folder(spec) / name, data_folder() / name
    if own.is_file():
        return own
    return flat if flat.is_file() and sha256_of(flat) == spec.files[name] else None


# --- fetching ------------------------------------------------------------------------------------------


def fetch(spec: DatasetSpec, name: str, progress: Progress = _silent) -> Path:
    """Download a file into the dataset's folder, and what else of the dataset its archive holds.

    The file appears under its name only when it is whole and its sha256 is right; whatever happens, nothing
    partial stays. Raises DataError when no address gives the file or it cannot be written.
    """
    source, folder = spec.sources.get(name), own_folder(spec)
    if source is None or not source.urls:
        where = f"get it from {source.page} and put it" if source else "its spec names no source; put it"
        raise DataError(
            f"dataset {spec.name} needs {name}, which robex cannot download: {where} into {folder} "
            f"(sha256 {spec.files[name]}), or set ROBEX_DATA to the folder that holds {spec.name}/{name}"
        )
    failures: list[str] = []
    with _writing(spec, name, source):
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        _check_room(folder, source)
        with tempfile.TemporaryDirectory(prefix=_PARTIAL, dir=folder) as scratch:
            for url in source.urls:
                try:
                    for got, final in _load(spec, name, url, Path(scratch), progress):
                        os.replace(got, folder / final)
                except _Unusable as error:
                    failures.append(f"{urlsplit(url).netloc}: {error}")
                else:
                    return folder / name
    by_hand = f"{source.urls[0]} holds {source.archive.member}" if source.archive else source.urls[0]
    raise DataError(
        f"dataset {spec.name} needs {name} ({size(source.bytes)}), which cannot be downloaded ("
        f"{'; '.join(failures)}). Run again online: robex data fetch {spec.name}; or put it into {folder} "
        f"yourself ({by_hand}), or set ROBEX_DATA to a folder that has it"
    )


class _Unusable(Exception):
    """Why an address did not give the file."""


def _load(
    spec: DatasetSpec, name: str, url: str, scratch: Path, progress: Progress
) -> list[tuple[Path, str]]:
    """(checked file in the scratch folder, its name) of all that the address gives."""
    source, loaded = spec.sources[name], scratch / "download"
    _download(url, loaded, source.archive.bytes if source.archive else source.bytes, progress)
    if source.archive is None:
        _check(loaded, spec.files[name])
        return [(loaded, name)]
    _check(loaded, source.archive.sha256)
    found: list[tuple[Path, str]] = []
    for other, its in spec.sources.items():
        if its.archive is not None and its.urls == source.urls:
            path = scratch / f"member{len(found)}"
            with _member(loaded, its.archive.member) as content, path.open("wb") as file:
                shutil.copyfileobj(content, file)
            _check(path, spec.files[other])
            found.append((path, other))
    return found


def _download(url: str, path: Path, expected: int, progress: Progress) -> None:
    import requests
    from pooch import HTTPDownloader

    # identity: a server that packs what it sends must not change the bytes that count
    load = HTTPDownloader(
        progressbar=_Bar(progress, expected),  # type: ignore[arg-type]
        chunk_size=1 << 16,
        timeout=_TIMEOUT,
        headers={"Accept-Encoding": "identity"},
    )
    try:
        load(url, str(path), None)
    except requests.HTTPError as error:
        raise _Unusable(str(error).partition(" for url")[0]) from error  # `404 Client Error: Not Found`
    except requests.Timeout as error:
        raise _Unusable(f"no answer within {_TIMEOUT:.0f} s") from error
    except requests.exceptions.ChunkedEncodingError as error:
        raise _Unusable("the connection broke off") from error
    except requests.exceptions.SSLError as error:
        raise _Unusable("its certificate is not accepted") from error
    except requests.ConnectionError as error:
        raise _Unusable("no connection") from error
    except requests.RequestException as error:
        raise _Unusable(type(error).__name__) from error
    _persist(path)


class _Bar:
    """Tells a Progress what pooch tells a progress bar."""

    total = 0

    def __init__(self, progress: Progress, expected: int) -> None:
        self._progress, self._expected, self._done = progress, expected, 0

    def update(self, more: int) -> None:
        self._done = min(self._done + more, self._expected)
        self._progress(self._done, self._expected)

    def reset(self) -> None:
        self._done = 0

    def close(self) -> None:
        pass


@contextlib.contextmanager
def _member(archive: Path, member: str) -> Iterator[IO[bytes]]:
    """One file of a tar or zip archive. Nothing is unpacked by the paths that the archive names."""
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as pack, pack.open(member) as content:
                yield content
        else:
            with tarfile.open(archive) as pack:
                content = pack.extractfile(member)
                if content is None:
                    raise KeyError(member)
                yield content
    except KeyError:
        raise _Unusable(f"its archive has no {member}") from None
    except (tarfile.TarError, zipfile.BadZipFile) as error:
        raise _Unusable(f"its archive cannot be read ({error})") from error


def _check(path: Path, expected: str) -> None:
    if (found := sha256_of(path)) != expected:
        raise _Unusable(f"sha256 of what it sends is {found}, expected {expected}")


def _persist(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _check_room(folder: Path, source: DataSource) -> None:
    needed = source.bytes + (source.archive.bytes if source.archive else 0)
    if shutil.disk_usage(folder).free < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextlib.contextmanager
def _writing(spec: DatasetSpec, name: str, source: DataSource) -> Iterator[None]:
    """What the disk refuses, as a DataError."""
    try:
        yield
    except OSError as error:
        folder, what = own_folder(spec), f"dataset {spec.name} needs {size(source.bytes)} for {name}"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DataError(
                f"{folder}: the disk is full: {what}; make room, or set ROBEX_DATA to another folder"
            ) from error
        raise DataError(
            f"{folder}: cannot write: {error.strerror}: {what}; set ROBEX_DATA to a folder that you may "
            f"write to"
        ) from error


def _sweep(folder: Path) -> None:
    """Remove what killed downloads left."""
    for left in folder.glob(f"{_PARTIAL}*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _STALE:
                shutil.rmtree(left, ignore_errors=True)
