"""How does dbt see the landing? As views over the Parquet files of exactly the loads that a build may see.

Files come from manifests (load.json), never from a glob: a left-over file is not data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

import duckdb
import pyarrow as pa

from tailrace import clock
from tailrace.engine import identifier, literal
from tailrace.errors import DataError

EVENTS = {
    "event_id": "varchar",
    "source": "varchar",
    "load_id": "varchar",
    "load_seq": "bigint",
    "is_history": "boolean",
    "type": "varchar",
    "event": "varchar",
    "user_id": "varchar",
    "anonymous_id": "varchar",
    "previous_id": "varchar",
    "group_id": "varchar",
    "event_at": "timestamp",
    "landed_at": "timestamp",
    "properties": "varchar",
    "traits": "varchar",
    "context": "varchar",
    "rest": "varchar",
    "file": "varchar",
    "line": "bigint",
}

# What the mirror shows while it is empty: the columns that the journal mirrors, in its order.
MIRROR = {
    "intents": {
        "seq": "bigint",
        "intent_id": "varchar",
        "plan_id": "varchar",
        "campaign": "varchar",
        "version": "varchar",
        "step": "varchar",
        "enrollment_id": "varchar",
        "person_id": "bigint",
        "channel": "varchar",
        "message": "varchar",
        "class": "varchar",
        "priority": "integer",
        "deliver_after": "timestamp",
        "expires_at": "timestamp",
        "applied_at": "timestamp",
    },
    "outcomes": {
        "seq": "bigint",
        "intent_id": "varchar",
        "person_id": "bigint",
        "campaign": "varchar",
        "step": "varchar",
        "channel": "varchar",
        "attempt": "integer",
        "outcome": "varchar",
        "code": "varchar",
        "destination": "varchar",
        "provider_id": "varchar",
        "recorded_at": "timestamp",
    },
    "acts": {
        "seq": "bigint",
        "intent_id": "varchar",
        "plan_id": "varchar",
        "person_id": "bigint",
        "campaign": "varchar",
        "step": "varchar",
        "kind": "varchar",
        "name": "varchar",
        "value": "varchar",
        "acted_at": "timestamp",
    },
    "responses": {
        "seq": "bigint",
        "intent_id": "varchar",
        "person_id": "bigint",
        "campaign": "varchar",
        "enrollment_id": "varchar",
        "step": "varchar",
        "status_code": "integer",
        "recorded_at": "timestamp",
    },
}

_LOADS = pa.schema(
    [
        ("load_id", pa.string()),
        ("load_seq", pa.int64()),
        ("source", pa.string()),
        ("is_history", pa.bool_()),
        ("landed_at", pa.timestamp("us")),
        ("rows", pa.int64()),
        ("quarantined", pa.int64()),
        ("first_event_at", pa.timestamp("us")),
        ("last_event_at", pa.timestamp("us")),
    ]
)

_OWNERS = pa.schema([("attribute", pa.string()), ("source", pa.string())])

SHOWN = {
    "events": tuple(EVENTS),
    "loads": tuple(_LOADS.names),
    "owners": tuple(_OWNERS.names),
    **{table: tuple(columns) for table, columns in MIRROR.items()},
}
"""The columns of each table of the schema `landing`."""


@dataclass(frozen=True)
class LoadFiles:
    """One load as the warehouse needs it: what its load.json says, and where its Parquet stands (absolute paths).

    `beside` are the loads whose events stand in the same files.
    """

    load_id: str
    load_seq: int
    source: str
    is_history: bool
    landed_at: datetime
    rows: int
    quarantined: int
    first_event_at: datetime | None
    last_event_at: datetime | None
    parquet: tuple[Path, ...]
    beside: frozenset[str] = frozenset()


def show_landing(
    connection: duckdb.DuckDBPyConnection,
    loads: Sequence[LoadFiles],
    mirror: Mapping[str, Sequence[Path]],
    owners: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Make the schema `landing` of the attached database `warehouse` show exactly these loads, mirror and owners.

    `owners` names the source that owns each attribute of a person, of those that one owns.

    Raises DataError when a file is not there, or two loads claim one id.
    """
    _require_files(loads, mirror)
    shown = {load.load_id for load in loads}
    torn = {beside for beside in {load.beside for load in loads} if not beside <= shown}
    files = dict.fromkeys(path for load in loads if load.beside not in torn for path in load.parquet)
    _show(connection, "events", EVENTS, list(files), shared=[load for load in loads if load.beside in torn])
    for table, columns in MIRROR.items():
        _show(connection, table, columns, list(mirror.get(table, ())), every_column=True)
    rows = [
        {
            "load_id": load.load_id,
            "load_seq": load.load_seq,
            "source": load.source,
            "is_history": load.is_history,
            "landed_at": clock.naive(load.landed_at),
            "rows": load.rows,
            "quarantined": load.quarantined,
            "first_event_at": load.first_event_at and clock.naive(load.first_event_at),
            "last_event_at": load.last_event_at and clock.naive(load.last_event_at),
        }
        for load in loads
    ]
    connection.register("shown_loads", pa.Table.from_pylist(rows, schema=_LOADS))
    connection.execute("create or replace table warehouse.landing.loads as from shown_loads order by load_seq, load_id")
    connection.unregister("shown_loads")
    rows = [{"attribute": attribute, "source": source} for attribute, source in sorted(owners.items())]
    connection.register("shown_owners", pa.Table.from_pylist(rows, schema=_OWNERS))
    connection.execute("create or replace table warehouse.landing.owners as from shown_owners order by attribute")
    connection.unregister("shown_owners")


def _show(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    columns: Mapping[str, str],
    files: Sequence[Path],
    *,
    every_column: bool = False,
    shared: Sequence[LoadFiles] = (),
) -> None:
    """Make the view `landing.<table>` over `files`; over none of them it is empty and has `columns`.

    Of the files of the `shared` loads, which have rows of others too, it has the rows of these loads.
    """
    if not files and not shared:
        listed = ", ".join(f"cast(null as {kind}) as {identifier(name)}" for name, kind in columns.items())
        connection.execute(f"create or replace view warehouse.landing.{table} as select {listed} where false")
        return
    listed = "*" if every_column else ", ".join(identifier(name) for name in columns)
    ids = ", ".join(literal(load.load_id) for load in shared)
    theirs = dict.fromkeys(path for load in shared for path in load.parquet)
    parts = []
    for paths, where in ((list(files), ""), (list(theirs), f" where load_id in ({ids})")):
        if paths:
            named = ", ".join(literal(str(path)) for path in paths)
            parts.append(
                f"select {listed} from read_parquet([{named}], hive_partitioning = false,"
                f" union_by_name = {str(every_column).lower()}){where}"
            )
    connection.execute(f"create or replace view warehouse.landing.{table} as {' union all '.join(parts)}")


def _require_files(loads: Sequence[LoadFiles], mirror: Mapping[str, Sequence[Path]]) -> None:
    seen: set[str] = set()
    for load in loads:
        if load.load_id in seen:
            raise DataError(f"load {load.load_id} was given twice; expected each load once. Nothing was changed.")
        seen.add(load.load_id)
    unknown = mirror.keys() - MIRROR.keys()
    if unknown:
        raise DataError(f"the mirror has no table {', '.join(sorted(unknown))}; expected {', '.join(MIRROR)}")
    files = [path for load in loads for path in load.parquet] + [path for paths in mirror.values() for path in paths]
    for path in files:
        if not path.is_file():
            raise DataError(
                f"{path}: the file is gone although its manifest names it; expected the landing to be complete:"
                " restore it from the backup. Nothing was changed."
            )
