"""What waits for a person's word? Quarantined lines, tripped guards, unknown messages, the live lease, a move."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from tailrace import clock, durable
from tailrace.errors import DataError, nearest
from tailrace.journal import moving
from tailrace.journal.journal import Journal
from tailrace.journal.records import Lease, Release, Unknown
from tailrace.landing import quarantine
from tailrace.landing.backfills import OUTSIDE
from tailrace.landing.contract import load_contract
from tailrace.landing.land import Landed
from tailrace.landing.retry import kinds
from tailrace.landing.retry import retry as land_again
from tailrace.planning.store import Store
from tailrace.settings import Settings

__all__ = [
    "Acquired",
    "Landed",
    "Lease",
    "Retried",
    "acquire",
    "give_up",
    "guards",
    "lease",
    "left_out",
    "move_journal",
    "quarantined",
    "quarantined_line",
    "release",
    "retry",
    "settle",
    "unknowns",
]


def quarantined(
    settings: Settings, source: str | None, limit: int, reason: str | None = None
) -> list[quarantine.Quarantined]:
    """Return the lines that are in quarantine: of one reason, or of all but that of a backfill's range.

    Raises DefinitionError for a source that has neither such a line nor a contract, DataError for a reason that is
    none.
    """
    if reason is not None and reason not in quarantine.REASONS:
        hint = nearest(reason, quarantine.REASONS)
        raise DataError(f"`{reason}` is no reason; expected one that `quarantine list` shows.{hint}")
    found = quarantine.list_quarantine(settings, source=source, limit=limit, reason=reason)
    if source is not None and not found:
        load_contract(settings, source)
    return found


def left_out(settings: Settings, source: str | None) -> int:
    """Return how many lines are in quarantine for the range of a backfill alone."""
    return quarantine.counts(settings, source).get(OUTSIDE, 0)


def quarantined_line(settings: Settings, line_id: str) -> quarantine.QuarantinedLine:
    """Return one quarantined line with what stands in it. Raises DataError when there is no such line."""
    return quarantine.show(settings, line_id)


@dataclass(frozen=True)
class Retried:
    """What became of the lines that were tried again, over all; `kinds` has each source's, its history apart."""

    lines: int
    landed: int
    duplicate: int
    quarantined: int
    erased: int
    kinds: list[Landed]


def retry(settings: Settings, source: str | None, as_of: datetime) -> Retried:
    """Land the quarantined lines again, a load for each kind; those that now land leave the quarantine.

    Raises DefinitionError for a source without a contract, before anything lands.
    """
    found = kinds(settings, source)
    for name in [source] if source else dict.fromkeys(name for name, _ in found):
        load_contract(settings, name)
    done = [land_again(settings, as_of=as_of, source=name, history=is_history) for name, is_history in found]
    return Retried(
        lines=sum(each.lines for each in done),
        landed=sum(each.landed for each in done),
        duplicate=sum(each.duplicate for each in done),
        quarantined=sum(each.quarantined for each in done),
        erased=sum(each.erased for each in done),
        kinds=done,
    )


def guards(settings: Settings) -> list[dict[str, Any]]:
    """Return what the guards read in the plan applied last, tripped ones first."""
    store = Store(settings)
    head = store.head()
    rows = store.read(head).guards if head else []
    return sorted(rows, key=lambda row: (not row["tripped"], row["guard"], row["subject"]))


def release(settings: Settings, guard: str, subject: str, who: str, reason: str) -> Release:
    """Let what a guard parked in the plan applied last pass once; it is journalled.

    Raises DataError when that guard has not tripped on that subject.
    """
    store = Store(settings)
    head = store.head()
    tripped = [row for row in guards(settings) if row["tripped"] and row["released"] is None]
    found = next((row for row in tripped if (row["guard"], row["subject"]) == (guard, subject)), None)
    if head is None or found is None:
        known = [f"{row['guard']} {row['subject']}" for row in tripped]
        hint = nearest(f"{guard} {subject}", known)
        raise DataError(
            f"guard `{guard}` has not tripped on `{subject}` in the plan applied last; expected one of:"
            f" {', '.join(known) or 'none has tripped'}.{hint}"
        )
    with Journal.open(settings) as journal:
        seq = journal.release_guard(guard, subject, head, found["measured"], who, reason, clock.now())
        return next(kept for kept in journal.releases() if kept.seq == seq)


def unknowns(settings: Settings) -> list[Unknown]:
    """Return the messages whose fate is not known."""
    with Journal.open(settings) as journal:
        return journal.unknown()


def settle(settings: Settings, intent_id: str, outcome: str, who: str, reason: str) -> None:
    """Write down what a person found out about an unknown message."""
    with Journal.open(settings) as journal:
        journal.settle(intent_id, outcome, who, reason, clock.now())


@dataclass(frozen=True)
class Acquired:
    """The lease, and the syncs of which rows were said by plans that are lost, with how many batches of each: what was
    in those is told again, in mode `append` for a second time.
    """

    lease: Lease
    forgotten: dict[str, int] = field(default_factory=dict)


def acquire(settings: Settings, who: str, reason: str, accept_journal: bool) -> Acquired:
    """Take the live lease, if asked after accepting a journal that is behind its copy."""
    with Journal.open(settings) as journal:
        forgotten: Counter[str] = Counter()
        if accept_journal:
            store = Store(settings)
            if journal.copy_problem() is not None:
                known = store.known()
                batches = (batch_id.split("/") for batch_id in journal.lost_batches())
                forgotten.update(sync for plan_id, sync, _ in batches if plan_id not in known)
            journal.accept_copy(who, reason, clock.now(), store.head())
        return Acquired(journal.live_acquire(who, reason, clock.now()), dict(sorted(forgotten.items())))


def give_up(settings: Settings, who: str, reason: str) -> Lease:
    """Release the live lease."""
    with Journal.open(settings) as journal:
        return journal.live_release(who, reason, clock.now())


def lease(settings: Settings) -> Lease:
    """Return the live lease as it stands."""
    with Journal.open(settings) as journal:
        return journal.live_show()


def move_journal(settings: Settings) -> tuple[Path, int]:
    """Move the journal into the database that the settings name; where its file is now, and how many rows it had."""
    with durable.exclusive(settings.run_lock, "a run"), durable.exclusive(settings.deliver_lock, "delivery"):
        return moving.move(settings)
