"""Every Triton program against its reference, in each dtype. On a GPU they run compiled; without one under
the interpreter, which `test_programs.py` starts in a process of its own:

    TRITON_INTERPRET=1 pytest tests/kernels/programs.py
"""

import pytest

from benchmark_core.kernels.cases import Case, all_cases
from benchmark_core.kernels.proof import proof_device, prove

CASES = all_cases("proof")

pytestmark = [
    pytest.mark.skipif(proof_device() is None, reason="needs triton, and a GPU or TRITON_INTERPRET=1"),
    pytest.mark.filterwarnings("ignore:.* encountered:RuntimeWarning"),  # masked lanes and NaN, in numpy
]


@pytest.mark.parametrize(
    ("case", "dtype"),
    [
        pytest.param(case, dtype, id=f"{case}-{str(dtype).removeprefix('torch.')}")
        for case in CASES
        for dtype in case.dtypes
    ],
)
def test_equals_the_reference(case: Case, dtype) -> None:
    device = proof_device()
    assert device is not None
    prove(case, dtype, device)
