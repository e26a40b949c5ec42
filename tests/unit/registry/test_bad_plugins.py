"""Plugins that fail, hang or misbehave while they register: a clear line for each, no harm to others."""

import os
import random
import re
import signal
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark_core.errors import RobexError
from benchmark_core.registry import Registry, UnknownMethod
from benchmark_core.spec import MethodRef

GOOD = """
from benchmark_core import MethodSpec, hookimpl

@hookimpl
def register_methods():
    yield MethodSpec.attack("{name}", "{module}:Mine", norm="linf")
"""
HEAD = "from benchmark_core import MethodSpec, hookimpl\n@hookimpl\n"


@pytest.fixture(autouse=True)
def in_its_folder(tmp_path, monkeypatch):
    """Plugins lie in the working folder, and their modules are forgotten."""
    before = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("bad_"):
            del sys.modules[name]


def plugin(name, text=GOOD):
    path = Path(f"{name}.py").resolve()
    path.write_text(text.replace("{module}", path.stem).replace("{name}", path.stem.replace("_", "-")))
    return path


def problem(text, name="bad_one", others=("bad_good",), **env):
    """What is said of a plugin with this text; a good one beside it is loaded all the same."""
    registry = Registry.load([plugin(name, text), *(plugin(other) for other in others)], select="-benchmark")
    assert registry.names("attack") == [other.replace("_", "-") for other in others]
    (found,) = registry.problems
    assert found.plugin == f"file:{name}"
    assert "\n" not in found.message
    assert len(found.message) < 500
    return found.message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\nraise ValueError('no\\nluck')", "ValueError: no luck (bad_one.py:2)"),
        ("raise ValueError('x' * 10000 + 'y')", "(bad_one.py:1)"),
        ("raise ValueError('\\x1b[31mred')", r"ValueError: \x1b[31mred (bad_one.py:1)"),
        ("import sys\nsys.exit(3)", "it tried to end the program (SystemExit: 3) (bad_one.py:2)"),
        ("exit()", "it tried to end the program (SystemExit"),
        ("raise KeyboardInterrupt", "it tried to end the program (KeyboardInterrupt) (bad_one.py:1)"),
        ("raise GeneratorExit", "it tried to end the program (GeneratorExit) (bad_one.py:1)"),
        ("class Own(BaseException): pass\nraise Own('x')",
         "it tried to end the program (Own: x) (bad_one.py:2)"),
        ("import bad_missing_package.sub", "No module named 'bad_missing_package' (bad_one.py:1)"),
        ("from benchmark_core import NoSuchName", "cannot import name 'NoSuchName'"),
        ("def f():\n    return f()\nf()", "RecursionError: maximum recursion depth exceeded"),
        ("x = 1\ndef broken(:\n", "SyntaxError: invalid syntax (bad_one.py:2)"),
        ("if True:\nx = 1", "IndentationError: expected an indented block"),
        ("x = '\0'", "null bytes"),
        ("import numpy as np, warnings\nwarnings.simplefilter('error')\nnp.matrix([1])",
         "PendingDeprecationWarning: the matrix subclass is not the recommended way"),
        ("import bad_one\nfrom bad_one import later", "cannot import name 'later' from "),
        ("x = 1", "it registers nothing; is @hookimpl missing?"),
        (GOOD.replace("@hookimpl", ""), "it registers nothing; is @hookimpl missing?"),
        (GOOD.replace("register_methods", "register_method"),
         'there is no hook "register_method"; did you mean "register_methods"? (bad_one.py:4)'),
        (HEAD + "def zzz(): pass",
         'there is no hook "zzz"; there are register_methods, register_commands, on_event (bad_one.py:2)'),
        (GOOD.replace("()", "(group)"), "hookimpl definition: register_methods(group)"),
        # what register_methods gives
        (HEAD + "def register_methods(): pass",
         "register_methods must yield or return MethodSpecs, got None"),
        (HEAD + "def register_methods(): yield 'pgd'", "must yield MethodSpecs, got 'pgd' (bad_one.py:3)"),
        (HEAD + "def register_methods(): return [MethodSpec]", "must yield MethodSpecs, got <class"),
        (HEAD + "def register_methods(): raise SystemExit",
         "it tried to end the program (SystemExit) (bad_one.py:3)"),
        (HEAD + "def register_methods():\n    yield MethodSpec.attack('a', 'm:C')\n    1 / 0",
         "ZeroDivisionError: division by zero (bad_one.py:5)"),
        (HEAD + "def register_methods():\n    while True:\n        yield MethodSpec.attack('a', 'm:C')",
         "register_methods yields more than 10,000 methods; does it ever end?"),
        (HEAD + "def register_methods(): yield MethodSpec(kind='attack', name='a', target='m:C')",
         "attack a: make its spec with MethodSpec.attack(...) (bad_one.py:3)"),
        (HEAD + "def register_methods(): yield MethodSpec.attack('a', 'm:C', eps=1)",
         "unexpected keyword argument 'eps' (bad_one.py:3)"),
        (HEAD + "def register_methods(): yield MethodSpec.attack(None, 'm:C')", "(bad_one.py:3)"),
        (HEAD + "def register_methods(): yield MethodSpec.attack('a', 'm:C', params=dict)",
         "params must be a dataclass, got <class 'dict'> (bad_one.py:3)"),
        (HEAD + "def register_methods(): yield MethodSpec.attack('a', 'm:C', revision='2')",
         "(bad_one.py:3)"),
        (HEAD + "def register_methods(): yield MethodSpec.state('a', 'm:C', needs=lambda p: {})",
         "state a: a state cannot need other states (bad_one.py:3)"),
    ],
)  # fmt: skip
def test_what_is_said_of_a_broken_plugin(text, message):
    assert message in problem(text)


def test_a_source_that_is_no_utf8():
    path = plugin("bad_latin")
    path.write_bytes("x = 'é'\n".encode("latin-1"))
    (found,) = Registry.load([path], select="-benchmark").problems
    assert found.message.startswith("SyntaxError: (unicode error) 'utf-8' codec can't decode byte 0xe9")
    assert found.message.endswith("(bad_latin.py:1)")


def test_a_plugin_that_hangs_is_stopped(monkeypatch):
    monkeypatch.setenv("ROBEX_PLUGIN_TIMEOUT", "0.3")
    started = time.monotonic()
    text = "import time\nwhile True:\n    try:\n        time.sleep(60)\n    except Exception:\n        pass\n"
    assert problem(text) == (
        "it took longer than 0.3 s to load; mend the file, or give it more time with "
        "ROBEX_PLUGIN_TIMEOUT=1.2 (bad_one.py:4)"
    )
    assert "took longer" in problem(HEAD + "def register_methods():\n    while True: pass", "bad_two", ())
    # A bare `except` swallows the first alarm; there are more.
    stubborn = "import time\nfor _ in range(2):\n    try:\n        time.sleep(60)\n    except:\n        0\n"
    assert "took longer" in problem(stubborn + "time.sleep(60)", "bad_three", ())
    assert time.monotonic() - started < 50


def test_somebody_elses_alarm_goes_on(monkeypatch):
    rung = []
    before = signal.signal(signal.SIGALRM, lambda *_: rung.append(True))
    old, _ = signal.setitimer(signal.ITIMER_REAL, 100)
    try:
        Registry.load([plugin("bad_good")], select="-benchmark")
        left, _ = signal.setitimer(signal.ITIMER_REAL, old)
        assert 50 < left < 100
        assert not rung
    finally:
        signal.signal(signal.SIGALRM, before)


def test_off_the_main_thread_a_line_says_what_one_waits_for(monkeypatch, capsys):
    monkeypatch.setenv("ROBEX_PLUGIN_TIMEOUT", "0.2")
    path = plugin("bad_slow", "import time\ntime.sleep(1)\n" + GOOD)
    found = []
    thread = threading.Thread(target=lambda: found.append(Registry.load([path], select="-benchmark")))
    thread.start()
    thread.join()
    assert found[0].names("attack") == ["bad-slow"]
    assert 'robex: plugin "file:bad_slow" is still loading; mend the file' in capsys.readouterr().err


@pytest.mark.parametrize("value", ["x", "0", "-1", "nan", "inf", "1e99"])
def test_the_limit_must_be_a_number(monkeypatch, value):
    monkeypatch.setenv("ROBEX_PLUGIN_TIMEOUT", value)
    with pytest.raises(RobexError, match="ROBEX_PLUGIN_TIMEOUT must be a number of seconds more than 0"):
        Registry.load()


def test_ctrl_c_while_a_plugin_loads_is_the_users():
    text = "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)\n"
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            Registry.load([plugin("bad_one", text)], select="-benchmark")
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_what_it_prints_goes_to_stderr(capfd):
    Registry.load([plugin("bad_loud", "import os\nprint('hi')\nos.system('echo ho')\n" + GOOD)])
    out, err = capfd.readouterr()
    assert out == ""
    assert set(err.split()) == {"hi", "ho"}


def test_global_state_is_put_back(tmp_path):
    def state():
        return (
            random.getstate(),
            tuple(np.random.get_state()[1]),  # noqa: NPY002
            tuple(torch.get_rng_state().tolist()),
            torch.get_default_dtype(),
            torch.is_grad_enabled(),
            list(warnings.filters),
            __import__("locale").setlocale(__import__("locale").LC_ALL),
            os.getcwd(),
            signal.getsignal(signal.SIGINT),
            signal.getsignal(signal.SIGALRM),
            sys.getrecursionlimit(),
            sys.stdout,
        )

    text = (
        "import locale, os, random, signal, sys, warnings\nimport numpy as np, torch\n"
        "random.seed(1)\nnp.random.seed(1)\ntorch.manual_seed(1)\ntorch.set_default_dtype(torch.float64)\n"
        "torch.set_grad_enabled(False)\nwarnings.simplefilter('ignore')\n"
        "locale.setlocale(locale.LC_ALL, 'C')\nos.chdir('/')\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\nsys.setrecursionlimit(5000)\nsys.stdout = None\n"
    )
    before = state()
    registry = Registry.load([plugin("bad_state", text + GOOD)], select="-benchmark")
    assert registry.names("attack") == ["bad-state"]
    assert state() == before


# --- names ---------------------------------------------------------------------------------------------


def test_a_name_that_is_taken_names_both_with_their_lines():
    first = plugin("bad_first", GOOD.replace("{name}", "same"))
    second = plugin("bad_second", "\n" + GOOD.replace("{name}", "same"))
    third = plugin("bad_third", "\n\n" + GOOD.replace("{name}", "same"))
    registry = Registry.load([first, second, third], select="-benchmark")
    both = (
        'two plugins register the attack "same": bad_first.py (bad_first.py:6) and '
        "bad_second.py (bad_second.py:7)"
    )
    advice = "take bad_first.py or bad_second.py out of the suite's plugins (or leave out its --plugin)"
    assert [p.message for p in registry.problems] == [f"{both}; {advice}"]
    with pytest.raises(UnknownMethod) as caught:
        registry.get("attack", "same")
    assert f"{both} and bad_third.py (bad_third.py:8)" in str(caught.value)


def test_a_builtin_name_that_is_taken():
    registry = Registry.load([plugin("bad_pgd", GOOD.replace("{name}", "pgd"))])
    (found,) = registry.problems
    assert re.search(
        r'two plugins register the attack "pgd": robex [\d.]+ \(.*plugin\.py:\d+\) and '
        r"bad_pgd.py \(bad_pgd.py:6\); take bad_pgd.py out of the suite's plugins",
        found.message,
    )
    assert "fgsm" in registry.names("attack")


def test_one_plugin_with_a_name_twice():
    text = GOOD + '    yield MethodSpec.attack("{name}", "m:C")\n'
    assert problem(text, others=()) == (
        'one plugin registers the attack "bad-one" twice: bad_one.py (bad_one.py:6) and '
        "bad_one.py (bad_one.py:7); rename one of them"
    )


def test_two_files_with_one_module_name(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    files = [plugin(f"{folder}/bad_same", GOOD.replace("{name}", f"of-{folder}")) for folder in "ab"]
    registry = Registry.load(files, select="-benchmark")
    assert registry.names("attack") == ["of-a"]
    assert [p.message for p in registry.problems] == [
        f"a module called bad_same is loaded already from {files[0]}; rename the file"
    ]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: p.mkdir(), "not a file"),
        (lambda p: os.mkfifo(p), "not a file"),
        (lambda p: None, "no such file"),
    ],
)
def test_what_is_no_file(make, message):
    path = Path("bad_kind.py").resolve()
    make(path)
    assert [p.message for p in Registry.load([path], select="-benchmark").problems] == [message]


def test_a_name_that_no_module_can_have():
    (found,) = Registry.load([plugin("bad-name.v2")], select="-benchmark").problems
    assert found.message == "'bad-name.v2' cannot be the name of a Python module; rename the file"


# --- installed distributions ---------------------------------------------------------------------------


def install(folder, name, entry, version="1.2"):
    """A distribution whose metadata lies in a folder of sys.path."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(f"[robex]\n{entry}\n")


@pytest.fixture
def site(tmp_path, monkeypatch):
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


def test_an_entry_point_to_nothing(site):
    install(site, "bad-dist", "bad_point = bad_nowhere.plugin")
    registry = Registry.load()
    (found,) = registry.problems
    assert str(found) == (
        'plugin "bad_point" (bad-dist 1.2, bad_nowhere.plugin): '
        "ModuleNotFoundError: No module named 'bad_nowhere'"
    )
    assert registry.get("attack", "pgd")


def test_an_installed_plugin_that_fails_is_named_with_its_line(site):
    install(site, "bad-dist", "bad_point = bad_package.plugin")
    (site / "bad_package").mkdir()
    (site / "bad_package" / "__init__.py").touch()
    (site / "bad_package" / "plugin.py").write_text("from . import tables\n")
    (site / "bad_package" / "tables.py").write_text("x = 1\ny = {}['missing']\n")
    (found,) = Registry.load(select="-benchmark").problems
    assert str(found) == (
        'plugin "bad_point" (bad-dist 1.2, bad_package.plugin): '
        "KeyError: 'missing' (site/bad_package/tables.py:2)"
    )
    assert "tables.py" in found.trace
    assert Registry.load(select="-bad_point").problems == []


def test_an_installed_plugin_that_hangs_can_be_left_out(site, monkeypatch):
    monkeypatch.setenv("ROBEX_PLUGIN_TIMEOUT", "0.2")
    install(site, "bad-dist", "bad_point = bad_sleepy")
    (site / "bad_sleepy.py").write_text("import time\ntime.sleep(60)\n")
    (found,) = Registry.load(select="-benchmark").problems
    assert found.message == (
        "it took longer than 0.2 s to load; leave it out with ROBEX_PLUGINS=-bad_point, or give it more "
        "time with ROBEX_PLUGIN_TIMEOUT=0.8 (site/bad_sleepy.py:2)"
    )


def test_two_distributions_with_one_plugin_name(site):
    for name in ("one", "two"):
        install(site, f"bad-{name}", f"bad_point = bad_from_{name}")
        (site / f"bad_from_{name}.py").write_text(GOOD.replace("{name}", name).replace("{module}", "m"))
    registry = Registry.load(select="-benchmark")
    (found,) = registry.problems
    assert re.fullmatch(
        r"a plugin of this name is loaded already: bad-\w+ 1.2 \(.*bad_from_\w+.py\)", found.message
    )
    assert "bad-two" in found.source
    assert registry.names("attack") == ["one"]


def test_an_installed_plugin_that_is_also_named_as_a_file_is_loaded_once(site):
    install(site, "bad-dist", "bad_point = bad_both")
    (site / "bad_both.py").write_text(GOOD.replace("{name}", "both").replace("{module}", "bad_both"))
    registry = Registry.load([site / "bad_both.py"], select="-benchmark")
    assert registry.problems == []
    assert registry.origin(registry.get("attack", "both")).distribution == "bad-dist"


def test_an_entry_point_to_an_object_knows_its_file(site, monkeypatch):
    install(site, "bad-dist", "bad_point = bad_object:plugin")
    text = GOOD.replace("def register", "    def register").replace("    yield", "        yield")
    text = text.replace("@hookimpl", "class Plugin:\n    @hookimpl").replace("methods()", "methods(self)")
    (site / "bad_object.py").write_text(text.format(name="object", module="m") + "\nplugin = Plugin()\n")
    (site / "__init__.py").touch()  # the working folder may be a package
    monkeypatch.chdir(site)
    registry = Registry.load(select="-benchmark")
    spec = registry.get("attack", "object")
    assert registry.origin(spec).file == str(site / "bad_object.py")
    assert registry.place(spec) == "bad_object.py:7"
    assert registry.code_hash(spec)


# --- targets -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "text", "message"),
    [
        ("bad_nowhere:Mine", "",
         "attack bad-one: there is no module bad_nowhere; mend target in bad_one.py:6"),
        ("bad_one.sub:Mine", "",
         "attack bad-one: there is no module bad_one.sub; mend target in bad_one.py:6"),
        ("bad_one:Nope", "", "attack bad-one: module bad_one has no 'Nope'; mend target in bad_one.py:6"),
        ("bad_one:Mine", "class Mine: pass", "attack bad-one: bad_one:Mine is no Attack; derive it from "
         "benchmark_core.Attack, or mend target in bad_one.py:6"),
        ("bad_one:Mine", "Mine = 5", "bad_one:Mine is no Attack"),
        ("bad_one:Mine", "from benchmark_core import Explainer as Mine", "bad_one:Mine is no Attack"),
    ],
)  # fmt: skip
def test_targets_that_lead_nowhere(target, text, message):
    registry = Registry.load([plugin("bad_one", GOOD.replace("{module}:Mine", target) + text)])
    assert not registry.problems
    spec = registry.get("attack", "bad-one")
    with pytest.raises(RobexError) as caught:
        registry.create(MethodRef("attack", "bad-one", spec.params()))
    assert message in str(caught.value)


def test_what_a_target_imports_in_vain_is_said_as_it_is():
    plugin("bad_impl", "import bad_missing_dependency")
    registry = Registry.load([plugin("bad_one", GOOD.replace("{module}:Mine", "bad_impl:Mine"))])
    with pytest.raises(ModuleNotFoundError, match="bad_missing_dependency"):
        registry.implementation(registry.get("attack", "bad-one"))
