"""What did a destination say later of batches that it had accepted?

Where it took back what it had accepted, the rows are unknown from then on: the next plan says them again, or removes
them when they are not desired any more, whatever was said to it meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from tailrace.engine import statement
from tailrace.journal.journal import Journal
from tailrace.journal.records import micros

_PACKAGE = "tailrace.journal"
_LONGEST_UNDER_WAY = timedelta(days=30)
"""How long before a batch was accepted its plan may have been applied."""


@dataclass(frozen=True)
class Accepted:
    """A batch whose destination is to be asked again. `seq` is the outcome's, `n_rows` how many of its rows it took."""

    seq: int
    batch_id: str
    provider_id: str
    plan_id: str
    sync: str
    batch_no: int
    n_rows: int


class FollowUps:
    """The follow-ups of an open journal."""

    def __init__(self, journal: Journal) -> None:
        self._db = journal._db
        self._journal = journal

    def to_ask(self, destination: str, since: datetime, until: datetime, limit: int) -> list[Accepted]:
        """Return what the destination accepted between these moments and has said no last word of, oldest first."""
        rows = self._db.all(
            statement(_PACKAGE, "to_follow"),
            {
                "destination": destination,
                "since": micros(since),
                "until": micros(until),
                "applied_since": micros(since - _LONGEST_UNDER_WAY),
                "limit": limit,
            },
        )
        return [
            Accepted(
                row["seq"],
                row["item_id"],
                row["provider_id"],
                row["plan_id"],
                row["sync"],
                row["batch_no"],
                row["n_accepted"],
            )
            for row in rows
        ]

    def record(self, epoch: int, at: datetime, what: Accepted, code: str, *, is_believed: bool) -> None:
        """Write down the last word on what was accepted. Rows that were refused at once stay refused."""
        with self._db.transaction():
            self._journal.fence(epoch)
            outcome = "accepted" if is_believed else "unknown"
            self._db.run(
                "insert into follow_ups (outcome_seq, outcome, code, recorded_at) values ($seq, $outcome, $code, $at)",
                {"seq": what.seq, "outcome": outcome, "code": code, "at": micros(at)},
            )
            if not is_believed:
                told = {"seq": what.seq, "code": code, "at": micros(at)}
                new = self._db.insert(statement(_PACKAGE, "disbelieve"), told)
                self._db.run(
                    "insert into row_outcomes (outcome_seq, position, outcome, code)"
                    " select $new, position, outcome, code from row_outcomes where outcome_seq = $seq",
                    {"new": new, "seq": what.seq},
                )
