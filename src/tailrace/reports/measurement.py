"""Did it work? Shares, the difference between two of them, and whether the groups are what they were meant to be.

Only counts come in. An interval is Newcombe's hybrid of two Wilson intervals (Newcombe 1998, "Interval estimation for
the difference between independent proportions", method 10): it keeps its coverage for small groups and for shares near
0 or 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

CONFIDENCE = 0.95
FEWEST = 5
"""Fewer people than this on either side of the question (did, did not) in a group, and its share says too little."""
MISMATCH = 0.001
"""A split whose counts would come about less often than this by chance is flagged (a sample-ratio mismatch)."""


@dataclass(frozen=True)
class Group:
    """How many people there were, and how many of them did what the campaign is for."""

    people: int
    converted: int

    def __post_init__(self) -> None:
        """Raise ValueError for counts that cannot be."""
        if not 0 <= self.converted <= self.people:
            raise ValueError(f"{self.converted} of {self.people} converted; expected 0 to {self.people}")

    @property
    def share(self) -> float | None:
        """Return the share that converted; None of nobody."""
        return self.converted / self.people if self.people else None

    @property
    def is_enough(self) -> bool:
        """Return whether there are enough on both sides of the question to say anything."""
        return min(self.converted, self.people - self.converted) >= FEWEST


@dataclass(frozen=True)
class Lift:
    """What the treated did beyond the control: a difference of shares with its 95 % interval, all in points (of 100).

    `relative` is the difference as a share of the control's share, None when nobody in it converted. With `is_enough`
    false the interval stands but must be shown as too small a sample.
    """

    points: float
    low: float
    high: float
    relative: float | None
    is_enough: bool


def lift(treated: Group, control: Group) -> Lift | None:
    """Return the lift of the treated over the control; None when there is nobody in one of them."""
    if not treated.people or not control.people:
        return None
    ours, theirs = treated.converted / treated.people, control.converted / control.people
    our_low, our_high = interval(treated)
    their_low, their_high = interval(control)
    difference = ours - theirs
    low = difference - math.hypot(ours - our_low, their_high - theirs)
    high = difference + math.hypot(our_high - ours, theirs - their_low)
    return Lift(
        points=100 * difference,
        low=100 * low,
        high=100 * high,
        relative=difference / theirs if theirs else None,
        is_enough=treated.is_enough and control.is_enough,
    )


def interval(group: Group) -> tuple[float, float]:
    """Return the Wilson interval of the group's share. Raises ValueError for nobody."""
    from scipy.stats import binomtest  # noqa: PLC0415 (a second to import, and few commands need it)

    found = binomtest(group.converted, group.people).proportion_ci(CONFIDENCE, method="wilson")
    return float(found.low), float(found.high)


def mismatch(people: Mapping[str, int], weights: Mapping[str, float]) -> float | None:
    """Return how probable counts at least this far from the weights are by chance; below MISMATCH the split is broken.

    Arms of weight 0 count as broken when anybody is in them. None when there is nobody, or only one arm.
    """
    total, whole = sum(people.values()), sum(weights.values())
    arms = [name for name, weight in weights.items() if weight > 0]
    if any(people.get(name, 0) for name in people if weights.get(name, 0) <= 0):
        return 0.0
    if not total or len(arms) < 2:
        return None
    from scipy.stats import chisquare  # noqa: PLC0415 (as above)

    expected = [total * weights[name] / whole for name in arms]
    return float(chisquare([people.get(name, 0) for name in arms], expected).pvalue)
