"""Methods out of nodes: names looked up, params checked, methods inside methods made, grids written out."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge

from ..errors import RobexError, did_you_mean, one_line
from ..registry import Registry, UnknownMethod
from ..spec import ENTRY_KEYS, Kind, MethodRef, MethodSpec, MetricSpec, Use
from .fields import Checker, checker_of, list_depth, literals, ref_kind, types_of
from .model import Over, Select, Targets
from .nodes import Mark, Node, Problems, Source, from_python, show

#: The most methods one entry may stand for.
MAX_METHODS = 10_000

Samples = Annotated[int, Ge(1)] | Literal["all"] | None
WISH_TYPES: Mapping[str, Any] = {"samples": Samples, "select": Select, "targets": Targets, "over": Over}
KEY_TYPES: Mapping[str, Any] = {"as": str, **WISH_TYPES, "on": str | tuple[str, ...], "reference": str}
_NO_GRID = ("as", "on")

_BELONGS = {
    "samples": "attacks, explainers and metrics of predictions",
    "select": "attacks, explainers and metrics of predictions",
    "targets": "attacks and explainers",
    "over": "attacks and explainers",
    "on": "explainers",
    "reference": "metrics that compare with another defense",
}


def entry_keys(spec: MethodSpec) -> tuple[str, ...]:
    """The engine's keys that an entry of this method may have, besides `use`."""
    if spec.kind == "attack":
        return ("as", *WISH_TYPES)
    if spec.kind == "explainer":
        return ("as", *WISH_TYPES, "on")
    if isinstance(spec, MetricSpec):
        wish = ("samples", "select") if "prediction" in spec.consumes else ()
        return ("as", *wish, *(("reference",) if spec.reference else ()))
    return ("as",)


@dataclass(frozen=True)
class Made:
    """One method of an entry. keys: the entry's own keys. texts: how numbers such as 8/255 were written."""

    ref: MethodRef
    keys: Mapping[str, Any]
    texts: Mapping[str, str]


@dataclass(frozen=True)
class _Choice:
    value: Any
    texts: Mapping[str, str] = dataclasses.field(default_factory=dict)


class MethodMaker:
    """Makes `MethodRef`s; what is wrong goes to `problems`. With grids, a list for a scalar is a grid."""

    def __init__(self, registry: Registry, problems: Problems, *, grids: bool = True) -> None:
        self.registry, self.problems, self.grids = registry, problems, grids

    def entry(self, node: Node, kind: Kind) -> list[Made]:
        """Every method that a suite entry stands for."""
        return self._methods(node, kind, entry_keys)

    def inner(self, node: Node, kind: Kind) -> list[Made]:
        """Every method that a param of type `MethodRef` stands for."""
        return self._methods(node, kind, None)

    def _methods(
        self, node: Node, kind: Kind, keys_of: Callable[[MethodSpec], tuple[str, ...]] | None
    ) -> list[Made]:
        if isinstance(node.value, MethodRef) and node.value.kind == kind:
            return [Made(node.value, {}, {})]
        if (spec := self._spec(node, kind)) is None:
            return []
        given = node.value if isinstance(node.value, dict) else {}
        try:
            types = types_of(spec.params, spec.name)
            checker = checker_of(spec.params, spec.name)
        except RobexError as error:
            self.problems.add(node.mark, str(error))
            return []
        settable = [f for f in dataclasses.fields(spec.params) if f.init]
        names = [f.name for f in settable]
        keys = keys_of(spec) if keys_of else ()
        choices: dict[str, list[_Choice]] = {}
        for key, child in given.items():
            if key in names:
                choices[key] = self._choices(spec.name, key, types[key], child, checker)
            elif key in keys:
                grid = self.grids and key not in _NO_GRID
                choices[key] = self._choices(spec.name, key, KEY_TYPES[key], child, _key_checker(), grid)
            elif key != "use":
                self.problems.add(node.keys[key], _unknown(spec, key, names, keys, inner=keys_of is None))
        for f in settable:
            if (
                f.name not in given
                and f.default is dataclasses.MISSING
                and f.default_factory is dataclasses.MISSING
            ):
                self.problems.add(node.mark, f"{spec.name}: {f.name} is required")
                choices[f.name] = []
        return list(self._combined(spec, node, choices, names))

    def _combined(
        self, spec: MethodSpec, node: Node, choices: Mapping[str, list[_Choice]], names: Sequence[str]
    ) -> Iterator[Made]:
        for combination in self._product(spec.name, node.mark, list(choices.values())):
            chosen = dict(zip(choices, combination, strict=True))
            try:
                params = spec.params(**{k: c.value for k, c in chosen.items() if k in names})
            except (ValueError, AssertionError, RobexError) as error:
                self.problems.add(node.mark, f"{spec.name}: {' '.join(str(error).split()) or 'not valid'}")
                continue
            except Exception as error:
                self.problems.add(node.mark, f"{spec.name}: checking its params failed: {one_line(error)}")
                return
            texts = {path: text for c in combination for path, text in c.texts.items()}
            keys = {k: c.value for k, c in chosen.items() if k not in names}
            yield Made(MethodRef(spec.kind, spec.name, params), keys, texts)

    def _spec(self, node: Node, kind: Kind) -> MethodSpec | None:
        name = node
        if isinstance(node.value, dict):
            if "use" not in node.value:
                self.problems.add(
                    node.mark, f"use is required: the name of {_a(kind)} (robex list {plural(kind)})"
                )
                return None
            name = node.value["use"]
        if not isinstance(name.value, str):
            where = "use" if name is not node else _a(kind)
            wanted = "text" if name is not node else "a name or a mapping such as {use: NAME}"
            self.problems.add(name.mark, f"{where} must be {wanted}, got {show(name.plain())}")
            return None
        try:
            return self.registry.get(kind, name.value)
        except UnknownMethod as error:
            self.problems.add(name.mark, str(error))
            return None

    # -- grids --

    def _choices(
        self, owner: str, field: str, annotation: Any, node: Node, checker: Checker, grid: bool | None = None
    ) -> list[_Choice]:
        """The values that one field takes in turn."""
        grid = self.grids if grid is None else grid
        if not (grid and _depth(node) > list_depth(annotation)):
            return self._one(owner, field, annotation, node, checker)
        if not node.value:
            self.problems.add(node.mark, f"{owner}: {field} is an empty list; a grid needs a value")
        found: list[_Choice] = []
        for item in node.value:
            found += self._one(owner, field, annotation, item, checker)
            if len(found) > MAX_METHODS:
                self._too_many(owner, node.mark, f"more than {MAX_METHODS:,}")
                return []
        return found

    def _one(self, owner: str, field: str, annotation: Any, node: Node, checker: Checker) -> list[_Choice]:
        kind = ref_kind(annotation)
        if kind is None or (isinstance(node.value, str) and node.value in literals(annotation)):
            return self._checked(owner, field, node.plain(), node, checker)
        if not list_depth(annotation):
            if isinstance(node.value, str | dict | MethodRef):
                return [
                    _Choice(m.ref, {f"{field}.{path}": text for path, text in m.texts.items()})
                    for m in self.inner(node, kind)
                ]
        elif isinstance(node.value, list):
            return self._lists_of_methods(owner, field, kind, node, checker)
        return self._checked(owner, field, node.plain(), node, checker)

    def _lists_of_methods(
        self, owner: str, field: str, kind: Kind, node: Node, checker: Checker
    ) -> list[_Choice]:
        before = len(self.problems)
        found: list[_Choice] = []
        for made in self._product(owner, node.mark, [self.inner(item, kind) for item in node.value]):
            texts = {f"{field}.{i}.{p}": t for i, m in enumerate(made) for p, t in m.texts.items()}
            found += self._checked(owner, field, [m.ref for m in made], node, checker, texts)
        return found if len(self.problems) == before else []

    def _checked(
        self,
        owner: str,
        field: str,
        raw: Any,
        node: Node,
        checker: Checker,
        texts: Mapping[str, str] | None = None,
    ) -> list[_Choice]:
        value, wrong = checker.check(field, raw, node, node.mark.source.folder)
        for w in wrong:
            self.problems.add(w.node.mark, f"{owner}: {w.message}")
        if wrong:
            return []
        if isinstance(raw, str) and isinstance(value, float):
            texts = {field: raw.strip()}
        return [_Choice(value, texts or {})]

    def _product(self, owner: str, mark: Mark, lists: Sequence[Sequence[Any]]) -> Iterable[tuple[Any, ...]]:
        count = math.prod(map(len, lists))
        if count > MAX_METHODS:
            self._too_many(owner, mark, f"{count:,}")
            return ()
        return product(*lists)

    def _too_many(self, owner: str, mark: Mark, count: str) -> None:
        self.problems.add(
            mark, f"{owner}: the grid has {count} combinations; at most {MAX_METHODS:,} are allowed"
        )


def make_ref(registry: Registry, kind: Kind, name: str, params: Mapping[str, Any]) -> MethodRef:
    """One method with these raw or validated params, no grids. Raises RobexError, one line per problem."""
    problems = Problems()
    node = from_python(Use(name, params), Mark(Source("", folder=Path.cwd())))
    made = MethodMaker(registry, problems, grids=False).inner(node, kind)
    if problems.found:
        raise RobexError("\n".join(dict.fromkeys(p.message for p in problems.found)))
    return made[0].ref


def plural(kind: str) -> str:
    return f"{kind}s"


def _a(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def _depth(node: Node) -> int:
    return 1 + max(map(_depth, node.value), default=0) if isinstance(node.value, list) else 0


def _unknown(spec: MethodSpec, key: str, names: Sequence[str], keys: Sequence[str], *, inner: bool) -> str:
    if key in ENTRY_KEYS:
        if inner:
            return f'{spec.name}: "{key}" does not apply to a method inside another one'
        return f'{spec.name}: "{key}" belongs to {_BELONGS[key]}'
    hint = did_you_mean(key, [*names, *keys])
    has = f"It has: {', '.join(names)}" if names else "It has none"
    return f'{spec.name} has no param "{key}"{hint or "."} {has}'


_KEY_CHECKER: list[Checker] = []


def _key_checker() -> Checker:
    if not _KEY_CHECKER:
        _KEY_CHECKER.append(Checker(KEY_TYPES))
    return _KEY_CHECKER[0]
