"""Whom would a segment select, as its SQL is written now? Compiled by dbt, run read-only, nothing built."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import duckdb

from tailrace import engine
from tailrace.errors import BuildError
from tailrace.settings import Settings
from tailrace.warehouse import runner
from tailrace.warehouse.wording import plain

_REFUSED = "A run would refuse it, and leave the segment as it was."


def refresh(settings: Settings) -> None:
    """Bring dbt's manifest up to date with the project's files. Raises DefinitionError when dbt cannot read them."""
    runner.parse(settings)


@contextmanager
def members(settings: Settings, name: str, as_of: datetime) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the warehouse for reading with `members`: the rows of the segment `name` as of `as_of`.

    The authored SQL runs on a connection that reaches no file but the warehouse and whose settings are locked.

    Raises BuildError when it does not run or a build would refuse what it gives (the shape of a segment: one row per
    person, person_id first), DefinitionError when dbt cannot compile it, Busy when the warehouse is being written.
    """
    compiled = runner.compile_model(settings, as_of, name)
    with engine.connect(settings) as connection:
        engine.attach(connection, settings.warehouse, "warehouse")
        connection.execute("set enable_external_access = false")
        connection.execute("set lock_configuration = true")
        try:
            connection.execute(f"create temp table members as select * from (\n{compiled}\n)")
        except duckdb.Error as error:
            raise BuildError(f"{name} does not run: {plain(str(error))}") from error
        _require_shape(connection, name)
        yield connection


def _require_shape(connection: engine.Connection, name: str) -> None:
    """Raise BuildError when `members` is not as `check_segment_shape` of the project wants it."""
    first = engine.columns(connection, "members")[0]
    if first != "person_id":
        raise BuildError(f"{name}: the first column is `{first}`; expected `person_id`. {_REFUSED}")
    doubled, one, nobody = engine.row(connection, engine.statement("tailrace.warehouse", "preview_shape"))
    if doubled:
        raise BuildError(
            f"{name}: people who stand in it more than once: {doubled:,}, such as {one}; expected one row per person:"
            f" is there a join with several rows of a person? {_REFUSED}"
        )
    if nobody:
        raise BuildError(f"{name}: rows without a person_id: {nobody:,}; expected one in each. {_REFUSED}")
