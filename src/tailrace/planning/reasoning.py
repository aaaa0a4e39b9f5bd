"""Why did a plan send a person a campaign's message, or none: which gate shut first, and what would open it?

Where the plan has a verdict on the person, that says which gate was shut first; all others are tried on the plan's own
relations and on what is still known of the person. The gates and their order are docs/engine.md's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tailrace import engine
from tailrace.planning import relations
from tailrace.planning.arbitration import Rules
from tailrace.planning.gates import Case, Gate
from tailrace.planning.gates_of_entry import entry_gates
from tailrace.planning.gates_of_message import judged_gates, message_gates
from tailrace.planning.gates_of_walk import standing_gates, way_ahead
from tailrace.planning.run import CampaignSpec
from tailrace.planning.steps import steps_of
from tailrace.planning.store import Plan, Store
from tailrace.planning.verdict import OUTSIDE, Verdict
from tailrace.planning.weighing import Evidence


@dataclass(frozen=True)
class Beside:
    """What a plan decided about another step, or in another pass, of the same person and campaign."""

    step: str
    verdict: str
    reason: str | None
    entered_at: datetime


@dataclass(frozen=True)
class Reasons:
    """Why a plan did what it did for one person in one campaign.

    `step` is the message that the gates lead to (None: none was in sight); `verdict` what the plan decided about it
    (None: nothing). `shut` is the first gate that was shut, `change` the least that would have opened it; both None
    when the message was sent. Attribute values may stand in `seen`. `also` is what else the plan decided here: a
    message goes before calls and words to staff, one that was not sent before one that was.
    """

    person_id: int
    campaign: str
    plan_id: str
    as_of: datetime
    step: str | None
    verdict: str | None
    gates: list[Gate]
    shut: str | None
    change: str | None
    also: list[Beside]


def reasons(case: Case) -> Reasons:
    """Return the gates of the case, the first one shut, and the least that would open it."""
    judged = [row for row in case.verdicts if row["step"] not in OUTSIDE]
    about = max(reversed(judged), key=_asked_about, default=None)
    step, verdict, gates = _gates(case, about)
    first = next((gate for gate in gates if gate.holds is False), None)
    return Reasons(
        person_id=case.evidence.person_id,
        campaign=case.slug,
        plan_id=case.plan_id,
        as_of=case.plan.as_of,
        step=step,
        verdict=verdict,
        gates=gates,
        shut=first.name if first else None,
        change=first.change or None if first else None,
        also=[
            Beside(row["step"], row["verdict"], row["reason"], _pass_of(case, row)["entered_at"])
            for row in judged
            if row is not about
        ],
    )


def _asked_about(row: Mapping[str, Any]) -> tuple[bool, bool]:
    """Return what makes a verdict the one that somebody asks about: a message, and one that was not sent."""
    return row["class"] in ("marketing", "transactional"), row["verdict"] != Verdict.SEND


def _pass_of(case: Case, verdict: Mapping[str, Any]) -> Mapping[str, Any]:
    return next(row for row in case.passes if row["enrollment_id"] == verdict["enrollment_id"])


def _gates(case: Case, judged: Mapping[str, Any] | None) -> tuple[str | None, str | None, list[Gate]]:
    if judged is not None:
        judged_pass = _pass_of(case, judged)
        definition = case.versions[judged["version"]]
        entered = f"entered {judged_pass['entered_at']:%Y-%m-%d %H:%M}, arm {judged_pass['arm']}"
        gates = [Gate("pass", True, entered), *judged_gates(case, judged, definition, judged_pass)]
        return judged["step"], judged["verdict"], gates
    actives = (row for row in case.passes if row["status"] == "active")
    standing: Mapping[str, Any] | None = next(actives, None)
    if standing is None and case.refusal is None and case.passes:
        standing = case.passes[0]
    if standing is None or (case.refusal is not None and standing["status"] != "active"):
        return None, case.refusal["verdict"] if case.refusal else None, list(entry_gates(case))
    definition = case.versions[standing["version"]]
    gates = list(standing_gates(case, standing, definition))
    if standing["status"] != "active":
        return None, None, [*gates, *entry_gates(case)]
    ahead = way_ahead(case, standing, definition)
    gates += ahead.gates
    if ahead.step is None:
        return None, None, gates
    message = ahead.step.facts["send"]
    channel = case.spec.messages[message].channel if case.spec and message in case.spec.messages else "email"
    return ahead.step.id, None, [*gates, *message_gates(case, message, channel, definition, standing)]


# -- reading a plan --------------------------------------------------------------------------------------------------


def read_case(
    evidence: Evidence,
    store: Store,
    plan_id: str,
    plan: Plan,
    slug: str,
    *,
    rules: Rules | None = None,
    specs: Mapping[str, CampaignSpec] | None = None,
) -> Case:
    """Return the case of the evidence's person. `rules` and `specs` are today's, or None if the plan had others."""
    read = _Reader(evidence, store, plan)
    mine = "person_id = $person and campaign = $campaign"
    passes = read.rows(f"enrollments:{slug}", relations.ENROLLMENTS, "person_id = $person")
    verdicts = read.rows("verdicts", relations.VERDICTS, mine, slug)
    versions = read.rows(f"versions:{slug}", relations.VERSIONS)
    definitions = {row["version"]: json.loads(row["source"]) for row in versions}
    places = {step: place for place, step in enumerate(_order(definitions, plan.campaigns[slug]["version"]))}
    return Case(
        evidence=evidence,
        plan_id=plan_id,
        plan=plan,
        slug=slug,
        versions=definitions,
        passes=sorted(passes, key=lambda row: (row["entered_at"], row["enrollment_id"]), reverse=True),
        verdicts=sorted(verdicts, key=lambda row: places.get(row["step"], -1)),
        consents=read.rows("consents", relations.CONSENTS, "person_id = $person"),
        said=read.rows("said", relations.SAID, "person_id = $person"),
        watched={row["key"]: row["value"] for row in read.rows(f"watched:{slug}", relations.WATCHED, "key = $key")},
        arms={
            row["step"]: row["name"]
            for row in read.rows(f"assignments:{slug}", relations.ASSIGNMENTS, "person_id = $person")
        },
        rivals=None if rules is None or specs is None else _rivals(read, plan, slug, rules, specs),
        rules=rules,
        spec=specs.get(slug) if specs else None,
    )


def _order(definitions: Mapping[str, Mapping[str, Any]], version: str) -> list[str]:
    return [step.id for step in steps_of(definitions[version]["steps"])]


class _Reader:
    def __init__(self, evidence: Evidence, store: Store, plan: Plan) -> None:
        self._evidence, self._store, self._plan = evidence, store, plan

    def rows(self, relation: str, empty: str, where: str = "true", campaign: str = "") -> list[dict[str, Any]]:
        """Return the rows of a relation of the plan for which `where` holds, as dictionaries."""
        values = {"person": self._evidence.person_id, "key": str(self._evidence.person_id), "campaign": campaign}
        return engine.rows(
            self._evidence.connection,
            f"select * from {self._store.source(self._plan, relation, empty)} as kept where {where}",
            {name: value for name, value in values.items() if f"${name}" in where},
        )


def _rivals(read: _Reader, plan: Plan, slug: str, rules: Rules, specs: Mapping[str, CampaignSpec]) -> list[str]:
    """Return the campaigns that go first in a group with this one, and in which the person stands, in arm treated."""
    ranks = {name: (-spec.priority, name) for name, spec in specs.items()}
    first = {
        rival
        for group in rules.exclusive
        for rival in group
        if slug in group and rival in ranks and slug in ranks and ranks[rival] < ranks[slug]
    }
    standing = "person_id = $person and status = 'active' and arm = 'treated'"
    return [rival for rival in sorted(first) if read.rows(f"enrollments:{rival}", relations.ENROLLMENTS, standing)]
