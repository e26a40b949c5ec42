"""`robex kernels`: the operations that methods share, their proofs and their speed."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import RobexError, did_you_mean
from . import output
from .options import json_option, trace_option

if TYPE_CHECKING:
    from ..kernels.bench import Row
    from ..kernels.cases import Case

FOLDER = "results/kernels"
_INSTALL = "pip install -c constraints.txt '.[kernels]'"

ops_argument = click.argument("names", metavar="[OP]...", nargs=-1)
folder_option = click.option(
    "--results", "folder", metavar="DIR", default=FOLDER, show_default=True, help="Where tables are kept."
)


def device_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--device", type=click.Choice(["cpu", "cuda"]), help="Default: cuda where there is one, else cpu."
    )(command)


@click.group("kernels")
def command() -> None:
    """The operations of attacks, explainers and metrics: list, check, compile, bench, report.

    On the CPU an operation is its torch reference, on a GPU its Triton program.
    """


@command.command("list")
@json_option
@trace_option
def list_operations(as_json: bool) -> int:
    """Every operation: how often it is proved and timed, and whether it has a gradient on a GPU."""
    cases = _cases(())
    found = [
        {
            "op": name,
            "proofs": sum(len(c.dtypes) for c in cases if c.op == name and c.use == "proof"),
            "benchmarks": sum(c.op == name and c.use == "bench" for c in cases),
            "gradient": op.differentiable,
        }
        for name, op in sorted(_operations().items())
    ]
    if as_json:
        output.say_json(found)
        return 0
    rows = [[f["op"], str(f["proofs"]), str(f["benchmarks"]), "yes" if f["gradient"] else ""] for f in found]
    for line in output.table([["operation", "proofs", "benchmarks", "gradient"], *rows], right=(1, 2)):
        output.say(line)
    return 0


@command.command("check")
@ops_argument
@json_option
@trace_option
def check(names: tuple[str, ...], as_json: bool) -> int:
    """Prove the Triton programs against their references: compiled on a GPU, interpreted without one.

    Every case in float32, float16 and bfloat16, and every operator under torch.library.opcheck. Exit code 1
    when one fails. Without a GPU about a minute.
    """
    os.environ.setdefault("TRITON_INTERPRET", "0" if _has_cuda() else "1")  # read when Triton is imported
    from ..kernels.proof import check_operator, firsts, proof_device, prove

    device = proof_device()
    if device is None:
        raise RobexError(f"kernels check needs Triton: {_INSTALL}")
    cases = [case for case in _cases(names) if case.use == "proof"]
    failures: list[dict[str, str]] = []
    counts: dict[str, list[int]] = {}

    def attempt(case: Case, what: str, proof: Callable[[], None]) -> None:
        counts.setdefault(case.op, [0, 0])[0] += 1
        try:
            proof()
        except Exception as error:
            counts[case.op][1] += 1
            text = " ".join(str(error).split())
            failures.append({"case": f"{case} {what}", "error": f"{type(error).__name__}: {text}"})
            output.note(f"FAILED {case} {what}: {type(error).__name__}: {output.short(text, 300)}")

    for case in cases:
        for dtype in case.dtypes:
            attempt(case, str(dtype).removeprefix("torch."), lambda c=case, d=dtype: prove(c, d, device))
    for case in firsts(cases):
        attempt(case, "opcheck", lambda c=case: check_operator(c, whole=True))
    where = "compiled for this GPU" if device == "cuda" else "under Triton's interpreter, on the CPU"
    if as_json:
        output.say_json({"device": device, "proofs": counts, "failures": failures})
    else:
        rows = [[name, str(ran), str(failed) if failed else ""] for name, (ran, failed) in counts.items()]
        for line in output.table([["operation", "proofs", "failed"], *rows], right=(1, 2)):
            output.say(line)
        ran = sum(n for n, _ in counts.values())
        output.say(f"{ran - len(failures)} of {ran} proofs hold, {where}")
    return 1 if failures else 0


@command.command("compile")
@ops_argument
@json_option
@trace_option
def compile_programs(names: tuple[str, ...], as_json: bool) -> int:
    """Compile the Triton programs for sm_80 and sm_90, GPU or not: registers, spilled bytes, width of loads.

    Exit code 1 when registers spill.
    """
    from torch._subclasses import FakeTensorMode

    from ..kernels.compiled import TARGETS, compile_op
    from ..kernels.dispatch import has_triton

    if not has_triton():
        raise RobexError(f"kernels compile needs Triton: {_INSTALL}")
    if os.environ.get("TRITON_INTERPRET") == "1":
        raise RobexError("kernels compile: unset TRITON_INTERPRET, which replaces the compiler")
    found = []
    for case in _cases(names):
        if case.use != "bench":
            continue
        for dtype in case.dtypes[:2]:
            with FakeTensorMode():
                args = case.args(dtype)
                reports = [r for target in TARGETS for r in compile_op(case.operation, args, target)]
            found += [{"op": case.op, "size": case.size, "dtype": str(dtype)[6:], **vars(r)} for r in reports]
    if as_json:
        output.say_json(found)
    else:
        heads = list(found[0]) if found else []
        rows = [[str(value) for value in entry.values()] for entry in found]
        for line in output.columns([[h.replace("_", " ") for h in heads], *rows], range(4, len(heads))):
            output.say(line)
    return 1 if any(entry["spilled"] for entry in found) else 0


@command.command("bench")
@ops_argument
@device_option
@click.option("--provider", "providers", multiple=True, help="ours, eager, compile or peer; default: all.")
@click.option("--max-mb", type=float, help="Leave out cases with larger arguments; default: 64 on the CPU.")
@click.option("--threads", type=int, help="Threads of torch on the CPU.")
@folder_option
@json_option
@trace_option
def bench(
    names: tuple[str, ...],
    device: str | None,
    providers: tuple[str, ...],
    max_mb: float | None,
    threads: int | None,
    folder: str,
    as_json: bool,
) -> int:
    """Time the operations and append one row for each that ran to DIR/<device>.csv.

    On a GPU an operation's proofs run first; where one fails nothing is timed, and the exit code is 1.
    """
    import torch

    from ..kernels.bench import PROVIDERS, append, measure

    for provider in providers:
        if provider not in PROVIDERS:
            raise RobexError(f"--provider {provider}: there are {', '.join(PROVIDERS)}")
    device = device or ("cuda" if _has_cuda() else "cpu")
    if device == "cuda" and not _has_cuda():
        raise RobexError("kernels bench --device cuda: torch sees no CUDA device")
    if threads is not None:
        torch.set_num_threads(threads)
    cases = _cases(names)
    broken = _broken(cases) if device == "cuda" else set()
    for name in sorted(broken):
        output.note(f"{name}: a proof fails (robex kernels check {name}); it is not timed")
    rows: list[Row] = []
    timed = [case for case in cases if case.use == "bench" and case.op not in broken]
    limit = None if max_mb is None else round(max_mb * 1e6)
    written: list[Path] = []
    for row in measure(timed, device, providers or PROVIDERS, max_bytes=limit, skipped=output.note):
        written = append([row], Path(folder))
        rows.append(row)
        output.note(f"{row.op} {row.size} {row.dtype} {row.provider}: {row.median_ms:.4g} ms")
    if as_json:
        output.say_json([vars(row) for row in rows])
    else:
        _print(rows)
        if written:
            output.say(f"{len(rows)} rows appended to {written[0]}")
    return 1 if broken else 0


@command.command("report")
@click.argument("table", metavar="[CSV]", required=False, type=click.Path(dir_okay=False, path_type=Path))
@folder_option
@json_option
@trace_option
def report(table: Path | None, folder: str, as_json: bool) -> int:
    """The newest rows of each table as text, and its roofline as an SVG beside it."""
    from ..kernels.bench import read
    from ..kernels.picture import roofline

    tables = [table] if table is not None else sorted(Path(folder).glob("*.csv"))
    if not tables:
        raise RobexError(f"{folder}: no tables; robex kernels bench makes them")
    found: dict[str, list[Row]] = {}
    for path in tables:
        try:
            found[str(path)] = read(path)
        except (ValueError, TypeError) as error:
            raise RobexError(f"{path}: {error}") from error
        path.with_suffix(".svg").write_text(roofline(found[str(path)]), encoding="utf-8")
    if as_json:
        output.say_json({path: [vars(row) for row in rows] for path, rows in found.items()})
        return 0
    for path, rows in found.items():
        output.say(f"{rows[0].device} · torch {rows[0].torch} · {Path(path).with_suffix('.svg')}")
        _print(rows)
    return 0


def _print(rows: Sequence[Row]) -> None:
    heads = ["operation", "size", "dtype", "by", "median", "20 to 80 %", "rate", "of peak", "ours is"]
    table = [
        [
            row.op,
            row.size,
            row.dtype,
            row.provider,
            f"{row.median_ms:.3g} ms",
            f"{row.p20_ms:.3g} to {row.p80_ms:.3g}",
            f"{row.gb_s:.3g} GB/s" if row.tflop_s is None else f"{row.tflop_s:.3g} TFLOP/s",
            f"{row.share:.0%}",
            "" if row.provider == "ours" or row.over_ours is None else f"{row.over_ours:.2f}x",
        ]
        for row in rows
    ]
    for line in output.columns([heads, *table], right=(4, 5, 6, 7, 8)):
        output.say(line)


def _broken(cases: Sequence[Case]) -> set[str]:
    """The operations with a proof that fails on the GPU."""
    from ..kernels.proof import prove

    broken: set[str] = set()
    for case in cases:
        if case.use == "proof" and case.op not in broken:
            for dtype in case.dtypes:
                try:
                    prove(case, dtype, "cuda")
                except Exception as error:
                    output.note(f"{case} {dtype}: {type(error).__name__}: {output.short(str(error), 300)}")
                    broken.add(case.op)
                    break
    return broken


def _cases(names: Sequence[str]) -> list[Case]:
    """The cases of these operations; of all where none is named."""
    from ..kernels.cases import all_cases

    cases = all_cases()
    known = set(_operations())
    for name in names:
        if name not in known:
            raise RobexError(f'no operation is called "{name}"{did_you_mean(name, known)}')
    return [case for case in cases if not names or case.op in names]


def _operations() -> dict[str, Any]:
    from ..kernels.cases import all_cases
    from ..kernels.dispatch import OPS

    all_cases()
    return OPS


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()
