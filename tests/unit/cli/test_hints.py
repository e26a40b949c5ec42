"""Every command that robex prints works when pasted: verbs and options exist, and the store and the plugins
that the user named are in it."""

import json
import re
import shlex
import sys

import click
import pytest
from test_cli import FAILING

from benchmark_core.cli.main import VERBS, main, robex

#: Verbs that take --store.
STORED = {"plan", "run", "status", "table", "report", "show", "doctor", "cache"}


def printed_commands(text):
    """Command lines in what robex printed, as lists of words."""
    found = []
    for rest in re.findall(rf"(?<![\w/`-])robex ((?:{'|'.join(VERBS)})\b[^\n]*)", text):
        rest = re.split(r"   |\)(?:\W|$)", rest)[0]
        found.append(shlex.split(rest))
    return found


def check(words):
    """Parses a command line as click does; what it runs is not run. Raises click.UsageError."""
    command, context = robex, click.Context(robex, info_name="robex")
    while isinstance(command, click.Group):
        name = words.pop(0)
        command = command.get_command(context, name)
        assert command is not None, name
    with command.make_context(name, words, parent=context):
        pass


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What many verbs print about a store and a plugin with names of their own: {arguments: text}."""
    folder = tmp_path_factory.mktemp("hints of robex")  # blanks have to be quoted
    suite, plugin, store = folder / "tiny.yaml", folder / "failing_plugin.py", folder / "my store"
    plugin.write_text(FAILING)
    suite.write_text(
        "suite: tiny\nseeds: 2\ndatasets: [wine]\nmodels: [linear]\n"
        "defenses: [{use: standard, as: Standard, epochs: 1}]\nsamples: 20\n"
        "attacks: [{use: fgsm, eps: 0.1}]\n"
        "explainers: [failing]\nmetrics: [robust-accuracy, gini-sparseness]\n"
    )
    where, more = ["--store", str(store)], ["--plugin", str(plugin)]
    capture = pytest.MonkeyPatch()
    texts = {}

    def run(*arguments):
        import io

        out = io.StringIO()
        with capture.context() as patch:
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", out)
            main(arguments)
        texts[" ".join(arguments[:1] + arguments[2:3])] = out.getvalue()
        return out.getvalue()

    run("plan", str(suite), *where, *more)
    failed = run("run", str(suite), *where, *more)
    run("run", str(suite), "--seeds", "1", *where, *more)
    run("status", *where)
    run("list", *more)
    run("doctor", "--trace", *where, *more)
    key = re.search(r"robex show (\w+)", failed)[1]
    run("show", key, *where)
    good = json.loads(run("plan", str(suite), "--json", *where, *more))["nodes"][0]["key"]
    run("show", good, "--plugin", str(plugin), *where)
    fine = folder / "fine.yaml"
    fine.write_text(suite.read_text().replace("tiny", "fine").replace("[failing]", "[saliency]"))
    run("run", str(fine), "--samples", "15", *where)
    run("plan", str(fine), "--samples", "15", *where)
    yield texts, str(store), str(plugin)
    sys.modules.pop("failing_plugin", None)


def test_printed_commands_can_be_pasted(told):
    texts, store, plugin = told
    commands = [words for text in texts.values() for words in printed_commands(text)]
    assert {words[0] for words in commands} >= {"run", "show", "table"}
    for words in commands:
        if words[0] in STORED and "NAME" not in words:
            assert store in words, words
        if words[0] == "run" and any("tiny" in word for word in words):
            assert plugin in words, words
        check(list(words))


def test_the_command_for_the_boards_of_a_quick_look_shows_them(ran, capsys):
    again = ["--samples", "12", "--store", ran.store]
    assert main(["run", ran.suite, *again, "--quiet"]) == 0
    boards = capsys.readouterr().out
    assert main(["plan", ran.suite, *again]) == 0
    text = capsys.readouterr().out
    [name] = re.findall(r"A quick look, not the whole suite: kept as (tiny~\w{8})\.", text)
    [words] = [w for w in printed_commands(text) if w[0] == "table"]
    assert name in words
    assert main(words) == 0
    assert capsys.readouterr().out == boards
    assert main(["cache", "rm", name, "--store", ran.store]) == 0
    capsys.readouterr()
    # Its records are gone with it: nothing claims that the boards are there.
    assert main(["plan", ran.suite, *again]) == 0
    assert "Run it: robex run" in capsys.readouterr().out


# --- expected values -----------------------------------------------------------------------------------

BOARDS = """
boards:
  - {name: one, rows: [defense], metrics: [accuracy], expected: one.yaml}
  - {name: two, rows: [defense], metrics: [robust-accuracy], expected: two.yaml}
"""


@pytest.mark.parametrize("verb", ["plan", "validate", "run"])
def test_all_mistakes_in_expected_files_are_told_before_a_run(verb, suite, tmp_path, capsys):
    suite.write_text(suite.read_text() + BOARDS)
    (tmp_path / "one.yaml").write_text(
        "values:\n"
        "  - {at: {defense: Standerd}, metric: accuracy, value: '0.9'}\n"
        "  - {metric: acuracy, value: '1'}\n"
    )
    (tmp_path / "two.yaml").write_text("clams: []\n")
    store = [] if verb == "validate" else ["--store", str(tmp_path / "s")]
    assert main([verb, str(suite), *store]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.search(r"one\.yaml:2:20: row \"Standerd\" is not on board one", err)
    assert re.search(
        r"one\.yaml:3:14: metric \"acuracy\" is not on board one; did you mean \"accuracy\"", err
    )
    assert re.search(r"two\.yaml:1:1: an expected file has no key \"clams\"; did you mean \"claims\"", err)
    assert "3 errors" in err
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("verb", ["plan", "validate", "run"])
def test_mistakes_of_a_suite_and_of_its_expected_files_are_told_together(verb, suite, tmp_path, capsys):
    """Of expected files those that need no board: which rows and columns a board has is not known yet."""
    suite.write_text(suite.read_text() + BOARDS + "limits: {threads: none}\n")
    (tmp_path / "one.yaml").write_text(
        "values:\n"
        "  - {at: {defense: Standerd}, metric: accuracy, value: 0.9}\n"
        "  - {metric: acuracy, value: '1'}\n"
        "claims: [{claim: a is best, metric: accuracy}, {claim: a < b, metric: accuracy, over: colour}]\n"
    )
    (tmp_path / "two.yaml").write_text("values: [\n")
    assert main([verb, str(suite), *([] if verb == "validate" else ["--store", str(tmp_path / "s")])]) == 2
    err = capsys.readouterr().err
    assert "threads" in err
    assert re.search(r"one\.yaml:2:56: value: write it in quotes", err)
    assert re.search(r"one\.yaml:4:18: ", err)
    assert re.search(r"two\.yaml:2:1: not valid YAML", err)
    assert "4 errors" in err


def test_an_empty_board_does_not_hide_mistakes_in_its_expected_file(suite, tmp_path, capsys):
    suite.write_text(suite.read_text() + BOARDS.replace("rows: [defense]", "rows: [explainer]", 1))
    (tmp_path / "one.yaml").write_text("clams: []\n")
    (tmp_path / "two.yaml").write_text("clams: []\n")
    assert main(["validate", str(suite)]) == 2
    err = capsys.readouterr().err
    assert "board one stays empty" in err
    assert re.search(r"one\.yaml:1:1: an expected file has no key", err)
    assert re.search(r"two\.yaml:1:1: an expected file has no key", err)


@pytest.mark.parametrize("verb", ["plan", "validate"])
def test_checking_expected_files_imports_nothing_heavy(verb, suite, tmp_path):
    from test_cli import HEAVY, imported

    suite.write_text(suite.read_text() + BOARDS)
    for name in ("one", "two"):
        metric = {"one": "accuracy", "two": "robust-accuracy"}[name]
        (tmp_path / f"{name}.yaml").write_text(f"values:\n  - {{metric: {metric}, value: '0.9'}}\n")
    modules, code = imported(verb, str(suite))
    assert code == 0
    assert "benchmark_core.board.expected" in modules
    assert not modules & HEAVY
