"""What does the journal ask of a database? Plain SQL with `$name` parameters, transactions, numbers that only rise.

`sqlite.py` and `postgres.py` answer; `opening.py` says which one an installation has. SQL that both understand stands
in one file; where they differ there are two, `<name>_sqlite.sql` and `<name>_postgres.sql`.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from importlib import resources
from typing import Any, Protocol

from tailrace import engine
from tailrace.errors import JournalError
from tailrace.journal.place import Place

_PACKAGE = "tailrace.journal"

Params = Mapping[str, Any]


class Row(Protocol):
    """A row of a query: `row["name"]`, `row[0]`."""

    def __getitem__(self, key: Any, /) -> Any:
        """Return the value of the column of this name or place."""


class Database(ABC):
    """An open database that holds one journal. What was committed is on the disk when the commit returns.

    `name` is what messages call it: never with a password in it.
    """

    kind: str
    name: str

    @abstractmethod
    def close(self) -> None:
        """Close it."""

    @abstractmethod
    def transaction(self, *, may_overlap: bool = False) -> AbstractContextManager[None]:
        """Write in the block; afterwards all of it is on the disk, or none of it happened.

        Nobody else writes meanwhile; with `may_overlap` others that say so too may, where the database can: then what
        the block reads may be changed under it, but for rows that it has changed itself. In either, no epoch begins.
        Raises JournalError when others keep the journal for too long, when it is damaged, or cannot be written.
        """

    @abstractmethod
    def settled(self) -> AbstractContextManager[None]:
        """Hold all writing off for the block, so that below the highest number of a table none is still to come."""

    @abstractmethod
    def exclusive(self, what: str) -> AbstractContextManager[None]:
        """Be the only one who does `what` with this journal for the block, on whatever host; it ends with the process.

        Raises Busy when another one does.
        """

    @abstractmethod
    def all(self, sql: str, params: Params | None = None) -> Sequence[Row]:
        """Return all rows of a query."""

    @abstractmethod
    def tuples(self, sql: str, params: Params | None = None) -> list[tuple[Any, ...]]:
        """Return all rows of a query as plain tuples, for the many."""

    @abstractmethod
    def one(self, sql: str, params: Params | None = None) -> Row | None:
        """Return the first row of a query, or None."""

    def value(self, sql: str, params: Params | None = None) -> Any:
        """Return the first column of the first row, or None."""
        row = self.one(sql, params)
        return None if row is None else row[0]

    @abstractmethod
    def run(self, sql: str, params: Params | None = None) -> int:
        """Execute one statement inside a transaction and return how many rows it changed."""

    @abstractmethod
    def insert(self, sql: str, params: Params) -> int:
        """Insert one row inside a transaction and return the number it was given."""

    @abstractmethod
    def many(self, sql: str, rows: Sequence[Params | tuple[Any, ...]]) -> int:
        """Execute one statement for each of `rows` inside a transaction and return how many rows it changed in all.

        In tuples the parameters are `?`.
        """

    @abstractmethod
    def skip_to(self, table: str, number: int) -> None:
        """Let the next row of `table` have at least the number after `number`, inside a transaction."""

    @abstractmethod
    def rewrite(self) -> None:
        """Write everything anew, so that what was removed stands in no free space of the database's own files.

        Raises JournalError when another process is reading: then it is to be done again.
        """

    @abstractmethod
    def place(self) -> Place:
        """Return which host and which very database this is: a copy of it is another place."""

    @abstractmethod
    def why_elsewhere(self, was: Place) -> str | None:
        """Return in words why this is not the place `was`; None when it is."""

    @abstractmethod
    def weaknesses(self) -> list[str]:
        """Return in words what of the database's own settings breaks the promise that a commit is on the disk."""

    def own_statement(self, name: str) -> str:
        """Return the SQL of `name` as this kind of database wants it."""
        return engine.statement(_PACKAGE, f"{name}_{self.kind}")

    def migrate(self) -> list[str]:
        """Bring the schema up to this version, each step in one transaction; return the steps that were taken.

        Raises JournalError when the journal was written by a newer tailrace.
        """
        known = _steps()
        applied = self._steps_taken()
        newer = applied - known.keys()
        if newer:
            raise JournalError(
                f"{self.name}: the journal is at schema step {max(newer)}, this tailrace knows {max(known)};"
                " expected a tailrace at least as new as the one that wrote it: upgrade tailrace"
            )
        taken = []
        for number in sorted(known.keys() - applied):
            name, text = known[number]
            with self._migrating():
                # Another process may have taken the step while this one waited for the lock.
                if number in self._steps_taken():
                    continue
                self.run("create table if not exists migrations (number integer primary key, name text not null)")
                for statement in text.split(";\n"):
                    if statement.strip():
                        self.run(self._definition(statement))
                self.run("insert into migrations values ($number, $name)", {"number": number, "name": name})
            taken.append(name)
        return taken

    def is_made(self) -> bool:
        """Return whether there is a journal in it."""
        return bool(self._steps_taken())

    @abstractmethod
    def _migrating(self) -> AbstractContextManager[None]:
        """Hold a transaction in which nobody else migrates; there may be no table yet."""

    @abstractmethod
    def _has_steps(self) -> bool:
        """Return whether the table of the steps is there."""

    @abstractmethod
    def _definition(self, statement: str) -> str:
        """Return a statement of a migration, which is written for SQLite, as this database wants it."""

    def _steps_taken(self) -> set[int]:
        return {row[0] for row in self.tuples("select number from migrations")} if self._has_steps() else set()


def tables() -> list[str]:
    """Return the journal's tables, in the order in which they came."""
    return [name for _, text in _steps().values() for name in re.findall(r"(?m)^create table (\w+)", text)]


def _steps() -> dict[int, tuple[str, str]]:
    folder = resources.files("tailrace.journal.migrations")
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return {int(name.split("_")[0]): (name.removesuffix(".sql"), folder.joinpath(name).read_text()) for name in names}
