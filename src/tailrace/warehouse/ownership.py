"""Which sources wrote attributes of people that they do not own? Counted by the model `rpt_ownership_violations`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import duckdb

from tailrace import engine
from tailrace.engine import identifier
from tailrace.settings import Settings


@dataclass(frozen=True)
class Violation:
    """So many events of `source` said something about an attribute that `owner` owns. None of it counted."""

    source: str
    attribute: str
    owner: str
    n_events: int
    last_event_at: datetime


def violations(settings: Settings) -> list[Violation]:
    """Return them as the last build of the warehouse counted them, by source and attribute.

    Raises Busy when another process writes the warehouse.
    """
    with engine.connect(settings) as connection:
        engine.attach(connection, settings.warehouse, "warehouse", read_only=True)
        return violations_in(connection, "warehouse")


def violations_in(connection: duckdb.DuckDBPyConnection, database: str) -> list[Violation]:
    """Return what an attached database (the warehouse or its published copy) counts; none where it does not count."""
    counts = connection.execute(
        "select 1 from duckdb_tables() where database_name = $database and schema_name = 'reports'"
        " and table_name = 'rpt_ownership_violations'",
        {"database": database},
    ).fetchall()
    if not counts:
        return []
    query = engine.statement("tailrace.warehouse", "read_violations").format(database=identifier(database))
    return [Violation(*row) for row in connection.execute(query).fetchall()]
