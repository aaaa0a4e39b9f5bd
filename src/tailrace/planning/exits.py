"""Which passes end before anybody walks: by their goal, by an exit condition, or because the campaign is over?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb
import pyarrow as pa

from tailrace import clock, engine
from tailrace.engine import statement
from tailrace.planning import passes, people, relations
from tailrace.planning.condition import needs, same, truth
from tailrace.planning.condition import people as condition_people
from tailrace.planning.migration import may_migrate
from tailrace.planning.run import GOALS_REACHED, CampaignSpec, Run
from tailrace.planning.trigger import left_trigger

_PACKAGE = "tailrace.planning"

Versions = Mapping[str, Mapping[str, Any]]


FEW = 0.05
"""The share of all people up to which all passes of those whom a rule may be about are brought at once."""

_STANDING = "passes.status = 'active' and passes.over is null"

_HOPEFUL = "(select * from passes where coalesce(over, '') not in ('edited', 'restarted', 'merged'))"
"""Passes that can still reach a goal: what an edit, a restart or a merge ends in this run does so before goals do."""

_SUBJECTS = pa.schema(
    [
        ("rule", pa.int32()),
        ("campaign", pa.string()),
        ("version", pa.string()),
        ("event", pa.string()),
        ("segment", pa.string()),
        ("within", pa.int64()),
        ("ends", pa.bool_()),
    ]
)


@dataclass
class _Rule:
    """What marks or ends passes: SQL with the places `{key}` and `{rows}`, and the versions that say so.

    `subjects` are rows of the table `subjects`. `columns` are those of the person that the SQL looks at. `passes` are
    those of the table `passes` that the rule is about, `people` SQL for whom alone it may be, if that is easily told.
    """

    query: str
    is_goal: bool
    passes: str = "passes"
    people: str | None = None
    columns: frozenset[str] = frozenset()
    subjects: list[dict[str, Any]] = field(default_factory=list)

    @property
    def slugs(self) -> list[str]:
        """The campaigns that the rule is about."""
        return sorted({subject["campaign"] for subject in self.subjects})

    def of(self, key: str, rows: str) -> str:
        """Return SQL for those of `rows` whom the rule is about, named by their campaign and `key`."""
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


def end_early(
    connection: duckdb.DuckDBPyConnection,
    run: Run,
    campaigns: Sequence[CampaignSpec],
    versions: Mapping[str, Versions],
) -> None:
    """Note in `passes` who reached the goal of their version, and end what goal (`converted`) and exits (`exited`) end.

    Versions that say the same are asked at once, whatever their campaign. People are found first, without their passes
    or from few columns of all passes; only then their passes are read.
    """
    rules = list(_rules(run, campaigns, versions))
    if not rules:
        return
    subjects = [subject | {"rule": number} for number, rule in enumerate(rules) for subject in rule.subjects]
    connection.register("given", pa.Table.from_pylist(subjects, schema=_SUBJECTS))
    connection.execute("create or replace temp table subjects as select * from given")
    connection.unregister("given")
    asked = _bring(connection, run, rules) | _unkept(connection, campaigns, versions)
    concerned = [rule for rule in rules if asked.intersection(rule.slugs)]
    for rule in concerned:
        if rule.is_goal:
            _reach(connection, run, rule)
    for campaign in campaigns:
        _convert_moved(connection, campaign, versions[campaign.slug])
    for rule in concerned:
        if not rule.is_goal:
            _leave(connection, run, rule)


def _bring(connection: duckdb.DuckDBPyConnection, run: Run, rules: Sequence[_Rule]) -> set[str]:
    """Bring the passes that the parent plan kept and that a rule is about to `passes`; return their campaigns."""
    open_passes = f"(goal_at is null or wake_at < {relations.FOREVER})"
    near = _near(connection, rules)
    found: set[str] = set()
    if near:
        campaigns = sorted({slug for rule in near for slug in rule.slugs})
        whose = "person_id in (select person_id from concerned)"
        found = passes.stir(connection, run, campaigns, f"{open_passes} and {whose}")
    connection.execute("create or replace temp table wanted (campaign varchar, person_id bigint)")
    for rule in rules:
        if rule in near:
            continue
        rows = passes.every_row(run, rule.slugs)
        if rule.columns:
            standing = f"select person_id from {rows} as kept where wake_at < {relations.FOREVER}"
            people.describe(connection, rule.columns, standing)
        query = rule.of("person_id", rows)
        connection.execute(f"insert into wanted select campaign, person_id from ({query})", _now(run, query))
    slugs = {slug for (slug,) in connection.execute("select distinct campaign from wanted").fetchall()}
    if slugs:
        # Without `distinct` or as `exists`, DuckDB takes the passes for the smaller side, and hashes them all.
        wanted = "(campaign, person_id) in (select distinct campaign, person_id from wanted)"
        passes.stir(connection, run, sorted(slugs), f"{open_passes} and {wanted}")
    return found | slugs


def _near(connection: duckdb.DuckDBPyConnection, rules: Sequence[_Rule]) -> list[_Rule]:
    """Return the rules that are about few people, whoever they are, and make `concerned`, these people.

    To look for the passes of many would bring far more than the rules mean: whom they are about is asked of the passes.
    """
    near = [rule for rule in rules if rule.people is not None]
    if near:
        asked = " union all ".join(f"({rule.people})" for rule in near)
        connection.execute(f"create or replace temp table concerned as select distinct person_id from ({asked})")
        query = "select (select count(*) from concerned), (select count(*) from wh.core.dim_people)"
        concerned, people_in_all = engine.row(connection, query)
        near = near if concerned <= FEW * people_in_all else []
    return near


def _unkept(
    connection: duckdb.DuckDBPyConnection, campaigns: Sequence[CampaignSpec], versions: Mapping[str, Versions]
) -> set[str]:
    """Return the campaigns whose passes are others than the parent plan kept: some begin, or have changed version."""
    begun = connection.execute("select distinct campaign from passes where is_new").fetchall()
    return {slug for (slug,) in begun} | {
        campaign.slug for campaign in campaigns if may_migrate(campaign, versions[campaign.slug])
    }


def _now(run: Run, query: str) -> dict[str, Any]:
    return {"as_of": clock.naive(run.as_of)} if "$as_of" in query else {}


def _rules(run: Run, campaigns: Sequence[CampaignSpec], versions: Mapping[str, Versions]) -> Iterator[_Rule]:
    """Yield the rules for the goals and the exits that the versions have, each different one once."""
    rules: dict[str, _Rule] = {}
    for campaign in campaigns:
        for version, definition in versions[campaign.slug].items():
            mine = {"campaign": campaign.slug, "version": version}
            goal = definition["goal"]
            if goal is not None:
                rule = _goal(goal)
                facts = {"event": goal["event"], "segment": goal["segment"], "within": int(goal["within"])}
                subject = mine | facts | {"ends": bool(goal["exit"])}
                rules.setdefault(rule.query, rule).subjects.append(subject)
            if definition["exit"]:
                rule = _exit(run, definition)
                rules.setdefault(rule.query, rule).subjects.append(mine)
    for number, rule in enumerate(rules.values()):
        rule.query = rule.query.replace("{rule}", str(number))
        yield rule


def _goal(goal: Mapping[str, Any]) -> _Rule:
    if goal["segment"] is not None:
        rows = f"(select * from {_HOPEFUL} where not is_new)"
        entered = "select person_id from changes where change = 'entered' and cause = 'behaviour'"
        return _Rule(statement(_PACKAGE, "goals_by_segment"), is_goal=True, passes=rows, people=entered)
    query = statement(_PACKAGE, "goals").replace("{where}", goal["where_sql"] or "true")
    compared = same(goal.get("same", ()), "asked.properties", "hopeful.event") or "true"
    asked = f"select person_id from goal_events where {goal['where_sql'] or 'true'}"
    return _Rule(query.replace("{same}", compared), is_goal=True, passes=_HOPEFUL, people=asked)


def _exit(run: Run, definition: Mapping[str, Any]) -> _Rule:
    holds = " or ".join(_holds(run, definition, each) for each in definition["exit"])
    query = statement(_PACKAGE, "leaving").replace("{holds}", holds).replace("{forever}", relations.FOREVER)
    columns = needs(each for each in definition["exit"] if each != "left_trigger").columns
    whom = [None if each == "left_trigger" else condition_people(each, run.bits) for each in definition["exit"]]
    return _Rule(
        query,
        is_goal=False,
        passes="(select * from passes where over is null)",
        people=None if None in whom else " union all ".join(each for each in whom if each),
        columns=columns,
    )


def _reach(connection: duckdb.DuckDBPyConnection, run: Run, rule: _Rule) -> None:
    reached = rule.of("enrollment_id", rule.passes)
    made = connection.execute(f"create or replace temp table reached as {reached}", _now(run, reached))
    if not made.fetchall()[0][0]:
        return
    connection.execute("insert into goals_reached select campaign, enrollment_id from reached")
    connection.execute(
        "update passes set goal_at = reached.goal_at, is_changed = true,"
        f" over = case when reached.ends and {_STANDING} then 'converted' else over end from reached"
        " where passes.campaign = reached.campaign and passes.enrollment_id = reached.enrollment_id"
    )


def _leave(connection: duckdb.DuckDBPyConnection, run: Run, rule: _Rule) -> None:
    if rule.columns:
        people.describe(connection, rule.columns, "select person_id from passes where over is null")
    leaving = rule.of("enrollment_id", rule.passes)
    connection.execute(
        f"update passes set over = 'exited' from ({leaving}) as leaving where {_STANDING}"
        " and passes.campaign = leaving.campaign and passes.enrollment_id = leaving.enrollment_id",
        _now(run, leaving),
    )


def _convert_moved(connection: duckdb.DuckDBPyConnection, campaign: CampaignSpec, versions: Versions) -> None:
    """End those whose goal was reached on a version that it did not end, and who are on one now that it does."""
    today = versions[campaign.version]["goal"]
    if campaign.on_edit == "move" and len(versions) > 1 and today is not None and today["exit"]:
        connection.execute(
            "update passes set over = 'converted'"
            f" where campaign = $campaign and {_STANDING} and goal_at is not null and version = $version",
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


def end(connection: duckdb.DuckDBPyConnection, campaign: CampaignSpec) -> None:
    """End what is still active (`ended`) of a campaign that has ended and does not drain."""
    if campaign.status == "ended" and campaign.on_end == "exit":
        connection.execute(
            f"update passes set over = 'ended' where campaign = $campaign and {_STANDING}", {"campaign": campaign.slug}
        )
