"""Who is where in each campaign after this plan, and whom does it consider for what?

Works on the plan's connection, on the tables `changes`, `current`, `new_loads` and the warehouse `wh`, and fills
the tables `moves` and `candidates` (see `TABLES`). A campaign version is one statement (`journey`); no
loop goes over people.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import duckdb

from tailrace import clock
from tailrace.engine import statement
from tailrace.planning import relations
from tailrace.planning.journey import compile_version
from tailrace.planning.memberships import Bit
from tailrace.planning.store import Piece, Plan, Store
from tailrace.planning.verdict import ENTRY, Reason

_PACKAGE = "tailrace.planning"

DEFAULT_LATE = timedelta(days=3)
"""How late an event may land and still trigger, when neither campaign nor contract says."""

TABLES = {
    # move of an enrollment in this plan
    "moves": "enrollment_id varchar, campaign varchar, version varchar, person_id bigint, position integer,"
    " from_step varchar, to_step varchar, why varchar",
    # person × message or entry to be judged; refused is a reason that is known already
    "candidates": "intent_id varchar, enrollment_id varchar, campaign varchar, version varchar, step varchar,"
    " message varchar, person_id bigint, channel varchar, class varchar, priority integer, arm varchar,"
    " due_at timestamp, expires_at timestamp, refused varchar, event varchar, trigger_segment varchar",
}


@dataclass(frozen=True)
class MessageSpec:
    """A message as planning needs it: what to keep for rendering, and which fields its payload must or may carry.

    Fields are (root, name) with root `customer`, `event` or `segment`.
    """

    message_key: str
    channel: str
    kind: str
    source: str
    required: frozenset[tuple[str, str]]
    optional: frozenset[tuple[str, str]]


@dataclass(frozen=True)
class CampaignSpec:
    """A campaign as planning needs it: today's status and copy, and the definition that is new entrants' version.

    `definition` and the keys of `steps` in it are `campaigns.definition.Campaign.definition()`.
    """

    slug: str
    version: str
    definition: Mapping[str, Any]
    status: str
    sending: str
    priority: int
    messages: Mapping[str, MessageSpec] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """The instants and inputs that every campaign of one plan shares. `parent_as_of` is None in the first plan."""

    as_of: datetime
    parent_as_of: datetime | None
    store: Store
    parent: Plan | None
    bits: Mapping[str, Bit]
    parked_segments: Mapping[str, str]


def make_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the empty tables that every campaign of the plan adds to."""
    for name, columns in TABLES.items():
        connection.execute(f"create or replace temp table {name} ({columns})")


def plan_campaign(
    connection: duckdb.DuckDBPyConnection, run: Run, campaign: CampaignSpec
) -> dict[str, tuple[Piece, ...]]:
    """Plan one campaign: add its moves and candidates, store its enrollments and versions, return those relations."""
    slug, as_of = campaign.slug, clock.naive(run.as_of)
    enrolled = run.store.source(run.parent, f"enrollments:{slug}", relations.ENROLLMENTS)
    connection.execute(f"create or replace temp table enrolled as select * from {enrolled}")
    _name_triggers(connection, run, campaign)
    _admit(connection, campaign)
    versions = _versions(connection, run, campaign)
    connection.execute(
        "create or replace temp table reached (enrollment_id varchar, goal_at timestamp, is_exit boolean)"
    )
    for version, definition in versions.items():
        _reach_goals(connection, campaign, version, definition, as_of)
    if campaign.status == "ended":
        _add(connection, "moves", "ended", {"campaign": slug})
    elif campaign.status != "draft":
        for version, definition in versions.items():
            _walk(connection, campaign, version, definition, as_of)
        _hold_back(connection, slug)
    _add(
        connection,
        "candidates",
        "refused_entries",
        {
            "campaign": slug,
            "version": campaign.version,
            "step": ENTRY,
            "class": campaign.definition["class"],
            "priority": campaign.priority,
        },
    )
    return _store(connection, run, campaign, versions)


def _name_triggers(connection: duckdb.DuckDBPyConnection, run: Run, campaign: CampaignSpec) -> None:
    """Make `triggers`: whom the trigger names in this plan. The first plan knows no events that are new."""
    trigger = campaign.definition["trigger"]
    values: dict[str, Any] = {"as_of": clock.naive(run.as_of)}
    if "event" in trigger:
        name = "trigger_event"
        late = DEFAULT_LATE.total_seconds() if trigger["late"] is None else trigger["late"]
        values |= {"event": trigger["event"], "late": int(late)}
        values |= {"parent_as_of": clock.naive(run.parent_as_of) if run.parent_as_of else None}
        query = statement(_PACKAGE, name).replace("{where}", trigger["where_sql"] or "true")
    elif _goes_live_with_everyone(run, campaign) and trigger["segment"] in run.bits:
        bit = run.bits[trigger["segment"]]
        query = statement(_PACKAGE, "trigger_members").format(column=f"w{bit.word}", mask=bit.mask)
    else:
        query = statement(_PACKAGE, "trigger_segment")
        values |= {"segment": trigger["segment"], "change": trigger["on"]}
    connection.execute(f"create or replace temp table triggers as {query}", values)


def _goes_live_with_everyone(run: Run, campaign: CampaignSpec) -> bool:
    before = (run.parent.campaigns if run.parent else {}).get(campaign.slug, {})
    return campaign.definition["existing"] == "enroll" and campaign.status == "live" and before.get("status") != "live"


def _admit(connection: duckdb.DuckDBPyConnection, campaign: CampaignSpec) -> None:
    refusal = {"draft": Reason.DRAFT, "paused": Reason.PAUSED, "ended": Reason.ENDED}.get(campaign.status)
    connection.execute(
        f"create or replace temp table entries as {statement('tailrace.planning', 'entries')}",
        {
            "campaign": campaign.slug,
            "holdout_bp": campaign.definition["holdout_bp"],
            "status_refusal": str(refusal) if refusal else None,
        },
    )


def _versions(connection: duckdb.DuckDBPyConnection, run: Run, campaign: CampaignSpec) -> dict[str, Mapping[str, Any]]:
    """Return every version that somebody is or was on, and today's, with its definition."""
    source = run.store.source(run.parent, f"versions:{campaign.slug}", relations.VERSIONS)
    known = connection.execute(f"select version, source from {source} order by version").fetchall()
    return {version: json.loads(text) for version, text in known} | {campaign.version: campaign.definition}


def _reach_goals(
    connection: duckdb.DuckDBPyConnection,
    campaign: CampaignSpec,
    version: str,
    definition: Mapping[str, Any],
    as_of: datetime,
) -> None:
    goal = definition["goal"]
    if goal is None:
        return
    is_current = version == campaign.version
    connection.execute(
        f"insert into reached select enrollment_id, goal_at, {bool(goal['exit'])}"
        f" from ({statement(_PACKAGE, 'goals')})",
        {
            "version": version,
            "is_current": is_current,
            "goal": goal["event"],
            "within": goal["within"],
            "as_of": as_of,
        },
    )
    _add(connection, "moves", "converted", {"campaign": campaign.slug, "version": version, "is_current": is_current})


def _walk(
    connection: duckdb.DuckDBPyConnection,
    campaign: CampaignSpec,
    version: str,
    definition: Mapping[str, Any],
    as_of: datetime,
) -> None:
    """Run the version's statement and add its moves and candidates. Only today's version is entered."""
    _make(connection, "flight", "flight", {"version": version})
    _make(connection, "entering", "entering", {})
    if version != campaign.version:
        connection.execute("delete from entering")
    connection.execute(
        f"create or replace temp table walked as {compile_version(definition['steps'])}", {"as_of": as_of}
    )
    connection.execute(
        "insert into moves select enrollment_id, $campaign, $version, person_id, position, from_step, to_step, why"
        " from walked where kind = 'move'",
        {"campaign": campaign.slug, "version": version},
    )
    refused = None
    if campaign.status == "paused":
        refused = str(Reason.PAUSED)
    elif campaign.sending == "draft":
        refused = str(Reason.AWAITING_APPROVAL)
    _add(
        connection,
        "candidates",
        "candidates",
        {
            "campaign": campaign.slug,
            "version": version,
            "class": definition["class"],
            "priority": campaign.priority,
            "expires": definition["expires"],
            "refused": refused,
            "segment": definition["trigger"].get("segment"),
        },
    )


def _hold_back(connection: duckdb.DuckDBPyConnection, slug: str) -> None:
    """Take back the moves and candidates beyond a message that is deferred."""
    _make(connection, "beyond", "beyond", {"campaign": slug})
    for table, column in (("candidates", "step"), ("moves", "to_step")):
        connection.execute(
            f"delete from {table} where exists (select 1 from beyond where beyond.enrollment_id ="
            f" {table}.enrollment_id and beyond.to_step is not distinct from {table}.{column})"
        )


def _store(
    connection: duckdb.DuckDBPyConnection, run: Run, campaign: CampaignSpec, versions: Mapping[str, Mapping[str, Any]]
) -> dict[str, tuple[Piece, ...]]:
    slug = campaign.slug
    enrollments = run.store.put(
        connection,
        statement(_PACKAGE, "enrollments"),
        {"campaign": slug, "version": campaign.version, "as_of": clock.naive(run.as_of)},
    )
    sources = {version: json.dumps(facts, sort_keys=True, ensure_ascii=False) for version, facts in versions.items()}
    text = run.store.put(
        connection,
        "select $campaign as campaign, unnest($versions) as version, unnest($sources) as source order by version",
        {"campaign": slug, "versions": list(sources), "sources": list(sources.values())},
    )
    return {f"enrollments:{slug}": (enrollments,), f"versions:{slug}": (text,)}


def _make(connection: duckdb.DuckDBPyConnection, table: str, name: str, values: Mapping[str, Any]) -> None:
    connection.execute(f"create or replace temp table {table} as {statement(_PACKAGE, name)}", dict(values))


def _add(connection: duckdb.DuckDBPyConnection, table: str, name: str, values: Mapping[str, Any]) -> None:
    connection.execute(f"insert into {table} {statement(_PACKAGE, name)}", dict(values))
