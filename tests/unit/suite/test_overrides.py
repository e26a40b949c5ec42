"""What the command line changes in a suite: `--set`, `--samples`, `--seeds`; its digest tells."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from small_suite import HEAD, defended, labels

from benchmark_core.registry import Registry
from benchmark_core.suite import Source, Suite, read

Check = Callable[..., Suite]
Errors = Callable[..., list[str]]

SETS = """\
attacks:
  - fgsm
  - {use: pgd, eps: 0.1, as: v1.5}
  - {use: pgd, eps: 0.1, steps: 3}
"""


def test_set(check: Check) -> None:
    head = defended("{use: adversarial-training, as: Strong-AT, attack: pgdx}").replace(
        "pgdx", "{use: pgd, eps: 0.1}"
    )
    suite = check(
        SETS,
        head,
        overrides={
            "attacks.fgsm.eps": "8/255",
            "attacks.v1.5.eps": "[0.3, 0.4]",
            "attacks.2.steps": 9,
            "defenses.Strong-AT.attack.steps": "7",
            "limits.threads": "2",
            "seeds": "1",
            "metrics": "[accuracy, validity]",
        },
    )
    assert labels(suite) == ["fgsm", "v1.5 eps=0.3", "v1.5 eps=0.4", "pgd"]
    assert suite.entry("attack", "fgsm").ref.params.eps == 8 / 255
    assert suite.entry("attack", "pgd").ref.params.steps == 9
    assert suite.entry("defense", "Strong-AT").ref.params.attack.params.steps == 7
    assert (suite.limits.threads, suite.seeds, labels(suite, "metric")) == (2, 1, ["accuracy", "validity"])
    assert suite.overrides["limits.threads"] == "2"


def test_set_by_name_means_every_entry_of_it(check: Check) -> None:
    suite = check(SETS, overrides={"attacks.pgd.restarts": 2})
    assert [e.ref.params.restarts for e in suite.of("attack") if e.ref.name == "pgd"] == [2, 2]


def test_set_does_not_reach_through_an_alias(check: Check) -> None:
    text = (
        "attacks:\n- {use: ensemble, as: A, members: &m [{use: pgd, eps: 1}]}\n"
        "- {use: ensemble, as: B, members: *m}\n"
    )
    suite = check(text, overrides={"attacks.A.members.0.eps": 2})
    assert [e.ref.params.members[0].params.eps for e in suite.of("attack")] == [2.0, 1.0]


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("atacks.pgd.eps", "1", 'a suite has no key "atacks"; did you mean "attacks"? It has: suite, '),
        ("attacks.pdg.eps", "1",
         'nothing in attacks is called "pdg"; did you mean "pgd"? It has: fgsm, v1.5, pgd'),
        ("attacks.3.eps", "1", "attacks has no item 3; it has 3, counted from 0"),
        ("attacks.pgd.epss", "1", 'pgd has no param "epss"; did you mean "eps"? It has: eps, '),
        ("attacks.pgd.eps", "-1", "pgd: eps must be at least 0, got -1"),
        ("attacks.pgd.eps.x", "-1", "attacks.1.eps holds no keys, so x cannot be set in it"),
        ("attacks.fgsm.inner.x", "1", 'attacks.0 does not set "inner". It sets: use'),
        ("explainers.ecco.on", "1", 'a suite does not set "explainers". It sets: suite, datasets, '),
        ("limits.thread", "1", 'limits has no key "thread"; did you mean "threads"? It has: '),
        ("seeds", "[1", "not valid YAML: expected ',' or ']', but got the end of the file"),
        ("seeds", "0", "seeds must be at least 1, got 0"),
        ("seeds", "", "seeds must be a whole number, got null"),
        ("extends", "x.yaml", "extends cannot be set; write it in a file"),
    ],
)  # fmt: skip
def test_set_problems_name_the_option(errors: Errors, path: str, value: str, problem: str) -> None:
    (line,) = errors(SETS, overrides={path: value})
    assert line.startswith(f"--set {path}: {problem}")


def test_quick_looks(check: Check, errors: Errors) -> None:
    text = "samples: 50\nattacks: [{use: pgd, eps: 1, samples: [5, all]}, fgsm]\nexplainers: [ecco]\n"
    suite = check(text, samples=10, seeds=2)
    assert [e.wish.samples for k in ("attack", "explainer", "metric") for e in suite.of(k) if e.wish] == [
        5, 10, 10, 10, 10,
    ]  # fmt: skip
    assert suite.seeds == 2
    assert suite.overrides == {"--samples": 10, "--seeds": 2}
    assert errors(samples=0) == ["--samples: samples must be at least 1, got 0"]
    assert errors(seeds=0) == ["--seeds: seeds must be at least 1, got 0"]


def test_digest_counts_text_and_overrides_but_not_the_name(check: Check, registry: Registry) -> None:
    digest = check().digest
    assert read(Source("other.yaml", HEAD), registry).digest == digest
    others = {
        check("# note\n").digest,
        check(overrides={"seeds": 1}).digest,
        check(samples=3).digest,
        check(seeds=3).digest,
    }
    assert len(others | {digest}) == 5
