"""What is a campaign, once it is known to be right? The values that the loader makes and the compiler reads.

Nothing here reads a file: `shelf` loads campaigns, `reading` checks them, `rendering` renders their messages.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal

from tailrace import ids
from tailrace.errors import DataError

Status = Literal["draft", "live", "paused", "ended"]
Class = Literal["marketing", "transactional"]
Sending = Literal["draft", "automatic"]

ROOTS = ("customer", "event", "segment")
"""What a template may name: the person's columns, the trigger's properties, the trigger segment's columns."""


class RenderError(DataError):
    """A message cannot be made for a person. `kind` is one word, `field` is `root.name` or empty; never a value.

    Kinds: missing_field (absent, null or blank), wrong_type, bad_link, too_long, bad_subject, forbidden.
    """

    def __init__(self, kind: str, field_name: str = "") -> None:
        self.kind, self.field = kind, field_name
        super().__init__(f"{kind}:{field_name}" if field_name else kind)


@dataclass(frozen=True)
class SegmentTrigger:
    """People start when they `entered` or `left` the segment."""

    segment: str
    on: Literal["entered", "left"] = "entered"


@dataclass(frozen=True)
class EventTrigger:
    """People start when the event lands.

    `where` is the condition as it was written and `where_sql` the same as DuckDB SQL over a column `properties`
    (JSON text), never null; both None when there is no condition. An event that landed more than `late` after it
    happened does not trigger.
    """

    event: str
    where: str | None = None
    where_sql: str | None = None
    late: timedelta | None = None


@dataclass(frozen=True)
class Goal:
    """What the campaign is for: the event, at most `within` after the person entered; `exit` ends the journey there."""

    event: str
    within: timedelta
    exit: bool = True


@dataclass(frozen=True)
class Send:
    """Send the message named `message`. `id` enters the intent's key: renaming it makes another step of it."""

    id: str
    message: str
    line: int


@dataclass(frozen=True)
class Wait:
    """Rest for `duration` (more than zero), measured from arrival at this step."""

    id: str
    duration: timedelta
    line: int


Step = Send | Wait


@dataclass(frozen=True)
class Message:
    """One message file with all that it takes to render it later: its layouts and the sender's standing facts.

    `kind` is `md` or `html`; `body_line` is the line of the file on which the body starts. `standing` holds what
    policy.yml says to every message: from_email, from_name, postal_address, unsubscribe_url.
    """

    campaign: str
    name: str
    channel: str
    kind: Literal["md", "html"]
    path: str
    subject: str
    preheader: str
    from_name: str | None
    body: str
    body_line: int
    layout: str
    layout_html: str
    layout_text: str
    standing: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    subject_line: int = 2
    preheader_line: int = 2

    def source(self) -> dict[str, Any]:
        """Return everything a renderer needs, as a JSON-able object that depends on content only, not on a path."""
        return {
            "channel": self.channel,
            "kind": self.kind,
            "subject": self.subject,
            "preheader": self.preheader,
            "body": self.body,
            "layout_html": self.layout_html,
            "layout_text": self.layout_text,
            **self.standing,
            **({"from_name": self.from_name} if self.from_name else {}),
        }

    @cached_property
    def message_key(self) -> str:
        """The hash of `source()`: the same copy, layout and sender have the same key, wherever they stand."""
        return ids.digest(json.dumps(self.source(), sort_keys=True, ensure_ascii=False))


@dataclass(frozen=True)
class Campaign:
    """One campaign, checked. `holdout_bp` is in basis points (1,000 is 10 %); `path` is its campaign.yml."""

    slug: str
    path: str
    purpose: str
    owner: str
    status: Status
    klass: Class
    topic: str | None
    priority: int
    trigger: SegmentTrigger | EventTrigger
    existing: Literal["skip", "enroll"]
    repeat: Literal["never"]
    goal: Goal | None
    holdout_bp: int
    sending: Sending
    expires: timedelta
    steps: tuple[Step, ...]
    messages: dict[str, Message] = field(default_factory=dict)
    trigger_line: int = 1

    @property
    def sends(self) -> tuple[Send, ...]:
        """The steps that send something, in order."""
        return tuple(step for step in self.steps if isinstance(step, Send))

    def definition(self) -> dict[str, Any]:
        """Return what decides who gets what when, JSON-able; `restored` makes a campaign of it again.

        Message copy, purpose, owner, priority, status and sending are not in it: pausing a campaign or mending a
        typo must not make another version of it.
        """
        return {
            "slug": self.slug,
            "class": self.klass,
            "topic": self.topic,
            "trigger": _trigger_facts(self.trigger),
            "existing": self.existing,
            "repeat": self.repeat,
            "goal": None
            if self.goal is None
            else {"event": self.goal.event, "within": _seconds(self.goal.within), "exit": self.goal.exit},
            "holdout_bp": self.holdout_bp,
            "expires": _seconds(self.expires),
            "steps": [_step_facts(step) for step in self.steps],
        }

    @cached_property
    def version(self) -> str:
        """The first 16 hex digits of the hash of `definition()`, where a condition counts as it was written."""
        facts = self.definition()
        facts["trigger"] = {key: value for key, value in facts["trigger"].items() if key != "where_sql"}
        return ids.digest(json.dumps(facts, sort_keys=True, ensure_ascii=False))[:16]

    def restored(self, definition: Mapping[str, Any]) -> Campaign:
        """Return this campaign with the decisions of an earlier `definition()`: what people in flight stay on.

        Status, sending, priority and message copy are today's. Lines of steps are 0.
        """
        goal = definition["goal"]
        return replace(
            self,
            klass=definition["class"],
            topic=definition["topic"],
            trigger=_trigger_from(definition["trigger"]),
            existing=definition["existing"],
            repeat=definition["repeat"],
            goal=None if goal is None else Goal(goal["event"], timedelta(seconds=goal["within"]), goal["exit"]),
            holdout_bp=definition["holdout_bp"],
            expires=timedelta(seconds=definition["expires"]),
            steps=tuple(_steps_from(definition["steps"])),
        )


def _seconds(duration: timedelta) -> int:
    return duration.days * 86_400 + duration.seconds


def _trigger_facts(trigger: SegmentTrigger | EventTrigger) -> dict[str, Any]:
    if isinstance(trigger, SegmentTrigger):
        return {"segment": trigger.segment, "on": trigger.on}
    late = None if trigger.late is None else _seconds(trigger.late)
    return {"event": trigger.event, "where": trigger.where, "where_sql": trigger.where_sql, "late": late}


def _trigger_from(facts: Mapping[str, Any]) -> SegmentTrigger | EventTrigger:
    if "segment" in facts:
        return SegmentTrigger(facts["segment"], facts["on"])
    late = None if facts["late"] is None else timedelta(seconds=facts["late"])
    return EventTrigger(facts["event"], facts["where"], facts["where_sql"], late)


def _step_facts(step: Step) -> dict[str, Any]:
    if isinstance(step, Send):
        return {"id": step.id, "send": step.message}
    return {"id": step.id, "wait": _seconds(step.duration)}


def _steps_from(facts: Iterable[Mapping[str, Any]]) -> Iterable[Step]:
    for step in facts:
        if "send" in step:
            yield Send(step["id"], step["send"], 0)
        else:
            yield Wait(step["id"], timedelta(seconds=step["wait"]), 0)
