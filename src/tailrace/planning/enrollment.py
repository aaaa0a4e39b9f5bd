"""Who is where in each campaign after this plan, and whom does it consider for what?

Works on the plan's connection, on the tables `changes`, `current`, `new_loads` and the warehouse `wh`, in the order
that docs/engine.md gives: `plan_campaign` for each campaign, arbitration for all, `hold_back`, then `keep_campaign`.
A campaign version is one statement (`journey`); no loop goes over people.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import duckdb
import pyarrow as pa

from tailrace import clock, engine
from tailrace.engine import statement
from tailrace.planning import admission, exits, passes, people, relations
from tailrace.planning.condition import needs
from tailrace.planning.journey import compile_version
from tailrace.planning.migration import migrate, migration
from tailrace.planning.passes import stir
from tailrace.planning.run import CampaignSpec, MessageSpec, Run
from tailrace.planning.steps import conditions_of, steps_of
from tailrace.planning.trigger import name_people
from tailrace.planning.verdict import Reason

__all__ = ["TABLES", "CampaignSpec", "MessageSpec", "Run", "hold_back", "keep_campaign", "make_tables", "plan_campaign"]

_PACKAGE = "tailrace.planning"

TABLES = {
    # move of an enrollment in this plan
    "moves": "enrollment_id varchar, campaign varchar, version varchar, person_id bigint, position integer,"
    " from_step varchar, to_step varchar, why varchar",
    # person × message, action or entry to be judged; refused: a reason known already; position: the step's place
    "candidates": "intent_id varchar, enrollment_id varchar, campaign varchar, version varchar, step varchar,"
    " position integer, message varchar, person_id bigint, channel varchar, class varchar, priority integer,"
    " arm varchar, due_at timestamp, expires_at timestamp, refused varchar, next_at timestamp, event varchar,"
    " trigger_segment varchar, object varchar, object_id varchar",
    # see relations.ACTS
    "acts": "intent_id varchar, enrollment_id varchar, position integer, person_id bigint, campaign varchar,"
    " step varchar, kind varchar, name varchar, value varchar",
    # arm of a split that a person got in this plan
    "assigned": "campaign varchar, enrollment_id varchar, position integer, person_id bigint, step varchar,"
    " name varchar",
    # person who stands in a campaign after the walk, in arm treated; of campaigns in exclusive groups
    "passing": "campaign varchar, person_id bigint",
}

_CLOCKS = pa.schema(
    [("campaign", pa.string()), ("version", pa.string()), ("step", pa.string()), ("seconds", pa.int64())]
)
_DEEDS = pa.schema([("step", pa.string()), ("class", pa.string()), ("channel", pa.string())])
_CHANGES = pa.schema([("step", pa.string()), ("kind", pa.string()), ("name", pa.string()), ("value", pa.string())])


def make_tables(connection: duckdb.DuckDBPyConnection, run: Run, responses: pa.Table) -> None:
    """Make the tables that every campaign of the plan adds to, and those that each of them reads.

    `responses` has at least enrollment_id, step, status_code and body: every answer to a webhook step so far.
    """
    for name, columns in TABLES.items():
        connection.execute(f"create or replace temp table {name} ({columns})")
    passes.make_tables(connection)
    connection.register("given", responses)
    connection.execute(
        "create or replace temp table responses as select enrollment_id, step, status_code, body from given"
    )
    connection.unregister("given")
    verdicts = run.store.source(run.parent, "verdicts", relations.VERDICTS)
    connection.execute(
        f"create or replace temp table postponed as select campaign, enrollment_id, step from {verdicts} as before"
        " where verdict = 'defer' and class = 'action'"
    )


def plan_campaign(connection: duckdb.DuckDBPyConnection, run: Run, campaign: CampaignSpec) -> dict[str, Any]:
    """Plan one campaign as far as arbitration; return what plan.json keeps of it besides counts.

    Adds to the tables of `make_tables`, and `versions:<slug>` and `watched:<slug>` to `run.relations`.
    """
    slug, as_of = campaign.slug, clock.naive(run.as_of)
    passes.show_enrolled(connection, run, slug)
    versions = _versions(connection, run, campaign)
    notes: dict[str, Any] = {"migration": migration(connection, run, campaign, versions)}
    if campaign.walks:
        stir(connection, slug, f"wake_at <= timestamp '{as_of}'")
    notes |= _hold_clocks(connection, run, campaign)
    if campaign.status != "draft":
        migrate(connection, campaign, versions)
    notes |= name_people(connection, run, campaign)
    admission.admit(connection, run, campaign)
    if campaign.status != "draft":
        exits.end_early(connection, run, campaign, versions)
        if campaign.status == "ended" and not campaign.walks:
            stir(connection, slug, f"wake_at < {relations.FOREVER}")
        exits.end(connection, campaign)
        _add(connection, "moves", "over", {"campaign": slug})
    if campaign.walks:
        for version in _walking(connection, campaign, as_of):
            _walk(connection, run, campaign, version, versions[version])
    admission.note_refused(connection, campaign)
    _note_passing(connection, run, slug)
    return notes


def hold_back(connection: duckdb.DuckDBPyConnection) -> None:
    """Take back what passes did beyond a message that was deferred: moves, candidates with verdicts, acts, arms."""
    connection.execute(f"create or replace temp table beyond as {statement(_PACKAGE, 'beyond')}")
    far = (
        "exists (select 1 from beyond where beyond.campaign = {table}.campaign"
        " and beyond.enrollment_id = {table}.enrollment_id and {table}.position > beyond.position)"
    )
    connection.execute(
        "delete from verdicts where intent_id in (select intent_id from candidates"
        f" where {far.format(table='candidates')})"
    )
    for table in ("moves", "candidates", "acts", "assigned"):
        connection.execute(f"delete from {table} where {far.format(table=table)}")


def keep_campaign(connection: duckdb.DuckDBPyConnection, run: Run, campaign: CampaignSpec) -> dict[str, Any]:
    """Store where everybody is now, and who got which arm; return what plan.json keeps of it."""
    slug = campaign.slug
    enrolled = passes.store(connection, run, campaign)
    name = f"assignments:{slug}"
    before = run.parent.relations.get(name, ()) if run.parent else ()
    if not before and not engine.row(connection, "select exists (select 1 from assigned)")[0]:
        return {"enrolled": enrolled}
    run.relations[name] = run.store.overlay(
        connection,
        before,
        "select person_id, step, min(name) as name from assigned where campaign = $campaign group by person_id, step",
        key=relations.KEYS["assignments"],
        order="person_id, step",
        values={"campaign": slug},
    )
    return {"enrolled": enrolled}


def _versions(connection: duckdb.DuckDBPyConnection, run: Run, campaign: CampaignSpec) -> dict[str, Mapping[str, Any]]:
    """Return every version that somebody is or was on, and today's, with its definition; store them."""
    name = f"versions:{campaign.slug}"
    source = run.store.source(run.parent, name, relations.VERSIONS)
    known = connection.execute(f"select version, source from {source} as kept order by version").fetchall()
    before = {version: json.loads(text) for version, text in known}
    versions = before | {campaign.version: campaign.definition}
    if run.parent is not None and before == versions:
        run.relations[name] = run.parent.relations[name]
    else:
        sources = {
            version: json.dumps(facts, sort_keys=True, ensure_ascii=False) for version, facts in versions.items()
        }
        text = "select $campaign as campaign, unnest($versions) as version, unnest($sources) as source order by version"
        values = {"campaign": campaign.slug, "versions": list(sources), "sources": list(sources.values())}
        run.relations[name] = (run.store.put(connection, text, values),)
    clocks = [
        {"campaign": campaign.slug, "version": version, "step": step.id, "seconds": int(step.facts["wait"])}
        for version, definition in versions.items()
        for step in steps_of(definition["steps"])
        if step.kind == "wait"
    ]
    _table(connection, "given_clocks", clocks, _CLOCKS)
    connection.execute("insert into clocks select * from given_clocks")
    return versions


def _hold_clocks(connection: duckdb.DuckDBPyConnection, run: Run, campaign: CampaignSpec) -> dict[str, Any]:
    """Shift the clocks of a campaign that goes on after a pause that held them; note when a pause began."""
    since = run.before(campaign.slug).get("paused_since")
    if campaign.status == "paused":
        return {"paused_since": since or clock.iso(run.as_of)}
    if since is not None and campaign.on_pause == "hold":
        stir(connection, campaign.slug, f"wake_at < {relations.FOREVER}")
        shift = int((run.as_of - clock.parse(since)) / timedelta(microseconds=1))
        connection.execute(
            "update passes set arrived_at = arrived_at + to_microseconds($shift), is_changed = true,"
            " wake_at = wake_at + to_microseconds($shift) where campaign = $campaign and status = 'active'",
            {"campaign": campaign.slug, "shift": shift},
        )
    return {}


def _walking(connection: duckdb.DuckDBPyConnection, campaign: CampaignSpec, as_of: Any) -> list[str]:
    rows = connection.execute(
        "select distinct version from passes where campaign = $campaign and status = 'active' and over is null"
        " and wake_at <= $as_of order by version",
        {"campaign": campaign.slug, "as_of": as_of},
    ).fetchall()
    return [version for (version,) in rows]


def _walk(
    connection: duckdb.DuckDBPyConnection,
    run: Run,
    campaign: CampaignSpec,
    version: str,
    definition: Mapping[str, Any],
) -> None:
    """Run the version's statement and add what it says. Only today's version is entered."""
    slug, steps = campaign.slug, definition["steps"]
    mine, now = {"campaign": slug, "version": version}, {"as_of": clock.naive(run.as_of)}
    _make(connection, "flight", "flight", mine | now)
    _make(connection, "entering", "entering", mine)
    here = "select person_id from flight union select person_id from entering"
    people.describe(connection, needs(conditions_of(steps)).columns, here)
    assignments = run.store.source(run.parent, f"assignments:{slug}", relations.ASSIGNMENTS)
    connection.execute(
        "create or replace temp table assignments as select person_id, step, name"
        f" from {assignments} as kept where person_id in ({here})"
    )
    deferred = f"(select enrollment_id, step from postponed where campaign = '{slug}')"
    query = compile_version(slug, steps, run.bits, definition["expires"], deferred)
    connection.execute(f"create or replace temp table walked as {query}", now)
    connection.execute(
        "insert into moves select enrollment_id, $campaign, $version, person_id, position, from_step, to_step, why"
        " from walked where kind = 'move'",
        mine,
    )
    connection.execute(
        "insert into assigned select $campaign, enrollment_id, position, person_id, to_step, name"
        " from walked where kind = 'assign'",
        {"campaign": slug},
    )
    _table(connection, "deeds", _deeds(campaign, definition), _DEEDS)
    _table(connection, "changes_of", _changes(definition), _CHANGES)
    trigger = definition["trigger"]
    by_segment = trigger["kind"] in ("segment", "broadcast")
    _add(
        connection,
        "candidates",
        "candidates",
        mine
        | {
            "priority": campaign.priority,
            "expires": definition["expires"],
            "refused": str(Reason.PAUSED) if campaign.status == "paused" else None,
            "segment": trigger.get("segment") if by_segment else None,
            "object": trigger.get("object"),
        },
    )
    _add(connection, "acts", "acts", {"campaign": slug})


def _deeds(campaign: CampaignSpec, definition: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return of each step that does something: its class, and the channel of its message (None: it has none)."""
    classes = {"send": definition["class"], "notify": "staff"}
    rows = []
    for step in steps_of(definition["steps"]):
        spec = campaign.messages.get(step.facts[step.kind]) if step.kind in ("send", "notify", "webhook") else None
        rows.append(
            {
                "step": step.id,
                "class": classes.get(step.kind, "action"),
                "channel": spec.channel if spec else "email" if step.kind == "send" else None,
            }
        )
    return rows


def _changes(definition: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what each step changes of a person."""
    rows = []
    for step in steps_of(definition["steps"]):
        if step.kind == "update":
            rows += [
                {"step": step.id, "kind": "update", "name": name, "value": json.dumps(value, ensure_ascii=False)}
                for name, value in sorted(step.facts["update"].items())
            ]
        elif step.kind in ("add_to", "remove_from"):
            kind = "add" if step.kind == "add_to" else "remove"
            rows.append({"step": step.id, "kind": kind, "name": step.facts[step.kind], "value": None})
    return rows


def _note_passing(connection: duckdb.DuckDBPyConnection, run: Run, slug: str) -> None:
    """Note who stands in the campaign after the walk, if another one may have to wait for it."""
    if any(slug in group for group in run.rules.exclusive):
        _add(connection, "passing", "passing", {"campaign": slug})


def _table(connection: duckdb.DuckDBPyConnection, name: str, rows: list[dict[str, Any]], schema: pa.Schema) -> None:
    connection.register("given", pa.Table.from_pylist(rows, schema=schema))
    connection.execute(f"create or replace temp table {name} as select * from given")
    connection.unregister("given")


def _make(connection: duckdb.DuckDBPyConnection, table: str, name: str, values: Mapping[str, Any]) -> None:
    connection.execute(f"create or replace temp table {table} as {statement(_PACKAGE, name)}", dict(values))


def _add(connection: duckdb.DuckDBPyConnection, table: str, name: str, values: Mapping[str, Any]) -> None:
    connection.execute(f"insert into {table} by name {statement(_PACKAGE, name)}", dict(values))
