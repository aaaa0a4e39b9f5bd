"""Which messages wait for approval, what do they say, and what did a person decide?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from tailrace.campaigns.render import Renderer
from tailrace.errors import DataError, TailraceError
from tailrace.journal.journal import Journal
from tailrace.journal.records import Decided, Draft
from tailrace.planning.reader import PlanReader
from tailrace.planning.store import Store
from tailrace.settings import Settings

__all__ = ["Decided", "Draft", "ShownMessage", "decide", "drafts", "show"]


@dataclass(frozen=True)
class ShownMessage:
    """A message as its person would get it, or the problem that it cannot be made for; `state` is where it stands."""

    intent_id: str
    plan_id: str
    campaign: str
    step: str
    channel: str
    message: str
    state: str
    deliver_after: datetime
    expires_at: datetime | None
    address: str | None = field(repr=False)
    subject: str | None = field(repr=False)
    text: str | None = field(repr=False)
    html: str | None = field(repr=False)
    problem: str | None


def drafts(settings: Settings, campaign: str | None, limit: int) -> tuple[list[Draft], int]:
    """Return the messages that wait for approval, in the order of applying, and how many there are of all campaigns."""
    with Journal.open(settings) as journal:
        return journal.drafts(campaign, limit), journal.n_drafts()


def show(settings: Settings, intent_id: str) -> ShownMessage:
    """Return the message as it was planned, rendered. It holds the person's data.

    Raises DataError when the journal has no such message, or its plan is gone from the store.
    """
    with Journal.open(settings) as journal:
        intent = journal.intent(intent_id)
    if intent is None:
        raise DataError(
            f"no message `{intent_id}` is in the journal; expected the whole id as `tailrace drafts list` shows it"
        )
    reader = PlanReader(Store(settings))
    rows = reader.payloads(intent.plan_id, [intent_id]).to_pylist()
    if not rows:
        raise DataError(
            f"plan {intent.plan_id} has no payload for {intent_id}; expected the plan store as it was applied: restore"
            " it from a backup"
        )
    payload = rows[0]
    source = reader.messages(intent.plan_id).get(payload["message_key"])
    rendered, problem = None, None
    try:
        if source is None:
            raise DataError("payload:missing")
        rendered = Renderer().render(source, json.loads(payload["data"]), message_key=payload["message_key"])
    except TailraceError as error:
        problem = str(error)
    return ShownMessage(
        intent_id=intent.intent_id,
        plan_id=intent.plan_id,
        campaign=intent.campaign,
        step=intent.step,
        channel=intent.channel,
        message=intent.message,
        state=intent.state,
        deliver_after=intent.deliver_after,
        expires_at=intent.expires_at,
        address=payload["address"],
        subject=None if rendered is None else rendered.subject,
        text=None if rendered is None else rendered.text,
        html=None if rendered is None else rendered.html,
        problem=problem,
    )


def decide(
    settings: Settings,
    decision: str,
    intent_ids: Sequence[str] | None,
    campaign: str | None,
    *,
    who: str,
    reason: str,
    at: datetime,
) -> Decided:
    """Approve or reject (`decision`) these messages, or without ids all drafts of a campaign, or all there are.

    Raises JournalError, and changes nothing, when one of the ids cannot be decided on.
    """
    with Journal.open(settings) as journal:
        if intent_ids is not None:
            return (journal.approve if decision == "approve" else journal.reject)(intent_ids, who, reason, at)
        return (journal.approve_all if decision == "approve" else journal.reject_all)(campaign, who, reason, at)
