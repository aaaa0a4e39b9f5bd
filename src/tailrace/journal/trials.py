"""Which messages did people send by hand to try a connection, and what became of them?

A trial is no intent: no plan wants it, no sender claims it, nothing counts it. It is written down before its bytes
leave, like everything that leaves; to whom is not, so that an erasure has nothing to look for here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tailrace import crash, ids
from tailrace.journal.journal import Journal
from tailrace.journal.records import micros, moment


@dataclass(frozen=True)
class Trial:
    """One trial. `outcome` and `code` are None when nobody knows."""

    seq: int
    connection: str
    channel: str
    who: str
    begun_at: datetime
    outcome: str | None
    code: str | None


class Trials:
    """The trials of an open journal."""

    def __init__(self, journal: Journal) -> None:
        self._db = journal._db
        self._journal_id = journal.journal_id

    def begin(self, connection: str, channel: str, who: str, at: datetime) -> int:
        """Write down that `who` is about to try the connection, and return the trial's number."""
        with self._db.transaction():
            seq = self._db.insert(
                "insert into trials (connection, channel, who, begun_at) values ($connection, $channel, $who, $at)",
                {"connection": connection, "channel": channel, "who": who, "at": micros(at)},
            )
        crash.here("trial.begun")
        return seq

    def item_id(self, seq: int) -> str:
        """Return the id under which the trial's message goes; no intent has one like it."""
        return f"test-{ids.digest('trial', self._journal_id, str(seq))[:24]}"

    def record(self, seq: int, outcome: str, code: str, provider_id: str | None, at: datetime) -> None:
        """Write down what became of the trial."""
        with self._db.transaction():
            self._db.run(
                "insert into trial_outcomes (trial_seq, outcome, code, provider_id, recorded_at)"
                " values ($seq, $outcome, $code, $provider_id, $at)",
                {"seq": seq, "outcome": outcome, "code": code, "provider_id": provider_id, "at": micros(at)},
            )

    def last(self) -> dict[str, Trial]:
        """Return the last trial of each connection that was tried."""
        rows = self._db.all(
            "select trials.*, outcome, code from trials left join trial_outcomes on trial_seq = seq"
            " where seq in (select max(seq) from trials group by connection)"
        )
        return {
            row["connection"]: Trial(
                row["seq"],
                row["connection"],
                row["channel"],
                row["who"],
                moment(row["begun_at"]),
                row["outcome"],
                row["code"],
            )
            for row in rows
        }
