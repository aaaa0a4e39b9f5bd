"""Does a condition hold for one person in one pass?"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from tests.simulator.facts import Facts


def true(facts: Facts, where: Mapping[str, Any], properties: Mapping[str, Any]) -> bool:
    return where.get("where_sql") is None or facts.truths[where["where_sql"]](properties)


class Scope:
    """Whether a condition holds for one person in one pass."""

    def __init__(self, facts: Facts, person: int, entered_at: datetime | None, enrollment: str | None) -> None:
        self.facts, self.person, self.entered_at, self.enrollment = facts, person, entered_at, enrollment

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
            if recent and true(self.facts, condition, event.properties):
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
