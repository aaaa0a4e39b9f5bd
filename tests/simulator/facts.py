"""What the simulator is told of the world in one run: plain values, one person at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Event:
    """One `track` event; times are aware UTC."""

    event_id: str
    person: int | None
    name: str
    at: datetime
    landed_at: datetime
    load: int
    properties: Mapping[str, Any] = field(default_factory=dict)
    source: str = "app"
    object_id: str | None = None
    is_history: bool = False


@dataclass(frozen=True)
class Campaign:
    """A campaign as planning gets it. `required` are the fields of each message that a person must have."""

    slug: str
    version: str
    definition: Mapping[str, Any]
    status: str = "live"
    sending: str = "automatic"
    priority: int = 50
    on_edit: str = "keep"
    on_pause: str = "hold"
    on_end: str = "exit"
    required: Mapping[str, frozenset[tuple[str, str]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Limit:
    """At most `most` messages within `seconds`; of a channel, or of any."""

    most: int
    seconds: int
    channel: str | None = None


@dataclass(frozen=True)
class Policy:
    """What policy.yml says."""

    holdout_bp: int = 0
    timezone: str = "UTC"
    limits: tuple[Limit, ...] = ()
    quiet: tuple[frozenset[int], int, int] | None = None
    exclusive: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Change:
    """Why a person entered or left a segment in this plan."""

    change: str
    cause: str


@dataclass(frozen=True)
class Facts:
    """Everything that one run may know.

    `parent_as_of` is None in the first plan. `people` has the columns of each person; `members` each segment's people
    in this plan's snapshot; `changes` who moved, by segment; `objects` the people of each object, by type; `refused`
    maps (person, channel, class, topic) to a reason of consent; `truths` an expression as it was written to what it
    means; `answers` (enrollment, step) to status code and body; `lost` are intents that did not get out after all.
    """

    as_of: datetime
    parent_as_of: datetime | None
    people: Mapping[int, Mapping[str, Any]]
    events: tuple[Event, ...]
    new_loads: frozenset[int]
    members: Mapping[str, frozenset[int]]
    changes: Mapping[str, Mapping[int, Change]]
    campaigns: tuple[Campaign, ...]
    policy: Policy = Policy()
    cause: str = "scheduled"
    objects: Mapping[str, Mapping[str, frozenset[int]]] = field(default_factory=dict)
    object_members: Mapping[str, frozenset[str]] = field(default_factory=dict)
    refused: Callable[[int, str, str, str | None], str | None] = lambda *_: None
    truths: Mapping[str, Callable[[Mapping[str, Any]], bool]] = field(default_factory=dict)
    answers: Mapping[tuple[str, str], tuple[int | None, Mapping[str, Any]]] = field(default_factory=dict)
    lost: frozenset[str] = frozenset()
