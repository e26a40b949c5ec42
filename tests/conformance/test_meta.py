"""What comes with every hook, method and case: a test, documentation, a citation, a suite."""

import inspect
import re
from pathlib import Path

import pytest
from test_builtins import PARAMS

from benchmark_core import hookspecs
from benchmark_core.plan import build_plan
from benchmark_core.registry import Registry
from benchmark_core.spec import MethodRef, param_types
from benchmark_core.suite import read
from benchmark_core.testing.cases import CASES
from benchmark_core.testing.cases.sections import SECTIONS
from benchmark_core.testing.kit import collect

ROOT = Path(__file__).parents[2]
REGISTRY = Registry.load()
METHODS = {f"{s.kind}/{s.name}": s for s in REGISTRY.methods() if REGISTRY.origin(s).plugin == "benchmark"}
#: What cites a paper or a page, and what says that there is none.
SOURCE = r"\b(1[89]|20)\d\d\b|arXiv:\d{4}\.\d{4,5}|doi:10\.|https?://"
NO_PAPER = {
    "null control",
    "reference of real data",
    "backward passes that the engine counts",
    "wall time that the engine records",
}
HOOKS = [name for name, f in inspect.getmembers(hookspecs, inspect.isfunction) if hasattr(f, "robex_spec")]


def used(suite):
    """kind/name of every method that a suite's plan runs, those inside other methods too."""
    found = set()

    def add(ref):
        found.add(f"{ref.kind}/{ref.name}")
        for name in param_types(type(ref.params)):
            if isinstance(inner := getattr(ref.params, name), MethodRef):
                add(inner)

    for node in build_plan(read(suite, REGISTRY), REGISTRY).nodes.values():
        for ref in (node.method, node.builds):
            if ref is not None:
                add(ref)
    return found


def test_the_hooks_are_found():
    assert {"register_methods", "register_commands", "on_event"} <= set(HOOKS)


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_has_a_test_and_a_page(hook):
    tests = [p for p in (ROOT / "tests").rglob("test_*.py") if f"def {hook}(" in p.read_text()]
    pages = [p for p in (ROOT / "docs").glob("*.md") if hook in p.read_text()]
    assert tests, f"no test implements the hook {hook}"
    assert pages, f"no page of docs/ mentions the hook {hook}"
    assert inspect.getdoc(getattr(hookspecs, hook))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_says_what_it_is_and_where_it_comes_from(method):
    spec = METHODS[method]
    assert re.fullmatch(r"[A-Z0-9].{15,103}[^.?][.?]", spec.summary), "one sentence that fits into a line"
    assert spec.summary != (type(spec).__doc__ or "").partition("\n")[0]
    assert spec.cite in NO_PAPER or re.search(SOURCE, spec.cite), "a year, an arXiv id, a DOI or an address"


def test_every_method_is_used_by_a_suite():
    suites = [p for p in (ROOT / "suites").rglob("*.yaml") if "suite:" in p.read_text()]
    assert set(METHODS) - set().union(*map(used, suites)) == set()


def test_every_method_goes_through_the_kit():
    items = {item.id for item in collect("benchmark", params=PARAMS)}
    for method, spec in METHODS.items():
        cases = {case.name for case in CASES if case.fits(spec)}
        assert len(cases) >= 10
        checked = {i.rpartition("::")[2] for i in items if re.match(rf"{method}(\[|::)", i)}
        assert cases == checked, method


def test_every_case_is_explained():
    text = (ROOT / "docs" / "contracts.md").read_text()
    titles = re.findall(r"^## (.*)$", text, re.M)
    sections = {
        t.lower().replace(" ", "-"): part for t, part in zip(titles, text.split("\n## ")[1:], strict=True)
    }
    assert sections.keys() == SECTIONS.keys()
    for anchor, sentence in SECTIONS.items():  # what messages quote
        _, _, words = sections[anchor].partition("\n")
        assert " ".join(words.split()).startswith(sentence), anchor
    for case in CASES:
        page, _, anchor = case.read.partition("#")
        assert page == "docs/contracts.md"
        assert f"`{case.name}`" in sections[anchor], f"{case.name} is not named in #{anchor}"
    named = set(re.findall(r"`([a-z]+(?:-[a-z0-9]+)+)`", text)) - {"loads-without-torch"}
    assert named <= {case.name for case in CASES}
