"""What users see of broken plugins, broken suites and poor terminals, by the installed command."""

import json
import os
import subprocess
import sys
import time

import pytest

SUITE = """\
suite: tiny
seeds: 1
datasets: [wine]
models: [linear]
defenses: [{use: standard, epochs: 1}]
samples: 10
attacks: [ATTACK]
metrics: [accuracy, robust-accuracy]
"""
SPEC = """
from benchmark_core import MethodSpec, hookimpl
@hookimpl
def register_methods():
    yield MethodSpec.attack("NAME", "nowhere:Mine")
"""
PLUGINS = {
    "raises": "x = 1\nraise ValueError('no luck')\n",
    "exits": "raise SystemExit(3)\n",
    "hangs": "import time\ntime.sleep(1000)\n",
    "misspells": SPEC.replace("register_methods", "register_method"),
    "takes": SPEC.replace("NAME", "pgd"),
    "prints": "print('not JSON')\nimport os; os.system('echo neither')\n" + SPEC.replace("NAME", "printed"),
}


@pytest.fixture
def installed(tmp_path):
    """Environment in which a distribution with each of PLUGINS is installed."""
    for name, text in PLUGINS.items():
        info = tmp_path / "site" / f"bad_{name}-1.2.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: bad-{name}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[robex]\n{name} = bad_{name}\n")
        (tmp_path / "site" / f"bad_{name}.py").write_text(text)
    path = os.pathsep.join(filter(None, [str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")]))
    return {"PYTHONPATH": path, "ROBEX_PLUGIN_TIMEOUT": "1"}


def test_broken_plugins_are_named_and_stop_only_suites_that_need_them(robex, tmp_path, installed):
    said = robex("doctor", code=1, **installed).stdout
    lines = [line for line in said.splitlines() if line.startswith("✕")]
    assert lines[:5] == [
        '✕ plugin "exits" (bad-exits 1.2, bad_exits): it tried to end the program (SystemExit: 3) '
        "(site/bad_exits.py:1)",
        '✕ plugin "hangs" (bad-hangs 1.2, bad_hangs): it took longer than 1 s to load; leave it out with '
        "ROBEX_PLUGINS=-hangs, or give it more time with ROBEX_PLUGIN_TIMEOUT=4 (site/bad_hangs.py:2)",
        f'✕ plugin "misspells" (bad-misspells 1.2 ({tmp_path}/site/bad_misspells.py)): there is no hook '
        '"register_method"; did you mean "register_methods"? (site/bad_misspells.py:3)',
        '✕ plugin "raises" (bad-raises 1.2, bad_raises): ValueError: no luck (site/bad_raises.py:2)',
        f'✕ plugin "takes" (bad-takes 1.2 ({tmp_path}/site/bad_takes.py)): two plugins register the attack '
        f'"pgd": {lines[4].partition("pgd")[2].partition(": ")[2].partition(" and ")[0]} and bad-takes 1.2 '
        "(site/bad_takes.py:5); leave one out with ROBEX_PLUGINS=-NAME",
    ]
    assert "robex 0" in lines[4]
    assert "plugin.py:" in lines[4]
    assert lines[5].endswith(
        "attack printed: there is no module nowhere; mend target in site/bad_prints.py:7"
    )

    listed = robex("list", "attacks", "--json", **installed)
    assert {"fgsm", "printed"} <= {method["name"] for method in json.loads(listed.stdout)}
    assert "not JSON" in listed.stderr

    (tmp_path / "good.yaml").write_text(SUITE.replace("ATTACK", "{use: fgsm, eps: 0.1}"))
    (tmp_path / "bad.yaml").write_text(SUITE.replace("ATTACK", "{use: pgd, eps: 0.1}"))
    robex("run", "good.yaml", "--quiet", **installed)
    refused = robex("run", "bad.yaml", code=2, **installed).stderr
    assert (
        'bad.yaml:7:17: no attack is called "pgd": two plugins register the attack "pgd": robex ' in refused
    )
    robex("plan", "bad.yaml", **{**installed, "ROBEX_PLUGINS": "-takes,-hangs"})


def test_bad_files_end_in_a_line_each(robex, tmp_path):
    (tmp_path / "noise.yaml").write_bytes(os.urandom(10_000_000))
    bomb = "".join(
        f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    (tmp_path / "bomb.yaml").write_text("a: &a [1, 2]\n" + bomb)
    (tmp_path / "deep.yaml").write_text("[" * 100_000)
    (tmp_path / "keys.yaml").write_text("suite: x\nsuite: y\nmodel: [mlp]\nseeds: many\n")
    (tmp_path / "code.yaml").write_text("suite: !!python/object/apply:os.system ['touch was-here']\n")
    os.mkfifo(tmp_path / "pipe.yaml")
    files = ["noise.yaml", "bomb.yaml", "deep.yaml", "keys.yaml", "code.yaml", "pipe.yaml", "none.yaml", "."]
    started = time.monotonic()
    done = robex("validate", *files, code=2)
    assert time.monotonic() - started < 60
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "was-here").exists()
    lines = done.stderr.splitlines()
    for line in (
        "noise.yaml: the file is larger than 1 MB",
        "deep.yaml:1:51: nested more than 50 deep",
        'keys.yaml:2:1: "suite" is given twice, on lines 1 and 2',
        "pipe.yaml: a named pipe; give it as a file",
        "none.yaml: no such file",
        ".: Is a directory",
    ):
        assert line in lines
    assert any("bomb.yaml" in line and "more than 100,000 values" in line for line in lines)
    assert any("code.yaml:1:8: tags such as" in line for line in lines)
    assert max(map(len, lines)) < 400


def test_forty_columns_and_no_utf8(robex, tmp_path):
    """Every verb on a poor terminal: nothing but ASCII, no traceback, tables and help within the columns."""
    poor = {
        "COLUMNS": "40",
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONIOENCODING": "",
    }
    (tmp_path / "s.yaml").write_text(SUITE.replace("ATTACK", "{use: fgsm, eps: 0.1, as: Grün ε}"), "utf-8")
    verbs = ["list", "validate s.yaml", "plan s.yaml", "status", "table", "show fgsm", "report", "doctor",
             "cache ls", "schema", "--help", "run --help"]  # fmt: skip
    robex("run", "s.yaml", **poor)
    assert "Traceback" not in robex("run", "grün.yaml", code=2, **poor).stderr
    script = "import sys\nfrom benchmark_core.cli.main import main\n"
    script += "for verb in sys.argv[1:]:\n    print('::', verb)\n    assert main(verb.split()) == 0, verb\n"
    done = subprocess.run(
        [sys.executable, "-c", script, *verbs],
        cwd=tmp_path, env={**os.environ, **poor}, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (done.stdout + done.stderr).isascii()
    said = {part.partition("\n")[0]: part.splitlines()[1:] for part in done.stdout.split(":: ")[1:]}
    assert list(said) == verbs
    assert all(said.values())
    for verb in ("validate s.yaml", "status", "table", "--help"):
        assert max(map(len, said[verb])) <= 40, verb
