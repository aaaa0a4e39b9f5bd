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
from tailrace.planning.condition import needs, same, truth
from tailrace.planning.passes import stir
from tailrace.planning.run import GOALS_REACHED, CampaignSpec, Run
from tailrace.planning.trigger import left_trigger

_PACKAGE = "tailrace.planning"

Versions = Mapping[str, Mapping[str, Any]]


_STANDING = "passes.campaign = $campaign and passes.status = 'active' and passes.over is null"


@dataclass(frozen=True)
class _Rule:
    """What marks or ends the passes of some versions: SQL with the places `{key}` and `{rows}`."""

    query: str
    goal: Mapping[str, Any] | None = None

    def of(self, key: str, rows: str) -> str:
        """Return SQL for those of `rows` whom the rule is about, named by `key`."""
        return self.query.replace("{key}", key).replace("{rows}", rows)


def note_goal_events(connection: duckdb.DuckDBPyConnection, run: Run, versions: Mapping[str, Versions]) -> None:
    """Make `goal_events`, the events by now that some version's goal asks for: one scan for all campaigns."""
    goals = [definition["goal"] for each in versions.values() for definition in each.values() if definition["goal"]]
    events = sorted({goal["event"] for goal in goals if goal["event"] is not None})
    # Properties are long, and few goals look at them.
    properties = "properties" if any(goal["where_sql"] or goal.get("same") for goal in goals) else "null::varchar"
    query = statement(_PACKAGE, "goal_events").replace("{properties}", properties)
    values = {"as_of": clock.naive(run.as_of), "events": events}
    connection.execute(f"create or replace temp table goal_events as {query}", values)
    connection.execute(GOALS_REACHED)


def end_early(connection: duckdb.DuckDBPyConnection, run: Run, campaign: CampaignSpec, versions: Versions) -> None:
    """Note in `passes` who reached the goal of their version, and end what goal (`converted`) and exits (`exited`) end.

    People are found first, from few columns of all passes; only then their passes are read.
    """
    rules = [*_goals(run, versions), *_exits(connection, run, versions)]
    if rules and not _bring(connection, run, campaign, rules):
        return
    for rule in rules:
        if rule.goal is not None:
            _reach(connection, run, campaign, rule, rule.goal)
    _convert_moved(connection, campaign, versions)
    for rule in rules:
        if rule.goal is None:
            _leave(connection, run, campaign, rule)


def _bring(connection: duckdb.DuckDBPyConnection, run: Run, campaign: CampaignSpec, rules: Sequence[_Rule]) -> bool:
    """Bring the passes to `passes` that a rule is about; return false when no rule is about anybody.

    That is when no pass that the parent plan kept is wanted, none begins, and none has changed its version.
    """
    wanted = " union all ".join(f"select person_id from ({rule.of('person_id', 'every_row')})" for rule in rules)
    made = connection.execute(f"create or replace temp table wanted as {wanted}", _now(run, wanted)).fetchall()
    if made[0][0]:
        which = f"(goal_at is null or wake_at < {relations.FOREVER})"
        stir(connection, campaign.slug, f"{which} and person_id in (select person_id from wanted)")
        return True
    begins = "select exists (select 1 from passes where is_new and campaign = $campaign)"
    return campaign.on_edit != "keep" or bool(engine.row(connection, begins, {"campaign": campaign.slug})[0])


def _now(run: Run, query: str) -> dict[str, Any]:
    return {"as_of": clock.naive(run.as_of)} if "$as_of" in query else {}


def _goals(run: Run, versions: Versions) -> Iterator[_Rule]:
    """Yield a rule for each goal that the versions have."""
    for names in _alike(versions, lambda definition: definition["goal"]):
        goal = versions[names[0]]["goal"]
        if goal is None:
            continue
        query = statement(_PACKAGE, "goals" if goal["segment"] is None else "goals_by_segment")
        for name, text in (
            ("versions", _list(names)),
            ("within", str(int(goal["within"]))),
            ("event", literal(goal["event"] or "")),
            ("segment", literal(goal["segment"] or "")),
            ("where", goal["where_sql"] or "true"),
            ("same", same(goal.get("same", ()), "asked.properties", "hopeful.event") or "true"),
        ):
            query = query.replace(f"{{{name}}}", text)
        yield _Rule(query, goal)


def _exits(connection: duckdb.DuckDBPyConnection, run: Run, versions: Versions) -> Iterator[_Rule]:
    """Yield a rule for each list of exits, having made `customers` for all of them."""
    conditions = [each for definition in versions.values() for each in definition["exit"] if each != "left_trigger"]
    if conditions:
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
            query = statement(_PACKAGE, "leaving").replace("{versions}", _list(names))
            yield _Rule(query.replace("{holds}", holds).replace("{forever}", relations.FOREVER))


def _reach(
    connection: duckdb.DuckDBPyConnection, run: Run, campaign: CampaignSpec, rule: _Rule, goal: Mapping[str, Any]
) -> None:
    mine = {"campaign": campaign.slug}
    rows = "(select * from passes where campaign = $campaign and coalesce(over, '') not in ('edited', 'restarted')"
    rows += " and not is_new)" if goal["segment"] is not None else ")"
    reached = rule.of("enrollment_id", rows)
    made = connection.execute(f"create or replace temp table reached as {reached}", _now(run, reached) | mine)
    if not made.fetchall()[0][0]:
        return
    connection.execute("insert into goals_reached select $campaign, enrollment_id from reached", mine)
    connection.execute(
        "update passes set goal_at = reached.goal_at, is_changed = true,"
        f" over = case when {bool(goal['exit'])} and {_STANDING} then 'converted' else over end from reached"
        " where passes.campaign = $campaign and passes.enrollment_id = reached.enrollment_id",
        mine,
    )


def _leave(connection: duckdb.DuckDBPyConnection, run: Run, campaign: CampaignSpec, rule: _Rule) -> None:
    leaving = rule.of("enrollment_id", "(select * from passes where campaign = $campaign and over is null)")
    connection.execute(
        f"update passes set over = 'exited' where {_STANDING} and enrollment_id in ({leaving})",
        _now(run, leaving) | {"campaign": campaign.slug},
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
        trigger="standing.event",
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
