"""How fast may a destination be called by all senders together, and until when does it want to be left alone?

Room is reserved for several calls at once, so that calls at full speed cost no commit each.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from tailrace.engine import statement
from tailrace.journal.database import Database
from tailrace.journal.records import micros, moment

HORIZON = timedelta(hours=1)
"""Nobody reserves further ahead than this."""
LONGEST_PAUSE = timedelta(hours=24)
"""Nobody is left alone for longer than this."""


class Rates:
    """The journal's part that spaces calls."""

    _db: Database

    def reserve(self, name: str, now: datetime, span: timedelta) -> datetime:
        """Reserve the next `span` of time in which `name` may be called, and return when it begins: now, or later."""
        length = span // timedelta(microseconds=1)
        values = {"name": name, "now": micros(now), "span": length, "horizon": HORIZON // timedelta(microseconds=1)}
        with self._db.transaction(may_overlap=True):
            free_at: int = self._db.value(statement("tailrace.journal", "reserve"), values)
        return moment(free_at - length)

    def pause(self, name: str, until: datetime) -> None:
        """Let nobody call `name` before `until`."""
        with self._db.transaction(may_overlap=True):
            self._db.run(statement("tailrace.journal", "pause"), {"name": name, "until": micros(until)})

    def paused_until(self, name: str, now: datetime) -> datetime | None:
        """Return until when `name` is to be left alone; None when it may be called."""
        until = self._db.value("select paused_until from rates where name = $name", {"name": name})
        is_paused = until is not None and micros(now) < until <= micros(now + LONGEST_PAUSE)
        return moment(until) if is_paused else None
