"""`robex table`: boards of several suites by name, and published numbers beside a CSV."""

import io
import shutil

import pandas as pd
import pytest

from benchmark_core.cli.main import main
from benchmark_core.store import Store

PAPER = """\
values:
  - {at: {dataset: wine, defense: Standard}, metric: accuracy, value: '1.0', scale: 0.01, source: Table 2}
claims: []
"""
BOARDS = """\
boards:
  - {name: main, rows: [dataset, defense], metrics: [accuracy], expected: paper.yaml}
  - {name: other, rows: [dataset, defense]}
"""


@pytest.fixture
def two(ran, tmp_path):
    """A store in which a second suite has boards of its own."""
    path = tmp_path / "two"
    shutil.copytree(ran.store, path)
    store = Store(path)
    boards = [
        {"name": "second", "rows": ["dataset", "defense"], "metrics": [], "rank_by": None, "expected": None}
    ]
    store.write_suite("more", {**store.suite("tiny"), "suite": "more", "boards": boards})
    return str(path)


def test_a_board_is_shown_of_the_suites_that_have_it(two, capsys):
    for board, suite in (("second", "more"), ("robustness", "tiny")):
        assert main(["table", two, "--board", board, "--format", "csv"]) == 0
        lines = capsys.readouterr().out.splitlines()[1:]
        assert {tuple(line.split(",")[:3:2]) for line in lines} == {(suite, board)}
    assert main(["table", two, "--board", "robustnes"]) == 2
    assert capsys.readouterr().err == 'no suite has a board called "robustnes"; did you mean "robustness"?\n'
    assert main(["table", two, "--board", "x"]) == 2
    assert capsys.readouterr().err == (
        'no suite has a board called "x"; more has second; tiny has robustness, explanations\n'
    )
    assert main(["table", "more", "--store", two, "--board", "robustness"]) == 2
    assert "suite more has no board called" in capsys.readouterr().err


def test_csv_has_published_numbers(suite, tmp_path, capsys):
    (tmp_path / "paper.yaml").write_text(PAPER)
    suite.write_text(suite.read_text() + BOARDS)
    store = str(tmp_path / "store")
    assert main(["run", str(suite), "--store", store, "--quiet"]) == 0
    capsys.readouterr()
    assert main(["table", "--store", store, "--format", "csv"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    table = pd.read_csv(io.StringIO(out)).set_index(["board", "metric"])
    assert list(table["published"].dropna()) == [
        1.0
    ]  # the other board has the cell too, and nothing beside it
    found = table.loc[[("main", "accuracy")]].iloc[0]
    assert (found["source"], found["unit"]) == ("Table 2", "%")
    assert found["verdict"] in ("differs", "cannot tell")
    assert main(["table", "--store", store, "--format", "csv", "--board", "other"]) == 0
    assert "published" not in capsys.readouterr().out
