"""Which passes end before anybody walks: by their goal, by an exit condition, or because the campaign is over?"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb

from tailrace import clock, engine
from tailrace.engine import literal, statement
from tailrace.planning import people, relations
from tailrace.planning.condition import needs, truth
from tailrace.planning.passes import stir_people
from tailrace.planning.run import GOALS_REACHED, CampaignSpec, Run
from tailrace.planning.trigger import left_trigger

_PACKAGE = "tailrace.planning"

Versions = Mapping[str, Mapping[str, Any]]


def reach_goals(connection: duckdb.DuckDBPyConnection, run: Run, campaign: CampaignSpec, versions: Versions) -> None:
    """Note in `passes` who reached the goal of their version, and end those passes that it ends (`converted`)."""
    for names in _alike(versions, lambda definition: definition["goal"]):
        goal = versions[names[0]]["goal"]
        if goal is None:
            continue
        query, values = _goal(connection, run, goal)
        if query is not None:
            _note_reached(connection, campaign, names, query, values)
        if goal["exit"]:
            connection.execute(
                f"update passes set over = 'converted' where {_STANDING} and goal_at is not null and {_of(names)}",
                {"campaign": campaign.slug},
            )


_STANDING = "campaign = $campaign and status = 'active' and over is null"


def _goal(
    connection: duckdb.DuckDBPyConnection, run: Run, goal: Mapping[str, Any]
) -> tuple[str | None, dict[str, Any]]:
    """Return the statement that finds who reached the goal, and its values; None when nobody can have."""
    now = {"as_of": clock.naive(run.as_of)}
    if goal["segment"] is not None:
        return statement(_PACKAGE, "goals_by_segment"), now | {"segment": goal["segment"], "within": goal["within"]}
    events = statement(_PACKAGE, "goal_events").replace("{where}", goal["where_sql"] or "true")
    connection.execute(f"create or replace temp table goal_events as {events}", now | {"event": goal["event"]})
    if not engine.row(connection, "select exists (select 1 from goal_events)")[0]:
        return None, {}
    return statement(_PACKAGE, "goals"), {"within": goal["within"]}


def _note_reached(
    connection: duckdb.DuckDBPyConnection,
    campaign: CampaignSpec,
    names: Sequence[str],
    query: str,
    values: Mapping[str, Any],
) -> None:
    """Set goal_at in `passes`. People are found first, from few columns; only then their passes are read."""
    reading = "(select person_id, entered_at, person_id as enrollment_id, status, goal_at, version from every_row)"
    connection.execute(
        f"create or replace temp table hopeful as select distinct enrollment_id as person_id"
        f" from ({query.replace('{hopeful}', reading).replace('{versions}', _of(names, 'hopeful.'))})",
        values,
    )
    stir_people(connection, campaign.slug, "hopeful", "goal_at is null")
    known = "" if "goal_events" in query else " and not is_new"
    over = "coalesce(over, '') not in ('edited', 'restarted')"
    mine = f"(select * from passes where campaign = $campaign and {over}{known})"
    connection.execute(
        "create or replace temp table reached as"
        f" {query.replace('{hopeful}', mine).replace('{versions}', _of(names, 'hopeful.'))}",
        {**values, "campaign": campaign.slug},
    )
    connection.execute(
        "update passes set goal_at = reached.goal_at, is_changed = true from reached"
        " where passes.campaign = $campaign and passes.enrollment_id = reached.enrollment_id",
        {"campaign": campaign.slug},
    )
    connection.execute(GOALS_REACHED)
    connection.execute(
        "insert into goals_reached select $campaign, enrollment_id from reached", {"campaign": campaign.slug}
    )


def leave(connection: duckdb.DuckDBPyConnection, run: Run, campaign: CampaignSpec, versions: Versions) -> None:
    """End the passes for which an exit condition of their version holds (`exited`), and those who enter with them."""
    for names in _alike(versions, lambda definition: [definition["exit"], definition["trigger"]]):
        definition = versions[names[0]]
        if not definition["exit"]:
            continue
        conditions = [each for each in definition["exit"] if each != "left_trigger"]
        active = f"wake_at < {relations.FOREVER}"
        people.describe(
            connection,
            needs(conditions).columns,
            f"select person_id from every_row where {active} union select person_id from passes where is_new",
        )
        holds = " or ".join(_holds(run, definition, each) for each in definition["exit"])
        values = {"as_of": clock.naive(run.as_of)} if "$as_of" in holds else {}
        connection.execute(
            "create or replace temp table leaving as select distinct person_id from every_row as standing"
            f" where {active} and {_of(names)} and ({holds})",
            values,
        )
        stir_people(connection, campaign.slug, "leaving", active)
        connection.execute(
            "create or replace temp table leaving as select enrollment_id from passes as standing"
            f" where {_STANDING} and {_of(names)} and ({holds})",
            {**values, "campaign": campaign.slug},
        )
        connection.execute(
            f"update passes set over = 'exited' where {_STANDING}"
            " and enrollment_id in (select enrollment_id from leaving)",
            {"campaign": campaign.slug},
        )


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


def _of(names: Sequence[str], table: str = "") -> str:
    return f"{table}version in ({', '.join(literal(name) for name in names)})"


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
