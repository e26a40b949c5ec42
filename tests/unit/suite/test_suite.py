"""What a valid suite becomes: values, grids, labels, wishes, rules."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_suite import HEAD, defended, labels

from benchmark_core.errors import RobexError, SuiteErrors
from benchmark_core.registry import Registry
from benchmark_core.spec import MethodRef
from benchmark_core.suite import Limits, Source, Suite, Wish, make_ref, read

Check = Callable[..., Suite]
Errors = Callable[..., list[str]]


# --- values --------------------------------------------------------------------------------------------


def test_defaults(check: Check) -> None:
    suite = check()
    assert (suite.name, suite.version, suite.seeds, suite.seed) == ("small", 1, 5, 0)
    assert (suite.file, suite.description, suite.boards, suite.limits) == ("s.yaml", "", (), Limits())
    assert suite.source == (("s.yaml", HEAD),)
    dataset = suite.entry("dataset", "wine")
    assert (dataset.file, dataset.line, dataset.column, dataset.wish) == ("s.yaml", 2, 12, None)
    assert suite.of("attack") == ()


def test_params_become_their_types(check: Check) -> None:
    suite = check("attacks: [{use: pgd, eps: 8/255, steps: 1e1, step_size: '0.5'}, {use: noise, high: 2}]")
    params = suite.entry("attack", "pgd").ref.params
    assert (params.eps, params.steps, params.step_size) == (8 / 255, 10, 0.5)
    assert [type(v) for v in (params.eps, params.steps)] == [float, int]
    assert type(suite.entry("attack", "noise").ref.params.high) is float


def test_lists_become_tuples(check: Check) -> None:
    suite = check(head=HEAD.replace("[mlp]", "[{use: mlp, hidden: [8, 8], dropout: 0.5}]"))
    params = suite.of("model")[0].ref.params
    assert (params.hidden, params.window, params.dropout) == ((8, 8), (0.0, 1.0), 0.5)


def test_methods_inside_methods(check: Check) -> None:
    entry = "{use: adversarial-training, attack: {use: pgd, eps: 1/4}}"
    inner = check(head=defended(entry)).entry("defense", "adversarial-training").ref.params.attack
    assert isinstance(inner, MethodRef)
    assert (inner.kind, inner.name, inner.params.eps) == ("attack", "pgd", 0.25)
    suite = check("attacks: [{use: ensemble, members: [fgsm, {use: pgd, eps: 1}]}]")
    assert [m.name for m in suite.of("attack")[0].ref.params.members] == ["fgsm", "pgd"]


def test_files_are_found_from_the_suite(registry: Registry, tmp_path: Path) -> None:
    folder = tmp_path / "suites"
    folder.mkdir()
    (folder / "w.pt").write_bytes(b"1")
    (folder / "s.yaml").write_text(defended("{use: pretrained, path: w.pt}"))
    suite = read(folder / "s.yaml", registry)
    assert suite.of("defense")[1].ref.params.path == str((folder / "w.pt").resolve())


def test_text_without_a_file(registry: Registry) -> None:
    suite = read(Source("pasted", HEAD), registry)
    assert (suite.file, suite.name) == ("pasted", "small")


def test_plugins_are_loaded_first(registry: Registry, check: Check, tmp_path: Path) -> None:
    (tmp_path / "suite_test_own.py").write_text(
        "from benchmark_core import MethodSpec, hookimpl\n@hookimpl\ndef register_methods():\n"
        "    yield MethodSpec.attack('own', 'suite_test_own:C')\n"
    )
    suite = check("attacks: [own]\nplugins: [suite_test_own.py]")
    assert labels(suite) == ["own"]
    assert suite.plugins == (str(tmp_path.resolve() / "suite_test_own.py"),)


def test_the_rest_of_a_suite(check: Check, tmp_path: Path) -> None:
    (tmp_path / "e.yaml").write_text("")
    suite = check(
        "version: 2\nseeds: 3\nseed: 7\ndescription: d\nattacks: [{use: pgd, eps: [0.1, 0.2]}, fgsm]\n"
        "limits: {threads: 4, memory: 2}\n"
        "boards: [{name: b, rows: [defense, attack], metrics: ['acc*'], rank_by: accuracy, "
        "expected: e.yaml}]\n"
        "include: [{attack: pgd, model: m*}]\nexclude: [{attack: 'pgd eps=0.2'}, {on: [clean, fgsm]}]\n"
    )
    assert (suite.version, suite.seeds, suite.seed, suite.description) == (2, 3, 7, "d")
    assert suite.limits == Limits(threads=4, memory=2.0)
    (board,) = suite.boards
    assert (board.name, board.rows, board.metrics) == ("b", ("defense", "attack"), ("accuracy",))
    assert (board.rank_by, board.expected) == ("accuracy", "e.yaml")
    assert suite.include == ({"attack": ("pgd eps=0.1", "pgd eps=0.2"), "model": ("mlp",)},)
    assert suite.exclude == ({"attack": ("pgd eps=0.2",)}, {"on": ("clean", "fgsm")})


def test_reading_is_light() -> None:
    program = (
        "import sys, benchmark_core.suite as s; from benchmark_core.registry import Registry\n"
        "early = {'pydantic', 'yaml'} & set(sys.modules)\n"
        "try: s.read(s.Source('x', 'suite: x'), Registry())\n"
        "except s.load.SuiteErrors: pass\n"
        "print(early, {'torch', 'pandas', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set() set()"


# --- grids and labels ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attacks", "expected"),
    [
        ("pgd1", ["pgd"]),
        ("{use: pgd, eps: [0.1]}", ["pgd"]),
        ("{use: pgd, eps: [0.1, 8/255]}", ["pgd eps=0.1", "pgd eps=8/255"]),
        ("{use: pgd, eps: [0.1, 1/10, 0.10]}", ["pgd"]),
        ("{use: pgd, eps: [1e-5, 0.00002]}", ["pgd eps=1e-5", "pgd eps=2e-5"]),
        ("{use: pgd, eps: [0.12345678, 0.12345679]}", ["pgd eps=0.12345678", "pgd eps=0.12345679"]),
        # the first key of the file varies slowest
        ("{use: pgd, norm: [l2, l1], eps: [1, 2]}",
         ["pgd eps=1 norm=l2", "pgd eps=2 norm=l2", "pgd eps=1 norm=l1", "pgd eps=2 norm=l1"]),
        ("{use: pgd, eps: 1, random_start: [true, false]}",
         ["pgd random_start=true", "pgd random_start=false"]),
        ("{use: pgd, eps: 1, step_size: [null, 0.5]}", ["pgd step_size=none", "pgd step_size=0.5"]),
        # two entries of one method
        ("{use: pgd, eps: 1}, {use: pgd, eps: 1, steps: 20}", ["pgd steps=40", "pgd steps=20"]),
        ("fgsm, {use: fgsm, eps: 0.2}", ["fgsm eps=0.1", "fgsm eps=0.2"]),
        ("fgsm, {use: fgsm, eps: 0.2, as: Big}", ["fgsm", "Big"]),
        ("fgsm, {use: fgsm, samples: 10}", ["fgsm", "fgsm samples=10"]),
        # labels of one's own
        ("{use: pgd, as: P, eps: [1, 2]}", ["P eps=1", "P eps=2"]),
        ("{use: pgd, as: 'P {eps}', eps: [1, 8/255]}", ["P 1", "P 8/255"]),
        ("{use: pgd, as: 'P {eps} {steps}', eps: 1}", ["P 1 40"]),
        ("{use: pgd, as: 'P {eps}', eps: [1, 2], norm: [l1, l2]}",
         ["P 1 norm=l1", "P 1 norm=l2", "P 2 norm=l1", "P 2 norm=l2"]),
        # wishes
        ("{use: pgd, eps: 1, targets: [random, all]}", ["pgd targets=random", "pgd targets=all"]),
        ("{use: pgd, eps: 1, samples: [10, all], select: [all, correct]}",
         ["pgd samples=10 select=all", "pgd samples=10 select=correct",
          "pgd samples=all select=all", "pgd samples=all select=correct"]),
        ("{use: pgd, as: 'P-{targets}', eps: 1, targets: [random, next]}", ["P-random", "P-next"]),
        # methods inside
        ("{use: ensemble, members: [fgsm, {use: pgd, eps: [1, 2]}]}", ["ensemble eps=1", "ensemble eps=2"]),
        ("{use: ensemble, members: [[fgsm], [fgsm, {use: pgd, eps: 1}]]}",
         ["ensemble members=fgsm", "ensemble members=fgsm+pgd"]),
    ],
)  # fmt: skip
def test_labels_of_attacks(check: Check, attacks: str, expected: list[str]) -> None:
    attacks = "{use: pgd, eps: 1}" if attacks == "pgd1" else attacks
    assert labels(check(f"attacks: [{attacks}]")) == expected


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("{use: adversarial-training, as: Strong-AT, attack: {use: pgd, eps: [0.1, 0.2]}}",
         ["Strong-AT eps=0.1", "Strong-AT eps=0.2"]),
        ("{use: adversarial-training, as: 'AT {eps} {attack.steps} {attack}', attack: {use: pgd, eps: 1}}",
         ["AT 1 40 pgd"]),
        ("{use: adversarial-training, as: AT, attack: [fgsm, {use: pgd, eps: 0.1}]}",
         ["AT attack=fgsm", "AT attack=pgd"]),
        ("{use: adversarial-training, as: AT, weight: [0, 1], attack: {use: pgd, eps: [1, 2]}}",
         ["AT eps=1 weight=0", "AT eps=2 weight=0", "AT eps=1 weight=1", "AT eps=2 weight=1"]),
    ],
)  # fmt: skip
def test_labels_of_defenses(check: Check, entry: str, expected: list[str]) -> None:
    assert labels(check(head=defended(entry)), "defense") == ["standard", *expected]


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("{use: mlp, hidden: [8, 16]}", ["mlp"]),
        ("{use: mlp, hidden: [[8], [8, 16], []]}", ["mlp hidden=8", "mlp hidden=8x16", "mlp hidden=empty"]),
        ("{use: mlp, parts: [[a], [a, 'b[0]']]}", ["mlp parts=a", "mlp parts=a+b(0)"]),
    ],
)
def test_labels_of_models(check: Check, entry: str, expected: list[str]) -> None:
    assert labels(check(head=HEAD.replace("[mlp]", f"[{entry}]")), "model") == expected


def test_labels_of_metrics_name_the_reference_when_it_varies(check: Check) -> None:
    at = "{use: adversarial-training, as: AT, attack: fgsm}"
    suite = check(head=defended(at, "[accuracy, {use: gap, reference: AT}]"))
    assert [(e.label, e.reference) for e in suite.of("metric")] == [("accuracy", None), ("gap", "AT")]
    suite = check(head=defended(at, "[{use: gap, reference: [standard, AT]}]"))
    assert [(e.label, e.reference) for e in suite.of("metric")] == [
        ("gap vs standard", "standard"),
        ("gap vs AT", "AT"),
    ]


def test_a_reference_may_be_the_name_of_a_grid_of_one(check: Check) -> None:
    entry = "{use: adversarial-training, as: 'AT {eps}', attack: fgsm}"
    suite = check(head=defended(entry, "[{use: gap, reference: AT}]"))
    assert suite.of("metric")[0].reference == "AT 0.1"


# --- wishes and on -------------------------------------------------------------------------------------


def test_wishes_take_the_suites_defaults_where_they_fit(check: Check) -> None:
    suite = check(
        "samples: 50\nselect: correct\ntargets: all\nover: worst\n"
        "attacks: [{use: pgd, eps: 1}, fgsm, {use: noise, samples: all, select: all}]\n"
        "explainers: [ecco, {use: saliency, samples: 7}]\n"
    )
    # A suite's targets are those of its counterfactuals; an attack aims only when its own entry says so.
    assert suite.entry("attack", "pgd").wish == Wish(
        select="correct", samples=50, targets="none", over="worst"
    )
    assert suite.entry("attack", "fgsm").wish == Wish(
        select="correct", samples=50, targets="none", over="worst"
    )
    assert suite.entry("attack", "noise").wish == Wish(
        select="all", samples=None, targets="none", over="worst"
    )
    assert suite.entry("explainer", "ecco").wish == Wish(
        select="correct", samples=50, targets="all", over="worst"
    )
    assert suite.entry("explainer", "saliency").wish == Wish(
        select="correct", samples=7, targets="none", over="worst"
    )
    assert suite.entry("metric", "accuracy").wish == Wish(select="correct", samples=50)


def test_counterfactuals_always_have_targets(check: Check) -> None:
    suite = check("explainers: [ecco, saliency]")
    assert [e.wish.targets for e in suite.of("explainer") if e.wish] == ["random", "none"]
    suite = check("targets: none\nexplainers: [ecco]")
    assert suite.of("explainer")[0].wish == Wish(targets="random")


def test_metrics_of_results_have_no_wish(check: Check) -> None:
    suite = check(
        "samples: 5", head=HEAD.replace("[accuracy]", "[robust-accuracy, {use: accuracy, samples: 3}]")
    )
    assert [e.wish for e in suite.of("metric")] == [None, Wish(samples=3)]


@pytest.mark.parametrize(
    ("on", "expected"),
    [
        ("clean", ("clean",)),
        ("pgd", ("pgd eps=1", "pgd eps=2")),
        ("'pgd eps=2'", ("pgd eps=2",)),
        ("[clean, Fast, pgd]", ("clean", "Fast", "pgd eps=1", "pgd eps=2")),
        ("['pgd*', 'pgd eps=1']", ("pgd eps=1", "pgd eps=2")),
        ("'*'", ("clean", "pgd eps=1", "pgd eps=2", "Fast")),
    ],
)
def test_on_names_attacks(check: Check, on: str, expected: tuple[str, ...]) -> None:
    attacks = "attacks: [{use: pgd, eps: [1, 2]}, {use: fgsm, as: Fast}]\n"
    suite = check(f"{attacks}explainers: [{{use: ecco, on: {on}}}]")
    assert suite.of("explainer")[0].on == expected


# --- make_ref ------------------------------------------------------------------------------------------


def test_make_ref(registry: Registry) -> None:
    fgsm = make_ref(registry, "attack", "fgsm", {})
    assert fgsm.params.eps == 0.1
    assert make_ref(registry, "state", "density", {"eps": "1/4"}).params.eps == 0.25
    outer = make_ref(registry, "defense", "adversarial-training", {"attack": fgsm, "weight": 1})
    assert outer.params.attack is fgsm
    members = (fgsm, {"use": "pgd", "eps": 1})
    ensemble = make_ref(registry, "attack", "ensemble", {"members": list(members)})
    assert [m.name for m in ensemble.params.members] == ["fgsm", "pgd"]
    assert make_ref(registry, "model", "mlp", {"hidden": (3, 4)}).params.hidden == (3, 4)


@pytest.mark.parametrize(
    ("kind", "name", "params", "lines"),
    [
        ("attack", "pgd", {"eps": [0.1, 0.2]},
         ["pgd: eps must be a number such as 0.03 or 8/255, got [0.1, 0.2]"]),
        ("attack", "pgd", {"steps": 0, "norm": "l3"},
         ["pgd: steps must be at least 1, got 0", "pgd: norm must be one of linf, l2, l1, got 'l3'",
          "pgd: eps is required"]),
        ("state", "densty", {}, ['no state is called "densty"; did you mean "density"? (robex list states)']),
    ],
)  # fmt: skip
def test_make_ref_says_what_is_wrong(
    registry: Registry, kind: Any, name: str, params: dict[str, Any], lines: list[str]
) -> None:
    with pytest.raises(RobexError) as caught:
        make_ref(registry, kind, name, params)
    assert str(caught.value).splitlines() == lines
    assert not isinstance(caught.value, SuiteErrors)
