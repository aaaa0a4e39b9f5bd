"""What does the journal tell others? Counts, stories for `explain`, sync answers for planning, Parquet for dbt."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from tailrace import engine
from tailrace.engine import statement
from tailrace.errors import JournalError
from tailrace.journal.database import Database
from tailrace.journal.records import Counts, Happened, Intent, moment
from tailrace.settings import Settings

_PACKAGE = "tailrace.journal"
_TIME = pa.timestamp("us")

MIRRORS: dict[str, pa.Schema] = {
    "intents": pa.schema(
        [
            ("seq", pa.int64()),
            ("intent_id", pa.string()),
            ("plan_id", pa.string()),
            ("campaign", pa.string()),
            ("version", pa.string()),
            ("step", pa.string()),
            ("enrollment_id", pa.string()),
            ("person_id", pa.int64()),
            ("channel", pa.string()),
            ("message", pa.string()),
            ("class", pa.string()),
            ("priority", pa.int32()),
            ("deliver_after", _TIME),
            ("expires_at", _TIME),
            ("applied_at", _TIME),
        ]
    ),
    "outcomes": pa.schema(
        [
            ("seq", pa.int64()),
            ("intent_id", pa.string()),
            ("person_id", pa.int64()),
            ("campaign", pa.string()),
            ("step", pa.string()),
            ("channel", pa.string()),
            ("attempt", pa.int32()),
            ("outcome", pa.string()),
            ("code", pa.string()),
            ("destination", pa.string()),
            ("provider_id", pa.string()),
            ("recorded_at", _TIME),
        ]
    ),
    "acts": pa.schema(
        [
            ("seq", pa.int64()),
            ("intent_id", pa.string()),
            ("plan_id", pa.string()),
            ("person_id", pa.int64()),
            ("campaign", pa.string()),
            ("step", pa.string()),
            ("kind", pa.string()),
            ("name", pa.string()),
            ("value", pa.string()),
            ("acted_at", _TIME),
        ]
    ),
    "responses": pa.schema(
        [
            ("seq", pa.int64()),
            ("intent_id", pa.string()),
            ("person_id", pa.int64()),
            ("campaign", pa.string()),
            ("enrollment_id", pa.string()),
            ("step", pa.string()),
            ("status_code", pa.int32()),
            ("recorded_at", _TIME),
        ]
    ),
}
"""The mirrored tables and their columns: ids, codes, and what campaigns set; times are zone-less UTC."""

_ANSWERS = pa.schema(
    [
        ("seq", pa.int64()),
        ("plan_id", pa.string()),
        ("sync", pa.string()),
        ("batch_no", pa.int32()),
        ("n_rows", pa.int32()),
        ("outcome", pa.string()),
        ("code", pa.string()),
        ("recorded_at", _TIME),
    ]
)
_RESPONSES = pa.schema(
    [
        ("seq", pa.int64()),
        ("intent_id", pa.string()),
        ("enrollment_id", pa.string()),
        ("step", pa.string()),
        ("status_code", pa.int32()),
        ("body", pa.string()),
        ("recorded_at", _TIME),
    ]
)
_MESSAGE_OUTCOMES = pa.schema(
    [("seq", pa.int64()), ("intent_id", pa.string()), ("outcome", pa.string()), ("recorded_at", _TIME)]
)
_EXCEPTIONS = pa.schema(
    [("outcome_seq", pa.int64()), ("position", pa.int32()), ("outcome", pa.string()), ("code", pa.string())]
)


class Readings:
    """The journal's part that only reads."""

    _db: Database
    _settings: Settings

    def mirror(self, table: str, after_seq: int) -> pa.Table:
        """Return the rows of a mirrored table with a `seq` above `after_seq`, oldest first, typed as MIRRORS says."""
        if table not in MIRRORS:
            raise JournalError(f"`{table}` is not mirrored; expected one of: {', '.join(MIRRORS)}")
        return self._arrow(statement(_PACKAGE, f"mirror_{table}"), {"after": after_seq}, MIRRORS[table])

    def last_outcome(self) -> int:
        """Return the highest `seq` of all outcomes, 0 when there is none; those below it can be read."""
        with self._db.settled():
            return int(self._db.value("select max(seq) from outcomes") or 0)

    def acknowledged_rows(self, since_seq: int) -> pa.Table:
        """Return what destinations said of each row of each sync batch, in batch outcomes with a `seq` above it.

        Columns: seq, plan_id, sync, batch_no, position, outcome, code, answered_at (zone-less UTC). `unknown` rows
        may or may not be there; rows of batches that are still to be tried again are not in it. They are in no order.
        """
        answers = self._arrow(statement(_PACKAGE, "answers"), {"after": since_seq}, _ANSWERS)
        exceptions = self._arrow(
            "select outcome_seq, position, outcome, code from row_outcomes where outcome_seq > $after",
            {"after": since_seq},
            _EXCEPTIONS,
        )
        with engine.connect(self._settings) as connection:
            connection.register("answers", answers)
            connection.register("exceptions", exceptions)
            return connection.sql(statement(_PACKAGE, "answer_rows")).to_arrow_table()

    def responses(self, since_seq: int) -> pa.Table:
        """Return the webhook steps whose outcome is known, in outcomes with a `seq` above it, one row per intent.

        Columns: seq (the outcome's), intent_id, enrollment_id, step, status_code, body (JSON text: it may name people),
        recorded_at (zone-less UTC). Both are null for a step that ended without an answer.
        """
        return self._arrow(statement(_PACKAGE, "responses"), {"after": since_seq}, _RESPONSES)

    def message_outcomes(self, since_seq: int) -> pa.Table:
        """Return what became of messages and webhook steps, in outcomes with a `seq` above it, oldest first.

        Columns: seq, intent_id, outcome, recorded_at (zone-less UTC). The last one of an intent says where it stands;
        `retry_later` and `blocked` are not the end.
        """
        names = "seq, item_id, outcome, recorded_at"
        sql = f"select {names} from outcomes where seq > $after and kind = 'message' order by seq"
        return self._arrow(sql, {"after": since_seq}, _MESSAGE_OUTCOMES)

    def open_plans(self, since_seq: int) -> dict[str, dict[str, int]]:
        """Return the plans that something may still be read of, each with how many items stand where.

        Those are messages and batches that are drafts, pending, claimed or unknown, and batches with an outcome whose
        `seq` is above `since_seq` (`answered`): the next plan folds it.
        """
        found: dict[str, dict[str, int]] = {}
        with self._db.settled():
            rows = self._db.tuples(statement(_PACKAGE, "open_plans"), {"after": since_seq})
        for plan_id, state, count in rows:
            found.setdefault(plan_id, {})[state] = count
        return found

    def counts(self) -> Counts:
        """Return how many messages and batches stand where."""
        messages: dict[str, int] = {}
        batches: dict[str, int] = {}
        for row in self._db.all("select kind, state, count(*) as n from states group by kind, state order by state"):
            (messages if row["kind"] == "message" else batches)[row["state"]] = row["n"]
        oldest = self._db.value(
            "select min(recorded_at) from outcomes inner join states on states.item_id = outcomes.item_id"
            " and states.attempt = outcomes.attempt where states.state = 'unknown' and outcomes.outcome = 'unknown'"
        )
        return Counts(messages, batches, None if oldest is None else moment(oldest))

    def history(self, intent_ids: Iterable[str]) -> list[Happened]:
        """Return everything that happened to the intents, each one's story in order."""
        return [
            Happened(row["item_id"], moment(row["at"]), row["what"], row["attempt"], row["code"], row["destination"])
            for intent_id in intent_ids
            for row in self._db.all(statement(_PACKAGE, "history"), {"item_id": intent_id})
        ]

    def intents_of(self, person_id: int) -> list[Intent]:
        """Return every message that plans wanted the person to get, in the order of applying."""
        return self._intents("intents.person_id = $value order by intents.seq", person_id)

    def intent(self, intent_id: str) -> Intent | None:
        """Return one message that a plan wanted a person to get, or None."""
        return next(iter(self._intents("intents.intent_id = $value", intent_id)), None)

    def _intents(self, where: str, value: int | str) -> list[Intent]:
        rows = self._db.all(
            "select intents.*, states.state, states.attempt from intents"
            f" inner join states on states.item_id = intents.intent_id where {where}",
            {"value": value},
        )
        return [
            Intent(
                row["intent_id"],
                row["plan_id"],
                row["campaign"],
                row["step"],
                row["channel"],
                row["message"],
                row["state"],
                row["attempt"],
                moment(row["deliver_after"]),
                None if row["expires_at"] is None else moment(row["expires_at"]),
            )
            for row in rows
        ]

    def _arrow(self, sql: str, params: dict[str, Any], schema: pa.Schema) -> pa.Table:
        # Who goes on from the highest number that was read must have read all below it.
        with self._db.settled():
            rows = self._db.tuples(sql, params)
        columns = zip(*rows, strict=True) if rows else [() for _ in schema]
        arrays = [
            pa.array(values, pa.int64()).cast(field.type) if field.type == _TIME else pa.array(values, field.type)
            for values, field in zip(columns, schema, strict=True)
        ]
        return pa.table(arrays, schema=schema)
