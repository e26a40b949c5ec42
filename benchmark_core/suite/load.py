"""`read`: a suite file -> a validated `Suite`, or everything that is wrong with it at once."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import SuiteErrors, close_to, did_you_mean
from ..registry import Registry
from ..spec import KINDS, AttackSpec, ExplainerSpec, Kind, MethodSpec, MetricSpec
from .fields import Checker
from .keys import (
    BOARD_TYPES,
    HEAD_TYPES,
    LIMIT_TYPES,
    NAME_PATTERN,
    REQUIRED,
    RULE_KEYS,
    RULE_TYPES,
    SECTIONS,
    SUITE_KEYS,
)
from .labels import Labelled, Labels, check_title, label
from .methods import MAX_METHODS, WISH_TYPES, Made, MethodMaker, plural
from .model import Board, Entry, Limits, Suite, Wish
from .nodes import Mark, Node, Problems, Source, from_python, locate, parse, read_text, show
from .overrides import override

MAX_BASES = 20
MAX_RULES = 1000


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
    reader = _Reader(registry, problems, samples)
    root = reader.root(source)
    if root is None:
        raise SuiteErrors(problems.found)
    for path, value in (overrides or {}).items():
        root = override(root, path, value, root.mark.source.folder, problems, list(SUITE_KEYS))
    if seeds is not None:
        mark = Mark(Source("--seeds", folder=root.mark.source.folder, placed=False))
        root = root.with_child("seeds", from_python(seeds, mark), mark)
    changed = {**(overrides or {}), **{k: v for k, v in options.items() if v is not None}}
    suite = reader.suite(root, changed)
    if problems.found:
        raise SuiteErrors(problems.found, suite)
    return suite


@dataclass
class _Reader:
    registry: Registry
    problems: Problems
    samples: int | None
    sources: list[Source] = field(default_factory=list)
    #: A base could not be read: keys may be missing for that reason.
    incomplete: bool = False
    #: What methods work on unless their entry says otherwise.
    wish: Wish = field(default_factory=Wish)

    # -- files --

    def root(self, source: str | os.PathLike[str] | Source) -> Node | None:
        if isinstance(source, Source):
            return self._extended(source, ())
        path = Path(source)
        try:
            text = read_text(path)
        except (OSError, ValueError) as error:
            self.problems.add(Mark(Source(str(source))), _why(error))
            return None
        return self._extended(Source(str(source), text, path.parent), (path.resolve(),))

    def _extended(self, source: Source, chain: tuple[Path, ...]) -> Node | None:
        """The mapping of a suite over that of its base."""
        self.sources.append(source)
        before = len(self.problems)
        node = parse(source, self.problems)
        if node is None or not isinstance(node.value, dict):
            if len(self.problems) == before:
                has = "the file is empty" if node is None or node.value is None else "this is no mapping"
                mark = node.mark if node else Mark(source, 1, 1)
                self.problems.add(mark, f"{has}; a suite has the keys {', '.join(REQUIRED)} and more")
            return None
        if "extends" not in node.value:
            return node
        base = self._base(node.value["extends"], chain)
        if base is None:
            self.incomplete = True
            return node
        return _merged(base, node)

    def _base(self, node: Node, chain: tuple[Path, ...]) -> Node | None:
        if not isinstance(node.value, str) or not node.value.strip():
            self.problems.add(node.mark, f"extends must be the path of a suite, got {show(node.plain())}")
            return None
        folder = node.mark.source.folder
        try:
            path = locate(folder, node.value)
        except OSError as error:
            self.problems.add(node.mark, f"extends {node.value}: {_why(error)}")
            return None
        if path in chain:
            names = " -> ".join(p.name for p in (*chain[chain.index(path) :], path))
            self.problems.add(node.mark, f"extends goes in a circle: {names}")
            return None
        if len(chain) >= MAX_BASES:
            self.problems.add(node.mark, f"extends goes through more than {MAX_BASES} files")
            return None
        try:
            text = read_text(path)
        except (OSError, ValueError) as error:
            self.problems.add(node.mark, f"extends {node.value}: {_why(error)}")
            return None
        name = os.path.normpath(folder / node.value)
        return self._extended(Source(name, text, Path(name).parent), (*chain, path))

    # -- the suite --

    def suite(self, root: Node, overrides: Mapping[str, Any]) -> Suite:
        self._known_keys(root, list(SUITE_KEYS), "a suite")
        head = self._fields(root, Checker(HEAD_TYPES), "")
        name = head.get("suite", "")
        if "suite" in head and not re.fullmatch(NAME_PATTERN, name):
            self.problems.add(
                root.value["suite"].mark,
                f"suite must be a name of letters, digits, '-', '_' and '.', got {show(name)}",
            )
        for key in REQUIRED:
            if key not in root.value and not self.incomplete:
                self.problems.add(root.mark, f"{key} is required")
        self.wish = _wish(head, Wish())
        plugins = self._plugins(root)
        entries, labels = self._entries(root)
        limits = self._section(root, "limits", LIMIT_TYPES)
        return Suite(
            name=name,
            version=head.get("version", 1),
            seeds=head.get("seeds", 5),
            seed=head.get("seed", 0),
            entries=entries,
            limits=Limits(**limits),
            boards=self._boards(root, labels),
            include=self._rules(root, "include", labels),
            exclude=self._rules(root, "exclude", labels),
            plugins=plugins,
            description=head.get("description", ""),
            file=root.mark.source.name,
            digest=_digest(self.sources, overrides),
            source=tuple((s.name, s.text) for s in self.sources),
            overrides=dict(overrides),
        )

    def _known_keys(self, node: Node, known: list[str], owner: str) -> None:
        for key in node.value:
            if key not in known:
                self.problems.add(
                    node.keys[key],
                    f'{owner} has no key "{key}"{did_you_mean(key, known) or "."} It has: {", ".join(known)}',
                )

    def _fields(self, node: Node, checker: Checker, prefix: str) -> dict[str, Any]:
        """The checked values of those keys of a mapping that the checker knows."""
        values = {}
        for key, child in node.value.items():
            if key in checker.annotations:
                value, wrong = checker.check(key, child.plain(), child, child.mark.source.folder)
                for w in wrong:
                    self.problems.add(w.node.mark, f"{prefix}{w.message}")
                if not wrong:
                    values[key] = value
        return values

    def _section(self, root: Node, name: str, types: Mapping[str, Any]) -> dict[str, Any]:
        node = root.value.get(name)
        if node is None:
            return {}
        if not isinstance(node.value, dict):
            self.problems.add(
                node.mark, f"{name} must be a mapping of {', '.join(types)}, got {show(node.plain())}"
            )
            return {}
        self._known_keys(node, list(types), name)
        return self._fields(node, Checker(types), f"{name}: ")

    def _list(self, root: Node, name: str, what: str) -> list[Node]:
        node = root.value.get(name)
        if node is None:
            return []
        if not isinstance(node.value, list):
            got = "nothing" if node.value is None else show(node.plain())
            self.problems.add(node.mark, f"{name} must be a list of {what}, got {got}")
            return []
        return node.value

    def _plugins(self, root: Node) -> tuple[str, ...]:
        paths = []
        for node in self._list(root, "plugins", "Python files"):
            if not isinstance(node.value, str):
                self.problems.add(node.mark, f"a plugin is the path of a file, got {show(node.plain())}")
                continue
            try:
                path = locate(node.mark.source.folder, node.value)
            except OSError as error:
                self.problems.add(node.mark, f"plugin {node.value}: {_why(error)}")
                continue
            self.registry.add_files([path])
            for problem in self.registry.problems:
                if str(path) in problem.source:
                    self.problems.add(node.mark, f"plugin {node.value}: {problem.message}")
            paths.append(str(path))
        return tuple(paths)

    # -- entries --

    def _entries(self, root: Node) -> tuple[dict[Kind, tuple[Entry, ...]], dict[str, Labels]]:
        entries: dict[Kind, tuple[Entry, ...]] = {}
        labels: dict[str, Labels] = {}
        order = sorted(SECTIONS, key=lambda s: KINDS.index(SECTIONS[s]))
        for section in order:
            kind = SECTIONS[section]
            nodes = self._list(root, section, plural(kind))
            if section in REQUIRED and section in root.value and root.value[section].value == []:
                self.problems.add(root.value[section].mark, f"{section} is empty; list at least one {kind}")
            maker = MethodMaker(self.registry, self.problems)
            made = []
            ghosts = []
            total = 0
            for node in nodes:
                before = len(self.problems)
                methods = maker.entry(node, kind)
                total += len(methods)
                if total > MAX_METHODS:
                    self.problems.add(
                        node.mark, f"{section}: this makes more than {MAX_METHODS:,} methods; split the suite"
                    )
                    break
                if kind == "metric":
                    methods = self._with_references(node, methods, labels["defense"])
                if len(self.problems) > before:
                    ghosts += self._ghosts(kind, node)
                if not methods:  # nothing there to label, and yet the label may be wrong
                    check_title(kind, node, self.problems)
                made.append((node, methods))
            items = label(kind, made, self.problems)
            ghosts += [item.base for item in items if not item.label]
            items = [item for item in items if item.label]
            labels[kind] = Labels(kind, items, ghosts)
            entries[kind] = tuple(self._entry(item, labels) for item in items)
            self._check_over(made)
        labels["on"] = labels["attack"]
        return entries, labels

    def _ghosts(self, kind: Kind, node: Node) -> list[str]:
        """What a broken entry would have been called: its `as`, its method, or what that was meant to be; `*`
        when nobody can tell."""
        given = node.value if isinstance(node.value, dict) else {"use": node}
        if "as" in given and isinstance(given["as"].value, str):
            return [given["as"].value.partition("{")[0].strip() or "*"]
        name = given["use"].value if "use" in given else None
        return [name, *close_to(name, self.registry.names(kind))] if isinstance(name, str) else ["*"]

    def _with_references(self, node: Node, methods: list[Made], defenses: Labels) -> list[Made]:
        """The metrics with `reference` as the label of one defense."""
        kept = []
        for made in methods:
            spec = self.registry.get("metric", made.ref.name)
            assert isinstance(spec, MetricSpec)
            if spec.reference is None:
                kept.append(made)
            elif "reference" not in made.keys:
                self.problems.add(
                    node.mark,
                    f"{spec.name}: reference is required: the label of the defense it compares with",
                )
            else:
                mark = node.value["reference"].mark
                found = defenses.find(made.keys["reference"], mark, self.problems)
                if len(found) > 1:
                    self.problems.add(
                        mark,
                        f'{spec.name}: reference "{made.keys["reference"]}" fits several defenses: '
                        f"{', '.join(found)}; name one, or list them",
                    )
                elif found:
                    kept.append(Made(made.ref, {**made.keys, "reference": found[0]}, made.texts))
        return kept

    def _entry(self, item: Labelled, labels: Mapping[str, Labels]) -> Entry:
        mark, keys = item.node.mark, item.made.keys
        spec = self.registry.get(item.made.ref.kind, item.made.ref.name)
        return Entry(
            ref=item.made.ref,
            label=item.label,
            line=mark.line,
            column=mark.column,
            wish=self._entry_wish(spec, item),
            on=self._on(item, labels) if spec.kind == "explainer" else ("clean",),
            reference=keys.get("reference"),
            file=mark.source.name,
        )

    def _on(self, item: Labelled, labels: Mapping[str, Labels]) -> tuple[str, ...]:
        wanted = item.made.keys.get("on", "clean")
        if wanted in ("clean", ()):
            if wanted == ():
                self.problems.add(
                    item.node.value["on"].mark, f"{item.base}: on is an empty list; write clean or attacks"
                )
            return ("clean",)
        node = item.node.value["on"]
        places = node.value if isinstance(node.value, list) else [node]
        patterns = [wanted] if isinstance(wanted, str) else wanted
        found = [
            x
            for pattern, place in zip(patterns, places, strict=True)
            for x in labels["attack"].find(pattern, place.mark, self.problems, extra=["clean"])
        ]
        return tuple(dict.fromkeys(found))

    def _entry_wish(self, spec: MethodSpec, item: Labelled) -> Wish | None:
        keys = item.made.keys
        if isinstance(spec, MetricSpec):
            if "prediction" not in spec.consumes:
                return None
            wish = _wish(keys, Wish(select=self.wish.select, samples=self.wish.samples))
        elif isinstance(spec, AttackSpec | ExplainerSpec):
            wish = _wish({"targets": self._targets(spec, item), **_without_targets(keys)}, self.wish)
        else:
            return None
        if self.samples is None:
            return wish
        few = self.samples if wish.samples is None else min(self.samples, wish.samples)
        return Wish(select=wish.select, samples=few, targets=wish.targets, over=wish.over)

    def _targets(self, spec: AttackSpec | ExplainerSpec, item: Labelled) -> str:
        """The entry's targets; the suite's are for counterfactuals. An attack aims only when its own entry
        says so: aiming turns a worst case into another question."""
        given = item.made.keys.get("targets")
        if isinstance(spec, AttackSpec):
            if spec.targeted:
                return given or "none"
            if given not in (None, "none"):
                self.problems.add(
                    item.node.value["targets"].mark, f"{spec.name} cannot aim at a class; remove targets"
                )
            return "none"
        if spec.produces == "counterfactual":
            if given == "none":
                self.problems.add(
                    item.node.value["targets"].mark,
                    f"{spec.name}: targets cannot be none: a counterfactual needs a class to reach; "
                    "use random, next, opposite or all",
                )
            return given or (self.wish.targets if self.wish.targets != "none" else "random")
        return given or "none"

    def _check_over(self, made: list[tuple[Node, list[Made]]]) -> None:
        for node, methods in made:
            if not methods or "over" not in methods[0].keys:
                continue
            own = methods[0].ref.kind == "attack"
            aims = {m.keys.get("targets", "none" if own else self.wish.targets) for m in methods}
            if "all" not in aims:
                self.problems.add(
                    node.keys["over"],
                    f"{methods[0].ref.name}: over joins the scores of several targets; it needs targets: all",
                )

    # -- rules and boards --

    def _rules(
        self, root: Node, name: str, labels: Mapping[str, Labels]
    ) -> tuple[Mapping[str, tuple[str, ...]], ...]:
        rules = []
        checker = Checker(RULE_TYPES)
        nodes = self._list(root, name, "rules such as {attack: pgd, dataset: [wine, digits]}")
        if len(nodes) > MAX_RULES:
            self.problems.add(
                nodes[MAX_RULES].mark, f"{name}: more than {MAX_RULES:,} rules; join some with patterns"
            )
        for node in nodes[:MAX_RULES]:
            if not isinstance(node.value, dict) or not node.value:
                self.problems.add(
                    node.mark,
                    f"{name}: a rule is a mapping such as {{attack: pgd}}, got {show(node.plain())}",
                )
                continue
            self._known_keys(node, list(RULE_KEYS), f"{name}: a rule")
            fields = self._fields(node, checker, f"{name}: ")
            rules.append({key: self._fitting(node.value[key], key, labels) for key in fields})
        return tuple(rules)

    def _fitting(self, node: Node, key: str, labels: Mapping[str, Labels]) -> tuple[str, ...]:
        """The labels that the patterns of one key fit."""
        extra = ["clean"] if key == "on" else []
        patterns = node.value if isinstance(node.value, list) else [node]
        found = [x for p in patterns for x in labels[key].find(p.value, p.mark, self.problems, extra=extra)]
        return tuple(dict.fromkeys(found))

    def _boards(self, root: Node, labels: Mapping[str, Labels]) -> tuple[Board, ...]:
        boards: dict[str, Board] = {}
        checker = Checker(BOARD_TYPES)
        for node in self._list(root, "boards", "boards such as {name: robustness, rows: [dataset, defense]}"):
            if not isinstance(node.value, dict):
                self.problems.add(
                    node.mark, f"a board is a mapping with name and rows, got {show(node.plain())}"
                )
                continue
            self._known_keys(node, list(BOARD_TYPES), "a board")
            name = node.value["name"].value if "name" in node.value else None
            owner = f"board {name}: " if isinstance(name, str) else "board: "
            fields = self._fields(node, checker, owner)
            for key in ("name", "rows"):
                if key not in node.value:
                    self.problems.add(node.mark, f"{owner}{key} is required")
            board = self._board(node, fields, owner, labels)
            if board and boards.setdefault(board.name, board) is not board:
                self.problems.add(node.value["name"].mark, f'two boards are called "{board.name}"')
        return tuple(boards.values())

    def _board(
        self, node: Node, fields: Mapping[str, Any], owner: str, labels: Mapping[str, Labels]
    ) -> Board | None:
        metrics: tuple[str, ...] = ()
        if "metrics" in fields:
            metrics = self._fitting(node.value["metrics"], "metric", labels)
        rank_by = self._rank_by(node, fields, owner, metrics, labels["metric"])
        rows = fields.get("rows", ())
        if len(set(rows)) < len(rows):
            twice = next(r for r in rows if rows.count(r) > 1)
            self.problems.add(node.value["rows"].mark, f"{owner}rows names {twice} twice")
        expected = None
        if "expected" in fields:
            expected = os.path.normpath(node.value["expected"].mark.source.folder / fields["expected"])
            try:
                why = "" if locate(Path(), expected).is_file() else "no such file"
            except OSError as error:
                why = _why(error)
            if why:
                self.problems.add(node.value["expected"].mark, f"{owner}expected: {why}: {expected}")
        if "name" not in fields or "rows" not in fields:
            return None
        if not re.fullmatch(NAME_PATTERN, fields["name"]):
            self.problems.add(
                node.value["name"].mark,
                f"board: name must be of letters, digits, '-', '_' and '.', got {show(fields['name'])}",
            )
        return Board(name=fields["name"], rows=rows, metrics=metrics, rank_by=rank_by, expected=expected)

    def _rank_by(
        self, node: Node, fields: Mapping[str, Any], owner: str, metrics: tuple[str, ...], known: Labels
    ) -> str | None:
        if "rank_by" not in fields:
            return None
        mark, pattern = node.value["rank_by"].mark, fields["rank_by"]
        found = known.find(pattern, mark, self.problems)
        if not found:
            return None
        if metrics:
            shown = [x for x in found if x in metrics]
            if not shown:
                self.problems.add(
                    mark, f'{owner}rank_by "{pattern}" is not among its metrics: {", ".join(metrics)}'
                )
                return None
            found = shown
        if len(found) > 1:
            self.problems.add(
                mark, f'{owner}rank_by "{pattern}" fits several metrics: {", ".join(found)}; name one'
            )
        return found[0]


def _wish(keys: Mapping[str, Any], default: Wish) -> Wish:
    """A wish from the keys given, the rest as in the default."""
    values = {key: keys.get(key, getattr(default, key)) for key in WISH_TYPES}
    if values["samples"] == "all":
        values["samples"] = None
    return Wish(**values)


def _without_targets(keys: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in keys.items() if k != "targets"}


def _merged(base: Node, child: Node) -> Node:
    """The child's keys over the base's; `limits` key by key; the name is always the child's own."""
    values = {k: v for k, v in base.value.items() if k not in ("suite", "extends")} | child.value
    keys = {**base.keys, **child.keys}
    mine, theirs = child.value.get("limits"), base.value.get("limits")
    if mine and theirs and isinstance(mine.value, dict) and isinstance(theirs.value, dict):
        both = {**theirs.value, **mine.value}
        values["limits"] = Node(both, mine.mark, {**theirs.keys, **mine.keys})
    return Node(values, child.mark, keys)


def _why(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _digest(sources: list[Source], overrides: Mapping[str, Any]) -> str:
    """sha256 of all texts and overrides; file names do not count."""
    parts = {"sources": [s.text for s in sources], "overrides": dict(overrides)}
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=repr).encode()).hexdigest()
