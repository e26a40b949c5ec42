"""Labels: what boards call each method of a suite, and the patterns that rules and boards name them with."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from unicodedata import normalize

from ..errors import did_you_mean
from ..spec import FileContent, Kind, MethodRef, param_types
from .fields import marker
from .methods import KEY_TYPES, Made, plural
from .nodes import Mark, Node, Problems

MAX_LENGTH = 100
MAX_PATTERN = 1000
MAX_PATTERNS = 1000
_WORST_CASE = re.compile(r"worst of [0-9]+")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_KEYS = tuple(key for key in KEY_TYPES if key != "as")


@dataclass
class Labelled:
    """A method of a suite with its label. entry: which item of the list it comes from, at node.

    base: the label without what a grid adds; patterns may use it for all of the grid.
    """

    made: Made
    node: Node
    entry: int
    base: str
    label: str = ""
    flat: dict[str, Any] = field(default_factory=dict)


def label(kind: Kind, entries: Sequence[tuple[Node, list[Made]]], problems: Problems) -> list[Labelled]:
    """All methods of one kind, labelled.

    Without `as`, entries of one method form a group, and each label is the method's name with the params in
    which the group differs; with `as`, an entry is a group of its own and its text takes the name's place.
    """
    groups: dict[Any, list[Labelled]] = {}
    for index, (node, methods) in enumerate(entries):
        for made in methods:
            title = made.keys.get("as")
            item = Labelled(made, node, index, title or made.ref.name, flat=_flat(made))
            groups.setdefault(made.ref.name if title is None else index, []).append(item)
    for group in groups.values():
        title = group[0].made.keys.get("as")
        if title is None:
            group[:] = _without_copies(group, problems)
            _name_group(group, [item.base for item in group])
        elif _good_title(kind, title, _as_mark(group[0].node), problems):
            group[:] = _without_copies(group, problems)
            _name_titled(group, title, problems)
    found = sorted((item for group in groups.values() for item in group), key=lambda item: item.entry)
    _refuse_duplicates(kind, found, problems)
    return found


class Labels:
    """The labels of one kind, to look up by label, by base or by pattern (`fnmatch`).

    ghosts: bases of entries that could not be made; patterns that may mean them are not reported.
    """

    def __init__(self, kind: str, items: Iterable[Labelled], ghosts: Iterable[str] = ()) -> None:
        self.kind = kind
        self.bases = {item.label: item.base for item in items}
        self.ghosts = tuple(ghosts)
        self._searched: dict[tuple[str, Sequence[str]], list[str]] = {}

    def find(self, pattern: str, mark: Mark, problems: Problems, *, extra: Sequence[str] = ()) -> list[str]:
        """All labels that fit; none is a problem. extra: further labels, such as `clean`."""
        if len(pattern) > MAX_PATTERN:
            problems.add(mark, f"a pattern has at most {MAX_PATTERN} characters, got {len(pattern)}")
            return []
        place = (pattern, tuple(extra))
        if place not in self._searched:
            if len(self._searched) >= MAX_PATTERNS and pattern not in self.bases:
                problems.add(mark, f"more than {MAX_PATTERNS:,} different patterns for {plural(self.kind)}")
                return []
            self._searched[place] = self._search(pattern, extra)
        found = self._searched[place]
        if not found and not any(
            g == "*" or g == pattern or pattern.startswith(f"{g} ") or fnmatchcase(g, pattern)
            for g in self.ghosts
        ):
            problems.add(mark, self._unknown(pattern, extra))
        return found

    def _search(self, pattern: str, extra: Sequence[str]) -> list[str]:
        if pattern in self.bases or pattern in extra:
            return [pattern]
        if found := [x for x, base in self.bases.items() if base == pattern]:
            return found
        if not any(c in pattern for c in "*?["):
            return []
        return [x for x in (*extra, *self.bases) if fnmatchcase(x, pattern)]

    def _unknown(self, pattern: str, extra: Sequence[str]) -> str:
        names = list(dict.fromkeys([*extra, *self.bases]))
        hint = did_you_mean(pattern, dict.fromkeys([*names, *self.bases.values()]))
        verb = "fits" if any(c in pattern for c in "*?[") else "is labelled"
        if not self.bases:
            return f'no {self.kind} {verb} "{pattern}"; the suite has no {plural(self.kind)}'
        shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        return f'no {self.kind} {verb} "{pattern}"{hint or "."} Labels: {shown}'


# --- flat view: path -> value --------------------------------------------------------------------------


def _flat(made: Made) -> dict[str, Any]:
    flat = dict(_flatten(made.ref.params, ""))
    flat |= {key: made.keys[key] for key in _KEYS if key in made.keys}
    return flat


def _flatten(params: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    types = param_types(type(params))
    for f in dataclasses.fields(params):
        value, path = getattr(params, f.name), f"{prefix}{f.name}"
        if isinstance(value, MethodRef):
            yield path, value.name
            yield from _flatten(value.params, f"{path}.")
        elif isinstance(value, tuple | list) and value and all(isinstance(v, MethodRef) for v in value):
            yield path, tuple(v.name for v in value)
            for i, v in enumerate(value):
                yield from _flatten(v.params, f"{path}.{i}.")
        elif isinstance(value, str) and marker(types[f.name], FileContent):
            yield path, Path(value)
        else:
            yield path, value


def _shown(item: Labelled, path: str, *, exact: bool = False) -> str:
    text = item.made.texts.get(path) or _text(item.flat[path], exact)
    return " ".join(text.translate(_PLAIN).split())[:60]


_PLAIN = str.maketrans("[]{}*?", "()()  ")  # patterns use them


def _text(value: Any, exact: bool) -> str:
    if value is None or isinstance(value, bool):
        return {None: "none", True: "true", False: "false"}[value]
    if isinstance(value, float):
        text = repr(value) if exact else f"{value:.6g}"
        return re.sub(r"e([-+])0*", lambda m: "e-" if m[1] == "-" else "e", text)
    if isinstance(value, Path):
        return value.name
    if isinstance(value, tuple | list):
        numbers = all(isinstance(v, int | float) for v in value)
        return ("x" if numbers else "+").join(_text(v, exact) for v in value) or "empty"
    return str(value)


# --- naming --------------------------------------------------------------------------------------------


def _identity(item: Labelled) -> str:
    return repr(sorted((path, repr(value)) for path, value in item.flat.items()))


def _without_copies(group: list[Labelled], problems: Problems) -> list[Labelled]:
    """A grid may give one setting twice (0.1 and 1/10): it counts once. Two entries may not."""
    seen: dict[str, Labelled] = {}
    for item in group:
        first = seen.setdefault(_identity(item), item)
        if first.entry != item.entry:
            problems.add(
                item.node.mark,
                f"{item.base} is listed twice with the same params, first {_where(first, item)}; "
                "remove one or name it with as",
            )
    return list(seen.values())


def _name_group(group: list[Labelled], stems: Sequence[str], said: Sequence[str] = ()) -> None:
    """stem + what differs in the group, but for the paths that the stem says already."""
    paths = [p for p in _varying(group) if p not in said]
    for exact in (False, True):
        for item, stem in zip(group, stems, strict=True):
            item.label = _with_suffix(item, stem, paths, exact)
        if len({item.label for item in group}) == len(group):
            return


def _varying(group: Sequence[Labelled]) -> list[str]:
    """The paths with more than one value; a param of an inner method counts where that method is used."""
    found = []
    for path in dict.fromkeys(path for item in group for path in item.flat):
        values = {repr(item.flat[path]) for item in group if path in item.flat}
        somewhere = "." not in path and any(path not in item.flat for item in group)
        if len(values) + somewhere > 1:
            found.append(path)
    return found


def _with_suffix(item: Labelled, stem: str, paths: Sequence[str], exact: bool) -> str:
    pieces = [stem]
    pieces += [
        f"{_short(path, paths, item.flat)}={_shown(item, path, exact=exact)}"
        for path in paths
        if path in item.flat and path != "reference"
    ]
    if "reference" in paths and "reference" in item.flat:
        pieces.append(f"vs {item.flat['reference']}")
    return " ".join(pieces)


def _short(path: str, paths: Sequence[str], flat: Mapping[str, Any]) -> str:
    """`attack.eps` -> `eps` where that can only mean one thing."""
    last = path.rpartition(".")[2]
    alone = sum(p.rpartition(".")[2] == last for p in paths) == 1
    return last if alone and (last == path or last not in flat) else path


def _name_titled(group: list[Labelled], title: str, problems: Problems) -> None:
    wanted = _PLACEHOLDER.findall(title)
    if not wanted:
        _name_group(group, [title] * len(group))
        return
    paths: dict[str, str] = {}
    for name in wanted:
        path = _meant(name, group)
        if path is None:
            known = list(dict.fromkeys(p for item in group for p in item.flat))
            problems.add(
                _as_mark(group[0].node),
                f'{group[0].made.ref.name}: as: there is no param "{name}"{did_you_mean(name, known) or "."} '
                f"It has: {', '.join(known) or 'none'}",
            )
        else:
            paths[name] = path
    if len(paths) < len(set(wanted)):
        return
    stems = []
    for item in group:
        text = _PLACEHOLDER.sub(
            lambda m, item=item: _shown(item, paths[m[1]]) if paths[m[1]] in item.flat else "none", title
        )
        stems.append(text)
        item.label = text
    for item in group:
        item.base = _PLACEHOLDER.split(title)[0].strip() or item.made.ref.name
    if len(set(stems)) < len(stems):
        _name_group(group, stems, list(paths.values()))


def _meant(name: str, group: Sequence[Labelled]) -> str | None:
    """The path a placeholder means: itself, or the only one that ends so."""
    known = dict.fromkeys(p for item in group for p in item.flat)
    if name in known:
        return name
    ending = [p for p in known if p.endswith(f".{name}")]
    return ending[0] if len(ending) == 1 else None


def check_title(kind: Kind, node: Node, problems: Problems) -> None:
    """The `as` of an entry of which no method could be made."""
    title = node.value["as"].value if isinstance(node.value, dict) and "as" in node.value else None
    if isinstance(title, str):
        _good_title(kind, title, _as_mark(node), problems)


def _good_title(kind: Kind, title: str, mark: Mark, problems: Problems) -> bool:
    rest = _PLACEHOLDER.sub("x", title)
    if not title.strip() or title != title.strip() or not title.isprintable():
        message = "as must be one line of text without blanks around it"
    elif len(title) > MAX_LENGTH:
        message = f"as must have at most {MAX_LENGTH} characters, got {len(title)}"
    elif bad := [c for c in rest if c in "*?[]"]:
        message = f'as may not hold "{bad[0]}": patterns use it'
    elif "{" in rest or "}" in rest:
        message = 'as: "{" and "}" stand around the name of a param, as in "PGD {eps}"'
    elif kind == "attack" and title == "clean":
        message = 'as may not be "clean": `on: clean` means inputs that nothing has attacked'
    elif kind == "attack" and _WORST_CASE.fullmatch(title):
        message = f'as may not be "{title}": boards call the worst case over several attacks so'
    else:
        return True
    problems.add(mark, message)
    return False


def _as_mark(node: Node) -> Mark:
    return node.value["as"].mark if isinstance(node.value, dict) and "as" in node.value else node.mark


def _refuse_duplicates(kind: Kind, found: Sequence[Labelled], problems: Problems) -> None:
    seen: dict[str, Labelled] = {}
    for item in found:
        if not item.label:
            continue
        first = seen.setdefault(normalize("NFC", item.label), item)  # equal to the eye
        if first is not item:
            problems.add(
                _as_mark(item.node),
                f'two {plural(kind)} are labelled "{item.label}", the first {_where(first, item)}; '
                "give one another label with as",
            )


def _where(first: Labelled, item: Labelled) -> str:
    mark = first.node.mark
    if mark.source is item.node.mark.source and mark.line:
        return f"on line {mark.line}"
    return f"in {mark.source.name}" + (f" on line {mark.line}" if mark.line else "")
