"""Who is where in each campaign after this plan, and whom does it consider for what?

Works on the plan's connection, on the tables `changes`, `current`, `new_loads` and the warehouse `wh`, in the order
that docs/engine.md gives: `plan_campaigns`, arbitration, `hold_back`, then `keep_campaigns`. No loop goes over people.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import duckdb
import pyarrow as pa

from tailrace import clock
from tailrace.engine import statement
from tailrace.planning import admission, corrections, exits, passes, relations, trigger, walking
from tailrace.planning.doubles import end_doubles
from tailrace.planning.migration import migrate, migration
from tailrace.planning.passes import stir
from tailrace.planning.run import CampaignSpec, MessageSpec, Run
from tailrace.planning.steps import steps_of
from tailrace.planning.trigger import News

__all__ = ["TABLES", "CampaignSpec", "MessageSpec", "Run", "hold_back", "keep_campaigns", "plan_campaigns"]

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


def make_tables(connection: duckdb.DuckDBPyConnection, run: Run, responses: pa.Table) -> None:
    """Make the tables that every campaign of the plan adds to, and those that each of them reads.

    `responses` has at least enrollment_id, step, status_code and body: every answer to a webhook step so far.
    """
    # Objects of the store never change, and a campaign's are opened several times.
    connection.execute("set parquet_metadata_cache = true")
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


def plan_campaigns(
    connection: duckdb.DuckDBPyConnection, run: Run, campaigns: Sequence[CampaignSpec], responses: pa.Table
) -> dict[str, dict[str, Any]]:
    """Plan the campaigns as far as arbitration; return what plan.json keeps of each besides counts.

    Fills the tables of `TABLES`, and adds `versions:<slug>` and `watched:<slug>` to `run.relations`. What can be asked
    of all campaigns at once is: a statement costs more than the rows that it finds.
    """
    make_tables(connection, run, responses)
    versions = {campaign.slug: _versions(connection, run, campaign) for campaign in campaigns}
    _note_clocks(connection, versions)
    news = trigger.note_news(connection, run, campaigns)
    exits.note_goal_events(connection, run, versions)
    notes = _look(connection, run, campaigns, versions, news)
    _add(connection, "moves", "over", {})
    if run.chosen is not None:
        corrections.note_moves(connection)
    if not run.is_history:
        walking.walk(connection, run, campaigns, versions)
    for campaign in campaigns:
        if any(campaign.slug in group for group in run.rules.exclusive):
            passes.show_enrolled(connection, run, campaign.slug)
            _add(connection, "passing", "passing", {"campaign": campaign.slug})
    return notes


def _look(
    connection: duckdb.DuckDBPyConnection,
    run: Run,
    campaigns: Sequence[CampaignSpec],
    versions: Mapping[str, exits.Versions],
    news: News,
) -> dict[str, dict[str, Any]]:
    """Bring to `passes` whom this run looks at, and end whom it ends before anybody walks; return notes."""
    if run.chosen is not None:
        corrections.show(connection, run.chosen)
    if not run.is_history:
        passes.begin(connection, run, [campaign.slug for campaign in campaigns if campaign.walks])
    merged = end_doubles(connection, run, campaigns, versions)
    notes = {
        campaign.slug: merged.get(campaign.slug, {})
        | _look_at(connection, run, campaign, versions[campaign.slug], news)
        for campaign in campaigns
    }
    begun = [campaign for campaign in campaigns if campaign.status != "draft"]
    exits.end_early(connection, run, begun, versions)
    for campaign in begun:
        if campaign.status == "ended" and not campaign.walks:
            stir(connection, run, [campaign.slug], f"wake_at < {relations.FOREVER}")
        exits.end(connection, campaign)
    return notes


def _look_at(
    connection: duckdb.DuckDBPyConnection, run: Run, campaign: CampaignSpec, versions: exits.Versions, news: News
) -> dict[str, Any]:
    """Shift the campaign's clocks, move its passes to other versions, and let people enter; return notes."""
    notes: dict[str, Any] = {"migration": migration(connection, run, campaign, versions)}
    notes["was_live"] = run.was_live(campaign.slug) if run.is_history else campaign.status == "live"
    notes |= _hold_clocks(connection, run, campaign)
    if campaign.status != "draft":
        migrate(connection, run, campaign, versions)
    named, watched = trigger.name_people(connection, run, campaign, news)
    if named:
        admission.admit(connection, run, campaign)
    if run.chosen is not None and campaign.slug in run.chosen.slugs:
        corrections.take_up(connection, run, campaign)
    return notes | watched


def hold_back(connection: duckdb.DuckDBPyConnection) -> None:
    """Take back what passes did beyond a message that was deferred: moves, candidates with verdicts, acts, arms."""
    made = connection.execute(f"create or replace temp table beyond as {statement(_PACKAGE, 'beyond')}").fetchall()
    if not made[0][0]:
        return
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


def keep_campaigns(
    connection: duckdb.DuckDBPyConnection, run: Run, campaigns: Sequence[CampaignSpec]
) -> dict[str, dict[str, Any]]:
    """Store where everybody is now, and who got which arm; return what plan.json keeps of it."""
    count = "select campaign, count(*) from passes where is_new group by campaign"
    entered = dict(connection.execute(count).fetchall())
    connection.execute(f"create or replace temp table last_moves as {statement(_PACKAGE, 'last_moves')}")
    drawn = {slug for (slug,) in connection.execute("select distinct campaign from assigned").fetchall()}
    enrolled = passes.store(connection, run, campaigns, entered)
    for campaign in campaigns:
        _keep_assignments(connection, run, campaign.slug, campaign.slug in drawn)
    return {slug: {"enrolled": passes_in_all} for slug, passes_in_all in enrolled.items()}


def _keep_assignments(connection: duckdb.DuckDBPyConnection, run: Run, slug: str, is_drawn: bool) -> None:
    name = f"assignments:{slug}"
    before = run.parent.relations.get(name, ()) if run.parent else ()
    if not is_drawn:
        if before:
            run.relations[name] = before
        return
    run.relations[name] = run.store.overlay(
        connection,
        before,
        "select person_id, step, min(name) as name from assigned where campaign = $campaign group by person_id, step",
        key=relations.KEYS["assignments"],
        order="person_id, step",
        values={"campaign": slug},
    )


def _versions(connection: duckdb.DuckDBPyConnection, run: Run, campaign: CampaignSpec) -> dict[str, Mapping[str, Any]]:
    """Return every version that somebody is or was on, and today's, with its definition; store them."""
    name = f"versions:{campaign.slug}"
    kept = run.parent.relations.get(name, ()) if run.parent else ()
    if sum(piece.rows for piece in kept) == 1 and run.before(campaign.slug).get("version") == campaign.version:
        run.relations[name] = kept
        return {campaign.version: campaign.definition}
    source = run.store.source(run.parent, name, relations.VERSIONS)
    known = connection.execute(f"select version, source from {source} as kept order by version").fetchall()
    before = {version: json.loads(text) for version, text in known}
    versions = before | {campaign.version: campaign.definition}
    if kept and before == versions:
        run.relations[name] = kept
        return versions
    sources = {version: json.dumps(facts, sort_keys=True, ensure_ascii=False) for version, facts in versions.items()}
    text = "select $campaign as campaign, unnest($versions) as version, unnest($sources) as source order by version"
    values = {"campaign": campaign.slug, "versions": list(sources), "sources": list(sources.values())}
    run.relations[name] = (run.store.put(connection, text, values),)
    return versions


def _note_clocks(connection: duckdb.DuckDBPyConnection, versions: Mapping[str, exits.Versions]) -> None:
    clocks = [
        {"campaign": slug, "version": version, "step": step.id, "seconds": int(step.facts["wait"])}
        for slug, definitions in versions.items()
        for version, definition in definitions.items()
        for step in steps_of(definition["steps"])
        if step.kind == "wait"
    ]
    connection.register("given", pa.Table.from_pylist(clocks, schema=_CLOCKS))
    connection.execute("insert into clocks select * from given")
    connection.unregister("given")


def _hold_clocks(connection: duckdb.DuckDBPyConnection, run: Run, campaign: CampaignSpec) -> dict[str, Any]:
    """Shift the clocks of a campaign that goes on after a pause that held them; note when a pause began."""
    since = run.before(campaign.slug).get("paused_since")
    if campaign.status == "paused":
        return {"paused_since": since or clock.iso(run.as_of)}
    if since is not None and campaign.on_pause == "hold":
        stir(connection, run, [campaign.slug], f"wake_at < {relations.FOREVER}")
        shift = int((run.as_of - clock.parse(since)) / timedelta(microseconds=1))
        connection.execute(
            "update passes set arrived_at = arrived_at + to_microseconds($shift), is_changed = true,"
            " wake_at = wake_at + to_microseconds($shift) where campaign = $campaign and status = 'active'",
            {"campaign": campaign.slug, "shift": shift},
        )
    return {}


def _add(connection: duckdb.DuckDBPyConnection, table: str, name: str, values: Mapping[str, Any]) -> None:
    connection.execute(f"insert into {table} by name {statement(_PACKAGE, name)}", dict(values))
