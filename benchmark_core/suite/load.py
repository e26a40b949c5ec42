"""`read`: a suite file -> a validated `Suite`, or everything that is wrong with it at once. Each part of the
file has a module of its own; this one calls them in order and reads what is left, the keys with one value.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from typing import Any

from ..errors import SuiteErrors
from ..registry import Registry
from .boards import read_boards
from .entries import EntryReader
from .extends import SuiteFiles
from .fields import Checker
from .keys import HEAD_TYPES, LIMIT_TYPES, NAME_PATTERN, REQUIRED, SUITE_KEYS
from .model import Limits, Suite, Wish
from .nodes import Mark, Node, Problems, Source, from_python, locate, show
from .overrides import override
from .rules import read_rules
from .sections import checked, list_of, mapping_of, refuse_unknown_keys, why
from .wishes import wish_of


def read(
    source: str | os.PathLike[str] | Source,
    registry: Registry,
    overrides: Mapping[str, Any] | None = None,
    samples: int | None = None,
    seeds: int | None = None,
) -> Suite:
    """Read and check a suite: a path, or a `Source` for text that is in no file.

    overrides: dotted path -> value (`--set`). samples: no method works on more (a quick look). seeds:
    replaces the suite's. The registry loads the suite's own `plugins`. Raises SuiteErrors.
    """
    problems = Problems()
    options = {"--samples": samples, "--seeds": seeds}
    if samples is not None and (type(samples) is not int or samples < 1):
        wanted = "at least 1" if type(samples) is int else "a whole number"
        problems.add(Mark(Source("--samples")), f"samples must be {wanted}, got {show(samples)}")
        samples = None
    files = SuiteFiles(problems)
    root = files.root(source)
    if root is None:
        raise SuiteErrors(problems.found)
    for path, value in (overrides or {}).items():
        root = override(root, path, value, root.mark.source.folder, problems, list(SUITE_KEYS))
    if seeds is not None:
        mark = Mark(Source("--seeds", folder=root.mark.source.folder, placed=False))
        root = root.with_child("seeds", from_python(seeds, mark), mark)
    changed = {**(overrides or {}), **{k: v for k, v in options.items() if v is not None}}
    suite = _suite(root, files, registry, samples, changed)
    if problems.found:
        raise SuiteErrors(problems.found, suite)
    return suite


def _suite(
    root: Node, files: SuiteFiles, registry: Registry, samples: int | None, overrides: Mapping[str, Any]
) -> Suite:
    """The suite, as far as it can be read. overrides: what the command line changed in it."""
    problems = files.problems
    refuse_unknown_keys(root, list(SUITE_KEYS), "a suite", problems)
    head = checked(root, Checker(HEAD_TYPES), "", problems)
    name = head.get("suite", "")
    if "suite" in head and not re.fullmatch(NAME_PATTERN, name):
        problems.add(
            root.value["suite"].mark,
            f"suite must be a name of letters, digits, '-', '_' and '.', got {show(name)}",
        )
    for key in REQUIRED:
        if key not in root.value and not files.incomplete:
            problems.add(root.mark, f"{key} is required")
    plugins = _plugins(root, registry, problems)
    reader = EntryReader(registry, problems, wish_of(head, Wish()), samples)
    entries, labels = reader.entries(root)
    limits = mapping_of(root, "limits", LIMIT_TYPES, problems)
    return Suite(
        name=name,
        version=head.get("version", 1),
        seeds=head.get("seeds", 5),
        seed=head.get("seed", 0),
        entries=entries,
        limits=Limits(**limits),
        boards=read_boards(root, labels, problems),
        include=read_rules(root, "include", labels, problems),
        exclude=read_rules(root, "exclude", labels, problems),
        plugins=plugins,
        description=head.get("description", ""),
        file=root.mark.source.name,
        digest=_digest(files.sources, overrides),
        source=tuple((s.name, s.text) for s in files.sources),
        overrides=dict(overrides),
    )


def _plugins(root: Node, registry: Registry, problems: Problems) -> tuple[str, ...]:
    """The paths of the suite's own plugins, after the registry has loaded them."""
    paths = []
    for node in list_of(root, "plugins", "Python files", problems):
        if not isinstance(node.value, str):
            problems.add(node.mark, f"a plugin is the path of a file, got {show(node.plain())}")
            continue
        try:
            path = locate(node.mark.source.folder, node.value)
        except OSError as error:
            problems.add(node.mark, f"plugin {node.value}: {why(error)}")
            continue
        registry.add_files([path])
        for problem in registry.problems:
            if str(path) in problem.source:
                problems.add(node.mark, f"plugin {node.value}: {problem.message}")
        paths.append(str(path))
    return tuple(paths)


def _digest(sources: list[Source], overrides: Mapping[str, Any]) -> str:
    """sha256 of all texts and overrides; file names do not count."""
    parts = {"sources": [s.text for s in sources], "overrides": dict(overrides)}
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=repr).encode()).hexdigest()
