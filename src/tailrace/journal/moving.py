"""How does a journal come out of its file into the database that TAILRACE_JOURNAL names? Whole, and as the same one.

Its identity goes with it, so its copy knows it there; the live lease does not, for it is bound to the file.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

from tailrace import durable
from tailrace.errors import JournalError
from tailrace.journal.database import Database, tables
from tailrace.journal.opening import is_made, open_database
from tailrace.settings import Settings

_PAGE = 20_000


def move(settings: Settings) -> tuple[Path, int]:
    """Write all of the file's rows into the database, in one transaction, and put the file aside.

    Returns where the file is now, and how many rows that were. Nobody may use the journal meanwhile; whoever was killed
    moves it again. Raises JournalError when no database is named, there is no file, or the database holds another
    journal.
    """
    if settings.journal_url is None:
        raise JournalError(
            f"TAILRACE_JOURNAL is not set; expected the database that {settings.journal} is to be moved into"
        )
    at_home = replace(settings, journal_url=None)
    if not is_made(at_home):
        raise JournalError(f"there is no journal at {settings.journal}; expected the file that is to be moved")
    with closing(open_database(at_home)) as source, closing(open_database(settings)) as target:
        source.migrate()
        target.migrate()
        ours, theirs = (each.value("select journal_id from journal") for each in (source, target))
        if theirs is None:
            with source.transaction(), target.transaction():
                for table in tables():
                    _copy(source, target, table)
        elif theirs != ours:
            raise JournalError(
                f"{target.name} holds another journal ({theirs} instead of {ours}); expected a database, or a schema,"
                " that has none. Nothing was changed."
            )
        n_rows = sum(target.value(f"select count(*) from {table}") for table in tables())
    # Without its log, which went into it as it was closed.
    aside = settings.journal.with_suffix(".moved")
    settings.journal.rename(aside)
    durable.fsync_dir(aside.parent)
    return aside, n_rows


def _copy(source: Database, target: Database, table: str) -> None:
    names = [row[1] for row in source.tuples(f"pragma table_info({table})")]
    into = f"insert into {table} ({', '.join(names)}) values ({', '.join('?' for _ in names)})"
    page = f"select rowid, {', '.join(names)} from {table} where rowid > $after order by rowid limit {_PAGE}"
    after = -1
    while rows := source.tuples(page, {"after": after}):
        target.many(into, [row[1:] for row in rows])
        after = rows[-1][0]
    number = source.value("select seq from sqlite_sequence where name = $table", {"table": table})
    if number is not None:
        target.skip_to(table, number)
