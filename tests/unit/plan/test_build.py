"""The plan: what is crossed, shared, left out, and what changes a key."""

import sys
import time
from pathlib import Path

import pytest

from benchmark_core.errors import RobexError
from benchmark_core.plan import build_plan
from benchmark_core.registry import Registry
from benchmark_core.run.scheduler import count_stages
from benchmark_core.suite import Source, read

TOYS = Path(__file__).parents[2] / "toys" / "toy_bench.py"


def stages(plan):
    return count_stages(plan.nodes)


def keys(plan, stage):
    return {node.key for node in plan.nodes.values() if node.stage == stage}


ATTACKED = "attacks: [{use: toy-shift, eps: [0.1, 0.2]}]\nmetrics: [toy-accuracy, toy-robust, toy-size]\n"


def test_work_is_shared_between_cells(planned):
    plan = planned(ATTACKED + "seeds: 3")
    assert stages(plan) == {
        "load": 1, "train": 3, "select": 1, "predict": 3, "attack": 6, "measure": 15,
    }  # fmt: skip
    assert len(plan.cells) == 15
    attacks = {c.coordinates.get("attack") for c in plan.cells}
    assert attacks == {None, "toy-shift eps=0.1", "toy-shift eps=0.2"}


def test_every_node_follows_its_inputs(planned):
    plan = planned(ATTACKED)
    seen = set()
    for key, node in plan.nodes.items():
        assert set(node.inputs.values()) <= seen
        seen.add(key)


def test_params_are_compared_by_value(planned):
    first = planned("attacks: [{use: toy-shift, eps: 0.001}]\nmetrics: [toy-robust]")
    for same in ("1e-3", '"1/1000"', "0.0010"):
        assert planned(f"attacks: [{{use: toy-shift, eps: {same}}}]\nmetrics: [toy-robust]").nodes.keys() == (
            first.nodes.keys()
        )


BASE = {
    "datasets": "[{use: toy, size: 60}]",
    "defenses": "[{use: toy-train, lr: 0.5}]",
    "attacks": "[{use: toy-shift, eps: 0.1}]",
    "metrics": "[toy-robust]",
    "seed": "0",
    "samples": "10",
}


def text(**changes):
    return "\n".join(f"{k}: {v}" for k, v in {**BASE, **changes}.items())


@pytest.mark.parametrize(
    ("change", "stale"),
    [
        ({"datasets": "[{use: toy, size: 66}]"}, {"load", "train", "select", "attack", "measure"}),
        ({"defenses": "[{use: toy-train, lr: 0.4}]"}, {"train", "attack", "measure"}),
        ({"attacks": "[{use: toy-shift, eps: 0.2}]"}, {"attack", "measure"}),
        ({"attacks": "[{use: toy-shift, eps: 0.1, targets: next}]"}, {"select", "attack", "measure"}),
        ({"samples": "11"}, {"select", "attack", "measure"}),
        ({"seed": "1"}, {"train", "select", "attack", "measure"}),
        ({"metrics": "[toy-size]"}, {"measure"}),
        ({"attacks": "[{use: toy-shift, eps: 0.1, marker: elsewhere}]"}, set()),
        ({"limits": "{threads: 2, batch_size: 3, node_timeout: 5}"}, set()),
        ({"attacks": "[{use: toy-shift, eps: 0.1, as: renamed}]"}, set()),
    ],
    ids=lambda v: ",".join(v) if isinstance(v, dict) else None,
)
def test_what_counts_changes_the_keys_of_what_depends_on_it(planned, change, stale):
    before, after = planned(text()), planned(text(**change))
    for stage in ("load", "train", "select", "attack", "measure"):
        changed = keys(before, stage) != keys(after, stage)
        assert changed == (stage in stale), stage


def test_adding_a_method_changes_nobodys_keys(planned):
    before = planned(text())
    after = planned(text(attacks="[{use: toy-shift, eps: 0.3}, {use: toy-shift, eps: 0.1}]"))
    assert before.nodes.keys() < after.nodes.keys()


def test_deterministic_methods_share_their_repetitions(planned):
    # The model differs by seed, so the attack runs on each; on one model it runs once.
    plan = planned("attacks: [toy-quick]\nmetrics: [toy-robust]\nseeds: 4")
    assert stages(plan)["attack"] == 4
    assert {n.seed for n in plan.nodes.values() if n.stage == "attack"} == {0}
    plan = planned("attacks: [toy-shift]\nmetrics: [toy-robust]\nseeds: 4")
    assert len({n.seed for n in plan.nodes.values() if n.stage == "attack"}) == 4


def test_attacks_stop_early_only_when_nobody_looks_at_the_perturbation(planned):
    def goal(metrics, extra=""):
        plan = planned(f"attacks: [toy-quick]\nmetrics: {metrics}\n{extra}")
        return {n.goal for n in plan.nodes.values() if n.stage == "attack"}

    assert goal("[toy-robust]") == {"success"}
    assert goal("[toy-robust, toy-cost]") == {"success"}
    assert goal("[toy-robust, toy-size]") == {"perturbation"}
    assert goal("[toy-robust, toy-cost]", "explainers: [{use: toy-attr, on: [clean, toy-quick]}]") == {
        "perturbation"
    }


def test_prepared_states_are_nodes_shared_by_all_who_name_them(planned):
    plan = planned("explainers: [toy-cf]\nmetrics: [toy-near]\nseeds: 3")
    assert stages(plan)["prepare"] == 1
    (prepared,) = keys(plan, "prepare")
    users = [n.stage for n in plan.nodes.values() if prepared in n.inputs.values()]
    assert sorted(set(users)) == ["explain", "measure"]


def test_lof_and_implausibility_share_one_index(planned):
    plan = planned(
        "datasets: [wine]\nmodels: [linear]\ndefenses: [standard]\n"
        "explainers: [{use: scfe}]\nmetrics: [lof, implausibility]"
    )
    assert stages(plan)["prepare"] == 1


def test_a_reference_adds_an_arrow_to_the_other_model(planned):
    plan = planned(
        "defenses: [{use: toy-train, as: A}, {use: toy-train, lr: 0.1, as: B}]\nattacks: [toy-shift]\n"
        "explainers: [toy-attr]\n"
        "metrics: [{use: toy-transfer, reference: B}, {use: toy-change, reference: A}]"
    )
    trained = {n.where["defense"]: n.key for n in plan.nodes.values() if n.stage == "train"}
    transfers = [n for n in plan.nodes.values() if n.stage == "measure" and n.method.name == "toy-transfer"]
    assert {n.inputs["reference_model"] for n in transfers} == {trained["B"]}
    changes = [n for n in plan.nodes.values() if n.stage == "measure" and n.method.name == "toy-change"]
    explained = {n.key: n.inputs["model"] for n in plan.nodes.values() if n.stage == "explain"}
    assert {explained[n.inputs["reference_result"]] for n in changes} == {trained["A"]}
    # On A itself, the result is its own reference.
    assert any(n.inputs["reference_result"] == n.inputs["result"] for n in changes)


def test_what_cannot_fit_is_left_out_with_the_reason(planned):
    plan = planned(
        "datasets: [toy, toy-image]\nmodels: [toy-linear, toy-conv]\nmetrics: [toy-accuracy]\nseeds: 2"
    )
    assert len(plan.cells) == 6
    assert dict(plan.left_out) == {"toy-conv needs image inputs (toy is tabular)": 2}


def test_a_result_that_nobody_measures_is_not_made(planned):
    plan = planned("explainers: [toy-attr]\nmetrics: [toy-accuracy]")
    assert "explain" not in stages(plan)
    assert list(plan.left_out) == ["no metric measures the attribution that toy-attr makes"]


def test_include_and_exclude(planned):
    full = planned(ATTACKED + "seeds: 2")
    less = planned(ATTACKED + "seeds: 2\nexclude: [{metric: toy-size, attack: toy-shift eps=0.2}]")
    assert len(full.cells) - len(less.cells) == 2 == less.left_out["excluded by the suite"]
    only = planned(ATTACKED + "include: [{metric: toy-robust}]")
    assert {c.coordinates["metric"] for c in only.cells} == {"toy-robust"}
    assert stages(only).get("predict") is None


def test_explanations_of_attacked_inputs(planned):
    plan = planned(
        "attacks: [{use: toy-shift, as: shifted}]\nexplainers: [{use: toy-attr, on: [clean, shifted]}]\n"
        "metrics: [toy-again]"
    )
    on = {n.where["on"]: n.inputs.get("on") for n in plan.nodes.values() if n.stage == "explain"}
    assert on["clean"] is None
    assert plan.nodes[on["shifted"]].stage == "attack"


def test_only_what_is_missing_and_needed_runs(planned):
    plan = planned(ATTACKED)
    measures, attacks = keys(plan, "measure") | keys(plan, "select"), keys(plan, "attack")
    assert plan.needed(lambda key: True) == {}
    assert plan.needed(lambda key: False) == plan.nodes
    # What only left-out cells would need is no part of the plan.
    without = planned(
        ATTACKED + "defenses: [{use: toy-train, lr: [0.1, 0.2]}]\nexclude: [{defense: '*0.1'}]\n"
    )
    assert stages(without)["train"] == 1
    # All measurements and selections are there: what they were made from may be gone.
    assert plan.needed(lambda key: key in measures) == {}
    missing = next(iter(keys(plan, "measure")))
    todo = plan.needed(lambda key: key in measures - {missing} or key in attacks)
    assert missing in todo
    assert not attacks & todo.keys()
    assert set(plan.needed(lambda key: False, only=[missing[:12]])) < set(plan.nodes)


def test_too_many_cells_are_refused(planned):
    with pytest.raises(RobexError, match=r"more than 5 cells.*limits: cells"):
        planned(ATTACKED + "limits: {cells: 5}\nseeds: 4")


def test_a_nested_grid_makes_a_ladder_of_defenses(planned):
    plan = planned(
        "defenses: [{use: toy-nest, attack: {use: toy-shift, eps: [0.1, 0.2]}}]\nmetrics: [toy-accuracy]"
    )
    assert stages(plan)["train"] == 2


def test_a_hundred_thousand_cells_are_planned_in_seconds(planned):
    grid = "[" + ", ".join(f"{i / 1000}" for i in range(500)) + "]"
    started = time.perf_counter()
    plan = planned(
        f"attacks: [{{use: toy-shift, eps: {grid}}}]\nmetrics: [toy-robust, toy-size]\nseeds: 10\n"
        "defenses: [{use: toy-train, lr: [0.1, 0.2]}]\nmodels: [{use: toy-linear, as: a}, {use: mlp, as: b}]"
    )
    assert len(plan.cells) == 500 * 2 * 10 * 2 * 2
    # A bound against quadratic steps, generous enough for a busy machine; the figure is in docs/benchmarks.
    assert time.perf_counter() - started < 60


# --- methods of a kind that no toy is --------------------------------------------------------------------

KINDRED = """
from dataclasses import dataclass
from typing import Annotated

from benchmark_core import AttackRef, Count, MethodSpec, Operational, hookimpl, use


@dataclass(frozen=True, kw_only=True)
class Index:
    neighbours: Count = 5
    batch: Annotated[Count, Operational()] = 64


@dataclass(frozen=True, kw_only=True)
class Several:
    members: tuple[AttackRef, ...]


A = "toy_bench:Any"


@hookimpl
def register_methods():
    yield MethodSpec.state("kin-index", A, params=Index)
    for name, index in (
        ("near", use("kin-index")),
        ("batched", use("kin-index", batch=8)),
        ("far", use("kin-index", neighbours=50)),
    ):
        yield MethodSpec.attack(f"kin-{name}", A, needs=lambda params, index=index: {"index": index})
    yield MethodSpec.attack("kin-several", A, params=Several)
    yield MethodSpec.attack("kin-votes", A, params=Several, deterministic=True)
    yield MethodSpec.attack("kin-same", A, deterministic=True)
    yield MethodSpec.defense("kin-images", A, accepts=("image",))
    for what in ("model", "result"):
        yield MethodSpec.metric(f"kin-{what}", A, consumes=("prediction",), direction="lower", reference=what)
"""


@pytest.fixture
def kin(tmp_path):
    (tmp_path / "kindred.py").write_text(KINDRED)
    sys.modules.pop("kindred", None)
    registry = Registry.load([TOYS, tmp_path / "kindred.py"])
    assert not registry.problems

    def plan(text):
        seeds = "" if "seeds:" in text else "seeds: 1\n"
        head = f"suite: kin\n{seeds}datasets: [toy]\nmodels: [toy-linear]\n"
        return build_plan(read(Source("kin.yaml", head + text), registry), registry)

    return plan


def test_states_of_methods_in_a_list_are_prepared(kin):
    plan = kin(
        "defenses: [toy-train]\nattacks: [{use: kin-several, members: [kin-near]}]\nmetrics: [toy-size]"
    )
    (attack,) = (n for n in plan.nodes.values() if n.stage == "attack")
    assert {attack.inputs["state:index"]} == keys(plan, "prepare")


@pytest.mark.parametrize(("member", "seeds"), [("kin-same", 1), ("kin-near", 3)])
def test_what_draws_nothing_itself_depends_on_seeds_through_what_it_calls(kin, member, seeds):
    plan = kin(
        f"defenses: [toy-train]\nattacks: [{{use: kin-votes, members: [{member}]}}]\nmetrics: [toy-size]\n"
        "seeds: 3"
    )
    drawn = {n.identity.get("seed") for n in plan.nodes.values() if n.stage == "attack"}
    assert len(drawn) == seeds
    assert (None in drawn) == (seeds == 1)


def test_what_is_operational_makes_no_state_another(kin):
    suite = (
        "defenses: [toy-train]\nattacks: [{use: kin-several, members: [kin-near, %s]}]\nmetrics: [toy-size]"
    )
    assert len(keys(kin(suite % "kin-batched"), "prepare")) == 1
    with pytest.raises(RobexError, match="two methods need different states called 'index'"):
        kin(suite % "kin-far")


def test_predictions_are_compared_with_those_of_the_reference(kin):
    plan = kin(
        "defenses: [{use: toy-train, as: A}, {use: toy-train, lr: 0.1, as: B}]\n"
        "metrics: [{use: kin-result, reference: A, samples: 10}]"
    )
    predicted = {
        n.key: (n.inputs["selection"], n.where["defense"])
        for n in plan.nodes.values()
        if n.stage == "predict"
    }
    measured = {n.where["defense"]: n.inputs for n in plan.nodes.values() if n.stage == "measure"}
    for defense, inputs in measured.items():
        assert predicted[inputs["result"]] == (inputs["selection"], defense)
        assert predicted[inputs["reference_result"]] == (inputs["selection"], "A")
    assert set(measured) == {"A", "B"}


@pytest.mark.parametrize("metric", ["kin-model", "kin-result"])
def test_a_reference_that_cannot_be_trained_leaves_predictions_out(kin, metric):
    plan = kin(f"defenses: [toy-train, kin-images]\nmetrics: [{{use: {metric}, reference: kin-images}}]")
    assert not plan.cells
    assert not plan.nodes
    assert plan.left_out["kin-images needs image inputs (toy is tabular)"] == 2


# --- plugins that answer nonsense, and suites that are too large ---------------------------------------

ODD = """
from benchmark_core import MethodSpec, hookimpl, use

def spec(name, **fields):
    return MethodSpec.attack(name, "toy_bench:Shift", **fields)

def fail(*_):
    raise KeyError("oops")

@hookimpl
def register_methods():
    yield spec("unfit-raises", unfit=fail)
    yield spec("unfit-nonsense", unfit=lambda params, data: 5)
    yield spec("needs-raises", needs=fail)
    yield spec("needs-nothing", needs=lambda params: None)
    yield spec("needs-text", needs=lambda params: {"index": "neighbour-index"})
    yield spec("needs-unknown", needs=lambda params: {"index": use("neighbor-index")})
    yield spec("needs-wrong", needs=lambda params: {"index": use("sgld-samples", bogus=1)})
"""


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        ("unfit-raises", "unfit failed: KeyError: 'oops'"),
        ("unfit-nonsense", "unfit must return why not, or None, got 5"),
        ("needs-raises", "needs failed: KeyError: 'oops'"),
        ("needs-nothing", "needs must return {name: use(state, ...)}, got null"),
        ("needs-text", "needs must return {name: use(state, ...)}, got {index: 'neighbour-index'}"),
        ("needs-unknown", "needs 'index': no state is called \"neighbor-index\"; did you mean "),
        ("needs-wrong", "needs 'index': sgld-samples has no param \"bogus\""),
    ],
)
def test_a_plugin_that_answers_nonsense_is_named(tmp_path, attack, message):
    (tmp_path / "odd_answers.py").write_text(ODD)
    (tmp_path / "s.yaml").write_text(
        "suite: s\nseeds: 1\ndatasets: [wine]\nmodels: [linear]\ndefenses: [standard]\n"
        f"attacks: [{attack}]\nmetrics: [robust-accuracy]\n"
    )
    sys.modules.pop("odd_answers", None)
    registry = Registry.load([tmp_path / "odd_answers.py"])
    assert not registry.problems
    with pytest.raises(RobexError) as caught:
        build_plan(read(tmp_path / "s.yaml", registry), registry)
    assert str(caught.value).startswith(f"attack {attack}: {message}")
    assert str(caught.value).endswith(f"mend it in odd_answers.py ({tmp_path}/odd_answers.py)")


@pytest.mark.parametrize(
    "more",
    ["seeds: 1000000000000", "seeds: 1000000000000\nexclude: [{defense: '*'}]"],
    ids=["cells", "excluded"],
)
def test_a_product_that_is_far_too_large_costs_nothing(planned, more):
    started = time.perf_counter()
    with pytest.raises(
        RobexError, match=r"crosses to 5,000,000,000,000 cells before its rules, the limit is 200,0"
    ):
        planned(ATTACKED + more)
    assert time.perf_counter() - started < 20
