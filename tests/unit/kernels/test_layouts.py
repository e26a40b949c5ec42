"""Every operation on tensors that do not lie in one piece: slices, transposed storage, expanded samples."""

import pytest
import torch
from torch import Tensor

from benchmark_core.kernels.cases import Case, all_cases

CASES = [case for case in all_cases("proof") if "-" not in case.size or case.op.startswith(("knn", "prox"))]
CASES = [case for case in CASES if all(a.numel() for a in case.args() if isinstance(a, Tensor))]


def sliced(t: Tensor) -> Tensor:
    """The same numbers, every other one of a larger tensor."""
    return torch.stack([t, torch.zeros_like(t)], -1)[..., 0]


def transposed(t: Tensor) -> Tensor:
    """The same numbers, the last two dimensions in the other order."""
    return t.mT.contiguous().mT if t.ndim > 1 else t


def expanded(t: Tensor) -> Tensor:
    """The first of them for all, at one place in memory."""
    return t[:1].expand(t.shape) if t.ndim else t


@pytest.mark.parametrize("layout", [sliced, transposed, expanded])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_layout_of_memory_changes_nothing(case: Case, layout) -> None:
    args = case.args()
    laid = tuple(layout(a) if isinstance(a, Tensor) else a for a in args)
    whole = tuple(
        a.clone(memory_format=torch.contiguous_format) if isinstance(a, Tensor) else a for a in laid
    )
    found, expected = case.operation(*laid), case.operation(*whole)
    torch.testing.assert_close(found, expected, equal_nan=True)
    for result in found if isinstance(found, tuple) else (found,):
        result.add_(1)  # results lie in memory of their own
    for a, b in zip(laid, whole, strict=True):
        if isinstance(a, Tensor):
            torch.testing.assert_close(a, b, rtol=0, atol=0, equal_nan=True)
