"""A table of a PostgreSQL database (13 or later): one transaction per batch.

Documentation: postgresql.org/docs, INSERT (ON CONFLICT), error codes. A sync's `target` is the table, `people` or
`crm.people`; its columns are the table's. Values come as JSON and are read as the column's type reads them; times
without a zone are UTC. `mirror` and `upsert` need a unique index over exactly the keys. `update_only` needs none, and
refuses rows that are not there (`not_found`). To remove a row that is not there is no error. With `removed_at` a row
is not deleted but keeps there when it was removed, until it is wanted again.

A repeat sets rows to what they are. Rows of `append` are remembered by batch and position in the table
`batches_table` beside the target, in the same transaction, so that none is appended again; it is made when it is not
there. One bad row undoes its call: delivery halves it. The connection string names user and password, so it stands in
the environment. There is no limit on calls.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import orjson
from pydantic import Field

from tailrace.destinations.base import (
    Batch,
    BatchRow,
    Capabilities,
    ConnectionSettings,
    Item,
    Meaning,
    Outcome,
    RefusedError,
    Result,
    RowResult,
    RowsRefused,
    Secrets,
    SyncRefused,
    meaning,
    token,
)
from tailrace.destinations.tables import DONE, LOGIN, TableAnswer, TableProbe, TableSession, TableWrite

NAME = "postgres_table"


class Settings(ConnectionSettings):
    """`url_env` names the variable that holds the connection string, `postgresql://user:password@host/database`.

    `sslmode`: what the connection string says, else `require`. `ca_file`: the authorities of `verify-ca` and
    `verify-full`. `removed_at`: the column of a time that a removal sets, in place of deleting the row.
    """

    url_env: str
    sslmode: Literal["disable", "require", "verify-ca", "verify-full"] | None = None
    ca_file: str | None = None
    batches_table: str = "tailrace_batches"
    removed_at: str | None = Field(default=None, min_length=1)
    timeout_seconds: float = Field(default=60.0, ge=1, le=3600)
    batch_rows: int = Field(default=5000, ge=1, le=50_000)
    slots: int = Field(default=1, ge=1, le=50)


CAPABILITIES = Capabilities(
    channels=frozenset(),
    takes_batches=True,
    is_idempotent=True,
    needs_live=True,
    slots=1,
    batch_rows=5000,
    names_rows=False,
)

CODES = {
    DONE: Meaning(Outcome.ACCEPTED, "the rows are committed"),
    "08": Meaning(Outcome.RETRY_LATER, "the connection failed", is_systemic=True),
    "0A": Meaning(Outcome.BLOCKED, "the database cannot do this to that table", is_systemic=True),
    "21": Meaning(Outcome.REJECTED, "two rows of one call are the same row to the table"),
    "22": Meaning(Outcome.REJECTED, "a value is not of its column's type, or too long"),
    "23": Meaning(Outcome.REJECTED, "a constraint of the table refuses a row"),
    "25": Meaning(Outcome.RETRY_LATER, "the server is read-only now", is_systemic=True),
    LOGIN: Meaning(Outcome.BLOCKED, "the server refused user, password or database", is_systemic=True),
    "28": Meaning(Outcome.BLOCKED, "the server refused user or password", is_systemic=True),
    "3D": Meaning(Outcome.BLOCKED, "there is no such database", is_systemic=True),
    "3F": Meaning(Outcome.BLOCKED, "there is no such schema", is_systemic=True),
    "40": Meaning(Outcome.RETRY_LATER, "it met another transaction, and was undone"),
    "42": Meaning(Outcome.BLOCKED, "the table is not as the sync expects it", is_systemic=True),
    "42501": Meaning(Outcome.BLOCKED, "the user may not write to the table", is_systemic=True),
    "42703": Meaning(Outcome.BLOCKED, "the table lacks a column", is_systemic=True),
    "42P01": Meaning(Outcome.BLOCKED, "there is no such table", is_systemic=True),
    "42P10": Meaning(Outcome.BLOCKED, "the table has no unique index over exactly the keys", is_systemic=True),
    "44": Meaning(Outcome.REJECTED, "the view does not show such a row"),
    "53": Meaning(Outcome.RETRY_LATER, "the server lacks room, memory or connections", is_systemic=True),
    "54": Meaning(Outcome.REJECTED, "a row is larger than the database can keep"),
    "55": Meaning(Outcome.RETRY_LATER, "the table is not available now", is_systemic=True),
    "57": Meaning(Outcome.RETRY_LATER, "the server ended it: too slow, or shutting down", is_systemic=True),
    "58": Meaning(Outcome.RETRY_LATER, "the server's own disk or system failed", is_systemic=True),
    "P0": Meaning(Outcome.REJECTED, "a trigger refuses a row"),
}
"""By SQLSTATE, else by its class: the first two characters."""

_ACTS = {"mirror": "upsert", "upsert": "upsert", "update_only": "update", "append": "append"}


def connect(settings: Settings, secrets: Secrets, files: Path) -> TableSession:
    """Return a session that connects when it is first used."""
    return TableSession(
        url=secrets.get("url_env"),
        variable=settings.url_env,
        sslmode=settings.sslmode,
        ca_file=settings.ca_file,
        timeout=settings.timeout_seconds,
    )


def build_request(settings: Settings, secrets: Secrets, item: Item) -> TableWrite:
    """Return the rows for the table; those without a key are refused."""
    if not isinstance(item, Batch):
        raise RefusedError("destination:takes_no_messages")
    relation = tuple(item.target.split("."))
    if not 1 <= len(relation) <= 2 or not all(relation):
        raise SyncRefused("target:no_table")
    refused = {row.position: "key:missing" for row in item.rows if not _has_key(row)}
    if refused:
        raise RowsRefused(refused)
    removes = bool(item.rows) and item.rows[0].op == "remove"
    if removes and item.mode == "append":
        raise RefusedError("append:removes_nothing")
    rows = [row.key | (row.data or {}) for row in item.rows]
    act = "delete" if removes else _ACTS[item.mode]
    mark = settings.removed_at or ""
    if mark and act in {"delete", "upsert"}:
        if any(mark in row for row in rows):
            raise SyncRefused("removed_at:column_of_the_sync")
        # Whoever is wanted again is marked no more.
        rows = [row | {mark: item.at.isoformat() if removes else None} for row in rows]
        act = "mark" if removes else act
    return TableWrite(
        act=act,
        relation=relation,
        batches=(*relation[:-1], settings.batches_table),
        # Of the batch as it was planned, however it is cut now.
        batch_id=f"{item.plan_id}/{item.sync}/{item.batch_no}",
        at=item.at,
        keys=tuple(dict.fromkeys(name for row in item.rows for name in row.key)),
        columns=tuple(dict.fromkeys(name for row in rows for name in row)),
        positions=tuple(row.position for row in item.rows),
        documents=tuple(orjson.dumps(row) for row in rows),
        mark=mark,
    )


def read_response(settings: Settings, item: Item, reply: TableAnswer) -> Result:
    """Return what the SQLSTATE means; a row that was to be changed and is not there is rejected."""
    known = CODES.get(reply.state) or meaning(CODES, reply.state[:2])
    code = "committed" if reply.state == DONE else f"sqlstate_{token(reply.state)}"
    if reply.lacking:
        code += f":{token(reply.lacking[0], 'a_column')}"
    absent = tuple(RowResult(position, Outcome.REJECTED, "not_found") for position in reply.absent)
    return Result(known.outcome, code, is_systemic=known.is_systemic, rows=absent)


def build_probe(settings: Settings, secrets: Secrets) -> TableProbe:
    """Return a question that changes nothing."""
    return TableProbe()


def read_probe(settings: Settings, reply: TableAnswer) -> Result:
    """Return accepted when the server let us in."""
    known = CODES.get(reply.state) or meaning(CODES, reply.state[:2])
    return Result(known.outcome, f"sqlstate_{token(reply.state)}", is_systemic=known.is_systemic)


def _has_key(row: BatchRow) -> bool:
    return isinstance(row.key, dict) and bool(row.key) and all(value is not None for value in row.key.values())
