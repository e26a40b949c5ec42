"""The conformance kit: the methods of a plugin crossed with the table of cases, one item each."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, Literal, get_type_hints

from .. import data
from ..errors import RobexError, did_you_mean
from ..interfaces import Task
from ..registry import GROUP, Origin, Registry
from ..spec import DatasetSpec, MethodSpec
from ..suite.methods import make_ref
from .cases import CASES, Case
from .cases.sections import PAGE, SECTIONS
from .harness import Breach, Trial, said
from .worlds import World, make_world, standard_worlds

Params = Mapping[str, Any] | Callable[[World, Path], Mapping[str, Any]]
"""Settings to try a method with; a function of (world, folder) where they name files."""

EPS = 0.2
"""The radius that attacks are tried with when it has no default."""


class Failure(Exception):
    """A contract that does not hold, as it is shown."""


class NotRun(Exception):
    """A case that says nothing about this method, and why."""


@dataclass(frozen=True)
class Item:
    """One thing to check: `id` is `attack/noise::stays-in-its-ball`; `run` raises `Failure` or `NotRun`."""

    id: str
    run: Callable[[], None]


# --- which plugin --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plugin:
    """A plugin under test among all that are installed. name: as the registry knows it."""

    source: str
    name: str
    registry: Registry

    @property
    def module(self) -> Any:
        return self.registry.manager.get_plugin(self.name)

    @property
    def specs(self) -> list[MethodSpec]:
        return [s for s in self.registry.methods() if self.registry.origin(s).plugin == self.name]

    @classmethod
    def find(cls, source: str) -> Plugin:
        """An entry point of the group `robex`, a module (or the package of an entry point), or a file."""
        path = Path(source)
        if path.suffix == ".py":
            if not path.is_file():
                raise RobexError(f"{source}: no such file; give the path of a plugin's file")
            return cls(source, f"file:{path.stem}", Registry.load([path]))
        registry = Registry.load()
        points = {p.name: p for p in metadata.entry_points(group=GROUP)}
        for name, point in points.items():
            if source in (name, point.module) or point.module.startswith(f"{source}."):
                return cls(source, name, registry)
        try:
            module = import_module(source)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{source}.".startswith(f"{error.name}."):
                raise
            raise RobexError(
                f'no plugin is called "{source}"{did_you_mean(source, points)}: it is no entry point of the '
                f"group {GROUP} ({', '.join(points)}), no module that can be imported, and no .py file"
            ) from None
        registry._register(source, module, Origin(source, source, "", module.__file__ or "?", True))
        return cls(source, source, registry)


def _items_of(plugin: Plugin) -> Iterator[Item]:
    """What is checked of the plugin itself."""
    yield Item(
        f"plugin/{plugin.source}::loads", lambda: _told(plugin.source, "loads", "loading", _loads, plugin)
    )
    yield Item(
        f"plugin/{plugin.source}::loads-without-torch",
        lambda: _told(plugin.source, "loads-without-torch", "loading", _loads_without_torch, plugin),
    )


def _loads(plugin: Plugin) -> None:
    found = [p.message for p in plugin.registry.problems if p.plugin == plugin.name]
    if found:
        raise Breach("a plugin that can be loaded, with hooks marked @hookimpl", "; ".join(found))


_LIGHT = """
import sys
from importlib import import_module, metadata
from benchmark_core.registry import Origin, Registry
name, file = sys.argv[1:]
if file:
    Registry.load([file], select=",".join("-" + p.name for p in metadata.entry_points(group="robex")))
else:
    Registry()._register(name, import_module(name), Origin(name, name, "", "?", True))
print(*[m for m in ("torch", "pandas", "scipy", "sklearn") if m in sys.modules])
"""


def _loads_without_torch(plugin: Plugin) -> None:
    if plugin.module is None:
        raise NotRun("the plugin cannot be loaded: see loads")
    file = getattr(plugin.module, "__file__", "") if plugin.name.startswith("file:") else ""
    done = subprocess.run(
        [sys.executable, "-c", _LIGHT, plugin.module.__name__, file],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    expected = (
        "registering imports neither torch nor pandas, scipy or sklearn: implementations stay behind target"
    )
    if done.returncode:
        raise Breach(expected, f"a fresh interpreter failed: {done.stderr.strip().splitlines()[-1]}")
    if done.stdout.strip():
        raise Breach(expected, f"a fresh interpreter imported {', '.join(done.stdout.split())}")


# --- which methods, with which params ------------------------------------------------------------------


@dataclass(eq=False)
class Subject:
    """A method with one choice of params. given: None where the kit has to choose."""

    plugin: Plugin
    spec: MethodSpec
    given: Params | None
    worlds: Callable[[], Sequence[World]]
    label: str = ""
    siblings: list[Subject] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    _known: dict[tuple[str, Trial], bool] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.bare_name}[{self.label}]" if self.label else self.bare_name

    @property
    def first(self) -> bool:
        return self.siblings[0] is self

    @property
    def bare_name(self) -> str:
        return f"{self.spec.kind}/{self.spec.name}"

    @cached_property
    def trials(self) -> list[Trial]:
        """The method in every world that suits it; in none, without a world, if it is a dataset."""
        if isinstance(self.spec, DatasetSpec):
            if lacking := data.missing(self.spec):
                self.left_out.append(f"{', '.join(lacking)} is not here; robex data says where to get it")
                return []
            return [self._trial(None)]
        trials = []
        for world in self.worlds():
            if world.dataset.input not in self.spec.accepts:
                continue
            trial = self._trial(world)
            if self.spec.unfit and (why := self.spec.unfit(trial.ref.params, world.dataset)):
                self.left_out.append(f"{world.name}: {why}")
            else:
                trials.append(trial)
        return trials

    def _trial(self, world: World | None) -> Trial:
        given = self.given
        if callable(given):
            assert world is not None, "params of datasets name no files"
            given = given(world, self._folder)
        try:
            params = _guess(self.spec) if given is None else given
            ref = make_ref(self.plugin.registry, self.spec.kind, self.spec.name, params)
        except RobexError as error:
            raise Breach(
                "params to try the method with: defaults, or "
                f'conformance(..., params={{"{self.spec.kind}/{self.spec.name}": {{...}}}})',
                str(error).replace("\n", "; "),
            ) from None
        return Trial(self.plugin.registry, self.spec, ref, world)

    @cached_property
    def _folder(self) -> Path:
        self._kept = tempfile.TemporaryDirectory(prefix="robex-conformance-")
        return Path(self._kept.name)

    # -- one case --

    def check(self, case: Case) -> None:
        if case.somewhere:
            return self._check_somewhere(case)
        try:
            trials = self.trials
        except Breach as breach:
            if case.name == "runs":
                raise Failure(_message(self.name, case.name, "", breach, case.read)) from None
            raise NotRun("there are no params to try it with: see runs") from None
        if not case.per_task and not callable(self.given):
            return self._try(case, self._trial(None), "")
        if not trials:
            raise NotRun("; ".join(self.left_out) or "no task suits it; give one with tasks=")
        if not case.per_task:
            return self._try(case, trials[0], "")
        for trial in trials:
            where = trial.world.name if trial.world else ""
            self._need_lower(case, trial)
            self._try(case, trial, where)
        return None

    def _check_somewhere(self, case: Case) -> None:
        """One task and setting in which it holds is enough; `Failure` as in the last where it never does."""
        failure: Exception = NotRun("no task suits it; give one with tasks=")
        for sibling in self.siblings:
            try:
                trials = sibling.trials
            except Breach:
                raise NotRun("there are no params to try it with: see runs") from None
            for trial in trials:
                self._need_lower(case, trial)
                try:
                    return self._try(case, trial, "")
                except Failure as found:
                    failure = found
        raise failure

    def _try(self, case: Case, trial: Trial, where: str) -> None:
        name = self.bare_name if case.somewhere else self.name
        try:
            case.check(trial)
        except Breach as breach:
            raise Failure(_message(name, case.name, where, breach, case.read)) from None
        except Exception as error:
            breach = Breach("a result that can be checked", f"checking it raised {said(error)}")
            raise Failure(_message(name, case.name, where, breach, case.read)) from None

    def _need_lower(self, case: Case, trial: Trial) -> None:
        """`NotRun` where a case of lower rank fails."""
        for lower in sorted(CASES, key=lambda c: c.rank):
            if lower.rank < case.rank and lower.fits(self.spec) and not self._holds(lower, trial):
                raise NotRun(f"a case that it builds upon fails: see {lower.name}")

    def _holds(self, case: Case, trial: Trial) -> bool:
        key = case.name, trial
        if key not in self._known:
            try:
                self._try(case, trial, "")
                self._known[key] = True
            except Failure:
                self._known[key] = False
        return self._known[key]


def _guess(spec: MethodSpec) -> dict[str, Any]:
    """Values for the params without a default that one can guess."""
    hints = get_type_hints(spec.params)
    return {
        f.name: EPS if hints[f.name] is float else 2
        for f in dataclasses.fields(spec.params)
        if f.default is dataclasses.MISSING
        and f.default_factory is dataclasses.MISSING
        and hints[f.name] in (float, int)
    }


def _subjects(
    plugin: Plugin, params: Mapping[str, Params | Sequence[Params]], worlds: Callable[[], Sequence[World]]
) -> Iterator[Subject]:
    names = {key for s in plugin.specs for key in (s.name, f"{s.kind}/{s.name}")}
    for key in params:
        if key not in names:
            raise RobexError(
                f'params: "{key}" is no method of {plugin.source}{did_you_mean(key, names)}; write KIND/NAME'
            )
    for spec in plugin.specs:
        given = params.get(f"{spec.kind}/{spec.name}", params.get(spec.name))
        choices = [given] if given is None or isinstance(given, Mapping) or callable(given) else list(given)
        siblings: list[Subject] = []
        for choice, label in zip(choices, _labels(choices), strict=True):
            siblings.append(Subject(plugin, spec, choice, worlds, label, siblings))
        yield from siblings


def _labels(choices: Sequence[Any]) -> list[str]:
    """What tells choices of params apart."""
    if len(choices) == 1:
        return [""]
    plain = [c if isinstance(c, Mapping) else {} for c in choices]
    keys = dict.fromkeys(k for c in plain for k in c)
    differ = [k for k in keys if any(c.get(k) != plain[0].get(k) for c in plain)]
    labels = [",".join(f"{k}={c[k]}" for k in differ if k in c) or "defaults" for c in plain]
    return labels if len(set(labels)) == len(labels) else [str(i) for i in range(len(labels))]


# --- items ---------------------------------------------------------------------------------------------


def collect(
    source: str | os.PathLike[str],
    *,
    params: Mapping[str, Params | Sequence[Params]] | None = None,
    cases: Iterable[Case] = (),
    tasks: Mapping[str, Task] | Literal[""] = "",
) -> list[Item]:
    """All items of a plugin. What its function `robex_conformance` returns is added to the arguments."""
    plugin = Plugin.find(os.fspath(source))
    own = getattr(plugin.module, "robex_conformance", dict)()
    if wrong := [key for key in own if key not in ("params", "cases", "tasks")]:
        raise RobexError(
            f'{source}: robex_conformance returns "{wrong[0]}"; it may hold params, cases, tasks'
        )
    params = {**own.get("params", {}), **(params or {})}
    tasks = {**own.get("tasks", {}), **(tasks or {})}
    made: list[World] = []

    def worlds() -> Sequence[World]:
        if tasks and not made:
            made.extend(make_world(name, task) for name, task in tasks.items())
        return (*standard_worlds(), *made)

    table = [*CASES, *own.get("cases", ()), *cases]
    items = list(_items_of(plugin))
    for subject in _subjects(plugin, params, worlds):
        items += [
            Item(
                f"{subject.name if case.per_setting else subject.bare_name}::{case.name}",
                lambda s=subject, c=case: s.check(c),
            )
            for case in table
            if case.fits(subject.spec) and (case.per_setting or subject.first)
        ]
    return items


def conformance(source: str | os.PathLike[str], **options: Any) -> Callable[..., None]:
    """A test function with one case for every (method, contract) of a plugin: `test_conformance =
    conformance("my_bench")`.

    source: an entry point of the group `robex`, a module, or the path of a plugin's file.
    params: "attack/pgd" (or "pgd") -> settings to try, or a list of them, or a function (world, folder) ->
    settings where they name files. cases: more `Case`s. tasks: name -> `Task` to try methods on, too.
    """
    import pytest

    items = collect(source, **options)

    @pytest.mark.parametrize("item", [pytest.param(item, id=item.id) for item in items])
    def test_conformance(item: Item) -> None:
        broken = ""
        try:
            item.run()
        except Failure as failure:
            broken = str(failure)
        except NotRun as reason:
            pytest.skip(str(reason))
        if broken:
            pytest.fail(broken, pytrace=False)

    return test_conformance


def _told(source: str, case: str, anchor: str, check: Callable[[Plugin], None], plugin: Plugin) -> None:
    try:
        check(plugin)
    except Breach as breach:
        raise Failure(_message(f"plugin/{source}", case, "", breach, f"{PAGE}#{anchor}")) from None


def _message(method: str, case: str, where: str, breach: Breach, read: str) -> str:
    """What is shown. The contract is quoted: an installed robex comes without the pages that explain it."""
    place = f" ({where})" if where else ""
    page, _, anchor = read.partition("#")
    contract = f"{SECTIONS[anchor]} ({read})" if page == PAGE and anchor in SECTIONS else read
    return (
        f"{method} breaks a contract: {case}{place}\n"
        f"  expected: {breach.expected}\n"
        f"  happened: {breach.happened}" + (f"\n  contract: {contract}" if contract else "")
    )
