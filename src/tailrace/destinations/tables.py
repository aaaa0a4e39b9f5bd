"""How do rows reach a table of PostgreSQL? One transaction per call, over a kept connection.

Until the commit is asked for nothing counts as handed over: a transaction whose connection is lost is undone. No
answer of a server is repeated, for its words may hold values or the address; its SQLSTATE is.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from typing import Any

from tailrace import clock, crash, engine
from tailrace.destinations.base import Failure
from tailrace.errors import DestinationError

DONE = "00000"
NO_COLUMN = "42703"
LOGIN = "28000"
"""The SQLSTATE of a connection that was refused; the library does not say which it was."""

_PACKAGE = "tailrace.destinations"
_REFUSED = re.compile(
    r"authentication failed|no password supplied|no pg_hba.conf entry|does not exist|permission denied|not permitted",
    re.IGNORECASE,
)
_WEAK = frozenset({"allow", "prefer"})


@dataclass(frozen=True)
class TableWrite:
    """Rows for one table, each a JSON object. `act` is what becomes of them: upsert, update, delete, mark or append.

    Of rows that are appended the table `batches` remembers `batch_id`, `positions` and `at`. To mark is to set the
    column `mark` of those in which it is null.
    """

    act: str
    relation: tuple[str, ...]
    batches: tuple[str, ...]
    batch_id: str
    at: datetime
    keys: tuple[str, ...]
    columns: tuple[str, ...]
    positions: tuple[int, ...]
    documents: tuple[bytes, ...] = field(repr=False)
    mark: str = ""


@dataclass(frozen=True)
class TableProbe:
    """A question that changes nothing: is the server there, and are we let in?"""


@dataclass(frozen=True)
class TableAnswer:
    """What the server said: its SQLSTATE, and the positions of rows that were to be changed and are not there.

    `lacking`: which of our columns the table has not, where that is what is wrong.
    """

    state: str
    absent: tuple[int, ...] = ()
    lacking: tuple[str, ...] = ()


class TableSession:
    """One connection to a database, opened when first used, used again while it works, opened anew when it does not.

    Raises DestinationError when the library is missing, or `url` is not one. An encrypted connection never falls back
    to clear text: where neither `sslmode` nor `url` says otherwise it is `require`.
    """

    def __init__(self, *, url: str | None, variable: str, sslmode: str | None, ca_file: str | None, timeout: float):
        try:
            self._library = import_module("psycopg")
            self._sql: Any = import_module("psycopg.sql")
        except ImportError as error:
            raise DestinationError(
                "psycopg is not installed; expected it to write to a table: install the extra, `pip install"
                " 'tailrace[postgres]'`"
            ) from error
        self._timeout = timeout
        self._url = url
        self._options = self._how_to_connect(url, variable, sslmode, ca_file) if url is not None else {}
        self._open: Any = None

    def perform(self, request: TableWrite | TableProbe) -> TableAnswer | Failure:
        """Write the rows in one transaction: afterwards all of them are there, or none is.

        A kept connection that the server has closed meanwhile is opened anew, once: nothing had been committed on it.
        """
        was_open = self._open is not None
        answer = self._perform(request)
        is_stale = isinstance(answer, Failure) and answer.code == "statement:lost"
        return self._perform(request) if was_open and is_stale else answer

    def flush(self) -> None:
        """Nothing is buffered here: what was committed is durable there."""

    def close(self) -> None:
        """Hang up."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def _perform(self, request: TableWrite | TableProbe) -> TableAnswer | Failure:
        stage = "connect"
        try:
            connection = self._connected()
            stage = "statement"
            # One way of reading values, whatever the role's own settings; a statement ends before its caller gives up.
            connection.execute("set local timezone = 'UTC'")
            connection.execute(f"set local statement_timeout = {int(self._timeout * 900)}")
            absent = self._write(connection, request) if isinstance(request, TableWrite) else ()
            crash.here("table.written")
            stage = "commit"
            connection.commit()
        except (self._library.Error, OSError) as error:
            answer = self._failed(stage, error)
            is_lacking = isinstance(answer, TableAnswer) and answer.state == NO_COLUMN
            return self._lacking(request) if is_lacking and isinstance(request, TableWrite) else answer
        return TableAnswer(DONE, absent)

    def _lacking(self, request: TableWrite) -> TableAnswer:
        """Return the answer with the columns that the table has not: ours, and not in the server's words."""
        name = self._sql.Identifier(*request.relation).as_string(self._open)
        try:
            there = self._open.execute(engine.statement(_PACKAGE, "table_columns"), {"relation": name}).fetchall()
            self._open.rollback()
        except (self._library.Error, OSError):
            self.close()
            return TableAnswer(NO_COLUMN)
        known = {column for (column,) in there}
        return TableAnswer(NO_COLUMN, lacking=tuple(column for column in request.columns if column not in known))

    def _connected(self) -> Any:
        if self._open is None:
            self._open = _patient(self._library, self._timeout).connect(self._url or "", **self._options)
        return self._open

    def _failed(self, stage: str, error: Exception) -> TableAnswer | Failure:
        """Return what is known of a call that raised; the transaction is undone, or the connection is given up."""
        state = getattr(error, "sqlstate", None)
        is_alive = self._open is not None and not self._open.broken and not isinstance(error, TimeoutError)
        if is_alive:
            with suppress(self._library.Error, OSError):
                self._open.rollback()
        else:
            self.close()
        if stage == "connect":
            words = str(error)
            if _REFUSED.search(words):
                return TableAnswer(LOGIN)
            return Failure(False, f"connect:{_kind(error, words)}")
        if state is None or not is_alive:
            return Failure(stage == "commit", f"{stage}:{_kind(error, 'lost')}")
        return TableAnswer(state)

    def _write(self, connection: Any, request: TableWrite) -> tuple[int, ...]:
        wanted = list(zip(request.positions, request.documents, strict=True))
        if request.act == "append":
            done = self._appended(connection, request)
            wanted = [(position, document) for position, document in wanted if position not in done]
            if not wanted:
                return ()
        text = (b"[" + b",".join(document for _, document in wanted) + b"]").decode()
        found = connection.execute(self._statement(request), {"documents": text})
        if request.act != "update":
            return ()
        there = {place for (place,) in found.fetchall()}
        return tuple(position for place, (position, _) in enumerate(wanted, 1) if place not in there)

    def _appended(self, connection: Any, request: TableWrite) -> set[int]:
        """Return the positions of the batch's rows that an earlier call appended, and remember those of this one.

        Calls for one batch wait for one another.
        """
        batches = self._name(*request.batches)
        name = self._sql.Identifier(*request.batches).as_string(connection)
        connection.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", [request.batch_id])
        ((known,),) = connection.execute("select to_regclass(%s)", [name]).fetchall()
        if known is None:
            connection.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])
            connection.execute(self._text("table_batches").format(batches=batches))
        asked = self._sql.SQL("select first_position, last_position from {} where batch_id = %s").format(batches)
        known = connection.execute(asked, [request.batch_id]).fetchall()
        done = {position for first, last in known for position in range(first, last + 1)}
        runs = _runs([position for position in request.positions if position not in done])
        with connection.cursor() as cursor:
            cursor.executemany(
                self._text("table_remember").format(batches=batches),
                [(request.batch_id, *run, request.at) for run in runs],
            )
        return done

    def _statement(self, request: TableWrite) -> Any:
        sql = self._sql
        relation = self._name(*request.relation)
        columns, keys = ([self._name(name) for name in names] for names in (request.columns, request.keys))
        fields = [self._name(name) for name in request.columns if name not in request.keys]
        commas = sql.SQL(", ")
        is_same = sql.SQL(" and ").join(sql.SQL("present.{0} = (given.record).{0}").format(key) for key in keys)
        if request.act == "upsert":
            # As text, because not every type knows when two values are the same.
            distinct = "present.{0}::text is distinct from excluded.{0}::text"
            update = sql.SQL("update set {} where {}").format(
                commas.join(sql.SQL("{0} = excluded.{0}").format(name) for name in fields),
                sql.SQL(" or ").join(sql.SQL(distinct).format(name) for name in fields),
            )
            return self._text("table_upsert").format(
                relation=relation,
                columns=commas.join(columns),
                keys=commas.join(keys),
                action=update if fields else sql.SQL("nothing"),
            )
        if request.act == "update":
            distinct = "present.{0}::text is distinct from (given.record).{0}::text"
            assigned = [sql.SQL("{0} = (given.record).{0}").format(name) for name in fields or keys]
            return self._text("table_update").format(
                relation=relation,
                assignments=commas.join(assigned),
                is_same=is_same,
                differs=sql.SQL(" or ").join(sql.SQL(distinct).format(name) for name in fields or keys),
            )
        if request.act == "delete":
            return self._text("table_delete").format(relation=relation, is_same=is_same)
        if request.act == "mark":
            mark = self._name(request.mark)
            return self._text("table_mark").format(relation=relation, is_same=is_same, mark=mark)
        return self._text("table_append").format(relation=relation, columns=commas.join(columns))

    def _name(self, *parts: str) -> Any:
        # In a statement with parameters a lone percent sign is one of them.
        return self._sql.Identifier(*(part.replace("%", "%%") for part in parts))

    def _text(self, name: str) -> Any:
        return self._sql.SQL(engine.statement(_PACKAGE, name))

    def _how_to_connect(
        self, url: str, variable: str, sslmode: str | None, ca_file: str | None
    ) -> dict[str, str | int | None]:
        try:
            told = import_module("psycopg.conninfo").conninfo_to_dict(url)
        except self._library.ProgrammingError:
            raise DestinationError(
                f"what `{variable}` holds is no URL of a database; expected one such as"
                " `postgresql://user:password@host/database`"
            ) from None
        mode = sslmode or told.get("sslmode", "require")
        patience = int(self._timeout)
        options: dict[str, str | int | None] = {
            "sslmode": "require" if mode in _WEAK else mode,
            "connect_timeout": min(max(patience, 2), 10),
            "tcp_user_timeout": patience * 1000,
            "client_encoding": "UTF8",
            "application_name": "tailrace",
            # What is prepared on one connection a pooler may ask for on another.
            "prepare_threshold": None,
        }
        return options if ca_file is None else options | {"sslrootcert": ca_file}


def _runs(positions: Sequence[int]) -> list[tuple[int, int]]:
    """Return the positions, which rise, as (first, last) of each run without a gap."""
    starts = [place for place, each in enumerate(positions) if place == 0 or each != positions[place - 1] + 1]
    ends = [*(start - 1 for start in starts[1:]), len(positions) - 1]
    return [(positions[start], positions[end]) for start, end in zip(starts, ends, strict=False)]


def _patient(library: Any, timeout: float) -> Any:
    """Return a connection class whose calls end after `timeout`, also when the server is there and says nothing."""

    class Patient(library.Connection):  # type: ignore[misc]
        def wait(self, gen: Any, *more: Any, **named: Any) -> Any:
            return super().wait(_until(gen, clock.monotonic() + timeout), *more, **named)

    return Patient


def _until(steps: Generator[Any, Any, Any], deadline: float) -> Generator[Any, Any, Any]:
    try:
        wanted = next(steps)
        while True:
            ready = yield wanted
            if not ready and clock.monotonic() > deadline:
                raise TimeoutError
            wanted = steps.send(ready)
    except StopIteration as end:
        return end.value


def _kind(error: Exception, words: str) -> str:
    if isinstance(error, TimeoutError) or "timeout expired" in words:
        return "timeout"
    if "SSL" in words or "certificate" in words:
        return "tls"
    return "lost" if words == "lost" else "refused"
