"""What does a report show? A tree of plain values: counts and names of definitions, never a person.

Everywhere, `None` for a number means that it is not known; it is printed as such and never as zero. An empty tuple
or dictionary means that there is none. Moments are aware UTC. `dataclasses.asdict` of a view is JSON but for dates.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from tailrace.reports.measured import MeasuredView


@dataclass(frozen=True)
class PlanView:
    """The plan that the report is about. `cause` is `scheduled` or `backfill`; `parent_id` is None for the first."""

    plan_id: str
    parent_id: str | None
    as_of: datetime
    cause: str
    is_applied: bool


@dataclass(frozen=True)
class Totals:
    """The plan's own totals: considered = send + defer + skip, and the report says so if they are not equal.

    people: in dim_people. memberships: (person, segment) pairs. enrollments: passes through campaigns, ever.
    """

    people: int | None
    memberships: int | None
    enrollments: int | None
    considered: int | None
    send: int | None
    defer: int | None
    skip: int | None


@dataclass(frozen=True)
class RunView:
    """One applied plan, for the history of messages: what it decided, in verdicts."""

    plan_id: str
    as_of: datetime
    send: int | None
    defer: int | None
    skip: int | None


@dataclass(frozen=True)
class SizePoint:
    """A segment in one applied plan; size None: it did not exist or its size is not known (a gap in the line)."""

    as_of: datetime
    size: int | None


@dataclass(frozen=True)
class SegmentView:
    """A segment: size, entered and left as in the plan, `history` oldest first and ending with the plan itself.

    `cause` says why people moved (memberships.Cause), `parked` why the segment was left as it was, if it was.
    """

    name: str
    summary: str
    size: int | None
    entered: int | None
    left: int | None
    cause: str
    parked: str | None
    history: tuple[SizePoint, ...]


@dataclass(frozen=True)
class StateSize:
    """How many people are in a lifecycle state at as_of. The order in the report is the order in the view."""

    state: str
    people: int | None


@dataclass(frozen=True)
class StateFlow:
    """How many moves from one state to another there were within the window; `from_state` None: first seen."""

    from_state: str | None
    to_state: str
    people: int


@dataclass(frozen=True)
class StatesView:
    """Lifecycle states of a programme: sizes at as_of, and moves from `since` (inclusive) to as_of, over all days."""

    programme: str
    since: date
    sizes: tuple[StateSize, ...]
    flows: tuple[StateFlow, ...]


@dataclass(frozen=True)
class StepView:
    """One message of a campaign over all applied plans.

    sent: verdicts `send`. outcomes: word of destinations/base.py (and `waiting`) → count, None when the journal
    cannot be read. skipped: reason of planning/verdict.py → count.
    """

    step: str
    channel: str
    sent: int | None
    outcomes: dict[str, int] | None
    skipped: dict[str, int]


@dataclass(frozen=True)
class PlannedStep:
    """One message of a campaign in the last plan: verdicts, by reason where there is one."""

    step: str
    send: int | None
    defer: dict[str, int]
    skip: dict[str, int]


@dataclass(frozen=True)
class CampaignView:
    """A campaign: its funnel over all applied plans, then what the last plan does with it.

    Numbers of people are passes. entered: everybody, holdouts included. held_out: those of them who get nothing, by the
    campaign's holdout or the global one. active: resting at a step now. converted, converted_held_out: which reached
    the goal so far, of the treated and of those held out (None also when there is no goal). measured: what came of it;
    None when nobody looked.
    planned_moves: why of planning/verdict.py → enrollments moved. not_entered: reason → people whom the trigger named.
    """

    slug: str
    purpose: str
    status: str
    trigger: str
    goal: str | None
    parked: str | None
    entered: int | None
    held_out: int | None
    active: int | None
    converted: int | None
    converted_held_out: int | None
    steps: tuple[StepView, ...]
    planned_enter: int | None
    planned_moves: dict[str, int]
    planned_not_entered: dict[str, int]
    planned_steps: tuple[PlannedStep, ...]
    measured: MeasuredView | None = None


@dataclass(frozen=True)
class SyncView:
    """A sync: rows wanted, rows the destination has confirmed, what the last plan does, and what was refused.

    `removals_refused`: rows that are still there, for the destination refused to remove them.
    """

    name: str
    destination: str
    mode: str
    desired: int | None
    acknowledged: int | None
    add: int | None
    update: int | None
    remove: int | None
    rejected: int | None
    unknown: int | None
    parked: str | None
    removals_refused: int = 0


@dataclass(frozen=True)
class GuardView:
    """One guard's reading. `unit`: share (0 to 1), count or hours. `measured` None: there was nothing to measure."""

    guard: str
    subject: str
    unit: str
    measured: float | None
    allowed: float
    tripped: bool
    released: bool


@dataclass(frozen=True)
class SourceView:
    """One source over all its loads: lines = landed + duplicate + quarantined + erased, and the report says so if not.

    orphans: events that belong to nobody yet. newest_event_at: None when it has none. silent_hours: from then to as_of;
    allowed_hours: None when nothing is asked. reasons: code of landing/quarantine.py → lines.
    """

    name: str
    loads: int | None
    lines: int | None
    landed: int | None
    duplicate: int | None
    quarantined: int | None
    orphans: int | None
    newest_event_at: datetime | None
    silent_hours: float | None
    allowed_hours: float | None
    reasons: dict[str, int]
    erased: int = 0


@dataclass(frozen=True)
class ViolationView:
    """So many events of `source` wrote an attribute of people that `owner` owns; none of it counted."""

    source: str
    attribute: str
    owner: str
    events: int
    last_event_at: datetime


@dataclass(frozen=True)
class BreachView:
    """So many events of `source` broke a rule of their contract: some landed all the same, some were kept out."""

    event: str
    property: str
    rule: str
    source: str
    landed: int
    kept_out: int
    last_landed_at: datetime


@dataclass(frozen=True)
class ReportView:
    """Everything that one report shows.

    outcomes: word of destinations/base.py (and `waiting`) → messages ever, None when the journal cannot be read.
    runs: applied plans, oldest first, the report's own last. failed_models: dbt model → why it failed. missing: that
    what campaigns did is not counted from the beginning, because the plans of then are gone.
    """

    plan: PlanView
    totals: Totals
    outcomes: dict[str, int] | None
    runs: tuple[RunView, ...]
    segments: tuple[SegmentView, ...]
    states: tuple[StatesView, ...]
    campaigns: tuple[CampaignView, ...]
    syncs: tuple[SyncView, ...]
    guards: tuple[GuardView, ...]
    sources: tuple[SourceView, ...]
    failed_models: dict[str, str]
    violations: tuple[ViolationView, ...] = ()
    breaches: tuple[BreachView, ...] = ()
    missing: str | None = None
