"""`--set path=value`: changes a suite's nodes before they are checked, so mistakes are found the same way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..errors import cut, did_you_mean
from .nodes import Mark, Node, Problems, Source, from_python, parse


def override(
    root: Node, path: str, value: Any, folder: Path, problems: Problems, keys: Sequence[str]
) -> Node:
    """The suite with one value changed.

    path: dotted, as in `attacks.pgd.eps` or `limits.threads`; the second part of a list is a label, a name
    (every entry that has it) or a position from 0. value: text is read as YAML. keys: of a suite.
    """
    source = Source(f"--set {cut(path, 100)}", value if isinstance(value, str) else "", folder, placed=False)
    mark = Mark(source)
    if isinstance(value, str):
        before = len(problems)
        node = parse(source, problems) or Node(None, mark)
        if len(problems) > before:
            return root
    else:
        node = from_python(value, mark)
    top = path.split(".")[0]
    if top == "extends":
        problems.add(mark, "extends cannot be set; write it in a file")
    elif top not in keys:
        problems.add(
            mark, f'a suite has no key "{top}"{did_you_mean(top, keys) or "."} It has: {", ".join(keys)}'
        )
    else:
        try:
            return _set(root, path, node, "a suite")
        except _Unknown as error:
            problems.add(mark, str(error))
    return root


class _Unknown(Exception):
    """A step of the path leads nowhere."""


def _set(node: Node, path: str, new: Node, owner: str) -> Node:
    """A copy of node with `new` at path. owner: what node is, for messages."""
    if not path:
        return new
    if isinstance(node.value, list):
        for index, rest in _selected(node, path, owner):
            node = node.with_item(index, _set(node.value[index], rest, new, f"{owner}.{index}"))
        return node
    if isinstance(node.value, str):  # a bare name is short for {use: name}
        node = Node({"use": node}, node.mark, {"use": node.mark})
    if not isinstance(node.value, dict):
        raise _Unknown(f"{owner} holds no keys, so {path} cannot be set in it")
    key, _, rest = path.partition(".")
    if key not in node.value:
        if rest and not (owner == "a suite" and key == "limits"):
            hint = did_you_mean(key, node.value) or "."
            raise _Unknown(f'{owner} does not set "{key}"{hint} It sets: {", ".join(node.value)}')
        child = Node({}, new.mark) if rest else new
    else:
        child = node.value[key]
    where = new.mark if key not in node.value else node.keys[key]
    return node.with_child(
        key, _set(child, rest, new, key if owner == "a suite" else f"{owner}.{key}"), where
    )


def _selected(node: Node, path: str, owner: str) -> Iterator[tuple[int, str]]:
    """The items of a list that the next part of a path means, and what is left of the path after it.

    Labels may hold dots, so the longest name that the path starts with counts.
    """
    head, _, rest = path.partition(".")
    if head.isdecimal() and len(head) < 10:
        if int(head) >= len(node.value):
            raise _Unknown(f"{owner} has no item {head}; it has {len(node.value)}, counted from 0")
        yield int(head), rest
        return
    names = {index: _names(item) for index, item in enumerate(node.value)}
    fitting = {n for found in names.values() for n in found if path == n or path.startswith(f"{n}.")}
    if not fitting:
        known = list(dict.fromkeys(n for found in names.values() for n in found))
        hint = did_you_mean(head, known) or "."
        raise _Unknown(f'nothing in {owner} is called "{head}"{hint} It has: {", ".join(known)}')
    name = max(fitting, key=len)
    for index, found in names.items():
        if name in found:
            yield index, path[len(name) + 1 :]


def _names(item: Node) -> list[str]:
    if isinstance(item.value, str):
        return [item.value]
    if isinstance(item.value, dict):
        named = [item.value[key].value for key in ("as", "name", "use") if key in item.value]
        return [n for n in named if isinstance(n, str)]
    return []
