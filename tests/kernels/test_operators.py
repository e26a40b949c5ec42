"""The operators `torch.ops.robex.<op>` on the CPU: schema, fake, autograd and torch.compile."""

import pytest
import torch

from benchmark_core.kernels.cases import Case, all_cases
from benchmark_core.kernels.dispatch import OPS
from benchmark_core.kernels.proof import check_operator, firsts

CASES = all_cases("proof")
FIRSTS = list(firsts(CASES))


def test_every_operation_has_cases_to_prove_and_to_time():
    assert {case.op for case in CASES} == set(OPS)
    assert {case.op for case in all_cases("bench")} == set(OPS)


@pytest.mark.parametrize("case", FIRSTS, ids=str)
def test_opcheck(case: Case) -> None:
    check_operator(case, whole=True)


@pytest.mark.parametrize("case", [case for case in CASES if case not in FIRSTS], ids=str)
def test_schema_and_fake(case: Case) -> None:
    check_operator(case, whole=False)


@pytest.mark.parametrize("case", FIRSTS, ids=str)
def test_the_operator_is_the_reference_on_the_cpu(case: Case) -> None:
    torch.testing.assert_close(
        case.operation.operator(*case.args()), case.operation(*case.args()), rtol=0, atol=0
    )
