"""Options that several verbs share, and the suite, registry and store they stand for."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import RobexError

if TYPE_CHECKING:
    from ..registry import Registry
    from ..store import Store
    from ..suite.model import Suite

DEFAULT_STORE = "robex-results"
_SUITES = (".yaml", ".yml")

store_option = click.option(
    "--store",
    metavar="DIR",
    envvar="ROBEX_STORE",
    default=DEFAULT_STORE,
    show_default=True,
    help="Where records are kept (or the variable ROBEX_STORE).",
)
plugin_option = click.option(
    "--plugin", "plugins", metavar="FILE", multiple=True, help="Also load this plugin file; may be repeated."
)
trace_option = click.option(
    "--trace", is_flag=True, expose_value=False, help="Show where an error comes from."
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document and nothing else."
)


def suite_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The suite and what may change it on the command line."""
    for option in (
        click.option("--seeds", type=int, metavar="N", help="Use N seeds instead of the suite's."),
        click.option("--samples", type=int, metavar="N", help="At most N test samples: a quick look."),
        click.option(
            "--set",
            "settings",
            metavar="PATH=VALUE",
            multiple=True,
            help="Change a value of the suite (limits.threads=4); may be repeated.",
        ),
        click.argument("suite_file", metavar="SUITE"),
    ):
        command = option(command)
    return command


@dataclass(frozen=True)
class SuiteCall:
    """A suite as the command line names it."""

    suite_file: str
    settings: Sequence[str] = ()
    samples: int | None = None
    seeds: int | None = None
    plugins: Sequence[str] = ()

    def read(self) -> tuple[Suite, Registry]:
        from ..registry import Registry
        from ..suite import read

        registry = Registry.load(self.plugins)
        refuse_broken_files(registry, self.plugins)
        return read(
            self.suite_file, registry, parse_settings(self.settings), self.samples, self.seeds
        ), registry

    def command(self, verb: str, store: str) -> str:
        """The command line that names the same suite again."""
        words = ["robex", verb, self.suite_file]
        for setting in self.settings:
            words += ["--set", setting]
        for name, value in (("--samples", self.samples), ("--seeds", self.seeds)):
            if value is not None:
                words += [name, str(value)]
        return command_line(*words, store=store, plugins=self.plugins)


def command_line(*words: str, store: str | None = None, plugins: Sequence[str] = ()) -> str:
    """A command to paste: with the store unless it is the usual one, and with the plugins."""
    more = [word for file in plugins for word in ("--plugin", file)]
    if store is not None and store != os.environ.get("ROBEX_STORE", DEFAULT_STORE):
        more += ["--store", store]
    return shlex.join([*words, *more])


def call_of(manifest: Mapping[str, Any]) -> SuiteCall:
    """The suite and options that the last run named."""
    overrides = dict(manifest["overrides"])
    samples, seeds = overrides.pop("--samples", None), overrides.pop("--seeds", None)
    settings = [f"{path}={_yaml(value)}" for path, value in overrides.items()]
    return SuiteCall(manifest["file"], settings, samples, seeds, manifest.get("plugins", ()))


def _yaml(value: Any) -> str:
    import json

    return value if isinstance(value, str) else json.dumps(value)


def parse_settings(settings: Sequence[str]) -> Mapping[str, Any]:
    """`path=value` pairs; values are YAML (`0.3`, `[1, 2]`, `pgd`)."""
    from ..errors import SuiteErrors
    from ..suite.nodes import Problems, Source, parse

    found: dict[str, Any] = {}
    problems = Problems()
    for setting in settings:
        path, equals, value = setting.partition("=")
        if not equals or not path.strip():
            raise RobexError(f"--set {setting}: write it as path=value, such as limits.threads=4")
        node = parse(Source(f"--set {path}", value, placed=False), problems)
        found[path.strip()] = None if node is None else node.plain()
    if problems.found:
        raise SuiteErrors(problems.found)
    return found


def load_registry(plugins: Sequence[str]) -> Registry:
    from ..registry import Registry

    registry = Registry.load(plugins)
    refuse_broken_files(registry, plugins)
    return registry


def refuse_broken_files(registry: Registry, plugins: Sequence[str]) -> None:
    """A file that was named on the command line has to load."""
    for file in plugins:
        for problem in registry.problems:
            if str(Path(file).resolve()) in problem.source:
                raise RobexError(f"--plugin {file}: {problem.message}")


def suites_at(place: str | None, store: str, plugins: Sequence[str] = ()) -> tuple[str, list[str]]:
    """What an argument [STORE|SUITE] means: (store, names of suites in it; none: all).

    A store's folder, the file of a bundle, a .yaml file for the suite in it, or the name of a suite of the
    store. A folder that is no store counts as one only where no suite has its name: plugins and their suites
    often share one.
    """
    store = readable(store)
    if place is None:
        return store, []
    if (folder := readable(place)) != place:
        return folder, []
    if Path(place).is_dir():
        named = None if (Path(place) / "store.json").is_file() else find_store(store)
        return (store, [place]) if named is not None and place in named.suites() else (place, [])
    if Path(place).suffix in _SUITES:
        return store, [_suite_of(place, store, plugins)]
    if os.sep in place:
        raise RobexError(f"{place}: no such store")
    return store, [place]


def _suite_of(file: str, store: str, plugins: Sequence[str]) -> str:
    """The name of the suite in a file. Where another text ran under it, or the file is wrong by now, a note
    says so: what the store holds is shown all the same. A suite that ran with `--plugin` files needs none of
    them to be shown: its text says whether it is the one that ran."""
    from ..errors import SuiteErrors

    held = find_store(store)
    try:
        suite, _ = SuiteCall(file, plugins=plugins).read()
    except SuiteErrors as error:
        name = (error.suite.name if error.suite else "") or _ran_from(file, held)
        if held is None or name not in held.suites():
            raise
        ran = held.suite(name)
        given = [str(Path(plugin).resolve()) for plugin in plugins]
        needed = [plugin for plugin in ran.get("plugins", ()) if plugin not in given]
        plugins = [*plugins, *needed]
        if error.suite is not None and needed:
            _note_another(file, error.suite, ran, store, plugins)
        else:
            _note_last_run(f"{file} does not validate now", "validate", file, "says why", plugins=plugins)
        return name
    if held is not None and suite.name in held.suites():
        _note_another(file, suite, held.suite(suite.name), store, plugins)
    return suite.name


def _note_another(
    file: str, suite: Suite, ran: Mapping[str, Any], store: str, plugins: Sequence[str]
) -> None:
    """Says so where a suite is not the one that ran under its name."""
    if suite.digest == ran["digest"]:
        return
    same = Path(file).resolve() == Path(ran["file"]).resolve()
    how = "has changed since it ran" if same else f"is not what ran as {suite.name} ({ran['file']} did)"
    _note_last_run(f"{file} {how}", "plan", file, "shows what is new", store, plugins)


def _note_last_run(
    what: str, verb: str, file: str, says: str, store: str | None = None, plugins: Sequence[str] = ()
) -> None:
    from . import output

    more = command_line("robex", verb, file, store=store, plugins=plugins)
    output.note(f"{what}: these are the results of the last run; {more} {says}")


def _ran_from(file: str, store: Store | None) -> str:
    """The name of the suite that ran from a file in which no name can be read now."""
    place = Path(file).resolve()
    for name in store.suites() if store else ():
        manifest = store.suite(name) if store else {}
        if not manifest["overrides"] and Path(manifest["file"]).resolve() == place:
            return name
    return ""


def readable(place: str) -> str:
    """The folder of a store to look at. The file of a bundle is unpacked until the command ends; anything
    else stays as it is."""
    if not Path(place).is_file() or Path(place).suffix in _SUITES:
        return place
    from ..publish.unpack import unpacked

    context = click.get_current_context().find_root()
    folders: dict[str, str] = context.meta.setdefault("robex.bundles", {})
    if place not in folders:
        folders[place] = context.with_resource(unpacked(place))
    return folders[place]


def open_store(path: str) -> Store:
    """A store that is there."""
    from ..publish.unpack import is_bundle
    from ..store import Store

    if is_bundle(path):
        unpack = shlex.join(["tar", "xf", path])
        raise RobexError(f"{path}: a bundle, which is only for reading; to work on it, unpack it: {unpack}")
    return Store(path, create=False)


def find_store(path: str) -> Store | None:
    """The store when it is there."""
    return open_store(path) if (Path(path) / "store.json").is_file() else None
