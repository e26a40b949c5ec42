"""The operations at the sizes that proofs and benchmarks use: one table for the tests, `robex kernels` and
`make bench`. Every file of this folder lists the cases of one family as CASES."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from ..dispatch import OPS, Op

HALVES = (torch.float16, torch.bfloat16)
DTYPES = (torch.float32, *HALVES)


@dataclass(frozen=True)
class Case:
    """One operation at one size.

    op: its name in OPS. size: what the tables call it, such as 256x3072.
    make: the arguments of the Op, float32 on the CPU, from a generator.
    use: `proof` is small (under 100 programs, odd sizes, ties, zeros, infinities), `bench` fills a device.
    dtypes: the float types that it is tried in; float tensors of the arguments are converted.
    rtol, atol: Triton may differ by so much from the reference in float32; half precision may differ from the
        reference of the same numbers in float32 by two roundings more. None: torch.testing's defaults.
    same: (args, got, expected) raises AssertionError where got is wrong; instead of the tolerances, for
        results that are not unique.
    flops: (args) -> floating-point operations, for operations that computing bounds. Left out: memory bounds
        it, and what counts is every byte of arguments and results once.
    peer: another library's name, and (args) -> a function without arguments that computes the same.
    """

    op: str
    size: str
    make: Callable[[torch.Generator], tuple[Any, ...]]
    use: Literal["proof", "bench"] = "proof"
    dtypes: tuple[torch.dtype, ...] = DTYPES
    rtol: float | None = None
    atol: float | None = None
    same: Callable[[tuple[Any, ...], Any, Any], None] | None = None
    flops: Callable[[tuple[Any, ...]], float] | None = None
    peer: tuple[str, Callable[[tuple[Any, ...]], Callable[[], Any]]] | None = None

    def __str__(self) -> str:
        return f"{self.op}-{self.size}"

    @property
    def operation(self) -> Op:
        return OPS[self.op]

    def args(
        self, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu", seed: int = 0
    ) -> tuple[Any, ...]:
        return converted(self.make(torch.Generator().manual_seed(seed)), dtype, device)


def converted(
    args: Iterable[Any], dtype: torch.dtype, device: torch.device | str | None = None
) -> tuple[Any, ...]:
    """Float tensors in `dtype`, every tensor on `device`."""

    def convert(a: Any) -> Any:
        if not isinstance(a, Tensor):
            return a
        return a.to(device=device, dtype=dtype if a.is_floating_point() else a.dtype)

    return tuple(map(convert, args))


def all_cases(use: Literal["proof", "bench"] | None = None) -> list[Case]:
    """Every case of every file here."""
    found = []
    for module in sorted(m.name for m in pkgutil.iter_modules(__path__)):
        found += importlib.import_module(f"{__name__}.{module}").CASES
    return [case for case in found if use in (None, case.use)]
