"""What does the report show? Counts from the plans, the published warehouse, the landing and the journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, timedelta
from pathlib import Path
from typing import Any

import duckdb

from tailrace import clock, engine
from tailrace.campaigns.definition import Campaign
from tailrace.errors import DataError
from tailrace.landing.census import breaches
from tailrace.landing.loads import Load, loads
from tailrace.pipeline import standing
from tailrace.pipeline.campaigns import goal_in_words, trigger_in_words
from tailrace.pipeline.measuring import measure_all
from tailrace.pipeline.published import has, published, state_tables
from tailrace.pipeline.request import load_definitions, source_hours
from tailrace.planning import relations
from tailrace.planning.store import Plan, Store
from tailrace.reports import view
from tailrace.reports.html import write_report
from tailrace.reports.measured import MeasuredView
from tailrace.settings import Settings
from tailrace.warehouse.build import read_generation
from tailrace.warehouse.catalog import read_catalog
from tailrace.warehouse.ownership import violations_in

FLOW_DAYS = 30
HISTORY = 400
"""How many plans the report looks back."""

# In the order in which a person passes through them; one of another programme, or that is new, comes after in its own.
_STATES = {
    "saas": ("new", "activated", "active", "at_risk", "dormant", "churned", "returned"),
    "commerce": ("browsing", "first_purchase", "repeat", "lapsed"),
    "telehealth": ("lead", "intake", "awaiting_payment", "in_review", "active", "refill_due", "lapsed", "ended"),
}
_UNITS = {"segment_minimum": "count", "source_stale_after": "hours"}

Lineage = Sequence[tuple[str, Plan]]


def write(settings: Settings) -> Path:
    """Write the report on the plan applied last and return its path. Raises DataError before the first plan."""
    return write_report(settings, gather(settings))


def gather(settings: Settings) -> view.ReportView:
    """Return everything that the report shows."""
    store = Store(settings)
    head = store.head()
    if head is None:
        raise DataError("there is nothing to report on yet; expected one run before: `tailrace run`")
    lineage = list(store.chain(head, HISTORY))
    plan = lineage[0][1]
    outcomes = standing.outcomes(settings)
    definitions = load_definitions(settings)
    landed = loads(settings)
    generation = read_generation(settings)
    measured = measure_all(settings, definitions, list(definitions.campaigns))
    return view.ReportView(
        plan=view.PlanView(head, plan.parent, plan.as_of, plan.cause, is_applied=True),
        totals=_totals(plan),
        outcomes=_summed(outcomes),
        runs=tuple(
            view.RunView(plan_id, made.as_of, made.counts["send"], made.counts["defer"], made.counts["skip"])
            for plan_id, made in reversed(lineage)
        ),
        segments=_segments(settings, lineage),
        states=_states(settings, plan),
        campaigns=tuple(
            _campaign(settings, store, lineage, campaign, outcomes, measured[slug])
            for slug, campaign in definitions.campaigns.items()
        ),
        syncs=tuple(_sync(name, entry) for name, entry in sorted(plan.syncs.items())),
        guards=tuple(_guard(reading) for reading in plan.guards),
        sources=_sources(settings, plan, landed, source_hours(settings, definitions.policy, landed)),
        failed_models=dict(generation.failed) if generation else {},
        violations=_violations(settings),
        breaches=tuple(
            view.BreachView(
                one.event, one.property, one.words, one.source, one.warned, one.quarantined, one.last_landed_at
            )
            for one in breaches(landed)
        ),
        missing=next((seen.missing for seen in measured.values()), None),
    )


def _violations(settings: Settings) -> tuple[view.ViolationView, ...]:
    with published(settings) as connection:
        found = violations_in(connection, "published")
    return tuple(
        view.ViolationView(one.source, one.attribute, one.owner, one.n_events, one.last_event_at.replace(tzinfo=UTC))
        for one in found
    )


def _totals(plan: Plan) -> view.Totals:
    names = ("people", "memberships", "enrollments", "considered", "send", "defer", "skip")
    return view.Totals(**{name: plan.counts[name] for name in names})


def _summed(outcomes: standing.Outcomes) -> dict[str, int]:
    totals: dict[str, int] = {}
    for counts in outcomes.values():
        for word, count in counts.items():
            totals[word] = totals.get(word, 0) + count
    return totals


def _segments(settings: Settings, lineage: Lineage) -> tuple[view.SegmentView, ...]:
    models = read_catalog(settings).segments
    plan = lineage[0][1]
    return tuple(
        view.SegmentView(
            name=name,
            summary=models[name].summary if name in models else "",
            size=entry["size"],
            entered=entry["entered"],
            left=entry["left"],
            cause=entry["cause"],
            parked=entry["parked"],
            history=tuple(
                view.SizePoint(made.as_of, made.segments.get(name, {}).get("size")) for _, made in reversed(lineage)
            ),
        )
        for name, entry in sorted(plan.segments.items())
        if entry["status"] != "removed"
    )


def _states(settings: Settings, plan: Plan) -> tuple[view.StatesView, ...]:
    """Return what is published of each programme that is on."""
    since = clock.day(plan.as_of) - timedelta(days=FLOW_DAYS)
    off = read_catalog(settings).off
    with published(settings) as connection:
        return tuple(
            _programme(connection, programme, table, since)
            for programme, table in state_tables(connection, off).items()
        )


def _programme(connection: duckdb.DuckDBPyConnection, programme: str, table: str, since: date) -> view.StatesView:
    sizes = dict(
        connection.execute(f"select state, count(*) from {table} where ended_at is null group by state").fetchall()
    )
    flows = connection.execute(
        f"select previous_state, state, count(*) from {table} where started_at >= $since"
        " group by all order by 3 desc, 1, 2",
        {"since": since},
    ).fetchall()
    order = _STATES.get(programme, ())
    return view.StatesView(
        programme=programme,
        since=since,
        sizes=tuple(view.StateSize(state, sizes.get(state, 0)) for state in [*order, *sorted(set(sizes) - set(order))]),
        flows=tuple(view.StateFlow(*row) for row in flows),
    )


def _campaign(
    settings: Settings,
    store: Store,
    lineage: Lineage,
    campaign: Campaign,
    outcomes: standing.Outcomes,
    measured: MeasuredView,
) -> view.CampaignView:
    plan = lineage[0][1]
    slug = campaign.slug
    planned: dict[str, Any] = plan.campaigns.get(slug, {"moves": {}, "not_entered": {}, "messages": {}, "parked": None})
    entered, held_out, active, converted, converted_held_out = _enrolled(settings, store, plan, slug)
    moves = dict(planned["moves"])
    return view.CampaignView(
        slug=slug,
        purpose=campaign.purpose,
        status=campaign.status,
        trigger=trigger_in_words(campaign),
        goal=None if campaign.goal is None else goal_in_words(campaign.goal),
        parked=planned["parked"],
        entered=entered,
        held_out=held_out,
        active=active,
        converted=converted if campaign.goal else None,
        converted_held_out=converted_held_out if campaign.goal else None,
        steps=tuple(
            _step(lineage, slug, send.id, campaign.messages[send.message].channel, outcomes) for send in campaign.sends
        ),
        planned_enter=moves.pop("entered", 0),
        planned_moves=moves,
        planned_not_entered=planned["not_entered"],
        planned_steps=tuple(
            view.PlannedStep(step, verdicts["send"], verdicts["defer"], verdicts["skip"])
            for step, verdicts in planned["messages"].items()
        ),
        measured=measured,
    )


def _enrolled(settings: Settings, store: Store, plan: Plan, slug: str) -> tuple[int, ...]:
    source = store.source(plan, f"enrollments:{slug}", relations.ENROLLMENTS)
    with engine.connect(settings) as connection:
        return engine.row(
            connection,
            "select count(*), count(*) filter (where arm <> 'treated'), count(*) filter (where status = 'active'),"
            " count(goal_at) filter (where arm = 'treated'), count(goal_at) filter (where arm <> 'treated')"
            f" from {source}",
        )


def _step(lineage: Lineage, slug: str, step: str, channel: str, outcomes: standing.Outcomes) -> view.StepView:
    sent, skipped = 0, dict[str, int]()
    for _, plan in lineage:
        verdicts = plan.campaigns.get(slug, {}).get("messages", {}).get(step)
        if verdicts is not None:
            sent += verdicts["send"]
            for reason, count in verdicts["skip"].items():
                skipped[reason] = skipped.get(reason, 0) + count
    return view.StepView(step, channel, sent, outcomes.get((slug, step), {}), skipped)


def _sync(name: str, entry: dict[str, Any]) -> view.SyncView:
    return view.SyncView(
        name=name,
        destination=entry["destination"],
        mode=entry["mode"],
        desired=entry["desired"],
        acknowledged=entry["acknowledged"],
        add=entry["add"],
        update=entry["update"],
        remove=entry["remove"],
        rejected=entry["rejected"],
        unknown=entry.get("unknown"),
        parked=entry["parked"],
        removals_refused=entry.get("removals_refused", 0),
    )


def _guard(reading: dict[str, Any]) -> view.GuardView:
    nothing = reading["guard"] == "source_stale_after" and reading["measured"] < 0
    return view.GuardView(
        guard=reading["guard"],
        subject=reading["subject"],
        unit=_UNITS.get(reading["guard"], "share"),
        measured=None if nothing else reading["measured"],
        allowed=reading["allowed"],
        tripped=reading["tripped"],
        released=reading["released"] is not None,
    )


def _sources(
    settings: Settings, plan: Plan, landed: Sequence[Load], hours: Mapping[str, float]
) -> tuple[view.SourceView, ...]:
    orphans: dict[str, int] = {}
    with published(settings) as connection:
        if has(connection, "reports", "rpt_orphans"):
            rows = connection.execute("select source, sum(n_orphans)::bigint from reports.rpt_orphans group by source")
            orphans = dict(rows.fetchall())
    silent = {
        reading["subject"].removeprefix("source:"): reading["measured"]
        for reading in plan.guards
        if reading["guard"] == "source_stale_after" and reading["measured"] >= 0
    }
    shown = []
    for source in sorted({load.source for load in landed}):
        mine = [load for load in landed if load.source == source]
        reasons: dict[str, int] = {}
        for load in mine:
            for reason, count in load.reasons.items():
                reasons[reason] = reasons.get(reason, 0) + count
        newest = max((load.last_event_at for load in mine if load.last_event_at is not None), default=None)
        shown.append(
            view.SourceView(
                name=source,
                loads=len(mine),
                lines=sum(load.lines for load in mine),
                landed=sum(load.landed for load in mine),
                duplicate=sum(load.duplicate for load in mine),
                quarantined=sum(load.quarantined for load in mine),
                orphans=orphans.get(source),
                newest_event_at=newest,
                silent_hours=silent.get(source),
                allowed_hours=hours.get(source),
                reasons=reasons,
                erased=sum(load.erased for load in mine),
            )
        )
    return tuple(shown)
