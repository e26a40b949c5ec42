"""Ahead-of-time compilation of the programs, for GPUs that need not be there: the launches that an operation
would make are recorded and compiled by Triton and ptxas, which tell registers, spills and width of loads."""

from __future__ import annotations

import importlib
import importlib.util
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .dispatch import Launch, Op, recorded

TARGETS = (80, 90)
"""Compute capabilities: Ampere (A100) and Hopper (H100, H200)."""

_TYPES = {
    torch.float32: "*fp32",
    torch.float16: "*fp16",
    torch.bfloat16: "*bf16",
    torch.float64: "*fp64",
    torch.int32: "*i32",
    torch.int64: "*i64",
    torch.uint8: "*u8",
    torch.int8: "*i8",
    torch.int16: "*i16",
    torch.bool: "*i1",
}


@dataclass(frozen=True)
class Report:
    """What the compilers made of one program.

    registers: a thread; spilled: bytes a thread stored and loaded for want of them; shared: bytes of shared
    memory a block. load_bits, store_bits: the widest access to device memory, 128 at best.
    """

    program: str
    target: int
    warps: int
    registers: int
    spilled: int
    shared: int
    load_bits: int
    store_bits: int


def compile_op(op: Op, args: tuple[Any, ...], target: int) -> list[Report]:
    """Compile every program that op.triton(*args) launches, each once, for sm_<target>."""
    with recorded(op) as launches:
        op.triton(*args)
    found = {}
    for launch in launches:
        report = _compile(launch, target)
        found.setdefault((report.program, report), report)
    return list(found.values())


def _compile(launch: Launch, target: int) -> Report:
    triton = importlib.import_module("triton")
    source = importlib.import_module("triton.compiler").ASTSource(launch.program, *_signature(launch))
    gpu = importlib.import_module("triton.backends.compiler").GPUTarget("cuda", target, 32)
    names = set(launch.program.arg_names)
    options = {name: value for name, value in launch.options.items() if name not in names}
    made = triton.compile(source, target=gpu, options=options)
    ptx = made.asm["ptx"]
    registers, spilled = _resources(ptx)
    return Report(
        launch.program.fn.__name__,
        target,
        made.metadata.num_warps,
        registers,
        spilled,
        made.metadata.shared,
        _width(ptx, "ld"),
        _width(ptx, "st"),
    )


def _signature(launch: Launch) -> tuple[dict[str, str], dict[str, Any], dict[tuple[int], Any]]:
    """Types, constants and alignments, as Triton would find them at the launch."""
    given = dict(zip(launch.program.arg_names, launch.args, strict=False)) | launch.options
    types, constants, attributes = {}, {}, {}
    for place, parameter in enumerate(launch.program.params):
        value, aligned = given[parameter.name], False
        if parameter.is_constexpr or (type(value) is int and value == 1):
            types[parameter.name], constants[parameter.name] = "constexpr", value
        elif isinstance(value, Tensor):
            types[parameter.name], aligned = _TYPES[value.dtype], True  # torch aligns to 512 bytes
        elif isinstance(value, int):
            types[parameter.name] = "i32" if -(2**31) <= value < 2**31 else "i64"
            aligned = value % 16 == 0
        else:
            types[parameter.name] = "fp32"
        if aligned:
            attributes[place,] = [["tt.divisibility", 16]]
    return types, constants, attributes


def _resources(ptx: str) -> tuple[int, int]:
    """(registers, bytes spilled) by the ptxas that Triton brings; of two the one that knows this PTX."""
    spec = importlib.util.find_spec("triton.backends.nvidia")
    assert spec is not None
    assert spec.origin is not None
    target = re.search(r"^\.target (\w+)", ptx, re.MULTILINE)
    assert target is not None
    said = ""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "program.ptx"
        path.write_text(ptx)
        for ptxas in sorted((Path(spec.origin).parent / "bin").glob("ptxas*")):
            command = [ptxas, "-v", f"--gpu-name={target[1]}", path, "-o", path.with_suffix(".cubin")]
            said = subprocess.run(command, capture_output=True, text=True, check=False).stderr
            if registers := re.search(r"Used (\d+) registers", said):
                return int(registers[1]), sum(int(n) for n in re.findall(r"(\d+) bytes spill", said))
    raise RuntimeError(f"ptxas says nothing about registers: {said.strip()}")


def _width(ptx: str, kind: str) -> int:
    """Bits of the widest ld.global or st.global."""
    found = re.findall(rf"{kind}\.global(?:\.\w+(?:::\w+)?)*?(?:\.v(\d))?\.[bfsu](\d+)", ptx)
    return max((int(vector or 1) * int(bits) for vector, bits in found), default=0)
