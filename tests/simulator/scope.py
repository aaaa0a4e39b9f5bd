"""Does a condition hold for one person in one pass?"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from tests.simulator.facts import Facts


def true(facts: Facts, where: Mapping[str, Any], properties: Mapping[str, Any]) -> bool:
    return where.get("where_sql") is None or facts.truths[where["where_sql"]](properties)


def same(asked: Mapping[str, Any], properties: Mapping[str, Any], started: Mapping[str, Any] | None) -> bool:
    """Return whether an event has what is asked to be the same as in the event that started the pass."""
    pairs = [(_as_text(properties.get(name)), _as_text((started or {}).get(name))) for name in asked.get("same", ())]
    return all(one is not None and one == other for one, other in pairs)


def _as_text(value: Any) -> str | None:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, str | int | float) else None


class Scope:
    """Whether a condition holds for one person in one pass; `started` is the event that did or would start it."""

    def __init__(
        self,
        facts: Facts,
        person: int,
        started: Mapping[str, Any] | None,
        entered_at: datetime | None = None,
        enrollment: str | None = None,
    ) -> None:
        self.facts, self.person, self.started = facts, person, started
        self.entered_at, self.enrollment = entered_at, enrollment

    def holds(self, condition: Mapping[str, Any], *, until: datetime | None = None) -> bool:
        if "all" in condition:
            return all(self.holds(each, until=until) for each in condition["all"])
        if "any" in condition:
            return any(self.holds(each, until=until) for each in condition["any"])
        if "not" in condition:
            return not self.holds(condition["not"], until=until)
        if "in" in condition:
            return self.person in self.facts.members[condition["in"]]
        if "event" in condition:
            return self._performed(condition, until)
        if "response" in condition:
            return self._answered(condition)
        return self.facts.truths[condition["where_sql"]](self.facts.people.get(self.person, {}))

    def _performed(self, condition: Mapping[str, Any], until: datetime | None) -> bool:
        as_of = self.facts.as_of
        last = min(as_of, until) if until else as_of
        for event in self.facts.events:
            if event.person != self.person or event.name != condition["event"] or event.at > last:
                continue
            if condition["since"] == "entry":
                recent = self.entered_at is not None and event.at >= self.entered_at
            else:
                recent = event.at > last - timedelta(seconds=condition["since"])
            alike = same(condition, event.properties, self.started)
            if recent and alike and true(self.facts, condition, event.properties):
                return True
        return False

    def _answered(self, condition: Mapping[str, Any]) -> bool:
        answer = self.facts.answers.get((self.enrollment or "", condition["response"]))
        if answer is None:
            return False
        code, body = answer
        wanted = condition["status"]
        if code is None:
            return False
        right = wanted is None or wanted in (str(code), f"{code // 100}xx")
        return right and true(self.facts, condition, body)
