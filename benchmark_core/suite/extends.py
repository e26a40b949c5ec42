"""`extends`: the text of a suite is read, and so is that of each suite it builds on; the nearer one's keys
replace those of its base.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from .keys import REQUIRED
from .nodes import Mark, Node, Problems, Source, locate, parse, read_text, show
from .sections import why

MAX_BASES = 20


@dataclass
class SuiteFiles:
    """Reads a suite with what it extends. sources: every text read, the suite's own first.

    incomplete: a base could not be read, so keys may be missing for that reason.
    """

    problems: Problems
    sources: list[Source] = field(default_factory=list)
    incomplete: bool = False

    def root(self, source: str | os.PathLike[str] | Source) -> Node | None:
        """The mapping of the whole suite, or None where there is none; `problems` says why."""
        if isinstance(source, Source):
            return self._extended(source, ())
        path = Path(source)
        try:
            text = read_text(path)
        except (OSError, ValueError) as error:
            self.problems.add(Mark(Source(str(source))), why(error))
            return None
        return self._extended(Source(str(source), text, path.parent), (path.resolve(),))

    def _extended(self, source: Source, chain: tuple[Path, ...]) -> Node | None:
        """The mapping of a suite over that of its base. chain: the files that lead here."""
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
        """The mapping of the suite that an `extends` names."""
        if not isinstance(node.value, str) or not node.value.strip():
            self.problems.add(node.mark, f"extends must be the path of a suite, got {show(node.plain())}")
            return None
        folder = node.mark.source.folder
        try:
            path = locate(folder, node.value)
        except OSError as error:
            self.problems.add(node.mark, f"extends {node.value}: {why(error)}")
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
            self.problems.add(node.mark, f"extends {node.value}: {why(error)}")
            return None
        name = os.path.normpath(folder / node.value)
        return self._extended(Source(name, text, Path(name).parent), (*chain, path))


def _merged(base: Node, child: Node) -> Node:
    """The child's keys over the base's; `limits` key by key; the name is always the child's own."""
    values = {k: v for k, v in base.value.items() if k not in ("suite", "extends")} | child.value
    keys = {**base.keys, **child.keys}
    mine, theirs = child.value.get("limits"), base.value.get("limits")
    if mine and theirs and isinstance(mine.value, dict) and isinstance(theirs.value, dict):
        both = {**theirs.value, **mine.value}
        values["limits"] = Node(both, mine.mark, {**theirs.keys, **mine.keys})
    return Node(values, child.mark, keys)
