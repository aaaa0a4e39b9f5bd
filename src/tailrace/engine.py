"""How is DuckDB opened, and how does a statement that stands in a `.sql` file get run?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import duckdb

from tailrace.errors import Busy, TailraceError
from tailrace.settings import Settings

Connection = duckdb.DuckDBPyConnection

_HOLDER = re.compile(r"PID (\d+)")


def connect(settings: Settings, *, threads: int | None = None) -> duckdb.DuckDBPyConnection:
    """Return an in-memory DuckDB connection with our settings: UTC, bounded memory, spilling beside the data.

    Raises TailraceError below DuckDB 1.5, which loses committed rows on a full disk.
    """
    if tuple(int(part) for part in duckdb.__version__.split(".")[:2]) < (1, 5):
        raise TailraceError(
            f"DuckDB {duckdb.__version__} loses committed rows when the disk fills up; expected 1.5 or later:"
            " install the locked requirements"
        )
    settings.scratch.mkdir(parents=True, exist_ok=True)
    connection = duckdb.connect(
        ":memory:",
        config={
            "memory_limit": settings.memory_limit,
            "temp_directory": str(settings.scratch / "duckdb"),
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        },
    )
    connection.execute("set timezone = 'UTC'")
    count = threads or settings.threads
    if count is not None:
        connection.execute(f"set threads = {int(count)}")
    return connection


def attach(connection: duckdb.DuckDBPyConnection, path: Path, alias: str, *, read_only: bool = True) -> None:
    """Attach the database file at `path` as `alias`.

    Raises Busy, naming the process, when another one holds the file.
    """
    mode = " (read_only)" if read_only else ""
    try:
        connection.execute(f"attach {literal(str(path))} as {alias}{mode}")
    except duckdb.IOException as error:
        raise busy(path, error) from error


def busy(path: Path, error: Exception) -> TailraceError:
    """Return the error to raise when DuckDB would not open `path`: Busy with the holder's pid, if it is a lock."""
    holder = _HOLDER.search(str(error))
    if "lock" not in str(error) or holder is None:
        return TailraceError(f"{path}: DuckDB could not open the file: {str(error).splitlines()[0]}")
    return Busy(
        f"{path.name} is open in another process (pid {holder.group(1)}); expected that no other process opens"
        f" it: close that session, or read {path.with_name('published.duckdb').name} instead, then run again."
        " Nothing was changed."
    )


def first(connection: Connection, query: str, values: Mapping[str, Any] | None = None) -> tuple[Any, ...] | None:
    """Return the query's first row, or None, having read all: DuckDB 2.0 refuses to go on otherwise."""
    rows = connection.execute(query, dict(values or {})).fetchall()
    return tuple(rows[0]) if rows else None


def row(connection: Connection, query: str, values: Mapping[str, Any] | None = None) -> tuple[Any, ...]:
    """Return the first row of a query that always gives one."""
    found = first(connection, query, values)
    assert found is not None, "the query gives a row whatever the data"
    return found


def rows(connection: Connection, query: str, values: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """Return the query's rows, each by the names of its columns."""
    found = connection.execute(query, dict(values or {}))
    names = [column[0] for column in found.description]
    return [dict(zip(names, each, strict=True)) for each in found.fetchall()]


def columns(connection: Connection, relation: str) -> list[str]:
    """Return the names of the relation's columns, in their order."""
    found = connection.execute(f"select * from {relation} limit 0")
    names = [column[0] for column in found.description]
    found.fetchall()
    return names


@cache
def statement(package: str, name: str) -> str:
    """Return the text of `name`.sql, which stands in the package `package`."""
    return resources.files(package).joinpath(f"{name}.sql").read_text(encoding="utf-8")


def literal(text: str) -> str:
    """Return `text` as a quoted SQL string literal, for the places where DuckDB takes no parameter."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """Return `name` as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
