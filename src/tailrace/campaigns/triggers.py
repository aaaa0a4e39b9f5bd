"""What can start people in a campaign? The kinds of trigger, and each as the facts of a definition and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from tailrace import clock

Change = Literal["entered", "left"]

FORM_EVENT = "form_submitted"
"""The event of every form; its property `form` is the form's name."""


@dataclass(frozen=True)
class SegmentTrigger:
    """People start when they `entered` or `left` the segment."""

    segment: str
    on: Change = "entered"

    kind = "segment"

    def facts(self) -> dict[str, Any]:
        """Return the trigger as a definition has it."""
        return {"kind": self.kind, "segment": self.segment, "on": self.on}


@dataclass(frozen=True)
class EventTrigger:
    """People start when the event lands; with `form`, when that form is submitted (`event` is FORM_EVENT then).

    `where` is the condition as it was written and `where_sql` the same as DuckDB SQL over a column `properties`
    (JSON text), never null; both None when there is no condition. For a form, `where_sql` also asks for the form.
    An event that landed more than `late` after it happened does not trigger. `occurrence` is the property that tells
    one occurrence from another; None: each event is one.
    """

    event: str
    where: str | None = None
    where_sql: str | None = None
    late: timedelta | None = None
    occurrence: str | None = None
    form: str | None = None

    @property
    def kind(self) -> str:
        """Return `event` or `form`."""
        return "form" if self.form else "event"

    def facts(self) -> dict[str, Any]:
        """Return the trigger as a definition has it."""
        return {
            "kind": self.kind,
            "event": self.event,
            "where": self.where,
            "where_sql": self.where_sql,
            "occurrence": self.occurrence,
            "late": _seconds(self.late),
            **({"form": self.form} if self.form else {}),
        }


@dataclass(frozen=True)
class AttributeTrigger:
    """People start when the attribute changes; None for `before` or `after` is any value."""

    attribute: str
    before: str | None = None
    after: str | None = None

    kind = "attribute"

    def facts(self) -> dict[str, Any]:
        """Return the trigger as a definition has it."""
        return {"kind": self.kind, "attribute": self.attribute, "from": self.before, "to": self.after}


@dataclass(frozen=True)
class DateTrigger:
    """People start at a local time, `offset_days` from the date that the attribute holds or its anniversaries.

    `at` is in minutes of the day.
    """

    attribute: str
    offset_days: int = 0
    at: int = 9 * 60
    every: Literal["year", "month", "once"] = "once"

    kind = "date"

    def facts(self) -> dict[str, Any]:
        """Return the trigger as a definition has it."""
        return {
            "kind": self.kind,
            "attribute": self.attribute,
            "offset_days": self.offset_days,
            "at": self.at,
            "every": self.every,
        }


@dataclass(frozen=True)
class BroadcastTrigger:
    """The whole segment starts at one moment; both None: whoever `tailrace broadcast` names."""

    segment: str | None = None
    at: datetime | None = None

    kind = "broadcast"

    def facts(self) -> dict[str, Any]:
        """Return the trigger as a definition has it."""
        return {"kind": self.kind, "segment": self.segment, "at": None if self.at is None else clock.iso(self.at)}


@dataclass(frozen=True)
class ObjectTrigger:
    """All people of an object start: on its event, or when it `entered` or `left` an object segment."""

    object: str
    event: str | None = None
    where: str | None = None
    where_sql: str | None = None
    late: timedelta | None = None
    segment: str | None = None
    on: Change = "entered"

    kind = "object"

    def facts(self) -> dict[str, Any]:
        """Return the trigger as a definition has it."""
        return {
            "kind": self.kind,
            "object": self.object,
            "event": self.event,
            "where": self.where,
            "where_sql": self.where_sql,
            "segment": self.segment,
            "on": self.on,
            "late": _seconds(self.late),
        }


Trigger = SegmentTrigger | EventTrigger | AttributeTrigger | DateTrigger | BroadcastTrigger | ObjectTrigger


def brings_event(trigger: Trigger) -> bool:
    """Return whether an event starts each person: one whose properties templates and conditions may speak of."""
    if isinstance(trigger, BroadcastTrigger):
        return trigger.segment is None
    return isinstance(trigger, EventTrigger) or (isinstance(trigger, ObjectTrigger) and trigger.event is not None)


def trigger_from(facts: Mapping[str, Any]) -> Trigger:
    """Return the trigger that these facts of a definition mean."""
    kind = facts["kind"]
    if kind == "segment":
        return SegmentTrigger(facts["segment"], facts["on"])
    if kind in ("event", "form"):
        return EventTrigger(
            event=facts["event"],
            where=facts["where"],
            where_sql=facts["where_sql"],
            late=_length(facts["late"]),
            occurrence=facts["occurrence"],
            form=facts.get("form"),
        )
    if kind == "attribute":
        return AttributeTrigger(facts["attribute"], facts["from"], facts["to"])
    if kind == "date":
        return DateTrigger(facts["attribute"], facts["offset_days"], facts["at"], facts["every"])
    if kind == "broadcast":
        return BroadcastTrigger(facts["segment"], None if facts["at"] is None else clock.parse(facts["at"]))
    return ObjectTrigger(
        object=facts["object"],
        event=facts["event"],
        where=facts["where"],
        where_sql=facts["where_sql"],
        late=_length(facts["late"]),
        segment=facts["segment"],
        on=facts["on"],
    )


def _seconds(length: timedelta | None) -> int | None:
    return None if length is None else length.days * 86_400 + length.seconds


def _length(seconds: int | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)


def in_words(trigger: Trigger) -> str:
    """Return what starts people, in a few words."""
    if isinstance(trigger, SegmentTrigger):
        said = f"{trigger.on} {trigger.segment}"
    elif isinstance(trigger, AttributeTrigger):
        sides = (("from", trigger.before), ("to", trigger.after))
        said = " ".join([f"{trigger.attribute} changes", *(f"{word} {value}" for word, value in sides if value)])
    elif isinstance(trigger, DateTrigger):
        days = f"{abs(trigger.offset_days)} days {'before' if trigger.offset_days < 0 else 'after'} "
        every = "" if trigger.every == "once" else f"every {trigger.every}, "
        clock_time = f"{trigger.at // 60:02}:{trigger.at % 60:02}"
        said = f"{every}{days if trigger.offset_days else 'on '}{trigger.attribute} at {clock_time}"
    elif isinstance(trigger, BroadcastTrigger):
        said = (
            "tailrace broadcast" if trigger.at is None else f"everybody in {trigger.segment} at {clock.iso(trigger.at)}"
        )
    elif isinstance(trigger, ObjectTrigger) and trigger.segment is not None:
        said = f"{trigger.object} {trigger.on} {trigger.segment}"
    elif isinstance(trigger, EventTrigger) and trigger.form:
        said = f"form {trigger.form}"
    else:
        said = f"event {trigger.event}" + (f" of the {trigger.object}" if isinstance(trigger, ObjectTrigger) else "")
    where = trigger.where if isinstance(trigger, EventTrigger | ObjectTrigger) else None
    return f"{said} where {where}" if where else said
