"""Params and specs of the built-in states. Light: no torch here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from benchmark_core import Count, MethodSpec


@dataclass(frozen=True, kw_only=True)
class NeighbourIndexParams:
    """Training points grouped by class, and for each its nearest neighbours in its own class.

    distance: between two points, flattened, in the task's own units: l2, l1, or cosine (1 - cos).
    k: neighbours per point, itself not counted; a class of k points or fewer has all the others instead.
    """

    distance: Literal["l2", "l1", "cosine"] = "l2"
    k: Count = 20


SPECS: tuple[MethodSpec, ...] = (
    MethodSpec.state(
        "neighbour-index",
        "benchmark_plugins.states.neighbour_index:NeighbourIndex",
        params=NeighbourIndexParams,
        made_from="task",
        deterministic=True,
        cite="Breunig, Kriegel, Ng, Sander 2000, LOF: identifying density-based local outliers, "
        "doi:10.1145/335191.335388",
    ),
)
