"""Data files: found, checked and fetched, from a server on this machine."""

import contextlib
import errno
import hashlib
import io
import itertools
import os
import shutil
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from benchmark_core import Archive, DataSource, MethodSpec, data

CONTENT = bytes(range(256)) * 1000


def digest(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture(scope="module")
def server():
    """A server whose `pages` {path: bytes or status} a test fills; `asked` lists the requests."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            page = pages.get(self.path, 404)
            if isinstance(page, int):
                self.send_error(page)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(page) + (100 if "short" in self.path else 0)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, format, *args):
            pass

    pages, asked = {}, []
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        http.pages, http.asked, http.url = pages, asked, f"http://127.0.0.1:{http.server_port}"
        yield http
        http.shutdown()


@pytest.fixture
def folder(tmp_path, monkeypatch, server):
    monkeypatch.setenv("ROBEX_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server.pages.clear()
    server.asked.clear()
    return tmp_path / "data"


def spec_of(*urls, files=None, page="", **source):
    files = files or {"a.bin": CONTENT}
    return MethodSpec.dataset(
        "some-data",
        "nowhere:Nothing",
        input="tabular",
        files={name: digest(content) for name, content in files.items()},
        sources={
            name: DataSource(bytes=len(content), urls=urls, page=page, **source)
            for name, content in files.items()
        },
    )


def packed(files, kind):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") if kind == "tgz" else zipfile.ZipFile(out, "w") as pack:
        for name, content in files.items():
            if kind == "tgz":
                info = tarfile.TarInfo(name)
                info.size = len(content)
                pack.addfile(info, io.BytesIO(content))
            else:
                pack.writestr(name, content)
    return out.getvalue()


def put(path, content=CONTENT):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


# --- finding -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["some-data/a.bin", "some_data/a.bin", "a.bin"])
def test_a_file_is_found_without_asking_anybody(folder, server, place):
    spec = spec_of(f"{server.url}/a")
    assert data.missing(spec) == ["a.bin"]
    assert data.find(spec, "a.bin") is None
    put(folder / place)
    assert data.missing(spec) == []
    assert data.locate(spec, "a.bin") == folder / place
    assert not server.asked


def test_another_file_of_that_name_is_an_error_that_gives_both_checksums(folder, server):
    spec, path = spec_of(f"{server.url}/a"), folder / "some-data" / "a.bin"
    put(path, b"x" * len(CONTENT))
    with pytest.raises(data.DataError) as caught:
        data.locate(spec, "a.bin")
    message = str(caught.value)
    assert "\n" not in message
    for part in (str(path), digest(b"x" * len(CONTENT)), digest(CONTENT), "robex data fetch some-data"):
        assert part in message
    assert path.read_bytes() == b"x" * len(CONTENT)  # it is the user's
    assert not server.asked
    assert data.state(spec, "a.bin") == "there"  # by its size; its content is checked when it is read
    put(path, b"short")
    assert data.state(spec, "a.bin") == "wrong"


def test_a_file_of_another_dataset_in_the_data_folder_itself_does_not_count(folder):
    put(folder / "a.bin", b"another a.bin")
    assert data.find(spec_of("http://x/a"), "a.bin") is None


def test_the_default_folder_is_the_user_s_cache(monkeypatch):
    import pooch

    for value in (None, ""):
        monkeypatch.delenv("ROBEX_DATA", raising=False)
        if value is not None:
            monkeypatch.setenv("ROBEX_DATA", value)
        assert data.data_folder() == pooch.os_cache("robex")


# --- fetching ------------------------------------------------------------------------------------------


def only_file(folder):
    """Nothing partial lies beside the file."""
    return [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()] == ["some-data/a.bin"]


def test_a_missing_file_is_downloaded_once_with_progress(folder, server):
    spec, seen = spec_of(f"{server.url}/a"), []
    server.pages["/a"] = CONTENT
    path = data.locate(spec, "a.bin", lambda done, total: seen.append((done, total)))
    assert path == folder / "some-data" / "a.bin"
    assert path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert all(a <= b <= t for (a, t), (b, _) in itertools.pairwise(seen))
    assert data.locate(spec, "a.bin") == path
    assert server.asked == ["/a"]
    assert only_file(folder)


@pytest.mark.parametrize(
    ("first", "why"),
    [
        ("/missing", "404 Client Error"),
        ("/wrong", f"sha256 of what it sends is {digest(b'wrong')}, expected {digest(CONTENT)}"),
        ("/short", "the connection broke off"),
    ],
)
def test_the_next_address_helps_and_the_last_failure_names_all(folder, server, first, why):
    server.pages |= {"/wrong": b"wrong", "/short": CONTENT, "/a": CONTENT}
    assert data.locate(spec_of(server.url + first, server.url + "/a"), "a.bin").read_bytes() == CONTENT
    assert only_file(folder)
    shutil.rmtree(folder)
    with pytest.raises(data.DataError) as caught:
        data.locate(spec_of(server.url + first, "http://127.0.0.1:9/a"), "a.bin")
    message = str(caught.value)
    assert "\n" not in message
    for part in (
        *("some-data needs a.bin (256 kB)", why, "127.0.0.1:9: no connection", "robex data fetch some-data"),
        *(f"put it into {folder / 'some-data'}", server.url + first, "ROBEX_DATA"),
    ):
        assert part in message
    assert not [p for p in folder.rglob("*") if p.is_file()]


@pytest.mark.parametrize("kind", ["tgz", "zip"])
def test_an_archive_gives_all_its_files_at_once(folder, server, kind):
    files = {"a.bin": CONTENT, "b.bin": b"second"}
    archive = packed({f"inside/{name}": content for name, content in files.items()}, kind)
    server.pages["/pack"] = archive
    spec = MethodSpec.dataset(
        "some-data",
        "nowhere:Nothing",
        input="tabular",
        files={name: digest(content) for name, content in files.items()},
        sources={
            name: DataSource(
                bytes=len(content),
                urls=(f"{server.url}/pack",),
                archive=Archive(member=f"inside/{name}", sha256=digest(archive), bytes=len(archive)),
            )
            for name, content in files.items()
        },
    )
    assert data.transfer(spec, files) == len(archive)
    for name, content in files.items():
        assert data.locate(spec, name).read_bytes() == content
    assert server.asked == ["/pack"]
    assert sorted(p.name for p in (folder / "some-data").iterdir()) == ["a.bin", "b.bin"]


@pytest.mark.parametrize(
    ("member", "sent", "why"),
    [
        ("inside/a.bin", CONTENT, "its archive has no inside/a.bin"),
        ("a.bin", b"forged", f"sha256 of what it sends is {digest(b'forged')}"),
    ],
)
def test_an_archive_that_is_not_what_the_spec_says(folder, server, member, sent, why):
    archive = packed({"a.bin": sent}, "tgz")
    server.pages["/pack"] = archive
    inside = Archive(member=member, sha256=digest(archive), bytes=len(archive))
    with pytest.raises(data.DataError, match=why):
        data.locate(spec_of(f"{server.url}/pack", archive=inside), "a.bin")
    assert not [p for p in folder.rglob("*") if p.is_file()]


def test_a_file_that_only_a_person_can_get(folder):
    with pytest.raises(data.DataError) as caught:
        data.locate(spec_of(page="https://example.org/terms"), "a.bin")
    message = str(caught.value)
    for part in ("a.bin", "https://example.org/terms", str(folder / "some-data"), digest(CONTENT)):
        assert part in message


def test_interrupting_a_download_leaves_nothing(folder, server):
    server.pages["/a"] = CONTENT

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        data.locate(spec_of(f"{server.url}/a"), "a.bin", stop)
    assert not list((folder / "some-data").iterdir())


def test_what_killed_downloads_left_is_swept_after_a_day(folder, server):
    server.pages["/a"] = CONTENT
    old, new = folder / "some-data" / ".partial-old", folder / "some-data" / ".partial-new"
    for left in (old, new):
        put(left / "download", b"half")
    os.utime(old, (0, 0))
    data.locate(spec_of(f"{server.url}/a"), "a.bin")
    assert not old.exists()
    assert new.exists()  # somebody may be loading it


def test_a_folder_that_cannot_be_written(folder, server):
    folder.write_text("a file where the folder should be")
    with pytest.raises(data.DataError, match=r"cannot write: .*ROBEX_DATA to a folder that you may write to"):
        data.locate(spec_of(f"{server.url}/a"), "a.bin")
    assert not server.asked


@pytest.mark.parametrize("when", ["before", "while"])
def test_a_full_disk(folder, server, monkeypatch, when):
    server.pages["/a"] = CONTENT
    if when == "before":
        usage = shutil.disk_usage(folder.parent)
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    else:

        def full(path):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(data, "_persist", full)
    with pytest.raises(data.DataError, match=r"the disk is full: dataset some-data needs 256 kB for a\.bin"):
        data.locate(spec_of(f"{server.url}/a"), "a.bin")
    assert server.asked == ([] if when == "before" else ["/a"])
    with contextlib.suppress(FileNotFoundError):
        assert not list((folder / "some-data").iterdir())


# --- specs ---------------------------------------------------------------------------------------------


def test_specs_of_sources_are_checked():
    with pytest.raises(ValueError, match=r"needs urls, or the page"):
        DataSource(bytes=1)
    with pytest.raises(ValueError, match=r"by http or https, got 'ftp://x/a'"):
        DataSource(bytes=1, urls=("https://x/a", "ftp://x/a"))
    with pytest.raises(ValueError, match=r"sources names 'b', which files does not"):
        MethodSpec.dataset("d", "a:B", input="image", sources={"b": DataSource(bytes=1, page="p")})


def test_a_file_that_the_spec_does_not_declare_is_refused(folder):
    with pytest.raises(data.RobexError, match=r"asks for b\.bin, which its spec does not declare"):
        data.locate(spec_of("http://x/a"), "b.bin")
