"""What is asked when somebody asks why a person got a message, or none?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tailrace.planning.arbitration import Rules
from tailrace.planning.run import CampaignSpec
from tailrace.planning.store import Plan
from tailrace.planning.verdict import ENTRY
from tailrace.planning.weighing import Evidence, Pass, Weighed, weigh


@dataclass(frozen=True)
class Gate:
    """One predicate between a person and a message. `holds`: it lets through; None: not tried, or not known any more.

    `seen` is the value that it was tried on, `change` the least that would open it, `parts` those of its condition.
    """

    name: str
    holds: bool | None
    seen: str
    change: str = ""
    parts: tuple[Weighed, ...] = field(default=())


@dataclass(frozen=True)
class Case:
    """One person and one campaign in one plan. Rows are dictionaries with their relation's columns.

    `passes` are the person's in this campaign, newest first; `rivals` the campaigns that go first and in which the
    person stands. `rules`, `spec` and `rivals` are None when the definitions of the plan are not today's any more.
    """

    evidence: Evidence
    plan_id: str
    plan: Plan
    slug: str
    versions: Mapping[str, Mapping[str, Any]]
    passes: Sequence[Mapping[str, Any]]
    verdicts: Sequence[Mapping[str, Any]]
    consents: Sequence[Mapping[str, Any]]
    said: Sequence[Mapping[str, Any]]
    watched: Mapping[str, str]
    arms: Mapping[str, str]
    rivals: Sequence[str] | None = None
    rules: Rules | None = None
    spec: CampaignSpec | None = None

    @property
    def campaign(self) -> Mapping[str, Any]:
        """Return what plan.json keeps of the campaign."""
        return self.plan.campaigns[self.slug]

    @property
    def today(self) -> Mapping[str, Any]:
        """Return the definition that new entrants get."""
        return self.versions[self.campaign["version"]]

    @property
    def refusal(self) -> Mapping[str, Any] | None:
        """Return the plan's verdict on an entry that it refused."""
        return next((row for row in self.verdicts if row["step"] == ENTRY), None)


def condition_gate(name: str, case: Case, condition: Mapping[str, Any], about: Pass, *, wanted: bool = True) -> Gate:
    """Return the gate that lets through when the condition is as wanted."""
    found = weigh(case.evidence, condition, about)
    holds = None if found.holds is None else found.holds is wanted
    changes = found.to_hold if wanted else found.to_fail
    parts = found.parts or (found,)
    return Gate(name, holds, f"{found.text}: {found.seen}" if found.seen else found.text, " and ".join(changes), parts)
