"""Proofs of the Triton programs: each against its reference, over the cases that were made to break it."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch._subclasses import FakeTensorMode

from .cases import Case, converted
from .dispatch import Op, has_triton


def proof_device() -> str | None:
    """Where programs can run: `cuda`, `cpu` under Triton's interpreter (TRITON_INTERPRET=1), else None."""
    if not has_triton():
        return None
    if torch.cuda.is_available():
        return "cuda"
    return "cpu" if os.environ.get("TRITON_INTERPRET") == "1" else None


def prove(case: Case, dtype: torch.dtype, device: str, seed: int = 0) -> None:
    """Raises AssertionError where the program differs from the reference of the same numbers in float32, or
    in the shape, dtype or strides that the operator promises; or where it changes its arguments.

    float32: within the case's tolerances. Half precision: one rounding of the result more.
    """
    if device == "cpu":
        _min_and_max_as_on_a_gpu()
    args = case.args(dtype, device, seed)
    kept = [a.clone() if isinstance(a, Tensor) else a for a in args]
    op = case.operation
    got = _tuple(op.triton(*args))
    for a, b in zip(args, kept, strict=True):
        if isinstance(a, Tensor):
            torch.testing.assert_close(a, b, rtol=0, atol=0, equal_nan=True, msg="an argument was changed")
    for a, b in zip(got, promised(op, args), strict=True):
        assert (a.shape, a.dtype, a.stride()) == (b.shape, b.dtype, b.stride()), (
            f"gave {a.dtype} {tuple(a.shape)}, promised {b.dtype} {tuple(b.shape)}"
        )
    exact = converted(args, torch.float32)
    expected = _tuple(op.reference(*exact))
    if case.same is not None:
        case.same(exact, *((v[0] if len(v) == 1 else v) for v in (got, expected)))
        return
    for a, b in zip(got, expected, strict=True):
        rtol = 1.3e-6 if case.rtol is None else case.rtol
        atol = 1e-5 if case.atol is None else case.atol
        if a.is_floating_point():
            rtol += 0 if a.dtype == torch.float32 else torch.finfo(a.dtype).eps
            a = a.to(b.dtype)
        torch.testing.assert_close(a, b, rtol=rtol, atol=atol, equal_nan=True)


def _min_and_max_as_on_a_gpu() -> None:
    """Of a number and NaN they give the number, unless told; the interpreter's give NaN."""
    builder = importlib.import_module("triton.runtime.interpreter").InterpreterBuilder
    builder.create_minnumf = lambda self, a, b: self.binary_op(a, b, np.fmin)
    builder.create_maxnumf = lambda self, a, b: self.binary_op(a, b, np.fmax)


def promised(op: Op, args: tuple[Any, ...]) -> tuple[Tensor, ...]:
    """What the operator says its results are, without values."""
    with FakeTensorMode() as mode:
        fake = [mode.from_tensor(a) if isinstance(a, Tensor) else a for a in args]
        return _tuple(op.operator(*fake))


def check_operator(case: Case, *, whole: bool) -> None:
    """`torch.library.opcheck` on the CPU: schema and fake; if `whole`, autograd and torch.compile too, with
    gradients for the arguments of a differentiable operation."""
    tests = ["test_schema", "test_faketensor"]
    if whole:
        tests += ["test_autograd_registration", "test_aot_dispatch_dynamic"]
    args = case.args()
    if whole and case.operation.differentiable:
        args = tuple(
            a.requires_grad_() if isinstance(a, Tensor) and a.is_floating_point() else a for a in args
        )
    torch.library.opcheck(case.operation.operator, args, test_utils=tests)


def _tuple(value: Any) -> tuple[Tensor, ...]:
    return value if isinstance(value, tuple) else (value,)


def firsts(cases: list[Case]) -> Iterator[Case]:
    """The first case of each operation."""
    seen: set[str] = set()
    for case in cases:
        if case.op not in seen:
            seen.add(case.op)
            yield case
