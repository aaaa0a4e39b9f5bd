"""What is a campaign, once it is known to be right? The values that the loader makes and the compiler reads.

Nothing here reads a file: `shelf` loads campaigns, `reading` checks them, `rendering` renders their messages.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal

from tailrace import ids
from tailrace.campaigns.hours import Hours
from tailrace.campaigns.mentions import What, mentioned
from tailrace.campaigns.steps import (
    Condition,
    Notify,
    Send,
    Step,
    Wait,
    Webhook,
    every_step,
    seconds,
    step_facts,
    steps_from,
)
from tailrace.campaigns.triggers import EventTrigger, SegmentTrigger, Trigger, trigger_from
from tailrace.errors import DataError

__all__ = [
    "Campaign",
    "EventTrigger",
    "Goal",
    "Hours",
    "Message",
    "MessageFile",
    "Reference",
    "RenderError",
    "Repeat",
    "SegmentTrigger",
    "Send",
    "Snippet",
    "Wait",
]

Status = Literal["draft", "live", "paused", "ended"]
Class = Literal["marketing", "transactional"]
Sending = Literal["draft", "automatic"]

ROOTS = ("customer", "event", "trigger", "segment", "object", "objects")
"""What a template may name: the person's columns, the trigger's properties (by two names), the trigger segment's
columns, the attributes of the object that started the person, and all objects that they belong to, by kind."""

_SNIPPET = re.compile(r"\bsnippets\s*\.\s*(\w+)", re.ASCII)


class RenderError(DataError):
    """A message cannot be made for a person. `kind` is one word, `field` is `root.name` or empty; never a value.

    Kinds: missing_field (absent, null or blank), wrong_type, bad_link, too_long, bad_subject, bad_header, forbidden.
    One is not about the person: no_secret, when there is none to sign the link to unsubscribe with.
    """

    def __init__(self, kind: str, field_name: str = "") -> None:
        self.kind, self.field = kind, field_name
        super().__init__(f"{kind}:{field_name}" if field_name else kind)


@dataclass(frozen=True)
class Goal:
    """What the campaign is for: the event or the segment's entry, at most `within` after the person entered.

    Exactly one of `event` and `segment` is there; `where` and `where_sql` are of the event's properties, as in a
    trigger, `same` the properties that must be what they are in the event that started the person. `exit` ends the
    pass there.
    """

    event: str | None
    within: timedelta
    exit: bool = True
    segment: str | None = None
    where: str | None = None
    where_sql: str | None = None
    same: tuple[str, ...] = ()


@dataclass(frozen=True)
class Repeat:
    """Whether a person may enter again; `every` is the least time between two entries, of that kind only."""

    kind: Literal["never", "after_exit", "every", "each_occurrence"] = "never"
    every: timedelta | None = None


@dataclass(frozen=True)
class Reference:
    """A name in campaign.yml of something outside of it, and its line: what only others can say to be there."""

    what: What
    name: str
    line: int


@dataclass(frozen=True)
class MessageFile:
    """A message file as its name tells: `<name>.<channel>.<kind>`, the kind with or without `.liquid` after it."""

    name: str
    channel: str
    kind: str
    is_liquid: bool
    path: str


@dataclass(frozen=True)
class Snippet:
    """A text that messages share: `kind` is `md`, `html` or `txt`, `body` a template as it stands in `path`."""

    name: str
    kind: str
    body: str
    path: str


@dataclass(frozen=True)
class Message:
    """One message file with all that it takes to render it later: its layouts and the sender's standing facts.

    `kind` is `md`, `html` or `mjml` (e-mail), else the channel; `body_line` is the line of the file on which the body
    starts. Liquid stands here as the Jinja that it means. The body of push, webhook and whatsapp is JSON text:
    what the file says, with templates as texts; `lines` has the line of each, by its place in it. `standing` holds
    what policy.yml says to every message: from_email, from_name, postal_address, unsubscribe_url; `to` an address of
    staff; `utm` what links carry, by parameter; `snippets` all there are, of which `source()` keeps those it uses.
    """

    campaign: str
    name: str
    channel: str
    kind: str
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
    to: str | None = None
    utm: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    snippets: Mapping[str, Snippet] = field(default_factory=lambda: MappingProxyType({}))
    lines: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))

    def source(self) -> dict[str, Any]:
        """Return everything a renderer needs, as a JSON-able object that depends on content only, not on a path."""
        found: dict[str, Any] = {
            "channel": self.channel,
            "kind": self.kind,
            "subject": self.subject,
            "preheader": self.preheader,
            "body": self.body,
            "layout_html": self.layout_html,
            "layout_text": self.layout_text,
            **self.standing,
            **({"from_name": self.from_name} if self.from_name else {}),
            **({"to": self.to} if self.to else {}),
        }
        if self.utm:
            found["utm"] = dict(self.utm)
        if self.used_snippets:
            found["snippets"] = {
                name: {"kind": snippet.kind, "body": snippet.body} for name, snippet in self.used_snippets.items()
            }
        return found

    @cached_property
    def used_snippets(self) -> dict[str, Snippet]:
        """The snippets that the message or its layout names."""
        texts = (self.subject, self.preheader, self.body, self.layout_html, self.layout_text)
        named = {name for text in texts for name in _SNIPPET.findall(text)}
        return {name: self.snippets[name] for name in sorted(named & set(self.snippets))}

    @cached_property
    def message_key(self) -> str:
        """The hash of `source()`: the same copy, layout and sender have the same key, wherever they stand."""
        return ids.digest(json.dumps(self.source(), sort_keys=True, ensure_ascii=False))


@dataclass(frozen=True)
class Campaign:
    """One campaign, checked. `holdout_bp` is in basis points (1,000 is 10 %); `path` is its campaign.yml.

    `exits` are conditions, or the word `left_trigger`. `files` are the message files of its folder, also those that
    only people on an earlier version still get; `messages` those of them that can be rendered. `references` are the
    names that only policy.yml or the warehouse can judge.
    `is_edit_chosen` says that `on_edit` is written there and not left to its default. `programme` is the worked
    programme with which it goes on and off; None is always on.
    """

    slug: str
    path: str
    purpose: str
    owner: str
    status: Status
    klass: Class
    topic: str | None
    priority: int
    trigger: Trigger
    existing: Literal["skip", "enroll"]
    repeat: Repeat
    goal: Goal | None
    holdout_bp: int
    sending: Sending
    expires: timedelta
    steps: tuple[Step, ...]
    in_flight: Literal["ignore", "restart"] = "ignore"
    filter: Condition | None = None
    exits: tuple[Condition | str, ...] = ()
    window: Hours | None = None
    on_edit: Literal["keep", "move", "exit"] = "keep"
    on_pause: Literal["hold", "expire"] = "hold"
    on_end: Literal["exit", "drain"] = "exit"
    messages: dict[str, Message] = field(default_factory=dict)
    files: dict[str, MessageFile] = field(default_factory=dict)
    trigger_line: int = 1
    window_line: int = 1
    references: tuple[Reference, ...] = ()
    is_edit_chosen: bool = False
    programme: str | None = None

    @property
    def all_steps(self) -> tuple[Step, ...]:
        """All steps, those in branches too, in the order in which they are written."""
        return tuple(every_step(self.steps))

    @property
    def sends(self) -> tuple[Send, ...]:
        """The steps that send something to the person, in the order in which they are written."""
        return tuple(step for step in self.all_steps if isinstance(step, Send))

    @property
    def used_messages(self) -> frozenset[str]:
        """The names of the messages that its steps name."""
        return frozenset(step.message for step in self.all_steps if isinstance(step, Send | Notify | Webhook))

    def definition(self) -> dict[str, Any]:
        """Return what decides who gets what when, JSON-able; `restored` makes a campaign of it again.

        Its shape stands in docs/engine.md. Message copy, purpose, owner, priority, status, sending and what an edit, a
        pause or the end does to people in flight are not in it: pausing a campaign or mending a typo must not make
        another version of it.
        """
        return {
            "slug": self.slug,
            "class": self.klass,
            "topic": self.topic,
            "trigger": self.trigger.facts(),
            "existing": self.existing,
            "repeat": {
                "kind": self.repeat.kind,
                "seconds": None if self.repeat.every is None else seconds(self.repeat.every),
            },
            "in_flight": self.in_flight,
            "filter": self.filter,
            "exit": list(self.exits),
            "goal": None if self.goal is None else _goal_facts(self.goal),
            "holdout_bp": self.holdout_bp,
            "expires": seconds(self.expires),
            "window": None if self.window is None else self.window.facts(),
            "steps": step_facts(self.steps),
        }

    @cached_property
    def version(self) -> str:
        """The first 16 hex digits of the hash of `definition()`, where a condition counts as it was written."""
        return ids.digest(json.dumps(_as_written(self.definition()), sort_keys=True, ensure_ascii=False))[:16]

    def restored(self, definition: Mapping[str, Any]) -> Campaign:
        """Return this campaign with the decisions of an earlier `definition()`: what people in flight stay on.

        Status, sending, priority and message copy are today's. Lines of steps and references are 0.
        """
        goal, repeat, window = definition["goal"], definition["repeat"], definition["window"]
        return replace(
            self,
            klass=definition["class"],
            topic=definition["topic"],
            trigger=trigger_from(definition["trigger"]),
            existing=definition["existing"],
            repeat=Repeat(repeat["kind"], None if repeat["seconds"] is None else timedelta(seconds=repeat["seconds"])),
            in_flight=definition["in_flight"],
            filter=definition["filter"],
            exits=tuple(definition["exit"]),
            goal=None if goal is None else _goal_from(goal),
            holdout_bp=definition["holdout_bp"],
            expires=timedelta(seconds=definition["expires"]),
            window=None if window is None else Hours(tuple(window["days"]), window["from"], window["to"]),
            steps=steps_from(definition["steps"]),
            references=tuple(Reference(what, name, 0) for what, name in mentioned(definition)),
        )


def _goal_facts(goal: Goal) -> dict[str, Any]:
    return {
        "event": goal.event,
        "segment": goal.segment,
        "where": goal.where,
        "where_sql": goal.where_sql,
        **({"same": list(goal.same)} if goal.same else {}),
        "within": seconds(goal.within),
        "exit": goal.exit,
    }


def _goal_from(facts: Mapping[str, Any]) -> Goal:
    return Goal(
        event=facts["event"],
        within=timedelta(seconds=facts["within"]),
        exit=facts["exit"],
        segment=facts["segment"],
        where=facts["where"],
        where_sql=facts["where_sql"],
        same=tuple(facts.get("same", ())),
    )


def _as_written(facts: Any) -> Any:
    """Return the facts without what is derived from a condition's text: tailrace may compile it otherwise tomorrow."""
    if isinstance(facts, Mapping):
        derived = ("where_sql", "columns") if "where" in facts else ()
        return {key: _as_written(value) for key, value in facts.items() if key not in derived}
    return [_as_written(value) for value in facts] if isinstance(facts, list | tuple) else facts
