"""What does a report on one campaign's effect show? Plain values: counts by step, message and arm, never a person.

As in `view`, `None` for a number means that it is not known; it is printed as such and never as zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class ArmView:
    """People of one arm, each counted once.

    people: who were given the arm. measured: those whose time for the goal is over; converted: of these, who reached it
    in time. points, low, high: the lift over the control with its 95 % interval, in points of 100; relative: as a share
    of the control's share. All four are None for the control, and when there is nobody to compare. is_enough is false
    when there are too few people for the interval to mean anything.
    """

    name: str
    people: int
    measured: int | None
    converted: int | None
    share: float | None
    points: float | None
    low: float | None
    high: float | None
    relative: float | None
    is_enough: bool


@dataclass(frozen=True)
class ComparisonView:
    """Arms that chance made, the control first. kind: holdout, global_holdout or split (then `step` names it).

    mismatch: how probable shares at least as far from the intended ones are by chance (None: nobody, or nothing was
    intended); is_broken: that is too improbable to be chance. left_out: reached the goal before their arm mattered.
    """

    kind: str
    step: str | None
    arms: tuple[ArmView, ...]
    mismatch: float | None
    is_broken: bool
    left_out: int


@dataclass(frozen=True)
class FunnelView:
    """One step of one version: passes that ever arrived there, rest there now, went on, and ended there (by why)."""

    version: str
    is_today: bool
    step: str
    what: str
    arrived: int
    resting: int
    went_on: int
    ended: dict[str, int]


@dataclass(frozen=True)
class MessageView:
    """One message: how many of it, each counted once.

    planned: in the journal. sent: accepted by the destination. The other counts are receipts; one is None as long as
    no receipt of its kind has ever come from the channel. opened, clicked: by a human at least once; machine_opened: by
    a machine, and never by a human. converted: reached the goal after it was sent, which does not say because of it.
    """

    step: str
    message: str
    channel: str
    planned: int
    sent: int
    delivered: int | None
    opened: int | None
    machine_opened: int | None
    clicked: int | None
    bounced: int | None
    complained: int | None
    unsubscribed: int | None
    converted: int | None


@dataclass(frozen=True)
class MeasuredView:
    """What came of a campaign. passes = active + the rest of `statuses`; `comparisons` need a goal.

    goal: in words. as_of: of the plan that all is counted at. missing: that funnel and splits do not go back to the
    beginning, because the plans of then are gone; the rest is counted whole.
    """

    slug: str
    version: str
    goal: str | None
    as_of: datetime
    passes: int
    statuses: dict[str, int]
    reached_goal: int | None
    funnel: tuple[FunnelView, ...]
    messages: tuple[MessageView, ...]
    comparisons: tuple[ComparisonView, ...]
    missing: str | None = None


TITLES = {
    "holdout": "Treated against the campaign's holdout",
    "global_holdout": "Treated against the global holdout",
    "split": "Arms of the split",
}
"""What each kind of comparison is called."""


def finding(comparison: ComparisonView, arm: ArmView) -> str:
    """Return what the comparison allows to be said of the arm, in words."""
    control = comparison.arms[0]
    if arm is control:
        return "what the others are compared with"
    if arm.points is None or arm.low is None or arm.high is None:
        return "nobody to compare yet"
    if not arm.is_enough:
        return "too small a sample: fewer than 5 who did, or who did not, in one of the two"
    if comparison.is_broken:
        return "not to be trusted: the sizes of the arms are not what they were meant to be"
    if arm.low <= 0 <= arm.high:
        return "no difference that chance would not make"
    return f"{'more' if arm.points > 0 else 'fewer'} than {control.name.replace('_', ' ')}, beyond chance"


def mismatch_in_words(comparison: ComparisonView) -> str | None:
    """Return what is wrong with the sizes of the arms, or None when nothing is known to be."""
    if not comparison.is_broken:
        return None
    chance = "less than 1 in a million" if not comparison.mismatch or comparison.mismatch < 1e-6 else None
    said = chance or f"about 1 in {round(1 / (comparison.mismatch or 1)):,}"
    shares = {
        "holdout": "`holdout` of the campaign's versions",
        "global_holdout": "today's `holdout` of policy.yml, which may have been another one when people entered",
        "split": "the weights of the split",
    }[comparison.kind]
    return (
        f"the sizes of the arms do not fit {shares}: chance makes that {said}. Something other than chance decided who"
        " is where, so nothing below says what the campaign does"
    )
