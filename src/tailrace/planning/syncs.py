"""What must each destination hear, so that what it holds becomes what is desired?

Desired is the sync model's rows now; acknowledged is what the destination has accepted, folded from the journal's
outcomes over the plans that were sent. Only an acknowledgement moves the second, so a row that failed is simply
still different next time.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import duckdb
import pyarrow as pa

from tailrace import engine
from tailrace.engine import identifier, literal, statement
from tailrace.planning import relations
from tailrace.planning.guards import Limits, Reading, apply_releases, read_moved, read_sync
from tailrace.planning.held import Held, cells
from tailrace.planning.store import Piece, Plan, Store

REJECTED_PATIENCE_HOURS = 24
"""How long a refused row, or removal, is left alone while it does not change."""
NOBODY = "false"
"""The condition on keys of a sync that has nobody to let go of."""


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
        """What it keeps there: one of `destinations.base.MODES`."""

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
        return f"sha256(concat_ws(chr(31), {literal(self.salt)}, 'key', key)) in ({hashes})" if hashes else NOBODY


@dataclass(frozen=True)
class SyncSpec:
    """A sync to plan: its model, what its destination takes at once, and the segments that it reads.

    `is_idempotent`: the destination recognises a row that it has heard before. `rules`: the version of those by which
    it writes what it hashes; by others each row is another one. `problem` is why it cannot be planned as it is written.
    `is_health`: its rows are health data.
    """

    model: SyncModel
    batch_size: int
    segments: tuple[str, ...]
    is_idempotent: bool = False
    rules: str = ""
    problem: str | None = None
    is_health: bool = False


@dataclass(frozen=True)
class Looked:
    """What a sync would say, and the numbers that people read; `operations` and `acknowledged` are there to be read.

    `says` is False when nothing is said, or no more than that who was erased is let go of.
    """

    summary: dict[str, Any]
    readings: list[Reading]
    is_new: bool
    says: bool


@dataclass(frozen=True)
class SyncResult:
    """One sync's part of the plan: its relations, and the numbers that people read."""

    relations: Mapping[str, tuple[Piece, ...]]
    summary: dict[str, Any]
    readings: list[Reading]


class SyncPlanner:
    """Plans syncs on one connection, where `wh` is the warehouse. `answers` are as `held.Held` takes them."""

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
        self._held = Held(connection, store, parent, answers)
        self._let_go = let_go or LetGo()

    def holds(self, sync: str) -> int:
        """Return how many of the keys that it is to let go of the destination holds or may hold, as it told us."""
        self._held.show(sync)
        return self._count(
            f"select count(*) from acknowledged where row_hash is not null and {self._let_go.condition(sync)}"
        )

    def plan(
        self,
        spec: SyncSpec,
        *,
        as_of: Any,
        limits: Limits,
        releases: Collection[Any],
        parked: str | None,
        again: bool = False,
    ) -> SyncResult:
        """Return the sync's operations against what its destination has acknowledged; see `look`."""
        name = spec.model.name
        found = self.look(spec, as_of=as_of, limits=limits, releases=releases, parked=parked, again=again)
        pieces = {f"acknowledged:{name}": self._held.keep(name, place(spec.model), is_new=found.is_new)}
        # The view has the rows of `said` in the order in which they stand there.
        said = self._store.put(self._connection, "select * from operations")
        pieces |= {f"sync_ops:{name}": (said,)} if said.rows else {}
        return SyncResult(pieces, found.summary, found.readings)

    def of_others(self, specs: Collection[SyncSpec]) -> dict[str, tuple[Piece, ...]]:
        """Return the relations of what is held besides: of syncs that are gone, and where these went before."""
        return self._held.of_others({spec.model.name: place(spec.model) for spec in specs})

    def look(
        self,
        spec: SyncSpec,
        *,
        as_of: Any,
        limits: Limits,
        releases: Collection[Any],
        parked: str | None,
        again: bool = False,
    ) -> Looked:
        """Make the relations `acknowledged` and `operations` of the sync, and return the numbers. Stores nothing.

        `parked` is a reason to send nothing (its model failed, a segment it reads is parked); the sync is then left
        as it was. With `again` everything is to be said again.
        """
        model = spec.model
        n_elsewhere = self._held.elsewhere(model.name, place(model))
        is_new = self._held.show(model.name, place(model), again=again)
        (counts,) = engine.rows(self._connection, _statement("sync_counts"), {"mode": model.mode})
        summary: dict[str, Any] = {**counts, "parked": parked or spec.problem}
        summary |= {"destination": model.destination, "target": model.target, "mode": model.mode}
        summary |= {"health": True} if spec.is_health else {}
        summary |= {"desired": None, "columns": {}} | dict.fromkeys(("add", "update", "remove", "left", "changed"), 0)
        if summary["parked"] is None:
            self.desire(spec)
            n_desired, repeated = self._count_desired()
            if repeated:
                summary["parked"] = f"{repeated} rows repeat a key"
        if summary["parked"] is not None:
            return self._let_them_go(spec, as_of, Looked(summary, [], is_new, says=False))
        self._operate(spec, as_of)
        said = dict(self._connection.execute("select op, count(*) from operations group by op").fetchall())
        summary |= {"desired": n_desired}
        summary |= {op: said.get(op, 0) for op in ("add", "update", "remove")}
        if model.mode != "mirror":
            (beside,) = engine.rows(self._connection, _statement("sync_beside"), {"mode": model.mode})
            summary |= beside
        # Who was erased goes whatever else does, and so is no part of what the guard measures.
        n_erased = self._count(
            f"select count(*) from operations where op = 'remove' and {self._let_go.condition(model.name)}"
        )
        n_held, n_removed = summary["acknowledged"] - n_erased, summary["remove"] - n_erased
        read = read_sync(model.name, n_held, n_removed, limits)
        read += read_moved(model.name, summary["acknowledged"], n_elsewhere, sum(said.values()))
        readings = apply_releases(read, list(releases))
        if any(reading.parks for reading in readings):
            summary["parked"] = "guard"
            return self._let_them_go(spec, as_of, Looked(summary, readings, is_new, says=False))
        self._compare(model)
        counted = "select coalesce(name, ''), count(*) from differing_columns group by all order by all"
        summary["columns"] = dict(self._connection.execute(counted).fetchall())
        return Looked(summary, readings, is_new, says=True)

    def _let_them_go(self, spec: SyncSpec, as_of: Any, looked: Looked) -> Looked:
        """Have a sync that says nothing let go of who was erased all the same, where it removes anybody."""
        condition = self._let_go.condition(spec.model.name)
        if condition == NOBODY:
            self._connection.execute(f"create or replace temp view operations as {relations.SYNC_OPS} limit 0")
            return looked
        self._connection.execute(
            "create or replace temp view desired as select key, row_hash, null::varchar as data from acknowledged"
            f" where row_hash is not null and not {condition}"
        )
        self._operate(spec, as_of)
        erased = self._count("select count(*) from operations")
        return replace(looked, summary=looked.summary | ({"erased": erased} if erased else {}))

    def _operate(self, spec: SyncSpec, as_of: Any) -> None:
        """Make the relation `operations`; the table `said` has its rows in their order, which numbers them."""
        values = {
            "mode": spec.model.mode,
            "is_idempotent": spec.is_idempotent,
            "as_of": as_of,
            "patience": REJECTED_PATIENCE_HOURS,
        }
        self._connection.execute(f"create or replace temp table said as {_statement('sync_ops')}", values)
        n_set = self._count("select count(*) from said where op <> 'remove'")
        placed = _statement("sync_batches").format(
            sync=literal(spec.model.name), n_set=n_set, batch_size=int(spec.batch_size)
        )
        self._connection.execute(f"create or replace temp view operations as {placed}")

    def _compare(self, model: SyncModel) -> None:
        """Make the table `differing_columns`: what of each row that is updated is not as the destination has it."""
        names = [column for column in model.columns if column not in model.keys]
        listed = f"[{', '.join(literal(name) for name in names)}]"
        query = _statement("sync_columns").replace("{cells}", cells(names, "operations.")).replace("{names}", listed)
        self._connection.execute(f"create or replace temp table differing_columns as {query}")

    def desire(self, spec: SyncSpec) -> None:
        """Make the relation `desired`: one row per key, its columns as JSON text, and the hash of these and the rules.

        It is a view, for of most rows nothing but the key and the hash is asked.
        """
        model = spec.model
        written = f"md5(data || {literal(spec.rules)})" if spec.rules else "md5(data)"
        keys = ", ".join(f"{identifier(key)} := {identifier(key)}::varchar" for key in model.keys)
        described = self._connection.execute(f"describe wh.{model.relation}").fetchall()
        floats = {name.lower() for name, kind, *_ in described if kind in ("DOUBLE", "FLOAT")}
        values = {column: identifier(column) for column in model.columns}
        # JSON has no word for a number that is none, or without end.
        values |= {
            column: f"case when isfinite({name}) then {name} end"
            for column, name in values.items()
            if column.lower() in floats
        }
        columns = ", ".join(f"{identifier(column)} := {value}" for column, value in values.items())
        self._connection.execute(
            "create or replace temp view desired as select key, " + written + " as row_hash, data from"
            f" (select to_json(struct_pack({keys}))::varchar as key, to_json(struct_pack({columns}))::varchar as data"
            f" from wh.{model.relation})"
        )

    def _count_desired(self) -> tuple[int, int]:
        """Return how many rows are desired, and how many of them repeat a key."""
        # As many different hashes as rows: no key is there twice. To tell the keys apart takes twice as long.
        rows, hashes = engine.row(self._connection, "select count(*), count(distinct hash(key)) from desired")
        repeated = 0 if rows == hashes else self._count("select count(*) - count(distinct key) from desired")
        return int(rows), repeated

    def _count(self, query: str) -> int:
        return int(engine.row(self._connection, query)[0])


def place(model: SyncModel) -> str:
    """Return where a sync tells its rows: what is held there is held there alone."""
    return f"{model.destination}/{model.target}"


def batches(connection: duckdb.DuckDBPyConnection, source: str) -> list[tuple[int, int, bool]]:
    """Return (batch_no, rows, whether it removes them) of each batch of a sync's operations, in order."""
    return connection.execute(
        f"select batch_no, count(*), bool_or(op = 'remove') from {source} group by batch_no order by batch_no"
    ).fetchall()


def _statement(name: str) -> str:
    return statement("tailrace.planning", name)
