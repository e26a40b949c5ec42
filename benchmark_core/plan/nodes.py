"""Makes the nodes of a plan, one method a stage: which results a node starts from, and everything else that
can change its own, which is its identity. Equal work gets one node.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import RobexError
from ..registry import Registry
from ..spec import AttackSpec, MethodRef, MetricSpec, StateSpec
from ..suite.model import Entry, Suite, Wish
from .keys import Role, engine_identity, key_of, method_identity, seed_of
from .model import Node, Stage
from .questions import needs_of, refs_in

_ROLES: dict[Stage, Role] = {
    "load": "train",
    "train": "train",
    "prepare": "prepare",
    "attack": "attack",
    "explain": "explain",
    "measure": "measure",
}


@dataclass(frozen=True)
class Trained:
    """A point of dataset x model x defense x seed, and the keys that stand for it."""

    dataset: Entry
    model: Entry
    defense: Entry
    repetition: int
    task: str
    weights: str
    where: Mapping[str, Any]


class NodeMaker:
    """Makes nodes and gives their keys. nodes: all of them, each after its inputs."""

    def __init__(self, suite: Suite, registry: Registry, metrics: Iterable[MetricSpec]) -> None:
        """metrics: all of the suite."""
        self.suite, self.registry = suite, registry
        self.nodes: dict[str, Node] = {}
        self._engine = engine_identity(registry)
        self._goals = {e.label: _goal_of(e, suite, registry, metrics) for e in suite.of("attack")}
        self._identities: dict[int, Mapping[str, Any]] = {}
        self._needs: dict[int, Mapping[str, MethodRef]] = {}
        self._deterministic: dict[int, bool] = {}
        self._refs: list[MethodRef] = []  # keeps ids in the three caches above alive

    # -- one method a stage --

    def train(self, dataset: Entry, model: Entry, defense: Entry, repetition: int) -> Trained:
        """The nodes `load` and `train`."""
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
        return Trained(dataset, model, defense, repetition, task, weights, where)

    def select(self, at: Trained, wish: Wish) -> str:
        inputs = {"task": at.task}
        where = {"dataset": at.dataset.label}
        if wish.needs_model:
            inputs["model"] = at.weights
            where = dict(at.where)
        return self._node("select", None, inputs, where, wish=wish)

    def predict(self, at: Trained, selection: str) -> str:
        return self._node("predict", None, _inputs(at, selection), at.where)

    def attack(self, at: Trained, attack: Entry, selection: str, *, aims: bool) -> str:
        """aims: at the targets of the selection."""
        where = {**at.where, "attack": attack.label}
        inputs = _inputs(at, selection)
        inputs |= self._states(attack.ref, at.task, at.weights, at.repetition, where)
        goal = self._goals[attack.label]
        return self._node("attack", attack.ref, inputs, where, repetition=at.repetition, goal=goal, aims=aims)

    def explain(self, at: Trained, explainer: Entry, on: str, selection: str) -> str:
        """on: `clean`, or the label of an attack, which then gets no targets."""
        where = {**at.where, "explainer": explainer.label, "on": on}
        inputs = _inputs(at, selection)
        if on != "clean":
            inputs["on"] = self.attack(at, self.suite.entry("attack", on), selection, aims=False)
        inputs |= self._states(explainer.ref, at.task, at.weights, at.repetition, where)
        return self._node("explain", explainer.ref, inputs, where, repetition=at.repetition)

    def measure(
        self,
        at: Trained,
        metric: Entry,
        spec: MetricSpec,
        selection: str,
        result: str,
        where: Mapping[str, Any],
        wish: Wish | None,
    ) -> str:
        """where: the coordinates of the cell. wish: of what made the result."""
        inputs = {**_inputs(at, selection), "result": result}
        if "on" in self.nodes[result].inputs:
            inputs["on"] = self.nodes[result].inputs["on"]
        inputs |= self._states(metric.ref, at.task, at.weights, at.repetition, where)
        if spec.reference:
            inputs |= self._reference(at, metric, spec, selection, where, wish)
        several = wish if wish and wish.targets == "all" else None
        return self._node("measure", metric.ref, inputs, where, repetition=at.repetition, wish=several)

    # -- what they start from --

    def _reference(
        self,
        at: Trained,
        metric: Entry,
        spec: MetricSpec,
        selection: str,
        where: Mapping[str, Any],
        wish: Wish | None,
    ) -> dict[str, str]:
        """What a metric compares with: the model of another defense, or the result there."""
        assert metric.reference is not None
        defense = self.suite.entry("defense", metric.reference)
        other = self.train(at.dataset, at.model, defense, at.repetition)
        if spec.reference == "model":
            return {"reference_model": other.weights}
        # The same method on the other model, on the samples of this one.
        if "attack" in where:
            aims = bool(wish and wish.targets != "none")
            attack = self.suite.entry("attack", where["attack"])
            return {"reference_result": self.attack(other, attack, selection, aims=aims)}
        if "explainer" in where:
            explainer = self.suite.entry("explainer", where["explainer"])
            return {"reference_result": self.explain(other, explainer, where["on"], selection)}
        return {"reference_result": self.predict(other, selection)}

    def _states(
        self, ref: MethodRef, task: str, weights: str | None, repetition: int, where: Mapping[str, Any]
    ) -> dict[str, str]:
        """Keys of the prepared states that a method, or one inside it, needs: {"state:NAME": key}."""
        if id(ref) not in self._needs:
            self._needs[id(ref)] = needs_of(ref, self.registry)
            self._refs.append(ref)
        keys = {}
        for name, state in self._needs[id(ref)].items():
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

    # -- identity, seed and key --

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
            if not self._is_deterministic(method):
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

    def _is_deterministic(self, ref: MethodRef) -> bool:
        """Of a method that draws nothing itself: whether those inside it draw nothing either."""
        if id(ref) not in self._deterministic:
            specs = [self.registry.get(inner.kind, inner.name) for inner in refs_in(ref)]
            self._deterministic[id(ref)] = all(spec.deterministic for spec in specs)
            self._refs.append(ref)
        return self._deterministic[id(ref)]

    def _identity(self, ref: MethodRef) -> Mapping[str, Any]:
        if id(ref) not in self._identities:
            self._identities[id(ref)] = method_identity(ref, self.registry)
            self._refs.append(ref)
        return self._identities[id(ref)]


def _inputs(at: Trained, selection: str) -> dict[str, str]:
    return {"task": at.task, "model": at.weights, "selection": selection}


def _goal_of(attack: Entry, suite: Suite, registry: Registry, metrics: Iterable[MetricSpec]) -> str | None:
    """`success` when nothing in the suite looks at the perturbation itself. An attack with targets stops at
    another success than the error that robust accuracy asks for, so it never gets this goal."""
    spec = registry.get("attack", attack.ref.name)
    assert isinstance(spec, AttackSpec)
    if not spec.early_exit:
        return None
    looked_at = any(
        "perturbation" in s.consumes and (s.reads == "result" or s.reference is not None) for s in metrics
    ) or (attack.wish is not None and attack.wish.targets != "none")
    explained = any(attack.label in e.on for e in suite.of("explainer"))
    return "perturbation" if looked_at or explained else "success"
