"""Whom does a campaign's trigger name in this plan, when was that due, and by which occurrence?

Each kind fills the table `triggers`: person_id, occurrence, due_at, tie (what orders equals), event (the properties as
JSON text), object_id, refused (a reason that is known already). Who is named may still be refused: see `admission`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import duckdb

from tailrace import clock, engine
from tailrace.engine import identifier, literal, statement
from tailrace.errors import DefinitionError, Problem
from tailrace.planning import relations
from tailrace.planning.condition import truth
from tailrace.planning.run import CampaignSpec, Run
from tailrace.planning.store import Piece
from tailrace.planning.zones import define_time, zones

_PACKAGE = "tailrace.planning"

DEFAULT_LATE = timedelta(days=3)
"""How late an event may land and still trigger, when neither campaign nor contract says."""

BROADCAST_EVENT = "broadcast_requested"
"""The event with which `tailrace broadcast` names a person; its properties `campaign` and `key` say which broadcast."""

News = frozenset[tuple[str, str]]
"""What is new since the parent plan: (`event`, its name), and (`entered` or `left`, segment)."""


def note_news(connection: duckdb.DuckDBPyConnection, run: Run, campaigns: Sequence[CampaignSpec]) -> News:
    """Make `happened`, the new events that some trigger asks for, and return what is new at all.

    One scan of the events answers every campaign; whose trigger asks for nothing that is new is asked no more.
    """
    triggers = [campaign.definition["trigger"] for campaign in campaigns]
    asked = {trigger.get("event") for trigger in triggers} | {BROADCAST_EVENT}
    query = statement(_PACKAGE, "happened").replace(
        "{group_id}", "group_id" if any(trigger["kind"] == "object" for trigger in triggers) else "null::varchar"
    )
    parent_as_of = None if run.parent_as_of is None else clock.naive(run.parent_as_of)
    values = {"events": sorted(name for name in asked if name is not None), "parent_as_of": parent_as_of}
    connection.execute(f"create or replace temp table happened as {query}", _now(run) | values)
    news = connection.execute(
        "select distinct 'event', event from happened union all select distinct change, segment from changes"
    ).fetchall()
    return frozenset((kind, name) for kind, name in news)


def name_people(
    connection: duckdb.DuckDBPyConnection, run: Run, campaign: CampaignSpec, news: News
) -> tuple[bool, dict[str, Any]]:
    """Make `triggers` if somebody can be named (else return false), and return what plan.json keeps of what is watched.

    The pieces of `watched:<slug>` are added to `run.relations`. Raises DefinitionError when the warehouse lacks what
    the trigger stands on.
    """
    trigger = campaign.definition["trigger"]
    notes: dict[str, Any] = {}
    named = True
    match trigger["kind"]:
        case "segment":
            named = _by_segment(connection, run, campaign, trigger, news)
        case "event" | "form":
            named = _by_event(connection, run, trigger, news)
        case "attribute":
            notes = _by_attribute(connection, run, campaign, trigger)
        case "date":
            named = _by_date(connection, run, campaign, trigger)
        case "broadcast" if trigger["segment"] is not None:
            named = _by_broadcast(connection, run, trigger)
        case "broadcast":
            slug = f"json_extract_string(happened.properties, '$.campaign') = {literal(campaign.slug)}"
            asked = {"event": BROADCAST_EVENT, "where_sql": slug, "occurrence": "key", "late": None}
            named = _by_event(connection, run, asked, news)
        case "object" if trigger["segment"] is not None:
            named, notes = _by_object_segment(connection, run, campaign, trigger)
        case "object":
            named = _by_object_event(connection, run, campaign, trigger, news)
        case kind:
            raise ValueError(f"no trigger is of the kind {kind!r}")
    return named, notes


def _triggers(connection: duckdb.DuckDBPyConnection, query: str, values: Mapping[str, Any] | None = None) -> None:
    connection.execute(f"create or replace temp table triggers as {query}", dict(values or {}))


def _now(run: Run) -> dict[str, Any]:
    return {"as_of": clock.naive(run.as_of)}


def _by_segment(
    connection: duckdb.DuckDBPyConnection, run: Run, campaign: CampaignSpec, trigger: Mapping[str, Any], news: News
) -> bool:
    occurrence = {"occurrence": clock.iso(run.as_of)}
    goes_live = campaign.definition["existing"] == "enroll" and campaign.status == "live" and not run.is_history
    goes_live = goes_live and not run.was_live(campaign.slug)
    if goes_live and trigger["on"] == "entered" and trigger["segment"] in run.bits:
        _triggers(connection, _everybody(run, trigger["segment"]), _now(run) | occurrence)
        return True
    values = _now(run) | occurrence | {"segment": trigger["segment"], "change": trigger["on"]}
    if is_new := (trigger["on"], trigger["segment"]) in news:
        _triggers(connection, statement(_PACKAGE, "trigger_segment"), values)
    return is_new


def _everybody(run: Run, segment: str) -> str:
    bit = run.bits[segment]
    return statement(_PACKAGE, "trigger_everybody").format(member=f"(w{bit.word} & {bit.mask}::ubigint) <> 0")


def _by_broadcast(connection: duckdb.DuckDBPyConnection, run: Run, trigger: Mapping[str, Any]) -> bool:
    at = clock.parse(trigger["at"])
    is_due = run.parent_as_of is not None and run.parent_as_of < at <= run.as_of
    if not is_due or trigger["segment"] not in run.bits:
        return False
    _triggers(connection, _everybody(run, trigger["segment"]), _now(run) | {"occurrence": clock.iso(at)})
    return True


def _by_event(
    connection: duckdb.DuckDBPyConnection,
    run: Run,
    trigger: Mapping[str, Any],
    news: News,
    people: str = "",
    person: str = "happened.person_id",
    object_id: str = "null::varchar",
) -> bool:
    if ("event", trigger["event"]) not in news:
        return False
    occurrence = "happened.source || ':' || happened.event_id"
    if trigger.get("occurrence"):
        path = literal(f'$."{trigger["occurrence"]}"')
        occurrence = f"coalesce(json_extract_string(happened.properties, {path}), {occurrence})"
    if people:
        occurrence = f"{object_id} || ':' || {occurrence}"
    query = statement(_PACKAGE, "trigger_event")
    for name, text in (
        ("person", person),
        ("occurrence", occurrence),
        ("people", people),
        ("object_id", object_id),
        ("where", trigger["where_sql"] or "true"),
    ):
        query = query.replace(f"{{{name}}}", text)
    late = int(DEFAULT_LATE.total_seconds()) if trigger["late"] is None else trigger["late"]
    _triggers(connection, query, {"event": trigger["event"], "late": late})
    return True


def _by_object_event(
    connection: duckdb.DuckDBPyConnection, run: Run, campaign: CampaignSpec, trigger: Mapping[str, Any], news: News
) -> bool:
    _require(connection, campaign, "core.fct_object_people")
    people = (
        "inner join wh.core.fct_object_people as belongs"
        f" on belongs.object = {literal(trigger['object'])} and belongs.object_id = happened.group_id"
    )
    return _by_event(connection, run, trigger, news, people, "belongs.person_id", "happened.group_id")


# -- what is watched -------------------------------------------------------------------------------------------------


def _by_attribute(
    connection: duckdb.DuckDBPyConnection, run: Run, campaign: CampaignSpec, trigger: Mapping[str, Any]
) -> dict[str, Any]:
    column, features, relation = _column(connection, campaign, trigger["attribute"])
    watching = (
        f"select people.person_id::varchar as key, {column}::varchar as value from wh.core.dim_people as people"
        f" {features} where {column} is not null"
    )
    what = f"attribute:{trigger['attribute']}"
    query = statement(_PACKAGE, "trigger_attribute")
    values = {"from": trigger["from"], "to": trigger["to"], "occurrence": clock.iso(run.as_of)}
    return _watch(connection, run, campaign, relation, what, watching, query, _now(run) | values)


def _by_object_segment(
    connection: duckdb.DuckDBPyConnection, run: Run, campaign: CampaignSpec, trigger: Mapping[str, Any]
) -> tuple[bool, dict[str, Any]]:
    _require(connection, campaign, "core.fct_object_people")
    what, name = f"object_segment:{trigger['segment']}", f"watched:{campaign.slug}"
    if trigger["segment"] in run.failed:
        before = run.before(campaign.slug)
        run.relations[name] = run.parent.relations.get(name, ()) if run.parent else ()
        return False, {"watched": before.get("watched"), "watched_sql": before.get("watched_sql")}
    relation = f"object_segments.{trigger['segment']}"
    _require(connection, campaign, relation)
    watching = (
        f"select distinct object_id::varchar as key, 'in' as value from wh.{relation} where object_id is not null"
    )
    values = {"object": trigger["object"], "change": trigger["on"], "as_of_text": clock.iso(run.as_of)}
    query = statement(_PACKAGE, "trigger_object")
    return True, _watch(connection, run, campaign, relation, what, watching, query, _now(run) | values)


def _watch(
    connection: duckdb.DuckDBPyConnection,
    run: Run,
    campaign: CampaignSpec,
    relation: str,
    what: str,
    watching: str,
    query: str,
    values: Mapping[str, Any],
) -> dict[str, Any]:
    """Compare what is watched with what the parent kept; one that watched nothing, or another thing, names nobody."""
    name, before, sql = f"watched:{campaign.slug}", run.before(campaign.slug), run.fingerprints.get(relation)
    is_known = before.get("watched") == what
    # Who changes because somebody rewrote the SQL has done nothing.
    is_edited = before.get("watched_sql") not in (None, sql)
    refused = {"refused": "held_definition" if is_edited else "history" if run.is_history else None}
    pieces: tuple[Piece, ...] = run.parent.relations.get(name, ()) if run.parent and is_known else ()
    source = run.store.pieces(pieces, relations.WATCHED, relations.KEYS["watched"])
    connection.execute(f"create or replace temp table watching as {watching}")
    connection.execute(
        f"create or replace temp table watched as select * from {source} as kept where value is not null"
    )
    _triggers(connection, query if is_known else f"select * from ({query}) where false", {**values, **refused})
    run.relations[name] = run.store.overlay(
        connection, pieces, statement(_PACKAGE, "watched_since"), key=relations.KEYS["watched"], order="key"
    )
    return {"watched": what, "watched_sql": sql}


# -- dates -----------------------------------------------------------------------------------------------------------


def _by_date(
    connection: duckdb.DuckDBPyConnection, run: Run, campaign: CampaignSpec, trigger: Mapping[str, Any]
) -> bool:
    if run.parent_as_of is None:
        return False
    column, features, _ = _column(connection, campaign, trigger["attribute"])
    offset, day = timedelta(days=trigger["offset_days"]), timedelta(days=1)
    query = statement(_PACKAGE, "trigger_date_days").replace("{attribute}", column).replace("{features}", features)
    days = {"first": _midnight(run.parent_as_of) - day - offset, "last": _midnight(run.as_of) + day - offset}
    connection.execute(f"create or replace temp table born as {query}", days | {"every": trigger["every"]})
    connection.execute("create or replace temp table asked as select distinct person_id from born")
    define_time(connection)
    zones(connection, run.rules.timezone)
    local = f"day + to_days({int(trigger['offset_days'])}) + to_minutes({int(trigger['at'])})"
    connection.execute(
        f"create or replace temp table moments as select zone, day, at_local(zone, {local}) as moment from"
        " (select distinct zones.zone, born.day::timestamp as day from born"
        " inner join zones on zones.person_id = born.person_id)"
    )
    values = {"parent_as_of": clock.naive(run.parent_as_of)}
    _triggers(connection, statement(_PACKAGE, "trigger_date"), _now(run) | values)
    return True


def _midnight(moment: datetime) -> datetime:
    return clock.naive(moment).replace(hour=0, minute=0, second=0, microsecond=0)


# -- what the warehouse must have ------------------------------------------------------------------------------------


def _column(connection: duckdb.DuckDBPyConnection, campaign: CampaignSpec, attribute: str) -> tuple[str, str, str]:
    """Return the person's attribute as SQL, the join that it takes beside `dim_people as people`, and its relation."""
    for alias, table in (("people", "dim_people"), ("features", "dim_person_features")):
        if attribute in engine.columns(connection, f"wh.core.{table}"):
            join = "" if alias == "people" else f"left join wh.core.{table} as features using (person_id)"
            return f"{alias}.{identifier(attribute)}", join, f"core.{table}"
    raise _problem(
        campaign,
        f"the trigger's attribute `{attribute}` is in neither dim_people nor dim_person_features; expected one of their"
        " columns: name another, or add it to the model",
    )


def _require(connection: duckdb.DuckDBPyConnection, campaign: CampaignSpec, relation: str) -> None:
    schema, _, name = relation.partition(".")
    found = connection.execute(
        "select 1 from information_schema.tables where table_catalog = 'wh' and table_schema = $schema"
        " and table_name = $name",
        {"schema": schema, "name": name},
    ).fetchall()
    if not found:
        raise _problem(
            campaign,
            f"its object trigger stands on {relation}, which the warehouse does not have; expected the model: build it,"
            " or name another object segment",
        )


def _problem(campaign: CampaignSpec, message: str) -> DefinitionError:
    return DefinitionError(Problem(f"campaigns/{campaign.slug}/campaign.yml", None, message))


def left_trigger(definition: Mapping[str, Any], run: Run, person: str) -> str:
    """Return SQL that is true when the person is not in the trigger's segment any more (with `on: left`: is again)."""
    trigger = definition["trigger"]
    if trigger.get("segment") not in run.bits:
        return "false"
    inside = truth({"in": trigger["segment"]}, person=person, bits=run.bits)
    return inside if trigger.get("on") == "left" else f"not {inside}"
