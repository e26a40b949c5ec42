"""What the engine itself costs: planning, a node that does nothing, a run with nothing to do, a large store.

    pytest tests/benchmarks/test_engine_speed.py --benchmark-only
    python tests/benchmarks/test_engine_speed.py --records 10000 31600 100000 --folder /dev/shm

The second command makes stores of so many records (those of a planned suite, written without waiting for the
disk), with 1,000 more that no suite needs, and prints clock and processor time of what reads all of them.
"""

import argparse
import os
import resource
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from test_board_speed import SEEDS, fill, key_of, write

from benchmark_core.cli.cache import needed_keys
from benchmark_core.cli.status import suite_status
from benchmark_core.plan import Plan, build_plan
from benchmark_core.registry import Registry
from benchmark_core.run.manifest import manifest_of
from benchmark_core.run.session import run_plan
from benchmark_core.store import Store
from benchmark_core.store.index import Index
from benchmark_core.store.store import RECORD, RESULT
from benchmark_core.suite import read

TOYS = Path(__file__).parents[1] / "toys" / "toy_bench.py"


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


@pytest.mark.benchmark(group="303 nodes that do nothing")
def test_the_disk_alone(benchmark, toys, planned, tmp_path):
    """The same files written, synced and renamed in the same way, and nothing else."""
    store = Store(tmp_path / "store")
    run_plan(small(planned), toys, store, lambda event: None)
    nodes = [
        (folder.name, [(name, (folder / name).read_bytes()) for name in (RESULT, RECORD)])
        for folder in store.nodes.glob("*/*")
    ]

    def put(folder):
        (folder / "tmp").mkdir(parents=True)
        for key, files in nodes:
            draft = f"{folder}/tmp/{secrets.token_hex(8)}"
            os.mkdir(draft)
            for name, data in files:
                with open(f"{draft}/{name}", "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
            os.makedirs(f"{folder}/nodes/{key[:2]}", exist_ok=True)
            os.rename(draft, f"{folder}/nodes/{key[:2]}/{key}")

    def setup():
        shutil.rmtree(tmp_path / "plain", ignore_errors=True)
        return (tmp_path / "plain",), {}

    assert len(nodes) == 303
    benchmark.pedantic(put, setup=setup, rounds=5, warmup_rounds=1)


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
        store.write_suite("made", {**manifest, "nodes": keys})

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


# --- a store of 10^5 records ------------------------------------------------------------------------------


def made_store(folder: Path, records: int, registry: Registry) -> tuple[Store, Plan]:
    """A store with every node of a suite of about so many, and 1,000 that it does not need. The records are
    that of a measurement with the key, inputs and places of each node."""
    path = folder / "suite.yaml"
    path.write_text(suite(300))
    few = build_plan(read(path, registry), registry)
    run_plan(few, registry, Store(folder / "one"), lambda event: None, only=few.cells[-1].key)
    head = Store(folder / "one").record(few.cells[-1].key)
    path.write_text(suite(records * 2 // 3))
    plan = build_plan(read(path, registry), registry)
    store = Store(folder / "store")
    places = [("stage", "seed", "title"), ("where", "identity", "inputs")]
    for key, node in plan.nodes.items():
        own = {name: getattr(node, name) for name in places[0]}
        own |= {name: dict(getattr(node, name)) for name in places[1]}
        write(store, {**head, **own, "key": key}, np.zeros(10))
    for i in range(1_000):
        write(store, {**head, "key": key_of("unneeded", i)}, np.zeros(10))
    store.write_suite(plan.suite.name, manifest_of(plan, registry))
    return store, plan


def spent() -> tuple[float, float]:
    """Seconds on the clock and of this process and its children on the processor."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return time.perf_counter(), sum(u.ru_utime + u.ru_stime for u in used)


def robex(*arguments: str) -> None:
    """A command line in a process of its own."""
    code = "import sys; from benchmark_core.cli.main import main; sys.exit(main())"
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    parser = argparse.ArgumentParser(description="Time of what reads every record of a store.")
    parser.add_argument("--records", type=int, nargs="+", required=True)
    parser.add_argument("--folder", help="where the stores are made for a while (default: the system's)")
    options = parser.parse_args()
    registry = Registry.load([TOYS])
    found: dict[str, list[tuple[int, float]]] = {}
    for wanted in options.records:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            store, plan = made_store(Path(folder), wanted, registry)
            records, place = len(plan.nodes) + 1_000, str(store.path)
            steps: dict[str, Callable[[], object]] = {
                "index made": lambda store=store: Index(store).close(),
                "index opened": lambda store=store: Index(store).close(),
                "robex status": lambda place=place: robex("status", "--store", place),
                "robex cache ls": lambda place=place: robex("cache", "ls", "--store", place),
                "what gc keeps": lambda store=store: needed_keys(store),
                "robex cache gc": lambda place=place: robex("cache", "gc", "--store", place),
                "a run, all cached": lambda run=(plan, registry, store): run_plan(*run, lambda event: None),
            }
            for name, step in steps.items():
                clock, processor = spent()
                step()
                clock, processor = (b - a for a, b in zip((clock, processor), spent(), strict=True))
                found.setdefault(name, []).append((records, processor))
                print(
                    f"{records:,} records, {name}: {clock:.2f} s, processor {processor:.2f} s "
                    f"({1e6 * processor / records:.0f} us a record), load {os.getloadavg()[0]:.1f}",
                    flush=True,
                )
            assert len(list(store.keys())) == len(plan.nodes)
    for name, points in found.items():
        if len(points) > 1:
            sizes, seconds = np.log(points).T
            print(f"{name}: exponent {np.polyfit(sizes, seconds, 1)[0]:.2f}")


if __name__ == "__main__":
    main()
