"""What does the journal forget of people who are erased? All but ids, codes and moments, and nothing goes to them."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from tailrace.engine import statement
from tailrace.journal.database import Database
from tailrace.journal.records import micros

_PACKAGE = "tailrace.journal"
_OPEN = "('draft', 'pending', 'claimed', 'unknown')"
_THEIRS = "select person_id from erased_people"


class Erasures:
    """The journal's part that forgets."""

    _db: Database

    def erase(self, persons: Collection[int], at: datetime, *, is_dry: bool) -> dict[str, int]:
        """Cancel what is still to go to these people, or of unknown fate, and forget what webhooks said of them and
        what campaigns set of them; return how many messages, answers and values that is.

        What went stays, by id. Doing it again changes nothing. Nobody may deliver meanwhile.
        """
        with self._db.transaction():
            self._db.run("create temp table if not exists erased_people (person_id bigint primary key)")
            self._db.run("delete from erased_people")
            self._db.many("insert into erased_people values (?)", [(person,) for person in persons])
            counts = {
                "messages": self._db.value(
                    "select count(*) from states inner join intents on intents.intent_id = states.item_id"
                    f" where intents.person_id in ({_THEIRS}) and states.state in {_OPEN}"
                ),
                "answers": self._db.value(
                    "select count(*) from responses inner join intents using (intent_id)"
                    f" where intents.person_id in ({_THEIRS}) and responses.body is not null"
                ),
                "values": self._db.value(
                    f"select count(*) from acts where person_id in ({_THEIRS}) and value is not null"
                ),
            }
            if not is_dry:
                self._db.run(statement(_PACKAGE, "erase_outcomes"), {"now": micros(at)})
                self._db.run(statement(_PACKAGE, "erase_states"))
                self._db.run(
                    "update responses set body = null where body is not null and intent_id in"
                    f" (select intent_id from intents where person_id in ({_THEIRS}))"
                )
                self._db.run(
                    "update chosen set occurrence = null, object_id = null, source = null, event_id = null"
                    f" where person_id in ({_THEIRS})"
                )
                self._db.run(f"update acts set value = null where value is not null and person_id in ({_THEIRS})")
        return counts

    def cancel_batches_with(self, batch_ids: Collection[str], at: datetime) -> int:
        """Cancel those of the sync batches that are open; return how many rows they had.

        The next plan brings what is still to be said. What a dead sender had claimed is unknown: it may be there.
        """
        n_rows = 0
        with self._db.transaction():
            for batch_id in sorted(batch_ids):
                row = self._db.one(
                    "select states.state, states.attempt, states.lane, batches.n_rows from states inner join batches"
                    " on batches.batch_id = states.item_id where item_id = $id and state in ('pending', 'claimed')",
                    {"id": batch_id},
                )
                if row is None:
                    continue
                n_rows += row["n_rows"]
                told = [("unknown", "sender_died")] if row["state"] == "claimed" else []
                self._db.many(
                    "insert into outcomes (item_id, kind, attempt, outcome, code, destination, recorded_at)"
                    " values (?, 'batch', ?, ?, ?, ?, ?)",
                    [
                        (batch_id, row["attempt"], outcome, code, row["lane"], micros(at))
                        for outcome, code in (*told, ("cancelled", "erased"))
                    ],
                )
                self._db.run("update states set state = 'cancelled' where item_id = $id", {"id": batch_id})
        return n_rows

    def intents_to(self, persons: Collection[int]) -> set[str]:
        """Return the ids of all messages that were ever meant for these people."""
        found: set[str] = set()
        for person in persons:
            rows = self._db.all("select intent_id from intents where person_id = $person", {"person": person})
            found.update(row["intent_id"] for row in rows)
        return found

    def accepted_by(self, persons: Collection[int]) -> dict[str, int]:
        """Return how many messages to these people each destination has taken over."""
        found: dict[str, int] = {}
        for person in persons:
            for row in self._db.all(statement(_PACKAGE, "accepted_by"), {"person": person}):
                found[row["destination"]] = found.get(row["destination"], 0) + row["n"]
        return found

    def applied(self) -> set[str]:
        """Return the plans that were ever applied."""
        return {row["plan_id"] for row in self._db.all("select plan_id from plans")}

    def leave_no_trace(self) -> None:
        """Write the journal anew, so that what was removed stands in no free space of the database's own files.

        Raises JournalError when another process is reading: then it is to be done again.
        """
        self._db.rewrite()
