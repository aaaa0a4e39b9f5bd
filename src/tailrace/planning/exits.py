"""Which passes end before anybody walks: by their goal, by an exit condition, or because the campaign is over?"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb

from tailrace import clock, engine
from tailrace.engine import statement
from tailrace.planning import people, relations
from tailrace.planning.condition import needs, truth
from tailrace.planning.passes import stir
from tailrace.planning.run import CampaignSpec, Run
from tailrace.planning.trigger import left_trigger

_PACKAGE = "tailrace.planning"

Versions = Mapping[str, Mapping[str, Any]]


def reach_goals(connection: duckdb.DuckDBPyConnection, run: Run, campaign: CampaignSpec, versions: Versions) -> None:
    """Note in `passes` who reached the goal of their version, and end those passes that it ends (`converted`)."""
    slug = campaign.slug
    for names in _alike(versions, lambda definition: definition["goal"]):
        goal = versions[names[0]]["goal"]
        if goal is None:
            continue
        _find_reached(connection, run, campaign, names, goal)
        if not engine.row(connection, "select exists (select 1 from reached)")[0]:
            if not goal["exit"]:
                continue
        else:
            stir(connection, slug, "enrollment_id in (select enrollment_id from reached)")
            connection.execute(
                "update passes set goal_at = reached.goal_at, is_changed = true from reached"
                " where passes.campaign = $campaign and passes.enrollment_id = reached.enrollment_id",
                {"campaign": slug},
            )
        if goal["exit"]:
            connection.execute(
                "update passes set over = 'converted' where campaign = $campaign and status = 'active' and over is null"
                " and goal_at is not null and list_contains($versions, version)",
                {"campaign": slug, "versions": names},
            )


def _find_reached(
    connection: duckdb.DuckDBPyConnection,
    run: Run,
    campaign: CampaignSpec,
    names: Sequence[str],
    goal: Mapping[str, Any],
) -> None:
    """Make `reached` (enrollment_id, goal_at). What is in `passes` may be on another version than `enrolled` says."""
    now = {"as_of": clock.naive(run.as_of)}
    connection.execute("create or replace temp table reached (enrollment_id varchar, goal_at timestamp)")
    values: dict[str, Any] = {"versions": list(names), "within": goal["within"]}
    if goal["event"] is not None:
        query = statement(_PACKAGE, "goals")
        events = statement(_PACKAGE, "goal_events").replace("{where}", goal["where_sql"] or "true")
        connection.execute(f"create or replace temp table goal_events as {events}", now | {"event": goal["event"]})
        if not engine.row(connection, "select exists (select 1 from goal_events)")[0]:
            return
    else:
        query = statement(_PACKAGE, "goals_by_segment")
        values |= now | {"segment": goal["segment"]}
    mine = "campaign = $campaign and enrollment_id"
    connection.execute(f"insert into reached {query.replace('{hopeful}', 'enrolled')}", values)
    connection.execute(
        f"delete from reached where enrollment_id in (select enrollment_id from passes where {mine} is not null)",
        {"campaign": campaign.slug},
    )
    is_known = "" if goal["event"] is not None else " and not is_new"
    looked_at = f"(select * from passes where campaign = $campaign and coalesce(over, '') not in ({_GONE}){is_known})"
    connection.execute(
        f"insert into reached {query.replace('{hopeful}', looked_at)}", values | {"campaign": campaign.slug}
    )


_GONE = "'edited', 'restarted'"


def leave(connection: duckdb.DuckDBPyConnection, run: Run, campaign: CampaignSpec, versions: Versions) -> None:
    """End the passes for which an exit condition of their version holds (`exited`), and those who enter with them."""
    for names in _alike(versions, lambda definition: [definition["exit"], definition["trigger"]]):
        definition = versions[names[0]]
        if not definition["exit"]:
            continue
        conditions = [each for each in definition["exit"] if each != "left_trigger"]
        whom = (
            f"select person_id from enrolled where wake_at < {relations.FOREVER}"
            " union select person_id from passes where is_new"
        )
        people.describe(connection, needs(conditions).columns, whom)
        holds = " or ".join(_holds(run, definition, each) for each in definition["exit"])
        _end_those(connection, run, campaign, names, holds)


def _holds(run: Run, definition: Mapping[str, Any], condition: Any) -> str:
    if condition == "left_trigger":
        return left_trigger(definition, run, "standing.person_id")
    return truth(
        condition,
        person="standing.person_id",
        bits=run.bits,
        entered_at="standing.entered_at",
        enrollment="standing.enrollment_id",
    )


def _end_those(
    connection: duckdb.DuckDBPyConnection, run: Run, campaign: CampaignSpec, names: Sequence[str], holds: str
) -> None:
    values: dict[str, Any] = {"versions": list(names)}
    if "$as_of" in holds:
        values["as_of"] = clock.naive(run.as_of)
    active = f"wake_at < {relations.FOREVER} and list_contains($versions, version)"
    connection.execute(
        f"create or replace temp table leaving as select enrollment_id from enrolled as standing"
        f" where {active} and ({holds})",
        values,
    )
    mine = values | {"campaign": campaign.slug}
    connection.execute(
        "delete from leaving where enrollment_id in (select enrollment_id from passes where campaign = $campaign)",
        {"campaign": campaign.slug},
    )
    stir(connection, campaign.slug, "enrollment_id in (select enrollment_id from leaving)")
    connection.execute(
        f"insert into leaving select enrollment_id from passes as standing where campaign = $campaign"
        f" and over is null and {active} and ({holds})",
        mine,
    )
    connection.execute(
        "update passes set over = 'exited' where campaign = $campaign and over is null and status = 'active'"
        " and enrollment_id in (select enrollment_id from leaving)",
        {"campaign": campaign.slug},
    )


def end(connection: duckdb.DuckDBPyConnection, campaign: CampaignSpec) -> None:
    """End what is still active (`ended`) of a campaign that has ended and does not drain."""
    if campaign.status == "ended" and campaign.on_end == "exit":
        connection.execute(
            "update passes set over = 'ended' where campaign = $campaign and over is null and status = 'active'",
            {"campaign": campaign.slug},
        )


def _alike(versions: Versions, what: Any) -> list[list[str]]:
    """Return the versions in groups that say the same of something."""
    groups: dict[str, list[str]] = {}
    for version, definition in sorted(versions.items()):
        groups.setdefault(json.dumps(what(definition), sort_keys=True), []).append(version)
    return list(groups.values())
