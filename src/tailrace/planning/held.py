"""What does the destination of a sync hold, as far as it told us?

Folded from the journal's outcomes over the plans that were sent. The outcomes of the parent's own plan are those that
came in since it was made.

What is held is held at a place: a target of a destination. A plan keeps it as `acknowledged:<sync>`, and what its
syncs, and those that are gone, have told other places as `acknowledged:<sync>@<place>`: a sync that comes back goes on
there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import duckdb
import pyarrow as pa

from tailrace import engine
from tailrace.engine import literal, statement
from tailrace.planning import relations
from tailrace.planning.store import Piece, Plan, Store

_PACKAGE = "tailrace.planning"
_PREFIX = "acknowledged:"

_RECENCY = "row_number() over (partition by ops.key order by answers.seq desc)"

_HOLDS = "select count(*) from acknowledged where row_hash is not null"

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

    def show(self, sync: str, place: str | None = None, *, again: bool = False) -> bool:
        """Make the relation `acknowledged` of the sync; return whether it is another one than the parent's.

        It is what was told the `place`, or without one the place that the parent's sync had; `sync` may be
        `<sync>@<place>`. With `again` all of it is to be said again, whatever was refused before.
        """
        is_new = self._fold(sync, place)
        if again:
            self._connection.execute(
                f"create or replace temp table held_again as {statement(_PACKAGE, 'sync_again')}", {"again": AGAIN}
            )
            self._connection.execute("create or replace temp view acknowledged as select * from held_again")
        return is_new or again

    def keep(self, sync: str, place: str | None = None, *, is_new: bool) -> tuple[Piece, ...]:
        """Store what `show` made, and return its pieces; nothing when nothing ever went out."""
        if is_new:
            return (self._store.put(self._connection, "select * from acknowledged order by key"),)
        return self._parent.relations.get(self._relation(sync, place), ()) if self._parent else ()

    def elsewhere(self, sync: str, place: str) -> int:
        """Return how many rows of the sync other places hold, or may hold."""
        found = 0
        for name, at in self._told():
            if name == sync and at not in (place, None):
                self.show(sync, at)
                found += int(engine.row(self._connection, _HOLDS)[0])
        return found

    def left_behind(self) -> dict[tuple[str, str | None], int]:
        """Return how many rows each place holds, or may hold, that no sync of the parent plan goes to; by sync, place.

        A place is None where it was told before plans kept places.
        """
        syncs = self._parent.syncs if self._parent else {}
        found = {}
        for name, at in sorted(self._told(), key=str):
            if name in syncs and at in (self._place_of(self._parent, name), None):
                continue
            self.show(name, at)
            n_rows = int(engine.row(self._connection, _HOLDS)[0])
            if n_rows:
                found[name, at] = n_rows
        return found

    def of_others(self, places: Mapping[str, str]) -> dict[str, tuple[Piece, ...]]:
        """Return the relations of what is held but by these syncs at these places, with what was answered since."""
        others = {(name, at): is_answered for (name, at), is_answered in self._told().items() if places.get(name) != at}
        found = {}
        for (name, at), is_answered in sorted(others.items(), key=str):
            if at is None and name in places:
                continue
            # Without a new answer nothing of it is read: of a plan of long ago it may be gone.
            is_new = is_answered and self.show(name, at)
            found[f"{_PREFIX}{name}" + (f"@{at}" if at else "")] = self.keep(name, at, is_new=is_new)
        return found

    def _told(self) -> dict[tuple[str, str | None], bool]:
        """Return who has told which place something, as (sync, place), and whether there are new answers."""
        names = [name for name in self._parent.relations if name.startswith(_PREFIX)] if self._parent else []
        found: dict[tuple[str, str | None], bool] = {}
        for name in names:
            sync, _, at = name.removeprefix(_PREFIX).partition("@")
            found[sync, at or self._place_of(self._parent, sync)] = False
        return found | dict.fromkeys(self._answered(), True)

    def _answered(self) -> list[tuple[str, str | None]]:
        self._connection.register("all_answers", self._answers)
        if not self._answers.num_rows:
            return []
        rows = self._connection.execute("select distinct sync, plan_id from all_answers order by all").fetchall()
        return [(sync, self._place_of(self._store.read(plan_id), sync)) for sync, plan_id in rows]

    @staticmethod
    def _place_of(plan: Plan | None, sync: str) -> str | None:
        """Return which place the plan's sync is about; None where it says nothing of it."""
        facts = plan.syncs.get(sync, {}) if plan else {}
        return f"{facts['destination']}/{facts['target']}" if "destination" in facts else None

    def _relation(self, sync: str, place: str | None) -> str:
        """Return as what the parent keeps it."""
        name, _, said = sync.partition("@")
        at, last = said or place, self._place_of(self._parent, name)
        elsewhere = f"{_PREFIX}{name}@{at}"
        is_there = self._parent is not None and elsewhere in self._parent.relations
        return elsewhere if is_there or (last is not None and at not in (last, None)) else f"{_PREFIX}{name}"

    def _fold(self, sync: str, place: str | None) -> bool:
        before = self._before(sync, place)
        sync, _, said = sync.partition("@")
        at = said or place or self._place_of(self._parent, sync)
        run = self._connection.execute
        self._connection.register("all_answers", self._answers)
        mine = f"(select * from all_answers where sync = {literal(sync)})"
        plans = [row[0] for row in run(f"select distinct plan_id from {mine} order by plan_id").fetchall()]
        there = [plan for plan in plans if at is None or self._place_of(self._store.read(plan), sync) in (at, None)]
        if there != plans:
            listed = ", ".join(map(literal, there)) or "null"
            mine, plans = f"(select * from {mine} where plan_id in ({listed}))", there
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

    def _before(self, sync: str, place: str | None) -> str:
        """Return the SQL of what the parent knew; what an earlier version has not kept is null."""
        source = self._store.source(self._parent, self._relation(sync, place), relations.ACKNOWLEDGED)
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
