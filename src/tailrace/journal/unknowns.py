"""Which messages have a fate that is not known, and who says what it was? None is sent again by itself."""

from __future__ import annotations

from datetime import datetime

from tailrace.engine import statement
from tailrace.errors import JournalError
from tailrace.journal.database import Database
from tailrace.journal.records import Unknown, micros, moment

SETTLEMENTS = {"accepted": "accepted", "rejected": "rejected", "cancelled": "cancelled", "retry_later": "pending"}
"""A person's word, and the state it leads to: it arrived; it did not, leave it; never mind; it did not, send it."""


class Unknowns:
    """The journal's part that keeps unknowns."""

    _db: Database

    def unknown(self) -> list[Unknown]:
        """Return the messages whose fate is not known, oldest first."""
        return [
            Unknown(
                row["item_id"],
                row["attempt"],
                row["person_id"],
                row["campaign"],
                row["step"],
                row["destination"],
                row["code"],
                moment(row["recorded_at"]),
            )
            for row in self._db.all(statement("tailrace.journal", "unknown"))
        ]

    def n_unknown(self) -> int:
        """Return how many messages have a fate that is not known."""
        n: int = self._db.value("select count(*) from states where state = 'unknown' and kind = 'message'")
        return n

    def settle(self, intent_id: str, outcome: str, who: str, reason: str, at: datetime) -> None:
        """Write down what a person found out about an unknown message (see SETTLEMENTS).

        Raises JournalError when the message is not unknown, for any other outcome, or without a reason.
        """
        if outcome not in SETTLEMENTS:
            raise JournalError(
                f"`{outcome}` does not settle an unknown; expected one of: {', '.join(sorted(SETTLEMENTS))}"
            )
        if not reason.strip():
            raise JournalError(f"settling {intent_id} has no reason; expected one: say how you know")
        params = {
            "item_id": intent_id,
            "outcome": outcome,
            "state": SETTLEMENTS[outcome],
            "who": who,
            "reason": reason,
            "at": micros(at),
        }
        with self._db.transaction():
            changed = self._db.run(
                "update states set state = $state, next_at = $at, maybe_at = null"
                " where item_id = $item_id and state = 'unknown'",
                params,
            )
            if changed != 1:
                state = self._db.value("select state from states where item_id = $item_id", {"item_id": intent_id})
                raise JournalError(
                    f"intent {intent_id} is {state or 'not in the journal'}; expected one that is unknown:"
                    " `tailrace unknown list` shows them"
                )
            self._db.run(
                "insert into settlements (item_id, attempt, outcome, who, reason, settled_at)"
                " select item_id, attempt, $outcome, $who, $reason, $at from states where item_id = $item_id",
                params,
            )
            self._db.run(
                "insert into outcomes (item_id, kind, attempt, outcome, code, recorded_at)"
                " select item_id, kind, attempt, $outcome, 'settled', $at from states where item_id = $item_id",
                params,
            )
