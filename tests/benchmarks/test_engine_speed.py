"""What the engine itself costs: planning, a node that does nothing, a run with nothing to do, a large store.

pytest tests/benchmarks/test_engine_speed.py --benchmark-only
"""

import shutil
import time

import numpy as np
import pytest
from test_board_speed import SEEDS, fill

from benchmark_core.cli.cache import needed_keys
from benchmark_core.cli.status import suite_status
from benchmark_core.plan import build_plan
from benchmark_core.run.session import run_plan
from benchmark_core.store import Store
from benchmark_core.store.index import Index
from benchmark_core.suite import read


def suite(cells: int) -> str:
    """Two metrics on every attack, ten seeds, five defenses: 100 cells an attack."""
    grid = ", ".join(f"{i / 100_000}" for i in range(1, cells // 100 + 1))
    return (
        "suite: big\ndatasets: [toy]\nmodels: [toy-linear]\nseeds: 10\n"
        "defenses: [{use: toy-train, lr: [0.1, 0.2, 0.3, 0.4, 0.5]}]\n"
        f"attacks: [{{use: toy-shift, eps: [{grid}]}}]\nmetrics: [toy-robust, toy-size]\n"
    )


@pytest.mark.benchmark(group="plan a suite (cells)")
@pytest.mark.parametrize("cells", [10_000, 30_000, 100_000])
def test_plan(benchmark, toys, tmp_path, cells):
    path = tmp_path / "suite.yaml"
    path.write_text(suite(cells))
    plan = benchmark.pedantic(lambda: build_plan(read(path, toys), toys), rounds=3)
    assert len(plan.cells) == cells


@pytest.mark.benchmark(group="plan a suite: exponent of time over cells")
def test_plan_exponent(benchmark, toys, tmp_path):
    """The slope of log time over log cells at three sizes is `exponent` of extra_info: 1 is linear."""
    sizes, seconds = (3_000, 10_000, 30_000), {}
    path = tmp_path / "suite.yaml"

    def measure():
        for cells in sizes:
            path.write_text(suite(cells))
            started = time.process_time()
            assert len(build_plan(read(path, toys), toys).cells) == cells
            spent = time.process_time() - started
            seconds[cells] = min(spent, seconds.get(cells, spent))

    benchmark.pedantic(measure, rounds=3, warmup_rounds=1)
    slope, _ = np.polyfit(np.log(sizes), np.log([seconds[cells] for cells in sizes]), 1)
    benchmark.extra_info["exponent"] = round(float(slope), 2)


def small(planned):
    grid = ", ".join(f"{i / 1000}" for i in range(1, 151))
    return planned(f"attacks: [{{use: toy-quick, eps: [{grid}]}}]\nmetrics: [toy-robust]")


@pytest.mark.benchmark(group="303 nodes that do nothing")
@pytest.mark.parametrize("options", [{}, {"jobs": 2}], ids=["inline", "local-2"])
def test_overhead(benchmark, toys, planned, tmp_path, options):
    plan = small(planned)

    def setup():
        shutil.rmtree(tmp_path / "store", ignore_errors=True)
        return (Store(tmp_path / "store"),), {}

    report = benchmark.pedantic(
        lambda store: run_plan(plan, toys, store, lambda event: None, **options),
        setup=setup,
        rounds=5,
        warmup_rounds=1,
    )
    assert report.ran == len(plan.nodes) == 303


@pytest.mark.benchmark(group="the same, all cached")
def test_cached(benchmark, toys, planned, tmp_path):
    plan, store = small(planned), Store(tmp_path / "store")
    run_plan(plan, toys, store, lambda event: None)
    report = benchmark(lambda: run_plan(plan, toys, store, lambda event: None))
    assert report.ran == 0


@pytest.mark.benchmark(group="a store: exponent of time over records")
@pytest.mark.parametrize("what", ["index rebuilt", "status", "gc"])
def test_store_exponent(benchmark, tmp_path, what):
    """Processor seconds at three sizes, and the slope of their logarithms, are in extra_info: 1 is linear."""
    sizes, seconds = (500, 2_000, 8_000), {}
    stores = [Store(tmp_path / str(size)) for size in sizes]
    manifests = [
        fill(store, datasets=1, rows=20, columns=size // (20 * SEEDS), samples=10)
        for size, store in zip(sizes, stores, strict=True)
    ]
    for store, manifest in zip(stores, manifests, strict=True):
        keys = list(store.keys())
        store.write_suite("made", {**manifest, "file": "made.yaml", "nodes": keys})

    def measure():
        for size, store in zip(sizes, stores, strict=True):
            (store.path / "index.sqlite").unlink(missing_ok=True)
            started = time.process_time()
            if what == "index rebuilt":
                index = Index(store)
                assert len(index.rows()) == size + 1
                index.close()
            elif what == "status":
                assert suite_status(store, store.suite("made"))["done"] == size
            else:
                assert len(needed_keys(store)) == size + 1
            spent = time.process_time() - started
            seconds[size] = min(spent, seconds.get(size, spent))

    benchmark.pedantic(measure, rounds=3)
    slope, _ = np.polyfit(np.log(sizes), np.log([seconds[size] for size in sizes]), 1)
    benchmark.extra_info["exponent"] = round(float(slope), 2)
    benchmark.extra_info["milliseconds"] = {size: round(1e3 * seconds[size], 1) for size in sizes}
