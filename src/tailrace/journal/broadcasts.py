"""Which broadcasts were begun, and with what? One key is one broadcast, for ever."""

from __future__ import annotations

from datetime import datetime

from tailrace import crash
from tailrace.errors import JournalError
from tailrace.journal.database import Database
from tailrace.journal.records import Begun, micros, moment


class Broadcasts:
    """The journal's part that keeps broadcasts."""

    _db: Database

    def begin_broadcast(self, campaign: str, key: str, fingerprint: str, n_rows: int, who: str, at: datetime) -> Begun:
        """Write down that the campaign is broadcast under `key` with data of this fingerprint, unless it was.

        Returns the first beginning. Raises JournalError when it was begun with other data.
        """
        with self._db.transaction():
            params = {"campaign": campaign, "key": key}
            known = self._db.one("select * from broadcasts where campaign = $campaign and key = $key", params)
            if known is None:
                self._db.insert(
                    "insert into broadcasts (campaign, key, fingerprint, n_rows, who, begun_at)"
                    " values ($campaign, $key, $fingerprint, $n_rows, $who, $at)",
                    params | {"fingerprint": fingerprint, "n_rows": n_rows, "who": who, "at": micros(at)},
                )
        crash.here("broadcast.begun")
        if known is None:
            return Begun(campaign, key, n_rows, who, at, is_new=True)
        if known["fingerprint"] != fingerprint:
            raise JournalError(
                f"campaign {campaign} was broadcast under the key `{key}` with other data ({known['n_rows']} rows, by"
                f" {known['who']}); expected the same data, or another key. Nothing was changed."
            )
        return Begun(campaign, key, known["n_rows"], known["who"], moment(known["begun_at"]), is_new=False)
