"""Attacks and explainers: results of the right form, inside their limits, aimed where they were told."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import torch
from torch import Tensor

from ...interfaces import Attribution, Counterfactual, Goal, Perturbation, Synthesis, Task
from ...run.checks import check_result
from ...spec import AttackSpec, ExplainerSpec, MethodRef, MethodSpec, NoParams
from ..harness import (
    SUCCESS,
    Breach,
    Call,
    How,
    Trial,
    difference,
    engine_accepts,
    expect,
    expect_detached,
    tensors_of,
)
from .table import PRODUCERS, case

#: What else than the perturbation itself a caller may want of an attack.
_OTHER_GOALS: tuple[Goal, ...] = ("success", "training")


def _makes_samples(spec: MethodSpec) -> bool:
    return isinstance(spec, AttackSpec) or (isinstance(spec, ExplainerSpec) and spec.produces != "synthesis")


def _moves(spec: MethodSpec) -> bool:
    return isinstance(spec, AttackSpec) or (
        isinstance(spec, ExplainerSpec) and spec.produces != "attribution"
    )


def _has_a_ball(spec: MethodSpec) -> bool:
    fields = {f.name for f in dataclasses.fields(spec.params)}
    return isinstance(spec, AttackSpec) and "eps" in fields and (spec.norm is not None or "norm" in fields)


def _produces(spec: MethodSpec) -> str:
    return spec.produces if isinstance(spec, ExplainerSpec) else "perturbation"


def _check(trial: Trial, call: Call, *, box: bool = False, ball: bool = False, mutable: bool = False) -> None:
    """The engine's own check of a result, with the limits lifted that are not asked for."""
    assert trial.world is not None
    task: Task = trial.world.task
    if not box:
        far = torch.full_like(task.lower, torch.inf)
        task = dataclasses.replace(task, lower=-far, upper=far)
    if not mutable:
        task = dataclasses.replace(task, mutable=torch.ones_like(task.mutable))
    ref = trial.ref if ball else MethodRef(trial.ref.kind, trial.ref.name, NoParams())
    check_result(ref, trial.spec, _produces(trial.spec), call.result, call.x, task)


@case(*PRODUCERS, rank=1, read="the-form-of-a-result")
def keeps_shape_and_dtype(trial: Trial) -> None:
    with engine_accepts("a finite result with the shape and dtype of x"):
        call = trial.call()
        _check(trial, call)
    result, n = call.result, trial.n
    expect_detached(result)
    if isinstance(result, Attribution) and result.delta is not None:
        shape = tuple(getattr(result.delta, "shape", ()))
        expect(shape == (n,), f"delta of shape ({n},), F(x) - F(baseline) of each sample", f"it has {shape}")
    if isinstance(result, Synthesis):
        assert trial.world is not None
        task, m = trial.world.task, len(result.images)
        expect(
            result.images.shape[1:] == task.x_test.shape[1:] and result.labels.shape == (m,),
            f"images (m, {', '.join(map(str, task.shape))}) and labels (m,)",
            f"images {tuple(result.images.shape)} and labels {tuple(result.labels.shape)}",
        )
        right = result.labels.dtype == torch.int64 and bool(
            ((result.labels >= 0) & (result.labels < task.n_classes)).all()
        )
        expect(
            right, f"int64 labels in 0..{task.n_classes - 1}", f"{result.labels.dtype} {result.labels[:5]}"
        )


@case(*PRODUCERS, read="the-form-of-a-result")
def keeps_float64(trial: Trial) -> None:
    double = trial.doubled
    with engine_accepts("a result in float64 for inputs, task and model in float64"):
        _check(double, double.call(expected="it runs in float64"))


@case(*PRODUCERS, read="the-form-of-a-result", applies=_makes_samples)
def takes_an_empty_batch(trial: Trial) -> None:
    with engine_accepts("no samples in, no samples out: tensors of shape (0, *shape)"):
        _check(trial, trial.call(How(rows=()), "it runs on an empty batch"))


@case(*PRODUCERS, read="the-form-of-a-result")
def notes_are_per_sample(trial: Trial) -> None:
    n = len(getattr(trial.call().result, "images", trial.call().x))
    for name, values in trial.call().result.notes.items():
        expected = f"notes: name -> tensor of shape ({n},), finite"
        expect(isinstance(values, Tensor), expected, f"{name!r} is {type(values).__name__}")
        expect(values.shape == (n,), expected, f"{name!r} has shape {tuple(values.shape)}")
        finite = not values.is_floating_point() or bool(torch.isfinite(values).all())
        expect(finite, expected, f"{name!r} has values that are NaN or infinite")


@case(*PRODUCERS, read="the-box", applies=_moves)
def stays_in_the_box(trial: Trial) -> None:
    call = trial.call()
    if isinstance(call.result, Synthesis):
        assert trial.world is not None
        task, images = trial.world.task, call.result.images
        beyond = torch.maximum(task.lower - images, images - task.upper)
        slack = 1e-5 * (task.upper - task.lower).abs().clamp_min(1e-6)
        expect(
            (beyond <= slack).all(),
            "images inside the task's box",
            f"up to {float(beyond.max()):.2g} outside",
        )
        return
    with engine_accepts("every value inside the task's box [lower, upper]"):
        _check(trial, call, box=True)


@case("attack", read="the-ball", applies=_has_a_ball)
def stays_in_its_ball(trial: Trial) -> None:
    norm = getattr(trial.ref.params, "norm", getattr(trial.spec, "norm", None))
    with engine_accepts(f"||x_adv - x||_{norm} <= eps for every sample"):
        for goal in ("perturbation", "success", "training"):
            _check(trial, trial.call(How(goal=goal), f"it runs with ctx.goal = {goal!r}"), ball=True)


@case(
    "explainer",
    read="immutable-features",
    applies=lambda spec: isinstance(spec, ExplainerSpec) and spec.produces == "counterfactual",
)
def keeps_immutable_features(trial: Trial) -> None:
    for network, words in (
        ("trained", ""),
        ("stubborn", " on a model that never says the target"),
        ("flat", " on a model without a gradient"),
    ):
        call = trial.call(How(network=network), f"it runs{words}")
        with engine_accepts(f"features that are not task.mutable keep their exact values{words}"):
            _check(trial, call, mutable=True)


@case(*PRODUCERS, read="models-without-a-gradient")
def survives_a_flat_model(trial: Trial) -> None:
    call = trial.call(How(network="flat"), "it runs on a model whose logits are equal and gradients zero")
    with engine_accepts("a finite result inside its limits on a model whose gradients are all zero"):
        _check(trial, call, box=_moves(trial.spec), ball=True)


@case("attack", read="goals", applies=lambda spec: isinstance(spec, AttackSpec) and not spec.early_exit)
def does_the_same_for_every_goal(trial: Trial) -> None:
    for goal in _OTHER_GOALS:
        for aim, words in _aims(trial.spec):
            asked = trial.call(How(goal=goal, aim=aim), f"it runs with ctx.goal = {goal!r}{words}")
            found = difference(_moved(trial.call(How(aim=aim))), _moved(asked))
            expect(
                not found,
                "without early_exit=True in the spec, the result does not depend on ctx.goal",
                f"with ctx.goal = {goal!r}{words}, {found}",
            )


@case("attack", read="goals", applies=lambda spec: isinstance(spec, AttackSpec) and spec.early_exit)
def early_exit_costs_no_success(trial: Trial) -> None:
    for aim, words in _aims(trial.spec):
        early = trial.call(How(goal="success", aim=aim), f"it runs with ctx.goal = 'success'{words}")
        lost = _errs(trial.call(How(aim=aim))) & ~_errs(early)
        expect(
            not lost.any(),
            "stopping early, an attack fools all the samples that it fools in full",
            f"{int(lost.sum())} of {len(lost)} samples are fooled only without ctx.goal = 'success'{words}",
        )


def _aims(spec: MethodSpec) -> tuple[tuple[Literal["default", "target"], str], ...]:
    """What to aim an attack at, and how to say so."""
    if isinstance(spec, AttackSpec) and spec.targeted:
        return ("default", ""), ("target", " and targets")
    return (("default", ""),)


@case(
    "attack",
    read="targets",
    applies=lambda spec: isinstance(spec, AttackSpec) and spec.targeted and not spec.control,
)
def aims_at_its_target(trial: Trial) -> None:
    for goal in ("perturbation", *_OTHER_GOALS):
        _check_aim(trial, "targeted=True: it moves towards ctx.target, for every ctx.goal", goal)


@case(
    "explainer",
    read="targets",
    applies=lambda spec: isinstance(spec, ExplainerSpec) and spec.produces == "counterfactual",
)
def aims_at_the_target(trial: Trial) -> None:
    _check_aim(trial, "a counterfactual moves towards ctx.target")


def _check_aim(trial: Trial, expected: str, goal: Goal = "perturbation") -> None:
    """A class is more likely where one aims at it than where one aims at another, on average over samples and
    two classes. A method that moves nothing need not tell targets apart."""
    asked = "" if goal == "perturbation" else f" (ctx.goal = {goal!r})"
    one = trial.call(How(aim="target", goal=goal), f"it runs with ctx.target{asked}")
    two = trial.call(How(aim="other", goal=goal), f"it runs with ctx.target{asked}")
    assert one.target is not None
    assert two.target is not None
    ratio = _log_p(one) - _log_p(two)
    gain = (ratio.gather(1, one.target[:, None]) - ratio.gather(1, two.target[:, None])) / 2
    if all(not difference(_moved(c), {"values": c.x}) for c in (one, two)):
        return
    different = difference(_moved(one), _moved(two))
    expect(different, expected, f"the result is the same for two different targets{asked}")
    expect(
        gain.mean() > 0,
        expected,
        f"aimed at a class, its log-probability is {float(-gain.mean()):.3g} lower on average than aimed at "
        f"another one{asked}",
    )


@case(*PRODUCERS, read="success", applies=_makes_samples)
def reports_success_as_a_fresh_prediction_would(trial: Trial) -> None:
    call = trial.call()
    for name in (name for name in call.result.notes if name in SUCCESS):
        said, fresh = call.result.notes[name] > 0.5, _errs(call)
        wrong = int((said != fresh).sum())
        expect(
            not wrong,
            f"the note {name!r} is 1 exactly where the model, asked again, errs or says ctx.target",
            f"it is wrong for {wrong} of {len(fresh)} samples",
        )


def _moved(call: Call) -> dict[str, Any]:
    """The moved inputs or values of a result, without its notes."""
    result = call.result
    name = {Perturbation: "x_adv", Counterfactual: "x_cf", Attribution: "values"}.get(type(result))
    if name is None:
        raise Breach("a result of a known type", f"it is {type(result).__name__}")
    return {"values": tensors_of(result)[name]}


def _logits(call: Call) -> Tensor:
    assert call.network is not None
    with torch.no_grad():
        return call.network(_moved(call)["values"])


def _log_p(call: Call) -> Tensor:
    return _logits(call).log_softmax(1)


def _errs(call: Call) -> Tensor:
    """(n,) bool: a fresh prediction is the target; without one, not the label."""
    predicted = _logits(call).argmax(1)
    return predicted == call.target if call.target is not None else predicted != call.y
