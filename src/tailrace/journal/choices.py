"""Which messages that a backfill came too late for did a person choose to send, and which plan considered that?"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import pyarrow as pa

from tailrace.errors import JournalError
from tailrace.journal.database import Database
from tailrace.journal.records import Choice, micros, moment

CHOSEN = pa.schema(
    [
        ("choice", pa.int64()),
        ("enrollment_id", pa.string()),
        ("campaign", pa.string()),
        ("step", pa.string()),
        ("person_id", pa.int64()),
        ("occurrence", pa.string()),
        ("entered_at", pa.timestamp("us")),
        ("due_at", pa.timestamp("us")),
        ("object_id", pa.string()),
        ("source", pa.string()),
        ("event_id", pa.string()),
    ]
)
"""A pass of a choice: the message at which it is to go on, what began it; `choice` is the choice's number."""

_TIMES = ("entered_at", "due_at")
_COLUMNS = [name for name in CHOSEN.names if name != "choice"]
_TAKEN_BACK = ""
"""What stands for a plan where a choice was taken back: none ever considers it."""
_WAITING = "seq not in (select choice_seq from choice_uses)"
_UNUSED = f"choice_{_WAITING}"


class Choices:
    """The journal's part that keeps `send now`."""

    _db: Database

    def choose(self, backfill: str, passes: pa.Table, who: str, reason: str, at: datetime) -> int:
        """Write down that `who` wants these passes considered (`CHOSEN` without `choice`), and return how many are new.

        A pass that another choice names which no plan has considered yet is left out; when all are, nothing is written.
        Raises JournalError without a reason.
        """
        if not reason.strip():
            raise JournalError("there is no reason; expected one: say with `--reason` why these are to be sent now")
        stored = passes.select(_COLUMNS)
        for name in _TIMES:
            place = stored.column_names.index(name)
            stored = stored.set_column(place, name, stored.column(name).cast(pa.timestamp("us")).cast(pa.int64()))
        columns = [stored.column(name).to_pylist() for name in _COLUMNS]
        with self._db.transaction():
            waiting = {
                row["enrollment_id"] for row in self._db.all(f"select enrollment_id from chosen where {_UNUSED}")
            }
            rows = [row for row in zip(*columns, strict=True) if row[0] not in waiting]
            if rows:
                number = self._db.insert(
                    "insert into choices (backfill, who, reason, chosen_at) values ($backfill, $who, $reason, $at)",
                    {"backfill": backfill, "who": who, "reason": reason, "at": micros(at)},
                )
                self._db.many(
                    f"insert into chosen (choice_seq, {', '.join(_COLUMNS)})"
                    f" values (?, {', '.join('?' for _ in _COLUMNS)})",
                    [(number, *row) for row in rows],
                )
        return len(rows)

    def take_back(self, backfill: str) -> int:
        """Have no plan consider what was chosen about this backfill, and return how many passes that is.

        What an applied plan has considered stays as it is. No other process may plan or apply meanwhile.
        """
        mine = f"from choices where backfill = $backfill and {_WAITING}"
        with self._db.transaction():
            count = self._db.value(
                f"select count(*) from chosen where choice_seq in (select seq {mine})", {"backfill": backfill}
            )
            self._db.run(
                f"insert into choice_uses (choice_seq, plan_id) select seq, '{_TAKEN_BACK}' {mine}",
                {"backfill": backfill},
            )
        return int(count)

    def may_consider(self, numbers: Collection[int]) -> bool:
        """Return whether all these choices are there, and neither taken back nor considered by an applied plan."""
        waiting = {row["seq"] for row in self._db.all(f"select seq from choices where {_WAITING}")}
        return waiting.issuperset(numbers)

    def choices(self, backfill: str) -> list[Choice]:
        """Return the choices about a backfill, the first one first."""
        rows = self._db.all(
            "select choices.*, choice_uses.plan_id,"
            " (select count(*) from chosen where chosen.choice_seq = choices.seq) as passes"
            " from choices left join choice_uses on choice_uses.choice_seq = choices.seq"
            " where backfill = $backfill order by choices.seq",
            {"backfill": backfill},
        )
        return [
            Choice(
                row["seq"],
                row["backfill"],
                row["who"],
                row["reason"],
                moment(row["chosen_at"]),
                row["passes"],
                row["plan_id"] or None,
                is_taken_back=row["plan_id"] == _TAKEN_BACK,
            )
            for row in rows
        ]

    def chosen(self) -> pa.Table:
        """Return the passes (`CHOSEN`) that wait: no applied plan has considered them, and nobody took them back."""
        return self._passes(_UNUSED)

    def ever_chosen(self) -> pa.Table:
        """Return the passes (`CHOSEN`) of all choices."""
        return self._passes("true")

    def _passes(self, which: str) -> pa.Table:
        # Of somebody who was erased nothing is left to consider.
        rows = self._db.tuples(
            f"select choice_seq, {', '.join(_COLUMNS)} from chosen"
            f" where {which} and occurrence is not null order by seq"
        )
        columns = list(zip(*rows, strict=True)) or [()] * len(CHOSEN)
        arrays = [
            pa.array(column, pa.int64() if pa.types.is_timestamp(field.type) else field.type).cast(field.type)
            for column, field in zip(columns, CHOSEN, strict=True)
        ]
        return pa.Table.from_arrays(arrays, schema=CHOSEN)
