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

    A store's folder, a .yaml file for the suite in it, or the name of a suite of the store. A folder that is
    no store counts as one only where no suite has its name: plugins and their suites often share one.
    """
    if place is None:
        return store, []
    if Path(place).is_dir():
        named = None if (Path(place) / "store.json").is_file() else find_store(store)
        return (store, [place]) if named is not None and place in named.suites() else (place, [])
    if Path(place).suffix in (".yaml", ".yml"):
        suite, _ = SuiteCall(place, plugins=plugins).read()
        return store, [suite.name]
    if os.sep in place:
        raise RobexError(f"{place}: no such store")
    return store, [place]


def open_store(path: str) -> Store:
    """A store that is there."""
    from ..store import Store

    return Store(path, create=False)


def find_store(path: str) -> Store | None:
    """The store when it is there."""
    return open_store(path) if (Path(path) / "store.json").is_file() else None
