"""Ahead-of-time compilation for GPUs that need not be there: no spills, loads and stores of full width."""

import pytest
import torch
from torch._subclasses import FakeTensorMode

from benchmark_core.kernels.cases import Case, all_cases
from benchmark_core.kernels.compiled import TARGETS, compile_op
from benchmark_core.kernels.dispatch import has_triton

pytestmark = pytest.mark.skipif(
    not has_triton(), reason="needs triton: pip install -c constraints.txt '.[kernels]'"
)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("case", all_cases("bench"), ids=str)
def test_registers_suffice_and_loads_are_wide(case: Case, target: int) -> None:
    with FakeTensorMode():  # sizes, no memory
        args = case.args(case.dtypes[0])
        programs = compile_op(case.operation, args, target)
    assert programs
    for program in programs:
        assert program.spilled == 0, program
        assert program.registers < 255, program
    if torch.float32 in case.dtypes and case.flops is None:
        assert max(program.load_bits for program in programs) == 128, programs
