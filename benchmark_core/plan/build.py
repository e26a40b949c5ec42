"""From a suite to a plan: crosses the entries, leaves out what cannot fit (and says why), shares nodes."""

from __future__ import annotations

import gc
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

from ..errors import Problem, RobexError, SuiteErrors, one_line
from ..registry import Registry
from ..spec import (
    AttackSpec,
    DatasetSpec,
    ExplainerSpec,
    MethodRef,
    MethodSpec,
    MetricSpec,
    StateSpec,
    Use,
    param_types,
)
from ..suite import make_ref
from ..suite.model import Entry, Suite, Wish
from ..suite.nodes import show
from .keys import Role, engine_identity, key_of, method_identity, seed_of
from .model import Cell, Node, Plan, Stage


def build_plan(suite: Suite, registry: Registry) -> Plan:
    """The DAG of a suite. Raises RobexError when it has more cells than `limits: cells`."""
    collects = gc.isenabled()
    gc.disable()  # a large plan has millions of objects, and none is garbage
    try:
        return _Builder(suite, registry).build()
    finally:
        if collects:
            gc.enable()


@dataclass(frozen=True)
class _Trained:
    """A point of dataset x model x defense x seed, and the keys that stand for it."""

    dataset: Entry
    model: Entry
    defense: Entry
    repetition: int
    task: str
    weights: str
    where: Mapping[str, Any]


@dataclass
class _Builder:
    suite: Suite
    registry: Registry
    nodes: dict[str, Node] = field(default_factory=dict)
    cells: list[Cell] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._identities: dict[int, Mapping[str, Any]] = {}
        self._needs: dict[int, Mapping[str, MethodRef]] = {}
        self._refs: list[MethodRef] = []  # keeps ids in the two caches above alive
        self._reasons: dict[tuple[int, int], str | None] = {}
        specs = ((self._spec(entry), entry) for entry in self.suite.of("metric"))
        self._metrics = [(spec, entry) for spec, entry in specs if isinstance(spec, MetricSpec)]
        self._goal = {e.label: self._goal_of(e) for e in self.suite.of("attack")}

    def build(self) -> Plan:
        self._refuse_huge()
        for trained in self._trained():
            self._predictions(trained)
            for attack in self.suite.of("attack"):
                self._attacks(trained, attack)
            for explainer in self.suite.of("explainer"):
                self._explanations(trained, explainer)
        self._check_boards()
        self._note_idle_metrics()
        plan = Plan(self.suite, self.nodes, tuple(self.cells), self.left_out)
        return replace(plan, nodes=plan.needed(lambda key: False))  # without what only left-out cells need

    def _refuse_huge(self) -> None:
        """Points of the product that rules or misfits leave out cost time too: more than ten times the limit
        is refused before anything is crossed."""
        suite, most = self.suite, self.suite.limits.cells
        trained = suite.seeds * math.prod(len(suite.of(kind)) for kind in ("dataset", "model", "defense"))
        if (points := trained * self._per_model) > 10 * most:
            raise RobexError(
                f"{suite.file}: it crosses to {points:,} cells before its rules, the limit is {most:,}; list "
                "less, or raise limits: cells"
            )

    def _check_boards(self) -> None:
        """A board that can show nothing is a mistake to tell before anything runs."""
        shapes = {(frozenset(cell.coordinates), cell.coordinates["metric"]) for cell in self.cells}
        empty: list[Problem] = []
        for board in self.suite.boards if shapes else ():
            fits = any(
                coordinates >= set(board.rows) and (not board.metrics or metric in board.metrics)
                for coordinates, metric in shapes
            )
            if not fits:
                wanted = f"{', '.join(board.metrics)}" if board.metrics else "any metric"
                rows = " and ".join(board.rows)
                why = (
                    f"board {board.name} stays empty: no cell has {rows} and {wanted}; accuracy has no "
                    "attack, for example, and robust-accuracy no explainer"
                )
                empty.append(Problem(self.suite.file, 0, 0, why))
        if empty:
            raise SuiteErrors(empty, self.suite)

    def _note_idle_metrics(self) -> None:
        measured = {cell.coordinates["metric"] for cell in self.cells}
        for spec, metric in self._metrics:
            if metric.label not in measured:
                made = " or ".join(spec.consumes)
                self.left_out[f"{metric.label} measures nothing here: no cell has {made} results"] += 0

    # -- the crossing --

    def _trained(self) -> Iterator[_Trained]:
        suite = self.suite
        for dataset in suite.of("dataset"):
            for model in suite.of("model"):
                if reason := self._unfit(model, dataset):
                    self.left_out[reason] += self._per_model * len(suite.of("defense")) * suite.seeds
                    continue
                for defense in suite.of("defense"):
                    if reason := self._unfit(defense, dataset):
                        self.left_out[reason] += self._per_model * suite.seeds
                        continue
                    for repetition in range(suite.seeds):
                        yield self._train(dataset, model, defense, repetition)

    def _train(self, dataset: Entry, model: Entry, defense: Entry, repetition: int) -> _Trained:
        where = {
            "dataset": dataset.label,
            "model": model.label,
            "defense": defense.label,
            "seed": repetition,
        }
        task = self._node("load", dataset.ref, {}, {"dataset": dataset.label})
        weights = self._node(
            "train",
            defense.ref,
            {"task": task, **self._states(defense.ref, task, None, repetition, where)},
            where,
            repetition=repetition,
            builds=model.ref,
        )
        return _Trained(dataset, model, defense, repetition, task, weights, where)

    def _predictions(self, at: _Trained) -> None:
        for spec, metric in self._metrics:
            if "prediction" in spec.consumes and self._wanted(at, metric=metric):
                if reason := self._unfit(metric, at.dataset):
                    self.left_out[reason] += 1
                    continue
                selection = self._selection(at, metric.wish or Wish())
                predict = self._node(
                    "predict",
                    None,
                    {"task": at.task, "model": at.weights, "selection": selection},
                    at.where,
                )
                self._measure(at, metric, spec, selection, predict, {}, metric.wish)

    def _attacks(self, at: _Trained, attack: Entry) -> None:
        metrics = self._consumers("perturbation", at, attack=attack)
        if not metrics:
            return
        wish = attack.wish or Wish()
        selection = self._selection(at, wish)
        result = self._attack(at, attack, selection, aims=wish.targets != "none")
        for spec, metric in metrics:
            self._measure(at, metric, spec, selection, result, {"attack": attack.label}, wish)

    def _attack(self, at: _Trained, attack: Entry, selection: str, *, aims: bool) -> str:
        where = {**at.where, "attack": attack.label}
        inputs = {"task": at.task, "model": at.weights, "selection": selection}
        inputs |= self._states(attack.ref, at.task, at.weights, at.repetition, where)
        goal = self._goal[attack.label]
        return self._node("attack", attack.ref, inputs, where, repetition=at.repetition, goal=goal, aims=aims)

    def _explanations(self, at: _Trained, explainer: Entry) -> None:
        spec = self._spec(explainer)
        assert isinstance(spec, ExplainerSpec)
        for on in explainer.on:
            metrics = self._consumers(spec.produces, at, explainer=explainer, on=on)
            if not metrics:
                continue
            wish = explainer.wish or Wish()
            selection = self._selection(at, wish)
            where = {**at.where, "explainer": explainer.label, "on": on}
            inputs = {"task": at.task, "model": at.weights, "selection": selection}
            if on != "clean":
                attack = self.suite.entry("attack", on)
                if reason := self._unfit(attack, at.dataset):
                    self.left_out[reason] += len(metrics)
                    continue
                inputs["on"] = self._attack(at, attack, selection, aims=False)
            inputs |= self._states(explainer.ref, at.task, at.weights, at.repetition, where)
            result = self._node("explain", explainer.ref, inputs, where, repetition=at.repetition)
            coordinates = {"explainer": explainer.label, "on": on}
            for metric_spec, metric in metrics:
                self._measure(at, metric, metric_spec, selection, result, coordinates, wish)

    def _measure(
        self,
        at: _Trained,
        metric: Entry,
        spec: MetricSpec,
        selection: str,
        result: str,
        coordinates: Mapping[str, Any],
        wish: Wish | None,
    ) -> None:
        where = {**at.where, **coordinates, "metric": metric.label}
        inputs = {"task": at.task, "model": at.weights, "selection": selection, "result": result}
        if "on" in self.nodes[result].inputs:
            inputs["on"] = self.nodes[result].inputs["on"]
        inputs |= self._states(metric.ref, at.task, at.weights, at.repetition, where)
        if spec.reference:
            inputs |= self._reference(at, spec, metric, coordinates, wish)
        over = wish.over if wish and wish.targets == "all" else None
        key = self._node(
            "measure", metric.ref, inputs, where, repetition=at.repetition, wish=wish if over else None
        )
        self.cells.append(Cell(where, key, selection, result))
        if len(self.cells) > self.suite.limits.cells:
            raise RobexError(
                f"{self.suite.file}: more than {self.suite.limits.cells:,} cells; prune it with exclude, "
                "or raise limits: cells"
            )

    def _reference(
        self, at: _Trained, spec: MetricSpec, metric: Entry, coordinates: Mapping[str, Any], wish: Wish | None
    ) -> dict[str, str]:
        assert metric.reference is not None
        defense = self.suite.entry("defense", metric.reference)
        other = self._train(at.dataset, at.model, defense, at.repetition)
        if spec.reference == "model":
            return {"reference_model": other.weights}
        # The same method on the other model, on the samples of this one.
        producer_kind = "attack" if "attack" in coordinates else "explainer"
        producer = self.suite.entry(producer_kind, coordinates[producer_kind])
        selection = self._selection(at, wish or Wish())
        if producer_kind == "attack":
            aims = bool(wish and wish.targets != "none")
            return {"reference_result": self._attack(other, producer, selection, aims=aims)}
        inputs = {"task": other.task, "model": other.weights, "selection": selection}
        if coordinates["on"] != "clean":
            attack = self.suite.entry("attack", coordinates["on"])
            inputs["on"] = self._attack(other, attack, selection, aims=False)
        where = {**other.where, **coordinates}
        inputs |= self._states(producer.ref, other.task, other.weights, at.repetition, where)
        return {
            "reference_result": self._node("explain", producer.ref, inputs, where, repetition=at.repetition)
        }

    def _consumers(self, produced: str, at: _Trained, **coordinates: Any) -> list[tuple[MetricSpec, Entry]]:
        """The metrics that measure this result here, after everything that cannot fit is left out."""
        producer = coordinates.get("attack") or coordinates["explainer"]
        fitting = [(s, m) for s, m in self._metrics if produced in s.consumes]
        if not fitting:
            self.left_out[f"no metric measures the {produced} that {producer.label} makes"] += 0
            return []
        if reason := self._unfit(producer, at.dataset):
            self.left_out[reason] += len(fitting)
            return []
        wanted = []
        for spec, metric in fitting:
            labels = {k: v.label if isinstance(v, Entry) else v for k, v in coordinates.items()}
            if not self._wanted(at, metric=metric, **labels):
                continue
            reference = self.suite.entry("defense", metric.reference) if metric.reference else metric
            if reason := self._unfit(metric, at.dataset) or self._unfit(reference, at.dataset):
                self.left_out[reason] += 1
            else:
                wanted.append((spec, metric))
        return wanted

    # -- rules --

    def _wanted(self, at: _Trained, metric: Entry, **labels: Any) -> bool:
        where = {**at.where, "metric": metric.label, **labels}
        if any(_matches(rule, where) for rule in self.suite.exclude):
            self.left_out["excluded by the suite"] += 1
            return False
        if self.suite.include and not any(_matches(rule, where) for rule in self.suite.include):
            self.left_out["not included by the suite"] += 1
            return False
        return True

    def _unfit(self, entry: Entry, dataset: Entry) -> str | None:
        """Why a method cannot work on a dataset, or None."""
        place = (id(entry), id(dataset))
        if place not in self._reasons:
            spec, data = self._spec(entry), self._spec(dataset)
            assert isinstance(data, DatasetSpec)
            reason = None
            if data.input not in spec.accepts:
                kinds = " or ".join(spec.accepts)
                reason = f"{entry.label} needs {kinds} inputs ({dataset.label} is {data.input})"
            elif spec.unfit is not None:
                why = self._asked(spec, "unfit", spec.unfit, entry.ref.params, data)
                if not isinstance(why, str | None):
                    raise self._wrong(spec, f"unfit must return why not, or None, got {show(why)}")
                reason = f"{entry.label} on {dataset.label}: {why}" if why else None
            self._reasons[place] = reason
        return self._reasons[place]

    @cached_property
    def _per_model(self) -> int:
        """Cells that one trained model stands for when everything fits."""
        consumers = Counter(result for spec, _ in self._metrics for result in spec.consumes)
        explainers = ((self._spec(e), len(e.on)) for e in self.suite.of("explainer"))
        return (
            consumers["prediction"]
            + len(self.suite.of("attack")) * consumers["perturbation"]
            + sum(on * consumers[s.produces] for s, on in explainers if isinstance(s, ExplainerSpec))
        )

    def _goal_of(self, attack: Entry) -> str | None:
        """`success` when nothing in the suite looks at the perturbation itself. An attack with targets stops
        at another success than the error that robust accuracy asks for, so it never gets this goal."""
        spec = self._spec(attack)
        assert isinstance(spec, AttackSpec)
        if not spec.early_exit:
            return None
        looked_at = any(
            "perturbation" in s.consumes and (s.reads == "result" or s.reference is not None)
            for s, _ in self._metrics
        ) or (attack.wish is not None and attack.wish.targets != "none")
        explained = any(attack.label in e.on for e in self.suite.of("explainer"))
        return "perturbation" if looked_at or explained else "success"

    # -- nodes --

    def _selection(self, at: _Trained, wish: Wish) -> str:
        inputs = {"task": at.task}
        where = {"dataset": at.dataset.label}
        if wish.needs_model:
            inputs["model"] = at.weights
            where = dict(at.where)
        return self._node("select", None, inputs, where, wish=wish)

    def _states(
        self, ref: MethodRef, task: str, weights: str | None, repetition: int, where: Mapping[str, Any]
    ) -> dict[str, str]:
        """Keys of the prepared states that a method, or one inside it, needs: {"state:NAME": key}."""
        keys = {}
        for name, state in self._needs_of(ref).items():
            spec = self.registry.get("state", state.name)
            assert isinstance(spec, StateSpec)
            inputs = {"task": task}
            if spec.made_from == "model":
                if weights is None:
                    raise RobexError(
                        f"{ref.name}: needs {state.name}, which is made from a trained model: none yet"
                    )
                inputs["model"] = weights
            keys[f"state:{name}"] = self._node("prepare", state, inputs, where, repetition=repetition)
        return keys

    def _needs_of(self, ref: MethodRef) -> Mapping[str, MethodRef]:
        if id(ref) not in self._needs:
            found: dict[str, MethodRef] = {}
            for inner in refs_in(ref):
                spec = self.registry.get(inner.kind, inner.name)
                for name, wanted in self._wanted_states(spec, inner).items():
                    try:
                        state = make_ref(self.registry, "state", wanted.name, wanted.params)
                    except RobexError as error:
                        raise self._wrong(spec, f"needs {name!r}: {error}") from None
                    if found.setdefault(name, state) != state:
                        raise RobexError(f"{ref}: two methods need different states called {name!r}")
            self._needs[id(ref)] = found
            self._refs.append(ref)
        return self._needs[id(ref)]

    def _wanted_states(self, spec: MethodSpec, ref: MethodRef) -> Mapping[str, Use]:
        """What the `needs` of a plugin says, checked."""
        if spec.needs is None:
            return {}
        found = self._asked(spec, "needs", spec.needs, ref.params)
        if not isinstance(found, Mapping) or not all(
            isinstance(name, str) and isinstance(wanted, Use) for name, wanted in found.items()
        ):
            raise self._wrong(spec, f"needs must return {{name: use(state, ...)}}, got {show(found)}")
        return found

    def _asked(self, spec: MethodSpec, what: str, question: Callable[..., Any], *given: Any) -> Any:
        """What a plugin's function answers; its exceptions are the plugin's mistakes, not ours."""
        try:
            return question(*given)
        except Exception as error:
            raise self._wrong(spec, f"{what} failed: {one_line(error)}") from error

    def _wrong(self, spec: MethodSpec, message: str) -> RobexError:
        return RobexError(f"{spec.kind} {spec.name}: {message}; mend it in {self.registry.origin(spec)}")

    def _node(
        self,
        stage: Stage,
        method: MethodRef | None,
        inputs: Mapping[str, str],
        where: Mapping[str, Any],
        *,
        repetition: int = 0,
        builds: MethodRef | None = None,
        wish: Wish | None = None,
        goal: str | None = None,
        aims: bool = True,
    ) -> str:
        identity: dict[str, Any] = {"stage": stage, "engine": self._engine, "inputs": dict(inputs)}
        seed = 0
        if method is not None:
            identity["method"] = self._identity(method)
            if not self.registry.get(method.kind, method.name).deterministic:
                seed = seed_of(self.suite.seed, _ROLES[stage], repetition)
                identity["seed"] = seed
        if builds is not None:
            identity["builds"] = self._identity(builds)
        if stage == "select" and wish is not None:
            identity["wish"] = {"select": wish.select, "samples": wish.samples, "targets": wish.targets}
            seed = seed_of(self.suite.seed, "select", 0)
            identity["seed"] = seed
        elif wish is not None:
            identity["over"] = wish.over
        if goal is not None:
            identity["goal"] = goal
        if not aims:
            identity["aims"] = False
        key = key_of(identity)
        if key not in self.nodes:
            self.nodes[key] = Node(
                key, stage, identity, dict(inputs), method, seed, dict(where), builds, wish, goal, aims
            )
        return key

    def _identity(self, ref: MethodRef) -> Mapping[str, Any]:
        if id(ref) not in self._identities:
            self._identities[id(ref)] = method_identity(ref, self.registry)
            self._refs.append(ref)
        return self._identities[id(ref)]

    @property
    def _engine(self) -> str:
        return engine_identity(self.registry)

    def _spec(self, entry: Entry) -> MethodSpec:
        return self.registry.get(entry.ref.kind, entry.ref.name)


_ROLES: dict[Stage, Role] = {
    "load": "train",
    "train": "train",
    "prepare": "prepare",
    "attack": "attack",
    "explain": "explain",
    "measure": "measure",
}


def refs_in(ref: MethodRef) -> Iterator[MethodRef]:
    """The method and all methods inside its params."""
    yield ref
    for name in param_types(type(ref.params)):
        value = getattr(ref.params, name)
        if isinstance(value, MethodRef):
            yield from refs_in(value)


def _matches(rule: Mapping[str, tuple[str, ...]], where: Mapping[str, Any]) -> bool:
    """Every coordinate the rule names must fit one of its patterns; a cell without it does not match."""
    return all(
        name in where and any(fnmatchcase(str(where[name]), pattern) for pattern in patterns)
        for name, patterns in rule.items()
    )
