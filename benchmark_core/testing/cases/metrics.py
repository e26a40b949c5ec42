"""Metrics: scores of the kind and range that the spec declares, from the result and nothing else."""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor

from ...interfaces import Scores
from ...run.checks import check_scores
from ...spec import MetricSpec
from ..harness import Breach, How, Trial, difference, engine_accepts, expect, expect_detached, tensors_of
from .table import case


def _spec(trial: Trial) -> MetricSpec:
    assert isinstance(trial.spec, MetricSpec)
    return trial.spec


def _of_any_kind(spec: MetricSpec) -> MetricSpec:
    """Without what a case of its own looks at: whether scores that should be are 0 or 1."""
    return dataclasses.replace(spec, scores="score") if spec.scores == "bernoulli" else spec


@case("metric", rank=1, read="scores")
def returns_one_score_a_sample(trial: Trial) -> None:
    spec = _spec(trial)
    anything = dataclasses.replace(_of_any_kind(spec), range=(-math.inf, math.inf))
    what = "one value for all samples, (1,)" if spec.scores == "set" else "one value a sample, (n,)"
    for kind in spec.consumes:
        scores = trial.call(How(consumes=kind)).result
        with engine_accepts(f"Scores with {what}"):
            if isinstance(scores, Scores) and not isinstance(scores.values, Tensor):
                raise Breach("Scores of tensors", f"values is {type(scores.values).__name__}")
            check_scores(trial.ref, anything, scores, trial.n)
        expect_detached(scores)


@case("metric", read="scores")
def stays_in_its_range(trial: Trial) -> None:
    spec = _spec(trial)
    for kind in spec.consumes:
        for aim in ("default", "target") if kind == "perturbation" else ("default",):
            with engine_accepts(f"scores in [{spec.range[0]:g}, {spec.range[1]:g}], as range= says"):
                scores = trial.call(How(consumes=kind, aim=aim)).result
                check_scores(trial.ref, _of_any_kind(spec), scores, trial.n)
            _expect_numbers(spec, scores)


def _expect_numbers(spec: MetricSpec, scores: Scores) -> None:
    """The engine keeps what is no number, and boards count it; on ordinary results there is none."""
    values = scores.values if scores.valid is None else scores.values[scores.valid]
    endless = spec.failure is not None and math.isinf(spec.failure)
    bad = int((values.isnan() if endless else ~values.isfinite()).sum())
    expect(
        not bad,
        "scores that are numbers; where none is defined, scores='conditional' and `valid` say so",
        f"{bad} of {len(values)} valid scores are NaN{'' if endless else ' or infinite'}",
    )


@case("metric", read="scores")
def gives_the_kind_of_scores_it_declares(trial: Trial) -> None:
    spec = _spec(trial)
    for kind in spec.consumes:
        scores: Scores = trial.call(How(consumes=kind)).result
        expect(
            scores.valid is None or spec.scores == "conditional",
            f"`valid` only with scores='conditional', this is {spec.scores!r}",
            "the metric returns `valid`",
        )
        if spec.scores == "bernoulli":
            odd = scores.values[(scores.values != 0) & (scores.values != 1)]
            expect(not len(odd), "scores='bernoulli': 0 or 1 a sample", f"among them {odd[:1].tolist()}")


@case("metric", read="scores", applies=lambda s: isinstance(s, MetricSpec) and s.consumes != ("synthesis",))
def measures_float64(trial: Trial) -> None:
    double = trial.doubled
    for kind in _spec(trial).consumes:
        double.call(How(consumes=kind), "it measures results in float64")


_CAN_SUCCEED = ("perturbation", "counterfactual")


@case(
    "metric",
    read="success",
    applies=lambda s: isinstance(s, MetricSpec) and not set(s.consumes).isdisjoint(_CAN_SUCCEED),
)
def asks_the_model_again(trial: Trial) -> None:
    for kind in (kind for kind in _spec(trial).consumes if kind in _CAN_SUCCEED):
        plain = tensors_of(trial.call(How(consumes=kind)).result)
        for noted, words in ((1.0, "success"), (0.0, "failure")):
            told = trial.call(How(consumes=kind, noted=noted), "it measures a result with notes")
            found = difference(plain, tensors_of(told.result))
            expect(
                not found,
                "success is what a fresh prediction on the result says, not what a method notes",
                f"where a method notes {words} everywhere, {found}",
            )


@case("metric", read="scores", applies=lambda s: isinstance(s, MetricSpec) and s.failure is not None)
def some_samples_may_fail(trial: Trial) -> None:
    """`failure` counts for samples that are not valid, so there must be a way to be so."""
    for kind in _spec(trial).consumes:
        scores: Scores = trial.call(How(consumes=kind)).result
        says = scores.valid is not None and bool(torch.any(~scores.valid))
        expect(
            says, "failure= is for samples that `valid` leaves out; a third of these fail", "all are valid"
        )
