"""What comparing the rows of a column says of each of them: ranks, ties and sentences, ready to show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from . import ranks, words
from .model import Column, Pair, Ranking
from .statistics import ALPHA, Estimate, Scores

#: Above so many rows only separated pairs are kept.
ALL_PAIRS = 50


def rank(
    column: Column,
    names: Sequence[str],
    estimates: Sequence[Estimate | None],
    scores: Sequence[Scores | None],
) -> Ranking:
    """Ranks the rows of a column that are complete and comparable; the others stay unranked."""
    assert column.direction is not None
    none = Scores([], [], 0)
    kept = [none if s is None else s for s in scores]
    found = ranks.rank_column(names, estimates, kept, column.kind, column.direction)  # type: ignore[arg-type]
    of = len(found.ranked)
    notes: dict[str, None] = {}
    for estimate in estimates:
        if estimate is not None and estimate.state != "incomplete":
            notes |= dict.fromkeys(words.notes(estimate, column.metric, column.kind))
    return Ranking(
        found.standings,
        of,
        tuple(_pairs(found, column.direction, every=of <= ALL_PAIRS)),
        words.verdict(column.metric, names, found),
        tuple(notes),
    )


def _pairs(found: ranks.Ranking, direction: str, *, every: bool) -> list[Pair]:
    pairs, rows = found.pairs, found.ranked
    made = []
    for a, first in enumerate(rows):
        for b in range(a + 1, len(rows)):
            pair = pairs.between(a, b)
            separated = pair.p_holm < ALPHA
            if not (every or separated):
                continue
            ahead = (pair.difference > 0) == (direction == "higher")
            better = (first if ahead else rows[b]) if separated else None
            made.append(
                Pair(first, rows[b], pair.difference, pair.low, pair.high, pair.p, pair.p_holm, better)
            )
    return made


def reordered(column: Column, order: Sequence[int]) -> Column:
    """The column when its rows stand in another order: order[new] = old."""
    ranking = column.ranking
    if ranking is None:
        return column
    place = {old: new for new, old in enumerate(order)}
    pairs = tuple(
        replace(
            p,
            first=place[p.first],
            second=place[p.second],
            better=None if p.better is None else place[p.better],
        )
        for p in ranking.pairs
    )
    standings = tuple(ranking.standings[old] for old in order)
    return replace(column, ranking=replace(ranking, standings=standings, pairs=pairs))


def by_seed(scores: Scores) -> tuple[float | None, ...]:
    """The mean score of each seed; None where it is missing or nothing is defined."""
    means: list[float | None] = []
    for values, valid in zip(scores.values, scores.valid, strict=True):
        kept = values if values is None or valid is None else values[valid]
        means.append(None if kept is None or not len(kept) else float(kept.mean()))
    return tuple(means)


def worst_of(scores: Sequence[Scores | None], *, higher: bool) -> Scores | None:
    """Sample by sample the worst of several attacks on one row; a seed is missing where one attack's is."""
    import numpy as np

    there = [s for s in scores if s is not None]
    if len(there) < len(scores):
        return None
    worst = np.minimum if higher else np.maximum
    values = []
    for of_seed in zip(*(s.values for s in there), strict=True):
        if any(v is None for v in of_seed) or len({len(v) for v in of_seed if v is not None}) > 1:
            values.append(None)
        else:
            values.append(worst.reduce([v for v in of_seed if v is not None]))
    same = all(s.same_samples for s in there)
    return Scores(values, [None] * len(values), min(s.samples for s in there), same)
