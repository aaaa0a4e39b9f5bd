"""Which database is this installation's journal in? A file of its data directory, or what TAILRACE_JOURNAL names."""

from __future__ import annotations

from importlib import import_module

from tailrace.errors import JournalError
from tailrace.journal.database import Database
from tailrace.journal.sqlite import SqliteDatabase
from tailrace.settings import Settings

_SCHEMES = ("postgresql://", "postgres://")


def open_database(settings: Settings) -> Database:
    """Return the open database, as it is: it may hold no journal yet, or an old one.

    Raises JournalError when it cannot be opened.
    """
    url = settings.journal_url
    if url is None:
        return SqliteDatabase(settings.journal)
    if not url.startswith(_SCHEMES):
        raise JournalError(
            "TAILRACE_JOURNAL is no URL of a PostgreSQL database; expected one such as"
            f" `postgresql://user@host/database`, or none: the journal is then {settings.journal}"
        )
    try:
        postgres = import_module("tailrace.journal.postgres")
    except ImportError as error:
        raise JournalError(
            "psycopg is not installed; expected it for the journal that TAILRACE_JOURNAL names: install the extra,"
            " `pip install 'tailrace[postgres]'`"
        ) from error
    database: Database = postgres.PostgresDatabase(url, settings.data_dir)
    return database


def is_made(settings: Settings) -> bool:
    """Return whether this installation has a journal; making none."""
    if settings.journal_url is None:
        return settings.journal.is_file()
    database = open_database(settings)
    try:
        return database.is_made()
    finally:
        database.close()
