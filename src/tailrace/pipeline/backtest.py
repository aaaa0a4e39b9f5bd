"""What would a campaign have done over past days, as far as history can tell?

Replays runs on a branch (see `branch`) and counts one campaign's part. It says who would have entered and what each
would have been sent. It cannot say what the messages would have changed: the goals that it counts are what people did
without them, a base rate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa

from tailrace import clock, engine
from tailrace.campaigns.definition import Campaign
from tailrace.engine import statement
from tailrace.errors import DataError
from tailrace.pipeline.branch import Branch, branch
from tailrace.pipeline.campaigns import find, goal_in_words
from tailrace.pipeline.request import Definitions, load_definitions
from tailrace.planning import relations
from tailrace.planning.store import Plan
from tailrace.planning.verdict import ENTRY
from tailrace.reports.measurement import Group, interval
from tailrace.settings import Settings

_PACKAGE = "tailrace.pipeline"
Progress = Callable[[int, int, datetime], None]


@dataclass(frozen=True)
class Instant:
    """What one run of the branch decided: passes that began, and verdicts on messages and actions."""

    as_of: datetime
    entered: int
    not_entered: int
    sent: int
    deferred: int
    skipped: int


@dataclass(frozen=True)
class Message:
    """One step that says or calls something, over all instants, in different messages: what became of them.

    `held_back` were deferred at least once; `sent_later` of them left at a later instant. `because` counts messages by
    `skip` or `defer`, a space, and the reason.
    """

    step: str
    message: str | None
    sent: int
    held_back: int
    sent_later: int
    skipped: int
    because: dict[str, int]


@dataclass(frozen=True)
class BaseRate:
    """How many passes reached the goal though nothing of the backtest was sent to anybody. Not a lift.

    Only passes whose window was over at the last instant are in `passes` and `reached`; `still_open` are the others.
    `low` and `high` bound the share with 95 % confidence; they and `share` are None of nobody.
    """

    goal: str
    passes: int
    reached: int
    share: float | None
    low: float | None
    high: float | None
    still_open: int


@dataclass(frozen=True)
class Backtest:
    """What a campaign would have done. `rows` and `passes` name people by id.

    `stands_on` is the plan that the first instant was planned on, None: an empty baseline. `assumed` says in words what
    was taken for granted. `really_sent` are messages of the branch that the journal has too. `arms` counts passes.
    """

    campaign: str
    version: str
    status: str
    first: datetime
    last: datetime
    stands_on: str | None
    in_flight: int
    assumed: tuple[str, ...]
    instants: tuple[Instant, ...]
    entered: int
    arms: dict[str, int]
    not_entered: dict[str, int]
    messages: tuple[Message, ...]
    really_sent: int
    base_rate: BaseRate | None
    passes: pa.Table
    rows: pa.Table


def instants(first: datetime, last: datetime, every: timedelta) -> list[datetime]:
    """Return the instants from `first` to `last`, both included where `every` meets them.

    Raises DataError when `last` is before `first`.
    """
    if last < first:
        raise DataError(
            f"--to {clock.iso(last)} is before --from {clock.iso(first)}; expected a later instant, or the same"
        )
    count = (last - first) // every + 1
    return [first + number * every for number in range(count)]


def backtest(
    settings: Settings, slug: str, at: list[datetime], *, progress: Progress = lambda done, all_, as_of: None
) -> Backtest:
    """Replay the campaign, as it is written today, at the instants `at` (ascending), on a branch.

    It is taken for live, whatever its status; the other campaigns are as they are, so caps and exclusive groups count.
    HEAD and the journal are not touched. `progress` is told how many instants are done of all, and the next one.
    """
    campaign = find(settings, slug)
    definitions = load_definitions(settings)
    live = replace(definitions, campaigns={**definitions.campaigns, slug: replace(campaign, status="live")})
    with branch(settings, live, at) as replayed, engine.connect(settings) as connection:
        _make_tables(connection)
        plan = first = None
        for _, plan in _told(replayed, at, progress):
            first = first or plan
            _take(connection, replayed, plan, slug)
        assert plan is not None
        assert first is not None
        enrolled = replayed.store.source(plan, f"enrollments:{slug}", relations.ENROLLMENTS)
        connection.execute(statement(_PACKAGE, "backtest_passes").format(enrollments=enrolled))
        return _result(connection, replayed, campaign, definitions, at, first)


def _told(replayed: Branch, at: list[datetime], progress: Progress) -> Iterator[tuple[str, Plan]]:
    progress(0, len(at), at[0])
    for done, made in enumerate(replayed.plans(), start=1):
        yield made
        progress(done, len(at), at[min(done, len(at) - 1)])


def _make_tables(connection: engine.Connection) -> None:
    for name, columns in (("moves", relations.TRANSITIONS), ("verdicts", relations.VERDICTS)):
        connection.execute(
            f"create temp table {name} as select timestamp '2000-01-01' as as_of, * from ({columns}) limit 0"
        )


def _take(connection: engine.Connection, replayed: Branch, plan: Plan, slug: str) -> None:
    """Add the campaign's part of a plan to `moves` and `verdicts`."""
    values = {"as_of": clock.naive(plan.as_of), "campaign": slug}
    for name, relation, columns in (
        ("moves", "transitions", relations.TRANSITIONS),
        ("verdicts", "verdicts", relations.VERDICTS),
    ):
        source = replayed.store.source(plan, relation, columns)
        connection.execute(
            f"insert into {name} by name select $as_of::timestamp as as_of, * from {source} as planned"
            " where campaign = $campaign",
            values,
        )


def _result(
    connection: engine.Connection,
    replayed: Branch,
    campaign: Campaign,
    definitions: Definitions,
    at: list[datetime],
    first: Plan,
) -> Backtest:
    entered, arms = _entered(connection)
    refused = connection.execute(
        f"select reason, count(*) from verdicts where step = '{ENTRY}' group by reason order by 2 desc, 1"
    ).fetchall()
    return Backtest(
        campaign=campaign.slug,
        version=campaign.version,
        status=campaign.status,
        first=at[0],
        last=at[-1],
        stands_on=replayed.start[0] if replayed.start else None,
        in_flight=_in_flight(connection, replayed, campaign.slug),
        assumed=tuple(_assumed(campaign, definitions, replayed, first)),
        instants=tuple(
            Instant(clock.parse(row[0].isoformat()), *row[1:])
            for row in connection.execute(
                statement(_PACKAGE, "backtest_instants"), {"instants": [clock.naive(one) for one in at]}
            ).fetchall()
        ),
        entered=entered,
        arms=arms,
        not_entered=dict(refused),
        messages=tuple(_messages(connection, campaign)),
        really_sent=replayed.hindsight.really_sent(campaign.slug),
        base_rate=_base_rate(connection, campaign, at[-1]),
        passes=connection.sql("select * from entered_passes order by noticed_at, enrollment_id").to_arrow_table(),
        rows=connection.sql(statement(_PACKAGE, "backtest_rows")).to_arrow_table(),
    )


def _entered(connection: engine.Connection) -> tuple[int, dict[str, int]]:
    arms = dict(
        connection.execute("select arm, count(*) from entered_passes group by arm order by 2 desc, 1").fetchall()
    )
    return sum(arms.values()), arms


def _in_flight(connection: engine.Connection, replayed: Branch, slug: str) -> int:
    start = replayed.start[1] if replayed.start else None
    source = replayed.store.source(start, f"enrollments:{slug}", relations.ENROLLMENTS)
    return int(engine.row(connection, f"select count(*) from {source} as kept where status = 'active'")[0])


def _messages(connection: engine.Connection, campaign: Campaign) -> Iterator[Message]:
    rows = connection.execute(statement(_PACKAGE, "backtest_messages")).fetchall()
    reasons = connection.execute(statement(_PACKAGE, "backtest_reasons")).fetchall()
    order = {step.id: place for place, step in enumerate(campaign.all_steps)}
    for step, message, sent, held, later, skipped in sorted(rows, key=lambda row: (order.get(row[0], 999), row[0])):
        because = {why: n for where, why, n in reasons if where == step}
        yield Message(step, message, sent, held, later, skipped, because)


def _base_rate(connection: engine.Connection, campaign: Campaign, last: datetime) -> BaseRate | None:
    goal = campaign.goal
    if goal is None:
        return None
    over = {"over": clock.naive(last - goal.within)}
    passes, reached, still_open = engine.row(
        connection,
        "select count(*) filter (where entered_at <= $over), count(goal_at) filter (where entered_at <= $over),"
        " count(*) filter (where entered_at > $over) from entered_passes",
        over,
    )
    low, high = interval(Group(passes, reached)) if passes else (None, None)
    return BaseRate(goal_in_words(goal), passes, reached, reached / passes if passes else None, low, high, still_open)


def _assumed(campaign: Campaign, definitions: Definitions, replayed: Branch, first: Plan) -> Iterator[str]:
    """Yield what the reader must know to read the numbers right."""
    if campaign.status != "live":
        yield f"The campaign is taken for live from the first instant on; it is {campaign.status}."
    yield (
        "Campaigns, policy and models are as they are today, the other campaigns too; data and the journal's answers as"
        " they were known at each instant."
    )
    yield (
        "A message that was not sent then is taken for accepted when it was to leave, a draft for approved, a webhook"
        " for answered with 200 and no body."
    )
    if replayed.start is None:
        yield "No applied plan is older: the first instant is a baseline, by which nobody enters a segment."
        return
    strange = {"baseline": "was not known to the plan before", "definition": "was defined otherwise in the plan before"}
    for name in sorted(_segments(campaign.definition()["trigger"]) & first.segments.keys()):
        said = strange.get(first.segments[name]["cause"])
        if said:
            yield f"{name} {said}: by the first instant nobody enters it."
    paused = [slug for slug, other in definitions.campaigns.items() if other.status != "live" and slug != campaign.slug]
    if paused:
        yield f"Not live, so without a part in caps and groups: {', '.join(sorted(paused))}."


def _segments(trigger: Mapping[str, Any]) -> set[str]:
    return {trigger["segment"]} if trigger.get("segment") else set()
