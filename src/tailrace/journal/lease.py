"""May this data directory reach real people? Only while it holds the live lease, which no copy of it does."""

from __future__ import annotations

from datetime import datetime

from tailrace.errors import JournalError
from tailrace.journal.database import Database
from tailrace.journal.place import Place
from tailrace.journal.records import Lease, micros, moment


class Leases:
    """The journal's part that keeps the live lease and its history."""

    _db: Database

    def live_acquire(self, who: str, reason: str, at: datetime) -> Lease:
        """Bind the live lease to this very journal on this host, and return it."""
        self._change_lease("acquire", who, reason, at)
        return self.live_show()

    def live_release(self, who: str, reason: str, at: datetime) -> Lease:
        """Give the live lease up, and return what is now true. From the next batch on nobody is reached."""
        self._change_lease("release", who, reason, at)
        return self.live_show()

    def live_show(self) -> Lease:
        """Return the live lease, and whether it holds here: the very place that it was acquired for."""
        row = self._db.one("select * from live_lease order by seq desc limit 1")
        if row is None:
            return Lease(False, "it was never acquired", None, None, None)
        if row["action"] == "acquire":
            why_not = self._db.why_elsewhere(Place(row["host"], row["path"], row["device"], row["inode"]))
        else:
            why_not = "it was released"
        return Lease(why_not is None, why_not, row["who"], row["reason"], moment(row["at"]))

    def _change_lease(self, action: str, who: str, reason: str, at: datetime) -> None:
        if not reason.strip():
            raise JournalError(f"to {action} the live lease needs a reason; expected one: say why")
        here = self._db.place()
        with self._db.transaction():
            self._db.run(
                "insert into live_lease (action, host, path, device, inode, who, reason, at)"
                " values ($action, $host, $path, $device, $inode, $who, $reason, $at)",
                {
                    "action": action,
                    "host": here.host,
                    "path": here.path,
                    "device": here.device,
                    "inode": here.inode,
                    "who": who,
                    "reason": reason,
                    "at": micros(at),
                },
            )
