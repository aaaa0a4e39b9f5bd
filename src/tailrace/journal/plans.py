"""What has a person decided to do? Applied plans: their intents and sync batches, written before any effect."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa

from tailrace import crash
from tailrace.engine import statement
from tailrace.journal.epochs import Epochs
from tailrace.journal.records import SyncBatch, micros

_INTENT = (
    "intent_id",
    "campaign",
    "version",
    "step",
    "enrollment_id",
    "person_id",
    "channel",
    "message",
    "class",
    "priority",
)
_TIMES = ("deliver_after", "expires_at")
_OPTIONAL = {"topic": None, "is_draft": False}
_ACT = ("intent_id", "person_id", "campaign", "step", "kind", "name", "value")


class Plans(Epochs):
    """The journal's part that takes in plans."""

    def apply_plan(
        self,
        plan_id: str,
        parent_id: str | None,
        as_of: datetime,
        at: datetime,
        intents: pa.Table,
        sync_batches: Sequence[SyncBatch],
        used_releases: Sequence[int] = (),
        acts: pa.Table | None = None,
        used_choices: Sequence[int] = (),
        used_resyncs: Sequence[int] = (),
        merged_messages: pa.Table | None = None,
        heard_until: int | None = None,
    ) -> int:
        """Write the plan's intents, acts and batches in one transaction and return how many intents are new.

        Applying a plan again changes nothing and returns 0. An intent or act that any plan brought before is left as
        it is. Intents may have a `topic` (null when they lack the column), and `is_draft`: a draft waits for approval.
        Batches of earlier plans that were not claimed become `cancelled`: this plan's batches replace them. A batch
        that was known only from the journal's copy stays `unknown`. Of a sync's batches those that remove come first:
        two keys may stand for one person there, and who is wanted is to stay.

        `merged_messages` (intent_id, other_intent_id, is_once) say the same to one person: of those only one goes, and
        what waits beside it becomes `cancelled`, as `merged`.

        `heard_until` is the last outcome that the plan knew; None: all of them. Of a sync whose rows are to be said
        once nothing goes when something of it was said after that, or is being said: the plan's batches of it become
        `cancelled`, as `said_meanwhile`, and the next plan knows what is left to say.
        """
        rows = _rows(intents, plan_id)
        with self._db.transaction():
            if self.is_applied(plan_id):
                return 0
            self._db.run(
                "insert into plans (plan_id, parent_id, as_of, applied_at) values ($plan, $parent, $as_of, $at)",
                {"plan": plan_id, "parent": parent_id, "as_of": micros(as_of), "at": micros(at)},
            )
            names = (*_INTENT, *_OPTIONAL, *_TIMES, "plan_id")
            self._db.many(
                f"insert into intents ({', '.join(names)}) values ({', '.join('?' for _ in names)})"
                " on conflict (intent_id) do nothing",
                rows,
            )
            new: int = self._db.value("select count(*) from intents where plan_id = $plan", {"plan": plan_id})
            self._db.run(
                "insert into states"
                " (item_id, kind, lane, state, attempt, tries, priority, place, next_at, expires_at)"
                " select intent_id, 'message', channel, case is_draft when 1 then 'draft' else 'pending' end, 0, 0,"
                " priority, seq, deliver_after, expires_at"
                " from intents where plan_id = $plan on conflict (item_id) do nothing",
                {"plan": plan_id},
            )
            self._db.run(statement("tailrace.journal", "place_remembered"), {"plan": plan_id})
            if acts is not None:
                self._add_acts(plan_id, acts)
            if merged_messages is not None:
                self._withdraw_doubles(merged_messages, micros(at))
            self._cancel_batches(plan_id, micros(at))
            self._add_batches(plan_id, sync_batches, micros(at))
            if heard_until is not None:
                self._hold_what_was_said(plan_id, sync_batches, heard_until, micros(at))
            self._db.many(
                "insert into guard_uses (release_seq, plan_id) values (?, ?)", [(n, plan_id) for n in used_releases]
            )
            self._db.many(
                "insert into choice_uses (choice_seq, plan_id) values (?, ?)", [(n, plan_id) for n in used_choices]
            )
            self._db.many(
                "insert into resync_uses (resync_seq, plan_id) values (?, ?)", [(n, plan_id) for n in used_resyncs]
            )
        crash.here("journal.applied")
        return new

    def is_applied(self, plan_id: str) -> bool:
        """Return whether the plan's intents are in the journal."""
        return self._db.one("select seq from plans where plan_id = $plan", {"plan": plan_id}) is not None

    def cancel_batches(self, epoch: int, now: datetime, head: str | None) -> int:
        """Cancel unclaimed sync batches of every plan but `head` and return how many rows they had."""
        with self._db.transaction():
            self.fence(epoch)
            return self._cancel_batches(head or "", micros(now))

    def _withdraw_doubles(self, merged_messages: pa.Table, now: int) -> None:
        columns = "intent_id text, other_intent_id text, is_once integer"
        self._db.run(f"create temp table if not exists merged_messages ({columns})")
        self._db.run("delete from merged_messages")
        names = ("intent_id", "other_intent_id", "is_once")
        rows = zip(*(merged_messages.column(name).to_pylist() for name in names), strict=True)
        self._db.many(
            f"insert into merged_messages ({', '.join(names)}) values (?, ?, ?)",
            [(one, other, int(is_once)) for one, other, is_once in rows],
        )
        self._db.run(statement("tailrace.journal", "withdraw_outcomes"), {"now": now})
        self._db.run(statement("tailrace.journal", "withdraw_states"))

    def _add_acts(self, plan_id: str, acts: pa.Table) -> None:
        names = (*_ACT, "plan_id")
        rows = zip(*(acts.column(name).to_pylist() for name in _ACT), strict=True)
        self._db.many(
            f"insert into acts ({', '.join(names)}) values ({', '.join('?' for _ in names)})"
            " on conflict (intent_id, kind, name) do nothing",
            [(*row, plan_id) for row in rows],
        )

    def _add_batches(self, plan_id: str, batches: Sequence[SyncBatch], at: int) -> None:
        rows = [(f"{plan_id}/{b.sync}/{b.batch_no}", plan_id, b) for b in batches]
        self._db.many(
            "insert into batches (batch_id, plan_id, sync, batch_no, destination, target, n_rows)"
            " values (?, ?, ?, ?, ?, ?, ?)",
            [(key, plan, b.sync, b.batch_no, b.destination, b.target, b.n_rows) for key, plan, b in rows],
        )
        self._db.many(
            "insert into states (item_id, kind, lane, state, attempt, tries, priority, place, next_at)"
            " values (?, 'batch', ?, 'pending', 0, 0, ?, ?, ?) on conflict (item_id) do nothing",
            [(key, b.destination, int(b.removes), place, at) for place, (key, _, b) in enumerate(rows, start=1)],
        )

    def _hold_what_was_said(self, plan_id: str, batches: Sequence[SyncBatch], heard_until: int, at: int) -> None:
        once = {batch.sync for batch in batches if batch.is_once}
        if once:
            values = {"after": heard_until, "plan": plan_id}
            said = {row["sync"] for row in self._db.all(statement("tailrace.journal", "said_meanwhile"), values)}
            for sync in sorted(once & said):
                self._close_batches("said_meanwhile", "plan_id = $plan and sync = $sync", plan_id, at, sync=sync)

    def _cancel_batches(self, plan_id: str, at: int) -> int:
        """Cancel the unclaimed batches of every plan but `plan_id`, inside a transaction; return how many rows."""
        return self._close_batches("newer_plan", "plan_id <> $plan", plan_id, at)

    def _close_batches(self, code: str, which: str, plan_id: str, at: int, **values: str) -> int:
        """Cancel those unclaimed batches, inside a transaction; return how many rows they had."""
        stale = (
            "from states where kind = 'batch' and state = 'pending'"
            f" and item_id in (select batch_id from batches where {which})"
        )
        params = {"plan": plan_id, "at": at, "code": code, **values}
        self._db.run(
            "insert into outcomes (item_id, kind, attempt, outcome, code, destination, recorded_at)"
            f" select item_id, kind, attempt, 'cancelled', $code, lane, $at {stale}",
            params,
        )
        n_rows: int = self._db.value(
            f"select coalesce(sum(n_rows), 0) from batches where batch_id in (select item_id {stale})", params
        )
        self._db.run(f"update states set state = 'cancelled' where item_id in (select item_id {stale})", params)
        return n_rows


def _rows(intents: pa.Table, plan_id: str) -> list[tuple[Any, ...]]:
    """Return the intents as the journal stores them; times (zone-less UTC, or with a zone) as microseconds."""
    columns = [intents.column(name).to_pylist() for name in _INTENT]
    for name, otherwise in _OPTIONAL.items():
        has = name in intents.column_names
        column = intents.column(name) if has else pa.chunked_array([pa.array([otherwise] * intents.num_rows)])
        # Truth is stored as a number.
        columns.append((column.cast(pa.int64()) if pa.types.is_boolean(column.type) else column).to_pylist())
    for name in _TIMES:
        column = intents.column(name)
        columns.append(column.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64()).to_pylist())
    return [(*row, plan_id) for row in zip(*columns, strict=True)]
