"""A store filled by hand: scores under made-up keys, and the manifest that names them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch

from benchmark_core import Scores, Selection
from benchmark_core.store import Store

METRICS = {
    "accuracy": ("%", "higher", [0.0, 1.0], "bernoulli", ["prediction"]),
    "robust-accuracy": ("%", "higher", [0.0, 1.0], "bernoulli", ["perturbation"]),
    "distance": ("", "lower", [0.0, None], "conditional", ["perturbation"]),
    "unfaithfulness": ("", "lower", [0.0, None], "score", ["attribution"]),
    "sparseness": ("", None, [0.0, 1.0], "score", ["attribution"]),
}


class Made:
    """Builds a manifest cell by cell; every cell is one seed of one metric somewhere."""

    def __init__(self, store: Store, seeds: int) -> None:
        self.store, self.seeds = store, seeds
        self.cells: list[Any] = []
        self.labels: dict[str, list[str]] = {
            k: [] for k in ("dataset", "model", "defense", "attack", "explainer", "metric", "state")
        }
        self.boards: list[dict[str, Any]] = []

    def add(
        self, values: Any, index: Any = None, valid: Any = None, *, metric: str, seed: int, **at: str
    ) -> str:
        """values None: planned, not run."""
        where = {"dataset": "digits", "model": "mlp", "defense": "Standard", **at}
        for kind, label in {**where, "metric": metric}.items():
            if kind != "on" and label not in self.labels[kind]:
                self.labels[kind].append(label)
        coordinates = {**where, "seed": seed, "metric": metric}
        key = f"{len(self.cells):04x}".ljust(64, "a")
        index = np.arange(10 if values is None else len(values)) if index is None else np.asarray(index)
        selection = f"5e1{abs(hash(index.tobytes())) % 10**8:08d}".ljust(64, "b")
        self.cells.append([coordinates, key, selection, "c" * 64])
        if values is not None:
            self._write(
                selection, Selection(torch.as_tensor(index), torch.zeros(len(index), dtype=torch.int64))
            )
            mask = None if valid is None else torch.as_tensor(np.asarray(valid, dtype=bool))
            self._write(key, Scores(torch.as_tensor(np.asarray(values, dtype=float)), mask))
        return key

    def _write(self, key: str, result: Any) -> None:
        if not self.store.has(key):
            self.store.write({"key": key, "inputs": {}, "identity": {}, "notes": {}}, result)

    def board(
        self, name: str, rows: tuple[str, ...], metrics: tuple[str, ...] = (), rank_by: str | None = None
    ) -> None:
        self.boards.append(
            {"name": name, "rows": rows, "metrics": metrics, "rank_by": rank_by, "expected": None}
        )

    @property
    def manifest(self) -> Mapping[str, Any]:
        return {
            "suite": "made",
            "version": 1,
            "seeds": self.seeds,
            "labels": self.labels,
            "metrics": {
                m: dict(zip(("unit", "direction", "range", "scores", "consumes"), METRICS[m], strict=True))
                for m in METRICS
                if m in self.labels["metric"]
            },
            "boards": self.boards,
            "cells": self.cells,
        }


@pytest.fixture
def made(tmp_path) -> Made:
    return Made(Store(tmp_path / "store"), seeds=3)


@pytest.fixture
def shares():
    """0/1 scores with a given share of ones, in an order of their own for every seed."""

    def draw(share: float, n: int = 100, seed: int = 0) -> np.ndarray:
        scores = (np.arange(n) < round(share * n)).astype(float)
        return np.random.default_rng(seed).permutation(scores)

    return draw
