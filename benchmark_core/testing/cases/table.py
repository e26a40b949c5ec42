"""What a case of the conformance kit is, and the table that the case modules write themselves into."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...spec import KINDS, Kind, MethodSpec
from ..harness import Trial
from .sections import PAGE, SECTIONS

PRODUCERS: tuple[Kind, ...] = ("attack", "explainer")
CALLED: tuple[Kind, ...] = ("model", "defense", "attack", "explainer", "metric", "state")


@dataclass(frozen=True)
class Case:
    """One contract, checked of one method.

    kinds: the kinds of method it is about. check: raises `Breach` where the contract does not hold; it is
    called once for every small task, or once in all if it is not `per_task`. somewhere: the contract holds of
    a method if it does in one of the tasks and settings that are tried, and there is one item for them all.
    read: where the contract is explained, if anywhere. applies: of which specs (others have no such item).
    rank: 0 that it runs, 1 the form of its results, 2 that it repeats itself, 3 the rest; a case is run where
    all of lower rank hold, since it would fail for the same reason.
    """

    name: str
    kinds: tuple[Kind, ...]
    check: Callable[[Trial], None]
    read: str = ""
    applies: Callable[[MethodSpec], bool] = lambda spec: True
    per_task: bool = True
    rank: int = 3
    somewhere: bool = False

    @property
    def per_setting(self) -> bool:
        """Whether each choice of params has an item of its own."""
        return self.per_task and not self.somewhere

    def fits(self, spec: MethodSpec) -> bool:
        return spec.kind in self.kinds and self.applies(spec)


CASES: list[Case] = []


def case(
    *kinds: Kind,
    read: str,
    applies: Callable[[MethodSpec], bool] = lambda spec: True,
    per_task: bool = True,
    rank: int = 3,
    somewhere: bool = False,
) -> Callable[[Callable[[Trial], None]], Callable[[Trial], None]]:
    """Enter a check into the table. The case has the function's name; `read` is a section of contracts.md."""

    def enter(check: Callable[[Trial], None]) -> Callable[[Trial], None]:
        assert read in SECTIONS
        name = check.__name__.replace("_", "-")
        CASES.append(Case(name, kinds or KINDS, check, f"{PAGE}#{read}", applies, per_task, rank, somewhere))
        return check

    return enter
