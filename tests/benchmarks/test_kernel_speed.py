"""Time of the shared operations on this device by every provider that runs here, in float32.

    pytest tests/benchmarks/test_kernel_speed.py --benchmark-only

The cases and providers are those of `robex kernels bench`, which keeps a table. Nothing here asserts a time.
"""

import pytest
import torch
from threadpoolctl import threadpool_limits

from benchmark_core.kernels.bench import PROVIDERS, Skipped, needed, prepared
from benchmark_core.kernels.cases import Case, all_cases

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
LIMIT = 64 << 20


@pytest.fixture(autouse=True)
def _one_thread():
    with threadpool_limits(1):
        yield


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch.compile uses what torch deprecates
@pytest.mark.filterwarnings("ignore:Benchmark fixture was not used")  # by what is skipped
@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("case", all_cases("bench"), ids=str)
def test_kernel(benchmark, case: Case, provider: str) -> None:
    if DEVICE == "cpu" and needed(case, torch.float32) > LIMIT:
        pytest.skip(f"more than {LIMIT >> 20} MB")
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
