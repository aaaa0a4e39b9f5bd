"""Do the plan's own numbers look wrong? A guard that trips parks its subject until a person releases it.

A guard measures one number of one subject (`segment:seg_x`, `sync:sync_x`, `source:app`) against what policy.yml
allows. A release holds for one plan, and only up to the number that the person saw (and a tenth more).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from tailrace.errors import GuardStop
from tailrace.planning.memberships import Cause, Moves

RELEASE_MARGIN = 1.1

EMPTIED_FROM = 5
"""A segment that had so many members and has none is measured even below `minimum_members`: so few leave one by one."""


class Release(Protocol):
    """A person's word that a guard may let its subject pass once: the journal keeps it."""

    @property
    def seq(self) -> int:
        """The release's number in the journal."""

    @property
    def guard(self) -> str:
        """The guard's name."""

    @property
    def subject(self) -> str:
        """What the guard had parked."""

    @property
    def measured(self) -> float:
        """The number that the person saw."""


@dataclass(frozen=True)
class Reading:
    """One guard's measurement. `released` is the number of the release that let it pass, if one did."""

    guard: str
    subject: str
    measured: float
    allowed: float
    tripped: bool
    released: int | None = None

    @property
    def parks(self) -> bool:
        """Whether the subject is parked: tripped and not released."""
        return self.tripped and self.released is None

    def row(self) -> dict[str, Any]:
        """Return the reading as plan.json holds it."""
        return asdict(self)


@dataclass(frozen=True)
class Limits:
    """What policy.yml allows one subject. Shares are of the size before; `None` switches a guard off.

    Shares are not measured below `minimum_members` members before, but for what loses everybody.
    """

    segment_left_share: float | None
    segment_entered_share: float | None
    segment_minimum: int | None
    minimum_members: int
    sync_deletions_share: float | None


def read_segment(name: str, moves: Moves, cause: Cause, limits: Limits) -> list[Reading]:
    """Return the readings of one segment: share that left, share that entered, minimum size.

    Shares are read only where people moved by behaviour: other causes trigger nothing.
    """
    subject = f"segment:{name}"
    readings = []
    if limits.segment_minimum is not None and cause is not Cause.BASELINE:
        short = moves.after < limits.segment_minimum
        readings.append(Reading("segment_minimum", subject, moves.after, limits.segment_minimum, short))
    if cause is not Cause.BEHAVIOUR:
        return readings
    is_large = moves.before >= limits.minimum_members
    is_emptied = moves.after == 0 and moves.before >= EMPTIED_FROM
    for guard, moved, allowed, is_measured in (
        ("segment_left_share", moves.left, limits.segment_left_share, is_large or is_emptied),
        ("segment_entered_share", moves.entered, limits.segment_entered_share, is_large),
    ):
        if allowed is not None and is_measured and moves.before:
            share = moved / moves.before
            readings.append(Reading(guard, subject, round(share, 4), allowed, share > allowed))
    return readings


def read_source(name: str, silent_hours: float | None, allowed_hours: float) -> Reading:
    """Return the reading of one source: hours since its newest event; a source without any has tripped."""
    measured = -1.0 if silent_hours is None else round(silent_hours, 2)
    tripped = silent_hours is None or silent_hours > allowed_hours
    return Reading("source_stale_after", f"source:{name}", measured, allowed_hours, tripped)


def read_sync(name: str, acknowledged: int, removals: int, limits: Limits) -> list[Reading]:
    """Return the reading of one sync: the share of what the destination holds that this plan would remove.

    Taking away everything is measured however few that are: nobody notices an audience that is gone.
    """
    is_emptied = 0 < acknowledged <= removals
    if limits.sync_deletions_share is None or (acknowledged < limits.minimum_members and not is_emptied):
        return []
    share = removals / acknowledged
    allowed = limits.sync_deletions_share
    return [Reading("sync_deletions_share", f"sync:{name}", round(share, 4), allowed, share > allowed)]


def read_moved(name: str, acknowledged: int, elsewhere: int, said: int) -> list[Reading]:
    """Return the reading of one sync that begins at another place: the rows that it told those before.

    All of it would be said there, and nothing of what the other one holds is taken out: a person is to know.
    """
    return [Reading("sync_moved", f"sync:{name}", elsewhere, 0, said > 0)] if elsewhere and not acknowledged else []


def is_loss(before: int, now: int, allowed: float | None, minimum_members: int) -> bool:
    """Return whether more people are gone than may be: see `require_people`."""
    return allowed is not None and before - now > allowed * before and not (now and before < minimum_members)


def require_people(
    before: int, now: int, allowed: float | None, minimum_members: int, relation: str = "core.dim_people"
) -> None:
    """Let a plan be made only over about as many people as its parent knew: everything else stands on them.

    Events are never taken back, so people do not leave by themselves; a model that lost a join makes them. Planning on
    would skip whoever is due, and forget who unsubscribed; without features, conditions would choose other words.

    Raises GuardStop when a larger share than `allowed` is gone; below `minimum_members` only when everybody is.
    """
    if allowed is None or not is_loss(before, now, allowed, minimum_members):
        return
    raise GuardStop(
        f"{relation} holds {now} people; the plan before knew {before}, and `people_left_share` in policy.yml"
        f" allows {allowed:.0%} of them to be gone: a core model or a join in it has probably lost them. Mend it and"
        " run again, or, if it is meant, allow more in policy.yml. Nothing was planned or sent; HEAD did not move."
    )


def apply_releases(readings: Iterable[Reading], releases: Sequence[Release]) -> list[Reading]:
    """Return the readings, each tripped one marked with the newest release that covers what it measured."""
    newest: Mapping[tuple[str, str], Release] = {
        (release.guard, release.subject): release for release in sorted(releases, key=lambda release: release.seq)
    }
    settled = []
    for reading in readings:
        release = newest.get((reading.guard, reading.subject))
        if reading.tripped and release is not None and _covers(release, reading):
            settled.append(Reading(**asdict(reading) | {"released": release.seq}))
        else:
            settled.append(reading)
    return settled


def _covers(release: Release, reading: Reading) -> bool:
    if reading.guard == "segment_minimum":
        return reading.measured >= release.measured / RELEASE_MARGIN
    return reading.measured <= release.measured * RELEASE_MARGIN
