"""What was to be sent, and what became of it? The memory of every effect, and the only writer of its database.

The journal stops a second send; everything else in the data directory can be rebuilt. It holds people by id only; what
webhooks answered is kept as it came.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from types import TracebackType
from typing import Self

from tailrace import clock, durable, ids
from tailrace.errors import Busy, SenderBusy
from tailrace.journal.broadcasts import Broadcasts
from tailrace.journal.choices import Choices
from tailrace.journal.copy import Copy
from tailrace.journal.database import Database
from tailrace.journal.drafts import Drafts
from tailrace.journal.erasures import Erasures
from tailrace.journal.guards import Guards
from tailrace.journal.lease import Leases
from tailrace.journal.opening import open_database
from tailrace.journal.place import host_id
from tailrace.journal.plans import Plans
from tailrace.journal.rates import Rates
from tailrace.journal.readings import Readings
from tailrace.journal.records import micros
from tailrace.journal.resyncs import Resyncs
from tailrace.journal.sending import Sending
from tailrace.journal.unknowns import Unknowns
from tailrace.settings import Settings


class Journal(
    Plans, Drafts, Sending, Rates, Unknowns, Guards, Choices, Resyncs, Leases, Broadcasts, Erasures, Readings
):
    """An open journal, at the newest schema. Reading and applying work even when it is behind its copy; sending does
    not (`start_epoch`).
    """

    def __init__(self, settings: Settings, database: Database, copy: Copy) -> None:
        self._settings = settings
        self._db = database
        self._copy = copy
        self.journal_id = self._identify()

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Open the journal of this installation, making or migrating it first.

        Raises JournalError when it is locked, damaged, not to be reached or newer than this tailrace.
        """
        database = open_database(settings)
        try:
            database.migrate()
            return cls(settings, database, Copy(settings.journal_copy))
        except BaseException:
            database.close()
            raise

    def close(self) -> None:
        """Close the journal and its copy."""
        self._db.close()
        self._copy.close()

    def __enter__(self) -> Self:
        """Return the journal itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    @contextmanager
    def sender(self, now: datetime) -> Iterator[int]:
        """Be the one sender of this journal for the block, and yield the epoch to claim and record with.

        Workers that the sender starts open the journal too, and claim and record with that epoch.

        Raises SenderBusy when another process sends, JournalError when the journal is behind its copy.
        """
        with ExitStack() as held:
            try:
                held.enter_context(durable.exclusive(self._settings.deliver_lock, "delivery"))
                held.enter_context(self._db.exclusive("delivery"))
            except Busy as error:
                raise SenderBusy(str(error)) from error
            yield self.start_epoch(now)

    @property
    def name(self) -> str:
        """Return what messages call this journal: its file, or its database without the password."""
        return self._db.name

    def weaknesses(self) -> list[str]:
        """Return in words what of its database's settings breaks the promise that a commit is on the disk."""
        return self._db.weaknesses()

    def _identify(self) -> str:
        known = self._db.value("select journal_id from journal")
        if known is None:
            with self._db.transaction():
                known = self._db.value("select journal_id from journal")
                if known is None:
                    known = self._new_id()
        return str(known)

    def _new_id(self) -> str:
        # The one id that is not a hash of meaning: a journal made anew must not pass for the one that was lost.
        at = clock.now()
        name = ids.digest("journal", host_id(), self._db.name, str(os.getpid()), os.urandom(16).hex())[:16]
        self._db.run("insert into journal (journal_id, created_at) values ($id, $at)", {"id": name, "at": micros(at)})
        return name
