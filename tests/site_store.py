"""A store of made-up results for tests of the report: two boards, pictures of digits, any names."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from benchmark_core import Attribution, Counterfactual, Perturbation, Prediction, Scores, Selection, Task
from benchmark_core.store import Store

SAMPLES = 40
HOSTILE = (
    "<script>window.hacked = 1</script>",
    '<img src=x onerror="window.hacked = 2">',
    "{{7*7}}{% raw %}",
    "</script><b>bold</b>",
    "\u202egnp.exe\u2066 right to left",
    "quote\" ' & | * _ $ % # \\ ~ ^ ; , \t tab",
    "long " + "x" * 10_000,
)

_METRICS: dict[str, tuple[str, str | None, list[float | None], str, str]] = {
    "accuracy": ("%", "higher", [0.0, 1.0], "bernoulli", "prediction"),
    "robust-accuracy": ("%", "higher", [0.0, 1.0], "bernoulli", "perturbation"),
    "unfaithfulness": ("", "lower", [0.0, None], "score", "attribution"),
    "spread": ("", "higher", [None, None], "score", "attribution"),
    "validity": ("%", "higher", [0.0, 1.0], "bernoulli", "counterfactual"),
}


class Filler:
    """Writes records as a run would, without waiting for the disk."""

    def __init__(self, path: Path, name: str, seeds: int) -> None:
        self.store, self.name, self.seeds = Store(path), name, seeds
        self.cells: list[Any] = []
        self.random = np.random.default_rng(0)

    def key(self, *parts: Any) -> str:
        return hashlib.sha256(repr((self.name, *parts)).encode()).hexdigest()

    def write(
        self,
        key: str,
        stage: str,
        result: Any,
        where: dict[str, Any],
        inputs: dict[str, str],
        **identity: Any,
    ) -> str:
        packages = {"numpy": "2.0", "torch": "2.9.1"}
        record = {
            "key": key, "stage": stage, "title": stage, "where": where, "inputs": inputs, "seed": 0,
            "identity": {"method": {"kind": stage, "name": "m", "revision": 1, "params": {}}, **identity},
            "cost": {"seconds": 1.5, "total_seconds": 2.0, "samples": SAMPLES, "forward": 80, "backward": 40},
            "created": "2026-11-20T14:02:00+00:00", "device": "cpu", "threads": 1, "batch_size": 64,
            "peak_memory": 10**8, "notes": {}, "versions": {"robex": "1.0.0"},
            "plugin": {"name": "p", "distribution": "d", "version": "1"},
            "suite": {"name": self.name, "version": 1, "digest": "d"},
            "environment": {"cpu": "a cpu", "packages": packages, "python": "3.11", "platform": "Linux",
                            "cuda": None, "git": None, "cores": 2},
        }  # fmt: skip
        with patch("os.fsync"):
            self.store.write(record, result)
        return key

    def cell(self, at: dict[str, Any], metric: str, values: Any, selection: str, result: str) -> None:
        """values None: planned, not run."""
        where = {**at, "metric": metric}
        key = self.key("cell", sorted(where.items()))
        if values is not None:
            scores = Scores(torch.as_tensor(np.asarray(values, dtype=np.float64)))
            self.write(key, "measure", scores, where, {"result": result})
        self.cells.append([where, key, selection, result])


def fill(
    path: Path,
    *,
    name: str = "made",
    datasets: Sequence[str] = ("digits",),
    defenses: Sequence[str] = ("Standard", "Weak", "Strong"),
    attacks: Sequence[str] = ("noise", "pgd"),
    explainers: Sequence[str] = ("random", "saliency", "ecco"),
    seeds: int = 3,
    ran: bool = True,
    missing: Sequence[tuple[str, str]] = (),
    shape: tuple[int, ...] = (1, 8, 8),
    on: Sequence[str] = ("clean",),
) -> Store:
    """The first attack and explainer are controls, the last explainer makes counterfactuals as well.

    missing: (defense, explainer) pairs whose last seed did not run.
    """
    f = Filler(path, name, seeds)
    many = len(defenses) * len(explainers) > 100  # then pictures of one pixel: only their records count
    shape = (1, 1, 1) if many else shape
    for d, dataset in enumerate(datasets):
        task, selection = f.key("task", dataset), f.key("selection", dataset)
        index = torch.arange(5, 5 + SAMPLES)
        if ran:
            f.write(task, "load", _task(shape, d), {"dataset": dataset}, {})
            chosen = Selection(
                index, torch.zeros(SAMPLES, dtype=torch.int64), torch.ones(SAMPLES, dtype=torch.int64)
            )
            wish = {"samples": SAMPLES, "select": "all", "targets": "next"}
            f.write(selection, "select", chosen, {"dataset": dataset}, {"task": task}, wish=wish)
        size = (SAMPLES, *shape)
        for i, defense in enumerate(defenses):
            for seed in range(seeds):
                at = {"dataset": dataset, "model": "mlp", "defense": defense, "seed": seed}
                base = {"task": task, "selection": selection}
                noise = f.random.normal(0, 0.02, (len(attacks) + len(explainers) + 1, SAMPLES))
                level = (i + 1) / (len(defenses) + 1)

                def result(
                    stage: str, made: Any, where: dict[str, Any], *parts: Any, base: Any = base
                ) -> str:
                    key = f.key(stage, sorted(where.items()), *parts)
                    return f.write(key, stage, made, where, base) if ran else key

                correct = (np.arange(SAMPLES) < 0.9 * SAMPLES - seed).astype(float)
                r = result("predict", Prediction(torch.randn(SAMPLES, 2)), at)
                f.cell(at, "accuracy", correct if ran else None, selection, r)
                for a, attack in enumerate(attacks):
                    where = {**at, "attack": attack}
                    r = result("attack", Perturbation(torch.rand(size)), where)
                    kept = (np.arange(SAMPLES) < (level if a else 0.9) * SAMPLES + seed).astype(float)
                    f.cell(where, "robust-accuracy", kept if ran else None, selection, r)
                for e, explainer in enumerate(explainers):
                    for place in on:
                        where = {**at, "explainer": explainer, "on": place}
                        gone = (defense, explainer) in missing and seed == seeds - 1
                        r = result("explain", Attribution(torch.randn(size)), where)
                        value = 3.0 - e + 0.3 * level + noise[e]
                        f.cell(where, "unfaithfulness", None if gone or not ran else value, selection, r)
                        f.cell(where, "spread", None if gone or not ran else noise[e] + e, selection, r)
                if not many:
                    where = {**at, "explainer": f"{explainers[-1]} cf", "on": "clean"}
                    r = result("explain", Counterfactual(torch.rand(size)), where)
                    f.cell(where, "validity", correct if ran else None, selection, r)
    used = dict.fromkeys(at["metric"] for at, *_ in f.cells)
    f.store.write_suite(
        "made",
        {
            "suite": name, "version": 1, "description": "", "file": f"{name}.yaml", "digest": "d" * 64,
            "overrides": {}, "source": [[f"{name}.yaml", f"suite: {name}\n"]], "seeds": seeds,
            "labels": {
                "dataset": list(datasets), "model": ["mlp"], "defense": list(defenses),
                "attack": list(attacks),
                "explainer": [*explainers, f"{explainers[-1]} cf"], "metric": list(used), "state": [],
            },
            "metrics": {
                m: {"name": m, "summary": f"What {m} says.", "unit": _METRICS[m][0],
                    "direction": _METRICS[m][1], "range": _METRICS[m][2], "scores": _METRICS[m][3],
                    "consumes": [_METRICS[m][4]]}
                for m in used
            },
            "methods": {"defense": {}, "attack": {}, "explainer": {}},
            "controls": [attacks[0], explainers[0]],
            "boards": [
                {"name": "robustness", "rows": ["dataset", "defense"],
                 "metrics": ["robust-accuracy", "accuracy"], "rank_by": None, "expected": None},
                {"name": "explanations", "rows": ["dataset", "defense", "explainer"],
                 "metrics": ["unfaithfulness", "spread"], "rank_by": None, "expected": None},
            ],
            "left_out": {"grad-cam needs a convolution": 3}, "cells": f.cells,
        },
    )  # fmt: skip
    return f.store


def _task(shape: tuple[int, ...], seed: int) -> Task:
    draw = torch.Generator().manual_seed(seed)
    n = SAMPLES + 10
    return Task(
        torch.rand(n, *shape, generator=draw), torch.zeros(n, dtype=torch.int64),
        torch.rand(n, *shape, generator=draw), torch.zeros(n, dtype=torch.int64),
        torch.zeros(shape), torch.ones(shape), torch.ones(shape, dtype=torch.bool),
        torch.zeros(1), torch.ones(1), ("cat", "dog"),
    )  # fmt: skip
