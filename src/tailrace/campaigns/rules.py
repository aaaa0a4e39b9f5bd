"""What does policy.yml say about who may hear how much, about what, and when? The part that arbitration goes by."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Literal
from zoneinfo import available_timezones

from tailrace.campaigns import amounts, words
from tailrace.campaigns.document import Node, Table, free_table
from tailrace.campaigns.hours import Hours, read_hours
from tailrace.errors import nearest

KEYS = ("timezone", "holdout", "topics", "limits", "quiet_hours", "exclusive", "sunset", "owned_attributes", "utm")
CHANNELS = words.CHANNELS["send"]
UTM = ("source", "medium", "campaign", "term", "content")
_UTM = re.compile(r"(?:[A-Za-z0-9._~-]|\{campaign\}){1,100}", re.ASCII)
_WEEK = 7 * 1440


@dataclass(frozen=True)
class Topic:
    """What people can subscribe to, and whether they are before they said anything."""

    summary: str
    default: Literal["subscribed", "unsubscribed"] = "subscribed"


@dataclass(frozen=True)
class Limit:
    """At most `most` marketing messages to one person within `per`; on `channel`, or (None) on all together."""

    channel: str | None
    most: int
    per: timedelta
    klass: Literal["marketing"] = "marketing"


@dataclass(frozen=True)
class Sunset:
    """Marketing ends for who answered none of the last `sends` messages, or none for `days`; None: does not count."""

    sends: int | None
    days: int | None


@dataclass(frozen=True)
class Rules:
    """The rules for every campaign. `holdout_bp` is in basis points; `exclusive` are groups of campaigns' slugs.

    `owned_attributes` are those that steps may set; `utm` is what links carry, by the parameter's name without `utm_`.
    """

    timezone: str = "UTC"
    holdout_bp: int = 0
    topics: Mapping[str, Topic] = field(default_factory=lambda: MappingProxyType({}))
    limits: tuple[Limit, ...] = ()
    quiet_hours: Hours | None = None
    exclusive: tuple[tuple[str, ...], ...] = ()
    sunset: Sunset | None = None
    owned_attributes: tuple[str, ...] = ()
    utm: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def read_rules(table: Table, slugs: Collection[str]) -> Rules:
    """Return what the policy's `table` says, having reported what is wrong. `slugs` are the campaigns there are."""
    holdout, quiet = table.get("holdout"), table.get("quiet_hours")
    return Rules(
        timezone=_timezone(table.get("timezone")),
        holdout_bp=(holdout.convert(amounts.basis_points) or 0) if holdout else 0,
        topics=_topics(table.get("topics")),
        limits=tuple(limit for row in _rows(table.get("limits")) if (limit := _limit(row)) is not None),
        quiet_hours=_quiet(quiet) if quiet else None,
        exclusive=tuple(group for row in _rows(table.get("exclusive")) if (group := _group(row, slugs))),
        sunset=_sunset(table.get("sunset")),
        owned_attributes=tuple(sorted(_names(table.get("owned_attributes")))),
        utm=_utm(table.get("utm")),
    )


def _rows(node: Node | None) -> list[Node]:
    rows = (node.rows() or []) if node else []
    for row in rows:
        row.name = f"an entry of `{row.name}`"
    return rows


def _timezone(node: Node | None) -> str:
    name = node.text("the name of a time zone, such as `Europe/Berlin`") if node else None
    if node is None or name is None or name in available_timezones():
        return name or "UTC"
    hint = nearest(name, available_timezones())
    node.wrong(f"`timezone: {name}` is not known; expected an IANA name such as `Europe/Berlin` or `UTC`.{hint}")
    return "UTC"


def _topics(node: Node | None) -> dict[str, Topic]:
    topics: dict[str, Topic] = {}
    for name, entry in ((free_table(node) if node else None) or {}).items():
        if not words.NAME.fullmatch(name):
            entry.wrong(f"`{name}` is not the name of a topic; expected small letters, digits and `_`")
        table = entry.table(("summary", "default"))
        summary = table.need("summary", "what people read beside the topic") if table else None
        default = table.get("default") if table else None
        word = default.choice(("subscribed", "unsubscribed")) if default else "subscribed"
        text = summary.text("what people read beside the topic") if summary else None
        if text and word:
            topics[name] = Topic(text, "unsubscribed" if word == "unsubscribed" else "subscribed")
    return topics


def _limit(row: Node) -> Limit | None:
    table = row.table(("class", "channel", "most", "per"))
    if table is None:
        return None
    klass, channel = table.need("class", "`marketing`"), table.get("channel")
    most, per = table.need("most", "a number of messages"), table.need("per", "a duration such as `7d`")
    if klass is not None and klass.scalar() == "transactional":
        klass.wrong("transactional messages are never capped; expected `class: marketing`: remove this limit")
        return None
    known = klass.choice(("marketing",)) if klass else None
    named = channel.choice(CHANNELS) if channel else None
    number, length = most.whole(0, 1_000) if most else None, per.duration() if per else None
    if known is None or number is None or length is None or (channel is not None and named is None):
        return None
    return Limit(named, number, length)


def _quiet(node: Node) -> Hours | None:
    hours = read_hours(node)
    if hours is not None and len(hours.minutes()) == _WEEK:
        node.wrong("`quiet_hours` leave no minute of the week; expected a span such as `21:00` to `08:00`")
        return None
    return hours


def _group(row: Node, slugs: Collection[str]) -> tuple[str, ...]:
    group: list[str] = []
    for entry in row.rows() or []:
        slug = entry.text("a campaign's folder")
        if slug in group:
            entry.wrong(f"`{slug}` stands in this group twice; remove one")
        elif slug is not None and slug not in slugs:
            entry.wrong(f"there is no campaign `{slug}`; expected a folder of `campaigns/`.{nearest(slug, slugs)}")
        elif slug is not None:
            group.append(slug)
    if len(row.raw.value) == 1:
        row.wrong("a group of one excludes nothing; expected two campaigns or more")
    return tuple(group)


def _sunset(node: Node | None) -> Sunset | None:
    table = node.table(("sends", "days")) if node else None
    if node is None or table is None:
        return None
    sends, days = table.get("sends"), table.get("days")
    if sends is None and days is None:
        node.wrong("`sunset` says nothing; expected `sends`, `days` or both")
        return None
    return Sunset(sends.whole(1, 1_000) if sends else None, days.whole(1, 3_660) if days else None)


def _names(node: Node | None) -> list[str]:
    names: list[str] = []
    for row in _rows(node):
        name = row.text("the name of an attribute, such as `onboarding_stage`")
        if name is not None and not words.NAME.fullmatch(name):
            row.wrong(f"`{name}` is not the name of an attribute; expected small letters, digits and `_`")
        elif name in names:
            row.wrong(f"`{name}` stands here twice; remove one")
        elif name is not None:
            names.append(name)
    return names


def _utm(node: Node | None) -> Mapping[str, Any]:
    table = node.table(UTM) if node else None
    utm: dict[str, str] = {}
    for name, value in (table.nodes if table else {}).items():
        text = value.text("a word such as `newsletter`")
        if text is not None and not _UTM.fullmatch(text):
            what = "expected letters, digits, `.`, `_`, `-`, or `{campaign}` for the campaign's name"
            value.wrong(f"`{name}` has characters in it that a link may not; {what}")
        elif text is not None:
            utm[name] = text
    return utm
