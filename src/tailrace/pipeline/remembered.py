"""What is in the journal? Read from its mirror in landing as far as that goes, and from the journal for the rest.

The mirror is Parquet and costs a scan; the journal hands out row after row.
"""

from __future__ import annotations

from tailrace import engine
from tailrace.engine import literal
from tailrace.journal.journal import Journal
from tailrace.journal.readings import MIRRORS
from tailrace.landing.mirror import mirrored, watermark
from tailrace.settings import Settings


def remember(connection: engine.Connection, settings: Settings, journal: Journal, table: str, name: str) -> None:
    """Make `name` of a mirrored table of the journal (see `MIRRORS`): every row of it, each once."""
    mark = watermark(settings, table)
    connection.register("given", journal.mirror(table, mark))
    columns = ", ".join(engine.identifier(column) for column in MIRRORS[table].names)
    rows = "select * from given"
    # Files are listed after the mark was read: what is mirrored in between is beyond it, and comes from the journal.
    paths = ", ".join(literal(str(path)) for path in mirrored(settings, table))
    if paths:
        # A file that an older tailrace wrote may lack a column.
        files = f"read_parquet([{paths}], union_by_name = true)"
        rows = f"select * from {files} where seq <= {mark} union all by name {rows}"
    connection.execute(f"create temp table {engine.identifier(name)} as select {columns} from ({rows}) as remembered")
    connection.unregister("given")
