"""From a suite to a plan: crosses its entries, asks `left_out` which points become cells, and `nodes` for the
work that each cell needs.
"""

from __future__ import annotations

import gc
from collections.abc import Mapping
from dataclasses import replace

from ..registry import Registry
from ..spec import ExplainerSpec, MetricSpec
from ..suite.model import Entry, Suite, Wish
from .left_out import CellFilter
from .model import Cell, Plan
from .nodes import NodeMaker, Trained
from .refuse import refuse_empty_boards, refuse_huge, refuse_many


def build_plan(suite: Suite, registry: Registry) -> Plan:
    """The DAG of a suite. Raises RobexError when it has more cells than `limits: cells`."""
    collects = gc.isenabled()
    gc.disable()  # a large plan has millions of objects, and none is garbage
    try:
        return _Builder(suite, registry).build()
    finally:
        if collects:
            gc.enable()


class _Builder:
    def __init__(self, suite: Suite, registry: Registry) -> None:
        self.suite, self.registry = suite, registry
        specs = ((registry.get("metric", entry.ref.name), entry) for entry in suite.of("metric"))
        metrics = [(spec, entry) for spec, entry in specs if isinstance(spec, MetricSpec)]
        self.filter = CellFilter(suite, registry, metrics)
        self.make = NodeMaker(suite, registry, [spec for spec, _ in metrics])
        self.cells: list[Cell] = []

    def build(self) -> Plan:
        refuse_huge(self.suite, self.filter.per_model)
        for dataset, model, defense in self.filter.trainable():
            for repetition in range(self.suite.seeds):
                trained = self.make.train(dataset, model, defense, repetition)
                self._predictions(trained)
                for attack in self.suite.of("attack"):
                    self._attacks(trained, attack)
                for explainer in self.suite.of("explainer"):
                    self._explanations(trained, explainer)
        refuse_empty_boards(self.suite, self.cells)
        self.filter.note_idle_metrics(self.cells)
        plan = Plan(self.suite, self.make.nodes, tuple(self.cells), self.filter.left_out)
        return replace(plan, nodes=plan.needed(lambda key: False))  # without what only left-out cells need

    def _predictions(self, at: Trained) -> None:
        for spec, metric in self.filter.of_predictions(at):
            selection = self.make.select(at, metric.wish or Wish())
            result = self.make.predict(at, selection)
            self._measure(at, metric, spec, selection, result, {}, metric.wish)

    def _attacks(self, at: Trained, attack: Entry) -> None:
        metrics = self.filter.of_results("perturbation", attack, at, attack=attack.label)
        if not metrics:
            return
        wish = attack.wish or Wish()
        selection = self.make.select(at, wish)
        result = self.make.attack(at, attack, selection, aims=wish.targets != "none")
        for spec, metric in metrics:
            self._measure(at, metric, spec, selection, result, {"attack": attack.label}, wish)

    def _explanations(self, at: Trained, explainer: Entry) -> None:
        spec = self.registry.get("explainer", explainer.ref.name)
        assert isinstance(spec, ExplainerSpec)
        wish = explainer.wish or Wish()
        for on in explainer.on:
            coordinates = {"explainer": explainer.label, "on": on}
            metrics = self.filter.of_results(spec.produces, explainer, at, **coordinates)
            if not metrics:
                continue
            selection = self.make.select(at, wish)
            if on != "clean" and (reason := self.filter.unfit(self.suite.entry("attack", on), at.dataset)):
                self.filter.left_out[reason] += len(metrics)
                continue
            result = self.make.explain(at, explainer, on, selection)
            for metric_spec, metric in metrics:
                self._measure(at, metric, metric_spec, selection, result, coordinates, wish)

    def _measure(
        self,
        at: Trained,
        metric: Entry,
        spec: MetricSpec,
        selection: str,
        result: str,
        coordinates: Mapping[str, str],
        wish: Wish | None,
    ) -> None:
        """One cell. coordinates: besides those of the model and the metric."""
        where = {**at.where, **coordinates, "metric": metric.label}
        key = self.make.measure(at, metric, spec, selection, result, where, wish)
        self.cells.append(Cell(where, key, selection, result))
        refuse_many(self.suite, len(self.cells))
