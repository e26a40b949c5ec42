"""The kit catches every method that breaks a contract, by the case that is meant for it, and no other."""

import sys
from collections import defaultdict
from pathlib import Path

import pytest

from benchmark_core.testing.cases import CASES
from benchmark_core.testing.kit import Failure, NotRun, collect

FILE = Path(__file__).parents[1] / "toys" / "broken_bench.py"


ITEMS = defaultdict(list)  # method -> its items
for one in collect(FILE):
    ITEMS[one.id.partition("::")[0]].append(one)
BROKEN = sys.modules["broken_bench"].BROKEN


def outcomes(items):
    """case -> message of the items that fail, and the reasons of those that say nothing."""
    failed, skipped = {}, {}
    for item in items:
        case = item.id.partition("::")[2]
        try:
            item.run()
        except Failure as failure:
            failed[case] = str(failure)
        except NotRun as reason:
            skipped[case] = str(reason)
    return failed, skipped


@pytest.mark.parametrize(("method", "case"), BROKEN.items(), ids=BROKEN)
def test_a_broken_method_fails_the_case_meant_for_it(method, case):
    failed, skipped = outcomes(ITEMS[method])
    assert set(failed) == ({case} if case else set())
    if case:
        lines = failed[case].splitlines()
        assert lines[0].startswith(f"{method} breaks a contract: {case}")
        assert [line.split(":")[0].strip() for line in lines[1:]] == ["expected", "happened", "contract"]
        assert "docs/contracts.md#" in lines[-1].partition(". (")[2]
    assert all(reason.endswith(f"see {case}") for reason in skipped.values())


def test_every_case_catches_somebody():
    caught = {case for case in BROKEN.values() if case}
    assert {case.name for case in CASES} - caught == set()
    assert len(caught) >= 20


def test_the_plugin_itself_is_checked():
    assert [i.id for i in ITEMS[f"plugin/{FILE}"]] == [
        f"plugin/{FILE}::loads",
        f"plugin/{FILE}::loads-without-torch",
    ]
    assert outcomes(ITEMS[f"plugin/{FILE}"]) == ({}, {})
