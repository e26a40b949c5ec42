"""The entries of a suite: the methods of every section with their labels, and what each one names by label,
which is the attacks it explains and the defense it compares with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import close_to
from ..registry import Registry
from ..spec import KINDS, Kind, MetricSpec
from .keys import REQUIRED, SECTIONS
from .labels import Labelled, Labels, check_title, label
from .methods import MAX_METHODS, Made, MethodMaker, plural
from .model import Entry, Wish
from .nodes import Node, Problems
from .sections import list_of
from .wishes import check_over, entry_wish


@dataclass(frozen=True)
class EntryReader:
    """Reads all sections. wish: what methods work on unless their entry says otherwise; samples: at most."""

    registry: Registry
    problems: Problems
    wish: Wish
    samples: int | None

    def entries(self, root: Node) -> tuple[dict[Kind, tuple[Entry, ...]], dict[str, Labels]]:
        """kind -> its entries, and kind -> its labels, for what names them (`on` means attacks)."""
        entries: dict[Kind, tuple[Entry, ...]] = {}
        labels: dict[str, Labels] = {}
        order = sorted(SECTIONS, key=lambda s: KINDS.index(SECTIONS[s]))
        for section in order:
            kind = SECTIONS[section]
            nodes = list_of(root, section, plural(kind), self.problems)
            if section in REQUIRED and section in root.value and root.value[section].value == []:
                self.problems.add(root.value[section].mark, f"{section} is empty; list at least one {kind}")
            made, ghosts = self._made(section, nodes, labels)
            items = label(kind, made, self.problems)
            ghosts += [item.base for item in items if not item.label]
            items = [item for item in items if item.label]
            labels[kind] = Labels(kind, items, ghosts)
            entries[kind] = tuple(self._entry(item, labels) for item in items)
            check_over(made, self.wish, self.problems)
        labels["on"] = labels["attack"]
        return entries, labels

    def _made(
        self, section: str, nodes: list[Node], labels: Mapping[str, Labels]
    ) -> tuple[list[tuple[Node, list[Made]]], list[str]]:
        """The methods each item of a section stands for, and what broken items would have been called."""
        kind = SECTIONS[section]
        maker = MethodMaker(self.registry, self.problems)
        made: list[tuple[Node, list[Made]]] = []
        ghosts: list[str] = []
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
        return made, ghosts

    def _ghosts(self, kind: Kind, node: Node) -> list[str]:
        """What a broken entry would have been called: its `as`, its method, or what that was meant to be; `*`
        when nobody can tell."""
        given = node.value if isinstance(node.value, dict) else {"use": node}
        if "as" in given and isinstance(given["as"].value, str):
            return [given["as"].value.partition("{")[0].strip() or "*"]
        name = given["use"].value if "use" in given else None
        return [name, *close_to(name, self.registry.names(kind))] if isinstance(name, str) else ["*"]

    def _entry(self, item: Labelled, labels: Mapping[str, Labels]) -> Entry:
        mark, keys = item.node.mark, item.made.keys
        spec = self.registry.get(item.made.ref.kind, item.made.ref.name)
        return Entry(
            ref=item.made.ref,
            label=item.label,
            line=mark.line,
            column=mark.column,
            wish=entry_wish(spec, item, self.wish, self.samples, self.problems),
            on=self._on(item, labels) if spec.kind == "explainer" else ("clean",),
            reference=keys.get("reference"),
            file=mark.source.name,
        )

    # -- what names other entries --

    def _on(self, item: Labelled, labels: Mapping[str, Labels]) -> tuple[str, ...]:
        """The attacks whose outputs an explainer is asked about, and `clean`."""
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
