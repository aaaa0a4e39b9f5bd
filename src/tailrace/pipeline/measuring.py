"""What came of a campaign? Its funnel, its messages with their receipts, and its arms compared.

Counted at the plan applied last, over its whole lineage, the journal and the receipts that have landed. A person counts
once in a comparison: by the arm of the first pass, and by whether the goal was reached within that pass's window. Who
is still inside the window is not compared. All of an arm count, whether a message reached them or not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pyarrow as pa

from tailrace import clock, engine
from tailrace.campaigns.definition import Campaign
from tailrace.engine import literal, statement
from tailrace.errors import DataError
from tailrace.journal.journal import Journal
from tailrace.landing.loads import event_files, loads
from tailrace.pipeline.campaigns import find, goal_in_words, in_words
from tailrace.pipeline.remembered import remember
from tailrace.pipeline.request import Definitions, load_definitions
from tailrace.planning import relations
from tailrace.planning.arbitration import MARKETING
from tailrace.planning.steps import steps_of
from tailrace.planning.store import Plan, Store
from tailrace.planning.verdict import Why
from tailrace.reports.measured import ArmView, ComparisonView, FunnelView, MeasuredView, MessageView
from tailrace.reports.measurement import MISMATCH, Group, lift, mismatch
from tailrace.settings import Settings

_PACKAGE = "tailrace.pipeline"
_WHOLE = 10_000
_RECEIPTS = ("delivered", "opened", "clicked", "bounced", "complained", "unsubscribed")
_PLANS = pa.schema([("path", pa.string()), ("as_of", pa.timestamp("us"))])
_NO_MOVES = f"{relations.TRANSITIONS} limit 0"
_VERSIONS = pa.schema([("version", pa.string()), ("within", pa.int64())])


def measure(settings: Settings, slug: str) -> MeasuredView:
    """Return what came of one campaign. Raises DataError before the first plan, DefinitionError for an unknown slug."""
    find(settings, slug)
    definitions = load_definitions(settings)
    return measure_all(settings, definitions, [slug])[slug]


def measure_all(settings: Settings, definitions: Definitions, slugs: Sequence[str]) -> dict[str, MeasuredView]:
    """Return what came of each of these campaigns. Raises DataError before the first plan."""
    store = Store(settings)
    head = store.head()
    if head is None:
        raise DataError("there is nothing to measure yet; expected one run before: `tailrace run`")
    lineage = list(store.chain(head))
    with engine.connect(settings) as connection:
        _show_moves(connection, store, [plan for _, plan in lineage])
        _show_messages(connection, settings)
        # A receipt that names no message of ours says nothing about whether those of ours come.
        ours = "select distinct channel, kind from receipts where intent_id in (select intent_id from sent)"
        known = set(connection.execute(ours).fetchall())
        plan = lineage[0][1]
        missing = store.before(lineage[-1][1])
        return {
            slug: replace(_measured(connection, store, plan, definitions, slug, known), missing=missing)
            for slug in slugs
        }


def _show_moves(connection: engine.Connection, store: Store, lineage: Sequence[Plan]) -> None:
    """Make `moves`: every transition of the lineage, with the as_of of its plan."""
    rows = [
        {"path": str(store.path(piece)), "as_of": clock.naive(plan.as_of)}
        for plan in lineage
        for piece in plan.relations.get("transitions", ())
        if piece.rows
    ]
    connection.register("plans", pa.Table.from_pylist(rows, schema=_PLANS))
    paths = ", ".join(literal(str(row["path"])) for row in rows)
    source = f"read_parquet([{paths}], filename = 'path')" if rows else f"(select *, '' as path from ({_NO_MOVES}))"
    connection.execute(
        "create temp table moves as select plans.as_of, moved.* exclude (path)"
        f" from {source} as moved inner join plans on plans.path = moved.path"
    )


def _show_messages(connection: engine.Connection, settings: Settings) -> None:
    """Make `sent` (a row per message of the journal) and `receipts` (a row per message, channel, kind and reader)."""
    with Journal.open(settings) as journal:
        for table in ("intents", "outcomes"):
            remember(connection, settings, journal, table, table)
    connection.execute(statement(_PACKAGE, "measured_sent"))
    paths = ", ".join(literal(str(path)) for path in event_files(settings, loads(settings)))
    events = f"read_parquet([{paths}])" if paths else "(select '' as type, '' as event, '' as properties limit 0)"
    connection.execute(statement(_PACKAGE, "measured_receipts").format(events=events))


def _measured(
    connection: engine.Connection,
    store: Store,
    plan: Plan,
    definitions: Definitions,
    slug: str,
    known: set[tuple[str, str]],
) -> MeasuredView:
    campaign = definitions.campaigns[slug]
    enrolled = store.source(plan, f"enrollments:{slug}", relations.ENROLLMENTS)
    connection.execute(f"create or replace temp table passes as select * from {enrolled}")
    kept = store.source(plan, f"versions:{slug}", relations.VERSIONS)
    versions = {
        version: json.loads(text)
        for version, text in connection.execute(f"select version, source from {kept} as kept").fetchall()
    } or {campaign.version: campaign.definition()}
    _show_windows(connection, versions)
    statuses = dict(
        connection.execute("select status, count(*) from passes group by status order by 2 desc, 1").fetchall()
    )
    reached = engine.row(connection, "select count(goal_at) from passes")[0] if campaign.goal else None
    compared = _comparisons(connection, store, plan, campaign, versions, definitions) if campaign.goal else ()
    return MeasuredView(
        slug=slug,
        version=campaign.version,
        goal=None if campaign.goal is None else goal_in_words(campaign.goal),
        as_of=plan.as_of,
        passes=sum(statuses.values()),
        statuses=statuses,
        reached_goal=reached,
        funnel=tuple(_funnel(connection, campaign, versions)),
        messages=tuple(_messages(connection, campaign, known)),
        comparisons=tuple(compared),
    )


def _show_windows(connection: engine.Connection, versions: Mapping[str, Mapping[str, Any]]) -> None:
    rows = [
        {"version": version, "within": (definition["goal"] or {}).get("within")}
        for version, definition in sorted(versions.items())
    ]
    connection.register("given", pa.Table.from_pylist(rows, schema=_VERSIONS))
    connection.execute("create or replace temp table windows as select * from given")
    connection.unregister("given")


def _funnel(
    connection: engine.Connection, campaign: Campaign, versions: Mapping[str, Mapping[str, Any]]
) -> Iterator[FunnelView]:
    """Yield the steps of today's version, then those of earlier ones that somebody ever came to."""
    values = {"campaign": campaign.slug}
    counts = {
        (version, step): numbers
        for version, step, *numbers in connection.execute(statement(_PACKAGE, "measured_funnel"), values).fetchall()
    }
    ended: dict[tuple[str, str], dict[str, int]] = {}
    for version, step, why, count in connection.execute(statement(_PACKAGE, "measured_ended"), values).fetchall():
        ended.setdefault((version, step), {})[why] = count
    others = sorted({version for version, _ in counts} - {campaign.version})
    for version in [campaign.version, *others]:
        is_today = version == campaign.version
        definition = campaign.definition() if is_today else versions.get(version, {"steps": []})
        laid_out = {
            step.id: f"{step.kind} {_about(step.facts[step.kind])}".strip() for step in steps_of(definition["steps"])
        }
        gone = sorted(step for known, step in counts if known == version and step not in laid_out)
        for step in [*laid_out, *gone]:
            arrived, resting, went_on = counts.get((version, step), (0, 0, 0))
            over = ended.get((version, step), {})
            yield FunnelView(version, is_today, step, laid_out.get(step, ""), arrived, resting, went_on, over)


def _about(facts: Any) -> str:
    """Return what a step's key holds, when that is a name or a number of seconds."""
    if isinstance(facts, str):
        return facts
    return in_words(timedelta(seconds=facts)) if type(facts) is int else ""


def _messages(connection: engine.Connection, campaign: Campaign, known: set[tuple[str, str]]) -> Iterator[MessageView]:
    order = {step.id: place for place, step in enumerate(campaign.all_steps)}
    rows = connection.execute(statement(_PACKAGE, "measured_messages"), {"campaign": campaign.slug}).fetchall()
    names = ("planned", "sent", "delivered", "opened", "machine_opened", "clicked", "bounced", "complained")
    for step, message, channel, *numbers in sorted(rows, key=lambda row: (order.get(row[0], len(order)), row[0])):
        counts = dict(zip((*names, "unsubscribed", "converted"), numbers, strict=True))
        for kind in _RECEIPTS:
            if (channel, kind) not in known:
                counts[kind] = None
        if (channel, "opened") not in known:
            counts["machine_opened"] = None
        if campaign.goal is None:
            counts["converted"] = None
        yield MessageView(step, message, channel, **counts)


def _comparisons(
    connection: engine.Connection,
    store: Store,
    plan: Plan,
    campaign: Campaign,
    versions: Mapping[str, Mapping[str, Any]],
    definitions: Definitions,
) -> Iterator[ComparisonView]:
    # Who is sent something by hand was picked among the treated alone, so nobody held out stands against them.
    connection.execute(
        "create or replace temp table compared as from passes"
        " where enrollment_id not in (select enrollment_id from moves where why = $why)",
        {"why": str(Why.CORRECTED)},
    )
    connection.execute(statement(_PACKAGE, "measured_people"), {"as_of": clock.naive(plan.as_of)})
    rows = connection.execute("select version, arm, people, measured, converted from arms order by all").fetchall()
    held = {version: definition["holdout_bp"] for version, definition in versions.items()}
    meant = _meant([row for row in rows if row[1] != "global_holdout"], held)
    groups = _sums(rows)
    if "holdout" in groups or any(held.values()):
        yield _compared("holdout", None, groups, ["holdout", "treated"], meant, 0)
    share = definitions.policy.rules.holdout_bp if campaign.klass == MARKETING else 0
    if "global_holdout" in groups or share:
        everybody = sum(counts[0] for counts in groups.values())
        weights = {"global_holdout": everybody * share / _WHOLE, "others": everybody * (1 - share / _WHOLE)}
        yield _compared("global_holdout", None, groups, ["global_holdout", "treated"], weights, 0)
    yield from _splits(connection, store, plan, campaign, versions)


def _splits(
    connection: engine.Connection,
    store: Store,
    plan: Plan,
    campaign: Campaign,
    versions: Mapping[str, Mapping[str, Any]],
) -> Iterator[ComparisonView]:
    """Yield the comparison of each split's arms, in the order of today's steps."""
    assignments = store.source(plan, f"assignments:{campaign.slug}", relations.ASSIGNMENTS)
    for step in steps_of(campaign.definition()["steps"]):
        if step.kind == "split":
            values = {"as_of": clock.naive(plan.as_of), "campaign": campaign.slug, "step": step.id}
            connection.execute(statement(_PACKAGE, "measured_split").format(assignments=assignments), values)
            found = connection.execute(
                "select version, name, people, measured, converted from split_arms order by all"
            ).fetchall()
            weights = _weights(found, versions, step.id)
            names = [arm["name"] for arm in step.facts["split"]]
            left_out = engine.row(connection, "select coalesce(sum(left_out), 0)::bigint from split_arms")[0]
            yield _compared("split", step.id, _sums(found), names, weights, left_out)


def _meant(rows: Sequence[Sequence[Any]], held: Mapping[str, int]) -> dict[str, float]:
    """Return how many people were meant to be held out and treated, each version at its own share."""
    meant = {"holdout": 0.0, "treated": 0.0}
    for version, _, people, *_ in rows:
        share = held.get(version, 0) / _WHOLE
        meant["holdout"] += people * share
        meant["treated"] += people * (1 - share)
    return meant


def _weights(rows: Sequence[Sequence[Any]], versions: Mapping[str, Mapping[str, Any]], split: str) -> dict[str, float]:
    """Return how many people each arm was meant to get, each version by its own weights."""
    meant: dict[str, float] = {}
    for version, _, people, *_ in rows:
        for step in steps_of(versions[version]["steps"]) if version in versions else ():
            if step.kind == "split" and step.id == split:
                whole = sum(arm["weight"] for arm in step.facts["split"])
                for arm in step.facts["split"]:
                    meant[arm["name"]] = meant.get(arm["name"], 0.0) + people * arm["weight"] / whole
    return meant


def _sums(rows: Sequence[Sequence[Any]]) -> dict[str, tuple[int, int, int]]:
    sums: dict[str, tuple[int, int, int]] = {}
    for _, name, *counts in rows:
        before = sums.get(name, (0, 0, 0))
        sums[name] = (before[0] + counts[0], before[1] + counts[1], before[2] + counts[2])
    return sums


def _compared(
    kind: str,
    step: str | None,
    groups: Mapping[str, tuple[int, int, int]],
    names: Sequence[str],
    meant: Mapping[str, float],
    left_out: int,
) -> ComparisonView:
    """Return the arms with their lift over the first; `meant` are the sizes that the shares would have made."""
    control = Group(*groups.get(names[0], (0, 0, 0))[1:])
    people = {name: groups.get(name, (0, 0, 0))[0] for name in names}
    if kind == "global_holdout":
        people = {names[0]: people[names[0]], "others": sum(counts[0] for counts in groups.values()) - people[names[0]]}
    else:
        people |= {name: counts[0] for name, counts in groups.items() if kind == "split"}
    chance = mismatch(people, meant) if any(meant.values()) else None
    arms = tuple(
        _arm(name, groups.get(name, (0, 0, 0)), control if place else None) for place, name in enumerate(names)
    )
    return ComparisonView(kind, step, arms, chance, chance is not None and chance < MISMATCH, left_out)


def _arm(name: str, counts: tuple[int, int, int], control: Group | None) -> ArmView:
    people, measured, converted = counts
    group = Group(measured, converted)
    over = None if control is None else lift(group, control)
    return ArmView(
        name=name,
        people=people,
        measured=measured,
        converted=converted,
        share=group.share,
        points=over.points if over else None,
        low=over.low if over else None,
        high=over.high if over else None,
        relative=over.relative if over else None,
        is_enough=over.is_enough if over else group.is_enough,
    )
