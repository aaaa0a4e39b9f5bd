"""What does delivery need of a plan? Payloads, messages, sync operations and who may not be reached."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tailrace.errors import DataError
from tailrace.planning.store import Plan, Store

_SAID = ["position", "op", "key", "data"]


class SaidRows:
    """What a plan says to the destination of a sync, in its order: batches are read a row group at a time.

    The two that were read last are kept: workers are close to each other, and a batch may end in the next one. Raises
    DataError where the rows of a batch do not stand together: some of them would never be said.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._groups: list[tuple[Path, int, int]] = []
        numbers = []
        n_rows = 0
        for path in paths:
            with pq.ParquetFile(path) as file:
                numbers.append(file.read(columns=["batch_no"]).column(0))
                for group in range(file.num_row_groups):
                    self._groups.append((path, group, n_rows))
                    n_rows += file.metadata.row_group(group).num_rows
        runs = pc.run_end_encode(pa.chunked_array(numbers, pa.int32()).combine_chunks())
        ends = runs.run_ends.to_pylist()
        self._places = dict(zip(runs.values.to_pylist(), pairwise([0, *ends]), strict=True))
        if len(self._places) != len(ends):
            raise DataError(
                f"{paths[0]}: the rows of a batch stand apart; expected them in the order of batches: plan again"
            )
        self._held: dict[int, pa.Table] = {}

    def batch(self, number: int) -> pa.Table:
        """Return position, op, key and data of a batch, in order of position; no rows when there is none."""
        start, end = self._places.get(number, (0, 0))
        found = []
        for place, (_, _, begins) in enumerate(self._groups):
            until = self._groups[place + 1][2] if place + 1 < len(self._groups) else end
            if begins < end and start < until:
                first = max(start, begins)
                found.append(self._group(place).slice(first - begins, min(end, until) - first))
        return pa.concat_tables(found) if found else _NOTHING_SAID

    def _group(self, place: int) -> pa.Table:
        held = self._held
        if place not in held:
            path, group, _ = self._groups[place]
            with pq.ParquetFile(path) as file:
                table = file.read_row_group(group, columns=_SAID)
            held = self._held = dict(list(held.items())[-1:]) | {place: table}
        return held[place]


_NOTHING_SAID = pa.table(
    [pa.array([], pa.int32()), *(pa.array([], pa.string()) for _ in _SAID[1:])],
    names=_SAID,
)


class PlanReader:
    """Reads the relations that delivery works from; keeps the ones of the plan it read last.

    Several threads may ask one reader: what is kept is replaced, and never changed.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._held: dict[tuple[str, str], pa.Table | None] = {}
        self._said: dict[tuple[str, str], SaidRows] = {}
        self._plan: tuple[str, Plan] | None = None
        self._places: tuple[str, dict[str, int]] | None = None
        self._health: dict[str, frozenset[tuple[str, str]]] = {}

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
        said = self._said.get((plan_id, sync))
        if said is None:
            said = SaidRows(self._store.paths(self._read(plan_id), f"sync_ops:{sync}"))
            # Batches of one destination come sync by sync.
            self._said = dict(list(self._said.items())[-3:]) | {(plan_id, sync): said}
        return said.batch(batch_no)

    def sync_mode(self, plan_id: str, sync: str) -> str:
        """Return the sync's mode, as the plan has it."""
        return str(self._read(plan_id).syncs[sync]["mode"])

    def health(self, plan_id: str) -> frozenset[tuple[str, str]]:
        """Return what was health data when the plan was made: (campaign, message) of messages, ('', sync) of syncs."""
        known = self._health
        if plan_id not in known:
            plan = self._read(plan_id)
            messages = [(slug, name) for slug, facts in plan.campaigns.items() for name in facts.get("health", ())]
            syncs = [("", name) for name, facts in plan.syncs.items() if facts.get("health")]
            known = self._health = known | {plan_id: frozenset([*messages, *syncs])}
        return known[plan_id]

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

    def _read(self, plan_id: str) -> Plan:
        """Return the plan; the one that was read last is kept, as a plan never changes."""
        known = self._plan
        if known is None or known[0] != plan_id:
            known = self._plan = (plan_id, self._store.read(plan_id))
        return known[1]

    def _table(self, plan_id: str, relation: str) -> pa.Table | None:
        key = (plan_id, relation)
        held = self._held
        if key not in held:
            table = self._store.table(self._read(plan_id), relation)
            held = self._held = {other: kept for other, kept in held.items() if other[0] == plan_id} | {key: table}
        return held[key]
