"""Manifests and records that somebody else sealed: each wrong entry is one line that says where it stands."""

import copy
import hashlib
import json
import os
import subprocess
import sys
import time

import pytest

from benchmark_core.errors import RobexError
from benchmark_core.store import DamagedNode, Store
from benchmark_core.store.index import FILE, Index
from benchmark_core.store.shapes import Misshapen, check_manifest, check_tensors
from benchmark_core.store.store import _signed

KEYS = [f"{i:064x}" for i in range(4)]
MANIFEST = {
    "suite": "s", "version": 1, "file": "s.yaml", "digest": "d", "overrides": {}, "source": [["s.yaml", ""]],
    "seeds": 2, "labels": {"dataset": ["d"], "model": ["m"], "defense": ["a", "b"], "attack": ["fgsm"]},
    "metrics": {"accuracy": {
        "name": "accuracy", "unit": "%", "direction": "higher", "range": [0.0, 1.0], "scores": "bernoulli",
        "consumes": ["prediction"],
    }},
    "boards": [{"name": "main", "rows": ["dataset", "defense"], "metrics": [], "rank_by": None,
                "expected": None}],
    "nodes": KEYS,
    "cells": {
        "at": {"dataset": [["d"], [0, 0]], "model": [["m"], [0, 0]], "defense": [["a", "b"], [0, 1]],
               "seed": [[0], [0, 0]], "metric": [["accuracy"], [0, 0]]},
        "key": KEYS[:2], "selection": [[KEYS[2]], [0, 0]], "result": [["", KEYS[3]], [0, 1]],
    },
}  # fmt: skip


def changed(at, new):
    manifest = copy.deepcopy(MANIFEST)
    *path, last = at
    place = manifest
    for part in path:
        place = place[part]
    if new is KeyError:
        del place[last]
    else:
        place[last] = new
    return manifest


def test_both_forms_of_the_cells_are_taken():
    check_manifest(MANIFEST)
    listed = [
        [{"dataset": "d", "model": "m", "defense": "a", "seed": 0, "metric": "accuracy"}, KEYS[0], KEYS[2]]
    ]
    check_manifest({**MANIFEST, "cells": listed})  # as they were written once
    check_manifest({**MANIFEST, "cells": []})


@pytest.mark.parametrize(
    ("at", "new", "says"),
    [
        (["suite"], None, "suite is None, not a text"),
        (["boards", 0, "rows"], 7, "boards[0].rows is 7, not a list"),
        (["boards", 0, "rows"], ["dataset"], "boards[0].rows tell no rows apart"),
        (["boards", 0, "rows"], ["seed"], "boards[0].rows[0] is 'seed', not one of dataset, model"),
        (["boards", 0, "expected"], "e.yaml", "boards[0].expected_text is missing"),
        (["boards"], MANIFEST["boards"] * 2, "boards have a name twice"),
        (["metrics", "accuracy", "unit"], KeyError, "metrics.accuracy.unit is missing"),
        (["metrics", "accuracy", "direction"], "up", "metrics.accuracy.direction is 'up', not one of"),
        (["metrics", "accuracy", "range"], [0], "metrics.accuracy.range is a list, not two numbers"),
        (["metrics", "accuracy", "range"], [10**400, 0], "metrics.accuracy.range[0] is 1000"),
        (["seeds"], 2**64, "seeds is 18446744073709551616, not a whole number"),
        (["version"], True, "version is True, not a whole number"),
        (["labels", "defense"], ["a"], "cells.at.defense holds 'b', which labels do not"),
        (["metrics"], {}, "metrics.accuracy is missing"),
        (["nodes", 1], "../../../etc", "nodes[1] is '../../../etc', not a key"),
        (["cells", "key", 1], "../" * 20 + "....", "cells.key[1] is '../../"),
        (["cells", "key", 1], KEYS[1][:-1] + "\n", "cells.key[1] is '0000"),
        (["cells", "key", 0], KEYS[0][:-2] + "\0\x1b", "not a key (64 hexadecimal digits)"),
        (["cells", "selection"], [[KEYS[2]], [0, 1]], "not 2 places in a list of 1"),
        (["cells", "selection"], [[KEYS[2]], [0, -1]], "cells.selection is missing for some cells"),
        (["cells", "at", "seed"], KeyError, "cells.at.seed is missing"),
        (["cells", "at", "defense", 1], [0, True], "not 2 places in a list of 2"),
        (["cells"], [[{}, 1]], "cells[0] is a list, not coordinates and keys"),
        (["file"], ["\x1b[31m"] * 10**4, "file is a list, not a text"),
    ],
)  # fmt: skip
def test_a_wrong_entry_of_a_manifest(tmp_path, at, new, says):
    store = Store(tmp_path / "store")
    store.write_suite("s", changed(at, new))
    with pytest.raises(RobexError) as told:
        store.suite("s")
    assert says in str(told.value)
    assert str(told.value).endswith("; run the suite again (no result is lost)")
    assert "\n" not in str(told.value)
    assert "\x1b" not in str(told.value)


def test_many_cells_are_looked_at_at_once():
    n = 200_000
    manifest = copy.deepcopy(MANIFEST)
    cells = manifest["cells"]
    cells["at"] = {name: [values, [0] * n] for name, (values, _) in cells["at"].items()}
    cells |= {"key": [f"{i:064x}" for i in range(n)], "selection": [[KEYS[2]], [0] * n]}
    cells["result"] = [cells["key"], list(range(n))]
    check_manifest(manifest)
    cells["key"][-1] = "x" * 64
    with pytest.raises(Misshapen, match=rf"cells.key\[{n - 1}\] is 'xxx"):
        check_manifest(manifest)


def written(store, **fields):
    import torch

    from benchmark_core.interfaces import Scores

    record = {
        "key": KEYS[0], "stage": "measure", "title": "t", "where": {"metric": "accuracy"}, "identity": {},
        "suite": {"name": "s"}, "cost": {"total_seconds": 1.0}, "created": "2026-01-01",
    }  # fmt: skip
    store.write(record, Scores(torch.zeros(3)))
    file = store.folder(KEYS[0]) / "record.json"
    stored = json.loads(file.read_text())
    del stored["checksum"]
    file.write_bytes(_signed({**stored, **fields}))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"cost": {"total_seconds": 10**30}}, "cost.total_seconds is 1000"),
        ({"cost": {"total_seconds": float("nan")}}, "cost.total_seconds is nan"),
        ({"title": ["\x1b[31m"]}, "title is a list, not a text"),
        ({"identity": {"method": 7}}, "identity.method is 7, not an object"),
        ({"inputs": {"task": "../../secret"}}, "inputs[0] is '../../secret', not a key"),
        ({"environment": {"packages": 7}}, "environment.packages is 7"),
        ({"artifacts": []}, "artifacts is a list, not an object"),
    ],
)
def test_a_wrong_entry_of_a_record(tmp_path, fields, says):
    store = Store(tmp_path / "store")
    written(store, **fields)
    with pytest.raises(DamagedNode) as told:
        store.record(KEYS[0])
    assert says in str(told.value)
    assert "\n" not in str(told.value)
    index = Index(store)
    assert (index.rows(), index.damaged) == ([], [KEYS[0]])
    index.close()


def test_what_is_missing_is_told_where_all_is_shown(tmp_path):
    store = Store(tmp_path / "store")
    written(store)
    assert store.record(KEYS[0])["title"] == "t"
    with pytest.raises(DamagedNode, match="inputs is missing"):
        store.record(KEYS[0], whole=True)


@pytest.mark.parametrize("data", [b"", b"\xff" * 100, b"[" * 300_000], ids=["empty", "noise", "deep"])
def test_a_result_that_is_none(tmp_path, data):
    store = Store(tmp_path / "store")
    digest = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    written(store, artifacts={"result.safetensors": digest})
    (store.folder(KEYS[0]) / "result.safetensors").write_bytes(data)
    with pytest.raises(DamagedNode, match="holds no result"):
        store.tensors(KEYS[0], numpy=True)


def test_scores_are_a_list_of_numbers():
    import numpy as np

    check_tensors("measure", {"values": np.zeros(3), "valid": np.zeros(3, bool)})
    for tensors in (
        {}, {"values": np.zeros((3, 1))}, {"values": np.zeros(3), "valid": np.zeros(2, bool)},
        {"values": np.zeros(3), "valid": np.zeros(3)}, {"values": np.zeros(3, complex)},
    ):  # fmt: skip
        with pytest.raises(Misshapen):
            check_tensors("measure", tensors)


@pytest.mark.parametrize("text", ["[" * 100_000, "[]", "7", '{"format": null}'])
def test_a_marker_of_another_kind(tmp_path, text):
    (tmp_path / "store.json").write_text(text)
    with pytest.raises(RobexError, match="unreadable"):
        Store(tmp_path)


def test_a_node_that_is_a_file_is_damaged(tmp_path):
    store = Store(tmp_path / "store")
    store.folder(KEYS[0]).parent.mkdir(parents=True)
    store.folder(KEYS[0]).write_text("x")
    with pytest.raises(DamagedNode, match="cannot be read"):
        store.record(KEYS[0])


def test_an_index_that_leads_elsewhere_is_not_followed(tmp_path):
    import sqlite3

    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE records (mine TEXT)")
    db.close()
    before = other.read_bytes()
    store = Store(tmp_path / "store")
    (store.path / FILE).symlink_to(other)
    Index(store).close()
    assert other.read_bytes() == before
    assert not (store.path / FILE).is_symlink()


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks at /proc")
def test_the_process_beside_dies_with_its_parent(tmp_path):
    """Its pipe breaks: nothing else tells it that the parent was killed."""
    script = (
        "import sys, time\n"
        "from benchmark_core.store.stamps import Ahead\n"
        "one = Ahead(sys.argv[1], {str(i): ['0' * 64] * 50_000 for i in range(2)}, 'x')\n"
        "print(one._process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()
    for _ in range(200):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        with open(f"/proc/{pid}/stat") as file:  # nobody may have waited for it
            if file.read().rpartition(")")[2].split()[0] == "Z":
                return
        time.sleep(0.05)
    pytest.fail("it lives on")
