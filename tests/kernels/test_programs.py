"""The Triton programs in a process of their own: compiled on a GPU, elsewhere under the interpreter, which
TRITON_INTERPRET=1 asks for before Triton is imported."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmark_core.kernels.cases import all_cases
from benchmark_core.kernels.dispatch import has_triton


@pytest.mark.timeout(1800)
@pytest.mark.skipif(not has_triton(), reason="needs triton: pip install -c constraints.txt '.[kernels]'")
def test_every_program_equals_its_reference():
    programs = Path(__file__).with_name("programs.py")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:randomly", programs]
    interpreted = "0" if torch.cuda.is_available() else "1"
    env = os.environ | {"TRITON_INTERPRET": interpreted, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) == sum(len(case.dtypes) for case in all_cases("proof"))
