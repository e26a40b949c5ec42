"""The reference of the suite file: its examples are valid, and it tells every key, choice and default."""

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from benchmark_core.registry import Registry
from benchmark_core.spec import ENTRY_KEYS
from benchmark_core.suite import read
from benchmark_core.suite.keys import BOARD_TYPES, LIMIT_TYPES, REQUIRED, RULE_KEYS, SUITE_KEYS
from benchmark_core.suite.model import Limits, Over, Select, Targets

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "suites.md").read_text()

#: What stands around an example of one key.
AROUND = {
    "suite": "around",
    "datasets": "[wine]",
    "models": "[linear]",
    "defenses": "[standard]",
    "attacks": "[{use: pgd, eps: 0.1}, {use: fgsm, eps: 0.2}]",
    "explainers": "[saliency]",
    "metrics": "[accuracy, robust-accuracy, validity, gini-sparseness]",
}
#: Where an example of one entry belongs.
SECTIONS = {
    "accuracy": "metrics",
    "pgd": "attacks",
    "saliency": "explainers",
    "scfe": "explainers",
    "transfer": "metrics",
}


def blocks(language: str, page: str = PAGE) -> dict[str, str]:
    """File name -> text of the blocks that begin with one."""
    found = re.findall(rf"```{language}\n(# ([\w-]+\.\w+)\n.*?)```", page, re.S)
    assert len({name for _, name in found}) == len(found)
    return {name: text for text, name in found}


def table(head: str) -> dict[str, list[str]]:
    """Key -> the other cells of its row, of the table whose header begins so. A row may have several keys."""
    _, start, rest = PAGE.partition(f"\n| {head}")
    assert start, f"no table begins with {head}"
    rows = rest.partition("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return {key: others for first, *others in cells for key in re.findall(r"`([^`]+)`", first)}


def tables_with_examples() -> list[dict[str, list[str]]]:
    return [table("key | example | what it is"), table("key | where"), *limits_and_boards()]


def limits_and_boards() -> list[dict[str, list[str]]]:
    return [table("key | example | unit and meaning"), table("key | example | meaning")]


def examples() -> Iterator[str]:
    """Every example of a table as a whole suite."""
    for rows in tables_with_examples():
        for key, cells in rows.items():
            example = next(cell for cell in cells if re.fullmatch(r"`.*: .*`", cell)).strip("`")
            assert key in example
            if example.startswith("{"):
                name = re.split("[ ,}]+", example)[1]
                example = f"{SECTIONS[name]}: [{example}]"
            around = (f"{k}: {v}" for k, v in AROUND.items() if not example.startswith(f"{k}:"))
            yield "\n".join([*around, example])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The whole suites of the page, and the files they name."""
    for name, text in blocks("yaml").items():
        (tmp_path / name).write_text(text)
    (tmp_path / "flip.py").write_text(blocks("python", (DOCS / "authoring.md").read_text())["flip.py"])
    (tmp_path / "weights.safetensors").touch()
    (tmp_path / "published.yaml").write_text("values: []\n")
    return tmp_path


def test_all_examples_are_valid(robex, folder):
    files = list(blocks("yaml"))
    assert len(files) == PAGE.count("```yaml") > 5
    for i, text in enumerate(examples()):
        files.append(f"example-{i}.yaml")
        (folder / files[-1]).write_text(text)
    found = json.loads(robex("validate", "--json", *files).stdout)
    assert {f["file"]: f["messages"] for f in found} == {file: [] for file in files}


def test_every_key_has_its_row():
    suite, entry, limits, board = tables_with_examples()
    assert set(suite) == set(SUITE_KEYS)
    assert set(entry) == set(ENTRY_KEYS)
    assert set(limits) == set(LIMIT_TYPES)
    assert set(board) == set(BOARD_TYPES)
    assert {key for key, cells in suite.items() if cells[-1] == "required"} == set(REQUIRED)
    assert {key for key, cells in board.items() if cells[-1] == "required"} == {"name", "rows"}
    rules = PAGE.partition("\n## Include and exclude\n")[2].partition("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", rules[: rules.index("label")])) == set(RULE_KEYS)


@pytest.mark.parametrize(
    ("head", "choices"),
    [("`select` | test", Select), ("`targets` | classes", Targets), ("`over` | the score", Over)],
)
def test_every_choice_has_its_row(head: str, choices: Any):
    assert list(table(head)) == list(get_args(choices))


def test_the_limits_are_what_the_page_says():
    said = {key: cells[-1].strip("`") for key, cells in limits_and_boards()[0].items()}
    defaults = {f.name: f.default for f in dataclasses.fields(Limits)}
    assert said.pop("memory") == "no bound"
    assert defaults.pop("memory") is None
    assert said == {k: f"{v:g}" if isinstance(v, float) else str(v) for k, v in defaults.items()}


def test_labels_are_what_the_page_says(robex, folder):
    said = re.findall(r"# (?:labels: )?(.+)$", blocks("yaml")["labels.yaml"].partition("\n")[2], re.M)
    plan = json.loads(robex("plan", "labels.yaml", "--seeds", "1", "--json").stdout)
    kinds = ("model", "defense", "attack", "metric")
    labels = {cell[kind] for cell in map(dict, plan["cells"]) for kind in kinds if kind in cell}
    assert labels == {"Standard", "robust-accuracy", "gini-sparseness", *", ".join(said).split(", ")}


def test_rules_keep_what_the_page_says(robex, folder):
    cells = json.loads(robex("plan", "rules.yaml", "--seeds", "1", "--json").stdout)["cells"]
    places = [tuple(c.get(k) for k in ("dataset", "attack", "on", "metric")) for c in cells]
    attacks = ["pgd eps=0.05", "pgd eps=0.1", "fgsm"]
    assert sorted(places, key=str) == sorted(
        [
            *((d, None, None, "accuracy") for d in ("wine", "digits")),
            *(("wine", attack, None, "robust-accuracy") for attack in attacks),
            *(("digits", attack, None, "robust-accuracy") for attack in attacks[1:]),
            ("wine", None, "clean", "gini-sparseness"),
        ],
        key=str,
    )


def test_only_what_the_page_names_aims(folder):
    suite = read(folder / "wishes.yaml", Registry.load())
    wishes = {e.label: e.wish for kind in ("attack", "explainer", "metric") for e in suite.of(kind) if e.wish}
    assert {label: (w.select, w.samples, w.targets, w.over) for label, w in wishes.items()} == {
        "pgd": ("correct", 60, "none", "mean"),
        "targeted PGD": ("class-balanced", 60, "random", "mean"),
        "nearest": ("class-balanced", 60, "next", "mean"),
        "recourse": ("negative", 20, "next", "mean"),
        "every class": ("class-balanced", 20, "all", "worst"),
        "accuracy": ("class-balanced", None, "none", "mean"),
    }


def test_a_quick_look_is_kept_under_its_own_name(robex, folder):
    changes = ["--samples", "5", "--seeds", "1", "--set", "defenses.standard.epochs=1"]
    changes += ["--set", "datasets=[wine]", "--set", "attacks.pgd.steps=1"]
    robex("run", "basics.yaml", "--quiet", *changes)
    (name,) = (path.stem for path in (folder / "robex-results" / "suites").iterdir())
    assert re.fullmatch("basics~[0-9a-f]{8}", name)
    assert "wine" in robex("table", "--suite", name).stdout


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("attacks.pgd.eps=0.1", 'no attack is labelled "pgd eps=0.05"'),
        ("attacks.pdg.eps=0.1", 'nothing in attacks is called "pdg"'),
        ("models.mlp.hidden.deep=3", "hidden"),
    ],
)
def test_a_change_that_fits_nothing_is_an_error(robex, folder, change, says):
    assert says in robex("plan", "rules.yaml", "--set", change, code=2).stderr


def test_paths_of_changes(folder):
    def changed(name: str, path: str, value: Any):
        return read(folder / name, Registry.load(), {path: value})

    suite = changed("labels.yaml", "defenses.AT {attack.eps}.attack.steps", 3)
    assert {e.ref.params.attack.params.steps for e in suite.of("defense") if e.label.startswith("AT")} == {3}
    assert changed("labels.yaml", "attacks.1.eps", 0.3).entry("attack", "fgsm").ref.params.eps == 0.3
    assert changed("labels.yaml", "limits.threads", 4).limits.threads == 4
    assert changed("boards.yaml", "boards.attacks.rank_by", "accuracy").boards[1].rank_by == "accuracy"
    ratios = changed("wishes.yaml", "explainers.scfe.steps", 7)  # every entry that uses it
    assert [e.ref.params.steps for e in ratios.of("explainer")] == [7, 7, 7]
    one_attack = read(folder / "rules.yaml", Registry.load(), {"attacks.pgd.eps": 0.1, "exclude": []})
    assert [e.label for e in one_attack.of("attack")] == ["pgd", "fgsm"]


def test_what_a_child_inherits(folder):
    child = read(folder / "child.yaml", Registry.load())
    base = read(folder / "basics.yaml", Registry.load())
    assert (child.name, child.seeds, child.limits.threads) == ("child", 5, 2)
    assert [e.label for e in child.of("attack")] == ["pgd eps=0.05", "pgd eps=0.1"]
    assert [e.label for e in child.of("metric")] == [e.label for e in base.of("metric")]
