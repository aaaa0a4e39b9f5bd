"""What does `tailrace check` read? The project, and the columns that the last build made."""

from __future__ import annotations

from tailrace import checks
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
    return checks.check_project(settings, customer, segments)
