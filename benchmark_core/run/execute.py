"""Runs one node: reads its inputs from the store, calls the method in batches, checks and stores the result.

This is what happens inside a worker, whatever the executor; it knows nothing of scheduling.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import psutil
import torch
from torch import Tensor, nn

from ..errors import RobexError
from ..interfaces import (
    Context,
    Cost,
    DataContext,
    MetricContext,
    Prediction,
    Scores,
    Selection,
    Task,
)
from ..plan.keys import engine_identity, method_identity
from ..plan.model import Node
from ..random import SampleRandom
from ..registry import Registry, versions
from ..spec import AttackSpec, ExplainerSpec, FileContent, MethodRef, MetricSpec, has_marker, param_types
from ..store import Store
from . import checks
from .counted import CountedModel
from .datafiles import find_file
from .environment import environment
from .job import Job
from .select import select_samples

Report = Callable[[int, int], None]

#: Results kept in memory between nodes of one process: a trained model serves dozens of nodes in a row.
_CACHED_RESULTS = 24


class Worker:
    """Executes jobs one after another on one store, keeping recent inputs in memory."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self.store = store
        self.registry = registry
        self._recent: OrderedDict[tuple[str, str], Any] = OrderedDict()
        self._checked: set[tuple[str, str]] = set()

    def execute(self, job: Job, report: Report) -> float:
        """Run a node and store its result; returns the seconds it took in all."""
        started = time.perf_counter()
        torch.set_num_threads(job.threads)
        _reset_peak_memory()
        run = _Run(self, job, report)
        # Methods draw from the context; what they draw from torch's global generator is at least seeded.
        with _seeded(_sub_seed(job.node.seed, "global")):
            result = run.compute()
        self._check_files(job.node)
        seconds = time.perf_counter() - started
        self.store.write(run.record(seconds), result)
        if job.node.stage not in ("measure", "train"):
            self._keep(job.node.key, run.device, _to(result, run.device))
        return seconds

    def create(self, ref: MethodRef) -> Any:
        """A method, after making sure that its code is what the key says."""
        method = self.registry.create(ref)
        if (ref.kind, ref.name) not in self._checked:
            self.registry.check_code(self.registry.get(ref.kind, ref.name))
            self._checked.add((ref.kind, ref.name))
        return method

    def check_identity(self, node: Node) -> None:
        """RobexError if a node was planned with other code than this process has."""
        planned = [node.identity[part] for part in ("method", "builds") if part in node.identity]
        refs = [ref for ref in (node.method, node.builds) if ref is not None]
        here = [method_identity(ref, self.registry) for ref in refs]
        if planned != here or node.identity["engine"] != engine_identity(self.registry):
            raise RobexError(
                f"{node.title}: code or files changed since the plan; run the same command again"
            )

    def _check_files(self, node: Node) -> None:
        """The files that a method's params name must still be those that the key names."""
        if node.method is not None and _names_files(node.method):
            self.check_identity(node)

    def result(self, key: str, device: torch.device) -> Any:
        """The stored result of a node, on the device."""
        if (key, str(device)) in self._recent:
            self._recent.move_to_end((key, str(device)))
            return self._recent[key, str(device)]
        return self._keep(key, device, _to(self.store.result(key), device))

    def model(self, key: str, job: Job, device: torch.device) -> nn.Module:
        """A trained network, rebuilt from its architecture and stored weights."""
        place = (key, f"{device} model")
        if place not in self._recent:
            node = job.models[key]
            task: Task = self.result(node.inputs["task"], device)
            network = self.build(node, task, device)
            network.load_state_dict(self.store.result(key))
            self._recent[place] = network.to(device).eval().requires_grad_(False)
            self._trim()
        self._recent.move_to_end(place)
        return self._recent[place]

    def build(self, node: Node, task: Task, device: torch.device) -> nn.Module:
        """The untrained network of a training node, with its seeded initial weights."""
        assert node.builds is not None
        architecture = self.create(node.builds)
        with _seeded(_sub_seed(node.seed, "weights")):
            context = Context(
                task=task,
                device=device,
                generator=_generator(node.seed, "build"),
                random=SampleRandom(node.seed, torch.zeros(0, dtype=torch.int64)),
            )
            return architecture.build(task, context).to(device)

    def forget(self, key: str) -> None:
        """Drop a result from memory: it is not what is stored any more."""
        for place in [place for place in self._recent if place[0] == key]:
            del self._recent[place]

    def _keep(self, key: str, device: torch.device, value: Any) -> Any:
        self._recent[key, str(device)] = value
        self._trim()
        return value

    def _trim(self) -> None:
        while len(self._recent) > _CACHED_RESULTS:
            self._recent.popitem(last=False)


class _Run:
    """One execution of one node: resolves inputs, times the method, counts passes, gathers the record."""

    def __init__(self, worker: Worker, job: Job, report: Report) -> None:
        self.worker, self.job, self.node, self.report = worker, job, job.node, report
        self.device = _device(job.device)
        self.batch_size = job.batch_size
        self.notes: dict[str, float] = {}
        self.seconds = 0.0
        self.samples = 0
        self.counted: list[CountedModel] = []

    @property
    def passes(self) -> tuple[int, int]:
        """Samples through forward and backward passes."""
        forward = sum(m.forward_passes for m in self.counted)
        return forward, sum(m.backward_passes for m in self.counted)

    def compute(self) -> Any:
        self.worker.check_identity(self.node)
        shared, networks = self._shared()
        before = [tensor._version for _, _, tensor in shared], [_set_up(n) for _, _, n in networks]
        result = self._stage()
        after = [tensor._version for _, _, tensor in shared], [_set_up(n) for _, _, n in networks]
        if before != after:
            changed = [role for (role, _, _), a, b in zip(shared, before[0], after[0], strict=True) if a != b]
            changed += [f"{role}'s hooks, mode or gradients" for (role, _, _) in networks]
            for key in self.node.inputs.values():  # what is in memory is not what is stored any more
                self.worker.forget(key)
            who = f"{self._ref.kind} {self._ref.name}" if self.node.method else self.node.stage
            raise checks.BrokenContract(f"{who} changed the {changed[0]} it was given; work on a copy")
        return result

    def _shared(self) -> tuple[list[tuple[str, str, Tensor]], list[tuple[str, str, nn.Module]]]:
        """(role, key, tensor) and (role, key, network) of all that other nodes read from this process's
        memory."""
        inputs = self.node.inputs
        tensors = [
            (role.removeprefix("state:"), key, tensor)
            for role, key in inputs.items()
            if role not in ("model", "reference_model")
            for tensor in _tensors_of(self.worker.result(key, self.device))
        ]
        networks = [
            (role, inputs[role], self.worker.model(inputs[role], self.job, self.device))
            for role in ("model", "reference_model")
            if role in inputs
        ]
        weights = [
            (f"weights of the {role}", key, tensor)
            for role, key, network in networks
            for tensor in (*network.parameters(), *network.buffers())
        ]
        return tensors + weights, networks

    def _stage(self) -> Any:
        return {
            "load": self._load,
            "train": self._train,
            "select": self._select,
            "prepare": self._prepare,
            "predict": self._predict,
            "attack": self._produce,
            "explain": self._produce,
            "measure": self._measure,
        }[self.node.stage]()

    # -- stages --

    def _load(self) -> Task:
        ref = self._ref
        spec = self.worker.registry.get("dataset", ref.name)
        files = getattr(spec, "files", {})
        context = DataContext(file=lambda name: find_file(ref.name, name, files), progress=self.report)
        with self._timed():
            task = self._create().load(context)
        checks.check_task(ref, task)
        self.samples = len(task.x_train) + len(task.x_test)
        return task

    def _train(self) -> Mapping[str, Tensor]:
        task = self._task
        network = self.worker.build(self.node, task, self.device)
        # Trained from the passes' point of view: hooks count, nothing is frozen.
        passes = _TrainingCounter(network)
        with self._timed():
            network = self._create().train(network, task, self._context(torch.zeros(0, dtype=torch.int64)))
        for name, weight in network.state_dict().items():
            if weight.is_floating_point() and not torch.isfinite(weight).all():
                raise checks.BrokenContract(
                    f"defense {self._ref.name}: weight {name} is NaN or infinite after training; lower lr"
                )
        passes.remove()
        self.samples = len(task.x_train)
        self.counted.append(passes.counts)
        return network.state_dict()

    def _select(self) -> Selection:
        assert self.node.wish is not None
        model = self._model("model") if "model" in self.node.inputs else None
        with self._timed():
            selection = select_samples(self.node.wish, self._task, model, self.node.seed, self.batch_size)
        self.samples = len(selection.index)
        return selection

    def _prepare(self) -> Mapping[str, Tensor]:
        model = self._model("model") if "model" in self.node.inputs else None
        with self._timed():
            tensors = self._create().prepare(
                model, self._task, self._context(torch.zeros(0, dtype=torch.int64))
            )
        for name, tensor in tensors.items():
            if tensor.is_floating_point() and torch.isnan(tensor).any():
                raise checks.BrokenContract(f"state {self._ref.name}: tensor {name} has NaN values")
        return tensors

    def _predict(self) -> Prediction:
        model, x = self._model("model"), self._inputs()[0]
        with self._timed(), torch.no_grad():
            logits = torch.cat([model(batch) for batch in x.split(self.batch_size)])
        bad = int((~torch.isfinite(logits)).any(1).sum())
        if bad:
            raise checks.BrokenContract(
                f"the model gives NaN or infinite logits for {bad} of {len(x)} samples"
            )
        self.samples = len(x)
        return Prediction(logits)

    def _produce(self) -> Any:
        """Attack or explain all selected samples, batch by batch."""
        x, y, rows = self._inputs()
        method, model = self._create(), self._model("model")
        spec = self.worker.registry.get(self._ref.kind, self._ref.name)
        self.samples = len(x)
        with self._timed():
            result = self._in_batches(self.node, method, model, x, y, rows, self._target(rows), self.report)
        produces = "perturbation" if isinstance(spec, AttackSpec) else getattr(spec, "produces", "")
        checks.check_result(self._ref, spec, produces, result, x, self._task)
        for name, values in getattr(result, "notes", {}).items():
            self.notes[name] = float(values.double().mean()) if len(values) else 0.0
        return result

    def _measure(self) -> Scores:
        spec = self.worker.registry.get("metric", self._ref.name)
        assert isinstance(spec, MetricSpec)
        inputs = self.node.inputs
        x, y, rows = self._inputs()
        model = self._model("model")
        target = self._selection.target
        context = MetricContext(
            **self._context_fields(self._ids(rows, target)),
            progress=self.report,
            target=target,
            x=x,
            y=y,
            cost=self._cost_of(inputs["result"]),
            rerun=self._rerun(model, y, target) if self.job.producer else None,
            reference_model=self._model("reference_model") if "reference_model" in inputs else None,
            reference_result=self._result("reference_result") if "reference_result" in inputs else None,
        )
        self.samples = len(x)
        with self._timed():
            scores = self._create().measure(self._result("result"), model, context)
        checks.check_scores(self._ref, spec, scores, len(x))
        if self.node.wish is not None and spec.scores != "set":
            scores = _reduce_targets(scores, self._selection.index, self.node.wish.over, spec.direction)
        return Scores(scores.values.double(), scores.valid)

    def _rerun(self, model: nn.Module, y: Tensor, target: Tensor | None) -> Callable[[Tensor, Tensor], Any]:
        producer = self.job.producer
        assert producer is not None
        assert producer.method is not None
        method = self.worker.create(producer.method)

        def rerun(x: Tensor, rows: Tensor) -> Any:
            aim = target[rows] if target is not None and producer.aims else None
            return self._in_batches(producer, method, model, x, y[rows], rows, aim, lambda done, total: None)

        return rerun

    # -- batches --

    def _in_batches(
        self,
        node: Node,
        method: Any,
        model: nn.Module,
        x: Tensor,
        y: Tensor,
        rows: Tensor,
        target: Tensor | None,
        report: Report,
    ) -> Any:
        """Call a producing method on parts of at most `batch_size` samples and join what it returns. Out of
        memory on a GPU halves the part and tries again: results do not depend on it."""
        spec = self.worker.registry.get(node.method.kind, node.method.name)  # type: ignore[union-attr]
        whole = isinstance(spec, ExplainerSpec) and spec.produces == "synthesis"
        ids = self._ids(rows, target)
        parts, start = [], 0
        while start < len(x) or not parts:
            stop = len(x) if whole else min(start + self.batch_size, len(x))
            context = Context(
                **self._context_fields(ids[start:stop], node),
                progress=_within(report, start, stop, len(x)),
                target=None if target is None else target[start:stop],
                goal=node.goal or "perturbation",  # type: ignore[arg-type]
            )
            call = method.perturb if isinstance(spec, AttackSpec) else method.explain
            try:
                # A copy: a method that works in place must not change what its result is checked against.
                parts.append(call(model, x[start:stop].clone(), y[start:stop].clone(), context))
            except torch.cuda.OutOfMemoryError:
                if whole or self.batch_size == 1:
                    raise RobexError(f"GPU out of memory at batch {self.batch_size}") from None
                self.batch_size = max(1, self.batch_size // 2)
                self.notes["batch_size_reduced_to"] = self.batch_size
                torch.cuda.empty_cache()
                continue
            start = stop
            report(start, len(x))
            if start >= len(x):
                break
        return _join(parts)

    def _ids(self, rows: Tensor, target: Tensor | None) -> Tensor:
        """Who a sample is for `ctx.random`: its row in the test set and its target, in any selection."""
        index = self._selection.index[rows]
        return index * 65536 + (0 if target is None else self._selection.target[rows] + 1)  # type: ignore[index]

    # -- inputs --

    @property
    def _ref(self) -> Any:
        assert self.node.method is not None
        return self.node.method

    def _create(self) -> Any:
        return self.worker.create(self._ref)

    def _result(self, role: str) -> Any:
        return self.worker.result(self.node.inputs[role], self.device)

    @property
    def _task(self) -> Task:
        return self._result("task")

    @property
    def _selection(self) -> Selection:
        return self._result("selection")

    def _model(self, role: str) -> CountedModel:
        model = CountedModel(self.worker.model(self.node.inputs[role], self.job, self.device))
        self.counted.append(model)
        return model

    def _inputs(self) -> tuple[Tensor, Tensor, Tensor]:
        """x, y of the selected samples (the attack's output when `on` names one), and row numbers."""
        selection = self._selection
        x = self._result("on").x_adv if "on" in self.node.inputs else self._task.x_test[selection.index]
        return x, selection.y, torch.arange(len(selection.index), device=self.device)

    def _target(self, rows: Tensor) -> Tensor | None:
        target = self._selection.target
        return target[rows] if target is not None and self.node.aims else None

    def _cost_of(self, key: str) -> Cost | None:
        cost = self.worker.store.record(key)["cost"]
        return Cost(cost["seconds"], cost["forward"], cost["backward"], cost["samples"])

    def _context_fields(self, ids: Tensor, node: Node | None = None) -> dict[str, Any]:
        node = node or self.node
        states = {
            role.removeprefix("state:"): self.worker.result(key, self.device)
            for role, key in node.inputs.items()
            if role.startswith("state:")
        }
        return {
            "task": self._task,
            "device": self.device,
            "generator": _generator(node.seed, "context"),
            "random": SampleRandom(node.seed, ids),
            "batch_size": self.batch_size,
            "states": states,
            "notes": self.notes,
            "make": self.worker.create,
        }

    def _context(self, ids: Tensor) -> Context:
        return Context(**self._context_fields(ids), progress=self.report)

    # -- the record --

    @contextlib.contextmanager
    def _timed(self) -> Iterator[None]:
        """The seconds of the method alone: without loading inputs and storing results."""
        cuda = self.device.type == "cuda"
        if cuda:
            torch.cuda.synchronize()
        started = time.perf_counter()
        yield
        if cuda:
            torch.cuda.synchronize()
        self.seconds = time.perf_counter() - started

    def record(self, total_seconds: float) -> dict[str, Any]:
        node, registry = self.node, self.worker.registry
        record: dict[str, Any] = {
            "key": node.key,
            "stage": node.stage,
            "title": node.title,
            "where": dict(node.where),
            "identity": dict(node.identity),
            "inputs": dict(node.inputs),
            "suite": dict(self.job.suite),
            "seed": node.seed,
            "cost": {
                "seconds": self.seconds,
                "total_seconds": total_seconds,
                "forward": self.passes[0],
                "backward": self.passes[1],
                "samples": self.samples,
            },
            "notes": self.notes,
            "peak_memory": _peak_memory(),
            "threads": self.job.threads,
            "device": str(self.device),
            "batch_size": self.batch_size,
            "versions": versions(registry),
            "environment": environment(),
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        }
        if node.method is not None:
            origin = registry.origin(registry.get(node.method.kind, node.method.name))
            record["plugin"] = {
                "name": origin.plugin,
                "distribution": origin.distribution,
                "version": origin.version,
            }
        return record


class _TrainingCounter:
    """Counts the samples a network in training passes forward and backward, adversary included."""

    def __init__(self, network: nn.Module) -> None:
        self.counts = CountedModel(nn.Identity())
        self._hook = network.register_forward_hook(self._forward)

    def _forward(self, module: nn.Module, args: Any, out: Any) -> None:
        if isinstance(out, Tensor):
            self.counts._count(out)

    def remove(self) -> None:
        self._hook.remove()


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """torch's global generator seeded inside, as it was outside."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def _sub_seed(seed: int, purpose: str) -> int:
    """A seed of its own for every purpose inside a node, so that no two draws are the same numbers."""
    digest = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:4], "big")  # torch's CPU generator uses 32 bits


def _generator(seed: int, purpose: str) -> torch.Generator:
    return torch.Generator().manual_seed(_sub_seed(seed, purpose))


def _tensors_of(value: Any) -> Iterator[Tensor]:
    """All tensors of a result."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _tensors_of(inner)
    elif dataclasses.is_dataclass(value):
        for f in dataclasses.fields(value):
            yield from _tensors_of(getattr(value, f.name))


def _set_up(network: nn.Module) -> list[tuple[int, int, bool, bool]]:
    """What a method may leave behind in a network besides its weights: hooks, training mode, gradients."""
    return [
        (
            len(module._forward_hooks),
            len(module._forward_pre_hooks),
            module.training,
            any(p.requires_grad for p in module.parameters(recurse=False)),
        )
        for module in network.modules()
    ]


def _names_files(ref: MethodRef) -> bool:
    """Whether a method or one inside it has a file among its params."""
    values = [(t, getattr(ref.params, name)) for name, t in param_types(type(ref.params)).items()]
    return any(
        has_marker(t, FileContent) or (isinstance(v, MethodRef) and _names_files(v)) for t, v in values
    )


def _device(wanted: str) -> torch.device:
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cuda" and not torch.cuda.is_available():
        raise RobexError("limits: device is cuda, but torch sees no GPU here; use device: cpu or auto")
    return torch.device(wanted)


def _to(value: Any, device: torch.device) -> Any:
    """A result with all its tensors on the device."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, Mapping):
        return {k: _to(v, device) for k, v in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: _to(getattr(value, f.name), device) for f in dataclasses.fields(value)}
        return dataclasses.replace(value, **fields)
    return value


def _within(report: Report, start: int, stop: int, n: int) -> Report:
    """A method's progress on samples start..stop, told as progress on all n."""
    return lambda done, total: report(start * total + done * (stop - start), n * total)


def _join(parts: list[Any]) -> Any:
    """Results of batches as one result; a field must be there in all parts or in none."""
    if len(parts) == 1:
        return parts[0]
    values: dict[str, Any] = {}
    for f in dataclasses.fields(parts[0]):
        pieces = [getattr(p, f.name) for p in parts]
        if isinstance(pieces[0], Mapping):
            values[f.name] = {k: torch.cat([p[k] for p in pieces]) for k in pieces[0]}
        elif isinstance(pieces[0], Tensor):
            values[f.name] = torch.cat(pieces)
        elif any(piece is not None for piece in pieces):
            raise checks.BrokenContract(f"{f.name} is there in some batches and missing in others")
    return type(parts[0])(**values)


def _reduce_targets(scores: Scores, index: Tensor, over: str, direction: str | None) -> Scores:
    """Scores of several targets of one sample as one: their mean, or the best or worst by direction. A sample
    is valid when all its targets are, for the best when any is."""
    samples, group = torch.unique_consecutive(index, return_inverse=True)
    values = scores.values.double()
    valid = torch.ones_like(values, dtype=torch.bool) if scores.valid is None else scores.valid
    n = len(samples)
    count = torch.zeros(n, dtype=torch.float64, device=values.device).index_add_(0, group, valid.double())
    if over == "mean":
        total = torch.zeros_like(count).index_add_(0, group, torch.where(valid, values, 0.0))
        reduced = total / count.clamp_min(1)
    else:
        largest = (over == "best") == (direction != "lower")
        fill = -torch.inf if largest else torch.inf
        reduced = torch.full_like(count, fill).scatter_reduce(
            0, group, torch.where(valid, values, fill), "amax" if largest else "amin"
        )
    targets = torch.zeros_like(count).index_add_(0, group, torch.ones_like(values))
    kept = count > 0 if over == "best" else count == targets
    return Scores(torch.where(kept, reduced, 0.0), None if scores.valid is None else kept)


def _reset_peak_memory() -> None:
    """Start the peak of resident memory anew (Linux); elsewhere the peak is the process's."""
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def _peak_memory() -> int:
    """Bytes of resident memory at most since the node began."""
    with contextlib.suppress(OSError), open("/proc/self/status") as file:
        for line in file:
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024
    return psutil.Process(os.getpid()).memory_info().rss
