"""What are the campaigns, where do people stand in them, and what became of their messages?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from tailrace import engine
from tailrace.campaigns import steps, triggers
from tailrace.campaigns.definition import Campaign, Goal, Send, Wait
from tailrace.campaigns.shelf import load_campaigns
from tailrace.errors import DefinitionError, Problem, nearest
from tailrace.pipeline.standing import outcomes
from tailrace.planning import relations
from tailrace.planning.store import Plan, Store
from tailrace.settings import Settings


@dataclass(frozen=True)
class CampaignRow:
    """One campaign; numbers of people are None when no plan has seen it."""

    slug: str
    purpose: str
    owner: str
    status: str
    sending: str
    trigger: str
    active: int | None
    ever: int | None
    converted: int | None


@dataclass(frozen=True)
class StepRow:
    """One step: who rests there now, its message's verdicts over all plans, and where those messages stand.

    The counts of a step that sends nothing are None; `standing` counts messages by outcome, `waiting` among them.
    """

    step: str
    what: str
    resting: int
    sent: int | None
    deferred: int | None
    skipped: int | None
    standing: dict[str, int]


@dataclass(frozen=True)
class ReasonRow:
    """How often a reason stood against a step's message, over all plans."""

    step: str
    verdict: str
    reason: str
    people: int


@dataclass(frozen=True)
class Passes:
    """How many passes of people through the campaign there were; `held_out` are among the others."""

    ever: int
    active: int
    completed: int
    converted: int
    ended: int
    held_out: int
    reached_goal: int


@dataclass(frozen=True)
class CampaignDetail:
    """One campaign whole; `passes` is None when no plan has seen it. `missing` says that older plans are gone."""

    slug: str
    purpose: str
    owner: str
    status: str
    sending: str
    klass: str
    topic: str | None
    trigger: str
    goal: str | None
    holdout: float
    expires: str
    version: str
    passes: Passes | None
    steps: list[StepRow]
    reasons: list[ReasonRow]
    missing: str | None


def overview(settings: Settings) -> list[CampaignRow]:
    """Return every campaign of the project, those whose programme is off last."""
    shelf = load_campaigns(settings.project_dir)
    store = Store(settings)
    head = store.head()
    plan = store.read(head) if head else None
    with engine.connect(settings) as connection:
        return [
            *(_row(connection, store, plan, campaign, campaign.status) for campaign in shelf.campaigns.values()),
            *(_row(connection, store, plan, campaign, "off") for campaign in shelf.off.values()),
        ]


def _row(
    connection: engine.Connection, store: Store, plan: Plan | None, campaign: Campaign, status: str
) -> CampaignRow:
    counts: tuple[int | None, ...] = (None, None, None)
    if plan is not None and f"enrollments:{campaign.slug}" in plan.relations:
        source = store.source(plan, f"enrollments:{campaign.slug}", relations.ENROLLMENTS)
        counts = engine.row(
            connection, f"select count(*) filter (where status = 'active'), count(*), count(goal_at) from {source}"
        )
    return CampaignRow(
        slug=campaign.slug,
        purpose=campaign.purpose,
        owner=campaign.owner,
        status=status,
        sending=campaign.sending,
        trigger=trigger_in_words(campaign),
        active=counts[0],
        ever=counts[1],
        converted=counts[2] if campaign.goal else None,
    )


def trigger_in_words(campaign: Campaign) -> str:
    """Return what starts the campaign, in words."""
    return triggers.in_words(campaign.trigger)


def goal_in_words(goal: Goal) -> str:
    """Return what a campaign is for, and how soon, in words."""
    return f"{goal.event or goal.segment} within {in_words(goal.within)}"


def in_words(duration: timedelta) -> str:
    """Return a duration as its author would write it: `2 days`, `36 hours`, `30 minutes`."""
    minutes = int(duration / timedelta(minutes=1))
    for unit, length in (("day", 1440), ("hour", 60), ("minute", 1)):
        if minutes % length == 0:
            count = minutes // length
            return f"{count} {unit}" + ("" if count == 1 else "s")
    raise AssertionError


def find(settings: Settings, slug: str) -> Campaign:
    """Return the campaign. Raises DefinitionError when there is none of that name, or its programme is off."""
    shelf = load_campaigns(settings.project_dir)
    campaigns = shelf.campaigns
    if slug in shelf.off:
        programme = shelf.off[slug].programme
        what = f"its programme `{programme}` is off; expected `{programme}` in `vars: programmes` of dbt_project.yml"
        raise DefinitionError(Problem(shelf.off[slug].path, None, what))
    if slug not in campaigns:
        raise DefinitionError(
            Problem(
                "campaigns", None, f"there is no campaign `{slug}`; expected a folder there.{nearest(slug, campaigns)}"
            )
        )
    return campaigns[slug]


def show(settings: Settings, slug: str) -> CampaignDetail:
    """Return one campaign, with its people, and the verdicts and outcomes of its messages over all plans."""
    campaign = find(settings, slug)
    store = Store(settings)
    head = store.head()
    plan = store.read(head) if head else None
    lineage = [found for _, found in store.chain(head)]
    verdicts = _verdicts(lineage, slug)
    goal = campaign.goal
    return CampaignDetail(
        slug=slug,
        purpose=campaign.purpose,
        owner=campaign.owner,
        status=campaign.status,
        sending=campaign.sending,
        klass=campaign.klass,
        topic=campaign.topic,
        trigger=trigger_in_words(campaign),
        goal=None if goal is None else goal_in_words(goal),
        holdout=campaign.holdout_bp / 10_000,
        expires=in_words(campaign.expires),
        version=campaign.version,
        passes=_passes(settings, store, plan, slug),
        steps=_steps(settings, store, plan, campaign, verdicts),
        reasons=[
            ReasonRow(step, verdict, reason, n) for (step, verdict, reason), n in sorted(verdicts.items()) if reason
        ],
        missing=store.before(lineage[-1]) if lineage else None,
    )


def _verdicts(lineage: Sequence[Plan], slug: str) -> Counter[tuple[str, str, str]]:
    """Return how often each (step, verdict, reason) was decided, over all plans."""
    counted: Counter[tuple[str, str, str]] = Counter()
    for plan in lineage:
        planned = plan.campaigns.get(slug, {"not_entered": {}, "messages": {}})
        for reason, people in planned["not_entered"].items():
            counted["(does not enter)", "skip", reason] += people
        for step, verdicts in planned["messages"].items():
            counted[step, "send", ""] += verdicts["send"]
            for verdict in ("defer", "skip"):
                for reason, people in verdicts[verdict].items():
                    counted[step, verdict, reason] += people
    return counted


def _passes(settings: Settings, store: Store, plan: Plan | None, slug: str) -> Passes | None:
    if plan is None or f"enrollments:{slug}" not in plan.relations:
        return None
    source = store.source(plan, f"enrollments:{slug}", relations.ENROLLMENTS)
    with engine.connect(settings) as connection:
        row = engine.row(
            connection,
            "select count(*), count(*) filter (where status = 'active'), count(*) filter (where status = 'completed'),"
            " count(*) filter (where status = 'converted'), count(*) filter (where status = 'ended'),"
            f" count(*) filter (where arm = 'holdout'), count(goal_at) from {source}",
        )
    return Passes(*row)


def _steps(
    settings: Settings,
    store: Store,
    plan: Plan | None,
    campaign: Campaign,
    verdicts: Counter[tuple[str, str, str]],
) -> list[StepRow]:
    resting: dict[str, int] = {}
    if plan is not None:
        source = store.source(plan, f"enrollments:{campaign.slug}", relations.ENROLLMENTS)
        with engine.connect(settings) as connection:
            resting = dict(
                connection.execute(
                    f"select step, count(*) from {source} where status = 'active' group by step"
                ).fetchall()
            )
    standing = outcomes(settings) if plan is not None else {}
    rows = []
    for step in campaign.all_steps:
        here = resting.get(step.id, 0)
        if isinstance(step, Send):
            sums = [
                sum(n for (name, verdict, _), n in verdicts.items() if (name, verdict) == (step.id, wanted))
                for wanted in ("send", "defer", "skip")
            ]
            where = standing.get((campaign.slug, step.id), {})
            send, defer, skip = sums
            rows.append(StepRow(step.id, f"send {step.message}", here, send, defer, skip, where))
        else:
            said = f"wait {in_words(step.duration)}" if isinstance(step, Wait) else steps.in_words(step)
            rows.append(StepRow(step.id, said, here, None, None, None, {}))
    return rows
