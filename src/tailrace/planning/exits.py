"""Which passes end before anybody walks: by their goal, by an exit condition, or because the campaign is over?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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


_STANDING = "passes.campaign = $campaign and passes.status = 'active' and passes.over is null"


@dataclass(frozen=True)
class _Rule:
    """What marks or ends the passes of these versions: SQL with the places `{key}` and `{rows}`, and its values."""

    versions: str
    query: str
    values: Mapping[str, Any]
    goal: Mapping[str, Any] | None = None

    def of(self, key: str, rows: str) -> str:
        """Return SQL for those of `rows` whom the rule is about, named by `key`."""
        query = self.query.replace("{versions}", self.versions)
        return query.replace("{key}", key).replace("{rows}", rows)


def end_early(connection: duckdb.DuckDBPyConnection, run: Run, campaign: CampaignSpec, versions: Versions) -> None:
    """Note in `passes` who reached the goal of their version, and end what goal (`converted`) and exits (`exited`) end.

    People are found first, from few columns of all passes; only then their passes are read.
    """
    connection.execute(GOALS_REACHED)
    rules = [*_goals(connection, run, versions), *_exits(connection, run, versions)]
    connection.execute("create or replace temp table wanted (person_id bigint)")
    for rule in rules:
        connection.execute(
            f"insert into wanted select person_id from ({rule.of('person_id', 'every_row')})", dict(rule.values)
        )
    stir_people(connection, campaign.slug, "wanted", f"(goal_at is null or wake_at < {relations.FOREVER})")
    for rule in rules:
        if rule.goal is not None:
            _reach(connection, campaign, rule, rule.goal)
    _convert_moved(connection, campaign, versions)
    for rule in rules:
        if rule.goal is None:
            _leave(connection, campaign, rule)


def _goals(connection: duckdb.DuckDBPyConnection, run: Run, versions: Versions) -> Iterator[_Rule]:
    """Yield a rule for each goal that somebody can have reached."""
    now = {"as_of": clock.naive(run.as_of)}
    for names in _alike(versions, lambda definition: definition["goal"]):
        goal = versions[names[0]]["goal"]
        if goal is None:
            continue
        within = {"within": goal["within"]}
        if goal["segment"] is not None:
            query = statement(_PACKAGE, "goals_by_segment")
            yield _Rule(_list(names), query, now | within | {"segment": goal["segment"]}, goal)
            continue
        events = statement(_PACKAGE, "goal_events").replace("{where}", goal["where_sql"] or "true")
        table = f"goal_events_{names[0]}"
        connection.execute(f"create or replace temp table {table} as {events}", now | {"event": goal["event"]})
        if engine.row(connection, f"select exists (select 1 from {table})")[0]:
            query = statement(_PACKAGE, "goals").replace("goal_events", table)
            yield _Rule(_list(names), query, within, goal)


def _exits(connection: duckdb.DuckDBPyConnection, run: Run, versions: Versions) -> Iterator[_Rule]:
    """Yield a rule for each list of exits, having made `customers` for all of them."""
    conditions = [each for definition in versions.values() for each in definition["exit"] if each != "left_trigger"]
    people.describe(
        connection,
        needs(conditions).columns,
        f"select person_id from every_row where wake_at < {relations.FOREVER}"
        " union select person_id from passes where is_new",
    )
    for names in _alike(versions, lambda definition: [definition["exit"], definition["trigger"]]):
        definition = versions[names[0]]
        if definition["exit"]:
            holds = " or ".join(_holds(run, definition, each) for each in definition["exit"])
            query = statement(_PACKAGE, "leaving").replace("{holds}", holds).replace("{forever}", relations.FOREVER)
            yield _Rule(_list(names), query, {"as_of": clock.naive(run.as_of)} if "$as_of" in holds else {})


def _reach(connection: duckdb.DuckDBPyConnection, campaign: CampaignSpec, rule: _Rule, goal: Mapping[str, Any]) -> None:
    mine = {"campaign": campaign.slug}
    rows = "(select * from passes where campaign = $campaign and coalesce(over, '') not in ('edited', 'restarted')"
    rows += " and not is_new)" if goal["segment"] is not None else ")"
    connection.execute(
        f"create or replace temp table reached as {rule.of('enrollment_id', rows)}", {**rule.values, **mine}
    )
    connection.execute("insert into goals_reached select $campaign, enrollment_id from reached", mine)
    connection.execute(
        "update passes set goal_at = reached.goal_at, is_changed = true,"
        f" over = case when {bool(goal['exit'])} and {_STANDING} then 'converted' else over end from reached"
        " where passes.campaign = $campaign and passes.enrollment_id = reached.enrollment_id",
        mine,
    )


def _leave(connection: duckdb.DuckDBPyConnection, campaign: CampaignSpec, rule: _Rule) -> None:
    leaving = rule.of("enrollment_id", "(select * from passes where campaign = $campaign and over is null)")
    connection.execute(
        f"update passes set over = 'exited' where {_STANDING} and enrollment_id in ({leaving})",
        {**rule.values, "campaign": campaign.slug},
    )


def _convert_moved(connection: duckdb.DuckDBPyConnection, campaign: CampaignSpec, versions: Versions) -> None:
    """End those whose goal was reached on a version that it did not end, and who are on one now that it does."""
    today = versions[campaign.version]["goal"]
    if campaign.on_edit == "move" and today is not None and today["exit"]:
        connection.execute(
            f"update passes set over = 'converted' where {_STANDING} and goal_at is not null and version = $version",
            {"campaign": campaign.slug, "version": campaign.version},
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


def _list(names: Sequence[str]) -> str:
    return ", ".join(literal(name) for name in names)


def end(connection: duckdb.DuckDBPyConnection, campaign: CampaignSpec) -> None:
    """End what is still active (`ended`) of a campaign that has ended and does not drain."""
    if campaign.status == "ended" and campaign.on_end == "exit":
        connection.execute(f"update passes set over = 'ended' where {_STANDING}", {"campaign": campaign.slug})


def _alike(versions: Versions, what: Any) -> list[list[str]]:
    """Return the versions in groups that say the same of something."""
    groups: dict[str, list[str]] = {}
    for version, definition in sorted(versions.items()):
        groups.setdefault(json.dumps(what(definition), sort_keys=True), []).append(version)
    return list(groups.values())
