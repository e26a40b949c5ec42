"""Runs of small plans: results, failures, resuming, executors. Every way a node can fail is done for real."""

import dataclasses
import json

import pytest
import torch

from benchmark_core.errors import RobexError
from benchmark_core.interfaces import Scores
from benchmark_core.registry import Registry
from benchmark_core.run.checks import BrokenContract, check_scores
from benchmark_core.run.events import NodeFailed, NodeFinished, NodeProgress, RunFinished, RunStarted, Warned
from benchmark_core.run.session import run_plan
from benchmark_core.store import Store
from benchmark_core.suite import make_ref

FULL = """
defenses: [{use: toy-train, as: A}, {use: toy-nest, attack: {use: toy-shift, eps: 0.1}, as: B}]
attacks: [{use: toy-shift, eps: [0.1, 0.2]}, toy-quick]
explainers: [{use: toy-attr, on: [clean, toy-quick]}, toy-cf]
metrics: [toy-accuracy, toy-robust, toy-size, {use: toy-transfer, reference: A},
  {use: toy-change, reference: A}, toy-again, toy-near, toy-cost]
seeds: 2
"""


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def run(toys, store):
    def go(plan, into=None, **options):
        events = []
        report = run_plan(plan, toys, into or store, events.append, **options)
        return report, events

    return go


def scores(store, plan) -> dict:
    """Everything that was measured, but for wall times."""
    found = {}
    for cell in plan.cells:
        values = store.result(cell.key)
        assert isinstance(values, Scores)
        found[json.dumps(dict(cell.coordinates), sort_keys=True)] = values.values.tolist()
    return found


def test_a_whole_suite_runs_and_is_not_run_twice(planned, run, store):
    plan = planned(FULL)
    report, events = run(plan)
    assert report.exit_code == 0
    assert isinstance(events[0], RunStarted)
    assert isinstance(events[-1], RunFinished)
    assert events[-1].done == events[-1].total == len(plan.nodes)
    assert events[-1].cells_done == len(plan.cells)
    assert sum(isinstance(e, NodeFinished) for e in events) == len(plan.nodes)

    again, events = run(plan)
    assert again.ran == 0
    assert [type(e) for e in events] == [RunStarted, RunFinished]


def test_results_do_not_depend_on_workers_batches_or_the_executor(planned, run, tmp_path):
    found = []
    for name, options in (("a", {}), ("b", {"jobs": 2}), ("c", {"jobs": 1, "executor": "local"})):
        plan = planned(FULL + f"limits: {{batch_size: {3 if name == 'b' else 256}}}")
        store = Store(tmp_path / name)
        report, _ = run(plan, into=store, **options)
        assert report.exit_code == 0
        found.append(scores(store, plan))
    assert found[0] == found[1] == found[2]


def test_rerun_draws_the_same_numbers_for_the_same_samples(planned, run, store):
    plan = planned("explainers: [toy-attr]\nmetrics: [toy-again]")
    run(plan)
    (values,) = scores(store, plan).values()
    assert values == [0.0] * 20


def test_a_sample_keeps_its_numbers_in_a_smaller_selection(planned, run, store):
    results = []
    for samples in (5, 15):
        plan = planned(f"attacks: [toy-shift]\nmetrics: [toy-size]\nsamples: {samples}")
        run(plan)
        (cell,) = plan.cells
        index = store.result(cell.selection).index.tolist()
        results.append(dict(zip(index, store.result(cell.key).values.tolist(), strict=True)))
    few, more = results
    assert {i: more[i] for i in few} == few


def test_records_say_how_a_result_was_made(planned, run, store):
    plan = planned("attacks: [{use: toy-shift, as: moved}]\nmetrics: [toy-robust]")
    run(plan)
    by_stage = {n.stage: store.record(k) for k, n in plan.nodes.items()}
    train, attack = by_stage["train"], by_stage["attack"]
    assert train["notes"] == {"last_lr": 0.5}
    assert train["cost"]["forward"] == train["cost"]["backward"] == 5 * 40
    assert attack["cost"]["forward"] == attack["cost"]["backward"] == 20
    assert 0.9 < attack["notes"]["moved"] <= 1.0
    assert attack["title"] == "moved · toy-train · toy-linear · toy · seed 0"
    assert attack["threads"] == 1
    assert attack["environment"]["packages"]["torch"] == torch.__version__
    assert attack["plugin"]["name"] == "file:toy_bench"
    assert attack["versions"]["robex"]
    assert attack["identity"]["method"]["params"]["eps"] == 0.1
    assert attack["peak_memory"] > 10_000_000
    from benchmark_core.plan import key_of

    assert all(key_of(r["identity"]) == r["key"] for r in by_stage.values())


def test_a_failure_blocks_its_descendants_and_nothing_else(planned, run, store):
    plan = planned(
        "attacks: [{use: toy-shift, behave: raise, as: bad}, {use: toy-shift, as: good}]\n"
        "metrics: [toy-accuracy, toy-robust, toy-size]"
    )
    report, events = run(plan)
    assert report.exit_code == 1
    (failure,) = report.failures.values()
    assert failure.message.startswith("ValueError: told to raise (toy_bench.py:")
    assert failure.reason == "error"
    assert failure.blocked == 2
    assert events[-1].cells_done == 3
    kept = store.failure(failure.key)
    assert "Traceback" in kept["trace"]
    # The same command tries again, and only what is missing.
    again, _ = run(plan)
    assert again.ran == 3


@pytest.mark.parametrize(
    ("behave", "message"),
    [
        ("nan", "attack toy-shift: x_adv has 80 values that are NaN or infinite"),
        ("shape", "attack toy-shift: x_adv must have shape (20, 4), has (20, 1)"),
        ("ball", "attack toy-shift: x_adv leaves the linf ball"),
        ("box", "attack toy-shift: x_adv leaves the task's box"),
    ],
)
def test_broken_contracts_are_refused(planned, run, behave, message):
    plan = planned(f"attacks: [{{use: toy-shift, eps: 0.01, behave: {behave}}}]\nmetrics: [toy-robust]")
    report, _ = run(plan)
    (failure,) = report.failures.values()
    assert failure.message.startswith(message)


@pytest.mark.parametrize(
    ("behave", "message"),
    [
        ("weights", "attack toy-shift changed the weights of the model it was given; work on a copy"),
        ("hook", "attack toy-shift changed the model's hooks, mode or gradients it was given"),
        ("mode", "attack toy-shift changed the model's hooks, mode or gradients it was given"),
        ("task", "attack toy-shift changed the task it was given; work on a copy"),
        ("input", "attack toy-shift: x_adv leaves the"),
        ("fury", "RuntimeError: after the damage"),
    ],
)
def test_a_vandal_is_caught_and_harms_nobody_else(planned, run, store, behave, message):
    alone = planned("attacks: [{use: toy-shift, as: good}]\nmetrics: [toy-accuracy, toy-robust]")
    run(alone)
    expected = [store.result(cell.key).values for cell in alone.cells]
    for cell in alone.cells:
        store.remove(cell.key)
        store.remove(cell.result)
    plan = planned(
        f"attacks: [{{use: toy-shift, eps: 0.01, behave: {behave}, as: bad}}, {{use: toy-shift, as: good}}]\n"
        "metrics: [toy-accuracy, toy-robust]"
    )
    report, _ = run(plan)
    (failure,) = report.failures.values()
    assert failure.message.startswith(message)
    found = [store.result(cell.key).values for cell in alone.cells]
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))


def test_code_that_changed_after_the_plan_is_not_run(toys, run, tmp_path):
    from benchmark_core.plan import build_plan
    from benchmark_core.registry import Registry
    from benchmark_core.suite import read

    plugin = tmp_path / "late_plugin.py"
    plugin.write_text(
        "from benchmark_core import Attack, MethodSpec, hookimpl\n"
        "@hookimpl\ndef register_methods():\n"
        "    yield MethodSpec.attack('late', 'late_work:Late')\n"
    )
    work = tmp_path / "late_work.py"
    work.write_text(
        "from benchmark_core import Attack, Perturbation\n"
        "class Late(Attack):\n    def perturb(self, model, x, y, ctx):\n        return Perturbation(x)\n"
    )
    suite = tmp_path / "late.yaml"
    suite.write_text(
        "suite: late\nseeds: 1\nplugins: [late_plugin.py]\ndatasets: [wine]\nmodels: [linear]\n"
        "defenses: [{use: standard, epochs: 1}]\nattacks: [late]\nmetrics: [robust-accuracy]\n"
    )
    registry = Registry.load()
    plan = build_plan(read(suite, registry), registry)
    work.write_text(work.read_text().replace("Perturbation(x)", "Perturbation(x * 0)"))
    store = Store(tmp_path / "late-store")
    report = run_plan(plan, registry, store, lambda event: None)
    (failure,) = report.failures.values()
    assert "changed while it was in use; run the same command again" in failure.message


def test_a_node_that_hangs_is_killed(planned, run):
    plan = planned(
        "attacks: [{use: toy-shift, behave: sleep, as: bad}, {use: toy-shift, as: good}]\n"
        "metrics: [toy-robust]\nlimits: {node_timeout: 1.5}"
    )
    report, events = run(plan, jobs=2)
    (failure,) = report.failures.values()
    assert failure.reason == "timeout"
    assert failure.message == "timed out after 1.5 s (limits: node_timeout)"
    assert events[-1].cells_done == 1


def test_a_node_that_eats_memory_is_killed(planned, run):
    plan = planned(
        "attacks: [{use: toy-shift, behave: eat, as: bad}, {use: toy-shift, as: good}]\n"
        "metrics: [toy-robust]\nlimits: {memory: 1.0}"
    )
    report, events = run(plan, executor="local")
    (failure,) = report.failures.values()
    assert failure.reason == "memory"
    assert "more than 1 GiB (limits: memory)" in failure.message
    assert events[-1].cells_done == 1


def test_a_node_that_crashes_the_interpreter_fails_alone(planned, run):
    plan = planned(
        "attacks: [{use: toy-shift, behave: crash, as: bad}, {use: toy-shift, as: good}]\n"
        "metrics: [toy-robust]\nlimits: {retries: 1}"
    )
    report, events = run(plan, executor="local")
    (failure,) = report.failures.values()
    assert failure.reason == "worker lost"
    assert "exit code 3" in failure.message
    assert sum(isinstance(e, Warned) for e in events) == 1  # tried twice
    assert events[-1].cells_done == 1


def test_a_worker_that_is_killed_is_replaced(planned, run, tmp_path):
    marker = tmp_path / "died-once"
    plan = planned(f"attacks: [{{use: toy-shift, behave: flaky, marker: {marker}}}]\nmetrics: [toy-robust]\n")
    report, events = run(plan, executor="local")
    assert report.exit_code == 0
    (warning,) = [e for e in events if isinstance(e, Warned)]
    assert "SIGKILL" in warning.message


def test_workers_that_never_start_end_the_run(planned, toys, store, tmp_path):
    """And not node after node, thousands of them."""
    dead = tmp_path / "dead_in_workers.py"
    dead.write_text(
        "import multiprocessing, os\n"
        "from benchmark_core import hookimpl\n"
        "if multiprocessing.parent_process() is not None:\n"
        "    os._exit(7)\n"
        "@hookimpl\n"
        "def register_methods():\n"
        "    return ()\n"
    )
    plan = planned("attacks: [toy-shift]\nmetrics: [toy-robust]\nlimits: {retries: 9}")
    with pytest.raises(RobexError, match=r"workers do not start: the last 5 ended .* exit code 7"):
        run_plan(plan, Registry.load([*toys.files, dead]), store, lambda event: None, executor="local")


def test_an_interrupted_run_goes_on(planned, run):
    plan = planned(
        "attacks: [toy-shift, {use: toy-shift, behave: interrupt, as: stop}]\nmetrics: [toy-robust]"
    )
    report, events = run(plan)
    assert report.interrupted
    assert report.exit_code == 130
    assert events[-1].interrupted
    kept = events[-1].done
    assert 0 < kept < len(plan.nodes)
    _, events = run(plan)
    assert sum(events[0].cached.values()) == kept


def test_a_damaged_input_is_computed_again(planned, run, store):
    plan = planned("attacks: [toy-shift]\nmetrics: [toy-robust]")
    run(plan)
    attack = next(k for k, n in plan.nodes.items() if n.stage == "attack")
    measure = plan.cells[0].key
    before = store.result(measure).values
    (store.folder(attack) / "result.safetensors").write_bytes(b"rubbish")
    store.remove(measure)
    report, events = run(plan)
    assert report.exit_code == 0
    (warning,) = [e for e in events if isinstance(e, Warned)]
    assert "does not match its checksum" in warning.message
    assert torch.equal(store.result(measure).values, before)
    assert events[-1].done == events[-1].total


def test_only_one_node_and_what_it_needs(planned, run):
    plan = planned("attacks: [{use: toy-shift, eps: [0.1, 0.2]}]\nmetrics: [toy-robust]")
    report, _ = run(plan, only=[plan.cells[1].key[:12]])
    assert report.ran == 5
    with pytest.raises(RobexError, match="--only beef: no node"):
        run(plan, only=[plan.cells[1].key[:12], "beef"])


def test_a_record_that_was_made_otherwise_says_what_it_is_now(planned, run):
    suite = "datasets: [{use: toy, size: %d}]\nattacks: [{use: toy-shift, eps: 0.1}]\nmetrics: [toy-robust]"
    before, now = planned(suite % 60), planned(suite % 61)
    run(before)
    with pytest.raises(RobexError) as told:
        run(now, only=[before.cells[0].key[:12]])
    assert str(told.value).endswith(f"the same place is now --only {now.cells[0].key[:12]}")


def test_scores_that_are_said_to_be_0_or_1(toys):
    spec, ref = toys.get("metric", "toy-robust"), make_ref(toys, "metric", "toy-robust", {})
    assert spec.scores == "bernoulli"
    check_scores(ref, spec, Scores(torch.tensor([0.0, 1.0, 0.0])), 3)
    with pytest.raises(BrokenContract, match="2 of 3 are not, such as 0"):
        check_scores(ref, spec, Scores(torch.tensor([0.25, 1.0, 0.5])), 3)


def test_progress_inside_a_node_is_told(planned, run):
    plan = planned(
        "attacks: [{use: toy-shift, seconds: 0.15}]\nmetrics: [toy-robust]\nlimits: {batch_size: 4}"
    )
    _, events = run(plan, executor="local")
    told = [(e.done, e.total) for e in events if isinstance(e, NodeProgress)]
    assert told
    assert all(total == 20 and 0 < done <= 20 for done, total in told)


def test_events_are_json(planned, run):
    plan = planned("attacks: [{use: toy-shift, behave: raise}]\nmetrics: [toy-robust]")
    _, events = run(plan)
    for event in events:
        assert json.loads(json.dumps(event.to_json()))["event"] == event.kind
    assert any(isinstance(e, NodeFailed) for e in events)


def test_plugins_observe_runs_and_cannot_break_them(planned, run, toys, capsys):
    from benchmark_core import hookimpl

    heard = []

    class Observer:
        @hookimpl
        def on_event(self, event):
            heard.append(event.kind)
            raise RuntimeError("observer broke")

    observer = Observer()
    toys.manager.register(observer, "observer")
    try:
        report, _ = run(planned("metrics: [toy-accuracy]"))
    finally:
        toys.manager.unregister(observer)
    assert report.exit_code == 0
    assert heard == ["run-started"]
    assert 'plugin "observer": on_event: RuntimeError: observer broke' in capsys.readouterr().err


def test_targets_of_one_sample_become_one_score(planned, run, store):
    values = {}
    for over in ("mean", "best", "worst"):
        plan = planned(
            f"explainers: [{{use: toy-cf, targets: all, over: {over}, samples: 6}}]\n"
            "metrics: [implausibility]"
        )
        run(plan)
        values[over] = store.result(plan.cells[0].key).values
    assert all(len(v) == 6 for v in values.values())
    assert (values["best"] <= values["mean"]).all()  # lower is better
    assert (values["mean"] <= values["worst"]).all()
    assert (values["best"] < values["worst"]).any()


def test_the_global_random_state_is_untouched(planned, run):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    run(planned(FULL))
    assert torch.equal(torch.rand(3), expected)


def test_dataclass_params_reach_the_method(planned):
    plan = planned("attacks: [{use: toy-shift, eps: 8/255}]\nmetrics: [toy-robust]")
    (attack,) = [n for n in plan.nodes.values() if n.stage == "attack"]
    assert dataclasses.asdict(attack.method.params)["eps"] == pytest.approx(8 / 255, abs=0)
