"""Calls a method as the engine does, on a small world, and sees what it returned and what it left behind."""

from __future__ import annotations

import copy
import dataclasses
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from ..data import locate
from ..errors import one_line
from ..interfaces import Context, Cost, DataContext, Goal, MetricContext, Scores, Task
from ..random import SampleRandom
from ..registry import Registry
from ..run.checks import BrokenContract
from ..run.counted import CountedModel
from ..spec import DatasetSpec, ExplainerSpec, MethodRef, MethodSpec, MetricSpec, StateSpec
from ..store.codec import encode
from ..suite.methods import make_ref
from .traces import tensors_in, watched
from .worlds import World, evidence, with_another_test_set


class Breach(Exception):
    """A contract that does not hold: what was expected, and what happened instead."""

    def __init__(self, expected: str, happened: str) -> None:
        super().__init__(f"expected {expected}; {happened}")
        self.expected, self.happened = expected, happened


def expect(holds: Any, expected: str, happened: str) -> None:
    """`Breach` unless `holds`."""
    if not holds:
        raise Breach(expected, happened)


@contextmanager
def engine_accepts(expected: str) -> Iterator[None]:
    """What the engine itself refuses is a breach."""
    try:
        yield
    except BrokenContract as error:
        raise Breach(expected, str(error)) from None


# --- one call ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class How:
    """How a method is called. rows: which of the world's samples (None: all). aim: what `ctx.target` is
    (`default`: none for attacks, the world's for counterfactuals). network: see `World.networks`. batch_size:
    what `ctx.batch_size` is. consumes: the result that a metric measures. noted: what that result's notes say
    of success (None: it has no notes). test_set: whether the task has its own test set or another one."""

    rows: tuple[int, ...] | None = None
    seed: int = 0
    goal: Goal = "perturbation"
    aim: Literal["default", "target", "other"] = "default"
    network: str = "trained"
    batch_size: int = 256
    consumes: str = ""
    noted: float | None = None
    test_set: Literal["own", "another"] = "own"


@dataclass
class Call:
    """What a call gave and left. x, y, target: what it was given. network: the model below the counting one.
    touched: area (`inputs`, `model`, `randomness`, `settings`) -> what it changed there. told: progress.
    passes: samples that went through the network, and how many of them the engine counted."""

    result: Any
    x: Tensor
    y: Tensor
    target: Tensor | None
    touched: Mapping[str, list[str]]
    told: list[tuple[Any, Any]]
    network: nn.Module | None = None
    passes: tuple[int, int] = (0, 0)


#: Notes that say of each sample whether the method succeeded.
SUCCESS = ("success", "succeeded", "successful", "fooled", "adversarial", "valid", "validity")

#: States that methods need, made once for each world.
_states: WeakKeyDictionary[Registry, dict[tuple[World, str], Trial]] = WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class Trial:
    """A method with params, in one world (None for datasets, and for cases that need no call)."""

    registry: Registry
    spec: MethodSpec
    ref: MethodRef
    world: World | None = None
    _calls: dict[How, Call | Breach] = field(default_factory=dict)

    @property
    def n(self) -> int:
        assert self.world is not None
        return len(self.world.rows)

    @cached_property
    def doubled(self) -> Trial:
        """The same in float64."""
        assert self.world is not None
        return Trial(self.registry, self.spec, self.ref, self.world.doubled())

    def call(self, how: How | None = None, expected: str = "it runs") -> Call:
        """Call the method, or say what it did when it was called this way before."""
        how = how or How()
        if how not in self._calls:
            try:
                self._calls[how] = self.fresh(how, expected)
            except Breach as breach:
                self._calls[how] = breach
        found = self._calls[how]
        if isinstance(found, Breach):
            raise Breach(expected, found.happened)
        return found

    def fresh(self, how: How | None = None, expected: str = "it runs") -> Call:
        """Make the method and call it. A `Breach` says what it raised."""
        return self.again(self.make(expected), how, expected)

    def make(self, expected: str = "it runs") -> Any:
        """The method, with params of its own."""
        try:
            ref = dataclasses.replace(self.ref, params=copy.deepcopy(self.ref.params))
            return self.registry.create(ref)
        except Exception as error:
            raise Breach(expected, f"making it raised {said(error)}") from None

    def again(self, method: Any, how: How | None = None, expected: str = "it runs") -> Call:
        """Call a method that was made before, as the engine does for all batches of a node."""
        if self.spec.kind == "dataset":
            return self._load(method, expected)
        return self._call(method, how or How(), expected)

    # -- by kind --

    def _load(self, method: Any, expected: str) -> Call:
        spec = self.spec
        assert isinstance(spec, DatasetSpec)
        told: list[tuple[Any, Any]] = []
        context = DataContext(
            file=lambda name: str(locate(spec, name)),
            progress=lambda done, total: told.append((done, total)),
        )
        empty = torch.empty(0)
        with watched({}, method, None, 0) as touched:
            task = _guarded(lambda: method.load(context), expected)
        return Call(task, empty, empty, None, touched, told)

    def _call(self, method: Any, how: How, expected: str) -> Call:
        world, kind = self._world, self.spec.kind
        rows = torch.arange(self.n) if how.rows is None else torch.tensor(how.rows, dtype=torch.int64)
        x, y = world.x[rows], world.y[rows]
        target = self._target(how, rows)
        task = _copied(world.task if how.test_set == "own" else with_another_test_set(world.task))
        states = self._states()
        told: list[tuple[Any, Any]] = []
        ids = world.rows[rows] * 65536 + (0 if target is None else target + 1)
        per_call = kind in ("model", "defense", "state")
        fields: dict[str, Any] = {
            "task": task,
            "device": torch.device("cpu"),
            "generator": torch.Generator().manual_seed(how.seed + 1),
            "random": SampleRandom(how.seed, ids[:0] if per_call else ids),
            "batch_size": how.batch_size,
            "states": states,
            "progress": lambda done, total: told.append((done, total)),
            "make": self.registry.create,
        }
        network = copy.deepcopy(world.networks["fresh" if kind == "defense" else how.network])
        model = None
        if kind in ("attack", "explainer", "metric") or (
            isinstance(self.spec, StateSpec) and self.spec.made_from == "model"
        ):
            model = CountedModel(network)
            network.seen = 0  # type: ignore[assignment]
        given: dict[str, Any] = {"x": x, "y": y, "target": target, "task": task, "states": states}
        run: Callable[[], Any]
        if isinstance(self.spec, MetricSpec):
            context, result = self._to_measure(how, fields, rows, x, y, target)
            given |= {"result": result, "reference result": context.reference_result}
            run = lambda: method.measure(result, model, context)  # noqa: E731
        else:
            context = Context(**fields, target=target, goal=how.goal)
            run = {
                "attack": lambda: method.perturb(model, x, y, context),
                "explainer": lambda: method.explain(model, x, y, context),
                "model": lambda: method.build(task, context),
                "defense": lambda: method.train(network, task, context),
                "state": lambda: method.prepare(model, task, context),
            }[kind]
        with watched(given, method, model, how.seed) as touched:
            result = _guarded(run, expected)
        if kind == "model":  # what torch's global generator gives is how a model is seeded
            touched["randomness"] = [what for what in touched["randomness"] if what != "torch"]
        passes = (int(network.seen), model.forward_passes) if model else (0, 0)  # type: ignore[arg-type]
        return Call(result, world.x[rows], world.y[rows], target, touched, told, network, passes)

    def _to_measure(
        self, how: How, fields: dict[str, Any], rows: Tensor, x: Tensor, y: Tensor, target: Tensor | None
    ) -> tuple[MetricContext, Any]:
        world, spec = self._world, self.spec
        assert isinstance(spec, MetricSpec)
        kind: Any = how.consumes or spec.consumes[0]
        aims = self._world.target[rows] if target is None else target

        def produce(x: Tensor, part: Tensor, strength: float = 1.0) -> Any:
            return evidence(world, kind, x, y[part], rows[part], aims[part], strength)

        every = torch.arange(len(rows))
        result = produce(x, every)
        if how.noted is not None:
            note = torch.full((len(rows),), how.noted)
            result = dataclasses.replace(result, notes=dict.fromkeys(SUCCESS, note))
        reference = copy.deepcopy(world.networks["other"]).eval().requires_grad_(False)
        context = MetricContext(
            **fields,
            target=target,
            x=x,
            y=y,
            cost=Cost(seconds=0.5, forward=4 * len(rows), backward=2 * len(rows), samples=len(rows)),
            rerun=None if kind == "prediction" else produce,
            reference_model=CountedModel(reference) if spec.reference == "model" else None,
            reference_result=produce(x, every, 0.5) if spec.reference == "result" else None,
        )
        return context, result

    def _target(self, how: How, rows: Tensor) -> Tensor | None:
        world, spec = self._world, self.spec
        aims = (isinstance(spec, ExplainerSpec) and spec.produces == "counterfactual") or (
            isinstance(spec, MetricSpec) and (how.consumes or spec.consumes[0]) == "counterfactual"
        )
        if how.aim == "default" and not aims:
            return None
        return (world.other_target if how.aim == "other" else world.target)[rows]

    def _states(self) -> dict[str, Mapping[str, Tensor]]:
        """The prepared states that the spec needs, as another method's call made them."""
        made: dict[str, Mapping[str, Tensor]] = {}
        for role, use in (self.spec.needs(self.ref.params) if self.spec.needs else {}).items():
            ref = make_ref(self.registry, "state", use.name, use.params)
            known = _states.setdefault(self.registry, {})
            key = self._world, str(ref)
            if key not in known:
                known[key] = Trial(self.registry, self.registry.get("state", ref.name), ref, self._world)
            state = known[key].call(expected=f"the state {ref.name} that it needs can be made")
            made[role] = _copied(state.result)
        return made

    @property
    def _world(self) -> World:
        assert self.world is not None
        return self.world


def _copied(value: Any) -> Any:
    """A task or a mapping of tensors that shares no memory with the original."""
    if isinstance(value, Task):
        tensors = {n: t.clone() for n, t in tensors_in(value)}
        return dataclasses.replace(value, **tensors)
    return {name: tensor.clone() for name, tensor in value.items()}


def _guarded(run: Callable[[], Any], expected: str) -> Any:
    try:
        return run()
    except Exception as error:
        raise Breach(expected, f"it raised {said(error)}") from None


def said(error: BaseException) -> str:
    """An exception in one line, with the line of the method that raised it."""
    here = Path(__file__).parent
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).parent != here]
    own = [f for f in frames if "site-packages" not in f.filename and "importlib" not in f.filename]
    place = f" (line {own[-1].lineno} of {Path(own[-1].filename).name})" if own else ""
    return one_line(error) + place


# --- looking at results --------------------------------------------------------------------------------


def expect_detached(result: Any) -> None:
    """Results are numbers: they keep no graph alive."""
    graph = [name for name, tensor in tensors_in(result) if tensor.requires_grad]
    expect(
        not graph,
        "results are detached: no tensor in them requires a gradient",
        f"{', '.join(graph[:3])} requires one; call .detach()",
    )


def tensors_of(result: Any) -> dict[str, Tensor]:
    """A result as named tensors, as the store would keep it. Scores count only where they are valid."""
    if isinstance(result, nn.Module):
        state = result.state_dict()  # what is no tensor in it cannot be stored: another case
        return {name: t.detach().clone() for name, t in state.items() if isinstance(t, Tensor)}
    tensors = encode(result)[1]
    if isinstance(result, Scores) and result.valid is not None:
        tensors["values"] = tensors["values"].masked_fill(~tensors["valid"], 0)
    return tensors


def difference(a: Mapping[str, Tensor], b: Mapping[str, Tensor], tolerance: float = 0.0) -> str | None:
    """How two results differ by more than `tolerance` (relative to values above 1), or None."""
    if a.keys() != b.keys():
        return f"{', '.join(sorted(a.keys() ^ b.keys()))} is there only once"
    for name, one in a.items():
        other = b[name]
        if one.shape != other.shape:
            return f"{name} has shape {tuple(one.shape)}, then {tuple(other.shape)}"
        if not one.numel():
            continue
        p, q = one.double(), other.double()
        unequal = (p - q).abs() > tolerance * torch.maximum(p.abs(), q.abs()).clamp_min(1)
        unequal |= p.isnan() != q.isnan()
        unequal |= (p.isinf() | q.isinf()) & (p != q)
        if unequal.any():
            most = (p - q).abs().nan_to_num(torch.inf).max()
            return (
                f"{name} differs by up to {float(most):.3g} in {int(unequal.sum())} of {one.numel()} values"
            )
    return None
