"""What must each destination hear, so that what it holds becomes what is desired?

Desired is the sync model's rows now; acknowledged is what the destination has accepted, folded from the journal's
outcomes over the plans that were sent. Only an acknowledgement moves the second, so a row that failed is simply
still different next time.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import duckdb
import pyarrow as pa

from tailrace import engine
from tailrace.engine import identifier, literal, statement
from tailrace.planning import relations
from tailrace.planning.guards import Limits, Reading, apply_releases, read_sync
from tailrace.planning.store import Piece, Plan, Store

REJECTED_PATIENCE_HOURS = 24
"""How long a refused row is left alone while it does not change."""

_NOTHING: dict[str, Any] = {"desired": None, "add": 0, "update": 0, "remove": 0}


class SyncModel(Protocol):
    """A sync as the catalog knows it."""

    @property
    def name(self) -> str:
        """`sync_<destination>__<what>`, the file's name."""

    @property
    def relation(self) -> str:
        """Where its rows stand: `syncs.sync_…`."""

    @property
    def destination(self) -> str:
        """The connection that it goes to."""

    @property
    def target(self) -> str:
        """The audience or object there."""

    @property
    def mode(self) -> str:
        """`mirror`."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns that tell rows apart."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Everything that goes out, keys included."""


@dataclass(frozen=True)
class LetGo:
    """By sync, the salted hashes of the keys that its destination is to let go of, whatever a guard says of it."""

    salt: str = field(default="", repr=False)
    keys: Mapping[str, Collection[str]] = field(default_factory=dict)

    def condition(self, sync: str) -> str:
        """Return the SQL that is true of such a `key` of the sync."""
        hashes = ", ".join(literal(each) for each in sorted(self.keys.get(sync, ())))
        return f"sha256(concat_ws(chr(31), {literal(self.salt)}, 'key', key)) in ({hashes})" if hashes else "false"


@dataclass(frozen=True)
class SyncResult:
    """One sync's part of the plan: its relations, and the numbers that people read."""

    relations: Mapping[str, tuple[Piece, ...]]
    summary: dict[str, Any]
    readings: list[Reading]


class SyncPlanner:
    """Plans syncs on one connection, where `wh` is the warehouse. `answers` are the journal's per-row outcomes
    since the parent plan: seq, plan_id, sync, batch_no, position, outcome, answered_at.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        store: Store,
        parent: Plan | None,
        answers: pa.Table,
        let_go: LetGo | None = None,
    ) -> None:
        self._connection = connection
        self._store = store
        self._parent = parent
        self._answers = answers
        self._let_go = let_go or LetGo()

    def fold(self, sync: str) -> Piece | None:
        """Store what the destination of `sync` now holds, as far as it told us; None when nothing ever went out."""
        if not self.ask(sync):
            known = self._parent.relations.get(f"acknowledged:{sync}") if self._parent else None
            return known[0] if known else None
        return self._store.put(self._connection, statement("tailrace.planning", "sync_fold"))

    def holds(self, sync: str) -> int:
        """Return how many of the keys that it is to let go of the destination holds or may hold, as it told us."""
        if self.ask(sync):
            held = f"({statement('tailrace.planning', 'sync_fold')})"
        else:
            held = self._store.source(self._parent, f"acknowledged:{sync}", relations.ACKNOWLEDGED)
        return self._count(
            f"select count(*) from {held} as held where row_hash is not null and {self._let_go.condition(sync)}"
        )

    def ask(self, sync: str) -> bool:
        """Return whether the destination said anything since the parent plan; makes what sync_fold.sql reads if so."""
        relation = f"acknowledged:{sync}"
        rows = self._answers
        self._connection.register("all_answers", rows)
        mine = f"(select * from all_answers where sync = {literal(sync)})"
        plans = [row[0] for row in self._connection.execute(f"select distinct plan_id from {mine}").fetchall()]
        if not plans:
            return False
        arms = " union all ".join(
            f"select {literal(plan_id)} as plan_id, key, op, row_hash, batch_no, position from"
            f" {self._store.source(self._store.read(plan_id), f'sync_ops:{sync}', relations.SYNC_OPS)}"
            for plan_id in sorted(plans)
        )
        before = self._store.source(self._parent, relation, relations.ACKNOWLEDGED)
        self._connection.execute(f"create or replace temp view answers as select * from {mine}")
        self._connection.execute(f"create or replace temp view ops as {arms}")
        self._connection.execute(f"create or replace temp view before as select * from {before}")
        return True

    def plan(
        self,
        model: SyncModel,
        *,
        as_of: Any,
        batch_size: int,
        limits: Limits,
        releases: Collection[Any],
        parked: str | None,
    ) -> SyncResult:
        """Return the sync's operations against what its destination has acknowledged.

        `parked` is a reason to send nothing (its model failed, a segment it reads is parked); the sync is then left
        as it was.
        """
        held = self.fold(model.name)
        kept = {f"acknowledged:{model.name}": (held,)} if held else {}
        acknowledged = self._store.pieces([held] if held else [], relations.ACKNOWLEDGED)
        self._connection.execute(f"create or replace temp view acknowledged as select * from {acknowledged}")
        n_held = self._count("select count(*) from acknowledged where row_hash is not null and row_hash <> '?'")
        n_unknown = self._count("select count(*) from acknowledged where row_hash = '?'")
        n_rejected = self._count("select count(*) from acknowledged where rejected_hash is not null")
        summary: dict[str, Any] = {"acknowledged": n_held, "rejected": n_rejected, "unknown": n_unknown}
        summary |= {"parked": parked, "destination": model.destination, "target": model.target, "mode": model.mode}
        if parked is not None:
            return self._only_let_go(model.name, kept, summary | _NOTHING, [], as_of, batch_size)
        self._desire(model)
        if repeated := self._count("select count(*) - count(distinct key) from desired"):
            summary |= _NOTHING | {"parked": f"{repeated} rows repeat a key"}
            return self._only_let_go(model.name, kept, summary, [], as_of, batch_size)
        self._connection.execute(
            f"create or replace temp table operations as {statement('tailrace.planning', 'sync_ops')}",
            {"sync": model.name, "as_of": as_of, "patience": REJECTED_PATIENCE_HOURS, "batch_size": batch_size},
        )
        counts = dict(self._connection.execute("select op, count(*) from operations group by op").fetchall())
        summary |= {"desired": self._count("select count(*) from desired")}
        summary |= {op: counts.get(op, 0) for op in ("add", "update", "remove")}
        # Who was erased goes whatever else does, and so is no part of what the guard measures.
        n_erased = self._count(
            f"select count(*) from operations where op = 'remove' and {self._let_go.condition(model.name)}"
        )
        n_removed = counts.get("remove", 0) - n_erased
        readings = apply_releases(read_sync(model.name, n_held - n_erased, n_removed, limits), list(releases))
        if any(reading.parks for reading in readings):
            summary |= {"parked": "guard"}
            return self._only_let_go(model.name, kept, summary, readings, as_of, batch_size)
        operations = self._store.put(self._connection, "select * from operations order by batch_no, position")
        pieces = {f"sync_ops:{model.name}": (operations,)} if operations.rows else {}
        return SyncResult(kept | pieces, summary, readings)

    def _only_let_go(
        self,
        sync: str,
        kept: Mapping[str, tuple[Piece, ...]],
        summary: dict[str, Any],
        readings: list[Reading],
        as_of: Any,
        batch_size: int,
    ) -> SyncResult:
        """Return a parked sync's part: it says nothing, but that who was erased is to be let go of."""
        condition = self._let_go.condition(sync)
        if not self._count(f"select count(*) from acknowledged where row_hash is not null and {condition}"):
            return SyncResult(kept, summary, readings)
        self._connection.execute(
            "create or replace temp table desired as select key, row_hash, null::varchar as data from acknowledged"
            f" where row_hash is not null and not {condition}"
        )
        query = f"select * from ({statement('tailrace.planning', 'sync_ops')}) order by batch_no, position"
        values = {"sync": sync, "as_of": as_of, "patience": REJECTED_PATIENCE_HOURS, "batch_size": batch_size}
        operations = self._store.put(self._connection, query, values)
        pieces = {f"sync_ops:{sync}": (operations,)} if operations.rows else {}
        return SyncResult({**kept, **pieces}, summary | {"erased": operations.rows}, readings)

    def _desire(self, model: SyncModel) -> None:
        """Make the table `desired`: one row per key, its columns as JSON text, and the hash of that."""
        keys = ", ".join(f"{identifier(key)} := {identifier(key)}::varchar" for key in model.keys)
        columns = ", ".join(f"{identifier(column)} := {identifier(column)}" for column in model.columns)
        self._connection.execute(
            "create or replace temp table desired as select key, md5(data) as row_hash, data from"
            f" (select to_json(struct_pack({keys}))::varchar as key, to_json(struct_pack({columns}))::varchar as data"
            f" from wh.{model.relation})"
        )

    def _count(self, query: str) -> int:
        return int(engine.row(self._connection, query)[0])


def batches(connection: duckdb.DuckDBPyConnection, source: str) -> list[tuple[int, int]]:
    """Return (batch_no, rows) of each batch of a sync's operations, in order."""
    return connection.execute(f"select batch_no, count(*) from {source} group by batch_no order by batch_no").fetchall()
