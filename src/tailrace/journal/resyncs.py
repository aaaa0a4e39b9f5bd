"""Which syncs does a person want said again, and which plan did it? And which rows of a plan are on their way?"""

from __future__ import annotations

from datetime import datetime

from tailrace.errors import JournalError
from tailrace.journal.database import Database
from tailrace.journal.records import Resync, micros, moment

_WITH_USES = (
    "select resyncs.*, resync_uses.plan_id from resyncs left join resync_uses on resync_uses.resync_seq = resyncs.seq"
)


class Resyncs:
    """The journal's part that keeps `sync resync`."""

    _db: Database

    def resync(self, sync: str, who: str, reason: str, at: datetime) -> Resync:
        """Write down that the next plan is to say everything of the sync again, and return that.

        One that waits for a plan already is returned as it is. Raises JournalError without a reason.
        """
        if not reason.strip():
            raise JournalError(f"saying {sync} again has no reason; expected one: say with `--reason` why")
        with self._db.transaction():
            waiting = [each for each in self.resyncs() if each.sync == sync]
            if waiting:
                return waiting[0]
            number = self._db.insert(
                "insert into resyncs (sync, who, reason, asked_at) values ($sync, $who, $reason, $at)",
                {"sync": sync, "who": who, "reason": reason, "at": micros(at)},
            )
        return next(each for each in self.resyncs() if each.seq == number)

    def resyncs(self) -> list[Resync]:
        """Return those that no applied plan has done, oldest first."""
        return self._resyncs("resync_uses.plan_id is null")

    def resyncs_of(self, sync: str) -> list[Resync]:
        """Return those of one sync that ever were, oldest first."""
        return [each for each in self._resyncs("true") if each.sync == sync]

    def rows_under_way(self, plan_id: str) -> dict[str, dict[str, int]]:
        """Return by sync how many rows of the plan's batches wait or are claimed, by state."""
        found: dict[str, dict[str, int]] = {}
        rows = self._db.all(
            "select batches.sync, states.state, sum(batches.n_rows) as n from batches"
            " inner join states on states.item_id = batches.batch_id"
            " where batches.plan_id = $plan and states.state in ('pending', 'claimed')"
            " group by batches.sync, states.state",
            {"plan": plan_id},
        )
        for row in rows:
            found.setdefault(row["sync"], {})[row["state"]] = row["n"]
        return found

    def _resyncs(self, which: str) -> list[Resync]:
        rows = self._db.all(f"{_WITH_USES} where {which} order by resyncs.seq")
        return [
            Resync(row["seq"], row["sync"], row["who"], row["reason"], moment(row["asked_at"]), row["plan_id"])
            for row in rows
        ]
