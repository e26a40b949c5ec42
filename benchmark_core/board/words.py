"""What a board says in words: one function a sentence, numbers in the unit that is shown.

Nothing here decides anything; the sentences are filled with what pairs, ranks and claims found.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from .claims import Verdict
from .correlation import Correlation
from .formats import count, fixed, plural, significant
from .intervals import ALPHA
from .pairs import Pair
from .published import Agreed
from .ranks import Ranking
from .statistics import MIN_SAMPLES, MIN_SEEDS_OF_SETS, Estimate

ORDER_OF_ESTIMATES = "The order shown is the order of the estimates."
ONE_SEED = (
    "One seed: this holds for these trained models, not for the methods in general. Run 3 seeds or more."
)
REFERENCE = "A reference: what real data itself scores. Not ranked."
TWO_SEEDS = "Two seeds: intervals over seeds are very wide. Run 3 seeds or more."
EQUAL_SEEDS = "All {seeds} seeds gave equal scores: they count as one, and this holds for these runs."
SEEDS_DOMINATE = (
    "Differences between seeds, not between samples, set this interval; more samples will not narrow it."
)
FRONT = "No row is separated as better than these on one axis without being worse on the other."
TURNED = "above 0, more robust goes with better explained."
CHOSEN = "The defenses were chosen, not drawn: p describes this list only."
MEAN_RANK_AXIS = "mean rank among these {k} rows"
MEAN_RANKS = "Mean ranks are among these {k} rows: who leads depends on who else is on the board."
DEFAULT_TOLERANCE = "The tolerance is a default; nobody declared one."
REPRODUCTION = (
    "A reproduction differs in code and settings too: `differs` is a fact about two numbers, "
    "not a verdict on either."
)

NAMES = 4


# --- numbers -----------------------------------------------------------------------------------------


def show_p(p: float) -> str:
    """Two digits: `0.73`, `0.0059`; `< 0.001` below. More next to 0.05, so that the two sides differ:
    `0.0499`."""
    if p < 0.001:
        return "< 0.001"
    digits = max(1, 1 - math.floor(math.log10(p)))
    while float(f"{p:.{digits}f}") == ALPHA != p:
        digits += 1
    return f"{p:.{digits}f}"


def decimals(low: float, high: float) -> int:
    """w = half the width, e = floor(log10 w): -e places, one more if w/10^e < 3.55; 0 to 6, and 3 for w =
    0."""
    w = (high - low) / 2
    if w <= 0:
        return 3
    e = math.floor(math.log10(w))
    return min(6, max(0, -e + (w / 10.0**e < 3.55)))


def with_bounds(value: float, low: float | None, high: float | None) -> str:
    """`0.812 [0.790, 0.835]`: one number of decimals for all three; three digits without an interval. Where
    an end is infinite the other says how many."""
    if low is None or high is None:
        return significant(value)
    arms = [arm for arm in (value - low, high - value) if math.isfinite(arm)]
    if not arms:
        return f"{significant(value)} [{significant(low)}, {significant(high)}]"
    places = decimals(low, high) if len(arms) == 2 else decimals(-arms[0], arms[0])
    return f"{fixed(value, places)} [{fixed(low, places)}, {fixed(high, places)}]"


def _equals(what: str, p: float) -> str:
    """`p = 0.73`, `p < 0.001`."""
    shown = show_p(p)
    return f"{what} {shown}" if shown.startswith("<") else f"{what} = {shown}"


def tested(pair: Pair, scale: float) -> str:
    """`difference 0.18 [0.14, 0.21], adjusted p = 0.0059`."""
    return f"{_difference(pair, scale)}, {_equals('adjusted p', pair.p_holm)}"


def _difference(pair: Pair, scale: float) -> str:
    bounds = (None if b is None else scale * b for b in (pair.low, pair.high))
    return f"difference {with_bounds(scale * pair.difference, *bounds)}"


def listed(names: Sequence[str], most: int | None = None) -> str:
    """`A`, `A and B`, `A, B and C`, `A, B, C, D and 7 more`."""
    shown = list(names)
    if most is not None and len(shown) > most + 1:
        shown = [*shown[:most], f"{count(len(names) - most)} more"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


# --- a column ----------------------------------------------------------------------------------------


def verdict(metric: str, names: Sequence[str], ranking: Ranking) -> str:
    """The first sentence about a column: who cannot be separated at the top. Only what is separated is
    better."""
    ranked, pairs = len(ranking.ranked), ranking.pairs
    if ranked == 0:
        return f"No row is ranked on {metric}."
    top = [names[row] for row in ranking.top]
    if ranked == 1:
        return f"Only {top[0]} is ranked on {metric}; there is nothing to compare it with."
    if not (pairs.p_holm < ALPHA).any():
        data = f"{plural(pairs.seeds, 'seed')} and {plural(pairs.samples, 'sample')}"
        return f"No row can be separated from another on {metric} with {data}."
    if len(top) > 1:
        return f"{listed(top, NAMES)} cannot be separated at the top of {metric}."
    standing = ranking.standings[ranking.top[0]]
    if standing is not None and standing.high == 1:
        other = "other row" if ranked == len(names) else "other ranked row"
        return f"{top[0]} is better than every {other} on {metric}."
    return f"No row is separated as better than {top[0]} on {metric}."


def pair(a: str, b: str, metric: str, found: Pair, *, higher: bool, scale: float = 1.0) -> str:
    """The line of two rows; found: a minus b. scale: into the unit that is shown (100 for percent)."""
    if not found.separated:
        return tie(a, b, found, scale=scale)
    if (found.difference > 0) != higher:
        turned = [None if x is None else -x for x in (found.high, found.low)]
        found = Pair(-found.difference, turned[0], turned[1], found.p, found.p_holm)
        a, b = b, a
    p = show_p(found.p_holm)
    return f"{a} is better than {b} on {metric} ({_difference(found, scale)}, adjusted p {p})."


def tie(a: str, b: str, found: Pair, *, scale: float = 1.0) -> str:
    return f"{a} and {b} cannot be separated with these data ({tested(found, scale)})."


def footer(over: str) -> str:
    """over: as interval_over says, of several columns where they differ."""
    return (
        f"Intervals: 95 %, over {over}. Ranks: at most a 5 % chance of any wrong separation in a column; "
        "columns are not corrected for each other."
    )


def interval_over(
    kind: str, seeds: int, *, crossed: bool = True
) -> Literal["seeds and samples", "samples", "seeds"]:
    """What the intervals of a column rest on."""
    if kind == "set" or (not crossed and seeds > 1):
        return "seeds"
    return "seeds and samples" if seeds > 1 else "samples"


# --- a row -------------------------------------------------------------------------------------------


def notes(estimate: Estimate, metric: str, kind: str, ran: int = 1) -> list[str]:
    """What must be said about a row whose seeds and samples are all there, besides its numbers. ran: how many
    seeds were measured; the estimate counts them as one where all of its column's are equal."""
    said = []
    if estimate.state == "nan":
        total = estimate.n * estimate.seeds
        return [not_numbers(estimate.not_numbers, total) if estimate.not_numbers else no_valid_sample()]
    if estimate.state == "few-seeds":
        said.append(few_seeds_of_set(metric, estimate.seeds))
    elif estimate.seeds == 1 and ran <= 1:
        said.append(ONE_SEED)
    elif estimate.seeds == 2:
        said.append(TWO_SEEDS)
    if estimate.state == "reference":
        said.append(REFERENCE)
    if estimate.seeds == 1 < ran:
        said.append(EQUAL_SEEDS.format(seeds=ran))
    if estimate.state == "few-samples":
        said.append(few_samples(estimate.n))
    parts = estimate.components
    if parts is not None and parts.seed > parts.sample:
        said.append(SEEDS_DOMINATE)
    share = None if estimate.share is None else estimate.share.value
    if kind == "conditional" and share is not None and share < 1:
        said.append(low_validity(share) if estimate.state == "low-validity" else conditional(share))
    return said


def few_seeds_of_set(metric: str, seeds: int) -> str:
    there = f"there {'is' if seeds == 1 else 'are'} {seeds}"
    return f"{metric} gives one number per seed; ranking needs {MIN_SEEDS_OF_SETS} seeds, {there}."


def few_samples(n: int) -> str:
    return f"Only {plural(n, 'sample')}: not ranked ({MIN_SAMPLES} are needed)."


def incomplete(done: int, wanted: int, missing: str, columns: Sequence[str] = ()) -> str:
    """missing: what is missing, and why (`seeds 1 and 3 timed out`). columns: those that lack cells, where
    others rank the row."""
    by = f" by {listed(columns)}" if columns else ""
    return (
        f"Incomplete: {count(done)} of {plural(wanted, 'cell')} ({missing}). "
        f"Not ranked{by}; the ranks of the other rows do not use it."
    )


def not_numbers(number: int, total: int) -> str:
    return f"{count(number)} of {count(total)} scores are not a number. Not ranked."


def no_valid_sample() -> str:
    return "No valid sample. Not ranked."


def conditional(share: float) -> str:
    return (
        f"Mean over the {percent(share)} of samples with a valid result; "
        "the others are missing and may be the harder ones."
    )


def low_validity(share: float) -> str:
    return (
        f"Valid on {percent(share)} of samples (95 % are needed): shown, not ranked. "
        "Compare on common samples with `robex compare`."
    )


def not_comparable(a: str, b: str, what: Literal["samples", "sets of size", "data versions"]) -> str:
    return f"Not comparable: {a} and {b} were measured on different {what}."


def different_samples(on_own: float, on_common: float) -> str | None:
    """For two conditional rows: their difference on their own valid samples, and on those valid for both."""
    if on_own * on_common < 0:
        return "The two rows solve different samples; no statement."
    return None


def percent(share: float) -> str:
    """A share below 1 never reads 100 %, and one below the limit of 95 % never reads 95 %."""
    digits = 1
    while digits < 6 and float(f"{100 * share:.{digits}f}") in (95.0, 100.0) and share not in (0.95, 1.0):
        digits += 1
    return f"{100 * share:.{digits}f}".removesuffix(".0") + " %"


# --- claims, published values, correlation ----------------------------------------------------------


def claim(found: Verdict) -> str:
    step = found.step
    if found.judgement == "supported":
        return f"Supported: every step holds ({_equals('largest p', found.p)})."
    if found.judgement == "undecided":
        return f"Undecided: {step.lower} < {step.upper} is not separated ({_equals('p', found.p)})."
    return f"Contradicted: {step.lower} is above {step.upper} ({_equals('p', found.p_against)})."


def published(found: Agreed, low: float | None, high: float | None, *, scale: float = 1.0) -> str:
    """low, high: our interval. scale: into the unit that is shown."""
    if found.agreement == "cannot tell":
        if math.isinf(found.ours):
            return "Cannot tell: our value is infinite."
        if low is None or high is None:
            return "Cannot tell: our value has no interval."
        if found.too_wide:
            return "Cannot tell: our interval is wider than the tolerance allows."
        return "Cannot tell: our interval lies partly within the tolerance and partly outside."
    bounds = (None if b is None else scale * b for b in (low, high))
    ours = with_bounds(scale * found.ours, *bounds)
    word = "Within tolerance" if found.agreement == "within tolerance" else "Differs"
    v, delta = (f"{scale * x:.6g}" for x in (found.theirs, found.tolerance))
    default = " (a default)" if found.default else ""
    return f"{word}: {ours} against {v}, tolerance {delta}{default}."


def unused_std(std: str) -> str:
    """std: their "+-" as printed."""
    return f"The published +- {std} is not used: what it measures is not stated."


def correlation(found: Correlation) -> str:
    if found.rho is None or found.p is None:
        if found.k >= 5:
            return f"All {found.k} defenses are equal in one of the two columns: there is no correlation."
        return f"Only {plural(found.k, 'defense')}: too few for a correlation."
    p = _equals("exact p" if found.exact else "p", found.p)
    interval = "" if found.low is None else f" [{_rho(found.low)}, {_rho(found.high)}]"
    single = (
        ""
        if found.single_low is None
        else f"; single seeds give {_rho(found.single_low)} to {_rho(found.single_high)}"
    )
    return f"Spearman {_rho(found.rho)}{interval} over these {found.k} chosen defenses ({p}){single}."


def _rho(rho: float | None) -> str:
    return fixed(rho or 0.0, 2)
