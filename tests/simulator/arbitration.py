"""Which candidates get out? The order of docs/engine.md, one candidate after another."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from tests.simulator import local_time
from tests.simulator.facts import Campaign, Facts

ADDRESS = re.compile(r"[^@\s<>,;:\"()\[\]\\]+@[^@\s<>,;:\"()\[\]\\]+\.[^@\s<>,;:\"()\[\]\\.]+")
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Candidate:
    intent: str
    enrollment: str
    campaign: Campaign
    step: str
    message: str
    person: int
    klass: str
    topic: str | None
    arm: str
    due: datetime
    expires: datetime
    window: Mapping[str, Any] | None
    event: Mapping[str, Any] | None
    channel: str = "email"


@dataclass(frozen=True)
class Verdict:
    intent: str
    enrollment: str
    campaign: str
    step: str
    verdict: str
    reason: str | None = None
    deliver_after: datetime | None = None
    next_at: datetime | None = None


@dataclass(frozen=True)
class Said:
    """A message that counts for caps."""

    intent: str
    person: int
    klass: str
    channel: str
    at: datetime


def judge(
    facts: Facts,
    candidates: list[Candidate],
    said: list[Said],
    standing: Mapping[int, set[str]],
    countries: Mapping[str, str],
) -> tuple[list[Verdict], list[Said]]:
    """Return a verdict for each candidate, and what has been said with them."""
    reasons = {each.intent: _alone(facts, each, countries) for each in candidates}
    _one_per_inbox(facts, candidates, reasons)
    for each in candidates:
        if reasons[each.intent] is None and _is_excluded(facts, each, standing):
            reasons[each.intent] = "exclusive"
    said, blocked = _cap(facts, [each for each in candidates if reasons[each.intent] is None], said, countries)
    verdicts = []
    for each in candidates:
        reason, next_at, opens = reasons[each.intent], None, None
        if reason is None and each.intent in blocked:
            reason, next_at = "frequency_cap", blocked[each.intent]
        word = "send" if reason is None else "defer" if reason in ("paused", "exclusive", "frequency_cap") else "skip"
        if word == "send":
            opens = _opens(facts, each, countries)
            reason = "awaiting_approval" if each.campaign.sending == "draft" and _is_message(each) else None
        verdicts.append(
            Verdict(each.intent, each.enrollment, each.campaign.slug, each.step, word, reason, opens, next_at)
        )
    return verdicts, said


def _is_message(each: Candidate) -> bool:
    return each.klass in ("marketing", "transactional")


def _alone(facts: Facts, each: Candidate, countries: Mapping[str, str]) -> str | None:
    """Return the first reason that does not depend on anybody else."""
    person = facts.people.get(each.person, {})
    if each.klass == "act":
        return each.arm
    if each.campaign.status == "paused" and facts.as_of <= each.expires:
        return "paused"
    if _is_message(each):
        refused = facts.refused(each.person, each.channel, each.klass, each.topic)
        if refused is not None:
            return refused
    if each.arm != "treated":
        return each.arm
    if _is_message(each) and not ADDRESS.fullmatch((person.get("email") or "").strip()):
        return "no_address"
    lacks = [
        f"{root}.{name}"
        for root, name in sorted(each.campaign.required.get(each.message, ()))
        if _lacks(person, each, root, name)
    ]
    if lacks:
        return f"missing_field:{lacks[0]}"
    opens = _opens(facts, each, countries)
    if facts.as_of > each.expires or opens is None or opens > each.expires:
        return "expired"
    return None


def _lacks(person: Mapping[str, Any], each: Candidate, root: str, name: str) -> bool:
    value = (person if root == "customer" else each.event or {}).get(name)
    return value is None or not str(value).strip()


def _one_per_inbox(facts: Facts, candidates: list[Candidate], reasons: dict[str, str | None]) -> None:
    groups: dict[tuple[str, str, str], list[Candidate]] = {}
    for each in candidates:
        if reasons[each.intent] is None and _is_message(each):
            address = facts.people[each.person]["email"].strip().lower()
            groups.setdefault((each.campaign.slug, each.step, address), []).append(each)
    for group in groups.values():
        people = sorted({each.person for each in group}, key=_hash)
        for each in group:
            if each.person != people[0]:
                reasons[each.intent] = "duplicate_inbox"


def _hash(person: int) -> str:
    import hashlib

    return hashlib.md5(str(person).encode()).hexdigest()


def _is_excluded(facts: Facts, each: Candidate, standing: Mapping[int, set[str]]) -> bool:
    if each.klass != "marketing":
        return False
    rank = {campaign.slug: (-campaign.priority, campaign.slug) for campaign in facts.campaigns}
    return any(
        each.campaign.slug in group and other in group and rank[other] < rank[each.campaign.slug]
        for group in facts.policy.exclusive
        for other in standing.get(each.person, ())
    )


def _cap(
    facts: Facts, candidates: list[Candidate], said: list[Said], countries: Mapping[str, str]
) -> tuple[list[Said], dict[str, datetime]]:
    said, blocked = list(said), {}
    for each in sorted(candidates, key=lambda each: (-each.campaign.priority, each.expires, each.intent)):
        full: list[datetime] = []
        for limit in facts.policy.limits if each.klass == "marketing" else ():
            if limit.channel not in (None, each.channel):
                continue
            span = timedelta(seconds=limit.seconds)
            counted = sorted(
                other.at
                for other in said
                if other.person == each.person
                and other.klass == "marketing"
                and limit.channel in (None, other.channel)
                and other.at > facts.as_of - span
            )
            if len(counted) >= limit.most:
                full.append(counted[-limit.most] + span)
        if full:
            blocked[each.intent] = max(full)
        elif _is_message(each):
            opens = _opens(facts, each, countries)
            assert opens is not None
            said.append(Said(each.intent, each.person, each.klass, each.channel, opens))
    return said, blocked


def _opens(facts: Facts, each: Candidate, countries: Mapping[str, str]) -> datetime | None:
    """Return the first moment from as_of on that is in the window and outside the quiet hours; None within ten days."""
    if not _is_message(each):
        return facts.as_of
    where = local_time.zone(facts.people.get(each.person, {}), countries, facts.policy.timezone)
    window, quiet = each.window, facts.policy.quiet if each.klass == "marketing" else None

    def fits(at: datetime) -> bool:
        inside = window is None or local_time.is_open(
            at, frozenset(window["days"]), window["from"], window["to"], where
        )
        return inside and (quiet is None or not local_time.is_open(at, *quiet, where))

    if fits(facts.as_of):
        return facts.as_of
    local = facts.as_of.astimezone(where).date()
    edges = []
    for ahead in range(-1, 16):
        day = local + timedelta(days=ahead)
        if window is not None:
            edges.append(local_time.moment(day, window["from"] % 1440, where))
        if quiet is not None:
            edges.append(local_time.moment(day, quiet[2] % 1440, where))
    return next((edge for edge in sorted(edges) if edge > facts.as_of and fits(edge)), None)


def without(verdict: Verdict) -> Verdict:
    """Return the verdict without its times, for campaigns without windows."""
    return replace(verdict, deliver_after=None, next_at=None)
