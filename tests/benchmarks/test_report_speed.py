"""What the report costs at scale: the time to build it, its bytes, and the time until a browser shows it.

pytest tests/benchmarks/test_report_speed.py --benchmark-only -p no:xdist
"""

import statistics
from pathlib import Path

import pytest
from e2e.chromium import BROWSER, Chromium
from site_store import large

from benchmark_core.board import make_boards
from benchmark_core.board.site import build_report


@pytest.mark.benchmark(group="the report (rows x 4 metrics x 5 seeds, 24 pictures)")
@pytest.mark.parametrize("rows", [500, 1000])
def test_report(benchmark, tmp_path: Path, rows):
    store = large(tmp_path / "store", rows)
    tables = make_boards(store, store.suite("made"))
    html = benchmark.pedantic(lambda: build_report(store, tables=tables), rounds=3, warmup_rounds=1)
    benchmark.extra_info["bytes"] = len(html.encode())
    assert html.count("data:image/png") >= 23
    if rows == 500:
        assert len(html.encode()) < 1_000_000
    if BROWSER:
        (tmp_path / "page.html").write_text(html)
        browser = Chromium(tmp_path / "profile")
        benchmark.extra_info["load (s)"] = statistics.median(
            browser.open(tmp_path / "page.html") for _ in range(5)
        )
        browser.close()


@pytest.mark.benchmark(group="its boards (500 rows x 4 metrics x 5 seeds)")
def test_boards(benchmark, tmp_path: Path):
    store = large(tmp_path / "store", 500)
    benchmark.pedantic(lambda: make_boards(store, store.suite("made")), rounds=3, warmup_rounds=1)
