"""What do readers see? The published copy of the warehouse, opened so that nobody waits for a build."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import duckdb

from tailrace import engine
from tailrace.engine import identifier
from tailrace.errors import DataError
from tailrace.settings import Settings


@contextmanager
def published(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the published copy for reading, as the database `published`.

    Raises DataError when no run has published one yet.
    """
    if not settings.published.is_file():
        raise DataError(
            f"{settings.published}: nothing has been published yet; expected one run before: `tailrace run`"
        )
    with engine.connect(settings) as connection:
        engine.attach(connection, settings.published, "published")
        connection.execute("use published")
        yield connection


def row_of(connection: duckdb.DuckDBPyConnection, relation: str, person_id: int) -> dict[str, Any]:
    """Return the person's row of a relation with a `person_id`, or an empty dictionary."""
    rows = engine.rows(connection, f"select * from {relation} where person_id = $person", {"person": person_id})
    return rows[0] if rows else {}


def person_now(connection: duckdb.DuckDBPyConnection, person_id: int) -> int:
    """Return the key of whose this key's user id is: another person's, where an alias gave it up."""
    if not has(connection, "core", "fct_person_merges"):
        return person_id
    query = "select into_person_id from core.fct_person_merges where person_id = $person"
    row = engine.first(connection, query, {"person": person_id})
    return person_id if row is None else int(row[0])


def has(connection: duckdb.DuckDBPyConnection, schema: str, table: str) -> bool:
    """Return whether the published copy has the table."""
    found = connection.execute(
        "select 1 from duckdb_tables() where database_name = 'published' and schema_name = $schema"
        " and table_name = $name",
        {"schema": schema, "name": table},
    )
    return bool(found.fetchall())


def state_tables(connection: duckdb.DuckDBPyConnection, off: Collection[str] = ()) -> dict[str, str]:
    """Return by programme the published table of its states, `states.fct_<programme>_states`.

    The table of a model that was switched off stays, with what was true when it was last built: name those in `off`.
    """
    tables = connection.execute(
        "select table_name from duckdb_tables() where database_name = 'published' and schema_name = 'states'"
        " and table_name like 'fct\\_%\\_states' escape '\\' order by table_name"
    ).fetchall()
    return {
        name.removeprefix("fct_").removesuffix("_states"): f"states.{identifier(name)}"
        for (name,) in tables
        if name not in off
    }
