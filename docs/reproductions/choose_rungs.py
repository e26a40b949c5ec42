"""Which rungs stand for Weak-, Medium- and Strong-AT, and which eps for the evaluation? By accuracies alone.

    robex table calibrate-poster --json --store STORE | python docs/reproductions/choose_rungs.py

For each dataset, the evaluation eps and the three rising rungs whose clean, FGSM and PGD accuracies, with
those of the standard network, are nearest to the published twelve (root of the summed squared differences).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from itertools import combinations
from math import dist
from pathlib import Path
from typing import Any

import yaml

PAPER = Path(__file__).parents[2] / "suites" / "reproduce" / "expected" / "robust-counterfactuals.yaml"
NETWORKS = ("Standard", "Weak-AT", "Medium-AT", "Strong-AT")


def published(dataset: str) -> list[float]:
    """Clean, FGSM and PGD accuracy of the four networks, in [0, 1]."""
    values = yaml.safe_load(PAPER.read_text())["values"]
    mine = [v for v in values if v["at"]["dataset"] == dataset and v["metric"].endswith("accuracy")]
    at = {(v["source"].removeprefix("Table 1, "), v["at"].get("attack", "")[:4].strip()): v for v in mine}
    return [float(at[network, attack]["value"]) for network in NETWORKS for attack in ("", "FGSM", "PGD")]


def choices(block: Mapping[str, Any]) -> Iterator[tuple[float, str, tuple[str, ...], list[float]]]:
    """(distance, evaluation eps, rungs, the twelve accuracies) of every choice."""
    paper = published(block["at"]["dataset"])
    columns = [column["at"].get("attack", "clean") for column in block["columns"]]
    measured = {
        row["at"]["defense"]: dict(zip(columns, (cell["value"] / 100 for cell in row["cells"]), strict=True))
        for row in block["rows"]
    }
    rungs = sorted(measured.keys() - {"Standard"}, key=lambda label: float(label.removeprefix("AT ")))
    for eps in sorted({c.removeprefix("PGD ") for c in columns if c.startswith("PGD ")}):
        for chosen in combinations(rungs, 3):
            attacks = ("clean", f"FGSM {eps}", f"PGD {eps}")
            ours = [measured[network][attack] for network in ("Standard", *chosen) for attack in attacks]
            yield dist(ours, paper), eps, chosen, ours


def main() -> None:
    (board,) = json.load(sys.stdin)
    for block in board["blocks"]:
        print(block["at"]["dataset"])
        best = sorted(choices(block))
        for distance, eps, rungs, _ in best[:5]:
            print(f"  {distance:.3f}  evaluation eps {eps}, rungs {', '.join(rungs)}")
        shown = [f"{value:.3f}" for value in best[0][3]]
        for network, at in zip(NETWORKS, range(0, 12, 3), strict=True):
            print(f"    {network:10} clean {shown[at]}  FGSM {shown[at + 1]}  PGD {shown[at + 2]}")


if __name__ == "__main__":
    main()
