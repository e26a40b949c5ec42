"""Draws settings.svg: under which settings of ECCo the claims of the first paper hold.

    python docs/reproductions/draw_settings.py STORE > docs/reproductions/settings.svg

Reads what suites/reproduce/sensitivity-poster.yaml left in the store. One row a setting, one panel a dataset
and stopping rule: implausibility of the standard (hollow) and of the adversarially trained network (full),
coloured by what a paired test over seeds and samples says of the paper's claim. Faint: less than 90 % of the
counterfactuals of either are valid.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmark_core.board.cells import Reader, cells_of, kind_of
from benchmark_core.board.claims import Verdict, check_claim
from benchmark_core.store import Store

SUITE = "sensitivity-poster"
RULES = ("boundary", "target-class")
#: Dataset, the rung of Strong-AT, and by rule the paper's claim, the lower one first (T: trained, S:
#: standard).
DATASETS = {
    "mnist": ("AT 0.2", {"boundary": "TS", "target-class": "TS"}),
    "mnist-10000": ("AT 0.2", {"boundary": "TS", "target-class": "TS"}),
    "california-housing": ("AT 0.3", {"boundary": "TS", "target-class": "ST"}),
}
COLOURS = {"supported": "#0072b2", "contradicted": "#d55e00", "undecided": "#777777"}
LEFT, PANEL, GAP, ROW, TOP = 290, 170, 24, 15, 62


class Found(NamedTuple):
    """Means of implausibility, the smaller of the valid shares, and what the data say of the claim."""

    standard: float
    trained: float
    valid: float
    verdict: Verdict

    @property
    def told(self) -> str:
        judged = f"{self.verdict.judgement}, p = {self.verdict.p:.2g}"
        return f"Standard {self.standard:.3f}, trained {self.trained:.3f}, {judged}"


def settings_of(labels: Sequence[str]) -> list[str]:
    """Labels without the rule, in the order of the suite; "" is the first entry."""
    found = (label.removeprefix(rule).strip() for rule in RULES for label in labels if label.startswith(rule))
    return list(dict.fromkeys(found))


def found_in(store: Store) -> dict[tuple[str, str, str], Found]:
    """(dataset, rule, setting) -> what was found."""
    at: dict[tuple[str | None, ...], Any] = {}
    manifest = store.suite(SUITE)
    about = manifest["metrics"]["implausibility"]
    for place, seeds in cells_of(manifest).items():
        where = dict(place)
        at[tuple(where.get(c) for c in ("dataset", "defense", "explainer", "metric"))] = seeds
    settings = settings_of([key[2] or "" for key in at])
    reader = Reader(store)

    def scores(*place: str) -> Any:
        reader.fetch(at[place])
        return reader.scores(at[place])

    found = {}
    for dataset, (rung, claims) in DATASETS.items():
        for rule, claim in claims.items():
            for setting in settings:
                label = f"{rule} {setting}".strip()
                if (dataset, rung, label, "validity") not in at:
                    continue
                of = {"S": "Standard", "T": rung}
                read = {k: scores(dataset, defense, label, "implausibility") for k, defense in of.items()}
                valid = min(
                    mean(scores(dataset, defense, label, "validity").values) for defense in of.values()
                )
                verdict = check_claim(tuple(claim), read.__getitem__, kind_of(about, read.values()))
                means = {k: mean(s.values) for k, s in read.items()}
                found[dataset, rule, setting] = Found(means["S"], means["T"], valid, verdict)
    reader.close()
    return found


def mean(values: Sequence[np.ndarray | None]) -> float:
    return float(np.mean([v.mean() for v in values if v is not None]))


def drawing(found: Mapping[tuple[str, str, str], Found]) -> Iterator[str]:
    settings = list(dict.fromkeys(setting for *_, setting in found))
    panels = [(dataset, rule) for dataset in DATASETS for rule in RULES]
    width, rows = LEFT + len(panels) * (PANEL + GAP), ROW * len(settings)
    height = TOP + rows + 70
    size = f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11"'
    yield f'<svg xmlns="http://www.w3.org/2000/svg" {size}>'
    yield '<rect width="100%" height="100%" fill="white"/>'
    for i, setting in enumerate(settings):
        at = f'x="{LEFT - 10}" y="{TOP + ROW * i + 4}" text-anchor="end"'
        yield f"<text {at}>{escape(setting or 'library of June 2024')}</text>"
    for n, (dataset, rule) in enumerate(panels):
        x = LEFT + n * (PANEL + GAP)
        yield from panel(x, f"{dataset}, {rule}", [found.get((dataset, rule, s)) for s in settings])
    y = height - 48
    for n, (judgement, colour) in enumerate(COLOURS.items()):
        x = LEFT + 150 * n
        yield f'<circle cx="{x}" cy="{y}" r="4" fill="{colour}"/>'
        yield f'<text x="{x + 9}" y="{y + 4}">claim {judgement}</text>'
    told = "hollow: Standard; full: adversarially trained; faint: less than 90 % valid"
    yield f'<text x="{LEFT}" y="{y + 24}">{told}</text></svg>'


def panel(x0: int, title: str, found: Sequence[Found | None]) -> Iterator[str]:
    ends = [v for f in found if f for v in (f.standard, f.trained)]
    low, high = min(ends), max(ends)
    box = f'x="{x0 - 6}" y="{TOP - 10}" width="{PANEL + 12}" height="{ROW * len(found) + 4}"'
    yield f'<text x="{x0}" y="28" font-weight="bold">{title}</text>'
    yield f'<text x="{x0}" y="48" fill="#555">{low:.2f}</text>'
    yield f'<text x="{x0 + PANEL}" y="48" text-anchor="end" fill="#555">{high:.2f}</text>'
    yield f'<rect {box} fill="#f6f6f6"/>'
    for i, f in enumerate(found):
        if f is None:
            continue
        y = TOP + ROW * i
        s, t = (x0 + PANEL * (v - low) / ((high - low) or 1) for v in (f.standard, f.trained))
        colour, opacity = COLOURS[f.verdict.judgement], 1 if f.valid >= 0.9 else 0.35
        yield f'<g stroke="{colour}" stroke-width="2" opacity="{opacity}"><title>{f.told}</title>'
        yield f'<path d="M{s:.1f} {y}H{t:.1f}"/><circle cx="{s:.1f}" cy="{y}" r="3.5" fill="white"/>'
        yield f'<circle cx="{t:.1f}" cy="{y}" r="3.5" fill="{colour}"/></g>'


if __name__ == "__main__":
    print("\n".join(drawing(found_in(Store(Path(sys.argv[1]), create=False)))))
