"""YAML text -> nodes: plain data in which every value and every key knows its place in the file.

Scalars follow the YAML 1.2 core schema (`1e-3` is a number, `no` and dates are text). What could surprise or
harm is refused with its place: duplicate keys, tags, merge keys, endless or exploding aliases, deep nesting.
"""

from __future__ import annotations

import codecs
import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import Problem, SuiteErrors
from ..spec import MethodRef, Use

MAX_BYTES = 1_000_000
MAX_DEPTH = 50
MAX_NODES = 100_000
#: After so many mistakes nobody reads on, and looking for more takes time.
MAX_PROBLEMS = 500


@dataclass(frozen=True)
class Source:
    """A text with a name for messages and the folder its relative paths start from.

    placed: whether line and column say something to the reader (not for `--set`).
    """

    name: str
    text: str = ""
    folder: Path = Path()
    placed: bool = True


@dataclass(frozen=True)
class Mark:
    """A place in a source. line and column count from 1; 0 when there is none."""

    source: Source
    line: int = 0
    column: int = 0


@dataclass(frozen=True, eq=False)
class Node:
    """value: a scalar, a list of nodes or a dict of nodes. keys: where each key of a dict stands."""

    value: Any
    mark: Mark
    keys: Mapping[str, Mark] = field(default_factory=dict)

    def plain(self) -> Any:
        """The same as lists, dicts and scalars."""
        if isinstance(self.value, dict):
            return {key: child.plain() for key, child in self.value.items()}
        if isinstance(self.value, list):
            return [child.plain() for child in self.value]
        return self.value

    def with_child(self, key: str, child: Node, mark: Mark) -> Node:
        """A copy of a mapping in which `key` has this value."""
        return replace(self, value={**self.value, key: child}, keys={**self.keys, key: mark})

    def with_item(self, index: int, child: Node) -> Node:
        """A copy of a list in which one item has this value."""
        return replace(self, value=[*self.value[:index], child, *self.value[index + 1 :]])


class Problems:
    """Collects everything that is wrong, so that it can be said at once; SuiteErrors after `MAX_PROBLEMS`."""

    def __init__(self) -> None:
        self.found: list[Problem] = []

    def __len__(self) -> int:
        return len(self.found)

    def add(self, mark: Mark, message: str) -> None:
        self.found.append(Problem(mark.source.name, mark.line, mark.column, message))
        if len(self.found) >= MAX_PROBLEMS:
            raise SuiteErrors(self.found)


def from_python(value: Any, mark: Mark) -> Node:
    """Plain data as nodes that all stand at one place. `Use` becomes the mapping one would write."""
    if isinstance(value, Use):
        value = {"use": value.name, **value.params}
    if isinstance(value, Mapping) and not isinstance(value, MethodRef):
        children = {str(k): from_python(v, mark) for k, v in value.items()}
        return Node(children, mark, dict.fromkeys(children, mark))
    if isinstance(value, list | tuple):
        return Node([from_python(v, mark) for v in value], mark)
    return Node(value, mark)


def parse(source: Source, problems: Problems) -> Node | None:
    """The one document of a text, or None when it has none or cannot be read; `problems` says why."""
    import yaml

    if len(source.text) > MAX_BYTES or len(source.text.encode("utf-8", "replace")) > MAX_BYTES:
        problems.add(Mark(source), f"the file is larger than {MAX_BYTES // 1_000_000} MB")
        return None
    if bad := _UNPRINTABLE.search(source.text):
        problems.add(
            _mark_at(source, bad.start()), f"character U+{ord(bad[0]):04X} is not allowed in YAML; remove it"
        )
        return None
    composer = _Composer(source, problems)
    try:
        return composer.document(yaml.parse(source.text, Loader=yaml.SafeLoader))
    except _Stop as stop:
        problems.add(stop.mark, stop.message)
    except yaml.MarkedYAMLError as error:
        problems.add(composer.mark(error.problem_mark or error.context_mark), _syntax(error))
    except (yaml.YAMLError, ValueError, OverflowError):  # \UFFFFFFFF, %YAML with 5000 digits
        problems.add(composer.last, "not valid YAML: an escape or directive here is out of range")
    return None


def read_text(path: Path) -> str:
    """The text of a file. Raises OSError, or ValueError saying where it is no UTF-8."""
    if stat.S_ISFIFO(path.stat().st_mode) and path.resolve().exists():  # not the `<(...)` of a shell
        raise ValueError("a named pipe; give it as a file")
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or (b"\0" in data[:2] and data[2:])
    if utf16 and len(data) <= MAX_BYTES:
        raise ValueError("not UTF-8 but UTF-16 or UTF-32; save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if len(data) > MAX_BYTES:  # a character may have been cut
            return " " * len(data)
        before = data[: error.start]
        line, column = before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
        raise ValueError(
            f"not UTF-8: byte 0x{data[error.start]:02x} on line {line}, column {column}; save it as UTF-8"
        ) from None


def locate(folder: Path, name: str) -> Path:
    """Where a path that a file names leads, from its folder. Raises OSError for what can be no path."""
    try:
        path = (folder / name).resolve()
        path.is_file()
    except ValueError:
        raise OSError(errno.EINVAL, "a path cannot hold the character U+0000") from None
    except RuntimeError:  # Python before 3.13
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from None
    return path


# --- scalars -------------------------------------------------------------------------------------------

_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: Mapping[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **{f"{sign}{word}": float(f"{sign}inf") for sign in ("", "+", "-") for word in (".inf", ".Inf", ".INF")},
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}


def resolve(text: str) -> Any:
    """A plain scalar by the YAML 1.2 core schema. Raises ValueError for a number that does not fit."""
    if text in _WORDS:
        return _WORDS[text]
    for pattern, base in ((_INT, 10), (_OCTAL, 8), (_HEX, 16)):
        if pattern.fullmatch(text):
            if len(text) > 40:
                raise ValueError(f"a number of {len(text)} digits is too long")
            return int(text if base == 10 else text[2:], base)
    if _FLOAT.fullmatch(text):
        number = float(text)
        if abs(number) == float("inf"):
            raise ValueError(f"{text[:20]} is too large for a number")
        return number
    return text


# --- composing -----------------------------------------------------------------------------------------


class _Stop(Exception):
    def __init__(self, mark: Mark, message: str) -> None:
        self.mark, self.message = mark, message


@dataclass(frozen=True)
class _Anchored:
    """A finished node under an anchor, and how large and deep it is with its aliases written out."""

    node: Node
    size: int
    depth: int


class _Composer:
    """Builds nodes from PyYAML's events; sizes and depths count aliases as if they were written out."""

    def __init__(self, source: Source, problems: Problems) -> None:
        import yaml

        self.yaml = yaml
        self.source, self.problems = source, problems
        self.anchors: dict[str, _Anchored | None] = {}
        self.size = 0
        self.last = Mark(source, 1, 1) if source.placed else Mark(source)

    def mark(self, mark: Any) -> Mark:
        return Mark(self.source, mark.line + 1, mark.column + 1) if self.source.placed else Mark(self.source)

    def document(self, events: Iterable[Any]) -> Node | None:
        self.events = self._follow(events)
        next(self.events)  # the start of the stream
        if isinstance(next(self.events), self.yaml.StreamEndEvent):
            return None
        root = self._node(next(self.events), 1).node
        next(self.events)  # the end of the document
        if not isinstance(event := next(self.events), self.yaml.StreamEndEvent):
            raise _Stop(self.mark(event.start_mark), "a second document starts here; keep one in a file")
        return root

    def _follow(self, events: Iterable[Any]) -> Iterator[Any]:
        for event in events:
            self.last = self.mark(event.start_mark)
            yield event

    def _node(self, event: Any, depth: int) -> _Anchored:
        yaml, mark = self.yaml, self.mark(event.start_mark)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, mark, depth)
        if depth > MAX_DEPTH:
            raise _Stop(mark, f"nested more than {MAX_DEPTH} deep")
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            self.problems.add(mark, f"tags such as {_short(tag)} are not allowed; write the plain value")
        self._grow(1, mark)
        before = self.size
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        height = 1
        if isinstance(event, yaml.ScalarEvent):
            node = Node(self._scalar(event, mark), mark)
        elif isinstance(event, yaml.SequenceStartEvent):
            node, height = self._sequence(mark, depth)
        else:
            node, height = self._mapping(mark, depth)
        made = _Anchored(node, self.size - before + 1, height)
        if event.anchor is not None:
            self.anchors[event.anchor] = made
        return made

    def _alias(self, event: Any, mark: Mark, depth: int) -> _Anchored:
        if event.anchor not in self.anchors:
            raise _Stop(mark, f"no anchor is called &{event.anchor} above this line")
        made = self.anchors[event.anchor]
        if made is None:
            raise _Stop(mark, f"*{event.anchor} contains itself")
        if depth + made.depth - 1 > MAX_DEPTH:
            raise _Stop(mark, f"nested more than {MAX_DEPTH} deep")
        self._grow(made.size, mark)
        return made

    def _grow(self, size: int, mark: Mark) -> None:
        self.size += size
        if self.size > MAX_NODES:
            raise _Stop(mark, f"the file holds more than {MAX_NODES:,} values with its aliases written out")

    def _scalar(self, event: Any, mark: Mark) -> Any:
        if any("\ud800" <= c <= "\udfff" for c in event.value):
            self.problems.add(mark, "half of a surrogate pair is no character; write the character itself")
            return "?"
        if not event.implicit[0]:  # quoted
            return event.value
        try:
            return resolve(event.value)
        except ValueError as error:
            self.problems.add(mark, str(error))
            return 1

    def _sequence(self, mark: Mark, depth: int) -> tuple[Node, int]:
        items: list[Node] = []
        height = 0
        while not isinstance(event := next(self.events), self.yaml.SequenceEndEvent):
            made = self._node(event, depth + 1)
            items.append(made.node)
            height = max(height, made.depth)
        return Node(items, mark), height + 1

    def _mapping(self, mark: Mark, depth: int) -> tuple[Node, int]:
        children: dict[str, Node] = {}
        keys: dict[str, Mark] = {}
        height = 0
        while not isinstance(event := next(self.events), self.yaml.MappingEndEvent):
            merge = isinstance(event, self.yaml.ScalarEvent) and event.value == "<<" and event.implicit[0]
            key_mark = self.mark(event.start_mark)
            key = self._node(event, depth + 1).node.value
            made = self._node(next(self.events), depth + 1)
            height = max(height, made.depth)
            if merge:
                self.problems.add(key_mark, "merge keys (<<) are not allowed; share a base with extends")
            elif not isinstance(key, str):
                self.problems.add(key_mark, f"a key must be text, got {show(Node(key, key_mark).plain())}")
            elif key in children:
                first, second = keys[key].line, key_mark.line
                where = f", on lines {first} and {second}" if first != second else " on this line"
                self.problems.add(key_mark, f'"{key}" is given twice{where}')
            else:
                children[key], keys[key] = made.node, key_mark
        return Node(children, mark, keys), height + 1


def _syntax(error: Any) -> str:
    problem = error.problem or error.context or "cannot be read"
    if r"'\t' that cannot start" in problem:
        return "not valid YAML: a tab cannot indent; use spaces"
    problem = problem.replace("'<stream end>'", "the end of the file").replace(
        "end of stream", "end of the file"
    )
    if error.context and error.context_mark and error.context_mark.line != error.problem_mark.line:
        problem += f" ({error.context} that starts on line {error.context_mark.line + 1})"
    elif "that cannot start any token" in problem:
        problem += "; quote the value"
    elif problem == "mapping values are not allowed here":
        problem += '; quote text that holds ": "'
    return f"not valid YAML: {problem}"


def _mark_at(source: Source, index: int) -> Mark:
    before = source.text[:index]
    if not source.placed:
        return Mark(source)
    return Mark(source, before.count("\n") + 1, index - before.rfind("\n"))


def _short(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."


def show(value: Any) -> str:
    """A value as messages quote it: close to what one would write in YAML."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and (value != value or value in (float("inf"), -float("inf"))):
        return f"{value:+}".lstrip("+").replace("inf", ".inf").replace("nan", ".nan")
    if isinstance(value, list | tuple):
        return _short(f"[{', '.join(map(show, value))}]")
    if isinstance(value, dict):
        return _short("{" + ", ".join(f"{k}: {show(v)}" for k, v in value.items()) + "}")
    return _short(repr(value) if isinstance(value, str | int | float) else str(value))
