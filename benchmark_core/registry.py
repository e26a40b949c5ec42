"""Which methods exist: plugins from the entry-point group `robex` and from local files, each loaded guarded.

A broken plugin becomes a `PluginProblem`; it stops only the suites that name its methods.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import pluggy

from . import __version__, hookspecs
from .errors import RobexError, cut, did_you_mean, one_line, printable
from .guard import PluginStopped, guarded, seconds_allowed
from .mistakes import hook_mistake, near, place_of, placed_specs, spec_mistake
from .sources import distribution_of, first_seen, is_editable, locations, top_package, unchanged
from .spec import KINDS, Kind, MethodRef, MethodSpec

GROUP = "robex"

#: Parts of the engine that no number passes through; in an editable install the rest is part of every key.
_SHOWS_ONLY = ("board", "cli", "testing", "__pycache__")


class UnknownMethod(RobexError):
    """No plugin offers a method of this kind and name."""


@dataclass(frozen=True)
class Origin:
    """Where a plugin comes from. editable: its source can change without its version changing."""

    plugin: str
    distribution: str
    version: str
    file: str
    editable: bool

    @property
    def title(self) -> str:
        return f"{self.distribution} {self.version}".strip()

    def __str__(self) -> str:
        return f"{self.title} ({self.file})"


@dataclass(frozen=True)
class PluginProblem:
    """A plugin that could not be used, and why. trace is the full traceback."""

    plugin: str
    source: str
    message: str
    trace: str = ""

    def __str__(self) -> str:
        return f'plugin "{self.plugin}" ({self.source}): {self.message}'


class Registry:
    """All methods of all plugins that could be loaded. Make one with `Registry.load()`."""

    def __init__(self) -> None:
        self.manager = pluggy.PluginManager(GROUP)
        self.manager.add_hookspecs(hookspecs)
        self.problems: list[PluginProblem] = []
        self.origins: dict[str, Origin] = {}
        self._specs: dict[tuple[Kind, str], MethodSpec] = {}
        self._owner: dict[tuple[Kind, str], str] = {}
        self._places: dict[tuple[Kind, str], str] = {}
        self._lost: dict[tuple[str, str], str] = {}
        self.files: tuple[str, ...] = ()

    @classmethod
    def load(cls, files: Iterable[str | os.PathLike[str]] = (), select: str | None = None) -> Registry:
        """Load every installed plugin, then local files.

        select (default: the variable ROBEX_PLUGINS) names entry points, comma separated: with plain names
        only those are loaded, `-name` leaves one out.
        """
        registry = cls()
        seconds_allowed()  # a wrong variable is the user's mistake, not every plugin's
        selection = _Selection.parse(os.environ.get("ROBEX_PLUGINS", "") if select is None else select)
        points = sorted(metadata.entry_points(group=GROUP), key=lambda p: p.name)
        for point in points:
            if selection.wants(point.name):
                registry._load_entry_point(point)
        if missing := selection.unknown(p.name for p in points):
            known = [p.name for p in points]
            registry.problems.append(
                PluginProblem(
                    missing, "ROBEX_PLUGINS", f"no such plugin is installed{did_you_mean(missing, known)}"
                )
            )
        registry.add_files(files)
        return registry

    def add_files(self, files: Iterable[str | os.PathLike[str]]) -> None:
        """Load local plugin files (`--plugin path.py`, `plugins:` of a suite)."""
        for file in files:
            path = Path(file).resolve()
            if str(path) not in self.files:
                self.files += (str(path),)
                self._load_file(path)

    # -- lookups --

    def methods(self, kind: Kind | None = None) -> list[MethodSpec]:
        """Specs of one kind (or all), by kind and name."""
        found = [s for (k, _), s in self._specs.items() if kind in (None, k)]
        return sorted(found, key=lambda s: (KINDS.index(s.kind), s.name))

    def names(self, kind: Kind) -> list[str]:
        return sorted(name for k, name in self._specs if k == kind)

    def get(self, kind: Kind, name: str) -> MethodSpec:
        """The spec; `UnknownMethod` with a suggestion when there is none."""
        try:
            return self._specs[kind, name]
        except KeyError:
            hint = did_you_mean(name, self.names(kind))
            if not hint and (others := [k for k in KINDS if (k, name) in self._specs]):
                hint = f"; it is {'an' if others[0][0] in 'aeiou' else 'a'} {others[0]}"
            if (kind, name) in self._lost:
                hint = f": {self._lost[kind, name]}"
            if not hint and self.problems:
                count = len(self.problems)
                what = "a plugin" if count == 1 else f"{count} plugins"
                hint = f"; {what} could not be loaded (robex doctor)"
            raise UnknownMethod(f'no {kind} is called "{name}"{hint} (robex list {kind}s)') from None

    def origin(self, spec: MethodSpec) -> Origin:
        """Who registered it: distribution, version and file."""
        return self.origins[self._owner[spec.kind, spec.name]]

    def create(self, ref: MethodRef) -> Any:
        """The method itself, made with its params: imports its target."""
        return self.implementation(self.get(ref.kind, ref.name))(ref.params)

    def place(self, spec: MethodSpec) -> str:
        """`file:line` where it is registered."""
        return self._places[spec.kind, spec.name]

    def implementation(self, spec: MethodSpec) -> type:
        """The class that a spec's target names, imported. RobexError when it is no such class."""
        from . import interfaces

        module_name, _, attribute = spec.target.partition(":")
        mend = f"mend target in {self.place(spec)}"
        try:
            module = self._module(spec, module_name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
                raise  # something that it imports
            raise RobexError(f"{spec.kind} {spec.name}: there is no module {error.name}; {mend}") from None
        cls = getattr(module, attribute, None)
        base = getattr(interfaces, spec.kind.capitalize())
        if cls is None:
            raise RobexError(f"{spec.kind} {spec.name}: module {module_name} has no {attribute!r}; {mend}")
        if not (isinstance(cls, type) and issubclass(cls, base)):
            raise RobexError(
                f"{spec.kind} {spec.name}: {spec.target} is no {base.__name__}; derive it from "
                f"benchmark_core.{base.__name__}, or {mend}"
            )
        return cls

    def code_hash(self, spec: MethodSpec) -> str | None:
        """sha256 of the source a method's numbers pass through. None for methods of an installed robex
        release, whose `revision` is raised with every change that counts.

        Raises RobexError when the source changed since this process first looked at it.
        """
        plugin = self._owner[spec.kind, spec.name]
        if self.origins[plugin].distribution == GROUP and not self.origins[plugin].editable:
            return None
        if plugin not in self._hashes:
            self._hashes[plugin] = unchanged(f"plugin {plugin}", self._sources(plugin))
        return self._hashes[plugin]

    def check_code(self, spec: MethodSpec) -> None:
        """RobexError if the source of a method is no more what `code_hash` said. Called after its modules are
        imported: from then on what runs is what was hashed."""
        plugin = self._owner[spec.kind, spec.name]
        if self.code_hash(spec) is not None:
            unchanged(f"plugin {plugin}", self._sources(plugin))

    @cached_property
    def engine_hash(self) -> str | None:
        """The same for the engine: None when it is an installed release."""
        if not is_editable(distribution_of(GROUP)):
            return None
        root = Path(__file__).parent
        return unchanged(
            "robex itself", tuple(p for p in sorted(root.iterdir()) if p.name not in _SHOWS_ONLY)
        )

    @cached_property
    def _hashes(self) -> dict[str, str]:
        return {}

    # -- loading --

    def _load_entry_point(self, point: metadata.EntryPoint) -> None:
        dist = point.dist
        name, version = (dist.name, dist.version) if dist else ("?", "")
        try:
            with guarded(point.name):
                module = point.load()
        except Exception as error:
            self._problem(point.name, f"{name} {version}, {point.value}".replace(" ,", ","), error)
            return
        file = getattr(sys.modules.get(point.module), "__file__", None) or "?"
        self._register(point.name, module, Origin(point.name, name, version, file, is_editable(dist)))

    def _load_file(self, path: Path) -> None:
        name = f"file:{path.stem}"
        if any(
            origin.file != "?" and Path(origin.file).resolve() == path for origin in self.origins.values()
        ):
            return  # an installed plugin that is also named as a file
        try:
            if not path.is_file():
                raise RobexError("not a file" if path.exists() else "no such file")
            if not path.stem.isidentifier():
                raise RobexError(f"{path.stem!r} cannot be the name of a Python module; rename the file")
            # A module name that is stable and unique to the path, so that targets can be imported by workers.
            module_name = path.stem
            known = sys.modules.get(module_name)
            if known is not None and getattr(known, "__file__", None) != str(path):
                other = getattr(known, "__file__", None)
                where = f" from {other}" if other else ""
                raise RobexError(f"a module called {module_name} is loaded already{where}; rename the file")
            if known is None:
                _refuse_shadow(module_name, path)
                first_seen.pop(f"plugin {name}", None)
                with guarded(name):
                    known = _load_module(module_name, path)
        except Exception as error:
            self._problem(name, str(path), error)
            return
        self._register(name, known, Origin(name, path.name, "", str(path), True))

    def _register(self, name: str, module: Any, origin: Origin) -> None:
        if self.manager.is_blocked(name) or self.manager.has_plugin(name):
            message = f"a plugin of this name is loaded already: {self.origins.get(name, 'robex')}"
            self.problems.append(PluginProblem(name, str(origin), message))
            return
        try:
            self.manager.register(module, name)
            self.manager.check_pending()
        except (pluggy.PluginValidationError, ValueError) as error:
            if self.manager.has_plugin(name):
                self.manager.unregister(name=name)
            self._problem(name, str(origin), hook_mistake(module, error))
            return
        if not self.manager.get_hookcallers(module):
            self.manager.unregister(name=name)
            self._problem(name, str(origin), RobexError("it registers nothing; is @hookimpl missing?"))
            return
        self.origins[name] = origin
        for implementation in self.manager.hook.register_methods.get_hookimpls():
            if implementation.plugin_name == name:
                try:
                    with guarded(name):
                        specs = list(placed_specs(implementation.function, origin.file))
                except Exception as error:
                    self._problem(name, str(origin), error)
                    continue
                for spec, place in specs:
                    self._add(name, origin, spec, place)

    def _add(self, plugin: str, origin: Origin, spec: Any, place: str) -> None:
        if mistake := spec_mistake(spec):
            self.problems.append(PluginProblem(plugin, str(origin), f"{mistake} ({place})"))
            return
        key = (spec.kind, spec.name)
        if key in self._specs or key in self._lost:
            self._lose(key, plugin, origin, place)
        else:
            self._specs[key] = spec
            self._owner[key] = plugin
            self._places[key] = place

    def _lose(self, key: tuple[Kind, str], plugin: str, origin: Origin, place: str) -> None:
        """A name that is claimed twice is nobody's."""
        claim = f"{origin.title} ({place})"
        if key in self._lost:
            self._lost[key] += f" and {claim}"
            return
        first = self.origins[self._owner[key]]
        own = first.plugin == plugin
        who, advice = "one plugin registers", "rename one of them"
        if not own:
            who, advice = "two plugins register", "leave one out with ROBEX_PLUGINS=-NAME"
            if files := [o.title for o in (first, origin) if o.plugin.startswith("file:")]:
                advice = f"take {' or '.join(files)} out of the suite's plugins (or leave out its --plugin)"
        self._lost[key] = (
            f'{who} the {key[0]} "{key[1]}"{" twice" * own}: {first.title} ({self._places[key]}) and {claim}'
        )
        self.problems.append(PluginProblem(plugin, str(origin), f"{self._lost[key]}; {advice}"))
        del self._specs[key], self._owner[key], self._places[key]

    def _problem(self, name: str, source: str, error: BaseException) -> None:
        trace = "".join(traceback.format_exception(error))
        place = place_of((error.__cause__ if isinstance(error, PluginStopped) else None) or error)
        text = one_line(error)
        if isinstance(error, SyntaxError) and error.filename:
            text = f"{type(error).__name__}: {error.msg}"
            place = f"{near(error.filename)}:{error.lineno or 1}"
        text = printable(cut(text))
        self.problems.append(PluginProblem(name, source, f"{text} ({place})" if place else text, trace))

    def _module(self, spec: MethodSpec, name: str) -> Any:
        """The module of a target. A local plugin file may keep its implementation in a module beside it; two
        plugins may call theirs alike, so it is loaded under a name of its own."""
        origin = self.origin(spec)
        if not origin.plugin.startswith("file:") or name == Path(origin.file).stem:
            return import_module(name)
        path = Path(origin.file).with_name(f"{name}.py")
        if not path.is_file():
            return import_module(name)
        own = f"{name}_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
        return sys.modules.get(own) or _load_module(own, path)

    def _sources(self, plugin: str) -> tuple[Path, ...]:
        """Files and folders that hold the code of a plugin: what it was loaded from, and where its targets
        lie. Of a local file, the modules and packages beside it, which it may import."""
        if plugin not in self._source_paths:
            file = Path(self.origins[plugin].file)
            if plugin.startswith("file:"):
                beside = {p.parent for p in file.parent.glob("*/__init__.py")}
                sources = {*file.parent.glob("*.py"), *beside}
            else:
                tops = {s.target.partition(".")[0].partition(":")[0] for s in self._owned(plugin)}
                sources = {top_package(file), *(path for top in tops for path in locations(top))}
            self._source_paths[plugin] = tuple(sorted(sources))
        return self._source_paths[plugin]

    def _owned(self, plugin: str) -> list[MethodSpec]:
        return [self._specs[key] for key, owner in self._owner.items() if owner == plugin]

    @cached_property
    def _source_paths(self) -> dict[str, tuple[Path, ...]]:
        return {}


@dataclass(frozen=True)
class _Selection:
    only: frozenset[str]
    without: frozenset[str]

    @classmethod
    def parse(cls, text: str) -> _Selection:
        names = [n.strip() for n in text.split(",") if n.strip()]
        return cls(
            frozenset(n for n in names if not n.startswith("-")),
            frozenset(n[1:] for n in names if n.startswith("-")),
        )

    def wants(self, name: str) -> bool:
        return name not in self.without and (not self.only or name in self.only)

    def unknown(self, known: Iterable[str]) -> str:
        return ", ".join(sorted((self.only | self.without) - set(known)))


def _refuse_shadow(name: str, path: Path) -> None:
    """A file called glob.py would stand in for Python's own glob wherever that is imported later."""
    if name in sys.stdlib_module_names:
        raise RobexError(f"{path.name} hides Python's own module {name}; rename the file")
    found = importlib.util.find_spec(name)
    if found is not None and found.origin is not None and Path(found.origin).resolve() != path:
        raise RobexError(f"{path.name} hides the installed module {name}; rename the file")


def _load_module(name: str, path: Path) -> Any:
    """Run a file as the module `name`."""
    location = importlib.util.spec_from_file_location(name, path)
    if location is None or location.loader is None:
        raise RobexError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(location)
    sys.modules[name] = module
    try:
        location.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def versions(registry: Registry) -> dict[str, str]:
    """Distribution -> version of the engine and every loaded plugin."""
    found = {"robex": __version__}
    for origin in registry.origins.values():
        found.setdefault(origin.distribution, origin.version)
    return found
