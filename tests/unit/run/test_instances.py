"""What nodes share: nothing. Instances of stored results and networks, draws, and what is remembered."""

import random
import warnings

import numpy as np
import pytest
import torch

from benchmark_core.interfaces import Perturbation
from benchmark_core.run import execute
from benchmark_core.run import frozen as frozen_module
from benchmark_core.run.checks import BrokenContract
from benchmark_core.run.draws import seeded
from benchmark_core.run.executors.base import Outcome
from benchmark_core.run.executors.inline import InlineExecutor
from benchmark_core.run.frozen import Frozen, tensors_of
from benchmark_core.run.guard import process_unchanged
from benchmark_core.run.session import run_plan
from benchmark_core.store import Store


def ran(plan, toys, store, **options):
    report = run_plan(plan, toys, store, lambda event: None, **options)
    return report


def measured(plan, toys, folder, **options) -> list[list[float]]:
    store = Store(folder)
    assert ran(plan, toys, store, **options).exit_code == 0
    return [store.result(cell.key).values.tolist() for cell in plan.cells]


# --- instances -------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True, params=["mapped", "copied"])
def however_made(request, monkeypatch) -> None:
    if request.param == "mapped":
        monkeypatch.setattr(frozen_module, "_SMALL", 0)


def test_instances_share_no_memory_and_keep_values(task):
    frozen = Frozen(task)
    one, other = frozen.instance(), frozen.instance()
    for a, b in zip(tensors_of(one), tensors_of(task), strict=True):
        assert torch.equal(a, b)
        assert a.dtype == b.dtype
        assert a.data_ptr() % 64 == 0
    assert one.classes == task.classes
    one.x_test.numpy()[:] = 7
    one.lower.data.zero_().sub_(1)
    task.x_train.zero_()  # what it was made from is not what it holds
    for seen in (other, frozen.instance()):
        assert not (seen.x_test == 7).any()
        assert seen.lower.min() >= 0
        assert seen.x_train.abs().sum() > 0


@pytest.mark.parametrize(
    "value",
    [
        {
            "scalar": torch.tensor(3.5, dtype=torch.float64),
            "none": torch.empty(0, 4),
            "flag": torch.tensor([True]),
        },
        {"none": torch.empty(2, 0)},
        {},
        Perturbation(torch.rand(3, 2), {"steps": torch.arange(3), "half": torch.rand(3).bfloat16()}),
    ],
)
def test_every_shape_and_dtype(value):
    seen = Frozen(value).instance()
    assert type(seen) is type(value)
    for a, b in zip(tensors_of(seen), tensors_of(value), strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        assert torch.equal(a, b)


def test_the_file_of_a_value_is_closed_with_it():
    import gc
    import os

    before = len(os.listdir("/dev/fd"))
    instances = [Frozen({"x": torch.rand(9)}).instance() for _ in range(5)]
    assert all(float(i["x"].min()) >= 0 for i in instances)
    del instances
    gc.collect()
    assert len(os.listdir("/dev/fd")) <= before


@pytest.mark.parametrize("behave", ["data", "backward-hook", "forward", "numpy", "module-hooks"])
def test_what_torch_does_not_count_is_refused_and_harms_nobody(planned, toys, tmp_path, behave):
    metrics = "metrics: [toy-accuracy, toy-robust]"
    alone = planned("attacks: [{use: toy-shift, as: good}]\n" + metrics)
    expected = measured(alone, toys, tmp_path / "alone")
    plan = planned(
        f"attacks: [{{use: toy-shift, behave: {behave}}}, {{use: toy-shift, as: good}}]\n" + metrics
    )
    store = Store(tmp_path / "both")
    (failure,) = ran(plan, toys, store).failures.values()
    assert "changed the" in failure.message
    assert [store.result(cell.key).values.tolist() for cell in alone.cells] == expected


# --- what is remembered is what is stored -----------------------------------------------------------------


def test_a_result_is_kept_without_its_graph(planned, toys, tmp_path):
    plan = planned("attacks: [{use: toy-shift, behave: attached}]\nmetrics: [toy-size]")
    assert measured(plan, toys, tmp_path / "s") == [[0.0] * 20]


def test_memory_that_a_method_uses_again_does_not_tie_batches(planned, toys, tmp_path):
    found = []
    for size in (5, 256):
        plan = planned(
            "attacks: [{use: toy-shift, behave: reused}]\nmetrics: [toy-size]\n"
            f"limits: {{batch_size: {size}}}"
        )
        found.append(measured(plan, toys, tmp_path / str(size)))
    assert found[0] == found[1]
    assert max(found[0][0]) <= 0.1001  # other rows would be farther


def test_what_somebody_else_stored_first_is_what_is_read(planned, toys, tmp_path, monkeypatch):
    """Two processes may differ in the last digits: later nodes read what is in the store."""
    plan = planned("attacks: [toy-shift]\nmetrics: [toy-size]")
    store = Store(tmp_path / "s")
    record_of = execute.record_of

    def late(run, seconds):
        record = record_of(run, seconds)
        if run.node.stage == "attack":
            x = store.result(run.node.inputs["task"]).x_test[store.result(run.node.inputs["selection"]).index]
            store.write(record, Perturbation(x))
        return record

    monkeypatch.setattr(execute, "record_of", late)
    ran(plan, toys, store)
    assert store.result(plan.cells[0].key).values.tolist() == [0.0] * 20


# --- draws ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("behave", ["numpy-draw", "python-draw"])
def test_draws_do_not_depend_on_what_ran_before(planned, toys, tmp_path, behave):
    text = "models: [toy-drawn]\nattacks: [{0}{{use: toy-shift, behave: {1}, as: it}}]\nmetrics: [toy-size]"
    alone = measured(planned(text.format("", behave)), toys, tmp_path / "a")
    assert measured(planned(text.format("toy-quick, ", behave)), toys, tmp_path / "b")[-1] == alone[0]


def test_seeded_gives_every_global_generator_back():
    def draw():
        return torch.rand(()).item(), np.random.rand(), random.random()  # noqa: NPY002

    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    random.seed(1)
    with seeded(5):
        inside = draw()
    after = draw()
    with seeded(5):
        assert draw() == inside
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    random.seed(1)
    assert draw() == after


# --- the process ------------------------------------------------------------------------------------------


def test_precision_set_one_by_one_is_put_back():
    matmul = torch.backends.mkldnn.matmul
    before = torch.get_float32_matmul_precision(), matmul.fp32_precision
    with pytest.raises(BrokenContract, match="precision of torch"), process_unchanged(1, "it"):
        matmul.fp32_precision = "bf16"
    with pytest.raises(BrokenContract, match="precision of torch"), process_unchanged(1, "it"):
        torch.set_float32_matmul_precision("medium")
    assert (torch.get_float32_matmul_precision(), matmul.fp32_precision) == before


def test_filters_and_numpy_errors_are_put_back_silently():
    filters, errors = list(warnings.filters), np.geterr()
    with process_unchanged(1, "it"):
        warnings.simplefilter("ignore")
        np.seterr(all="raise")
    assert warnings.filters == filters
    assert np.geterr() == errors


# --- stored, but stopped before it could be told ------------------------------------------------------------


@pytest.mark.parametrize("status", ["timeout", "memory", "lost"])
def test_a_stored_node_is_done_however_its_worker_ended(planned, toys, tmp_path, monkeypatch, status):
    wait = InlineExecutor.wait

    def stopped_late(self, timeout):
        return [Outcome(news.key, status, message="too late") for news in wait(self, timeout)]

    monkeypatch.setattr(InlineExecutor, "wait", stopped_late)
    store = Store(tmp_path / "s")
    plan = planned("attacks: [toy-shift]\nmetrics: [toy-robust]")
    report = ran(plan, toys, store)
    assert report.exit_code == 0
    assert report.done == len(plan.nodes)
    assert not any(store.failure(key) for key in plan.nodes)
