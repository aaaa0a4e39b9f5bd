"""How is the journal's file opened, migrated and spoken to? One connection, plain SQL with `$name` parameters."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

from tailrace.errors import JournalError

BUSY_SECONDS = 10.0

Row = sqlite3.Row
Params = Mapping[str, Any]


class Database:
    """An open journal file. Every commit is on the disk when it returns (WAL, synchronous=FULL)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        # The WAL beside it takes over these permissions.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_SECONDS)
        self._connection.row_factory = Row
        with self._translated():
            for pragma in ("journal_mode = wal", "synchronous = full", "foreign_keys = on"):
                self._connection.execute(f"pragma {pragma}").fetchall()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
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

    def all(self, sql: str, params: Params | None = None) -> list[Row]:
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

    def one(self, sql: str, params: Params | None = None) -> Row | None:
        """Return the first row of a query, or None."""
        with self._translated():
            row: Row | None = self._connection.execute(sql, params or {}).fetchone()
            return row

    def value(self, sql: str, params: Params | None = None) -> Any:
        """Return the first column of the first row, or None."""
        row = self.one(sql, params)
        return None if row is None else row[0]

    def run(self, sql: str, params: Params | None = None) -> int:
        """Execute one statement inside a transaction and return how many rows it changed."""
        return self._connection.execute(sql, params or {}).rowcount

    def insert(self, sql: str, params: Params) -> int:
        """Insert one row inside a transaction and return the number it was given."""
        number = self._connection.execute(sql, params).lastrowid
        assert number is not None
        return number

    def many(self, sql: str, rows: Iterable[Params | tuple[Any, ...]]) -> None:
        """Execute one statement for each of `rows` inside a transaction."""
        self._connection.executemany(sql, rows)

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

    def migrate(self) -> list[str]:
        """Bring the schema up to this version, each step in one transaction; return the steps that were taken.

        Raises JournalError when the file was written by a newer tailrace.
        """
        with self.transaction():
            self.run("create table if not exists migrations (number integer primary key, name text not null)")
        known = _steps()
        applied = {row["number"] for row in self.all("select number from migrations")}
        newer = applied - known.keys()
        if newer:
            raise JournalError(
                f"{self.path}: the journal is at schema step {max(newer)}, this tailrace knows {max(known)};"
                " expected a tailrace at least as new as the one that wrote it: upgrade tailrace"
            )
        taken = []
        for number in sorted(known.keys() - applied):
            name, text = known[number]
            with self.transaction():
                # Another process may have taken the step while this one waited for the lock.
                if self.value("select number from migrations where number = $number", {"number": number}) is not None:
                    continue
                for statement in text.split(";\n"):
                    if statement.strip():
                        self.run(statement)
                self.run("insert into migrations values ($number, $name)", {"number": number, "name": name})
            taken.append(name)
        return taken

    def rewrite(self) -> None:
        """Write the file anew without its free pages."""
        with self._translated():
            self._connection.execute("vacuum")

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


def _steps() -> dict[int, tuple[str, str]]:
    folder = resources.files("tailrace.journal.migrations")
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return {int(name.split("_")[0]): (name.removesuffix(".sql"), folder.joinpath(name).read_text()) for name in names}
