"""What a node does in each stage: resolve its inputs, call the method in batches, check what it returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..data import locate
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
from ..plan.model import Node
from ..random import SampleRandom
from ..spec import AttackSpec, DatasetSpec, ExplainerSpec, MetricSpec
from . import checks
from .batches import Report, join, reduce_targets, within
from .checks import BrokenContract
from .cost import Stopwatch, TrainingCounter
from .counted import CountedModel
from .draws import generator
from .frozen import own
from .inputs import Inputs
from .job import Job
from .lent import Lent
from .select import select_samples


class Stages:
    """One execution of one node. `run()` returns its result; cost and notes are there afterwards."""

    def __init__(self, from_store: Inputs, job: Job, device: torch.device, report: Report) -> None:
        self.from_store, self.registry = from_store, from_store.registry
        self.job, self.node, self.device, self.report = job, job.node, device, report
        self.lent = Lent(from_store, job, device)
        self.batch_size = job.batch_size
        self.watch = Stopwatch(device)
        self.notes: dict[str, float] = {}
        self.samples = 0
        self.counted: list[CountedModel] = []

    @property
    def passes(self) -> tuple[int, int]:
        """Samples through forward and backward passes."""
        forward = sum(m.forward_passes for m in self.counted)
        return forward, sum(m.backward_passes for m in self.counted)

    def run(self) -> Any:
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
        spec = self.registry.get("dataset", ref.name)
        assert isinstance(spec, DatasetSpec)
        context = DataContext(file=lambda name: str(locate(spec, name, self.report)), progress=self.report)
        with self.watch.running():
            task = self._create().load(context)
        checks.check_task(ref, task)
        self.samples = len(task.x_train) + len(task.x_test)
        return task

    def _train(self) -> Mapping[str, Tensor]:
        task = self._task
        network = self.from_store.build(self.node, task, self.device)
        # Trained from the passes' point of view: hooks count, nothing is frozen.
        passes = TrainingCounter(network)
        with self.watch.running():
            network = self._create().train(network, task, self._context(torch.zeros(0, dtype=torch.int64)))
        for name, weight in network.state_dict().items():
            if weight.is_floating_point() and not torch.isfinite(weight).all():
                raise BrokenContract(
                    f"defense {self._ref.name}: weight {name} is NaN or infinite after training; lower lr"
                )
        passes.remove()
        self.samples = len(task.x_train)
        self.counted.append(passes.counts)
        return network.state_dict()

    def _select(self) -> Selection:
        assert self.node.wish is not None
        model = self._model("model") if "model" in self.node.inputs else None
        with self.watch.running():
            selection = select_samples(self.node.wish, self._task, model, self.node.seed, self.batch_size)
        self.samples = len(selection.index)
        return selection

    def _prepare(self) -> Mapping[str, Tensor]:
        model = self._model("model") if "model" in self.node.inputs else None
        with self.watch.running():
            tensors = self._create().prepare(
                model, self._task, self._context(torch.zeros(0, dtype=torch.int64))
            )
        for name, tensor in tensors.items():
            if tensor.is_floating_point() and torch.isnan(tensor).any():
                raise BrokenContract(f"state {self._ref.name}: tensor {name} has NaN values")
        return tensors

    def _predict(self) -> Prediction:
        model, x = self._model("model"), self._inputs()[0]
        with self.watch.running(), torch.no_grad():
            logits = torch.cat([model(batch) for batch in x.split(self.batch_size)])
        bad = int((~torch.isfinite(logits)).any(1).sum())
        if bad:
            raise BrokenContract(f"the model gives NaN or infinite logits for {bad} of {len(x)} samples")
        self.samples = len(x)
        return Prediction(logits)

    def _produce(self) -> Any:
        """Attack or explain all selected samples, batch by batch."""
        x, y, rows = self._inputs()
        method, model = self._create(), self._model("model")
        spec = self.registry.get(self._ref.kind, self._ref.name)
        self.samples = len(x)
        with self.watch.running():
            result = self._in_batches(self.node, method, model, x, y, rows, self._target(rows), self.report)
        produces = "perturbation" if isinstance(spec, AttackSpec) else getattr(spec, "produces", "")
        task = self.lent.fresh(self.node.inputs["task"])
        checks.check_result(self._ref, spec, produces, result, x, task)
        for name, values in getattr(result, "notes", {}).items():
            self.notes[name] = float(values.double().mean()) if len(values) else 0.0
        return result

    def _measure(self) -> Scores:
        spec = self.registry.get("metric", self._ref.name)
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
        with self.watch.running():
            scores = self._create().measure(self._result("result"), model, context)
        checks.check_scores(self._ref, spec, scores, len(x))
        if self.node.wish is not None and spec.scores != "set":
            scores = reduce_targets(scores, self._selection.index, self.node.wish.over, spec.direction)
        return Scores(scores.values.double(), scores.valid)

    def _rerun(self, model: nn.Module, y: Tensor, target: Tensor | None) -> Callable[[Tensor, Tensor], Any]:
        producer = self.job.producer
        assert producer is not None
        assert producer.method is not None
        method = self.from_store.create(producer.method)

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
        spec = self.registry.get(node.method.kind, node.method.name)  # type: ignore[union-attr]
        whole = isinstance(spec, ExplainerSpec) and spec.produces == "synthesis"
        ids = self._ids(rows, target)
        parts, start = [], 0
        while start < len(x) or not parts:
            stop = len(x) if whole else min(start + self.batch_size, len(x))
            context = Context(
                **self._context_fields(ids[start:stop], node),
                progress=within(report, start, stop, len(x)),
                target=None if target is None else target[start:stop],
                goal=node.goal or "perturbation",  # type: ignore[arg-type]
            )
            call = method.perturb if isinstance(spec, AttackSpec) else method.explain
            try:
                # A copy: a method that works in place must not change what its result is checked against.
                # Nor is its result what the method goes on with: memory that it uses again, or a graph.
                parts.append(own(call(model, x[start:stop].clone(), y[start:stop].clone(), context)))
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
        return join(parts)

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
        return self.from_store.create(self._ref)

    def _result(self, role: str) -> Any:
        return self.lent.result(role, self.node.inputs[role])

    @property
    def _task(self) -> Task:
        return self._result("task")

    @property
    def _selection(self) -> Selection:
        return self._result("selection")

    def _model(self, role: str) -> CountedModel:
        model = CountedModel(self.lent.network(role, self.node.inputs[role]))
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
        cost = self.from_store.cost(key)
        return Cost(cost["seconds"], cost["forward"], cost["backward"], cost["samples"])

    def _context_fields(self, ids: Tensor, node: Node | None = None) -> dict[str, Any]:
        node = node or self.node
        states = {
            role.removeprefix("state:"): self.lent.result(role, key)
            for role, key in node.inputs.items()
            if role.startswith("state:")
        }
        return {
            "task": self._task,
            "device": self.device,
            "generator": generator(node.seed, "context"),
            "random": SampleRandom(node.seed, ids),
            "batch_size": self.batch_size,
            "states": states,
            "notes": self.notes,
            "make": self.from_store.create,
        }

    def _context(self, ids: Tensor) -> Context:
        return Context(**self._context_fields(ids), progress=self.report)
