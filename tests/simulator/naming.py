"""Whom does a trigger name in a run?"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

from tests.simulator import local_time
from tests.simulator.facts import Campaign, Event, Facts
from tests.simulator.passes import Trigger
from tests.simulator.scope import true

DEFAULT_LATE = timedelta(days=3)
_HELD = {"baseline": "baseline", "definition": "held_definition", "history": "history"}


class Naming:
    """Names people; remembers what attribute and object triggers watch."""

    def __init__(self, countries: Mapping[str, str]) -> None:
        self.watched: dict[str, tuple[str, dict[Any, Any]]] = {}
        self._countries = countries

    def named(self, facts: Facts, campaign: Campaign, *, was_live: bool) -> list[Trigger]:
        trigger, slug = campaign.definition["trigger"], campaign.slug
        as_of = facts.as_of
        if trigger["kind"] == "segment":
            goes_live = campaign.status == "live" and not was_live and facts.cause != "backfill"
            if campaign.definition["existing"] == "enroll" and goes_live:
                return [Trigger(each, _iso(as_of), as_of) for each in facts.members[trigger["segment"]]]
            return [
                Trigger(person, _iso(as_of), as_of, _HELD.get(change.cause))
                for person, change in facts.changes.get(trigger["segment"], {}).items()
                if change.change == trigger["on"]
            ]
        if trigger["kind"] in ("event", "form"):
            return [
                self._by_event(trigger, event, event.person)
                for event in self._new(facts, trigger)
                if event.person is not None
            ]
        if trigger["kind"] == "attribute":
            return self._by_attribute(facts, slug, trigger)
        if trigger["kind"] == "date":
            return self._by_date(facts, trigger)
        if trigger["kind"] == "broadcast":
            return self._by_broadcast(facts, slug, trigger)
        return self._by_object(facts, slug, trigger)

    def _new(self, facts: Facts, trigger: Mapping[str, Any]) -> list[Event]:
        if facts.parent_as_of is None:
            return []
        return [
            event
            for event in facts.events
            if event.name == trigger["event"]
            and not event.is_history
            and event.at <= facts.as_of
            and (event.load in facts.new_loads or event.at > facts.parent_as_of)
            and true(facts, trigger, event.properties)
        ]

    def _by_event(self, trigger: Mapping[str, Any], event: Event, person: int, prefix: str = "") -> Trigger:
        limit = DEFAULT_LATE if trigger["late"] is None else timedelta(seconds=trigger["late"])
        name = trigger.get("occurrence")
        own = event.properties.get(name) if name else None
        own = f"{event.source}:{event.event_id}" if own is None else own
        return Trigger(
            person,
            prefix + str(own),
            event.at,
            "late" if event.landed_at - event.at > limit else None,
            event.properties,
            f"{event.event_id}:{event.source}",
        )

    def _by_attribute(self, facts: Facts, slug: str, trigger: Mapping[str, Any]) -> list[Trigger]:
        now = {person: row.get(trigger["attribute"]) for person, row in facts.people.items()}
        what, before = self.watched.get(slug, (None, {}))
        self.watched[slug] = (trigger["attribute"], now)
        if what != trigger["attribute"]:
            return []
        held = "history" if facts.cause == "backfill" else None
        return [
            Trigger(person, _iso(facts.as_of), facts.as_of, held)
            for person, value in now.items()
            if before.get(person) != value
            and trigger["from"] in (None, before.get(person))
            and trigger["to"] in (None, value)
        ]

    def _by_date(self, facts: Facts, trigger: Mapping[str, Any]) -> list[Trigger]:
        if facts.parent_as_of is None:
            return []
        found = []
        for person, row in facts.people.items():
            born = row.get(trigger["attribute"])
            if born is None:
                continue
            where = local_time.zone(row, self._countries, facts.policy.timezone)
            for day in _days(
                born, trigger["every"], facts.parent_as_of.date(), facts.as_of.date(), trigger["offset_days"]
            ):
                due = local_time.moment(day + timedelta(days=trigger["offset_days"]), trigger["at"], where)
                if facts.parent_as_of < due <= facts.as_of:
                    found.append(Trigger(person, day.isoformat(), due))
        return found

    def _by_broadcast(self, facts: Facts, slug: str, trigger: Mapping[str, Any]) -> list[Trigger]:
        if trigger["segment"] is not None:
            at = datetime.fromisoformat(trigger["at"])
            if facts.parent_as_of is None or not facts.parent_as_of < at <= facts.as_of:
                return []
            return [Trigger(each, trigger["at"], facts.as_of) for each in facts.members[trigger["segment"]]]
        wanted = {"event": "broadcast_requested", "where_sql": None, "late": None, "occurrence": "key"}
        return [
            self._by_event(wanted, event, event.person)
            for event in self._new(facts, wanted)
            if event.person is not None and event.properties.get("campaign") == slug
        ]

    def _by_object(self, facts: Facts, slug: str, trigger: Mapping[str, Any]) -> list[Trigger]:
        people = facts.objects.get(trigger["object"], {})
        if trigger["segment"] is None:
            return [
                self._by_event({**trigger, "occurrence": None}, event, person, f"{event.object_id}:")
                for event in self._new(facts, trigger)
                for person in people.get(event.object_id or "", ())
            ]
        now = facts.object_members.get(trigger["segment"], frozenset())
        what, before = self.watched.get(slug, (None, {}))
        self.watched[slug] = (trigger["segment"], dict.fromkeys(now))
        if what != trigger["segment"]:
            return []
        moved = now - set(before) if trigger["on"] == "entered" else set(before) - now
        held = "history" if facts.cause == "backfill" else None
        return [
            Trigger(person, f"{each}:{_iso(facts.as_of)}", facts.as_of, held)
            for each in moved
            for person in people.get(each, ())
        ]


def _iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _days(born: date, every: str, first: date, last: date, offset: int) -> list[date]:
    """Return the days before the offset that may fall between the two, with room on both sides."""
    if every == "once":
        return [born]
    low, high = first - timedelta(days=offset + 40), last - timedelta(days=offset - 40)
    months = [born.month] if every == "year" else list(range(1, 13))
    days = [local_time.anniversary(born, year, month) for year in range(low.year, high.year + 1) for month in months]
    return [day for day in days if day >= born]
