"""The rules of a suite, `include` and `exclude`: patterns of labels become the labels that they fit."""

from __future__ import annotations

from collections.abc import Mapping

from .fields import Checker
from .keys import RULE_KEYS, RULE_TYPES
from .labels import Labels
from .nodes import Node, Problems, show
from .sections import checked, list_of, refuse_unknown_keys

MAX_RULES = 1000


def read_rules(
    root: Node, name: str, labels: Mapping[str, Labels], problems: Problems
) -> tuple[Mapping[str, tuple[str, ...]], ...]:
    """The rules of one list, each coordinate -> labels. name: `include` or `exclude`."""
    rules = []
    checker = Checker(RULE_TYPES)
    nodes = list_of(root, name, "rules such as {attack: pgd, dataset: [wine, digits]}", problems)
    if len(nodes) > MAX_RULES:
        problems.add(nodes[MAX_RULES].mark, f"{name}: more than {MAX_RULES:,} rules; join some with patterns")
    for node in nodes[:MAX_RULES]:
        if not isinstance(node.value, dict) or not node.value:
            problems.add(
                node.mark, f"{name}: a rule is a mapping such as {{attack: pgd}}, got {show(node.plain())}"
            )
            continue
        refuse_unknown_keys(node, list(RULE_KEYS), f"{name}: a rule", problems)
        fields = checked(node, checker, f"{name}: ", problems)
        rules.append({key: fitting(node.value[key], key, labels, problems) for key in fields})
    return tuple(rules)


def fitting(node: Node, key: str, labels: Mapping[str, Labels], problems: Problems) -> tuple[str, ...]:
    """The labels that the patterns of one key fit."""
    extra = ["clean"] if key == "on" else []
    patterns = node.value if isinstance(node.value, list) else [node]
    found = [x for p in patterns for x in labels[key].find(p.value, p.mark, problems, extra=extra)]
    return tuple(dict.fromkeys(found))
