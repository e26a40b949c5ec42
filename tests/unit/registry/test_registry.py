"""Loading plugins: guarded, loud about conflicts, helpful about names."""

import subprocess
import sys

import pytest

from benchmark_core import sources
from benchmark_core.registry import Registry, UnknownMethod
from benchmark_core.spec import MethodRef, MethodSpec, NoParams

GOOD = """
from dataclasses import dataclass
from benchmark_core import Attack, Eps, MethodSpec, hookimpl

@dataclass(frozen=True, kw_only=True)
class Params:
    \"\"\"Does nothing much.\"\"\"
    eps: Eps = 0.1

@hookimpl
def register_methods():
    yield MethodSpec.attack("{name}", "{module}:Mine", params=Params, norm="linf")

class Mine(Attack):
    def perturb(self, model, x, y, ctx):
        return x
"""


def plugin(folder, module, name="mine", text=GOOD):
    path = folder / f"{module}.py"
    path.write_text(text.replace("{name}", name).replace("{module}", module))
    return path


@pytest.fixture(autouse=True)
def forget_modules():
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("plug_"):
            del sys.modules[name]


def test_builtins_come_through_the_entry_point():
    registry = Registry.load()
    assert registry.problems == []
    pgd = registry.get("attack", "pgd")
    assert registry.origin(pgd).plugin == "benchmark"
    assert registry.origin(pgd).distribution == "robex"
    assert Registry.load(select="-benchmark").methods() == []


def test_a_local_file_is_a_plugin(tmp_path):
    registry = Registry.load([plugin(tmp_path, "plug_a")])
    spec = registry.get("attack", "mine")
    assert spec.summary == "Does nothing much."
    assert registry.origin(spec).file == str(tmp_path / "plug_a.py")
    made = registry.create(MethodRef("attack", "mine", spec.params(eps=0.2)))
    assert made.params.eps == 0.2


def test_editing_a_local_plugin_changes_its_hash(tmp_path):
    path = plugin(tmp_path, "plug_h")
    registry = Registry.load([path])
    before = registry.code_hash(registry.get("attack", "mine"))
    path.write_text(path.read_text() + "\n# another line\n")
    del sys.modules["plug_h"]
    registry = Registry.load([path])
    after = registry.code_hash(registry.get("attack", "mine"))
    assert None not in (before, after)
    assert before != after


def test_data_in_a_package_counts(tmp_path, monkeypatch):
    path, package = plugin(tmp_path, "plug_d"), tmp_path / "beside"
    for folder in (package, package / "data", package / "__pycache__", package / ".cache"):
        folder.mkdir()
    (package / "__init__.py").write_text("")

    def found():
        monkeypatch.setattr(sources, "first_seen", {})
        monkeypatch.delitem(sys.modules, "plug_d", raising=False)
        registry = Registry.load([path])
        return registry.code_hash(registry.get("attack", "mine"))

    def after(name, content):
        (package / name).write_bytes(content)
        return found()

    first = found()
    assert {after(name, b"1") for name in ("__pycache__/a.pyc", "a.py~", ".cache/a", "b.pyc")} == {first}
    small = after("data/weights.pt", b"1")
    assert len({first, small, after("data/weights.pt", b"2")}) == 3
    monkeypatch.setattr(sources, "LARGE", 3)
    large = after("data/weights.pt", b"1234")
    assert after("data/weights.pt", b"4321") == large != after("data/weights.pt", b"12345")


def test_an_unknown_name_gets_a_suggestion(tmp_path):
    registry = Registry.load([plugin(tmp_path, "plug_s")])
    with pytest.raises(UnknownMethod, match='no attack is called "mien"; did you mean "mine"'):
        registry.get("attack", "mien")
    with pytest.raises(UnknownMethod, match='no metric is called "mine"; it is an attack'):
        registry.get("metric", "mine")


def test_two_plugins_with_one_name_are_both_named(tmp_path):
    registry = Registry.load([plugin(tmp_path, "plug_one"), plugin(tmp_path, "plug_two")])
    (problem,) = registry.problems
    assert "plug_one.py" in problem.message
    assert "plug_two.py" in problem.message
    with pytest.raises(UnknownMethod, match=r"plug_one.py.*plug_two.py"):
        registry.get("attack", "mine")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "import no_such_module_anywhere\n",
            "ModuleNotFoundError: No module named 'no_such_module_anywhere'",
        ),
        ("def broken(:\n", "SyntaxError"),
        (GOOD.replace("register_methods", "register_metods"), "register_metods"),
        (GOOD.replace('"{name}"', '"Bad Name"'), "lower-case words"),
        (GOOD.replace("frozen=True, ", ""), "must be frozen"),
        (GOOD.replace("eps: Eps", "samples: Eps"), "'samples' is a key of every suite entry"),
        (GOOD.replace("{module}:Mine", "{module}.Mine"), "package.module:Class"),
        (GOOD.replace("yield MethodSpec", "yield 1; MethodSpec"), "must yield MethodSpecs"),
    ],
    ids=["import", "syntax", "hook", "name", "frozen", "reserved", "target", "type"],
)
def test_a_broken_plugin_is_a_problem_and_nothing_else(tmp_path, text, message):
    good = plugin(tmp_path, "plug_good", "fine")
    registry = Registry.load([plugin(tmp_path, "plug_bad", text=text), good])
    (problem,) = registry.problems
    assert message in problem.message
    assert "\n" not in problem.message
    assert problem.plugin == "file:plug_bad"
    assert registry.get("attack", "fine")


def test_a_file_that_would_hide_another_module_is_refused(tmp_path):
    for name, why in (
        ("turtle", "hides Python's own module turtle"),
        ("pyright", "hides the installed module pyright"),
        ("json", "a module called json is loaded already"),
    ):
        (problem,) = Registry.load([plugin(tmp_path, name)]).problems
        assert why in problem.message
        assert "rename the file" in problem.message


def test_a_file_that_registers_nothing_is_a_problem(tmp_path):
    path = tmp_path / "plug_empty.py"
    path.write_text("x = 1\n")
    (problem,) = Registry.load([path]).problems
    assert "it registers nothing; is @hookimpl missing?" in problem.message


def test_two_plugins_may_call_their_implementation_alike(tmp_path):
    made = []
    for folder, value in (("a", 1), ("b", 2)):
        (tmp_path / folder).mkdir()
        text = GOOD.replace('"{module}:Mine"', '"impl:Mine"')
        made.append(plugin(tmp_path / folder, f"plug_{folder}", f"mine-{folder}", text))
        impl = f"import benchmark_core as b\nclass Mine(b.Attack):\n    value = {value}\n    perturb = None\n"
        (tmp_path / folder / "impl.py").write_text(impl)
    registry = Registry.load(made)
    refs = [MethodRef("attack", f"mine-{f}", registry.get("attack", f"mine-{f}").params()) for f in "ab"]
    assert [registry.create(ref).value for ref in refs] == [1, 2]


def test_a_missing_file_is_a_problem(tmp_path):
    (problem,) = Registry.load([tmp_path / "nowhere.py"]).problems
    assert "no such file" in problem.message


def test_selection_by_variable(monkeypatch):
    monkeypatch.setenv("ROBEX_PLUGINS", "-benchmark")
    assert Registry.load().methods() == []
    monkeypatch.setenv("ROBEX_PLUGINS", "benchmark")
    assert Registry.load().methods()
    monkeypatch.setenv("ROBEX_PLUGINS", "benchmrk")
    (problem,) = Registry.load().problems
    assert 'did you mean "benchmark"' in problem.message


def test_specs_and_the_registry_load_no_torch():
    code = (
        "import sys; from benchmark_core.registry import Registry; r = Registry.load(); assert r.methods();"
        "heavy = {'torch', 'pandas', 'scipy', 'sklearn', 'pydantic', 'numpy'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_spec_without_params_has_no_summary():
    assert MethodSpec.attack("bare", "m:C").params is NoParams
    assert MethodSpec.attack("bare", "m:C").summary == "No settings."
