"""What does `tailrace check` read? The project, the columns that the last build made, and who is on the way in HEAD."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import Any

from tailrace import checks, engine
from tailrace.campaigns.flight import Flight
from tailrace.errors import Problem
from tailrace.landing.census import seen
from tailrace.landing.taxonomy import events_dir
from tailrace.pipeline import exposures
from tailrace.pipeline.published import published
from tailrace.planning import relations
from tailrace.planning.store import Store
from tailrace.settings import Settings


def check(settings: Settings) -> checks.Findings:
    """Return everything that is wrong with what people write."""
    customer: set[str] = set()
    segments: dict[str, set[str]] = {}
    if settings.published.is_file():
        with published(settings) as connection:
            rows = connection.execute(
                "select schema_name, table_name, column_name from duckdb_columns()"
                " where database_name = 'published' and schema_name in ('core', 'segments')"
            ).fetchall()
        for schema, table, column in rows:
            if schema == "segments":
                segments.setdefault(table, set()).add(column)
            elif table in ("dim_people", "dim_person_features"):
                customer.add(column)
    found = checks.check_project(settings, customer, segments, flights(settings), landed_names(settings))
    # What it would say of a project that is not right, nobody knows.
    if not found.problems and exposures.is_stale(settings):
        found.notices.append(
            Problem(
                exposures.FILE, None, "it does not say what the project does; expected it anew: `tailrace exposures`"
            )
        )
    return found


def landed_names(settings: Settings) -> list[str]:
    """Return the names of the events that have landed, most often first; none while no contract of an event is on."""
    if not any(events_dir(settings).glob("*.yml")):
        return []
    counts: Counter[str] = Counter()
    for each in seen(settings):
        counts[each.event] += each.events
    return [name for name, _ in counts.most_common()]


def flights(settings: Settings) -> dict[str, Flight]:
    """Return what HEAD knows of each campaign, by slug; empty before the first plan is applied."""
    store = Store(settings)
    head = store.head()
    if head is None:
        return {}
    plan = store.read(head)
    found: dict[str, Flight] = {}
    with engine.connect(settings) as connection:
        for slug, facts in plan.campaigns.items():
            source = store.source(plan, f"versions:{slug}", relations.VERSIONS)
            known = connection.execute(f"select version, source from {source}").fetchall()
            source = store.source(plan, f"enrollments:{slug}", relations.ENROLLMENTS)
            rows = connection.execute(
                "select version, case when status = 'active' then step end as step, count(*)"
                f" from {source} group by all order by all"
            ).fetchall()
            found[slug] = _flight(facts, {version: json.loads(text) for version, text in known}, rows)
    return found


def _flight(
    facts: dict[str, Any], definitions: dict[str, dict[str, Any]], rows: list[tuple[str, str | None, int]]
) -> Flight:
    resting: dict[str, dict[str, int]] = defaultdict(dict)
    for version, step, people in rows:
        if step is not None:
            resting[version][step] = people
    # A draft that somebody entered has been live before.
    lived = [facts["version"]] if facts["status"] != "draft" else [version for version, *_ in rows]
    kinds = [definitions[version]["trigger"].get("kind") for version in lived if version in definitions]
    return Flight(kinds[-1] if kinds else None, definitions, dict(resting))
