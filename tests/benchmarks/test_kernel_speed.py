"""Time of the shared operations on this device by every provider that runs here, in float32.

    pytest tests/benchmarks/test_kernel_speed.py --benchmark-only

The cases and providers are those of `robex kernels bench`, which keeps a table. On the CPU torch.compile has
the smallest case of an operation, as it takes several seconds. Nothing here asserts a time.
"""

import functools

import pytest
import torch
from threadpoolctl import threadpool_limits

from benchmark_core.kernels.bench import PROVIDERS, Skipped, needed, prepared
from benchmark_core.kernels.cases import Case, all_cases

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
LIMIT = 64 << 20


@functools.cache
def size(case: Case) -> int:
    return needed(case, torch.float32)


def smallest(op: str) -> Case:
    return min((case for case in all_cases("bench") if case.op == op), key=size)


@pytest.fixture(autouse=True)
def _one_thread():
    with threadpool_limits(1):
        yield


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch.compile uses what torch deprecates
@pytest.mark.filterwarnings("ignore:Benchmark fixture was not used")  # by what is skipped
@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("case", all_cases("bench"), ids=str)
def test_kernel(benchmark, case: Case, provider: str) -> None:
    if DEVICE == "cpu" and size(case) > LIMIT:
        pytest.skip(f"more than {LIMIT >> 20} MB")
    if DEVICE == "cpu" and provider == "compile" and case.size != smallest(case.op).size:
        pytest.skip("torch.compile on the CPU has the smallest case of each operation")
    benchmark.group = str(case)
    try:
        call = prepared(case, provider, case.args(torch.float32, DEVICE))
    except Skipped as reason:
        pytest.skip(str(reason))

    def run():
        call()
        if DEVICE == "cuda":
            torch.cuda.synchronize()

    benchmark.pedantic(run, rounds=5, warmup_rounds=1)
