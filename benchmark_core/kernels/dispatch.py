"""How operations find their code: the torch reference on CPU, a Triton program on CUDA, and one operator
`torch.ops.robex.<name>` for both, which torch.compile takes as it is. Triton is imported when a program is
first needed, never on CPU.

A file of this folder declares an operation so (`tl` and the programs become Triton's at first use):

    from .dispatch import EXACT, Op, blocks, jit, tl

    def scale(x: Tensor, s: float) -> Tensor:          # what methods call
        \"\"\"s x. x: any shape.\"\"\"
        return _SCALE(x, s)

    def _scale(x: Tensor, s: float) -> Tensor:         # the reference; its annotations make the schema
        return x * s

    @jit
    def _scale_program(x, out, s, n, BLOCK: tl.constexpr):
        i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
        a = tl.load(x + i, mask=i < n).to(tl.float32)
        tl.store(out + i, (a * s).to(out.dtype.element_ty), mask=i < n)

    def _scale_triton(x: Tensor, s: float) -> Tensor:  # the same signature; tensors arrive contiguous
        out = torch.empty_like(x)
        if x.numel():
            _scale_program[blocks(x.numel(), 1024)](x, out, s, x.numel(), BLOCK=1024, **EXACT)
        return out

    _SCALE = Op("scale", _scale, _scale_triton)
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor


class _Later(type):
    def __getattr__(cls, name: str) -> Any:
        raise RuntimeError(f"tl.{name} outside a Triton program")


class tl(metaclass=_Later):
    """Stands for `triton.language` in a file of programs until one is needed."""

    constexpr: TypeAlias = Any


OPS: dict[str, Op] = {}
"""Every operation whose file was imported, by name."""


class jit:
    """`triton.jit` that waits until the program is needed."""

    def __init__(self, program: Callable[..., Any]) -> None:
        self.program = program

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]:
        raise RuntimeError(f"{self.program.__name__} is launched through an Op, which loads Triton first")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Only for type checkers: programs call each other inside Triton alone."""
        raise RuntimeError(f"{self.program.__name__} runs inside a Triton program")


@functools.cache
def has_triton() -> bool:
    return importlib.util.find_spec("triton") is not None


def load_programs(names: dict[str, Any]) -> None:
    """Make the programs among a module's names, and its `tl`, those of Triton."""
    if not any(isinstance(value, jit) for value in names.values()):
        return
    triton = importlib.import_module("triton")  # by name: type checkers run without Triton too
    names["tl"] = importlib.import_module("triton.language")
    for name, value in list(names.items()):
        if isinstance(value, jit):
            home = sys.modules[value.program.__module__].__dict__
            if home is not names:  # shared by several files: one program for all of them
                load_programs(home)
                names[name] = home[value.program.__name__]
            else:
                names[name] = triton.jit(value.program)


EXACT = {"enable_fp_fusion": False}
FUSED = {"enable_fp_fusion": True}
"""Options that every launch states: EXACT rounds after each operation, as torch does, and costs nothing where
memory bounds; FUSED makes a * b + c one operation."""


def blocks(n: int, block: int) -> tuple[int, ...]:
    """The grid of programs that take `block` elements each."""
    return (-(-n // block),)


def next_power_of_2(n: int) -> int:
    return 1 << (n - 1).bit_length() if n > 1 else 1


def work_dtype(x: Tensor) -> torch.dtype:
    """What references compute in: float32 for half precision."""
    return torch.float32 if x.dtype in (torch.float16, torch.bfloat16) else x.dtype


def row_tile(features: int) -> dict[str, Any]:
    """Launch options of a program that holds whole rows in registers: ROWS of BLOCK >= features, 8
    elements a thread."""
    block = max(16, next_power_of_2(features))
    rows = max(1, 1024 // block)
    return {"ROWS": rows, "BLOCK": block, "num_warps": min(max(rows * block // 256, 1), 32), **EXACT}


def periodic(x: Tensor, *bounds: Tensor) -> tuple[Any, ...]:
    """Tensors that broadcast against x, as contiguous ones of one length, and that length, the period:
    element i of x meets element i % period of theirs. What differs between samples takes the size of x."""
    shape: tuple[int, ...] = ()
    if any(b.numel() != 1 for b in bounds):
        whole = any(b.ndim == x.ndim and b.shape[0] != 1 for b in bounds)
        shape = tuple(x.shape if whole else x.shape[1:])
    same = [b.reshape(b.shape[max(0, b.ndim - len(shape)) :]).expand(shape).contiguous() for b in bounds]
    return *same, max(1, math.prod(shape))


@jit
def periodic_index(start, j, period):
    """(start + j) % period, with one 64-bit division a program where the period has 31 bits."""
    first = (start % period).to((tl.full((), 0, tl.int32) + period).dtype)
    return (first + j) % period


@jit
def clip(x, low, high):
    """x in [low, high]. NaN stays NaN, which a GPU's max and min drop unless they are told."""
    x = tl.maximum(x, low, propagate_nan=tl.PropagateNan.ALL)
    return tl.minimum(x, high, propagate_nan=tl.PropagateNan.ALL)


class Op:
    """An operation: its reference, its Triton program and its operator `torch.ops.robex.<name>`.

    reference: the truth, in torch. Its annotations (Tensor, int, float, bool, str, lists of them) make the
        operator's schema.
    triton: same signature; allocates the result and launches the program. Tensors arrive contiguous and in
        float32, float16 or bfloat16; float64 and machines without Triton use the reference.
    fake: same signature; the result's shape and dtype without its values, contiguous. Left out: as the first
        argument.
    backward: (args, output, *grad_outputs) -> a gradient or None for each argument; `reference_backward`
        differentiates the reference. Left out: no gradient.
    cpu: same signature and result; what CPU tensors take where a library beats the reference. Left out: the
        reference.

    Calling it takes `cpu` on CPU (no operator between, autograd as it is), the operator else.
    The operator's results never share memory with its arguments.
    """

    def __init__(
        self,
        name: str,
        reference: Callable[..., Any],
        triton: Callable[..., Any],
        *,
        fake: Callable[..., Any] | None = None,
        backward: Callable[..., tuple[Any, ...]] | None = None,
        cpu: Callable[..., Any] | None = None,
    ) -> None:
        if name in OPS:
            raise ValueError(f"there is an operation {name!r} already")
        OPS[name] = self
        self.name, self.reference, self.launch = name, reference, triton
        self.cpu = cpu or reference
        self.operator = torch.library.custom_op(
            f"robex::{name}", reference, mutates_args=(), device_types="cpu"
        )
        self.operator.register_kernel("cuda")(self._on_cuda)
        self.operator.register_fake(fake or _like_first)
        self.differentiable = backward is not None
        if backward is not None:
            self._register_backward(backward)

    def __call__(self, *args: Any) -> Any:
        if not any(isinstance(a, Tensor) and a.is_cuda for a in args):
            return self.cpu(*args)
        return self.operator(*(a.contiguous() if isinstance(a, Tensor) else a for a in args))

    def triton(self, *args: Any) -> Any:
        """The Triton program on any device: for proofs, under TRITON_INTERPRET=1 on CPU too."""
        load_programs(self.launch.__globals__)
        first = next(a for a in args if isinstance(a, Tensor))
        with torch.cuda.device_of(first):
            return self.launch(*args)

    def _on_cuda(self, *args: Any) -> Any:
        exact = any(isinstance(a, Tensor) and a.dtype == torch.float64 for a in args)
        return self.reference(*args) if exact or not has_triton() else self.triton(*args)

    def _register_backward(self, backward: Callable[..., tuple[Any, ...]]) -> None:
        if backward is reference_backward:
            backward = functools.partial(reference_backward, self.reference)

        def setup(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
            outputs = output if isinstance(output, tuple) else (output,)
            tensors = [a for a in inputs if isinstance(a, Tensor)]
            ctx.save_for_backward(*tensors, *outputs)
            ctx.rest = [None if isinstance(a, Tensor) else (a,) for a in inputs]
            ctx.single = not isinstance(output, tuple)

        def apply(ctx: Any, *grads: Any) -> tuple[Any, ...]:
            saved = iter(ctx.saved_tensors)
            args = tuple(next(saved) if a is None else a[0] for a in ctx.rest)
            outputs = tuple(saved)
            return backward(args, outputs[0] if ctx.single else outputs, *grads)

        self.operator.register_autograd(apply, setup_context=setup)


def _like_first(x: Tensor, *rest: Any) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def reference_backward(
    reference: Callable[..., Any], args: tuple[Any, ...], output: Any, *grads: Any
) -> tuple[Any, ...]:
    """The gradient by running the reference again under autograd."""
    leaf = [isinstance(a, Tensor) and a.is_floating_point() for a in args]
    with torch.enable_grad():
        again = [a.detach().requires_grad_() if is_leaf else a for a, is_leaf in zip(args, leaf, strict=True)]
        outputs = reference(*again)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    wanted = [(o, g) for o, g in zip(outputs, grads, strict=True) if g is not None and o.requires_grad]
    inputs = [a for a, is_leaf in zip(again, leaf, strict=True) if is_leaf]
    found = iter(
        torch.autograd.grad([o for o, _ in wanted], inputs, [g for _, g in wanted], allow_unused=True)
    )
    return tuple(next(found) if is_leaf else None for is_leaf in leaf)


@dataclass(frozen=True)
class Launch:
    """One launch of a program, as its launcher wrote it."""

    program: Any
    grid: tuple[int, ...]
    args: tuple[Any, ...]
    options: dict[str, Any]


@contextmanager
def recorded(op: Op) -> Iterator[list[Launch]]:
    """Inside, `op.triton` lists what it would launch and launches nothing; results hold no values."""
    triton = importlib.import_module("triton")
    load_programs(op.launch.__globals__)
    found: list[Launch] = []
    programs = [p for p in op.launch.__globals__.values() if isinstance(p, triton.JITFunction)]

    def recorder(program: Any) -> Callable[..., None]:
        def run(*args: Any, grid: tuple[int, ...], warmup: bool, **options: Any) -> None:
            found.append(Launch(program, grid, args, options))

        return run

    try:
        for program in programs:
            program.run = recorder(program)
        yield found
    finally:
        for program in programs:
            del program.run
