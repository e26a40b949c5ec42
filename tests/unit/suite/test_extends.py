"""`extends`: what a suite takes from another, and bases that lead nowhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from small_suite import HEAD, defended, labels

from benchmark_core.suite import Limits, Suite

Check = Callable[..., Suite]
Errors = Callable[..., list[str]]


def test_extends(check: Check, tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "w.pt").write_bytes(b"")
    (tmp_path / "base" / "b.yaml").write_text(
        defended("{use: pretrained, path: w.pt}").replace("small", "big")
        + "seeds: 3\nattacks: [fgsm]\nlimits: {threads: 2, retries: 0}\n"
    )
    (tmp_path / "mid.yaml").write_text("extends: base/b.yaml\nseeds: 4\n")
    child = "suite: child\nextends: mid.yaml\nattacks: [noise]\nlimits: {threads: 8}\n"
    suite = check(head=child)
    assert (suite.name, suite.seeds, labels(suite)) == ("child", 4, ["noise"])
    assert suite.limits == Limits(threads=8, retries=0)
    assert suite.of("defense")[1].ref.params.path == str((tmp_path / "base" / "w.pt").resolve())
    assert suite.of("defense")[1].file == "base/b.yaml"
    assert [name for name, _ in suite.source] == ["s.yaml", "mid.yaml", "base/b.yaml"]


def test_errors_of_a_base_name_its_file(errors: Errors, tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(HEAD + "attacks: [pdg]\nlimits: {threads: 0}\n")
    assert errors(head="extends: b.yaml\nlimits: {retries: -1}\n") == [
        'b.yaml:6:11: no attack is called "pdg"; did you mean "pgd"? (robex list attacks)',
        "b.yaml:7:19: limits: threads must be at least 1, got 0",
        "s.yaml:1:1: suite is required",
        "s.yaml:2:19: limits: retries must be at least 0, got -1",
    ]


def test_extends_that_leads_nowhere(errors: Errors, tmp_path: Path) -> None:
    assert errors(head="suite: s\nextends: x.yaml\n") == ["s.yaml:2:10: extends x.yaml: no such file"]
    assert errors(head="suite: s\nextends: [x.yaml]\n") == [
        "s.yaml:2:10: extends must be the path of a suite, got ['x.yaml']"
    ]
    (tmp_path / "b.yaml").write_text("extends: s.yaml\n")
    assert errors(head="suite: s\nextends: b.yaml\n") == [
        "b.yaml:1:10: extends goes in a circle: s.yaml -> b.yaml -> s.yaml"
    ]
    assert errors(head="suite: s\nextends: s.yaml\n") == [
        "s.yaml:2:10: extends goes in a circle: s.yaml -> s.yaml"
    ]
    (tmp_path / "b.yaml").write_text("a: [1\n")
    assert errors(head="suite: s\nextends: b.yaml\n") == [
        "b.yaml:2:1: not valid YAML: expected ',' or ']', but got the end of the file "
        "(while parsing a flow sequence that starts on line 1)"
    ]
    for i in range(30):
        (tmp_path / f"c{i}.yaml").write_text(f"extends: c{i + 1}.yaml\n")
    assert errors(head="suite: s\nextends: c0.yaml\n") == [
        "c18.yaml:1:10: extends goes through more than 20 files"
    ]
