"""Which words does a plan use for what it decided, and why? The one vocabulary."""

from __future__ import annotations

from enum import StrEnum

ENTRY = "(entry)"
"""The step of a verdict on a person whom a trigger named but who did not enter."""


CORRECTION = "(correction)"
"""The step of a verdict on a pass that `send now` was chosen for and that does not begin."""

OUTSIDE = frozenset({ENTRY, CORRECTION})
"""Steps of verdicts that are about no message."""


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
    MERGE = "merge"
    LATE = "late"
    ALREADY_ENROLLED = "already_enrolled"
    IN_FLIGHT = "in_flight"
    TOO_SOON = "too_soon"
    FILTERED = "filtered"
    STEP_GONE = "step_gone"
    NOT_KNOWN = "not_known"
    # the person
    SUPPRESSED = "suppressed"
    UNSUBSCRIBED = "unsubscribed"
    UNSUBSCRIBED_TOPIC = "unsubscribed_topic"
    NOT_SUBSCRIBED = "not_subscribed"
    SUNSET = "sunset"
    GLOBAL_HOLDOUT = "global_holdout"
    HOLDOUT = "holdout"
    NO_ADDRESS = "no_address"
    MISSING_FIELD = "missing_field"
    EXPIRED = "expired"
    DUPLICATE_INBOX = "duplicate_inbox"
    # what else is said to the person
    EXCLUSIVE = "exclusive"
    FREQUENCY_CAP = "frequency_cap"


DEFERS = frozenset({Reason.PAUSED, Reason.EXCLUSIVE, Reason.FREQUENCY_CAP})
"""The reasons for `defer`: the message is considered again in the next run. Every other one is for `skip`."""


IN_WORDS = {
    Reason.DRAFT: "the campaign is a draft",
    Reason.PAUSED: "the campaign is paused",
    Reason.ENDED: "the campaign has ended",
    Reason.AWAITING_APPROVAL: "the campaign's `sending` is `draft`",
    Reason.BASELINE: "was in the segment when tailrace first saw it",
    Reason.DEFINITION: "moved only because the SQL of the segment or of the attribute changed",
    Reason.HISTORY: "moved because of a backfill",
    Reason.MERGE: "moved only because two user ids are one person now",
    Reason.LATE: "the event landed too late to act on",
    Reason.ALREADY_ENROLLED: "is or was in the campaign already",
    Reason.IN_FLIGHT: "is in the campaign now",
    Reason.TOO_SOON: "was in the campaign too short a time ago",
    Reason.FILTERED: "the campaign's filter is not true",
    Reason.STEP_GONE: "the campaign has no such message any more",
    Reason.NOT_KNOWN: "the person, or what the person did, is not known any more",
    Reason.SUPPRESSED: "the address is dead or on the suppression list",
    Reason.UNSUBSCRIBED: "has unsubscribed from everything on this channel",
    Reason.UNSUBSCRIBED_TOPIC: "has unsubscribed from this topic",
    Reason.NOT_SUBSCRIBED: "has not subscribed to this topic",
    Reason.SUNSET: "has not opened or clicked anything for too long",
    Reason.GLOBAL_HOLDOUT: "is in the global holdout",
    Reason.HOLDOUT: "is in the holdout",
    Reason.NO_ADDRESS: "has no usable address",
    Reason.MISSING_FIELD: "lacks a field that the message needs",
    Reason.EXPIRED: "the message's time had passed",
    Reason.DUPLICATE_INBOX: "another person with the same address gets it",
    Reason.EXCLUSIVE: "is in a campaign that excludes this one and goes first",
    Reason.FREQUENCY_CAP: "has been written to often enough lately",
}


class Why(StrEnum):
    """Why an enrollment moved: by what the step that it left said, or why the pass is over."""

    ENTERED = "entered"
    CORRECTED = "corrected"
    PASSED = "passed"
    WAITED = "waited"
    HAPPENED = "happened"
    TIMED_OUT = "timed_out"
    YES = "yes"
    NO = "no"
    ARM = "arm"
    ANSWERED = "answered"
    UNANSWERED = "unanswered"
    # the pass is over
    COMPLETED = "completed"
    EXITED = "exited"
    CONVERTED = "converted"
    ENDED = "ended"
    EDITED = "edited"
    RESTARTED = "restarted"
    MERGED = "merged"
    ERASED = "erased"


WHY_IN_WORDS = {
    Why.ENTERED: "the trigger named the person",
    Why.CORRECTED: "a backfill came too late for it, and `send now` was chosen",
    Why.PASSED: "the step was done or skipped",
    Why.WAITED: "the wait was over",
    Why.HAPPENED: "what the step waits for came true",
    Why.TIMED_OUT: "what the step waits for did not come true in time",
    Why.YES: "the condition was true",
    Why.NO: "the condition was false",
    Why.ARM: "the person belongs to this arm of the split",
    Why.ANSWERED: "the webhook was answered",
    Why.UNANSWERED: "the webhook had no answer in time",
    Why.COMPLETED: "there was no further step",
    Why.EXITED: "an exit step was reached, or an exit condition held",
    Why.CONVERTED: "the goal was reached",
    Why.ENDED: "the campaign has ended",
    Why.EDITED: "the campaign was edited",
    Why.RESTARTED: "the trigger named the person again, and a new pass began",
    Why.MERGED: "the person has another pass, begun under another user id",
    Why.ERASED: "the person was erased",
}
