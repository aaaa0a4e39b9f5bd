"""How is a journal that is in a PostgreSQL database opened and spoken to? Several processes may claim at once.

Who writes holds the table `journal`: alone, or beside others whose transactions may overlap (claims, outcomes). So an
epoch begins, and a reader goes on from a number, when no transaction is half-way. A connection that was lost is opened
again where nothing has been done on it yet, and nowhere else.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from psycopg import conninfo
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.pq import TransactionStatus

from tailrace import clock, engine, ids
from tailrace.errors import Busy, JournalError
from tailrace.journal.database import Database, Params, tables
from tailrace.journal.place import Place, host_id

_OLDEST = 130000
_WAITS = (0.0, 0.5, 1.0, 2.0, 4.0)
"""Seconds before each attempt to open a connection again: a server that restarts is back by then."""

_ALONE, _BESIDE = "exclusive", "row share"
"""Locks of the table `journal`: the first excludes both, and neither keeps readers out."""

# A process that was stopped in the middle of a transaction loses it before those that wait for it give up.
_SESSION = """
set lock_timeout = '90s';
set idle_in_transaction_session_timeout = '60s';
set statement_timeout = 0;
set client_min_messages = warning
"""
_DURABLE = ("on", "remote_apply")
_DEFAULTS = {
    "connect_timeout": "10",
    "application_name": "tailrace",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
}

# The server's own words may hold values, and a URL that was not understood is quoted with what is secret in it.
_HINTS = {
    "password authentication failed": "role or password are wrong",
    "no password supplied": "a password is needed",
    "does not exist": "there is no such database or role",
    "could not translate host name": "the host is not known",
    "failed to resolve host": "the host is not known",
    "refused": "nobody listens there",
    "timeout expired": "there was no answer in time",
    "No such file or directory": "nobody listens there",
    "starting up": "the server is starting",
    "too many clients": "the server has no connection left",
    "pg_hba.conf": "the server does not let this host or role in",
}

_T = TypeVar("_T")

_MARKS = re.compile(r"'(?:[^']|'')*'|--[^\n]*|\$(?P<name>\w+)|(?P<mark>\?)|(?P<percent>%)|(?P<hint> indexed by \w+)")


class _Sum(Loader):
    """What whole numbers add up to, which the server calls a decimal number."""

    def load(self, data: Buffer) -> int:
        """Return it as the whole number that it is."""
        return int(bytes(data))


class NamedRow(tuple[Any, ...]):
    """A row that knows the names of its columns."""

    names: dict[str, int]

    def __getitem__(self, key: Any, /) -> Any:
        """Return the value of the column of this name or place."""
        return super().__getitem__(self.names[key] if isinstance(key, str) else key)


class PostgresDatabase(Database):
    """An open connection to the database, in autocommit. Every commit is on the server's disk when it returns."""

    kind = "postgres"

    def __init__(self, url: str, data_dir: Path) -> None:
        self._asked = _parts(url)
        self.name = _masked(self._asked)
        self._data_dir = data_dir
        self._held: set[int] = set()
        self._is_writing = False
        self._connection = self._connect()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    @contextmanager
    def transaction(self, *, may_overlap: bool = False) -> Iterator[None]:
        """Write in the block; afterwards all of it is on the server's disk, or none of it happened.

        Raises JournalError when the connection is lost, or others keep the journal for longer than 90 seconds.
        """
        with self._transaction(f"lock table journal in {_BESIDE if may_overlap else _ALONE} mode"):
            yield

    @contextmanager
    def settled(self) -> Iterator[None]:
        """Hold all writing off: a number is given when a row is written, and seen when its transaction commits."""
        with self.transaction():
            yield

    @contextmanager
    def exclusive(self, what: str) -> Iterator[None]:
        """Hold a lock of the session for the block; the server releases it when the connection ends.

        A connection that was lost meanwhile may not get it back: what is decided by it is fenced by epochs.
        """
        (oid,) = self.tuples("select 'journal'::regclass::oid::bigint")[0]
        key = int(ids.digest("journal", what, str(oid))[:15], 16)
        if not self.value("select pg_try_advisory_lock($key)", {"key": key}):
            raise Busy(
                f"{what} is already under way in another process that has this journal, {self.name}; expected to be"
                " the only one: wait for it to end, then run again. Nothing was changed."
            )
        self._held.add(key)
        try:
            yield
        finally:
            self._held.discard(key)
            # A connection that is lost has given it back.
            with suppress(psycopg.OperationalError):
                self._connection.execute("select pg_advisory_unlock(%s)", [key])

    def all(self, sql: str, params: Params | None = None) -> Sequence[NamedRow]:
        """Return all rows of a query."""
        return self._read(lambda: self._execute(sql, params, _named).fetchall())

    def tuples(self, sql: str, params: Params | None = None) -> list[tuple[Any, ...]]:
        """Return all rows of a query as plain tuples, for the many."""
        return self._read(lambda: self._execute(sql, params).fetchall())

    def one(self, sql: str, params: Params | None = None) -> NamedRow | None:
        """Return the first row of a query, or None."""
        rows = self.all(sql, params)
        return rows[0] if rows else None

    def run(self, sql: str, params: Params | None = None) -> int:
        """Execute one statement inside a transaction and return how many rows it changed."""
        return self._execute(sql, params).rowcount

    def insert(self, sql: str, params: Params) -> int:
        """Insert one row inside a transaction and return the number it was given: its first column."""
        ((number, *_),) = self._execute(f"{sql} returning *", params).fetchall()
        return int(number)

    def many(self, sql: str, rows: Sequence[Params | tuple[Any, ...]]) -> int:
        """Execute one statement for each of `rows` inside a transaction and return how many rows it changed in all."""
        if not rows:
            return 0
        with self._connection.cursor() as cursor:
            cursor.executemany(translated(sql).encode(), rows)
            return cursor.rowcount

    def skip_to(self, table: str, number: int) -> None:
        """Let the next row of `table` have at least the number after `number`, inside a transaction."""
        params = {"table": table, "number": number}
        self.tuples(engine.statement("tailrace.journal", "skip_to_postgres"), params)

    def rewrite(self) -> None:
        """Write the journal's tables anew; the server's own log, and copies of the server, keep what they have.

        Raises JournalError when another process reads for longer than 90 seconds.
        """
        with self._translated():
            for table in tables():
                self._connection.execute(f"vacuum (full) {engine.identifier(table)}".encode())
            # The files that they had before are removed by the next one.
            with suppress(psycopg.errors.InsufficientPrivilege):
                self._connection.execute("checkpoint")

    def place(self) -> Place:
        """Return which host this is, which data directory, and which very table of which server the journal is.

        The same table restored, in another database, or of a server that took over, is another one.
        """
        ((server, timeline, database, table, schema),) = self.tuples(self.own_statement("place"))
        asked = self._asked
        where = ids.digest(*(str(asked.get(part, "")) for part in ("host", "hostaddr", "port", "dbname")), schema)[:16]
        path = f"{os.path.realpath(self._data_dir)} {where}"
        return Place(host_id(), path, server, int(ids.digest(str(timeline), str(database), str(table))[:15], 16))

    def why_elsewhere(self, was: Place) -> str | None:
        """Return in words why this is not the place `was`; None when it is."""
        here = self.place()
        if was.host != here.host:
            return "it was acquired on another host"
        if was.path != here.path:
            return "it was acquired for another data directory, or another address of the journal's database"
        if was != here:
            return "the journal is not the one it was acquired for (copied, restored, or on a server that took over)"
        return None

    def weaknesses(self) -> list[str]:
        """Return in words what of the server's settings breaks the promise that a commit is on its disk."""
        return [
            f"the server's `{name}` is off: a crash of its machine may forget what was sent. Set it to on"
            for name in ("fsync", "full_page_writes")
            if self.value(f"show {name}") == "off"
        ]

    @contextmanager
    def _migrating(self) -> Iterator[None]:
        with self._transaction("select pg_advisory_xact_lock(hashtext('tailrace.migrations'))"):
            yield

    def _has_steps(self) -> bool:
        found = {row[0] for row in self.tuples(self.own_statement("made"))}
        if found == {"migrations"}:
            raise JournalError(
                f"{self.name}: the schema holds tables of something else; expected a database, or a schema on the"
                " role's search path, that is the journal's alone: make one, and name it in TAILRACE_JOURNAL"
            )
        return bool(found)

    def _definition(self, statement: str) -> str:
        numbered = "bigint generated by default as identity primary key"
        return re.sub(r"\binteger\b", "bigint", statement.replace("integer primary key autoincrement", numbered))

    @contextmanager
    def _transaction(self, lock: str) -> Iterator[None]:
        assert not self._is_writing
        with self._translated():
            self._reconnecting(lambda: self._begin(lock))
            self._is_writing = True
            try:
                yield
            except BaseException:
                self._roll_back()
                raise
            finally:
                self._is_writing = False
            done = self._connection.execute("commit").statusmessage
        if done != "COMMIT":
            raise JournalError(
                f"{self.name}: the journal's database ended a transaction with {done}; expected COMMIT. Nothing of it"
                " was written: run again"
            )

    def _begin(self, lock: str) -> None:
        self._connection.execute("begin isolation level read committed read write")
        try:
            self._connection.execute(lock.encode())
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        """End the transaction; where the connection cannot say so any more, the server ends it."""
        if self._connection.info.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
            with suppress(psycopg.OperationalError):
                self._connection.execute("rollback")
        elif self._connection.info.transaction_status != TransactionStatus.IDLE:
            self._connection.close()

    def _execute(self, sql: str, params: Params | None, rows: Any = psycopg.rows.tuple_row) -> psycopg.Cursor[Any]:
        cursor = self._connection.cursor(row_factory=rows)
        return cursor.execute(translated(sql).encode(), params or {})

    def _read(self, asking: Callable[[], _T]) -> _T:
        with self._translated():
            return asking() if self._is_writing else self._reconnecting(asking)

    def _reconnecting(self, first: Callable[[], _T]) -> _T:
        """Do what comes first on a connection; when that finds it lost, once more on a new one."""
        try:
            return first()
        except psycopg.OperationalError:
            if not self._connection.closed:
                raise
        self._reconnect()
        return first()

    def _reconnect(self) -> None:
        problem: JournalError | None = None
        for wait in _WAITS:
            clock.sleep(wait)
            try:
                self._connection = self._connect()
            except JournalError as error:
                problem = error
                continue
            for key in self._held:
                self._connection.execute("select pg_try_advisory_lock(%s)", [key])
            return
        assert problem is not None
        raise problem

    def _connect(self) -> psycopg.Connection[Any]:
        asked: dict[str, Any] = _DEFAULTS | self._asked | {"client_encoding": "UTF8"}
        try:
            connection = psycopg.connect(conninfo.make_conninfo(**asked), autocommit=True)
        except psycopg.Error as error:
            hint = next((words for needle, words in _HINTS.items() if needle in str(error)), _kind(error))
            raise JournalError(
                f"{self.name}: the journal's database cannot be reached ({hint}); expected a PostgreSQL that lets this"
                " host and role in: see that it is up and that TAILRACE_JOURNAL is right"
            ) from None
        connection.adapters.register_loader("numeric", _Sum)
        try:
            with self._translated():
                self._settle(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _settle(self, connection: psycopg.Connection[Any]) -> None:
        if connection.info.server_version < _OLDEST:
            raise JournalError(
                f"{self.name}: the server is PostgreSQL {connection.info.server_version // 10000}; expected 13 or later"
            )
        connection.execute(_SESSION.encode())
        asked = "select pg_is_in_recovery() or current_setting('transaction_read_only') = 'on', current_schema()"
        ((is_read_only, schema),) = connection.execute(asked).fetchall()
        if is_read_only:
            raise JournalError(
                f"{self.name}: the server is a standby, or read-only; expected the one that is written to: name it, or"
                " add `target_session_attrs=read-write` to the URL"
            )
        if schema is None:
            raise JournalError(
                f"{self.name}: there is no schema on the role's search path; expected the one that the journal is in:"
                " create it, or correct `search_path`"
            )
        show = "show synchronous_commit"
        if connection.execute(show).fetchall()[0][0] not in _DURABLE:
            connection.execute("set synchronous_commit = on")
        if (found := connection.execute(show).fetchall()[0][0]) not in _DURABLE:
            raise JournalError(
                f"{self.name}: `synchronous_commit` is `{found}` although it was set to on; expected commits that are"
                " on the disk when they return: connect to the server itself, without a pooler of transactions"
            )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (psycopg.OperationalError, psycopg.InternalError, psycopg.errors.InsufficientPrivilege) as error:
            raise JournalError(
                f"{self.name}: the journal could not be used ({_kind(error)}); expected a connection that stays, a free"
                " journal and a disk with space. Of the transaction that was under way nothing is half done: see that"
                " the server is up, end who keeps the journal, then run again"
            ) from None
        except psycopg.Error as error:
            raise JournalError(
                f"{self.name}: the journal is damaged or contradicts itself ({_kind(error)}); expected it as it was"
                " written: restore it from a backup; what was sent since stands in its copy"
            ) from None


@cache
def translated(sql: str) -> str:
    """Return SQL with `$name` and `?` as psycopg takes it, without comments and hints for SQLite."""

    def one(found: re.Match[str]) -> str:
        text = found[0]
        if found["name"]:
            return f"%({found['name']})s"
        if found["mark"]:
            return "%s"
        if found["hint"] or text.startswith("--"):
            return ""
        return text.replace("%", "%%")

    return _MARKS.sub(one, sql)


def _named(cursor: psycopg.Cursor[Any]) -> Callable[[Sequence[Any]], NamedRow]:
    names = {column.name: place for place, column in enumerate(cursor.description or ())}

    def make(values: Sequence[Any]) -> NamedRow:
        row = NamedRow(values)
        row.names = names
        return row

    return make


def _parts(url: str) -> dict[str, Any]:
    """Return what a URL says, by its names in libpq. Raises JournalError when it is none, without quoting it."""
    try:
        parts: dict[str, Any] = conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        parts = {}
    # A password with a slash in it makes what follows a database, and what precedes a port.
    is_torn = "@" in str(parts.get("dbname")) or not re.fullmatch(r"[\d,]*", str(parts.get("port", "")))
    if not parts or is_torn:
        raise JournalError(
            "TAILRACE_JOURNAL is no URL of a database; expected one such as `postgresql://user@host/database`, in"
            " which `@`, `/`, `:` and `%` of a password are written as %40, %2F, %3A and %25"
        )
    return parts


def _masked(asked: dict[str, Any]) -> str:
    """Return where a database is, in words without a password."""
    user, host, port, name = (str(asked.get(part) or "") for part in ("user", "host", "port", "dbname"))
    return f"postgresql://{user}{'@' if user else ''}{host}{':' if port else ''}{port}/{name}"


def _kind(error: psycopg.Error) -> str:
    return f"{type(error).__name__}{f', SQLSTATE {error.sqlstate}' if error.sqlstate else ''}"
