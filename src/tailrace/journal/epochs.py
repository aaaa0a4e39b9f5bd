"""Which sender is the one that may act, and does this journal know enough to send at all?

A sender begins an epoch, and every claim and record compares it. A journal that is behind its copy begins none,
until a person takes it on.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from tailrace.engine import statement
from tailrace.errors import JournalError
from tailrace.journal.copy import Copy
from tailrace.journal.database import Database
from tailrace.journal.place import host_id
from tailrace.journal.records import micros, moment

_FAR = 100_000
"""How far the numbering jumps after numbers were lost, beyond what a run could have used since the copy's last line."""

_LATE = 64
"""How many of the copy's last lines are looked at: more than senders work at the same time, for of each one line may
stand behind those of claims that were committed after its own."""

_NUMBERED = ("intents", "outcomes", "acts", "responses")
"""The tables whose readers remember the last number that they saw."""
_TOPS = f"select {', '.join(f'(select coalesce(max(seq), 0) from {table}) as {table}' for table in _NUMBERED)}"


class Epochs:
    """The journal's part that decides who may send."""

    _db: Database
    _copy: Copy
    journal_id: str

    def start_epoch(self, now: datetime) -> int:
        """Begin a new epoch and return its number; senders of earlier epochs can do nothing from now on.

        Raises JournalError when the journal is behind its copy.
        """
        problem = self.copy_problem()
        if problem is not None:
            raise JournalError(problem)
        with self._db.transaction():
            return self._db.insert(
                "insert into epochs (host, pid, started_at) values ($host, $pid, $now)",
                {"host": host_id(), "pid": os.getpid(), "now": micros(now)},
            )

    def last_sign(self) -> datetime | None:
        """Return when a sender began, claimed or noted something last; None when there never was one."""
        newest = self._db.value(statement("tailrace.journal", "last_sign"))
        return None if newest is None else moment(newest)

    def fence(self, epoch: int) -> None:
        """Raise JournalError when a later sender has begun: this one may not hand anything over any more."""
        latest = self._db.value("select max(epoch) from epochs")
        if latest != epoch:
            raise JournalError(
                f"this sender (epoch {epoch}) was replaced by a later one (epoch {latest}); expected to be the only"
                " sender: nothing more is handed over here; what it held is listed by `tailrace unknown list`"
            )

    def copy_problem(self) -> str | None:
        """Return why this journal may not send, as far as its copy knows; None when it may."""
        lines = self._copy.newest(_LATE)
        if not lines:
            return None
        way_out = (
            " Nothing is sent. Put the newest journal back; if there is none, `tailrace live acquire --accept-journal"
            " --reason …` goes on with this one and lists as unknown what only the copy knows of"
        )
        if lines[0]["journal"] != self.journal_id:
            return (
                f"{self._db.name} is not the journal that {self._copy.path} is the copy of"
                f" ({self.journal_id} instead of {lines[0]['journal']}); expected the one it was made with.{way_out}"
            )
        if all(self._knows(line) for line in _since_acceptance(lines)):
            return None
        return (
            f"{self._db.name} is behind its copy {self._copy.path}: it lacks a batch that was claimed last"
            f" (it was restored from an older backup, or shortened); expected it to know every claim.{way_out}"
        )

    def _knows(self, line: dict[str, Any]) -> bool:
        """Return whether the journal has what a line of its copy says."""
        if "accepted" in line:
            known = self._db.value("select max(seq) from copy_acceptances") or 0
            return bool(known >= line["accepted"])
        row = self._db.one("select item_id, attempt, epoch from attempts where seq = $seq", {"seq": line["seq"]})
        if row is None:
            return False
        claimed: list[Any] = line["items"][-1]
        return claimed == [row["item_id"], row["attempt"]] and bool(line["epoch"] == row["epoch"])

    def lost_batches(self) -> list[str]:
        """Return the ids of the batches of syncs of which only the copy knows that they were claimed, oldest first."""
        lost = {
            item_id: None
            for line in self._copy.lines()
            for item_id, attempt in line.get("items", [])
            if _is_batch(item_id) and not self._has_attempt(item_id, attempt)
        }
        return list(lost)

    def accept_copy(self, who: str, reason: str, at: datetime, head: str | None = None) -> int:
        """Go on with this journal although its copy knows more, and return how many claims only the copy knew.

        Each of those becomes `unknown`, whether or not its intent is in this journal (yet): none is sent again
        unless a person settles it so. Of batches of syncs only those of the plan `head` do: it knows what became of
        those before it, and their rows may be gone. Who and why is journalled and stands in the copy. Does nothing,
        and returns 0, when the journal is not behind. Raises JournalError without a reason.
        """
        if not reason.strip():
            raise JournalError("going on with a journal that is behind its copy needs a reason; expected one: say why")
        if self.copy_problem() is None:
            return 0
        lost = 0
        with self._db.transaction():
            for table, number in self._highest().items():
                # Readers remember the last number they saw: numbers that were lost must not be given out again.
                self._db.skip_to(table, number + _FAR)
            for line in self._copy.lines():
                for item_id, attempt in line.get("items", []):
                    if not _is_batch(item_id) or _plan_of(item_id) == head:
                        lost += self._remember(item_id, attempt, line, micros(at))
            acceptance = self._db.insert(
                "insert into copy_acceptances (who, reason, n_claims, accepted_at) values ($who, $reason, $n, $at)",
                {"who": who, "reason": reason, "n": lost, "at": micros(at)},
            )
        self._copy.append({"journal": self.journal_id, "accepted": acceptance, "at": micros(at)})
        return lost

    def _highest(self) -> dict[str, int]:
        """Return the highest number of each table that the copy tells of."""
        highest = dict.fromkeys(("attempts", "epochs", *_NUMBERED), 0)
        for line in self._copy.lines():
            told = {"attempts": line.get("seq", 0), "epochs": line.get("epoch", 0), "outcomes": line.get("outcomes", 0)}
            for table, number in (told | line.get("tops", {})).items():
                if table in highest:
                    highest[table] = max(highest[table], number)
        return highest

    def _tops(self) -> dict[str, int]:
        """Return the highest number of each table that readers go on from; a line of the copy tells them."""
        row = self._db.one(_TOPS)
        assert row is not None
        return {table: row[place] for place, table in enumerate(_NUMBERED)}

    def _remember(self, item_id: str, attempt: int, line: dict[str, Any], at: int) -> int:
        """Note a claim that only the copy knows, as unknown; return 1, or 0 when the journal knows it."""
        if self._has_attempt(item_id, attempt):
            return 0
        kind = "batch" if _is_batch(item_id) else "message"
        params = {"item_id": item_id, "attempt": attempt, "epoch": line["epoch"], "claimed": line["at"], "at": at}
        params |= {"kind": kind}
        self._db.run(
            "insert into attempts (item_id, attempt, epoch, destination, is_idempotent, claimed_at)"
            " values ($item_id, $attempt, $epoch, 'unknown', 0, $claimed)",
            params,
        )
        self._db.run(
            "insert into states (item_id, kind, lane, state, attempt, tries, priority, place, next_at)"
            " values ($item_id, $kind, '', 'unknown', $attempt, 0, 0, 0, $at)"
            " on conflict (item_id) do update set state = 'unknown', attempt = $attempt, epoch = null",
            params,
        )
        self._db.run(
            "insert into outcomes (item_id, kind, attempt, outcome, code, recorded_at)"
            " values ($item_id, $kind, $attempt, 'unknown', 'only_in_copy', $at)",
            params,
        )
        return 1

    def _has_attempt(self, item_id: str, attempt: int) -> bool:
        sql = "select seq from attempts where item_id = $item_id and attempt = $attempt"
        return self._db.one(sql, {"item_id": item_id, "attempt": attempt}) is not None


def _is_batch(item_id: str) -> bool:
    return "/" in item_id


def _plan_of(batch_id: str) -> str:
    return batch_id.partition("/")[0]


def _since_acceptance(lines: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the lines, newest first, up to that with which a person took the journal on: older ones are another's."""
    for line in lines:
        yield line
        if "accepted" in line:
            return
