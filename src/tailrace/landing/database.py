"""Which rows of a PostgreSQL table may be new since the last load, and how do they come here as lines?

New is told by transactions and by nothing that an application writes: of each row the server knows which transaction
wrote it (`xmin`), and of each moment the oldest transaction that had not ended (`pg_snapshot_xmin`). All that older
transactions wrote was there to be read then; what they did not write, and that is all that a late commit can bring, is
read the next time. What is read twice is a duplicate by its event id.

No index has that number. Where the contract names a `cursor`, a column that rises with every writing, an index on it is
asked first: what a transaction writes that began its writing after an earlier reading cannot stand (far) below the
cursor that the table had then. Which reading that is, the transactions tell again, so a late commit is found however
late it is.

landing/loads/<load_id>/mark.json       how far the table was read; written with the load, there when the load is
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from tailrace import durable, engine
from tailrace.errors import DataError, SourceUnread, TailraceError, nearest
from tailrace.landing.contract import Contract
from tailrace.landing.loads import Load, loads_dir
from tailrace.landing.origin import Origin
from tailrace.settings import Settings, secret

_OLDEST = 130000

# Time and sequences are not handed out in the order of writing: how far below the cursor's place is still looked at.
_TIME_OVERLAP = "interval '1 day'"
_NUMBER_OVERLAP = "100000"

_PACKAGE = "tailrace.landing"


class Mark(BaseModel):
    """How far a table was read: every row that a transaction before `horizon` wrote has been.

    Where `server`, `timeline` or `database` is another one, transactions are numbered anew, and nothing has been read.
    `tables` are the table and its partitions; `columns` are the types of its columns. `cursor` is the contract's, and
    `readings` are what the readings found whose transactions are not all known yet: no transaction from the number on
    had begun to write, and the cursor stood there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    server: str
    timeline: int
    database: int
    tables: tuple[int, ...]
    horizon: int
    columns: dict[str, str]
    cursor: str | None = None
    readings: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True)
class Pulled:
    """Rows that were read into the file `path`, one JSON object a line; `changes` are what is new about the columns."""

    path: Path
    mark: Mark
    changes: tuple[str, ...]


def pull(contract: Contract, before: Iterable[Load], settings: Settings, folder: Path, *, whole: bool) -> Pulled:
    """Read the rows that may be new since the last load of the source, or all, into a file in `folder`.

    Raises SourceUnread when the database cannot be read, or has not what the contract names, or the variable with the
    URL is not set.
    """
    origin = contract.origin
    assert origin is not None
    last = last_mark(settings, contract.source, before)
    path = folder / "rows.jsonl"
    with _connected(origin) as connection:
        _settle(connection)
        oid = _table(connection, origin)
        mark = _mark(connection, oid)
        _require(contract, mark.columns)
        mark = _with_readings(connection, origin, mark, last)
        query = _query(origin, mark, None if whole else last, ordered=whole)
        with path.open("wb") as handle, connection.cursor().copy(query) as rows:
            for row in rows:
                handle.write(row)
    return Pulled(path, mark, changes(origin, last.columns, mark.columns) if last else ())


def last_mark(settings: Settings, source: str, before: Iterable[Load]) -> Mark | None:
    """Return how far the source's table was read by the last load that says so."""
    for load in sorted((load for load in before if load.source == source), key=lambda load: -load.load_seq):
        path = loads_dir(settings) / load.load_id / "mark.json"
        if path.is_file():
            try:
                return Mark.model_validate(orjson.loads(path.read_bytes()))
            except (ValidationError, orjson.JSONDecodeError) as error:
                raise DataError(
                    f"{path}: how far the table was read cannot be told ({type(error).__name__}); expected what `land`"
                    " wrote: restore the folder from a backup"
                ) from error
    return None


def write(folder: Path, mark: Mark) -> None:
    """Put the mark into the folder of a load that is being written."""
    durable.write(folder / "mark.json", mark.model_dump_json(indent=1).encode())


def changes(origin: Origin, before: dict[str, str], now: dict[str, str]) -> tuple[str, ...]:
    """Return in words which columns are new, are gone or have another type."""
    gone = [f"column `{name}` of {origin.name} is gone" for name in before if name not in now]
    new = [f"column `{name}` of {origin.name} is new ({kind})" for name, kind in now.items() if name not in before]
    other = [
        f"column `{name}` of {origin.name} is {kind}, and was {before[name]}"
        for name, kind in now.items()
        if before.get(name, kind) != kind
    ]
    return (*gone, *new, *other)


def _settle(connection: Any) -> None:
    version = connection.info.server_version
    if version < _OLDEST:
        raise SourceUnread(f"the server is PostgreSQL {version // 10000}; expected 13 or later. Nothing was landed.")
    # One snapshot for all that is asked, and one way of writing values whatever the role's own settings.
    connection.execute("set transaction isolation level repeatable read read only")
    connection.execute("set local timezone = 'UTC'; set local extra_float_digits = 1; set local bytea_output = 'hex'")
    connection.execute("set local statement_timeout = 0")


def _table(connection: Any, origin: Origin) -> int:
    name = ".".join(engine.identifier(part) for part in origin.table)
    ((oid,),) = connection.execute("select to_regclass(%s)::oid", [name]).fetchall()
    if oid is None:
        raise SourceUnread(
            f"{origin.name}: there is no such table in the database of `{origin.url_env}`; expected it, by its name as"
            " the database writes it: correct `table`, or the search path. Nothing was landed."
        )
    ((kind,),) = connection.execute("select relkind from pg_class where oid = %s", [oid]).fetchall()
    if kind not in ("r", "p"):
        raise SourceUnread(
            f"{origin.name}: this is no table but a relation of kind `{kind}`; expected a table, whose rows know which"
            " transaction wrote them: name the table below the view. Nothing was landed."
        )
    return int(oid)


def _mark(connection: Any, oid: int) -> Mark:
    asked = connection.execute(engine.statement(_PACKAGE, "database_mark")).fetchall()
    ((server, timeline, database, horizon),) = asked
    tables = connection.execute(engine.statement(_PACKAGE, "database_tables"), {"oid": oid}).fetchall()
    columns = connection.execute(engine.statement(_PACKAGE, "database_columns"), {"oid": oid}).fetchall()
    return Mark(
        server=server,
        timeline=timeline,
        database=database,
        tables=tuple(sorted(row[0] for row in tables)),
        horizon=horizon,
        columns=dict(columns),
    )


def _require(contract: Contract, columns: dict[str, str]) -> None:
    assert contract.origin is not None
    assert contract.mapping is not None
    cursor = contract.origin.cursor
    for name in (*contract.mapping.columns(), *contract.origin.key, *([cursor] if cursor else [])):
        if name not in columns:
            raise SourceUnread(
                f"{contract.origin.name}: there is no column `{name}`; expected it, as {contract.path} says."
                f"{nearest(name, columns)} Correct the contract or the table. Nothing was landed, and nothing is lost:"
                " what is new is read when the two agree."
            )


def _with_readings(connection: Any, origin: Origin, mark: Mark, last: Mark | None) -> Mark:
    """Return the mark with this reading and those before it that the next one may need."""
    if origin.cursor is None:
        return mark
    kind = mark.columns[origin.cursor]
    if _overlap(kind) is None:
        raise SourceUnread(
            f"{origin.name}: the cursor `{origin.cursor}` is {kind}; expected a time or a whole number, which rises"
            " with every writing: name another column, or none. Nothing was landed."
        )
    sql = import_module("psycopg.sql")
    is_time = _overlap(kind) == _TIME_OVERLAP
    asked = sql.SQL(engine.statement(_PACKAGE, "database_cursor")).format(
        cursor=sql.Identifier(origin.cursor),
        relation=sql.Identifier(*origin.table),
        known=sql.SQL("isfinite({})").format(sql.Identifier(origin.cursor)) if is_time else sql.SQL("true"),
        most=sql.SQL(f"now()::{kind}") if is_time else sql.SQL("null"),
        kind=sql.SQL(kind),
    )
    ((following, stands),) = connection.execute(asked).fetchall()
    before = () if last is None or not _is_same(mark, last) or last.cursor != origin.cursor else last.readings
    readings = [*before, *([(following, stands)] if stands is not None else [])]
    # Everything that is not read yet was begun after the newest of those that all of it came after.
    past = [number for number, _ in readings if number <= mark.horizon]
    kept = tuple((number, at) for number, at in readings if not past or number >= max(past))
    return mark.model_copy(update={"cursor": origin.cursor, "readings": kept})


def _is_same(mark: Mark, last: Mark) -> bool:
    return (last.server, last.timeline, last.database) == (mark.server, mark.timeline, mark.database)


def _overlap(kind: str) -> str | None:
    """Return how far below where it stood a cursor of this type is still looked at, as SQL; None: it is no cursor."""
    if kind.startswith("timestamp") or kind == "date":
        return _TIME_OVERLAP
    return _NUMBER_OVERLAP if kind in ("smallint", "integer", "bigint") else None


def _since(origin: Origin, mark: Mark, last: Mark) -> Any:
    """Return the condition on the cursor that everything meets which is not read yet, or `true`."""
    sql = import_module("psycopg.sql")
    past = [at for number, at in last.readings if number <= last.horizon]
    # Rows of a table that was not read before have any cursor.
    if origin.cursor is None or origin.cursor != last.cursor or not past or set(mark.tables) - set(last.tables):
        return sql.SQL("true")
    kind = mark.columns[origin.cursor]
    return sql.SQL(engine.statement(_PACKAGE, "database_since")).format(
        cursor=sql.Identifier(origin.cursor),
        stands=sql.SQL("{}::{}").format(sql.Literal(past[-1]), sql.SQL(kind)),
        overlap=sql.SQL(str(_overlap(kind))),
    )


def _query(origin: Origin, mark: Mark, last: Mark | None, *, ordered: bool) -> Any:
    sql = import_module("psycopg.sql")
    # A numeric has more digits than a JSON reader keeps.
    written = {name: "{}::text as {}" if kind.startswith("numeric") else "{}" for name, kind in mark.columns.items()}
    listed = sql.SQL(", ").join(
        sql.SQL(form).format(*[sql.Identifier(name)] * form.count("{}")) for name, form in written.items()
    )
    where = sql.SQL("true")
    if last is not None and _is_same(mark, last):
        where = sql.SQL(engine.statement(_PACKAGE, "database_new")).format(
            horizon=sql.Literal(last.horizon),
            since=_since(origin, mark, last),
            # Where no table is new, nothing but the index is asked.
            new=sql.SQL("false")
            if not set(mark.tables) - set(last.tables)
            else sql.SQL("not (tableoid::bigint = any({}::bigint[]))").format(sql.Literal(list(last.tables))),
        )
    order = sql.SQL(", ").join(sql.Identifier(name) for name in origin.key)
    return sql.SQL(engine.statement(_PACKAGE, "database_rows")).format(
        columns=listed,
        relation=sql.Identifier(*origin.table),
        where=where,
        order=sql.SQL("order by {}").format(order) if ordered else sql.SQL(""),
    )


@contextmanager
def _connected(origin: Origin) -> Iterator[Any]:
    """Give a connection in a transaction of its own, and turn what goes wrong into words without the URL."""
    try:
        psycopg = import_module("psycopg")
    except ImportError as error:
        raise SourceUnread(
            "psycopg is not installed; expected it to read a table: install the extra, `pip install"
            " 'tailrace[postgres]'`"
        ) from error
    try:
        url = secret(origin.url_env)
    except TailraceError as error:
        raise SourceUnread(str(error)) from error
    try:
        connection = psycopg.connect(url, connect_timeout=10, client_encoding="UTF8", application_name="tailrace")
    except psycopg.ProgrammingError:
        raise SourceUnread(
            f"{origin.name}: what `{origin.url_env}` holds is no URL of a database; expected one such as"
            " `postgresql://user@host/database`. Nothing was landed."
        ) from None
    except psycopg.OperationalError as error:
        raise SourceUnread(
            f"{origin.name}: the database of `{origin.url_env}` cannot be reached ({_kind(error)}); expected it to"
            " answer: see that it is up, and that role and password are right. Nothing was landed."
        ) from None
    try:
        with connection:
            yield connection
    except psycopg.Error as error:
        raise SourceUnread(
            f"{origin.name}: the database stopped the reading ({_kind(error)}); expected rows: see its log, then land"
            " again. Nothing was landed."
        ) from None


def _kind(error: Any) -> str:
    """Return what kind of error this is: the server's own words may hold values, or the URL."""
    return f"{type(error).__name__}{f', SQLSTATE {error.sqlstate}' if error.sqlstate else ''}"
