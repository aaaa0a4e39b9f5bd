"""Which messages wait for a person's word, and who gave it? None is sent before, and each word is kept."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from tailrace.engine import statement
from tailrace.errors import JournalError, nearest
from tailrace.journal.database import Database, Row
from tailrace.journal.records import Decided, Draft, micros, moment

_PACKAGE = "tailrace.journal"
_SHOWN = 5
_ALL = 2**62


class Drafts:
    """The journal's part that keeps drafts. A decision and what it changes are one transaction."""

    _db: Database

    def drafts(self, campaign: str | None = None, limit: int = _ALL) -> list[Draft]:
        """Return the messages that wait for approval, in the order of applying; all campaigns' unless one is named."""
        rows = self._db.all(statement(_PACKAGE, "drafts"), {"campaign": campaign, "limit": limit})
        return [
            Draft(
                row["intent_id"],
                row["plan_id"],
                row["person_id"],
                row["campaign"],
                row["step"],
                row["channel"],
                row["message"],
                moment(row["applied_at"]),
                moment(row["deliver_after"]),
                None if row["expires_at"] is None else moment(row["expires_at"]),
            )
            for row in rows
        ]

    def n_drafts(self) -> int:
        """Return how many messages wait for approval."""
        n: int = self._db.value("select count(*) from states where state = 'draft' and kind = 'message'")
        return n

    def approve(self, intent_ids: Sequence[str], who: str, reason: str, at: datetime) -> Decided:
        """Let these drafts be sent. One that was approved before is left as it is.

        Raises JournalError, and changes nothing, when one of them is not a draft (any more) or its time has passed,
        or without a reason.
        """
        return self._decide("approved", intent_ids, who, reason, at)

    def reject(self, intent_ids: Sequence[str], who: str, reason: str, at: datetime) -> Decided:
        """Cancel these drafts, or approved ones that nobody has taken up yet. One rejected before is left as it is.

        Raises JournalError, and changes nothing, when one of them may have left or is closed, or without a reason.
        """
        return self._decide("rejected", intent_ids, who, reason, at)

    def approve_all(self, campaign: str | None, who: str, reason: str, at: datetime) -> Decided:
        """Let all drafts, or all of one campaign, be sent; those whose time has passed are left to expire.

        Raises JournalError for a campaign that never wanted anything sent, or without a reason.
        """
        return self._decide("approved", None, who, reason, at, campaign)

    def reject_all(self, campaign: str | None, who: str, reason: str, at: datetime) -> Decided:
        """Cancel all drafts, or all of one campaign; those whose time has passed are left to expire.

        Raises JournalError for a campaign that never wanted anything sent, or without a reason.
        """
        return self._decide("rejected", None, who, reason, at, campaign)

    def _decide(
        self,
        decision: str,
        intent_ids: Sequence[str] | None,
        who: str,
        reason: str,
        at: datetime,
        campaign: str | None = None,
    ) -> Decided:
        if not reason.strip():
            raise JournalError("a decision on drafts has no reason; expected one: say why")
        now = micros(at)
        with self._db.transaction():
            if intent_ids is None:
                self._require_campaign(campaign)
                waiting = self.drafts(campaign)
                chosen = [one.intent_id for one in waiting if one.expires_at is None or one.expires_at >= at]
                decided = Decided(len(chosen), 0, len(waiting) - len(chosen))
            else:
                chosen, decided = self._choose(decision, list(dict.fromkeys(intent_ids)), now)
            self._db.many(
                "insert into approvals (intent_id, decision, who, reason, decided_at) values (?, ?, ?, ?, ?)",
                [(intent_id, decision, who, reason, now) for intent_id in chosen],
            )
            if decision == "approved":
                self._db.many("update states set state = 'pending' where item_id = ?", [(one,) for one in chosen])
            else:
                self._db.many("update states set state = 'cancelled' where item_id = ?", [(one,) for one in chosen])
                self._db.many(
                    "insert into outcomes (item_id, kind, attempt, outcome, code, recorded_at)"
                    " select item_id, kind, attempt, 'cancelled', 'rejected', ? from states where item_id = ?",
                    [(now, one) for one in chosen],
                )
        return decided

    def _choose(self, decision: str, intent_ids: list[str], now: int) -> tuple[list[str], Decided]:
        """Return those of the ids that the decision changes; raises when it cannot be made for one of them."""
        chosen, already, problems = [], 0, []
        for intent_id in intent_ids:
            row = self._db.one(statement(_PACKAGE, "decidable"), {"item_id": intent_id})
            if row is not None and row["decision"] == decision and row["state"] != "draft":
                already += 1
                continue
            problem = _problem(decision, row, now)
            if problem is None:
                chosen.append(intent_id)
            else:
                problems.append(f"{intent_id} {problem}")
        if problems:
            more = f", and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
            raise JournalError(
                f"{len(problems)} cannot be {decision}: {'; '.join(problems[:_SHOWN])}{more}; expected drafts that"
                " wait: `tailrace drafts list` shows them. Nothing was changed."
            )
        return chosen, Decided(len(chosen), already, 0)

    def _require_campaign(self, campaign: str | None) -> None:
        if campaign is None:
            return
        known = [row["campaign"] for row in self._db.all("select distinct campaign from intents order by campaign")]
        if campaign not in known:
            raise JournalError(
                f"no message of a campaign `{campaign}` is in the journal; expected one of:"
                f" {', '.join(known) or 'none yet'}.{nearest(campaign, known)}"
            )


def _problem(decision: str, row: Row | None, now: int) -> str | None:
    """Return why the decision cannot be made for one intent, or None."""
    if row is None:
        return "is not in the journal"
    has_expired = row["expires_at"] is not None and row["expires_at"] < now
    if row["state"] == "draft":
        return "has expired" if has_expired else None
    if decision == "rejected" and row["state"] == "pending" and row["decision"] == "approved":
        return "may have left already" if row["maybe_at"] is not None else None
    was = f", and was {row['decision']}" if row["decision"] else ""
    return f"is {row['state']}{was}"
