"""How fast the operations are on this device: every bench case by every provider, beside what the device can
do at best, measured in the same run. Rows are only made of what ran.

Providers: `ours` is what methods call (the Triton program on CUDA, on CPU mostly the reference), `eager` the
reference, `compile` the reference through torch.compile, `peer` another library on the CPU.
"""

from __future__ import annotations

import csv
import functools
import importlib
import platform
import re
import shutil
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch._subclasses import FakeTensorMode

from .. import __version__
from .cases import Case
from .dispatch import has_triton
from .proof import promised

PROVIDERS = ("ours", "eager", "compile", "peer")


class Skipped(Exception):
    """Why a provider does not run here."""


@dataclass(frozen=True)
class Row:
    """One measurement. Times in ms, `bytes` of arguments and results once, `bound`: what limits the case,
    copy (peak in GB/s) or matrix (peak in TFLOP/s); `share` of that peak; `over_ours`: median over that
    of `ours` in the same run."""

    op: str
    size: str
    dtype: str
    device: str
    provider: str
    median_ms: float
    p20_ms: float
    p80_ms: float
    bytes: int
    gb_s: float
    flops: float | None
    tflop_s: float | None
    bound: str
    peak: float
    share: float
    over_ours: float | None
    threads: int
    driver: str
    torch: str
    triton: str
    robex: str
    date: str


def measure(
    cases: Iterable[Case],
    device: str,
    providers: Iterable[str] = PROVIDERS,
    *,
    dtypes: Iterable[torch.dtype] | None = None,
    max_bytes: int | None = None,
    skipped: Callable[[str], None] = lambda text: None,
) -> Iterator[Row]:
    """Time the cases. dtypes: those that a case has of them; None: float32 on CPU, all of a case on CUDA.
    max_bytes: larger cases are left out; None: 64 MB on CPU, no limit on CUDA. skipped: told what does not
    run, and why."""
    cpu = device == "cpu"
    wanted = tuple(dtypes) if dtypes is not None else (torch.float32,) if cpu else None
    limit = (64 << 20 if cpu else None) if max_bytes is None else max_bytes
    for case in cases:
        for dtype in case.dtypes if wanted is None else [d for d in case.dtypes if d in wanted]:
            name = f"{case} {str(dtype).removeprefix('torch.')}"
            if limit is not None and (size := needed(case, dtype)) > limit:
                skipped(f"{name}: {size / 1e6:,.0f} MB, more than {limit / 1e6:,.0f} MB (--max-mb)")
                continue
            args = case.args(dtype, device)
            ours: float | None = None
            for provider in providers:
                try:
                    call = prepared(case, provider, args)
                except Skipped as reason:
                    skipped(f"{name}: {reason}")
                    continue
                row = _row(case, provider, args, dtype, device, call, ours)
                ours = row.median_ms if provider == "ours" else ours
                yield row


def prepared(case: Case, provider: str, args: tuple[Any, ...]) -> Callable[[], Any]:
    """A function that runs the case by `provider`. Raises Skipped where it cannot run."""
    op, cpu = case.operation, not _first(args).is_cuda
    if provider == "ours":
        if not cpu and not has_triton():
            raise Skipped("ours on CUDA needs triton")
        return functools.partial(op, *args)
    if provider == "eager":
        if cpu and op.cpu is op.reference:
            raise Skipped("eager is ours on the CPU")
        return functools.partial(op.reference, *args)
    if provider == "compile":
        if cpu and not any(map(shutil.which, ("g++", "clang++", "c++"))):
            raise Skipped("torch.compile on the CPU needs a C++ compiler")
        torch.compiler.reset()
        compiled = functools.partial(torch.compile(op.reference, dynamic=False), *args)
        try:
            compiled()
        except Exception as error:
            raise Skipped(f"torch.compile fails: {str(error).strip().splitlines()[0][:100]}") from error
        return compiled
    if case.peer is None:
        raise Skipped("no peer has this operation")
    if not cpu:
        raise Skipped("peers run on the CPU")
    try:
        return case.peer[1](args)
    except ImportError as error:
        raise Skipped(f"{case.peer[0]} is not installed ({error})") from error


def needed(case: Case, dtype: torch.dtype) -> int:
    """Bytes of arguments and results, without making them."""
    with FakeTensorMode():
        args = case.args(dtype)
        return _bytes(args) + _bytes(case.operation.operator(*args))


def _row(
    case: Case,
    provider: str,
    args: tuple[Any, ...],
    dtype: torch.dtype,
    device: str,
    call: Callable[[], Any],
    ours: float | None,
) -> Row:
    low, median, high = quantiles(call, device)
    moved = _bytes(args) + _bytes(promised(case.operation, args))
    flops = None if case.flops is None else case.flops(args)
    gb_s, tflop_s = moved / median / 1e6, None if flops is None else flops / median / 1e9
    bound = "copy" if flops is None else "matrix"
    peak = copy_peak(device) if flops is None else matrix_peak(device, dtype)
    versions = facts(device)
    return Row(
        op=case.op,
        size=case.size,
        dtype=str(dtype).removeprefix("torch."),
        provider=f"peer: {case.peer[0]}" if provider == "peer" and case.peer else provider,
        median_ms=median,
        p20_ms=low,
        p80_ms=high,
        bytes=moved,
        gb_s=gb_s,
        flops=flops,
        tflop_s=tflop_s,
        bound=bound,
        peak=peak,
        share=(gb_s if tflop_s is None else tflop_s) / peak,
        over_ours=1.0 if provider == "ours" else None if ours is None else median / ours,
        **versions,
    )


def quantiles(call: Callable[[], Any], device: str) -> tuple[float, float, float]:
    """The 20, 50 and 80 % quantiles of its time in ms; on CUDA with the cache emptied before each call. With
    one thread on the CPU it is processor time, which other work on the machine hardly touches."""
    if device != "cpu":
        do_bench = importlib.import_module("triton.testing").do_bench
        low, median, high = do_bench(call, warmup=50, rep=300, quantiles=[0.2, 0.5, 0.8])
        return low, median, high
    now = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    call()
    start = now()
    call()
    once = now() - start
    inner = max(1, round(1e-3 / max(once, 1e-9)))
    times = []
    for _ in range(max(7, min(100, round(0.5 / max(once * inner, 1e-9))))):
        start = now()
        for _ in range(inner):
            call()
        times.append((now() - start) / inner * 1e3)
    low, _, _, high = statistics.quantiles(times, n=5)
    return low, statistics.median(times), high


@functools.cache
def copy_peak(device: str) -> float:
    """GB/s of a large copy, read and written."""
    source = torch.ones((1 << 30 if device != "cpu" else 1 << 28) // 4, device=device)
    target = torch.empty_like(source)
    return 2 * source.nbytes / quantiles(lambda: target.copy_(source), device)[1] / 1e6


@functools.cache
def matrix_peak(device: str, dtype: torch.dtype) -> float:
    """TFLOP/s of a large matrix product, without TF32."""
    n = 8192 if device != "cpu" else 1024
    a = torch.randn(n, n, device=device).to(dtype)
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        return 2 * n**3 / quantiles(lambda: a @ a, device)[1] / 1e9
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def facts(device: str) -> dict[str, Any]:
    """What a row says of where it was measured."""
    return {
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "driver": _driver() if device != "cpu" else "",
        "torch": torch.__version__,
        "triton": importlib.import_module("triton").__version__ if device != "cpu" and has_triton() else "",
        "robex": __version__,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


@functools.cache
def device_name(device: str) -> str:
    if device != "cpu":
        return torch.cuda.get_device_name()
    try:
        found = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine()


@functools.cache
def _driver() -> str:
    """The version of the NVIDIA driver, as the system tells it."""
    try:
        found = re.search(
            r"Kernel Module\s.*?(\d+\.\d+[.\d]*)", Path("/proc/driver/nvidia/version").read_text()
        )
    except OSError:
        found = None
    return found[1] if found else "unknown"


def slug(name: str) -> str:
    """A device's name as a file name."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def append(rows: Iterable[Row], folder: Path) -> list[Path]:
    """Write rows at once, each to the file of its device; the files written."""
    written: list[Path] = []
    for row in rows:
        path = folder / f"{slug(row.device)}.csv"
        folder.mkdir(parents=True, exist_ok=True)
        new = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            if new:
                writer.writerow([field.name for field in fields(Row)])
            writer.writerow([_cell(value) for value in asdict(row).values()])
        if path not in written:
            written.append(path)
    return written


def read(path: Path) -> list[Row]:
    """The newest row of each case, dtype and provider. Raises ValueError for another table."""
    kinds = {field.name: str(field.type) for field in fields(Row)}
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        if reader.fieldnames != list(kinds):
            raise ValueError(f"{path}: not a table of this version; its columns are {reader.fieldnames}")
        found = [Row(**{name: _value(text, kinds[name]) for name, text in line.items()}) for line in reader]
    return list({(row.op, row.size, row.dtype, row.provider): row for row in found}.values())


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.5g}" if isinstance(value, float) else str(value)


def _value(text: str, kind: str) -> Any:
    if kind.startswith("float"):
        return float(text) if text or "None" not in kind else None
    return int(text) if kind == "int" else text


def _bytes(value: Any) -> int:
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    return sum(map(_bytes, value)) if isinstance(value, tuple | list) else 0


def _first(args: tuple[Any, ...]) -> Tensor:
    return next(a for a in args if isinstance(a, Tensor))
