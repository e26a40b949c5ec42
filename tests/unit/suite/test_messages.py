"""What is said about every mistake in a suite: the exact line, with its place. `HEAD` is lines 1 to 5."""

# ruff: noqa: E501  (messages stand here as they are said)

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from small_suite import HEAD

from benchmark_core.registry import Registry
from benchmark_core.suite import read

Errors = Callable[..., list[str]]
PGD_HAS = "It has: eps, steps, step_size, restarts, norm, random_start, batch"
SUITE_HAS = (
    "It has: suite, version, description, extends, plugins, seeds, seed, datasets, models, defenses, attacks, "
    "explainers, metrics, samples, select, targets, over, include, exclude, limits, boards"
)


def test_all_at_once_in_the_order_of_the_file(errors: Errors) -> None:
    assert errors(
        "attacks:\n"
        "  - {use: pdg}\n"
        "  - {use: pgd, eps: 0.1, step: 40}\n"
        "explainers:\n"
        "  - {use: ecco, samples: 0}\n"
    ) == [
        's.yaml:7:11: no attack is called "pdg"; did you mean "pgd"? (robex list attacks)',
        f's.yaml:8:26: pgd has no param "step"; did you mean "steps"? {PGD_HAS}',
        "s.yaml:10:26: ecco: samples must be at least 1, got 0",
    ]


def test_a_broken_entry_hides_no_mistake_elsewhere(errors: Errors) -> None:
    """What names something that can be no broken entry is told at once, and so is a label that cannot be."""
    assert errors(
        "attacks:\n"
        "  - {use: pdg, eps: 0.1}\n"
        "  - {use: pgd, eps: -1, as: 'A*'}\n"
        "exclude:\n"
        "  - {attack: pgd}\n"
        "  - {attack: pdg eps=0.1}\n"
        "  - {attack: nothing}\n"
    ) == [
        's.yaml:7:11: no attack is called "pdg"; did you mean "pgd"? (robex list attacks)',
        "s.yaml:8:21: pgd: eps must be at least 0, got -1",
        's.yaml:8:29: as may not hold "*": patterns use it',
        's.yaml:12:14: no attack is labelled "nothing"; the suite has no attacks',
    ]


NUMBER = "a number such as 0.03 or 8/255"


@pytest.mark.parametrize(
    ("entry", "problems"),
    [
        # which method
        ("pdg", ['12: no attack is called "pdg"; did you mean "pgd"? (robex list attacks)']),
        ("zzzz", ['12: no attack is called "zzzz" (robex list attacks)']),
        ("ecco", ['12: no attack is called "ecco"; it is an explainer (robex list attacks)']),
        ("5", ["12: an attack must be a name or a mapping such as {use: NAME}, got 5"]),
        ("", []),
        ("[pgd]", ["12: an attack must be a name or a mapping such as {use: NAME}, got ['pgd']"]),
        ("{eps: 1}", ["12: use is required: the name of an attack (robex list attacks)"]),
        ("{use: 3}", ["18: use must be text, got 3"]),
        # params
        ("pgd", ["12: pgd: eps is required"]),
        ("{use: pgd, eps: 1, epsilon: 2}", [f'31: pgd has no param "epsilon"; did you mean "eps"? {PGD_HAS}']),
        ("{use: pgd, eps: 1, foo: 2}", [f'31: pgd has no param "foo". {PGD_HAS}']),
        ("{use: pgd, eps: 1, sampels: 2}", [f'31: pgd has no param "sampels"; did you mean "samples"? {PGD_HAS}']),
        ("{use: pgd, eps: -1}", ["28: pgd: eps must be at least 0, got -1"]),
        ("{use: pgd, eps: true}", [f"28: pgd: eps must be {NUMBER}, got true"]),
        ("{use: pgd, eps: big}", [f"28: pgd: eps must be {NUMBER}, got 'big'"]),
        ("{use: pgd, eps: 1_0}", [f"28: pgd: eps must be {NUMBER}, got '1_0'"]),
        ("{use: pgd, eps: a/b}", ["28: pgd: eps: 'a/b' is not a number such as 0.03 or 8/255"]),
        ("{use: pgd, eps: 1/0}", ["28: pgd: eps: '1/0' is not a number such as 0.03 or 8/255"]),
        ("{use: pgd, eps: .inf}", ["28: pgd: eps must be finite, got .inf"]),
        ("{use: pgd, eps: .nan}", ["28: pgd: eps must be finite, got .nan"]),
        ("{use: pgd, eps: }", [f"27: pgd: eps must be {NUMBER}, got null"]),
        ("{use: pgd, eps: {a: 1}}", [f"28: pgd: eps must be {NUMBER}, got {{a: 1}}"]),
        ("{use: pgd, eps: [0.1, [0.2]]}", [f"34: pgd: eps must be {NUMBER}, got [0.2]"]),
        ("{use: pgd, eps: [0.1, -1, x]}", ["34: pgd: eps must be at least 0, got -1",
                                           f"38: pgd: eps must be {NUMBER}, got 'x'"]),
        ("{use: pgd, eps: []}", ["28: pgd: eps is an empty list; a grid needs a value"]),
        ("{use: pgd, eps: 1, steps: 0}", ["38: pgd: steps must be at least 1, got 0"]),
        ("{use: pgd, eps: 1, steps: 1.5}", ["38: pgd: steps must be a whole number, got 1.5"]),
        ("{use: pgd, eps: 1, steps: '5'}", ["38: pgd: steps must be a whole number, got '5'"]),
        ("{use: pgd, eps: 1, steps: false}", ["38: pgd: steps must be a whole number, got false"]),
        ("{use: pgd, eps: 1, restarts: 101}", ["41: pgd: restarts must be at most 100, got 101"]),
        ("{use: pgd, eps: 1, norm: l3}", ["37: pgd: norm must be one of linf, l2, l1, got 'l3'"]),
        ("{use: pgd, eps: 1, random_start: yes}", ["45: pgd: random_start must be true or false, got 'yes'"]),
        ("{use: pgd, eps: 1, random_start: 1}", ["45: pgd: random_start must be true or false, got 1"]),
        ("{use: pgd, eps: 1, step_size: 2}", ["42: pgd: step_size must be at most 1, got 2"]),
        ("{use: noise, low: 2}", ["12: noise: low must be at most high, got 2.0 and 1.0"]),
        ("{use: noise, low: [0, 2, 3]}", ["12: noise: low must be at most high, got 2.0 and 1.0",
                                          "12: noise: low must be at most high, got 3.0 and 1.0"]),
        ("broken", ["12: broken: checking its params failed: KeyError: 'oops'"]),
        ("{use: ensemble, members: pgd}", ["37: ensemble: members must be a list, got 'pgd'"]),
        ("{use: ensemble, members: [fgsm, pdg]}",
         ['44: no attack is called "pdg"; did you mean "pgd"? (robex list attacks)']),
        ("{use: ensemble, members: [fgsm, 5]}",
         ["44: an attack must be a name or a mapping such as {use: NAME}, got 5"]),
        ("{use: ensemble, members: [{use: pgd, eps: x}]}", [f"54: pgd: eps must be {NUMBER}, got 'x'"]),
        # the entry's own keys
        ("{use: fgsm, as: 5}", ["28: fgsm: as must be text, got 5"]),
        ("{use: fgsm, as: [a]}", ["28: fgsm: as must be text, got ['a']"]),
        ("{use: fgsm, as: ''}", ["28: as must be one line of text without blanks around it"]),
        ("{use: fgsm, as: ' a'}", ["28: as must be one line of text without blanks around it"]),
        ('{use: fgsm, as: "a\\nb"}', ["28: as must be one line of text without blanks around it"]),
        (f"{{use: fgsm, as: {'x' * 101}}}", ["28: as must have at most 100 characters, got 101"]),
        ("{use: fgsm, as: 'a*'}", ['28: as may not hold "*": patterns use it']),
        ("{use: fgsm, as: '{eps'}", ['28: as: "{" and "}" stand around the name of a param, as in "PGD {eps}"']),
        ("{use: fgsm, as: 'A {esp}'}",
         ['28: fgsm: as: there is no param "esp"; did you mean "eps"? It has: eps']),
        ("{use: fgsm, as: clean}",
         ['28: as may not be "clean": `on: clean` means inputs that nothing has attacked']),
        ("{use: fgsm, samples: 0}", ["33: fgsm: samples must be at least 1, got 0"]),
        ("{use: fgsm, samples: many}",
         ["33: fgsm: samples must be a whole number or all, got 'many'"]),
        ("{use: fgsm, samples: []}", ["33: fgsm: samples is an empty list; a grid needs a value"]),
        ("{use: fgsm, select: some}",
         ["32: fgsm: select must be one of all, correct, negative, class-balanced, got 'some'"]),
        ("{use: fgsm, targets: random}", ["33: fgsm cannot aim at a class; remove targets"]),
        ("{use: pgd, eps: 1, targets: best}",
         ["40: pgd: targets must be one of none, random, next, opposite, all, got 'best'"]),
        ("{use: pgd, eps: 1, over: best}",
         ["31: pgd: over joins the scores of several targets; it needs targets: all"]),
        ("{use: fgsm, on: clean}", ['24: fgsm: "on" belongs to explainers']),
        ("{use: fgsm, reference: standard}",
         ['24: fgsm: "reference" belongs to metrics that compare with another defense']),
    ],
)  # fmt: skip
def test_attacks(errors: Errors, check: Callable[..., object], entry: str, problems: list[str]) -> None:
    text = f"attacks: [  {entry}]"
    if problems:
        assert errors(text) == [
            f"s.yaml:6:{int(p.split(':')[0]) + 1}:{p.partition(':')[2]}" for p in problems
        ]
    else:
        check(text)


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("{use: mlp, hidden: 5}", ["mlp: hidden must be a list, got 5"]),
        ("{use: mlp, hidden: [a]}", ["mlp: hidden[0] must be a whole number, got 'a'"]),
        ("{use: mlp, hidden: [[64], 5]}", ["mlp: hidden must be a list, got 5"]),
        ("{use: mlp, hidden: [[1], [2, x]]}", ["mlp: hidden[1] must be a whole number, got 'x'"]),
        ("{use: mlp, window: [1]}", ["mlp: window must have exactly 2 items, got 1"]),
        ("{use: mlp, window: [1, 2, 3]}", ["mlp: window must have exactly 2 items, got 3"]),
        ("{use: mlp, name: 5}", ["mlp: name must be text, got 5"]),
        ("{use: mlp, dropout: x}", ["mlp: dropout must be a number or auto, got 'x'"]),
        ("{use: mlp, parts: []}", ["mlp: parts must have at least 1 item, got 0"]),
        ("{use: mlp, samples: 5}", ['mlp: "samples" belongs to attacks, explainers and metrics of predictions']),
    ],
)  # fmt: skip
def test_models(errors: Errors, text: str, problems: list[str]) -> None:
    found = errors(head=HEAD.replace("[mlp]", f"[{text}]"))
    assert [line.split(": ", 1)[1] for line in found] == problems
    assert all(line.startswith("s.yaml:3:") for line in found)


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("adversarial-training", ["4:12: adversarial-training: attack is required"]),
        ("{use: adversarial-training, attack: 5}",
         ["4:48: adversarial-training: attack must be the name of a method or a mapping with use, got 5"]),
        ("{use: adversarial-training, attack: pdg}",
         ['4:48: no attack is called "pdg"; did you mean "pgd"? (robex list attacks)']),
        ("{use: adversarial-training, attack: {use: pgd, eps: 0.1, step: 1, as: x}}",
         [f'4:69: pgd has no param "step"; did you mean "steps"? {PGD_HAS}',
          '4:78: pgd: "as" does not apply to a method inside another one']),
        ("{use: adversarial-training, weight: 2, attack: {use: pgd}}",
         ["4:48: adversarial-training: weight must be at most 1, got 2", "4:59: pgd: eps is required"]),
        ("{use: adversarial-training, attack: []}",
         ["4:48: adversarial-training: attack is an empty list; a grid needs a value"]),
        ("{use: standard, foo: 1}", ['4:28: standard has no param "foo". It has none']),
    ],
)  # fmt: skip
def test_defenses(errors: Errors, text: str, problems: list[str]) -> None:
    assert errors(head=HEAD.replace("[standard]", f"[{text}]")) == [f"s.yaml:{p}" for p in problems]


def test_files_must_exist(errors: Errors, tmp_path: Path) -> None:
    assert errors(head=HEAD.replace("[standard]", "[{use: pretrained, path: w.pt}]")) == [
        f"s.yaml:4:36: pretrained: path: no such file: {tmp_path / 'w.pt'}"
    ]


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("{use: ecco, targets: none}",
         ["6:36: ecco: targets cannot be none: a counterfactual needs a class to reach; "
          "use random, next, opposite or all"]),
        ("{use: ecco, on: []}", ["6:31: ecco: on is an empty list; write clean or attacks"]),
        ("{use: ecco, on: 5}", ["6:31: ecco: on must be text or a list, got 5"]),
        ("{use: ecco, on: [clean, 5]}", ["6:39: ecco: on[1] must be text, got 5"]),
        ("{use: ecco, on: fgms}",
         ['6:31: no attack is labelled "fgms"; did you mean "fgsm"? Labels: clean, fgsm']),
        ("{use: ecco, on: [clean, 'x*']}", ['6:39: no attack fits "x*". Labels: clean, fgsm']),
        ("{use: smooth, inner: fgsm}",
         ['6:36: no explainer is called "fgsm"; it is an attack (robex list explainers)']),
    ],
)  # fmt: skip
def test_explainers(errors: Errors, text: str, problems: list[str]) -> None:
    assert errors(f"explainers: [ {text}]\nattacks: [fgsm]") == [f"s.yaml:{p}" for p in problems]


def test_on_without_attacks(errors: Errors) -> None:
    assert errors("explainers: [{use: ecco, on: pgd}]") == [
        's.yaml:6:30: no attack is labelled "pgd"; the suite has no attacks'
    ]


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("gap", ["5:11: gap: reference is required: the label of the defense it compares with"]),
        ("{use: gap, reference: nope}", ['5:33: no defense is labelled "nope". Labels: standard']),
        ("{use: gap, reference: [standard, standrd]}",
         ['5:33: no defense is labelled "standrd"; did you mean "standard"? Labels: standard']),
        ("{use: robust-accuracy, samples: 3}",
         ['5:34: robust-accuracy: "samples" belongs to attacks, explainers and metrics of predictions']),
        ("{use: accuracy, targets: all}", ['5:27: accuracy: "targets" belongs to attacks and explainers']),
    ],
)  # fmt: skip
def test_metrics(errors: Errors, text: str, problems: list[str]) -> None:
    assert errors(head=HEAD.replace("[accuracy]", f"[{text}]")) == [f"s.yaml:{p}" for p in problems]


def test_a_reference_must_be_one_defense(errors: Errors) -> None:
    head = HEAD.replace("[standard]", "[{use: adversarial-training, as: S, attack: {use: pgd, eps: [0, 1]}}]")
    assert errors(head=head.replace("[accuracy]", "[{use: gap, reference: S}]")) == [
        's.yaml:5:33: gap: reference "S" fits several defenses: S eps=0, S eps=1; name one, or list them'
    ]


def test_a_reference_inside_a_broken_defense_is_not_reported_twice(errors: Errors) -> None:
    head = HEAD.replace("[standard]", "[{use: adversarial-training, as: S, attack: {use: pgd}}]")
    assert errors(head=head.replace("[accuracy]", "[{use: gap, reference: S}]")) == [
        "s.yaml:4:55: pgd: eps is required"
    ]


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("attack: []", [f'6:1: a suite has no key "attack"; did you mean "attacks"? {SUITE_HAS}']),
        ("qqq: []", [f'6:1: a suite has no key "qqq". {SUITE_HAS}']),
        ("version: 0", ["6:10: version must be at least 1, got 0"]),
        ("seeds: 0", ["6:8: seeds must be at least 1, got 0"]),
        ("seeds: two", ["6:8: seeds must be a whole number, got 'two'"]),
        ("seeds: [1, 2]", ["6:8: seeds must be a whole number, got [1, 2]"]),
        ("seed: -1", ["6:7: seed must be at least 0, got -1"]),
        ("description: 5", ["6:14: description must be text, got 5"]),
        ("samples: 0", ["6:10: samples must be at least 1, got 0"]),
        ("select: best", ["6:9: select must be one of all, correct, negative, class-balanced, got 'best'"]),
        ("over: sum", ["6:7: over must be one of mean, best, worst, got 'sum'"]),
        ("attacks:", ["6:9: attacks must be a list of attacks, got nothing"]),
        ("attacks: {use: fgsm}", ["6:10: attacks must be a list of attacks, got {use: 'fgsm'}"]),
        ("limits: 3", ["6:9: limits must be a mapping of node_timeout, memory, threads, device, batch_size, "
                       "retries, cells, got 3"]),
        ("limits: {thread: 2}", ['6:10: limits has no key "thread"; did you mean "threads"? It has: '
                                 "node_timeout, memory, threads, device, batch_size, retries, cells"]),
        ("limits: {node_timeout: 0}", ["6:24: limits: node_timeout must be more than 0, got 0"]),
        ("limits: {device: tpu}",
         ['6:18: limits: device must be one of auto, cpu, cuda, got \'tpu\'; did you mean "cpu"?']),
        ("plugins: x.py", ["6:10: plugins must be a list of Python files, got 'x.py'"]),
        ("plugins: [3]", ["6:11: a plugin is the path of a file, got 3"]),
        ("plugins: [x.py]", ["6:11: plugin x.py: no such file"]),
        # rules
        ("include: {model: mlp}", ["6:10: include must be a list of rules such as {attack: pgd, dataset: "
                                   "[wine, digits]}, got {model: 'mlp'}"]),
        ("exclude: [mlp]", ["6:11: exclude: a rule is a mapping such as {attack: pgd}, got 'mlp'"]),
        ("exclude: [{}]", ["6:11: exclude: a rule is a mapping such as {attack: pgd}, got {}"]),
        ("exclude: [{modle: mlp}]", ['6:12: exclude: a rule has no key "modle"; did you mean "model"? It has: '
                                     "dataset, model, defense, attack, explainer, metric, on"]),
        ("exclude: [{model: mpl}]", ['6:19: no model is labelled "mpl"; did you mean "mlp"? Labels: mlp']),
        ("exclude: [{model: [mlp, 'c*']}]", ['6:25: no model fits "c*". Labels: mlp']),
        ("exclude: [{model: []}]", ["6:19: exclude: model must have at least 1 item, got 0"]),
        ("exclude: [{model: 5}]", ["6:19: exclude: model must be text or a list, got 5"]),
        ("exclude: [{on: pgd}]", ['6:16: no attack is labelled "pgd"; the suite has no attacks']),
        # boards
        ("boards: [a]", ["6:10: a board is a mapping with name and rows, got 'a'"]),
        ("boards: [{}]", ["6:10: board: name is required", "6:10: board: rows is required"]),
        ("boards: [{name: a b, rows: [model]}]",
         ["6:17: board: name must be of letters, digits, '-', '_' and '.', got 'a b'"]),
        ("boards: [{name: a, rows: [model], row: 1}]",
         ['6:35: a board has no key "row"; did you mean "rows"? It has: name, rows, metrics, rank_by, expected']),
        ("boards: [{name: a, rows: []}]", ["6:26: board a: rows must have at least 1 item, got 0"]),
        ("boards: [{name: a, rows: model}]", ["6:26: board a: rows must be a list, got 'model'"]),
        ("boards: [{name: a, rows: [models]}]",
         ["6:27: board a: rows[0] must be one of dataset, model, defense, attack, explainer, on, got 'models'; "
              'did you mean "model"?']),
        ("boards: [{name: a, rows: [model, model]}]", ["6:26: board a: rows names model twice"]),
        ("boards: [{name: a, rows: [model]}, {name: a, rows: [model]}]", ['6:43: two boards are called "a"']),
        ("boards: [{name: a, rows: [model], metrics: [acuracy]}]",
         ['6:45: no metric is labelled "acuracy"; did you mean "accuracy"? Labels: accuracy']),
        ("boards: [{name: a, rows: [model], rank_by: x}]", ['6:44: no metric is labelled "x". Labels: accuracy']),
        ("boards: [{name: a, rows: [model], expected: e.yaml}]",
         ["6:45: board a: expected: no such file: e.yaml"]),
    ],
)  # fmt: skip
def test_suites(errors: Errors, text: str, problems: list[str]) -> None:
    assert errors(text) == [f"s.yaml:{p}" for p in problems]


def test_rank_by_is_one_shown_metric(errors: Errors) -> None:
    head = HEAD.replace("[accuracy]", "[accuracy, robust-accuracy, validity]")
    board = "boards: [{name: a, rows: [model], metrics: [accuracy], rank_by: "
    assert errors(board + "validity}]", head) == [
        's.yaml:6:65: board a: rank_by "validity" is not among its metrics: accuracy'
    ]
    assert errors("boards: [{name: a, rows: [model], rank_by: '*accuracy'}]", head) == [
        's.yaml:6:44: board a: rank_by "*accuracy" fits several metrics: accuracy, robust-accuracy; name one'
    ]


@pytest.mark.parametrize(
    ("head", "problems"),
    [
        ("", ["1:1: the file is empty; a suite has the keys suite, datasets, models, defenses, metrics and more"]),
        ("# nothing\n", ["1:1: the file is empty; a suite has the keys suite, datasets, models, defenses, metrics "
                         "and more"]),
        ("- a\n", ["1:1: this is no mapping; a suite has the keys suite, datasets, models, defenses, metrics and "
                   "more"]),
        ("version: 1\n", ["1:1: datasets is required", "1:1: defenses is required", "1:1: metrics is required",
                          "1:1: models is required", "1:1: suite is required"]),
        (HEAD.replace("small", "a b"),
         ["1:8: suite must be a name of letters, digits, '-', '_' and '.', got 'a b'"]),
        (HEAD.replace("small", "../x"),
         ["1:8: suite must be a name of letters, digits, '-', '_' and '.', got '../x'"]),
        (HEAD.replace("small", "2024"), ["1:8: suite must be text, got 2024"]),
        (HEAD.replace("[wine]", "[]"), ["2:11: datasets is empty; list at least one dataset"]),
    ],
)  # fmt: skip
def test_heads(errors: Errors, head: str, problems: list[str]) -> None:
    assert errors(head=head) == [f"s.yaml:{p}" for p in problems]


def test_labels_must_be_unique(errors: Errors) -> None:
    entries = ["fgsm", "fgsm", "{use: noise, as: fgsm}", "{use: noise, as: A}", "{use: pgd, eps: 1, as: A}"]
    assert errors("attacks:\n" + "".join(f"- {e}\n" for e in entries)) == [
        "s.yaml:8:3: fgsm is listed twice with the same params, first on line 7; remove one or name it with as",
        's.yaml:9:20: two attacks are labelled "fgsm", the first on line 7; give one another label with as',
        's.yaml:11:26: two attacks are labelled "A", the first on line 10; give one another label with as',
    ]  # fmt: skip


def test_grids_are_bounded(errors: Errors) -> None:
    numbers = ", ".join(str(i) for i in range(1, 102))
    assert errors(f"attacks: [{{use: pgd, eps: [{numbers}], steps: [{numbers}]}}]") == [
        "s.yaml:6:11: pgd: the grid has 10,201 combinations; at most 10,000 are allowed"
    ]
    inner = f"{{use: pgd, eps: [{numbers}], steps: [{numbers.replace(', 100, 101', '')}]}}"
    head = HEAD.replace("[standard]", f"[{{use: adversarial-training, attack: [{inner}, {inner}]}}]")
    assert errors(head=head) == [
        "s.yaml:4:48: adversarial-training: the grid has more than 10,000 combinations; at most 10,000 are allowed"
    ]


def test_a_file_that_is_not_there(registry: Registry, tmp_path: Path) -> None:
    from benchmark_core.errors import SuiteErrors

    with pytest.raises(SuiteErrors, match=r"/none\.yaml: no such file\n1 error; nothing was run\.$"):
        read(tmp_path / "none.yaml", registry)
    with pytest.raises(SuiteErrors, match=r": Is a directory\n"):
        read(tmp_path, registry)
    (tmp_path / "latin.yaml").write_bytes("suite: é".encode("latin-1"))
    with pytest.raises(SuiteErrors, match=r"latin\.yaml: not UTF-8: byte 0xe9 on line 1, column 8"):
        read(tmp_path / "latin.yaml", registry)


def test_a_plugin_that_fails(errors: Errors, tmp_path: Path) -> None:
    (tmp_path / "suite_test_bad.py").write_text("import no_such_module_anywhere\n")
    assert errors("plugins: [suite_test_bad.py]\nattacks: [mine]\n") == [
        "s.yaml:6:11: plugin suite_test_bad.py: ModuleNotFoundError: No module named "
        "'no_such_module_anywhere' (suite_test_bad.py:1)",
        's.yaml:7:11: no attack is called "mine"; a plugin could not be loaded (robex doctor) '
        "(robex list attacks)",
    ]


def test_params_with_types_nobody_can_read(errors: Errors, tmp_path: Path) -> None:
    (tmp_path / "suite_test_types.py").write_text(
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "from benchmark_core import MethodSpec, hookimpl\n"
        "@dataclass(frozen=True)\n"
        "class P:\n    x: Nowhere = 0\n"
        "class Opaque: pass\n"
        "@dataclass(frozen=True)\n"
        "class Q:\n    x: Opaque = None\n"
        "@hookimpl\n"
        "def register_methods():\n"
        "    yield MethodSpec.attack('typo', 'm:C', params=P)\n"
        "    yield MethodSpec.attack('opaque', 'm:C', params=Q)\n"
    )
    found = errors("plugins: [suite_test_types.py]\nattacks: [typo, opaque]\n")
    assert found[0] == (
        "s.yaml:7:11: typo: the types of its params cannot be read: NameError: name 'Nowhere' is not defined"
    )
    assert found[1].startswith("s.yaml:7:17: opaque: the types of its params cannot be checked: Pydantic")
    assert len(found) == 2
