"""What does delivery need of a plan? Payloads, messages, sync operations and who may not be reached."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tailrace.planning.store import Store


class PlanReader:
    """Reads the relations that delivery works from; keeps the ones of the plan it read last.

    Several threads may ask one reader: what is kept is replaced, and never changed.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._held: dict[tuple[str, str], pa.Table | None] = {}
        self._places: tuple[str, dict[str, int]] | None = None

    def head(self) -> str | None:
        """Return the id of the plan applied last."""
        return self._store.head()

    def payloads(self, plan_id: str, intent_ids: Collection[str]) -> pa.Table:
        """Return the payloads (see `relations.PAYLOADS`) of these intents of the plan."""
        table = self._table(plan_id, "payloads")
        if table is None:
            return pa.table({"intent_id": pa.array([], pa.string())})
        known = self._places
        if known is None or known[0] != plan_id:
            ids = table.column("intent_id").to_pylist()
            known = self._places = (plan_id, {intent_id: place for place, intent_id in enumerate(ids)})
        places = known[1]
        return table.take([places[intent_id] for intent_id in intent_ids if intent_id in places])

    def messages(self, plan_id: str) -> dict[str, dict[str, Any]]:
        """Return what each message of the plan needs to be rendered, by message_key."""
        table = self._table(plan_id, "messages")
        if table is None:
            return {}
        return {row["message_key"]: json.loads(row["source"]) for row in table.to_pylist()}

    def sync_ops(self, plan_id: str, sync: str, batch_no: int) -> pa.Table:
        """Return one batch of a sync's operations, in order of position."""
        table = self._table(plan_id, f"sync_ops:{sync}")
        if table is None:
            return pa.table({"position": pa.array([], pa.int32())})
        numbers = table.column("batch_no")
        start, end = (pc.index(numbers, pa.scalar(number, pa.int32())).as_py() for number in (batch_no, batch_no + 1))
        return table.slice(0, 0) if start < 0 else table.slice(start, None if end < 0 else end - start)

    def sync_mode(self, plan_id: str, sync: str) -> str:
        """Return the sync's mode, as the plan has it."""
        return str(self._store.read(plan_id).syncs[sync]["mode"])

    def consents(self, plan_id: str) -> pa.Table:
        """Return what people have withdrawn, as the plan saw it: person_id, channel, topic, class ('' is all), reason.

        A plan that an older tailrace made says only whom no marketing may reach.
        """
        table = self._table(plan_id, "consents")
        if table is not None:
            return table
        older = self._table(plan_id, "suppressed")
        people = pa.array([], pa.int64()) if older is None else older.column("person_id").combine_chunks()
        words = {"channel": "", "topic": "", "class": "marketing", "reason": "unsubscribed"}
        columns = {name: pa.repeat(pa.scalar(word, pa.string()), len(people)) for name, word in words.items()}
        return pa.table({"person_id": people, **columns})

    def _table(self, plan_id: str, relation: str) -> pa.Table | None:
        key = (plan_id, relation)
        held = self._held
        if key not in held:
            table = self._store.table(self._store.read(plan_id), relation)
            held = self._held = {other: kept for other, kept in held.items() if other[0] == plan_id} | {key: table}
        return held[key]
