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
        self.text: str | None = None
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
        seconds: float = 1.5,
        **identity: Any,
    ) -> str:
        packages = {"numpy": "2.0", "torch": "2.9.1"}
        said = (lambda usual: usual) if self.text is None else (lambda usual: self.text)
        record = {
            "key": key, "stage": stage, "title": stage, "where": where, "inputs": inputs, "seed": 0,
            "identity": {
                "method": {"kind": stage, "name": said("m"), "revision": 1, "params": {}}, **identity,
            },
            "cost": {"seconds": seconds, "total_seconds": seconds + 0.5, "samples": SAMPLES, "forward": 80,
                     "backward": 40},
            "created": "2026-11-20T14:02:00+00:00", "device": "cpu", "threads": 1, "batch_size": 64,
            "peak_memory": 10**8, "notes": {"said": said("")}, "versions": {"robex": said("1.0.0")},
            "plugin": {"name": said("p"), "distribution": said("d"), "version": said("1")},
            "suite": {"name": self.name, "version": 1, "digest": "d"},
            "environment": {"cpu": said("a cpu"), "packages": {**packages, said("numpy"): said("2.0")},
                            "python": said("3.11"), "platform": said("Linux"),
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
    text: str | None = None,
) -> Store:
    """The first attack and explainer are controls, the last explainer makes counterfactuals as well.

    missing: (defense, explainer) pairs whose last seed did not run. text: stands wherever a suite, a plugin,
    a bundle or a machine can put a string of its own (board names, units, notes, file names, versions, ...).
    """
    f = Filler(path, name, seeds)
    f.text = text
    many = len(defenses) * len(explainers) > 100  # then pictures of one pixel: only their records count
    shape = (1, 1, 1) if many else shape
    for d, dataset in enumerate(datasets):
        task, selection = f.key("task", dataset), f.key("selection", dataset)
        index = torch.arange(5, 5 + SAMPLES)
        if ran:
            f.write(task, "load", _task(shape, d, text), {"dataset": dataset}, {})
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
            "suite": name, "version": 1, "description": text or "", "file": text or f"{name}.yaml",
            "digest": "d" * 64, "overrides": {} if text is None else {text: text},
            "source": [[text or f"{name}.yaml", text or f"suite: {name}\n"]], "seeds": seeds,
            "labels": {
                "dataset": list(datasets), "model": ["mlp"], "defense": list(defenses),
                "attack": list(attacks),
                "explainer": [*explainers, f"{explainers[-1]} cf"], "metric": list(used), "state": [],
            },
            "metrics": {
                m: {"name": m, "summary": text or f"What {m} says.", "unit": text or _METRICS[m][0],
                    "direction": _METRICS[m][1], "range": _METRICS[m][2], "scores": _METRICS[m][3],
                    "consumes": [_METRICS[m][4]]}
                for m in used
            },
            "methods": {"defense": {}, "explainer": {},
                        "attack": {a: {"name": a, "params": {text or "eps": text or 0.1}} for a in attacks}},
            "controls": [attacks[0], explainers[0]],
            "boards": [
                {"name": text or "robustness", "rows": ["dataset", "defense"],
                 "metrics": ["robust-accuracy", "accuracy"], "rank_by": None, "expected": None},
                {"name": "explanations", "rows": ["dataset", "defense", "explainer"],
                 "metrics": ["unfaithfulness", "spread"], "rank_by": None, "expected": None},
            ],
            "left_out": {text or "grad-cam needs a convolution": 3}, "cells": f.cells,
        },
    )  # fmt: skip
    return f.store


def large(path: Path, rows: int, *, shape: tuple[int, ...] = (1, 28, 28)) -> Store:
    """A board of so many rows (ten explainers a defense) x 4 metrics x 5 seeds, its results made at a cost of
    their own, with 24 pictures; only the results that these need are of the true shape."""
    f, seeds, explainers = Filler(path, "large", 5), 5, [f"explainer-{e}" for e in range(10)]
    defenses = [f"defense-{d}" for d in range(rows // 10)]
    task, selection, n = f.key("task"), f.key("selection"), SAMPLES
    f.write(task, "load", _task(shape, 0), {"dataset": "digits"}, {})
    index = torch.arange(n)
    chosen = Selection(index, torch.zeros(n, dtype=torch.int64))
    wish = {"samples": n, "select": "all", "targets": "none"}
    f.write(selection, "select", chosen, {"dataset": "digits"}, {"task": task}, wish=wish)
    base, level = {"task": task, "selection": selection}, f.random.normal(0, 1, (len(defenses), 10, 4))

    def result(stage: str, kind: type, where: dict[str, Any], *, whole: bool) -> str:
        made = kind(torch.as_tensor(f.random.random((n, *shape) if whole else 1)))
        seconds = float(f.random.gamma(2.0, 20.0))
        return f.write(f.key(stage, sorted(where.items())), stage, made, where, base, seconds)

    for d, defense in enumerate(defenses):
        for seed in range(seeds):
            at = {"dataset": "digits", "model": "mlp", "defense": defense, "seed": seed}
            where = {**at, "attack": "pgd"}
            r = result("attack", Perturbation, where, whole=seed == 0 and d < 12)
            f.cell(where, "robust-accuracy", f.random.random(n) < (d + 1) / (len(defenses) + 1), selection, r)
            for e, explainer in enumerate(explainers):
                where = {**at, "explainer": explainer, "on": "clean"}
                r = result("explain", Attribution, where, whole=seed == 0 and d < 12 and e == 0)
                for m in range(4):
                    f.cell(where, f"score-{m}", level[d, e, m] + f.random.random(n), selection, r)
    about = {"summary": "What it says.", "unit": "", "direction": "lower", "range": [None, None],
             "scores": "score", "consumes": ["attribution"]}  # fmt: skip
    robust = {"unit": "%", "direction": "higher", "range": [0.0, 1.0], "scores": "bernoulli",
              "consumes": ["perturbation"]}  # fmt: skip
    metrics = {"robust-accuracy": {**about, **robust}, **{f"score-{m}": about for m in range(4)}}
    f.store.write_suite(
        "large",
        {
            "suite": "large", "version": 1, "description": "", "file": "large.yaml", "digest": "d" * 64,
            "overrides": {}, "source": [["large.yaml", "suite: large\n"]], "seeds": seeds,
            "labels": {"dataset": ["digits"], "model": ["mlp"], "defense": defenses, "attack": ["pgd"],
                       "explainer": explainers, "metric": list(metrics), "state": []},
            "metrics": {name: {"name": name, **about} for name, about in metrics.items()},
            "methods": {"defense": {}, "attack": {}, "explainer": {}}, "controls": [],
            "boards": [
                {"name": "robustness", "rows": ["dataset", "defense"], "metrics": ["robust-*"],
                 "rank_by": None, "expected": None},
                {"name": "explanations", "rows": ["dataset", "defense", "explainer"],
                 "metrics": ["score-*"], "rank_by": None, "expected": None},
            ],
            "left_out": {}, "cells": f.cells,
        },
    )  # fmt: skip
    return f.store


def _task(shape: tuple[int, ...], seed: int, text: str | None = None) -> Task:
    draw = torch.Generator().manual_seed(seed)
    n = SAMPLES + 10
    return Task(
        torch.rand(n, *shape, generator=draw), torch.zeros(n, dtype=torch.int64),
        torch.rand(n, *shape, generator=draw), torch.zeros(n, dtype=torch.int64),
        torch.zeros(shape), torch.ones(shape), torch.ones(shape, dtype=torch.bool),
        torch.zeros(1), torch.ones(1), ("cat", "dog") if text is None else (text, text),
    )  # fmt: skip
