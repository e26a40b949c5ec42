"""Which samples and targets an entry works on: its own keys over those of the suite, as far as its method
has a use for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..spec import AttackSpec, ExplainerSpec, MethodSpec, MetricSpec
from .labels import Labelled
from .methods import WISH_TYPES, Made
from .model import Wish
from .nodes import Node, Problems


def wish_of(keys: Mapping[str, Any], default: Wish) -> Wish:
    """A wish from the keys given, the rest as in the default."""
    values = {key: keys.get(key, getattr(default, key)) for key in WISH_TYPES}
    if values["samples"] == "all":
        values["samples"] = None
    return Wish(**values)


def entry_wish(
    spec: MethodSpec, item: Labelled, suite: Wish, most: int | None, problems: Problems
) -> Wish | None:
    """The wish of one method, None for kinds that work on no samples. most: samples of a quick look."""
    keys = item.made.keys
    if isinstance(spec, MetricSpec):
        if "prediction" not in spec.consumes:
            return None
        wish = wish_of(keys, Wish(select=suite.select, samples=suite.samples))
    elif isinstance(spec, AttackSpec | ExplainerSpec):
        wish = wish_of({**keys, "targets": _targets(spec, item, suite, problems)}, suite)
    else:
        return None
    if most is None:
        return wish
    few = most if wish.samples is None else min(most, wish.samples)
    return Wish(select=wish.select, samples=few, targets=wish.targets, over=wish.over)


def _targets(spec: AttackSpec | ExplainerSpec, item: Labelled, suite: Wish, problems: Problems) -> str:
    """The entry's targets; the suite's are for counterfactuals. An attack aims only when its own entry says
    so: aiming turns a worst case into another question."""
    given = item.made.keys.get("targets")
    if isinstance(spec, AttackSpec):
        if spec.targeted:
            return given or "none"
        if given not in (None, "none"):
            problems.add(
                item.node.value["targets"].mark, f"{spec.name} cannot aim at a class; remove targets"
            )
        return "none"
    if spec.produces == "counterfactual":
        if given == "none":
            problems.add(
                item.node.value["targets"].mark,
                f"{spec.name}: targets cannot be none: a counterfactual needs a class to reach; "
                "use random, next, opposite or all",
            )
        return given or (suite.targets if suite.targets != "none" else "random")
    return given or "none"


def check_over(entries: Iterable[tuple[Node, list[Made]]], suite: Wish, problems: Problems) -> None:
    """An entry's `over` needs several targets of a sample."""
    for node, methods in entries:
        if not methods or "over" not in methods[0].keys:
            continue
        own = methods[0].ref.kind == "attack"
        aims = {m.keys.get("targets", "none" if own else suite.targets) for m in methods}
        if "all" not in aims:
            problems.add(
                node.keys["over"],
                f"{methods[0].ref.name}: over joins the scores of several targets; it needs targets: all",
            )
