"""Do the plan's own numbers look wrong? A guard that trips parks its subject until a person releases it.

A guard measures one number of one subject (`segment:seg_x`, `sync:sync_x`, `source:app`) against what policy.yml
allows. A release holds for one plan, and only up to the number that the person saw (and a tenth more).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from tailrace.planning.memberships import Cause, Moves

RELEASE_MARGIN = 1.1


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

    Shares are not measured below `minimum_members` members before.
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
    if cause is not Cause.BEHAVIOUR or moves.before < limits.minimum_members:
        return readings
    for guard, moved, allowed in (
        ("segment_left_share", moves.left, limits.segment_left_share),
        ("segment_entered_share", moves.entered, limits.segment_entered_share),
    ):
        if allowed is not None:
            share = moved / moves.before
            readings.append(Reading(guard, subject, round(share, 4), allowed, share > allowed))
    return readings


def read_source(name: str, silent_hours: float | None, allowed_hours: float) -> Reading:
    """Return the reading of one source: hours since its newest event; a source without any has tripped."""
    measured = -1.0 if silent_hours is None else round(silent_hours, 2)
    tripped = silent_hours is None or silent_hours > allowed_hours
    return Reading("source_stale_after", f"source:{name}", measured, allowed_hours, tripped)


def read_sync(name: str, acknowledged: int, removals: int, limits: Limits) -> list[Reading]:
    """Return the reading of one sync: the share of what the destination holds that this plan would remove."""
    if limits.sync_deletions_share is None or acknowledged < limits.minimum_members:
        return []
    share = removals / acknowledged
    allowed = limits.sync_deletions_share
    return [Reading("sync_deletions_share", f"sync:{name}", round(share, 4), allowed, share > allowed)]


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
