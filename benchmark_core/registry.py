"""Which methods exist: plugins from the entry-point group `robex` and from local files, each loaded guarded.

A broken plugin becomes a `PluginProblem`; it stops only the suites that name its methods.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import sys
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, cast

import pluggy

from . import __version__, hookspecs
from .errors import RobexError, did_you_mean, one_line
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

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}".strip() + f" ({self.file})"


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
        self._lost: dict[tuple[str, str], str] = {}
        self.files: tuple[str, ...] = ()

    @classmethod
    def load(cls, files: Iterable[str | os.PathLike[str]] = (), select: str | None = None) -> Registry:
        """Load every installed plugin, then local files.

        select (default: the variable ROBEX_PLUGINS) names entry points, comma separated: with plain names
        only those are loaded, `-name` leaves one out.
        """
        registry = cls()
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
        spec = self.get(ref.kind, ref.name)
        module_name, _, attribute = spec.target.partition(":")
        module = self._module(spec, module_name)
        try:
            cls = getattr(module, attribute)
        except AttributeError:
            raise RobexError(
                f"{spec.kind} {spec.name}: module {module_name} has no {attribute!r}; mend target in "
                f"{self.origin(spec).file}"
            ) from None
        return cls(ref.params)

    def code_hash(self, spec: MethodSpec) -> str | None:
        """sha256 of the source a method's numbers pass through. None for methods of an installed robex
        release, whose `revision` is raised with every change that counts.

        Raises RobexError when the source changed since this process first looked at it.
        """
        plugin = self._owner[spec.kind, spec.name]
        if self.origins[plugin].distribution == GROUP and not self.origins[plugin].editable:
            return None
        if plugin not in self._hashes:
            self._hashes[plugin] = _unchanged(f"plugin {plugin}", self._sources(plugin))
        return self._hashes[plugin]

    def check_code(self, spec: MethodSpec) -> None:
        """RobexError if the source of a method is no more what `code_hash` said. Called after its modules are
        imported: from then on what runs is what was hashed."""
        plugin = self._owner[spec.kind, spec.name]
        if self.code_hash(spec) is not None:
            _unchanged(f"plugin {plugin}", self._sources(plugin))

    @cached_property
    def engine_hash(self) -> str | None:
        """The same for the engine: None when it is an installed release."""
        if not _is_editable(_distribution_of(GROUP)):
            return None
        root = Path(__file__).parent
        return _unchanged(
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
            module = point.load()
        except Exception as error:
            self._problem(point.name, f"{name} {version}, {point.value}", error)
            return
        origin = Origin(
            point.name, name, version, getattr(module, "__file__", None) or "?", _is_editable(dist)
        )
        self._register(point.name, module, origin)

    def _load_file(self, path: Path) -> None:
        name = f"file:{path.stem}"
        try:
            if not path.is_file():
                raise RobexError("no such file")
            # A module name that is stable and unique to the path, so that targets can be imported by workers.
            module_name = path.stem
            known = sys.modules.get(module_name)
            if known is not None and getattr(known, "__file__", None) != str(path):
                raise RobexError(f"a module called {module_name} is loaded already; rename the file")
            if known is None:
                _refuse_shadow(module_name, path)
                _first_seen.pop(f"plugin {name}", None)
                known = _load_module(module_name, path)
        except Exception as error:
            self._problem(name, str(path), error)
            return
        self._register(name, known, Origin(name, path.name, "", str(path), True))

    def _register(self, name: str, module: Any, origin: Origin) -> None:
        if self.manager.is_blocked(name) or self.manager.has_plugin(name):
            self.problems.append(PluginProblem(name, str(origin), "a plugin of this name is loaded already"))
            return
        try:
            self.manager.register(module, name)
            self.manager.check_pending()
        except (pluggy.PluginValidationError, ValueError) as error:
            if self.manager.has_plugin(name):
                self.manager.unregister(name=name)
            self._problem(name, str(origin), error)
            return
        if not self.manager.get_hookcallers(module):
            self.manager.unregister(name=name)
            self._problem(name, str(origin), RobexError("it registers nothing; is @hookimpl missing?"))
            return
        self.origins[name] = origin
        for implementation in self.manager.hook.register_methods.get_hookimpls():
            if implementation.plugin_name == name:
                try:
                    specs = list(cast(Iterable[MethodSpec], implementation.function()))
                except Exception as error:
                    self._problem(name, str(origin), error)
                    continue
                for spec in specs:
                    self._add(name, origin, spec)

    def _add(self, plugin: str, origin: Origin, spec: MethodSpec) -> None:
        if not isinstance(spec, MethodSpec):
            self._problem(
                plugin, str(origin), TypeError(f"register_methods must yield MethodSpecs, got {spec!r}")
            )
            return
        key = (spec.kind, spec.name)
        if key in self._specs:
            first = self.origins[self._owner[key]]
            message = f'two plugins register the {spec.kind} "{spec.name}": {first} and {origin}'
            self.problems.append(
                PluginProblem(plugin, str(origin), f"{message}; disable one with ROBEX_PLUGINS=-name")
            )
            del self._specs[key], self._owner[key]
            self._lost[key] = message
        elif key in self._lost:
            self._lost[key] += f" and {origin}"
        else:
            self._specs[key] = spec
            self._owner[key] = plugin

    def _problem(self, name: str, source: str, error: BaseException) -> None:
        trace = "".join(traceback.format_exception(error))
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename != __file__]
        own = [f for f in frames if f.filename.endswith(".py") and "importlib" not in f.filename]
        line = f" (line {own[-1].lineno} of {Path(own[-1].filename).name})" if own else ""
        self.problems.append(PluginProblem(name, source, f"{one_line(error)}{line}", trace))

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
                sources = {_top_package(file), *(path for top in tops for path in _locations(top))}
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


def _distribution_of(name: str) -> metadata.Distribution | None:
    try:
        return metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None


def _is_editable(dist: metadata.Distribution | None) -> bool:
    """Whether source may change under an unchanged version: editable, or not installed at all."""
    if dist is None:
        return True
    try:
        text = dist.read_text("direct_url.json")
        return bool(text) and bool(json.loads(text or "{}").get("dir_info", {}).get("editable"))
    except (OSError, ValueError):
        return False


def _locations(top: str) -> list[Path]:
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


def _top_package(file: Path) -> Path:
    """The outermost package folder that holds a module file, or the file itself."""
    top = file
    while (top.parent / "__init__.py").is_file():
        top = top.parent
    return top


def _python_files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from path.rglob("*.py")
    elif path.is_file():
        yield path


#: What the sources of a plugin hashed to when this process first looked.
_first_seen: dict[str, str] = {}


def _unchanged(what: str, sources: tuple[Path, ...]) -> str:
    """The hash of source files; RobexError if it is not what this process saw first."""
    found = _hash_sources(sources)
    if _first_seen.setdefault(what, found) != found:
        raise RobexError(f"the source of {what} changed while it was in use; run the same command again")
    return found


def _hash_sources(sources: tuple[Path, ...]) -> str:
    digest = hashlib.sha256()
    for source in sources:
        for path in sorted(_python_files(source)):
            status = path.stat()
            digest.update(os.path.relpath(path, source.parent).encode())
            digest.update(_file_hash(str(path), status.st_mtime_ns, status.st_size))
    return digest.hexdigest()


@cache
def _file_hash(path: str, mtime_ns: int, size: int) -> bytes:
    return hashlib.sha256(Path(path).read_bytes()).digest()


def versions(registry: Registry) -> dict[str, str]:
    """Distribution -> version of the engine and every loaded plugin."""
    found = {"robex": __version__}
    for origin in registry.origins.values():
        found.setdefault(origin.distribution, origin.version)
    return found
