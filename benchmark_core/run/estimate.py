"""How long nodes will take, from how long like nodes took: by method and dataset, method, then stage."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from statistics import median

from ..plan.model import Node

#: (stage, method name, dataset label): nodes of one place are taken to cost the same.
Place = tuple[str, str, str]


def place_of(node: Node) -> Place:
    return node.stage, node.method.name if node.method else "", str(node.where.get("dataset", ""))


class Estimator:
    """Learns place -> seconds from the store's index and from the run itself."""

    def __init__(self, times: Iterable[tuple[str, str, str, float]] = ()) -> None:
        """times: (stage, method name, dataset label, seconds) of earlier records."""
        self._seen: defaultdict[tuple[str, ...], list[float]] = defaultdict(list)
        self._medians: dict[tuple[str, ...], float] = {}
        for *place, seconds in times:
            self.learn(tuple(place), seconds)  # type: ignore[arg-type]

    def learn(self, place: Place, seconds: float) -> None:
        for part in (place, place[:2], place[:1]):
            self._seen[part].append(seconds)
            self._medians.pop(part, None)

    def seconds(self, place: Place) -> float | None:
        """The median of the nearest kind of earlier nodes; None when nothing like it ran."""
        for part in (place, place[:2], place[:1]):
            if part in self._seen:
                if part not in self._medians:
                    self._medians[part] = median(self._seen[part])
                return self._medians[part]
        return None

    def total(self, places: Mapping[Place, int]) -> float | None:
        """Seconds for so many nodes of each place, one after another; None when nothing is known of any."""
        known = [(s, n) for place, n in places.items() if n and (s := self.seconds(place)) is not None]
        if not known and any(places.values()):
            return None
        return sum(seconds * n for seconds, n in known)

    def guessed(self, places: Iterable[Place]) -> list[str]:
        """Methods that never ran before, so that their time is a guess."""
        return sorted({p[1] or p[0] for p in places if p[:2] not in self._seen})

    @property
    def records(self) -> int:
        """How many nodes the estimates rest on."""
        return sum(len(times) for part, times in self._seen.items() if len(part) == 1)


def count_places(nodes: Iterable[Node]) -> Counter[Place]:
    return Counter(place_of(node) for node in nodes)
