"""Time and memory of a board, and of the statistics of one of its columns, on one thread.

    pytest tests/benchmarks/test_board_speed.py --benchmark-only
    python tests/benchmarks/test_board_speed.py --rows 200 --columns 50 --samples 10000
    python tests/benchmarks/test_board_speed.py --indexed --datasets 20 --rows 200 --columns 50 --samples 20

The second command makes a store of real nodes (without syncing each to the disk), then the board twice, each
time in a new process: the first fills the index, the second finds it. With --indexed (the third: 10^6
records) nodes are folders with an empty result file, and the index holds what it would have read from them;
the first board then finds single facts, the second whole columns. Nothing here asserts a time.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save
from threadpoolctl import threadpool_limits

from benchmark_core import Selection
from benchmark_core.board import boards_of, make_board
from benchmark_core.board.pairs import compare_rows
from benchmark_core.board.statistics import Scores, components, estimate_rows
from benchmark_core.store import Store
from benchmark_core.store.cells import packed
from benchmark_core.store.index import Fact, Facts
from benchmark_core.store.store import RESULT, _digest

ROWS, SEEDS, N = 200, 5, 10_000


@pytest.fixture(autouse=True)
def _one_thread():
    with threadpool_limits(1):
        yield


def column(kind, rows=ROWS, n=N):
    """Rows as the store holds them: float32, a mask where the metric is conditional."""
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(1, n)).astype(np.float32)
    found = []
    for _ in range(rows):
        y = shared + np.float32(0.02) * rng.normal() + rng.normal(size=(SEEDS, n)).astype(np.float32)
        valid = list(rng.random((SEEDS, n)) < 0.97) if kind == "conditional" else [None] * SEEDS
        found.append(Scores(list(y > 0 if kind == "bernoulli" else y), valid, n))
    return found


@pytest.mark.parametrize("what", [estimate_rows, compare_rows])
@pytest.mark.parametrize("kind", ["score", "bernoulli", "conditional"])
def test_a_column(benchmark, kind, what):
    rows = column(kind)
    if kind != "conditional":
        pairs, own = compare_rows(rows, kind), estimate_rows(rows, kind)
        for j, k in [(0, 1), (3, 150), (198, 199)]:
            y, z = (np.stack(rows[i].values).astype(float) for i in (j, k))
            assert pairs.between(j, k).difference == pytest.approx(components(y - z).mean)
            assert own[j].components == pytest.approx(components(y), rel=1e-9)
    benchmark.group = f"{ROWS} rows, {N} samples, {SEEDS} seeds"
    benchmark.pedantic(what, (rows, kind), rounds=5, warmup_rounds=1)


@pytest.mark.parametrize("index", ["empty", "filled"])
def test_a_board(benchmark, tmp_path, index):
    store = Store(tmp_path / "store")
    manifest = fill(store, datasets=1, rows=40, columns=10, samples=1000)
    (board,) = boards_of(manifest)
    file = store.path / "index.sqlite"

    def forget():
        if index == "empty":
            file.unlink(missing_ok=True)

    make_board(store, manifest, board)
    benchmark.group = "board of 40 rows, 10 columns, 5 seeds, 1,000 samples"
    benchmark.pedantic(make_board, (store, manifest, board), setup=forget, rounds=3)


def fill(
    store: Store, *, datasets: int, rows: int, columns: int, samples: int, facts: Facts | None = None
) -> dict:
    """Real nodes of the scores of a board (float32), and its manifest. facts: nodes without content, which
    these know."""
    rng = np.random.default_rng(0)
    cells = []
    head = {
        "stage": "measure", "notes": {}, "device": "cpu", "threads": 1, "seed": 0, "title": "made",
        "identity": {}, "inputs": {}, "suite": {"name": "made"}, "where": {}, "created": "2026-01-01",
        "environment": {"cpu": "made", "packages": {"torch": "2.13.0", "numpy": "2.4.6"}},
        "cost": {"total_seconds": 0.0}, "result": {"type": "Scores", "fields": {}},
    }  # fmt: skip
    for d in range(datasets):
        selection = key_of("selection", d)
        plain = {k: v for k, v in head.items() if k != "result"}
        picked = Selection(torch.arange(samples), torch.zeros(samples, dtype=torch.int64))
        if facts is None:
            store.write({**plain, "key": selection, "stage": "select"}, picked)
        else:
            know(facts, store, selection, ["samples", samples, "digest", "none", ""], b"")
        for c in range(columns):
            shared = rng.normal(size=samples)
            for r in range(rows):
                y = shared + 0.05 * rng.normal() + rng.normal(size=(SEEDS, samples))
                for s in range(SEEDS):
                    key = key_of(d, c, r, s)
                    values = y[s].astype(np.float32)
                    if facts is None:
                        write(store, {**head, "key": key}, values)
                    else:
                        about = ["scores", "torch", samples, "<f4", None, values.nbytes, False, False]
                        know(facts, store, key, about, values.tobytes())
                    at = {
                        "dataset": f"data {d}", "model": "mlp", "defense": f"defense {r}",
                        "explainer": "saliency", "on": f"attack {c}", "metric": "stability", "seed": s,
                    }  # fmt: skip
                    cells.append([at, key, selection, key_of("result", d, r, c, s)])
    return {
        "suite": "made", "version": 1, "seeds": SEEDS, "file": "made.yaml", "digest": "d",
        "overrides": {}, "source": [], "cells": packed(cells),
        "labels": {
            "dataset": [f"data {d}" for d in range(datasets)], "model": ["mlp"],
            "defense": [f"defense {r}" for r in range(rows)], "explainer": ["saliency"],
            "attack": [f"attack {c}" for c in range(columns)],
        },
        "metrics": {"stability": {"name": "stability", "unit": "", "direction": "lower",
                                  "range": [None, None], "scores": "score", "consumes": ["attribution"]}},
        "boards": [{"name": "b", "rows": ["dataset", "defense"], "metrics": [], "rank_by": None,
                    "expected": None}],
    }  # fmt: skip


def write(store: Store, head: dict, values: np.ndarray) -> None:
    """A node as the store writes it, without waiting for the disk."""
    data = save({"values": values})
    digest = hashlib.sha256(data).hexdigest()
    full = {**head, "artifacts": {"result.safetensors": {"sha256": digest, "bytes": len(data)}}}
    folder = store.folder(head["key"])
    folder.mkdir(parents=True)
    (folder / "result.safetensors").write_bytes(data)
    (folder / "record.json").write_text(json.dumps({**full, "checksum": _digest(full)}, sort_keys=True))


def know(facts: Facts, store: Store, key: str, about: list, data: bytes) -> None:
    """A folder with an empty result file, and what the index would hold of it."""
    folder = store.folder(key)
    folder.mkdir(parents=True)
    with open(folder / RESULT, "wb") as file:
        file.truncate(len(data) + 88)
    written, size = facts.stamp(key)
    facts.add(Fact(key, written, size, json.dumps(about), data))


def key_of(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def measure(path: str) -> None:
    """Prints the time of the manifest and of the board, and the peak memory of the process."""
    with threadpool_limits(1):
        store, start = Store(path, create=False), time.perf_counter()
        manifest, read, before = store.suite("made"), time.perf_counter(), time.process_time()
        make_board(store, manifest, boards_of(manifest)[0])
        made, spent = time.perf_counter(), time.process_time() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"manifest {read - start:.1f} s, board {made - read:.1f} s, processor {spent:.1f} s (process "
          f"{time.process_time():.1f} s), peak {peak} MB", flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("datasets", 1), ("rows", 200), ("columns", 50), ("samples", 10_000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument(
        "--indexed", action="store_true", help="folders without content, and an index of them"
    )
    parser.add_argument("--store", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.store:
        measure(options.store)
        return
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "store")
        sizes = {k: v for k, v in vars(options).items() if k not in ("store", "indexed")}
        facts = Facts(store) if options.indexed else None
        store.write_suite("made", fill(store, facts=facts, **sizes))
        if facts:
            facts.close()
        print(f"{SEEDS} seeds, {sizes}", flush=True)
        for _ in range(2):
            subprocess.run([sys.executable, __file__, "--store", str(store.path)], check=True)


if __name__ == "__main__":
    main()
