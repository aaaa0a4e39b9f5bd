"""Who is asked for by `tailrace broadcast`? Rows of a file become one landed event each, once per key.

The key is written into the journal first, with a fingerprint of the data; then the events are landed as one load.
Killed in between, the same command again lands what is missing: an event's id is a hash of campaign, key and person.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from tailrace import clock, durable, engine, ids
from tailrace.errors import DataError, DefinitionError, Problem
from tailrace.journal.journal import Journal
from tailrace.landing.land import land
from tailrace.pipeline.campaigns import find
from tailrace.pipeline.published import has
from tailrace.settings import Settings

SOURCE = "tailrace"
"""The source of the events: what it lands makes nobody a person (see the macro `is_done_by_person`)."""

_PACKAGE = "tailrace.pipeline"
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}", re.ASCII)
_LINE = re.compile(r"[Ll]ine:? (\d+)")
_LARGEST_ROW = 1_048_576


@dataclass(frozen=True)
class Broadcast:
    """What a broadcast did. `landed` people are asked for now, the others were before; begun by `who` at `at`.

    `unknown` user ids are nobody's in the published warehouse; None when nothing is published yet.
    """

    campaign: str
    key: str
    rows: int
    landed: int
    unknown: int | None
    is_new: bool
    who: str
    at: datetime
    load_id: str | None


def broadcast(settings: Settings, slug: str, key: str, data: Path, *, who: str, at: datetime) -> Broadcast:
    """Land one `broadcast_requested` event per row of `data` (CSV or JSONL with `user_id`), once per campaign and key.

    The next run sends. The same key with the same data again changes nothing. Raises DefinitionError when the campaign
    is not live or is not started by command, DataError for data that cannot be used (nothing was changed then), and
    JournalError when the key was used with other data.
    """
    _require_command(settings, slug)
    if not _KEY.fullmatch(key):
        raise DataError(
            "the key cannot be used; expected letters, digits, `.`, `_`, `:` or `-`, at most 100, such as `march-news`"
        )
    with _told(settings, data) as connection:
        fingerprint, n_rows = _require_sound(connection, data)
        unknown = _unknown(settings, connection)
        calls = settings.scratch / f"broadcast-{ids.digest(slug, key)[:16]}.jsonl"
        query = engine.statement(_PACKAGE, "asked")
        values = {"campaign": slug, "key": key, "at": clock.iso(at)}
        for name, value in values.items():
            query = query.replace(f"${name}", engine.literal(value))
        with Journal.open(settings) as journal:
            begun = journal.begin_broadcast(slug, key, fingerprint, n_rows, who, at)
        connection.execute(f"copy ({query}) to {engine.literal(str(calls))} (format json)")
    try:
        landed = land(settings, [calls], SOURCE, as_of=at)
    finally:
        durable.remove(calls)
    if landed.quarantined:
        raise DataError(
            f"{data}: {landed.quarantined} of {n_rows} rows could not be landed; expected all; the others are asked"
            f" for: `tailrace quarantine list --source {SOURCE}` says why"
        )
    return Broadcast(slug, key, n_rows, landed.landed, unknown, begun.is_new, begun.who, begun.at, landed.load_id)


def _require_command(settings: Settings, slug: str) -> None:
    campaign = find(settings, slug)
    trigger = campaign.definition()["trigger"]
    if trigger.get("kind") != "broadcast" or trigger.get("segment") is not None:
        raise DefinitionError(
            Problem(campaign.path, None, "it is not started by command; expected `trigger: {broadcast: command}`")
        )
    if campaign.status != "live":
        raise DefinitionError(
            Problem(campaign.path, None, f"`status` is `{campaign.status}`; expected `live`: nobody would enter")
        )


@contextmanager
def _told(settings: Settings, path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a connection with the table `told` (nth, user_id, fields: JSON text), one row per row of the file."""
    if not path.is_file():
        raise DataError(f"{path}: there is no such file; expected the people of the broadcast. Nothing was changed.")
    with engine.connect(settings) as connection:
        try:
            if path.suffix == ".csv":
                rows = _csv_rows(path)
            elif path.suffix in (".jsonl", ".ndjson"):
                rows = _json_rows(path)
            else:
                raise DataError(f"{path}: expected a file that ends in .csv or .jsonl. Nothing was changed.")
            connection.execute(f"create table told as {rows}")
        except (duckdb.Error, UnicodeDecodeError, csv.Error) as error:
            # DuckDB quotes the line, which names people.
            found = _LINE.search(str(error))
            where = f":{found[1]}" if found else ""
            raise DataError(
                f"{path}{where}: the file cannot be read; expected UTF-8, "
                + ("as many fields as the header has" if path.suffix == ".csv" else "one JSON object a line")
                + ". Nothing was changed."
            ) from None
        yield connection


def _csv_rows(path: Path) -> str:
    with path.open(encoding="utf-8-sig", newline="") as handle:
        header = next(csv.reader(handle), [])
    if "user_id" not in header or len(set(header)) != len(header) or "" in header:
        raise DataError(
            f"{path}:1: expected a header with `user_id` and fields, each with a name of its own. Nothing was changed."
        )
    columns = ", ".join(f"{engine.literal(name)}: 'varchar'" for name in header)
    fields = ", ".join(f"{engine.literal(name)}, {engine.identifier(name)}" for name in header if name != "user_id")
    return (
        f"select row_number() over () as nth, user_id, json_object({fields}) as fields"
        f" from read_csv({engine.literal(str(path))}, columns = {{{columns}}}, header = true, auto_detect = false,"
        " delim = ',', quote = '\"', escape = '\"', strict_mode = true)"
    )


def _json_rows(path: Path) -> str:
    # An id is text, or a whole number written as one.
    return (
        "select row_number() over () as nth,"
        " case when json_type(json, '$.user_id') in ('VARCHAR', 'BIGINT', 'UBIGINT') then json ->> '$.user_id' end"
        " as user_id,"
        " case when json_type(json) = 'OBJECT' then json_merge_patch(json, '{\"user_id\": null}') end as fields"
        f" from read_json_objects({engine.literal(str(path))}, format = 'newline_delimited',"
        f" maximum_object_size = {_LARGEST_ROW})"
    )


def _require_sound(connection: duckdb.DuckDBPyConnection, path: Path) -> tuple[str, int]:
    """Return the fingerprint of the data and how many rows it has; raises DataError for what cannot be used."""
    (facts,) = engine.rows(connection, engine.statement(_PACKAGE, "asked_facts"))
    problems = {
        "unread": "is not a JSON object",
        "nameless": "has no `user_id` (text)",
        "again": "names a `user_id` for the second time; who is asked for twice would be asked for with which fields?",
        "reserved": "has a field `campaign` or `key`, which are the broadcast's own; rename it",
    }
    if not facts["n_rows"]:
        raise DataError(f"{path}: the file names nobody; expected a row per person. Nothing was changed.")
    for name, words in problems.items():
        if facts[name] is not None:
            raise DataError(f"{path}: row {facts[name]} (without header) {words}. Nothing was changed.")
    return ids.digest(str(facts["n_rows"]), facts["fingerprint"]), facts["n_rows"]


def _unknown(settings: Settings, connection: duckdb.DuckDBPyConnection) -> int | None:
    """Return how many of the user ids are nobody's in the published warehouse; None when nothing is published."""
    if not settings.published.is_file():
        return None
    engine.attach(connection, settings.published, "published")
    try:
        known = "select user_id from published.core.dim_people"
        if has(connection, "core", "fct_person_merges"):
            known += " union all select user_id from published.core.fct_person_merges"
        (count,) = engine.row(connection, f"select count(*) from told where told.user_id not in ({known})")
    finally:
        connection.execute("detach published")
    return int(count)
