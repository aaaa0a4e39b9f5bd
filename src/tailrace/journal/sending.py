"""Who may hand over what, now, and what became of it? Epochs, claims and outcomes, each in one transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tailrace import crash
from tailrace.engine import statement
from tailrace.errors import JournalError
from tailrace.journal.database import Row
from tailrace.journal.epochs import Epochs
from tailrace.journal.records import Claim, Due, Record, micros, moment

_PACKAGE = "tailrace.journal"
_BEYOND_ANY_PRIORITY = 2**31 - 1
_ATTEMPT = (
    "insert into attempts (item_id, attempt, epoch, destination, is_idempotent, claimed_at)"
    " values ($item_id, $attempt, $epoch, $destination, $is_idempotent, $now)"
)

_STATE_AFTER = {
    "accepted": "accepted",
    "rejected": "rejected",
    "retry_later": "pending",
    "blocked": "pending",
    "unknown": "unknown",
}
_LAST_WORDS = frozenset({"accepted", "rejected"})


@dataclass(frozen=True)
class Claimed:
    """What a claim brought: the claims, and how many items were cancelled, by reason."""

    claims: list[Claim]
    cancelled: dict[str, int]


@dataclass(frozen=True)
class Swept:
    """What dead senders left: items now unknown, and items that go out again because repeating is harmless."""

    unknown: int
    again: int


@dataclass(frozen=True)
class Page:
    """Due items, and where the next page begins; `after` is None when this was the last."""

    items: list[Due]
    after: tuple[int, int] | None


class Sending(Epochs):
    """The journal's part that senders use. Every change compares the epoch, so that a predecessor is fenced."""

    def sweep(self, epoch: int, now: datetime) -> Swept:
        """Settle the claims of dead epochs that have no outcome.

        An item becomes `unknown`, unless it was claimed as one that may be repeated: then it is pending again, a
        message for that destination only.
        """
        params = {"epoch": epoch, "now": micros(now)}
        with self._db.transaction():
            self.fence(epoch)
            self._db.run(statement(_PACKAGE, "sweep_outcomes"), params)
            swept = self._db.all(statement(_PACKAGE, "sweep_states"), params)
        left = sum(row["state"] == "unknown" for row in swept)
        return Swept(left, len(swept) - left)

    def strand(self, epoch: int, now: datetime, channel: str, destination: str, *, is_idempotent: bool) -> int:
        """Make unknown what another destination may have had, now that the channel goes to `destination`.

        Returns how many. Only the destination that may have had a message can tell that it is a repeat.
        """
        where = (
            "from states where kind = 'message' and state = 'pending' and lane = $lane and maybe_at is not null"
            " and not (maybe_at = $destination and $is_idempotent = 1)"
        )
        params = {"lane": channel, "destination": destination, "is_idempotent": int(is_idempotent)}
        return self._close(epoch, now, "unknown", "rerouted", where, params)

    def expire(self, epoch: int, now: datetime) -> int:
        """Close the messages, drafts among them, whose time has passed before anybody took them up; return how many."""
        where = "from states where state in ('pending', 'draft') and expires_at < $now"
        return self._close(epoch, now, "expired", "too_late", where, {})

    def due_messages(
        self,
        channel: str,
        now: datetime,
        limit: int,
        after: tuple[int, int] = (_BEYOND_ANY_PRIORITY, 0),
        *,
        share: tuple[int, int] = (0, 1),
    ) -> Page:
        """Return pending messages of the channel that may go now: by priority, then in the order of applying.

        `share` (number, of) leaves out what other workers look at.
        """
        rows = self._db.all(
            statement(_PACKAGE, "due_messages"),
            {"lane": channel, "now": micros(now), "limit": limit, "priority": after[0], "place": after[1]}
            | _share(share),
        )
        items = [_due_message(row) for row in rows]
        return Page(items, (rows[-1]["priority"], rows[-1]["place"]) if len(rows) == limit else None)

    def due_batches(
        self,
        destination: str,
        plan_id: str,
        now: datetime,
        limit: int,
        after: tuple[int, int] = (_BEYOND_ANY_PRIORITY, 0),
        *,
        share: tuple[int, int] = (0, 1),
    ) -> Page:
        """Return the plan's pending batches for the destination, in order; `share` (number, of) as of messages.

        Those that remove come first. Others of their sync are `is_behind` as long as one of them is not settled.
        """
        rows = self._db.all(
            statement(_PACKAGE, "due_batches"),
            {"lane": destination, "plan_id": plan_id, "now": micros(now), "limit": limit}
            | {"priority": after[0], "place": after[1]}
            | _share(share),
        )
        items = [_due_batch(row) for row in rows]
        return Page(items, (rows[-1]["priority"], rows[-1]["place"]) if len(rows) == limit else None)

    def is_behind(self, batch: Due) -> bool:
        """Return whether removals of the batch's sync and plan are not settled yet."""
        return not batch.removes and bool(
            self._db.value(statement(_PACKAGE, "is_behind"), {"plan_id": batch.plan_id, "sync": batch.sync})
        )

    def batch_destinations(self, plan_id: str) -> list[str]:
        """Return the destinations that the plan's open batches go to."""
        rows = self._db.all(
            "select distinct lane from states where kind = 'batch' and state = 'pending'"
            " and item_id in (select batch_id from batches where plan_id = $plan) order by lane",
            {"plan": plan_id},
        )
        return [row["lane"] for row in rows]

    def channels(self) -> list[str]:
        """Return the channels on which messages are pending."""
        rows = self._db.all(
            "select distinct lane from states where kind = 'message' and state = 'pending' order by lane"
        )
        return [row["lane"] for row in rows]

    def claim(
        self,
        epoch: int,
        now: datetime,
        items: Sequence[Due],
        *,
        destination: str,
        is_idempotent: bool,
        withdrawn: Mapping[str, str] | None = None,
        done: Sequence[Record] = (),
    ) -> Claimed:
        """Claim those of `items` that may still go out, in one transaction, and copy the claims to the other path.

        Others may claim at the same time, with the same epoch: none waits for another's items, and no item is two's.

        When this returns, both are on the disk: only now may bytes leave. Left out is what is not pending, not due,
        expired or bound to another destination. Items that `withdrawn` names, each with its reason, are cancelled.
        What became of the claims before (`done`) is written in the same transaction, as `record` does: so a sender
        that goes on never holds more than `items`, and pays for one transaction. Raises JournalError when nothing of
        it was written.
        """
        params = {
            "epoch": epoch,
            "now": micros(now),
            "destination": destination,
            "is_idempotent": int(is_idempotent),
        }
        withdrawn = withdrawn or {}
        cancelled: dict[str, int] = {}
        seq = 0
        with self._db.transaction(may_overlap=True):
            self.fence(epoch)
            # Before any claim: a sender that holds claims of this transaction waits for nobody.
            for item_id in sorted({item.item_id for item in items} & withdrawn.keys()):
                code = withdrawn[item_id]
                if self._cancel(params | {"item_id": item_id, "code": code}):
                    cancelled[code] = cancelled.get(code, 0) + 1
            self._record(epoch, micros(now), done)
            wanted = [item.item_id for item in items if item.item_id not in withdrawn]
            rows = self._db.all(self._db.own_statement("claim"), params | {"items": json.dumps(wanted)})
            attempts = {row["item_id"]: row["attempt"] for row in rows}
            claims = [Claim(item_id, attempts[item_id]) for item_id in wanted if item_id in attempts]
            if claims:
                told = [params | {"item_id": claim.item_id, "attempt": claim.attempt} for claim in claims]
                self._db.many(_ATTEMPT, told[:-1])
                seq = self._db.insert(_ATTEMPT, told[-1])
            tops = self._tops() if claims else {}
        if done:
            crash.here("deliver.recorded")
        crash.here("deliver.claimed")
        if claims:
            self._copy.append(
                {
                    "journal": self.journal_id,
                    "seq": seq,
                    "tops": tops,
                    "epoch": epoch,
                    "at": params["now"],
                    "items": [[claim.item_id, claim.attempt] for claim in claims],
                }
            )
        crash.here("deliver.copied")
        return Claimed(claims, cancelled)

    def record(self, epoch: int, at: datetime, records: Sequence[Record]) -> None:
        """Write what became of claims, in one transaction.

        Raises JournalError, and writes none of it, when one of them is not claimed by this epoch.
        """
        with self._db.transaction(may_overlap=True):
            self.fence(epoch)
            self._record(epoch, micros(at), records)
        crash.here("deliver.recorded")

    def rows_said(self, batch_id: str) -> dict[int, tuple[str, str]]:
        """Return what attempts of a batch said of single rows, the last word on each: (outcome, code) by position."""
        rows = self._db.all(statement(_PACKAGE, "rows_said"), {"item_id": batch_id})
        return {row["position"]: (row["outcome"], row["code"]) for row in rows}

    def hold_back(self, epoch: int, at: datetime, items: Sequence[Due], destination: str, code: str) -> None:
        """Note that pending items were `blocked` before any claim; they stay pending. Said once per item and code."""
        with self._db.transaction():
            self.fence(epoch)
            for item in items:
                self._db.run(
                    statement(_PACKAGE, "hold_back"),
                    {"item_id": item.item_id, "code": code, "destination": destination, "now": micros(at)},
                )

    def _record(self, epoch: int, at: int, records: Sequence[Record]) -> None:
        """Write what became of claims, inside a transaction that is fenced."""
        if not records:
            return
        told = [_told(epoch, at, record) for record in records]
        # All at once: to a database elsewhere each statement is a way there and back.
        held = self._db.many(statement(_PACKAGE, "record"), told)
        if held != len(told):
            raise JournalError(
                f"{len(told) - held} of {len(told)} outcomes are of attempts that are not claimed by this sender"
                f" (epoch {epoch}), among {told[0]['item_id']} to {told[-1]['item_id']}; expected to record only"
                " what it holds: nothing of this batch was recorded"
            )
        outcome = statement(_PACKAGE, "record_outcome")
        self._db.many(outcome, [one for one, record in zip(told, records, strict=True) if not record.rows])
        for one, record in zip(told, records, strict=True):
            if record.rows:
                seq = self._db.insert(outcome, one)
                self._db.many(
                    "insert into row_outcomes (outcome_seq, position, outcome, code) values (?, ?, ?, ?)",
                    [(seq, row.position, row.outcome, row.code) for row in record.rows],
                )
        self._db.many(
            statement(_PACKAGE, "answer"),
            [
                one | {"status": record.status_code, "body": record.body}
                for one, record in zip(told, records, strict=True)
                if record.status_code is not None and record.outcome in _LAST_WORDS
            ],
        )

    def _cancel(self, params: dict[str, object]) -> int:
        changed = self._db.run(
            "update states set state = 'cancelled' where item_id = $item_id and state = 'pending'", params
        )
        if changed:
            self._db.run(
                "insert into outcomes (item_id, kind, attempt, outcome, code, destination, recorded_at)"
                " select item_id, kind, attempt, 'cancelled', $code, $destination, $now from states"
                " where item_id = $item_id",
                params,
            )
        return changed

    def _close(self, epoch: int, now: datetime, state: str, code: str, where: str, params: dict[str, object]) -> int:
        everything = params | {"state": state, "code": code, "now": micros(now)}
        with self._db.transaction():
            self.fence(epoch)
            self._db.run(
                "insert into outcomes (item_id, kind, attempt, outcome, code, destination, recorded_at)"
                f" select item_id, kind, attempt, $state, $code, maybe_at, $now {where}",
                everything,
            )
            return self._db.run(
                f"update states set state = $state where item_id in (select item_id {where})", everything
            )


def _told(epoch: int, at: int, record: Record) -> dict[str, object]:
    """Return what the statements about an outcome are told of it."""
    is_retry, is_again = record.outcome == "retry_later", record.outcome == "unknown" and not record.is_final
    if record.outcome in {"retry_later", "blocked"} and record.next_at is None:
        raise JournalError(f"{record.claim.item_id}: an outcome `{record.outcome}` needs the time of the next attempt")
    return {
        "item_id": record.claim.item_id,
        "attempt": record.claim.attempt,
        "epoch": epoch,
        "outcome": record.outcome,
        "state": _STATE_AFTER[record.outcome],
        "state_of_batch": "pending" if is_again else _STATE_AFTER[record.outcome],
        "tries": int(is_retry and record.counts_as_try),
        "tries_of_batch": int((is_retry or is_again) and record.counts_as_try),
        "binds": int(is_retry and record.may_have_arrived),
        "next_at": at if record.next_at is None else micros(record.next_at),
        "code": record.code,
        "provider_id": record.provider_id,
        "at": at,
    }


def _share(share: tuple[int, int]) -> dict[str, int]:
    return {"number": share[0], "of": share[1]}


def _due_message(row: Row) -> Due:
    return Due(
        item_id=row["item_id"],
        plan_id=row["plan_id"],
        lane=row["lane"],
        attempt=row["attempt"],
        tries=row["tries"],
        expires_at=None if row["expires_at"] is None else moment(row["expires_at"]),
        person_id=row["person_id"],
        campaign=row["campaign"],
        step=row["step"],
        message=row["message"],
        klass=row["class"],
        topic=row["topic"],
    )


def _due_batch(row: Row) -> Due:
    return Due(
        item_id=row["item_id"],
        plan_id=row["plan_id"],
        lane=row["lane"],
        attempt=row["attempt"],
        tries=row["tries"],
        expires_at=None,
        sync=row["sync"],
        batch_no=row["batch_no"],
        n_rows=row["n_rows"],
        target=row["target"],
        removes=row["priority"] > 0,
        is_behind=row["priority"] == 0 and bool(row["is_behind"]),
    )
