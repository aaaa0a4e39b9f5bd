"""Which guards has a person released, and which plan used that?"""

from __future__ import annotations

from datetime import datetime

from tailrace.errors import JournalError
from tailrace.journal.database import Database
from tailrace.journal.records import Release, micros, moment


class Guards:
    """The journal's part that keeps guard releases."""

    _db: Database

    def release_guard(
        self, guard: str, subject: str, plan_id: str, measured: float, who: str, reason: str, at: datetime
    ) -> int:
        """Write down that `who` lets `subject` pass `guard` once, and return the release's number.

        Raises JournalError without a reason.
        """
        if not reason.strip():
            raise JournalError(f"releasing {guard} of {subject} has no reason; expected one: say why it is right")
        with self._db.transaction():
            return self._db.insert(
                "insert into guard_releases (guard, subject, plan_id, measured, who, reason, released_at)"
                " values ($guard, $subject, $plan, $measured, $who, $reason, $at)",
                {
                    "guard": guard,
                    "subject": subject,
                    "plan": plan_id,
                    "measured": measured,
                    "who": who,
                    "reason": reason,
                    "at": micros(at),
                },
            )

    def releases(self) -> list[Release]:
        """Return the releases that no applied plan has used, oldest first."""
        rows = self._db.all(
            "select * from guard_releases where seq not in (select release_seq from guard_uses) order by seq"
        )
        return [
            Release(
                row["seq"],
                row["guard"],
                row["subject"],
                row["plan_id"],
                row["measured"],
                row["who"],
                row["reason"],
                moment(row["released_at"]),
            )
            for row in rows
        ]
