"""What does the journal hand out and take in? Frozen values; people are ids, moments are aware UTC datetimes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(moment: datetime) -> int:
    """Return `moment` as the journal stores it: microseconds since 1970 in UTC, exactly."""
    return (moment.astimezone(UTC) - _EPOCH) // _MICROSECOND


def moment(stored: int) -> datetime:
    """Return the aware UTC datetime of a stored time."""
    return _EPOCH + timedelta(microseconds=stored)


class State(StrEnum):
    """Where a message or a sync batch stands: the one list. What its outcomes, and a person's words, add up to."""

    DRAFT = "draft"
    """It waits for a person's approval; no sender sees it."""
    PENDING = "pending"
    """It goes out when it is due."""
    CLAIMED = "claimed"
    """A sender holds it."""
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    """It may or may not have arrived: a person settles it."""
    EXPIRED = "expired"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class SyncBatch:
    """One batch of a plan's sync operations: `n_rows` rows, positions 0 to n_rows - 1, for one destination.

    `removes`: it removes its rows. The other batches of its sync wait for it. `is_once`: each row is to be said once.
    """

    sync: str
    batch_no: int
    n_rows: int
    destination: str
    target: str = ""
    removes: bool = False
    is_once: bool = False


@dataclass(frozen=True)
class Due:
    """An item that may be claimed now: an intent (`sync` is empty) or a sync batch (`person_id` is None).

    `tries` is how often it was put off through its own fault. `removes`: of a batch, it removes its rows; `is_behind`:
    removals of its sync and plan were not settled yet, and it waits for them.
    """

    item_id: str
    plan_id: str
    lane: str
    attempt: int
    tries: int
    expires_at: datetime | None
    person_id: int | None = None
    campaign: str = ""
    step: str = ""
    message: str = ""
    klass: str = ""
    topic: str | None = None
    sync: str = ""
    batch_no: int = 0
    n_rows: int = 0
    target: str = ""
    removes: bool = False
    is_behind: bool = False


@dataclass(frozen=True)
class Claim:
    """An item that this sender holds: its outcome must be recorded for exactly this attempt."""

    item_id: str
    attempt: int


@dataclass(frozen=True)
class RowOutcome:
    """A row of a batch whose outcome differs from its batch's."""

    position: int
    outcome: str
    code: str


@dataclass(frozen=True)
class Record:
    """What became of a claim.

    `status_code` and `body` (JSON text) are the answer to a webhook step; with `accepted` and `rejected` they are kept.
    `next_at` is needed with `retry_later` and `blocked`. `counts_as_try` is false when the destination, not the
    item, was at fault. `may_have_arrived` binds a message that is tried again to its destination, which recognises it.
    An unknown batch is driven again, unless `is_final`: its destination must not hear a row twice.
    """

    claim: Claim
    outcome: str
    code: str
    provider_id: str | None = None
    next_at: datetime | None = None
    counts_as_try: bool = True
    may_have_arrived: bool = False
    is_final: bool = False
    rows: tuple[RowOutcome, ...] = ()
    status_code: int | None = None
    body: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Unknown:
    """A message whose fate is not known."""

    intent_id: str
    attempt: int
    person_id: int | None
    campaign: str | None
    step: str | None
    destination: str | None
    code: str
    since: datetime


@dataclass(frozen=True)
class Draft:
    """A message that waits for a person's approval."""

    intent_id: str
    plan_id: str
    person_id: int
    campaign: str
    step: str
    channel: str
    message: str
    since: datetime
    deliver_after: datetime
    expires_at: datetime | None


@dataclass(frozen=True)
class Decided:
    """What a decision on drafts changed; `already` were decided so before, `expired` were left to expire."""

    changed: int
    already: int
    expired: int


@dataclass(frozen=True)
class Begun:
    """A broadcast as it was first begun; `is_new` when this call did."""

    campaign: str
    key: str
    n_rows: int
    who: str
    at: datetime
    is_new: bool


@dataclass(frozen=True)
class Release:
    """A person's word that a guard may let its subject pass once, up to the number that the person saw."""

    seq: int
    guard: str
    subject: str
    plan_id: str
    measured: float
    who: str
    reason: str
    at: datetime


@dataclass(frozen=True)
class Choice:
    """A person's word that so many passes of a backfill's corrections go on now; `plan_id`: who considered it.

    One that `is_taken_back` is considered by no plan.
    """

    number: int
    backfill: str
    who: str
    reason: str
    at: datetime
    passes: int
    plan_id: str | None
    is_taken_back: bool = False


@dataclass(frozen=True)
class Resync:
    """A person's word that everything of a sync is to be said again; `plan_id`: who did."""

    seq: int
    sync: str
    who: str
    reason: str
    at: datetime
    plan_id: str | None


@dataclass(frozen=True)
class Lease:
    """The live lease as the journal has it; `held` is whether it holds for this data directory on this host."""

    held: bool
    why_not: str | None
    who: str | None
    reason: str | None
    since: datetime | None


@dataclass(frozen=True)
class Happened:
    """One line of an item's story: what is `applied`, `claimed`, `settled` or an outcome."""

    item_id: str
    at: datetime
    what: str
    attempt: int
    code: str
    destination: str | None


@dataclass(frozen=True)
class Intent:
    """A person's message as applied, and where it stands (a State)."""

    intent_id: str
    plan_id: str
    campaign: str
    step: str
    channel: str
    message: str
    state: str
    attempt: int
    deliver_after: datetime
    expires_at: datetime | None


@dataclass(frozen=True)
class Counts:
    """How many messages and sync batches stand where, by state; `oldest_unknown` is since when."""

    messages: dict[str, int]
    batches: dict[str, int]
    oldest_unknown: datetime | None
