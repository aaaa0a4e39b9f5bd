"""What does `tailrace check` read? The project, the columns that the last build made, and who is on the way in HEAD."""

from __future__ import annotations

from collections import Counter

from tailrace import checks
from tailrace.checks.flights import flights
from tailrace.errors import Problem
from tailrace.landing.census import seen
from tailrace.landing.taxonomy import events_dir
from tailrace.pipeline import exposures
from tailrace.pipeline.published import published
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
