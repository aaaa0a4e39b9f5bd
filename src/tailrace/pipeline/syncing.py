"""What does each sync say to its destination next, and where does it stand? Nothing is stored, and nothing leaves.

Told from the warehouse as it was last built, HEAD, and what destinations have answered since: what the next plan would
say if nothing else came in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from tailrace import clock, engine, ids
from tailrace.errors import DataError, nearest
from tailrace.journal.journal import Journal
from tailrace.journal.opening import is_made
from tailrace.journal.records import Resync
from tailrace.landing.erased import waiting_keys
from tailrace.pipeline.matching import Matched, matched
from tailrace.pipeline.request import Definitions, guard_limits, load_definitions, sync_spec
from tailrace.planning.held import AGAIN, Held
from tailrace.planning.store import Plan, Store
from tailrace.planning.syncs import REJECTED_PATIENCE_HOURS, LetGo, Looked, SyncPlanner
from tailrace.settings import Settings
from tailrace.warehouse import preview
from tailrace.warehouse.build import Generation, read_generation
from tailrace.warehouse.catalog import Catalog, SyncModel, read_catalog

_PACKAGE = "tailrace.pipeline"
_FAILED = "sync_failed"
NOT_BUILT = "it is not built as it is written now"
"""Why a sync says nothing whose columns its table has not got: somebody has edited it since the last build."""
_ID = re.compile(r"(id|.*_id|.*Id|.*_hash|.*_(md5|sha1|sha256))")
_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:\-]{0,79}")


@dataclass(frozen=True)
class Listed:
    """A sync as it is written, and what HEAD says of it; None where no plan has."""

    name: str
    destination: str
    target: str
    mode: str
    keys: tuple[str, ...]
    owner: str
    desired: int | None
    held: int | None
    parked: str | None


@dataclass(frozen=True)
class Refusal:
    """Rows (`row`), or removals (`removal`), that the destination refuses by one code, or has not got (`not there`)."""

    what: str
    code: str
    n_rows: int
    since: datetime
    next_at: datetime


@dataclass(frozen=True)
class Sampled:
    """A row by its key, what happens to it (`kind`), and which of its columns changed."""

    kind: str
    key: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Planned:
    """What a sync would say next. `numbers` are those of plan.json; `unknown` has, by operation, rows of unknown fate.

    `under_way` are rows of HEAD's batches that no destination has answered yet; `again`: somebody wants all of it said
    again.
    """

    name: str
    destination: str
    target: str
    mode: str
    parked: str | None
    numbers: Mapping[str, Any]
    unknown: Mapping[str, int]
    columns: Mapping[str, int]
    guards: Sequence[Mapping[str, Any]]
    under_way: Mapping[str, int]
    again: bool
    sample: Sequence[Sampled] = ()


@dataclass(frozen=True)
class Standing:
    """Where a sync stands: of the rows that are desired, how many were sent, how many accepted; how many were matched.

    None is not known: of the first three when the sync's model did not build.
    """

    planned: Planned
    keys: tuple[str, ...]
    owner: str
    desired: int | None
    sent: int | None
    accepted: int | None
    matched: Matched
    refusals: Sequence[Refusal]
    resyncs: Sequence[Resync] = field(default_factory=tuple)


@dataclass(frozen=True)
class LeftBehind:
    """Rows that a sync told a place (`destination/target`; None: not kept) to which it goes no more, by HEAD."""

    sync: str
    place: str | None
    n_rows: int

    @property
    def words(self) -> str:
        """Return what to say of it."""
        return (
            f"{self.place or 'a destination'} holds {self.n_rows:,} rows that {self.sync} told it, which goes there no"
            " more: nothing takes them out. Remove them there, or let the sync come back as it was"
        )


def left_behind(settings: Settings) -> list[LeftBehind]:
    """Return what destinations hold of syncs that are gone or go elsewhere, as far as they told us."""
    store = Store(settings)
    head = store.head()
    if head is None or not is_made(settings):
        return []
    plan = store.read(head)
    with Journal.open(settings) as journal:
        answers = journal.acknowledged_rows(plan.inputs.journal_seq)
    with engine.connect(settings) as connection:
        found = Held(connection, store, plan, answers).left_behind()
    return [LeftBehind(sync, place, n_rows) for (sync, place), n_rows in found.items()]


def list_syncs(settings: Settings) -> list[Listed]:
    """Return the syncs of the project."""
    store = Store(settings)
    head = store.head()
    plan = store.read(head) if head else None
    found = []
    for name, model in sorted(_catalog(settings).syncs.items()):
        known = plan.syncs.get(name, {}) if plan else {}
        found.append(
            Listed(
                name,
                model.destination,
                model.target,
                model.mode,
                model.keys,
                model.owner,
                known.get("desired"),
                known.get("acknowledged"),
                known.get("parked"),
            )
        )
    return found


def plan_syncs(settings: Settings, name: str | None, as_of: datetime, sample: int = 0) -> list[Planned]:
    """Return what the sync, or with None each of them, would say at `as_of`, with up to `sample` rows of each kind.

    Raises DataError when there is no such sync or no warehouse, Busy while one is built.
    """
    with _looking(settings) as look:
        names = sorted(look.catalog.syncs) if name is None else [look.model(name).name]
        return [look.planned(each, as_of, sample) for each in names]


def show_sync(settings: Settings, name: str, as_of: datetime) -> Standing:
    """Return where the sync stands at `as_of`; asks its destination how many people it has matched, where it says.

    Raises as `plan_syncs` does.
    """
    with _looking(settings) as look:
        model = look.model(name)
        planned = look.planned(name, as_of, 0)
        counts: Mapping[str, Any] = {} if planned.parked in (_FAILED, NOT_BUILT) else look.standing(model)
        return Standing(
            planned=planned,
            keys=model.keys,
            owner=model.owner,
            desired=counts.get("desired"),
            sent=counts.get("sent"),
            accepted=counts.get("accepted"),
            matched=matched(
                settings, look.definitions.connections.by_name.get(model.destination), model.target, look.journal
            ),
            refusals=look.refusals(model),
            resyncs=tuple(look.journal.resyncs_of(name)),
        )


def resync(settings: Settings, name: str, *, who: str, reason: str, at: datetime) -> Resync:
    """Have the next plan say everything of the sync again; what it removes, it still does.

    Raises DataError when there is no such sync, or it is an append, whose destination would hear each event twice,
    JournalError without a reason.
    """
    model = _model(_catalog(settings), name)
    if model.mode == "append":
        raise DataError(
            f"{name}: a sync of mode `append` says each key once, ever, and its destination would count it twice;"
            " expected a sync that sets rows: mirror, upsert or update_only. Nothing was changed."
        )
    with Journal.open(settings) as journal:
        return journal.resync(name, who, reason, at)


def shown_key(sync: str, key: str) -> str:
    """Return a key as it may be shown: the values of columns that are ids or hashes, else a short hash of it.

    A value that may be an address is none of these, whatever its column is called.
    """
    said: dict[str, Any] = orjson.loads(key)
    if all(_ID.fullmatch(column) and _TOKEN.fullmatch(str(value)) for column, value in said.items()):
        return " ".join(str(value) for value in said.values())
    return f"#{ids.digest(sync, key)[:12]}"


@dataclass
class _Look:
    """What is read together: the warehouse on one connection, HEAD, and the journal."""

    settings: Settings
    connection: engine.Connection
    journal: Journal
    definitions: Definitions
    catalog: Catalog
    generation: Generation
    made: Plan | None
    planner: SyncPlanner
    under_way: Mapping[str, Mapping[str, int]]
    waiting: frozenset[str]

    def model(self, name: str) -> SyncModel:
        return _model(self.catalog, name)

    def planned(self, name: str, as_of: datetime, sample: int) -> Planned:
        model = self.catalog.syncs[name]
        parked = self._parked(model)
        looked = self.planner.look(
            sync_spec(model, self.definitions.connections),
            as_of=clock.naive(as_of),
            limits=guard_limits(self.definitions.policy, name),
            releases=self.journal.releases(),
            parked=parked,
            again=name in self.waiting,
        )
        unknown = "select op, count(*) from operations inner join acknowledged on acknowledged.key = operations.key"
        unknown += " where acknowledged.row_hash = '?' group by op"
        return Planned(
            name=name,
            destination=model.destination,
            target=model.target,
            mode=model.mode,
            parked=looked.summary["parked"],
            numbers=looked.summary,
            unknown=dict(self.connection.execute(unknown).fetchall()),
            columns=looked.summary["columns"],
            guards=[reading.row() for reading in looked.readings],
            under_way=self.under_way.get(name, {}),
            again=name in self.waiting,
            sample=self._sample(model, looked, sample) if sample else (),
        )

    def standing(self, model: SyncModel) -> Mapping[str, Any]:
        self.planner.desire(sync_spec(model, self.definitions.connections))
        query = engine.statement(_PACKAGE, "sync_standing")
        (counts,) = engine.rows(self.connection, query, {"mode": model.mode, "again": AGAIN})
        return counts

    def refusals(self, model: SyncModel) -> list[Refusal]:
        values = {"mode": model.mode, "patience": REJECTED_PATIENCE_HOURS}
        rows = engine.rows(self.connection, engine.statement(_PACKAGE, "sync_refusals"), values)
        return [Refusal(**row) for row in rows]

    def _parked(self, model: SyncModel) -> str | None:
        """Return why the sync says nothing, as the plan over this warehouse found it."""
        if model.name in self.generation.failed:
            return _FAILED
        if set(model.columns) - self._columns(model):
            return NOT_BUILT
        if self.made is None:
            return next((f"{name} is parked" for name in model.segments if name in self.generation.failed), None)
        guards = self.made.guards
        if any(g["guard"] == "source_stale_after" and g["tripped"] and g["released"] is None for g in guards):
            return "source_stale"
        parked = [name for name in model.segments if self.made.segments.get(name, {}).get("parked")]
        return f"{parked[0]} is parked" if parked else None

    def _columns(self, model: SyncModel) -> frozenset[str]:
        """Return the columns that its table has, as it was last built."""
        schema, _, table = model.relation.partition(".")
        return frozenset(
            row["column_name"]
            for row in engine.rows(
                self.connection,
                "select column_name from duckdb_columns() where database_name = 'wh' and schema_name = $schema"
                " and table_name = $name",
                {"schema": schema, "name": table},
            )
        )

    def _sample(self, model: SyncModel, looked: Looked, sample: int) -> list[Sampled]:
        if not looked.says:
            return []
        rows = engine.rows(
            self.connection, engine.statement(_PACKAGE, "sync_sample"), {"mode": model.mode, "sample": sample}
        )
        return [Sampled(row["kind"], shown_key(model.name, row["key"]), tuple(row["columns"] or ())) for row in rows]


@contextmanager
def _looking(settings: Settings) -> Iterator[_Look]:
    generation = read_generation(settings)
    if generation is None:
        raise DataError("there is no warehouse to plan syncs from; expected one run before: `tailrace run`")
    store = Store(settings)
    head = store.head()
    parent = store.read(head) if head else None
    catalog, definitions = _catalog(settings), load_definitions(settings)
    with engine.connect(settings) as connection, Journal.open(settings) as journal:
        engine.attach(connection, settings.warehouse, "wh")
        answers = journal.acknowledged_rows(parent.inputs.journal_seq if parent else 0)
        yield _Look(
            settings=settings,
            connection=connection,
            journal=journal,
            definitions=definitions,
            catalog=catalog,
            generation=generation,
            made=_made(settings, store, head, generation.as_of),
            planner=SyncPlanner(connection, store, parent, answers, LetGo(*(waiting_keys(settings) or ()))),
            under_way=journal.rows_under_way(head) if head else {},
            waiting=frozenset(each.sync for each in journal.resyncs()),
        )


def _made(settings: Settings, store: Store, head: str | None, as_of: datetime) -> Plan | None:
    """Return the plan that was made over the warehouse as it stands: HEAD, or one on top of it that nobody applied."""
    if head is not None and (plan := store.read(head)).as_of == as_of:
        return plan
    there = (store.read(path.parent.name) for path in sorted(settings.plans.glob("*/plan.json")))
    return next((plan for plan in there if plan.parent == head and plan.as_of == as_of), None)


def _catalog(settings: Settings) -> Catalog:
    preview.refresh(settings)
    return read_catalog(settings)


def _model(catalog: Catalog, name: str) -> SyncModel:
    if name not in catalog.syncs:
        known = ", ".join(sorted(catalog.syncs)) or "none"
        raise DataError(
            f"sync `{name}`: there is no such sync; expected one of: {known}.{nearest(name, catalog.syncs)}"
        )
    return catalog.syncs[name]
