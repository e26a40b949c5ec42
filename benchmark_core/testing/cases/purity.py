"""What every call must leave as it was, and what it may depend on: its seed, never its neighbours."""

from __future__ import annotations

import torch
from torch import Tensor

from ...interfaces import Scores
from ...spec import ExplainerSpec, MethodSpec, MetricSpec
from ..harness import Breach, Call, How, Trial, difference, expect, tensors_of
from .table import CALLED, case

#: Samples of a large batch: more than one block of most loops that take samples in blocks.
MANY = 70


def _per_sample(spec: MethodSpec) -> bool:
    """Whether its result has a row for every sample."""
    if isinstance(spec, MetricSpec):
        return spec.scores != "set" and spec.consumes != ("synthesis",)
    return not (isinstance(spec, ExplainerSpec) and spec.produces == "synthesis")


@case(rank=0, read="it-runs")
def runs(trial: Trial) -> None:
    if isinstance(trial.spec, MetricSpec):
        for kind in trial.spec.consumes:
            for aim in ("default", "target") if kind == "perturbation" else ("default",):
                trial.call(How(consumes=kind, aim=aim), f"it measures a {kind}")
    else:
        trial.call()


@case(*CALLED, read="leave-things-as-they-were")
def leaves_its_inputs(trial: Trial) -> None:
    changed = _touched(trial, "inputs")
    expect(
        not changed,
        "inputs, task, states and params are as before the call, also for autograd",
        f"it changed {changed}; copy first",
    )


@case("attack", "explainer", "metric", "state", read="leave-things-as-they-were")
def leaves_the_model(trial: Trial) -> None:
    changed = _touched(trial, "model")
    expect(
        not changed,
        "weights, gradients, hooks, mode and forward of the model are as before",
        f"changed: {changed}",
    )


@case(read="leave-things-as-they-were")
def leaves_global_random_state(trial: Trial) -> None:
    changed = _touched(trial, "randomness")
    expect(
        not changed,
        "draws come from ctx.random or ctx.generator; global generators are not touched",
        f"it drew from or seeded the global generator of {changed}",
    )


@case(read="leave-things-as-they-were")
def leaves_the_process(trial: Trial) -> None:
    changed = _touched(trial, "settings")
    expect(not changed, "threads, dtype, gradient mode, precision, hooks, ... are as before", changed)


def _touched(trial: Trial, area: str) -> str:
    found = trial.call().touched[area]
    return ", ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")


@case(rank=2, read="the-same-seed-the-same-result")
def repeats_itself(trial: Trial) -> None:
    found = difference(tensors_of(trial.call().result), tensors_of(trial.fresh().result))
    expect(not found, "the same seed gives the same result", f"a second call: {found}")


@case(
    *CALLED, read="the-same-seed-the-same-result", applies=lambda spec: spec.deterministic
)  # a dataset knows no seed
def needs_no_seed_if_deterministic(trial: Trial) -> None:
    found = difference(tensors_of(trial.call().result), tensors_of(trial.call(How(seed=7)).result))
    expect(not found, "deterministic=True: the result is the same for every seed", f"another seed: {found}")


@case(
    "attack",
    "explainer",
    read="the-same-seed-the-same-result",
    applies=lambda spec: not spec.deterministic,
    somewhere=True,
)
def another_seed_can_change_it(trial: Trial) -> None:
    """What draws nothing shares one node between repetitions if it says so; what draws from a generator of
    its own repeats its noise in each of them, and their spread says nothing."""
    first = tensors_of(trial.call().result)
    for seed in (7, 8):
        if difference(first, tensors_of(trial.call(How(seed=seed)).result)):
            return
    raise Breach(
        "another seed changes the result in one of the settings tried: draws come from ctx.random or "
        "ctx.generator; a method that draws nothing says deterministic=True",
        "three seeds give the same numbers; conformance(..., params=...) names settings that draw",
    )


@case(*CALLED, read="samples-not-batches")
def keeps_nothing_between_calls(trial: Trial) -> None:
    """The engine makes a method once for all batches of a node."""
    for kind in trial.spec.consumes if isinstance(trial.spec, MetricSpec) else ("",):
        how, other = How(consumes=kind), How(consumes=kind, rows=tuple(reversed(range(trial.n))))
        fresh, method = tensors_of(trial.call(how).result), trial.make()
        trial.again(method, other, "it runs")
        for call in ("second", "third"):
            again = trial.again(method, how, f"it runs as the {call} call of one instance")
            found = difference(fresh, tensors_of(again.result))
            expect(
                not found,
                "an instance keeps its params and nothing else: it gives every batch what a new one gives",
                f"the {call} call of one instance: {found}",
            )


@case("model", "defense", "state", read="training-data")
def learns_from_training_data_alone(trial: Trial) -> None:
    other = trial.call(How(test_set="another"), "it runs on a task with another test set")
    found = difference(tensors_of(trial.call().result), tensors_of(other.result))
    expect(
        not found,
        "the same training data give the same weights and tensors, whatever the test set is",
        f"with other x_test and y_test, {found}",
    )


@case("attack", "explainer", "metric", read="samples-not-batches", applies=_per_sample)
def does_not_depend_on_the_batch(trial: Trial) -> None:
    """In float64, so that what is left of a difference is no rounding; in float32 if it cannot do that."""
    kinds = trial.spec.consumes if isinstance(trial.spec, MetricSpec) else ("",)
    used, tolerance = trial.doubled, 1e-6
    try:
        used.call()
    except Breach:  # another case says so
        used, tolerance = trial, 1e-3
    n = trial.n
    reverse = tuple(reversed(range(n)))
    batches = {
        "alone": [(i,) for i in range(0, n, 4)],
        "in another order": [reverse],
        "in a smaller batch": [tuple(range(n // 3)), tuple(range(n // 2, n))],
        "in a batch of many": [tuple(range(n)) * -(-MANY // n)],
    }
    for kind in (kind for kind in kinds if kind != "synthesis"):
        whole = _rows_of(used.call(How(consumes=kind)))
        fewer = How(batch_size=max(1, n // 2 - 1), consumes=kind)
        parted = used.call(fewer, f"it runs with ctx.batch_size = {fewer.batch_size}")
        if found := difference(whole, _rows_of(parted), tolerance):
            raise Breach(
                "the result of a sample does not depend on ctx.batch_size, which the engine lowers where "
                "memory runs out",
                f"with ctx.batch_size = {fewer.batch_size}: {found}",
            )
        for words, parts in batches.items():
            for rows in parts:
                part = _rows_of(used.call(How(rows=rows, consumes=kind), f"it runs on samples {words}"))
                index = torch.tensor(rows)
                found = difference({k: v[index] for k, v in whole.items()}, part, tolerance)
                if found:
                    raise Breach(
                        "the result of a sample does not depend on the others in its batch: losses "
                        "are summed, draws come from ctx.random",
                        f"{words}: {found}",
                    )


def _rows_of(call: Call) -> dict[str, Tensor]:
    tensors = tensors_of(call.result)
    if not isinstance(call.result, Scores):
        tensors = {k: v for k, v in tensors.items() if v.ndim and len(v) == len(call.x)}
    return tensors


@case(read="progress")
def tells_progress_that_makes_sense(trial: Trial) -> None:
    told = trial.call().told
    for done, total in told:
        fine = isinstance(done, int) and isinstance(total, int) and 0 <= done <= total and total > 0
        expect(fine, "ctx.progress(done, total) with whole numbers, 0 <= done <= total", f"({done}, {total})")


@case("attack", "explainer", "metric", read="passes-are-counted")
def goes_through_the_counted_model(trial: Trial) -> None:
    seen, counted = trial.call().passes
    expect(
        seen == counted,
        "every pass goes through the model it was given: model(x) or model.features(x)",
        f"{seen} samples passed through the network, {counted} were counted",
    )
