"""A node whose file changes while it runs is no result of what the key says."""

import sys

import pytest

from benchmark_core.plan import build_plan
from benchmark_core.registry import Registry
from benchmark_core.run.events import NodeFailed
from benchmark_core.run.session import run_plan
from benchmark_core.store import Store
from benchmark_core.suite import Source, read

PLUGIN = """
from dataclasses import dataclass
from pathlib import Path

import benchmark_core as robex
from benchmark_core import AttackRef, File, MethodSpec, hookimpl


@dataclass(frozen=True, kw_only=True)
class Paths:
    maybe: File | None = None
    several: tuple[File, ...] = ()
    named: dict[str, File] | None = None


@dataclass(frozen=True, kw_only=True)
class Members:
    members: tuple[AttackRef, ...]


@hookimpl
def register_methods():
    yield MethodSpec.attack("rewrite", "rewriting:Rewrite", params=Paths)
    yield MethodSpec.attack("rewrite-inner", "rewriting:Rewrite", params=Members)


class Rewrite(robex.Attack):
    def perturb(self, model, x, y, ctx):
        Path("file.txt").write_text("changed")
        return robex.Perturbation(x.clone())
"""


@pytest.mark.parametrize(
    "attack",
    [
        "{use: rewrite, maybe: file.txt}",
        "{use: rewrite, several: [file.txt]}",
        "{use: rewrite, named: {a: file.txt}}",
        "{use: rewrite-inner, members: [{use: rewrite, maybe: file.txt}]}",
    ],
)
def test_a_file_that_changes_meanwhile_fails_the_node(tmp_path, toys, monkeypatch, attack):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file.txt").write_text("planned")
    (tmp_path / "rewriting.py").write_text(PLUGIN)
    sys.modules.pop("rewriting", None)
    registry = Registry.load([*toys.files, tmp_path / "rewriting.py"])
    assert not registry.problems
    suite = (
        "suite: s\nseeds: 1\ndatasets: [toy]\nmodels: [toy-linear]\ndefenses: [toy-train]\n"
        f"attacks: [{attack}]\nmetrics: [toy-robust]\n"
    )
    plan = build_plan(read(Source("s.yaml", suite), registry), registry)
    events = []
    report = run_plan(plan, registry, Store(tmp_path / "store"), events.append)
    assert report.exit_code == 1
    (failed,) = (e for e in events if isinstance(e, NodeFailed))
    assert "code or files changed since the plan; run the same command again" in failed.message
