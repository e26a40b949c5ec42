"""`robex data`: the official files of datasets: which are there, where they belong, and fetching them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from ..board.formats import plural, size
from ..data import DataError, data_folder, fetch, find, missing, own_folder, state, transfer
from ..errors import RobexError
from ..spec import DatasetSpec
from . import output
from .options import SuiteCall, json_option, load_registry, plugin_option, trace_option

if TYPE_CHECKING:
    from ..plan.model import Node
    from ..registry import Registry


@click.group("data")
def command() -> None:
    """The official files of datasets: list, fetch, path.

    They lie in the folder that ROBEX_DATA names, or in the user's cache.
    """


@command.command("list")
@plugin_option
@json_option
@trace_option
def list_files(plugins: tuple[str, ...], as_json: bool) -> int:
    """Every file of every dataset that has its own: size, whether it is there, where it comes from.

    Reads the files to check them; loads nothing. Exit code 1 when a file is not the official one.
    """
    found = [_about(spec, name) for spec in with_files(load_registry(plugins)) for name in spec.sources]
    if as_json:
        output.say_json({"folder": str(data_folder()), "files": found})
    else:
        _print(found)
    return 1 if any(file["state"] == "wrong" for file in found) else 0


@command.command("fetch")
@click.argument("names", metavar="DATASET|SUITE...", nargs=-1, required=True)
@plugin_option
@trace_option
def fetch_files(names: tuple[str, ...], plugins: tuple[str, ...]) -> int:
    """Download what is missing of datasets, or of all datasets that suites use.

    Every file is checked against its sha256. Exit code 1 when one cannot be had.
    """
    failed = False
    for spec in _specs(names, plugins):
        for name in spec.sources:
            try:
                path = find(spec, name)
                if path is None:
                    with _Progress(f"{spec.name}: {name}") as progress:
                        path = fetch(spec, name, progress)
                output.say(str(path))
            except DataError as error:
                failed = True
                output.note(str(error))
    return 1 if failed else 0


@command.command("path")
@click.argument("name", metavar="[DATASET]", required=False)
@plugin_option
@trace_option
def path(name: str | None, plugins: tuple[str, ...]) -> int:
    """The data folder, or the files of a dataset. Exit code 1 when one is missing; nothing is downloaded."""
    if name is None:
        output.say(str(data_folder()))
        return 0
    (spec,) = _specs([name], plugins)
    absent = False
    for file in spec.sources:
        if found := find(spec, file):
            output.say(str(found))
        else:
            absent = True
            output.note(f"missing: {own_folder(spec) / file} (robex data fetch {spec.name})")
    return 1 if absent else 0


# --- what other verbs say about data -------------------------------------------------------------------


def with_files(registry: Registry) -> list[DatasetSpec]:
    """The datasets with files in the data folder."""
    return [s for s in registry.methods("dataset") if isinstance(s, DatasetSpec) and s.sources]


def needed(nodes: Iterable[Node], registry: Registry) -> list[DatasetSpec]:
    """The datasets that these nodes load and of which files are missing."""
    names = dict.fromkeys(n.method.name for n in nodes if n.stage == "load" and n.method)
    specs = [registry.get("dataset", name) for name in names]
    return [spec for spec in specs if isinstance(spec, DatasetSpec) and missing(spec)]


def needed_lines(specs: Iterable[DatasetSpec]) -> Iterator[str]:
    """`Data: mnist lacks 4 files: 12 MB from ossci-datasets.s3.amazonaws.com into ...`, a line a dataset."""
    for spec in specs:
        names = missing(spec)
        text = f"Data: {spec.name} lacks {plural(len(names), 'file')}"
        hosts = dict.fromkeys(urlsplit(u).netloc for n in names for u in spec.sources[n].urls[:1])
        if hosts:
            text += f": {size(transfer(spec, names))} from {', '.join(hosts)} into {own_folder(spec)}"
        if by_hand := [name for name in names if not spec.sources[name].urls]:
            text += f"; {', '.join(by_hand)}: to be put there by hand, from {spec.sources[by_hand[0]].page}"
        yield text


# --- parts ---------------------------------------------------------------------------------------------


def _specs(names: Sequence[str], plugins: Sequence[str]) -> list[DatasetSpec]:
    """Datasets by name, or those of suite files."""
    found: dict[str, DatasetSpec] = {}
    registry = load_registry(plugins)
    for name in names:
        if name.endswith((".yaml", ".yml")):
            suite, of_suite = SuiteCall(name, plugins=plugins).read()
            specs = [of_suite.get("dataset", entry.ref.name) for entry in suite.of("dataset")]
        else:
            specs = [registry.get("dataset", name)]
            if not isinstance(specs[0], DatasetSpec) or not specs[0].sources:
                files = ", ".join(spec.name for spec in with_files(registry)) or "none"
                raise RobexError(f"dataset {name} needs no files of its own; those that do: {files}")
        found |= {spec.name: spec for spec in specs if isinstance(spec, DatasetSpec) and spec.sources}
    return list(found.values())


def _about(spec: DatasetSpec, name: str) -> dict[str, Any]:
    source = spec.sources[name]
    try:
        found = find(spec, name)
    except DataError:
        found = None
    condition = state(spec, name)
    return {
        "dataset": spec.name,
        "file": name,
        "state": "wrong" if found is None and condition != "missing" else condition,
        "bytes": source.bytes,
        "download": transfer(spec, [name]),
        "sha256": spec.files[name],
        "path": str(found or own_folder(spec) / name),
        "urls": list(source.urls),
        "page": source.page,
    }


def _print(files: Sequence[dict[str, Any]]) -> None:
    output.say(
        f"{data_folder()}{'' if data_folder().is_dir() else '   (not there yet; ROBEX_DATA names another)'}"
    )
    rows = [
        [
            file["dataset"],
            file["file"],
            size(file["bytes"]),
            file["state"],
            urlsplit(file["urls"][0]).netloc if file["urls"] else f"by hand: {file['page']}",
        ]
        for file in files
    ]
    if rows:
        heads = ["dataset", "file", "size", "state", "from"]
        for line in output.table([heads, *rows], right=(2,)):
            output.say(line)
    if lacking := list(dict.fromkeys(f["dataset"] for f in files if f["state"] == "missing" and f["urls"])):
        output.note(f"Fetch what is missing: robex data fetch {' '.join(lacking)}")
    for file in files:
        if file["state"] == "wrong":
            output.note(
                f"{file['path']}: not the official file, whose sha256 is {file['sha256']}; remove it, "
                "then fetch it"
            )


class _Progress:
    """Bytes of one download: a bar on a terminal, else one line when it is done."""

    def __init__(self, title: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

        self.title = title
        self.console = Console(stderr=True, highlight=False)
        self.bar = Progress(
            *(TextColumn("{task.description}", markup=False), BarColumn()),
            *(DownloadColumn(), TransferSpeedColumn()),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )

    def __enter__(self) -> _Progress:
        self.bar.start()
        self.task = self.bar.add_task(self.title, total=None)
        return self

    def __call__(self, done: int, total: int) -> None:
        self.total = total
        self.bar.update(self.task, completed=done, total=total)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.bar.stop()
        if kind is None:
            output.note(f"{self.title}: fetched, {size(self.total)}")


def finding(registry: Registry) -> tuple[bool, str, str]:
    """What `robex doctor` says: whether all is well, a line, and what follows from it."""
    files = [(spec, name) for spec in with_files(registry) for name in spec.sources]
    states = [state(spec, name) for spec, name in files]
    text = f"data {data_folder()}: {states.count('there')} of {plural(len(files), 'file')}"
    if "wrong" in states:
        spec, name = files[states.index("wrong")]
        return (
            False,
            f"{text}; {own_folder(spec) / name} is not the official file",
            "Remove it: robex data list",
        )
    lacking = {spec.name: missing(spec) for spec, _ in files if missing(spec)}
    if not lacking:
        return True, text, ""
    amount = sum(transfer(spec, missing(spec)) for spec in with_files(registry))
    return True, text, f"Fetched when a run needs them, {size(amount)} in all: {', '.join(lacking)}"
