"""Which points of the cross product become cells. The others are counted by the reason they are left out
for: a method cannot work on a dataset, nothing measures a result, or a rule of the suite says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

from ..registry import Registry
from ..spec import ExplainerSpec, MetricSpec
from ..suite.model import Entry, Suite
from .model import Cell
from .nodes import Trained
from .questions import why_unfit

Metrics = Sequence[tuple[MetricSpec, Entry]]


class CellFilter:
    """Says what of a suite is crossed. left_out: reason -> cells."""

    def __init__(self, suite: Suite, registry: Registry, metrics: Metrics) -> None:
        """metrics: all of the suite."""
        self.suite, self.registry, self.metrics = suite, registry, metrics
        self.left_out: Counter[str] = Counter()
        self._reasons: dict[tuple[int, int], str | None] = {}

    @cached_property
    def per_model(self) -> int:
        """Cells that one trained model stands for when everything fits."""
        consumers = Counter(result for spec, _ in self.metrics for result in spec.consumes)
        explainers = (
            (self.registry.get("explainer", e.ref.name), len(e.on)) for e in self.suite.of("explainer")
        )
        return (
            consumers["prediction"]
            + len(self.suite.of("attack")) * consumers["perturbation"]
            + sum(on * consumers[s.produces] for s, on in explainers if isinstance(s, ExplainerSpec))
        )

    def trainable(self) -> Iterator[tuple[Entry, Entry, Entry]]:
        """Dataset, model and defense wherever they fit."""
        suite = self.suite
        for dataset in suite.of("dataset"):
            for model in suite.of("model"):
                if reason := self.unfit(model, dataset):
                    self.left_out[reason] += self.per_model * len(suite.of("defense")) * suite.seeds
                    continue
                for defense in suite.of("defense"):
                    if reason := self.unfit(defense, dataset):
                        self.left_out[reason] += self.per_model * suite.seeds
                    else:
                        yield dataset, model, defense

    def of_predictions(self, at: Trained) -> Iterator[tuple[MetricSpec, Entry]]:
        """The metrics that measure what the model predicts here."""
        return self._fitting([(s, m) for s, m in self.metrics if "prediction" in s.consumes], at, {})

    def of_results(self, produced: str, producer: Entry, at: Trained, **labels: str) -> Metrics:
        """The metrics that measure what an attack or explainer makes here. labels: coordinates of the cells
        besides those of the model and the metric."""
        consumers = [(s, m) for s, m in self.metrics if produced in s.consumes]
        if not consumers:
            self.left_out[f"no metric measures the {produced} that {producer.label} makes"] += 0
            return []
        if reason := self.unfit(producer, at.dataset):
            self.left_out[reason] += len(consumers)
            return []
        return list(self._fitting(consumers, at, labels))

    def _fitting(
        self, metrics: Metrics, at: Trained, labels: Mapping[str, str]
    ) -> Iterator[tuple[MetricSpec, Entry]]:
        """Those metrics that no rule leaves out, and that fit with the defense they compare with."""
        for spec, metric in metrics:
            if not self._wanted({**at.where, "metric": metric.label, **labels}):
                continue
            reference = self.suite.entry("defense", metric.reference) if metric.reference else metric
            if reason := self.unfit(metric, at.dataset) or self.unfit(reference, at.dataset):
                self.left_out[reason] += 1
            else:
                yield spec, metric

    def unfit(self, entry: Entry, dataset: Entry) -> str | None:
        """Why a method cannot work on a dataset, or None."""
        place = (id(entry), id(dataset))
        if place not in self._reasons:
            self._reasons[place] = why_unfit(entry, dataset, self.registry)
        return self._reasons[place]

    def _wanted(self, where: Mapping[str, Any]) -> bool:
        """Whether the rules of the suite keep a cell."""
        if any(_matches(rule, where) for rule in self.suite.exclude):
            self.left_out["excluded by the suite"] += 1
            return False
        if self.suite.include and not any(_matches(rule, where) for rule in self.suite.include):
            self.left_out["not included by the suite"] += 1
            return False
        return True

    def note_idle_metrics(self, cells: Iterable[Cell]) -> None:
        """A metric that fills no cell is worth a line, too."""
        measured = {cell.coordinates["metric"] for cell in cells}
        for spec, metric in self.metrics:
            if metric.label not in measured:
                made = " or ".join(spec.consumes)
                self.left_out[f"{metric.label} measures nothing here: no cell has {made} results"] += 0


def _matches(rule: Mapping[str, tuple[str, ...]], where: Mapping[str, Any]) -> bool:
    """Every coordinate the rule names must fit one of its patterns; a cell without it does not match."""
    return all(
        name in where and any(fnmatchcase(str(where[name]), pattern) for pattern in patterns)
        for name, patterns in rule.items()
    )
