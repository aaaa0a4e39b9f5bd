"""Which words does a plan use for what it decided, and why? The one vocabulary."""

from __future__ import annotations

from enum import StrEnum

ENTRY = "(entry)"
"""The step of a verdict on a person whom a trigger named but who did not enter."""


class Verdict(StrEnum):
    """What was decided for one person and one message."""

    SEND = "send"
    DEFER = "defer"
    SKIP = "skip"


class Reason(StrEnum):
    """Why not, or not now. `missing_field` is followed by `:` and the field."""

    # the campaign, or what it was triggered by
    DRAFT = "draft"
    PAUSED = "paused"
    ENDED = "ended"
    AWAITING_APPROVAL = "awaiting_approval"
    BASELINE = "baseline"
    DEFINITION = "held_definition"
    HISTORY = "history"
    LATE = "late"
    ALREADY_ENROLLED = "already_enrolled"
    # the person
    UNSUBSCRIBED = "unsubscribed"
    HOLDOUT = "holdout"
    NO_ADDRESS = "no_address"
    MISSING_FIELD = "missing_field"
    EXPIRED = "expired"
    DUPLICATE_INBOX = "duplicate_inbox"


IN_WORDS = {
    Reason.DRAFT: "the campaign is a draft",
    Reason.PAUSED: "the campaign is paused",
    Reason.ENDED: "the campaign has ended",
    Reason.AWAITING_APPROVAL: "the campaign's `sending` is `draft`",
    Reason.BASELINE: "was in the segment when tailrace first saw it",
    Reason.DEFINITION: "moved only because the segment's SQL changed",
    Reason.HISTORY: "moved because of a backfill",
    Reason.LATE: "the event landed too late to act on",
    Reason.ALREADY_ENROLLED: "is or was in the campaign already",
    Reason.UNSUBSCRIBED: "has unsubscribed",
    Reason.HOLDOUT: "is in the holdout",
    Reason.NO_ADDRESS: "has no usable address",
    Reason.MISSING_FIELD: "lacks a field that the message needs",
    Reason.EXPIRED: "the message's time had passed",
    Reason.DUPLICATE_INBOX: "another person with the same address gets it",
}


class Why(StrEnum):
    """Why an enrollment moved."""

    ENTERED = "entered"
    SENT = "passed"
    WAITED = "waited"
    COMPLETED = "completed"
    CONVERTED = "converted"
    ENDED = "ended"
