"""What does the destination of a sync hold, as far as it told us?

Folded from the journal's outcomes over the plans that were sent. The outcomes of the parent's own plan are those that
came in since it was made.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence

import duckdb
import pyarrow as pa

from tailrace import engine
from tailrace.engine import literal, statement
from tailrace.planning import relations
from tailrace.planning.store import Piece, Plan, Store

_PACKAGE = "tailrace.planning"

_RECENCY = "row_number() over (partition by ops.key order by answers.seq desc)"

AGAIN = "!"
"""Before the hash of a row that the destination has, and is to hear again all the same."""


class Held:
    """What destinations hold, on one connection. `answers` are the journal's per-row outcomes since the parent plan:
    seq, plan_id, sync, batch_no, position, outcome, code, answered_at.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, store: Store, parent: Plan | None, answers: pa.Table
    ) -> None:
        self._connection = connection
        self._store = store
        self._parent = parent
        self._answers = answers

    def show(self, sync: str, *, again: bool = False) -> bool:
        """Make the relation `acknowledged` of the sync; return whether it is another one than the parent's.

        With `again` all of it is to be said again, whatever was refused before.
        """
        is_new = self._fold(sync)
        if again:
            self._connection.execute(
                f"create or replace temp table held_again as {statement(_PACKAGE, 'sync_again')}", {"again": AGAIN}
            )
            self._connection.execute("create or replace temp view acknowledged as select * from held_again")
        return is_new or again

    def keep(self, sync: str, *, is_new: bool) -> tuple[Piece, ...]:
        """Store what `show` made, and return its pieces; nothing when nothing ever went out."""
        if is_new:
            return (self._store.put(self._connection, "select * from acknowledged order by key"),)
        return self._parent.relations.get(f"acknowledged:{sync}", ()) if self._parent else ()

    def of_others(self, syncs: Collection[str]) -> dict[str, tuple[Piece, ...]]:
        """Return what is kept of every other sync than these: what was answered since is folded in, the rest stays.

        Such a sync is gone from the project, or is off; what its destination holds is still there when it comes back.
        """
        parent = self._parent.relations if self._parent else {}
        held = {name.partition(":")[2]: pieces for name, pieces in parent.items() if name.startswith("acknowledged:")}
        answered = set(self._answers.column("sync").to_pylist()) if self._answers.num_rows else set()
        others = sorted((held.keys() | answered) - set(syncs))
        return {sync: self.keep(sync, is_new=self.show(sync)) if sync in answered else held[sync] for sync in others}

    def _fold(self, sync: str) -> bool:
        before = self._before(sync)
        run = self._connection.execute
        self._connection.register("all_answers", self._answers)
        mine = f"(select * from all_answers where sync = {literal(sync)})"
        plans = [row[0] for row in run(f"select distinct plan_id from {mine} order by plan_id").fetchall()]
        if not plans:
            run(f"create or replace temp view acknowledged as select * from {before}")
            return False
        run(f"create or replace temp view answers as select * from {mine}")
        run(f"create or replace temp view ops as {' union all '.join(self._said(sync, plan) for plan in plans)}")
        run(f"create or replace temp view before as select * from {before}")
        fold = statement(_PACKAGE, "sync_fold").replace("{recency}", "1" if self._is_once(plans) else _RECENCY)
        run(f"create or replace temp table held as {fold}")
        run("create or replace temp view acknowledged as select * from held")
        return True

    def _is_once(self, plans: Sequence[str]) -> bool:
        """Return whether there is one answer to each row: a plan has a key once. To sort out the latest costs more."""
        query = "select count(*), count(distinct batch_no::bigint << 32 | position) from answers"
        answered, rows = engine.row(self._connection, query)
        return len(plans) == 1 and answered == rows

    def _before(self, sync: str) -> str:
        """Return the SQL of what the parent knew; what an earlier version has not kept is null."""
        source = self._store.source(self._parent, f"acknowledged:{sync}", relations.ACKNOWLEDGED)
        return f"((from ({relations.ACKNOWLEDGED}) limit 0) union all by name select * from {source})"

    def _said(self, sync: str, plan_id: str) -> str:
        """Return the SQL of what a plan said, with the columns of its rows and a hash of each of their values."""
        source = self._store.source(self._store.read(plan_id), f"sync_ops:{sync}", relations.SYNC_OPS)
        found = engine.first(
            self._connection, f"select json_keys(data), json_keys(key) from {source} where data is not null limit 1"
        )
        names = [name for name in found[0] if name not in found[1]] if found else []
        return (
            f"select {literal(plan_id)} as plan_id, key, op, row_hash, batch_no, position,"
            f" {literal(json.dumps(names, ensure_ascii=False))} as columns, {cells(names)} as cells from {source}"
        )


def cells(names: Sequence[str], of: str = "") -> str:
    """Return the SQL of a short hash of each named value of `data`, which differs from row to row by its `key`.

    Both are columns of the relation `of`. So a plan can say which columns of a row changed, and keep none of them.
    """
    if not names:
        return "null::uinteger[]"
    paths = ", ".join(literal(f'$."{name}"') for name in names)
    # The lower half of the words of `md5_number_lower`, which DuckDB takes three times as long to tell.
    hashed = f"((md5_number(concat({of}key, x)) >> 64) & 4294967295::uhugeint)::uinteger"
    return f"list_transform(json_extract({of}data, [{paths}]), lambda x: {hashed})"
