"""How far are counterfactuals of trained networks from those of Standard where both aim at the same class?

    python docs/reproductions/equal_targets.py STORE

A counterfactual aims at a class other than the one its network predicts, so two networks may aim at different
classes for one sample. For each dataset, explainer and rung of suites/reproduce/robust-counterfactuals.yaml:
the share of samples whose targets differ, and the difference in implausibility (trained minus Standard) with
its two-sided p, over all samples and over those whose targets agree in every seed.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from typing import NamedTuple

import numpy as np

from benchmark_core.board.pairs import compare_pair
from benchmark_core.board.statistics import Scores
from benchmark_core.store import Store
from benchmark_core.store.cells import cells_in

SUITE = "robust-counterfactuals"


class Run(NamedTuple):
    """One seed: the class that each sample aims at, and the implausibility of what came out, (samples,)."""

    target: np.ndarray
    implausibility: np.ndarray


def runs_in(store: Store) -> dict[tuple[str, str], dict[str, list[Run]]]:
    """(dataset, explainer) -> network -> its seeds in order."""
    found: dict[tuple[str, str], dict[str, dict[int, Run]]] = defaultdict(lambda: defaultdict(dict))
    for at, key, selection, _ in cells_in(store.suite(SUITE)).listed():
        if at["metric"] == "implausibility":
            target, values = (
                store.tensors(k, store.record(k), numpy=True)[name]
                for k, name in ((selection, "target"), (key, "values"))
            )
            found[at["dataset"], at["explainer"]][at["defense"]][at["seed"]] = Run(target, values)
    return {
        place: {network: [seeds[s] for s in sorted(seeds)] for network, seeds in networks.items()}
        for place, networks in found.items()
    }


def told(trained: list[Run], standard: list[Run], keep: np.ndarray) -> str:
    y, z = ([run.implausibility[keep].astype(float) for run in runs] for runs in (trained, standard))
    n, none = int(keep.sum()), [None] * len(y)
    pair = compare_pair(Scores(y, none, n), Scores(z, none, n), "score")
    return f"{pair.difference:+.3f} (p = {pair.p:.2g}, {n} samples)"


def main(path: str) -> None:
    for (dataset, explainer), networks in sorted(runs_in(Store(path, create=False)).items()):
        standard = networks.pop("Standard")
        for rung, trained in networks.items():
            same = np.array([a.target == b.target for a, b in zip(trained, standard, strict=True)])
            every = told(trained, standard, np.ones(same.shape[1], dtype=bool))
            equal = told(trained, standard, same.all(axis=0))
            print(f"{dataset}  {explainer}  {rung}: {1 - same.mean():.1%} differ; all {every}, equal {equal}")


if __name__ == "__main__":
    main(sys.argv[1])
