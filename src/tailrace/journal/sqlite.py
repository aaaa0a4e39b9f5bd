"""How is a journal that is a SQLite file opened and spoken to? One connection; whoever writes, writes alone."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tailrace.errors import JournalError
from tailrace.journal.database import Database, Params
from tailrace.journal.place import Place, place_of

BUSY_SECONDS = 10.0
_CHECKPOINT = "wal_autocheckpoint = 4000"
"""Pages (16 MB) after which the log is taken into the file: a claim touches two dozen, and it waits for the disk."""


class SqliteDatabase(Database):
    """An open journal file. Every commit is on the disk when it returns (WAL, synchronous=FULL)."""

    kind = "sqlite"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        # The WAL beside it takes over these permissions.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_SECONDS)
        self._connection.row_factory = sqlite3.Row
        with self._translated():
            for pragma in ("journal_mode = wal", "synchronous = full", "foreign_keys = on", _CHECKPOINT):
                self._connection.execute(f"pragma {pragma}").fetchall()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextmanager
    def transaction(self, *, may_overlap: bool = False) -> Iterator[None]:
        """Hold the write lock for the block; afterwards all of it is on the disk, or none of it happened.

        Raises JournalError when the file is locked for longer than ten seconds, damaged, or the disk is full.
        """
        with self._translated():
            self._connection.execute("begin immediate")
            try:
                yield
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("rollback")
                raise
            self._connection.execute("commit")

    @contextmanager
    def settled(self) -> Iterator[None]:
        """Do nothing: writers come one after another, and a number is seen when all below it can be."""
        yield

    @contextmanager
    def exclusive(self, what: str) -> Iterator[None]:
        """Do nothing: the file is in a data directory, whose lock files keep apart who works on it."""
        yield

    def all(self, sql: str, params: Params | None = None) -> list[sqlite3.Row]:
        """Return all rows of a query."""
        with self._translated():
            return self._connection.execute(sql, params or {}).fetchall()

    def tuples(self, sql: str, params: Params | None = None) -> list[tuple[Any, ...]]:
        """Return all rows of a query as plain tuples, for the many."""
        with self._translated():
            cursor = self._connection.cursor()
            cursor.row_factory = None
            rows: list[tuple[Any, ...]] = cursor.execute(sql, params or {}).fetchall()
            return rows

    def one(self, sql: str, params: Params | None = None) -> sqlite3.Row | None:
        """Return the first row of a query, or None."""
        with self._translated():
            row: sqlite3.Row | None = self._connection.execute(sql, params or {}).fetchone()
            return row

    def run(self, sql: str, params: Params | None = None) -> int:
        """Execute one statement inside a transaction and return how many rows it changed."""
        return self._connection.execute(sql, params or {}).rowcount

    def insert(self, sql: str, params: Params) -> int:
        """Insert one row inside a transaction and return the number it was given."""
        number = self._connection.execute(sql, params).lastrowid
        assert number is not None
        return number

    def many(self, sql: str, rows: Sequence[Params | tuple[Any, ...]]) -> int:
        """Execute one statement for each of `rows` inside a transaction and return how many rows it changed in all."""
        return self._connection.executemany(sql, rows).rowcount if rows else 0

    def skip_to(self, table: str, number: int) -> None:
        """Let the next row of `table` have at least the number after `number`, inside a transaction."""
        self.run(
            "insert into sqlite_sequence (name, seq) select $table, 0 where not exists"
            " (select 1 from sqlite_sequence where name = $table)",
            {"table": table},
        )
        self.run(
            "update sqlite_sequence set seq = max(seq, $number) where name = $table", {"table": table, "number": number}
        )

    def rewrite(self) -> None:
        """Write the file anew, so that what was removed stands in no free page of it, and empty its log.

        Raises JournalError when another process is reading: then it is to be done again.
        """
        with self._translated():
            self._connection.execute("vacuum")
        row = self.one("pragma wal_checkpoint(truncate)")
        if row is None or row[0] != 0:
            raise JournalError(
                f"{self.path}: another process reads the journal; expected nobody, so that what was removed leaves"
                " no trace in it: end it, then run `tailrace erasures finish`"
            )

    def place(self) -> Place:
        """Return where the file is, links resolved."""
        return place_of(self.path)

    def why_elsewhere(self, was: Place) -> str | None:
        """Return in words why this file is not the one at `was`; None when it is."""
        here = self.place()
        if was.host != here.host:
            return "it was acquired on another host"
        if was.path != here.path:
            return "it was acquired for another data directory"
        if was != here:
            return "the journal file is not the one it was acquired for (copied or restored)"
        return None

    def weaknesses(self) -> list[str]:
        """Return nothing: what durability needs is set for the connection."""
        return []

    def _migrating(self) -> Any:
        return self.transaction()

    def _has_steps(self) -> bool:
        return self.value("select 1 from sqlite_master where name = 'migrations'") is not None

    def _definition(self, statement: str) -> str:
        return statement

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise JournalError(
                f"{self.path}: the journal could not be used ({error}); expected a free, writable file on a disk with"
                " space: end the other process or make space, then run again"
            ) from error
        except sqlite3.DatabaseError as error:
            raise JournalError(
                f"{self.path}: the journal is damaged or contradicts itself ({error}); expected it as it was written:"
                " restore it from a backup; what was sent since stands in its copy"
            ) from error
