"""Columns in one piece say what their rows say one by one, from the index as from the nodes."""

import json

import numpy as np
import pytest

from benchmark_core.board import boards_of, make_board, render
from benchmark_core.board.cells import Reader
from benchmark_core.board.moments import Kept
from benchmark_core.board.pairs import compare_kept
from benchmark_core.board.scores import Scores, Stacked
from benchmark_core.board.statistics import estimate_column


@pytest.mark.parametrize("kind", ["score", "bernoulli", "conditional"])
@pytest.mark.parametrize("seeds", [1, 3, "equal"])
def test_a_column_in_one_piece_is_its_rows(kind, seeds):
    rng = np.random.default_rng(3)
    y = rng.normal(size=(6, 3 if seeds == "equal" else seeds, 40)) + rng.normal(size=(6, 1, 1))
    if seeds == "equal":
        y[:] = y[:, :1]
    y = (y > 0).astype(float) if kind == "bernoulli" else y
    valid = np.isfinite(y) if kind == "conditional" else None
    if valid is not None:
        valid[2, :, :9] = False
    if kind != "bernoulli":
        y[4, :, 20] = np.nan
    whole = Stacked(y, valid, 40)
    rows = [
        Scores(list(v), [None] * len(v) if valid is None else list(valid[i]), 40) for i, v in enumerate(y)
    ]
    kept = Kept(range(6)), Kept(range(6))
    found, expected = (estimate_column(c, kind, kept=k) for c, k in zip((whole, rows), kept, strict=True))
    assert found == expected
    ranked = [i for i, (estimate, _) in enumerate(found) if estimate.state == "ok"]
    one, other = (compare_kept(k, ranked, kind) for k in kept)
    assert one is not None
    np.testing.assert_array_equal(one.p_holm, other.p_holm)


def fill(made, shares, lacking=None):
    for d, defense in enumerate(("Standard", "AT", "TRADES")):
        for seed in range(made.seeds):
            for a, attack in enumerate(("fgsm", "pgd")):
                values = shares(0.8 - 0.2 * d - 0.1 * a, seed=9 * d + 3 * a + seed)
                if (d, seed, attack) == lacking:
                    values = None
                made.add(
                    values,
                    np.arange(100),
                    metric="robust-accuracy",
                    seed=seed,
                    defense=defense,
                    attack=attack,
                )
                distance = np.random.default_rng(9 * d + 3 * a + seed).random(600)  # too large for the index
                made.add(distance, metric="distance", seed=seed, defense=defense, attack=attack)


@pytest.mark.parametrize("lacking", [None, (1, 0, "pgd")])
def test_a_board_of_held_columns_is_the_board_of_the_nodes(made, shares, lacking):
    fill(made, shares, lacking)
    board = boards_of(made.manifest)[0]
    first, again, third = (render([make_board(made.store, made.manifest, board)], "json") for _ in range(3))
    assert first == again == third
    columns = json.loads(first)[0]["blocks"][0]["columns"]
    assert [c["at"]["attack"] for c in columns] == ["worst of 2", "fgsm", "pgd", "fgsm", "pgd"]


@pytest.mark.parametrize("change", ["nothing", "gone", "written anew", "other bytes"])
def test_a_column_is_whole_until_one_of_its_files_changes(made, shares, change):
    fill(made, shares)
    make_board(made.store, made.manifest, boards_of(made.manifest)[0])
    cells = [c for c in made.cells if c[0]["metric"] == "distance" and c[0]["attack"] == "pgd"]
    keys = [tuple(c[1] for c in cells[at : at + 3]) for at in (0, 3, 6)]
    selections = [tuple(c[2] for c in cells[at : at + 3]) for at in (0, 3, 6)]
    file = made.store.folder(keys[1][2]) / "result.safetensors"
    data = file.read_bytes()
    if change == "gone":
        file.unlink()
    elif change == "written anew":
        file.unlink()
        file.write_bytes(data)
    elif change == "other bytes":
        file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    reader = Reader(made.store)
    found = reader.column(keys, selections)
    if change == "nothing":
        assert found is not None
        for row, of_row in zip(found, zip(keys, selections, strict=True), strict=True):
            np.testing.assert_array_equal(row.values, reader.row(*of_row).values)
    else:
        assert found is None
        lost = change != "written anew"
        assert [v is None for v in reader.row(keys[1], selections[1]).values] == [False, False, lost]
    reader.close()
