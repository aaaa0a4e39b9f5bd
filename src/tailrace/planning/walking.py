"""What do those who can go on do in this run, in every campaign at once?

Works on the plan's connection, after `exits` has ended whom it ends: makes `flight` and `entering` for all campaigns,
runs one statement for all versions of the same steps that somebody is on (`journey`), and makes of what they say, all
together, the rows of `moves`, `assigned`, `candidates` and `acts`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa

from tailrace import clock
from tailrace.engine import literal, statement
from tailrace.planning import people, relations
from tailrace.planning.condition import needs
from tailrace.planning.journey import compares, compile_version
from tailrace.planning.run import CampaignSpec, Run
from tailrace.planning.steps import conditions_of, steps_of
from tailrace.planning.verdict import Reason

_PACKAGE = "tailrace.planning"

_WALKED = (
    "create or replace temp table walked (campaign varchar, version varchar, enrollment_id varchar, person_id bigint,"
    " position integer, kind varchar, from_step varchar, to_step varchar, why varchar, message varchar, act varchar,"
    " name varchar, due_at timestamp)"
)

_WALKS = pa.schema([("walk", pa.int32()), ("campaign", pa.string()), ("version", pa.string())])
_DEEDS = pa.schema(
    [
        ("campaign", pa.string()),
        ("version", pa.string()),
        ("step", pa.string()),
        ("class", pa.string()),
        ("channel", pa.string()),
        ("priority", pa.int32()),
        ("expires", pa.int64()),
        ("refused", pa.string()),
        ("trigger_segment", pa.string()),
        ("object", pa.string()),
    ]
)
_CHANGES = pa.schema(
    [
        ("campaign", pa.string()),
        ("version", pa.string()),
        ("step", pa.string()),
        ("kind", pa.string()),
        ("name", pa.string()),
        ("value", pa.string()),
    ]
)


class _Version(NamedTuple):
    """A version on which somebody can go on: the steps at which they rest, and whether somebody enters it."""

    campaign: CampaignSpec
    version: str
    definition: Mapping[str, Any]
    resting: Collection[str]
    enters: bool


def walk(
    connection: duckdb.DuckDBPyConnection,
    run: Run,
    campaigns: Sequence[CampaignSpec],
    versions: Mapping[str, Mapping[str, Mapping[str, Any]]],
) -> None:
    """Walk everybody who can go on, and add what they do to the tables of `enrollment.TABLES`.

    `versions` are each campaign's definitions by version. Only today's version is entered.
    """
    now = {"as_of": clock.naive(run.as_of)}
    connection.execute(f"create or replace temp table flight as {statement(_PACKAGE, 'flight')}", now)
    connection.execute(f"create or replace temp table entering as {statement(_PACKAGE, 'entering')}")
    walked = list(_walked(connection, campaigns, versions))
    if not walked:
        return
    connection.execute(_WALKED)
    alike = _alike(walked)
    rows = [
        {"walk": number, "campaign": version.campaign.slug, "version": version.version}
        for number, together in enumerate(alike)
        for version in together
    ]
    _table(connection, "walks", rows, _WALKS)
    for number, together in enumerate(alike):
        _walk(connection, run, number, together)
    connection.execute(
        "insert into moves select enrollment_id, campaign, version, person_id, position, from_step, to_step, why"
        " from walked where kind = 'move'"
    )
    connection.execute(
        "insert into assigned select campaign, enrollment_id, position, person_id, to_step, name"
        " from walked where kind = 'assign'"
    )
    _table(connection, "deeds", [row for version in walked for row in _deeds(version)], _DEEDS)
    _table(connection, "changes_of", [row for version in walked for row in _changes(version)], _CHANGES)
    for table in ("candidates", "acts"):
        connection.execute(f"insert into {table} by name {statement(_PACKAGE, table)}")


def _walked(
    connection: duckdb.DuckDBPyConnection,
    campaigns: Sequence[CampaignSpec],
    versions: Mapping[str, Mapping[str, Mapping[str, Any]]],
) -> list[_Version]:
    walking = {campaign.slug: campaign for campaign in campaigns if campaign.walks}
    rows = connection.execute(
        "select campaign, version, list(distinct step order by step) filter (not enters), bool_or(enters) from ("
        "select campaign, version, step, false as enters from flight"
        " union all select campaign, version, null, true from entering) group by campaign, version order by all"
    ).fetchall()
    return [
        _Version(walking[slug], version, versions[slug][version], resting or (), enters)
        for slug, version, resting, enters in rows
        if slug in walking
    ]


def _alike(versions: Sequence[_Version]) -> list[list[_Version]]:
    """Return the versions in groups that one statement walks: to plan it costs as much as to walk thousands.

    A split draws by the campaign's slug, so versions with one are alike within their campaign only.
    """
    groups: dict[str, list[_Version]] = {}
    for version in versions:
        steps = version.definition["steps"]
        drawn = version.campaign.slug if _splits(steps) else None
        says = json.dumps([steps, version.definition["expires"], drawn], sort_keys=True)
        groups.setdefault(says, []).append(version)
    return list(groups.values())


def _splits(steps: Sequence[Mapping[str, Any]]) -> bool:
    return any(step.kind == "split" for step in steps_of(steps))


def _walk(connection: duckdb.DuckDBPyConnection, run: Run, number: int, versions: Sequence[_Version]) -> None:
    """Run the statement of these versions, the rows `number` of `walks`, and add what it says to `walked`."""
    first = versions[0]
    slug, steps = first.campaign.slug, first.definition["steps"]
    mine = (
        f"campaign = {literal(slug)} and version = {literal(first.version)}"
        if len(versions) == 1
        else f"(campaign, version) in (select campaign, version from walks where walk = {number})"
    )
    here = f"select person_id from flight where {mine} union select person_id from entering where {mine}"
    conditions = list(conditions_of(steps))
    if conditions:
        people.describe(connection, needs(conditions).columns, here)
    if _splits(steps):
        assignments = run.store.source(run.parent, f"assignments:{slug}", relations.ASSIGNMENTS)
        connection.execute(
            "create or replace temp table assignments as select person_id, step, name"
            f" from {assignments} as kept where person_id in ({here})"
        )
    flight, entering = (_with_events(of, mine) if compares(steps) else of for of in ("flight", "entering"))
    query = compile_version(
        slug,
        steps,
        run.bits,
        first.definition["expires"],
        "postponed",
        flight=f"(select * from {flight} where {mine}) as flight",
        entering=f"(select * from {entering} where {mine}) as entering"
        if any(version.enters for version in versions)
        else None,
        resting={step for version in versions for step in version.resting},
    )
    names = "select campaign, version, enrollment_id from"
    connection.execute(
        f"insert into walked select named.campaign, named.version, walking.* from ({query}) as walking"
        f" inner join ({names} flight where {mine} union all {names} entering where {mine}) as named"
        " on named.enrollment_id = walking.enrollment_id",
        {"as_of": clock.naive(run.as_of)} if "$as_of" in query else {},
    )


def _with_events(relation: str, mine: str) -> str:
    """Return the rows of `flight` or `entering` with the properties of the event that started each pass."""
    return f"({relation} inner join (select enrollment_id, event from passes where {mine}) using (enrollment_id))"


def _deeds(version: _Version) -> list[dict[str, Any]]:
    """Return of each step that does something what its candidates are: class, channel (None: no message), and so on."""
    campaign, definition = version.campaign, version.definition
    classes = {"send": definition["class"], "notify": "staff"}
    trigger = definition["trigger"]
    shared = {
        "campaign": campaign.slug,
        "version": version.version,
        "priority": campaign.priority,
        "expires": definition["expires"],
        "refused": str(Reason.PAUSED) if campaign.status == "paused" else None,
        "trigger_segment": trigger.get("segment") if trigger["kind"] in ("segment", "broadcast") else None,
        "object": trigger.get("object"),
    }
    rows = []
    for step in steps_of(definition["steps"]):
        spec = campaign.messages.get(step.facts[step.kind]) if step.kind in ("send", "notify", "webhook") else None
        rows.append(
            shared
            | {
                "step": step.id,
                "class": classes.get(step.kind, "action"),
                "channel": spec.channel if spec else "email" if step.kind == "send" else None,
            }
        )
    return rows


def _changes(version: _Version) -> list[dict[str, Any]]:
    """Return what each step changes of a person."""
    rows = []
    for step in steps_of(version.definition["steps"]):
        mine = {"campaign": version.campaign.slug, "version": version.version, "step": step.id}
        if step.kind == "update":
            rows += [
                mine | {"kind": "update", "name": name, "value": json.dumps(value, ensure_ascii=False)}
                for name, value in sorted(step.facts["update"].items())
            ]
        elif step.kind in ("add_to", "remove_from"):
            kind = "add" if step.kind == "add_to" else "remove"
            rows.append(mine | {"kind": kind, "name": step.facts[step.kind], "value": None})
    return rows


def _table(connection: duckdb.DuckDBPyConnection, name: str, rows: list[dict[str, Any]], schema: pa.Schema) -> None:
    connection.register("given", pa.Table.from_pylist(rows, schema=schema))
    connection.execute(f"create or replace temp table {name} as select * from given")
    connection.unregister("given")
