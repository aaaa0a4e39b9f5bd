"""What should happen now? From a finished warehouse, the parent plan and the journal's word: a new plan.

Sends nothing and changes nothing but the plan store; a plan that nobody applies is garbage.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import duckdb
import pyarrow as pa

from tailrace import clock, engine
from tailrace.engine import literal, statement
from tailrace.errors import StalePlan
from tailrace.planning import arbitration, enrollment, memberships, merging, payloads, relations, summary
from tailrace.planning.arbitration import Rules
from tailrace.planning.corrections import Chosen
from tailrace.planning.enrollment import CampaignSpec, MessageSpec
from tailrace.planning.erased import Correction
from tailrace.planning.guards import (
    Limits,
    Reading,
    Release,
    apply_releases,
    is_loss,
    read_segment,
    read_source,
    require_people,
)
from tailrace.planning.inputs import Inputs
from tailrace.planning.memberships import Bit, Cause
from tailrace.planning.store import Piece, Plan, Store
from tailrace.planning.syncs import LetGo, SyncPlanner, SyncSpec
from tailrace.settings import Settings


class SegmentModel(Protocol):
    """A segment as the catalog knows it."""

    @property
    def name(self) -> str:
        """`seg_…`, the file's name."""

    @property
    def relation(self) -> str:
        """Where its members stand: `segments.seg_…`."""

    @property
    def fingerprint(self) -> str:
        """Changes when the SQL that decides membership changes."""


_NO_RESPONSES = pa.table(
    {
        "enrollment_id": pa.array([], pa.string()),
        "step": pa.array([], pa.string()),
        "status_code": pa.array([], pa.int32()),
        "body": pa.array([], pa.string()),
    }
)


@dataclass(frozen=True)
class Request:
    """Everything a plan is made from, besides the warehouse and the store.

    `loads` are (load_id, load_seq, is_history); `failed` maps a model that did not build to the reason; `limits` maps
    a subject (`segment:x`, `sync:x`) to its guards' limits; `source_hours` a source to the hours it may be silent.
    `answers` are the journal's outcomes of sync rows after the parent's `journal_seq` (see `held.Held`).
    `people_left_share` and `minimum_members` are what `guards.require_people` goes by. `rules` is policy.yml for
    messages; `outcomes` (intent_id, outcome) are the journal's about messages since the parent; `responses`
    (enrollment_id, step, status_code, body) every answer to a webhook step so far. `fingerprints` has, by relation,
    that of the SQL of what triggers watch. `let_go` are the keys of people who were erased,
    `chosen` what people want sent now that a backfill had come too late for, `resyncs` (number, sync) what people want
    said again to a destination, all of it.
    """

    as_of: datetime
    cause: str
    parent: str | None
    loads: Sequence[tuple[str, int, bool]]
    loads_fingerprint: str
    project_fingerprint: str
    definitions_fingerprint: str
    segments: Sequence[SegmentModel]
    campaigns: Sequence[CampaignSpec]
    syncs: Sequence[SyncSpec]
    failed: Mapping[str, str]
    limits: Mapping[str, Limits]
    source_hours: Mapping[str, float]
    releases: Collection[Release]
    answers: pa.Table
    journal_seq: int
    people_left_share: float | None = None
    minimum_members: int = 0
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    rules: Rules = field(default_factory=Rules)
    responses: pa.Table = field(default_factory=lambda: _NO_RESPONSES)
    let_go: LetGo = field(default_factory=LetGo)
    chosen: Chosen = field(default_factory=Chosen)
    resyncs: Sequence[tuple[int, str]] = ()
    outcomes: pa.Table = field(
        default_factory=lambda: pa.table({"intent_id": pa.array([], pa.string()), "outcome": pa.array([], pa.string())})
    )


@dataclass
class _Draft:
    """A plan in the making."""

    relations: dict[str, tuple[Piece, ...]] = field(default_factory=dict)
    segments: dict[str, dict[str, Any]] = field(default_factory=dict)
    campaigns: dict[str, dict[str, Any]] = field(default_factory=dict)
    syncs: dict[str, dict[str, Any]] = field(default_factory=dict)
    readings: list[Reading] = field(default_factory=list)
    parked: dict[str, str] = field(default_factory=dict)


def make_plan(settings: Settings, store: Store, request: Request) -> str:
    """Make, store and return the id of the plan. The same request over the same warehouse makes the same plan.

    Raises StalePlan when `as_of` is before the parent's: time only goes forward on HEAD. Raises GuardStop when the
    people whom the parent knew are gone.
    """
    parent = store.read(request.parent) if request.parent else None
    if parent is not None and request.as_of < parent.as_of:
        raise StalePlan(
            f"as_of {clock.iso(request.as_of)} is before {clock.iso(parent.as_of)}, the as_of of HEAD"
            f" ({request.parent}); expected a later one: time only goes forward"
        )
    connection = engine.connect(settings)
    try:
        engine.attach(connection, settings.warehouse, "wh")
        return _make(connection, store, request, parent)
    finally:
        connection.close()


def _make(connection: duckdb.DuckDBPyConnection, store: Store, request: Request, parent: Plan | None) -> str:
    parent = merging.follow(connection, store, parent, {campaign.slug for campaign in request.campaigns})
    draft = _Draft()
    _note_loads(connection, store, request, parent, draft)
    if parent is not None:
        _require_people(connection, store, request, parent)
    bits = _plan_memberships(connection, store, request, parent, draft)
    _plan_campaigns(connection, store, request, parent, draft, bits)
    _plan_syncs(connection, store, request, parent, draft)
    draft.relations |= merging.keep(connection, store, parent, is_any_parked=bool(draft.parked))
    draft.relations["guards"] = ()
    used = tuple(sorted(reading.released for reading in draft.readings if reading.released is not None))
    plan = Plan(
        parent=request.parent,
        as_of=request.as_of,
        cause=request.cause,
        inputs=Inputs(
            loads=request.loads_fingerprint,
            project=request.project_fingerprint,
            definitions=request.definitions_fingerprint,
            journal_seq=request.journal_seq,
            releases=used,
            choices=request.chosen.numbers,
            resyncs=tuple(sorted(number for number, sync in request.resyncs if sync in draft.syncs)),
        ),
        relations={name: pieces for name, pieces in sorted(draft.relations.items()) if pieces},
        segments=draft.segments,
        campaigns=draft.campaigns,
        syncs=draft.syncs,
        guards=[reading.row() for reading in draft.readings],
        counts=summary.counts(connection, draft.relations, _passes(connection, store, draft)),
    )
    return store.save(plan)


def _passes(connection: duckdb.DuckDBPyConnection, store: Store, draft: _Draft) -> int:
    """Return how many passes there are, in campaigns whose folder is gone too."""
    total = sum(facts["enrolled"] for facts in draft.campaigns.values())
    for name, pieces in draft.relations.items():
        kind, _, slug = name.partition(":")
        if kind == "enrollments" and slug not in draft.campaigns:
            source = store.pieces(pieces, relations.ENROLLMENTS, relations.KEYS[kind])
            total += engine.row(connection, f"select count(*) from {source} as kept")[0]
    return int(total)


def _require_people(connection: duckdb.DuckDBPyConnection, store: Store, request: Request, parent: Plan) -> None:
    """Stop where people of the parent are gone, but for those who were erased or are another's user id now."""
    limits = request.people_left_share, request.minimum_members
    erased = _erased(store, request).people
    for count, relation in (("people", "core.dim_people"), ("features", "core.dim_person_features")):
        (now,) = engine.row(connection, f"select count(*) from wh.{relation}")
        # A plan of an earlier version has not counted features.
        before = max(0, parent.counts.get(count, 0) - erased)
        if is_loss(before, now, *limits):
            # Who gave up their id is found among all events: asked only where it matters.
            before = max(0, before - merging.given_up(connection, store, parent))
        require_people(before, now, *limits, relation)


def _note_loads(
    connection: duckdb.DuckDBPyConnection, store: Store, request: Request, parent: Plan | None, draft: _Draft
) -> None:
    connection.execute("create or replace temp table loads (load_id varchar, load_seq bigint, is_history boolean)")
    if request.loads:
        connection.register("given", pa.Table.from_pylist([_load_row(*load) for load in request.loads]))
        connection.execute("insert into loads select load_id, load_seq, is_history from given")
    draft.relations["loads"] = (store.put(connection, "select * from loads order by load_seq"),)
    seen = store.source(parent, "loads", relations.LOADS)
    connection.execute(
        "create or replace temp table new_loads as select load_seq from loads"
        f" where not exists (select 1 from {seen} as seen where seen.load_id = loads.load_id)"
    )


def _load_row(load_id: str, load_seq: int, is_history: bool) -> dict[str, Any]:
    return {"load_id": load_id, "load_seq": load_seq, "is_history": is_history}


def _plan_memberships(
    connection: duckdb.DuckDBPyConnection, store: Store, request: Request, parent: Plan | None, draft: _Draft
) -> dict[str, Bit]:
    """Snapshot and diff the segments, park what the guards park, and store memberships and changes."""
    known = dict(parent.segments) if parent else {}
    numbers = memberships.assign(
        {name: entry["bit"] for name, entry in known.items()}, [model.name for model in request.segments]
    )
    stale = [
        read_source(name, _silent_hours(connection, name, request.as_of), allowed)
        for name, allowed in sorted(request.source_hours.items())
    ]
    stale = apply_releases(stale, list(request.releases))
    blind = next((reading.subject for reading in stale if reading.parks), None)
    draft.readings += stale

    bits: dict[str, Bit] = {}
    for model in request.segments:
        relation: str | None = f"wh.{model.relation}"
        if model.name in request.failed:
            draft.parked[model.name] = "segment_failed"
            relation = None
        elif blind is not None and model.name in known:
            draft.parked[model.name] = f"{blind} is stale"
            relation = None
        before = known.get(model.name)
        bits[model.name] = Bit(model.name, numbers[model.name], _cause(request, model, before), relation)
    memberships.snapshot(connection, bits.values(), store.source(parent, "memberships", _NOBODY))
    less = _erased(store, request).segments
    sizes = {name: entry["size"] - less.get(name, 0) for name, entry in known.items()}
    moved = memberships.moves(connection, bits.values(), sizes)

    tripped = []
    for name, bit in bits.items():
        if bit.relation is None:
            continue
        readings = read_segment(name, moved[name], bit.cause, request.limits[f"segment:{name}"])
        readings = apply_releases(readings, list(request.releases))
        draft.readings += readings
        if any(reading.parks for reading in readings):
            draft.parked[name] = "guard"
            tripped.append(bit)
    if tripped:
        memberships.keep(connection, tripped)
        moved = memberships.moves(connection, bits.values(), sizes)

    _describe_segments(request, known, bits, moved, draft)
    waited = [name for name, entry in known.items() if entry["status"] == "parked"]
    moved_people = memberships.changes(bits.values(), merged=merging.is_any(connection), waited=waited)
    connection.execute(f"create or replace temp table changes as {moved_people}")
    draft.relations["memberships"] = (store.put(connection, memberships.memberships(connection)),)
    draft.relations["changes"] = (store.put(connection, "select * from changes order by segment, person_id"),)
    return bits


def _erased(store: Store, request: Request) -> Correction:
    """Return what the parent's numbers have too much, since people were erased after it."""
    return (store.erased_of(request.parent) if request.parent else None) or Correction()


_NOBODY = "select 0::bigint as person_id, 0::ubigint as w0"


def _cause(request: Request, model: SegmentModel, before: Mapping[str, Any] | None) -> Cause:
    if before is None or before["fingerprint"] is None:
        return Cause.BASELINE
    if before["fingerprint"] != model.fingerprint:
        return Cause.DEFINITION
    return Cause.HISTORY if request.cause == "backfill" else Cause.BEHAVIOUR


def _describe_segments(
    request: Request,
    known: Mapping[str, dict[str, Any]],
    bits: Mapping[str, Bit],
    moved: Mapping[str, memberships.Moves],
    draft: _Draft,
) -> None:
    """Write the registry that plan.json keeps. A parked segment keeps the fingerprint that its members come from."""
    for model in request.segments:
        bit, change, parked = bits[model.name], moved[model.name], draft.parked.get(model.name)
        before = known.get(model.name, {"fingerprint": None})
        draft.segments[model.name] = {
            "bit": bit.number,
            "fingerprint": before["fingerprint"] if parked else model.fingerprint,
            "status": "parked" if parked else "ok",
            "parked": parked,
            "cause": str(bit.cause),
            "size": change.after,
            "entered": change.entered,
            "left": change.left,
        }
    for name, entry in known.items():
        if name not in draft.segments:
            gone = {"status": "removed", "parked": None, "size": 0, "entered": 0, "left": 0, "fingerprint": None}
            draft.segments[name] = entry | gone


def _silent_hours(connection: duckdb.DuckDBPyConnection, source: str, as_of: datetime) -> float | None:
    """Return the hours between `as_of` and the newest event of the source that has happened by then."""
    (hours,) = engine.row(
        connection,
        "select date_diff('second', max(event_at), $as_of) / 3600.0 from wh.core.fct_events"
        " where source = $source and event_at <= $as_of",
        {"as_of": clock.naive(as_of), "source": source},
    )
    return None if hours is None else float(hours)


def _plan_campaigns(
    connection: duckdb.DuckDBPyConnection,
    store: Store,
    request: Request,
    parent: Plan | None,
    draft: _Draft,
    bits: Mapping[str, Bit],
) -> None:
    """Walk every campaign, judge every candidate, and store what came of it."""
    run = enrollment.Run(
        as_of=request.as_of,
        parent_as_of=parent.as_of if parent else None,
        cause=request.cause,
        store=store,
        parent=parent,
        bits=bits,
        failed=request.failed,
        rules=request.rules,
        relations=draft.relations,
        fingerprints=request.fingerprints,
        chosen=request.chosen if request.chosen.numbers else None,
    )
    notes = enrollment.plan_campaigns(connection, run, request.campaigns, request.responses)
    _keep_campaigns_without_file(request, parent, draft)
    specs = _message_specs(connection, store, request, parent)
    payloads.prepare(
        connection,
        specs,
        {model.name: model.relation for model in request.segments if model.name not in request.failed},
    )
    draft.relations |= arbitration.judge(
        connection, store, parent, request.rules, request.campaigns, request.as_of, request.outcomes
    )
    enrollment.hold_back(connection)
    described = summary.campaigns(connection, request.campaigns, draft.parked)
    kept = enrollment.keep_campaigns(connection, run, request.campaigns)
    draft.campaigns |= {slug: described[slug] | notes[slug] | kept[slug] for slug in kept}
    columns = "select moves.* from moves order by campaign, enrollment_id, position"
    draft.relations["transitions"] = (store.put(connection, columns),)
    draft.relations["verdicts"] = (store.put(connection, "select * from verdicts order by intent_id"),)
    draft.relations["payloads"] = (store.put(connection, statement("tailrace.planning", "payloads")),)
    draft.relations["messages"] = (store.put(connection, _messages(specs)),)
    acts = "select intent_id, person_id, campaign, step, kind, name, value from acts order by intent_id, kind, name"
    draft.relations["acts"] = (store.put(connection, acts),)


def _keep_campaigns_without_file(request: Request, parent: Plan | None, draft: _Draft) -> None:
    """Carry the enrollments of a campaign whose folder is gone: nothing is sent, nothing is forgotten."""
    slugs = {campaign.slug for campaign in request.campaigns}
    for name, pieces in (parent.relations if parent else {}).items():
        kind, _, slug = name.partition(":")
        if kind in ("enrollments", "versions", "assignments", "watched") and slug not in slugs:
            draft.relations[name] = pieces


def _message_specs(
    connection: duckdb.DuckDBPyConnection, store: Store, request: Request, parent: Plan | None
) -> dict[tuple[str, str], MessageSpec]:
    """Return the messages of all campaigns; one that only an earlier version names is skipped as it has no copy."""
    specs = {(campaign.slug, name): spec for campaign in request.campaigns for name, spec in campaign.messages.items()}
    named = connection.execute("select distinct campaign, message from candidates where message is not null").fetchall()
    for campaign, message in named:
        if (campaign, message) not in specs:
            gone = frozenset({("event", f"{message} (its file is gone)")})
            specs[campaign, message] = MessageSpec("", "email", "md", "{}", gone, frozenset())
    return specs


def _messages(specs: Mapping[tuple[str, str], MessageSpec]) -> str:
    rows = []
    for (campaign, name), spec in sorted(specs.items()):
        if spec.message_key:
            values = (spec.message_key, campaign, name, spec.channel, spec.kind, spec.source)
            rows.append(f"({', '.join(literal(value) for value in values)})")
    if not rows:
        return f"{relations.MESSAGES} limit 0"
    names = "message_key, campaign, message, channel, kind, source"
    return f"select {names} from (values {', '.join(rows)}) as messages ({names}) order by campaign, message"


def _plan_syncs(
    connection: duckdb.DuckDBPyConnection, store: Store, request: Request, parent: Plan | None, draft: _Draft
) -> None:
    planner = SyncPlanner(connection, store, parent, request.answers, request.let_go)
    blind = any(reading.guard == "source_stale_after" and reading.parks for reading in draft.readings)
    draft.relations |= planner.of_others(request.syncs)
    for spec in request.syncs:
        name = spec.model.name
        parked = None
        if request.cause == "backfill":
            parked = "backfill"
        elif name in request.failed:
            parked = "sync_failed"
        elif blind:
            parked = "source_stale"
        elif waiting := sorted(set(spec.segments) & set(draft.parked)):
            parked = f"{waiting[0]} is parked"
        result = planner.plan(
            spec,
            as_of=clock.naive(request.as_of),
            limits=request.limits[f"sync:{name}"],
            releases=request.releases,
            parked=parked,
            again=any(sync == name for _, sync in request.resyncs),
        )
        draft.relations |= result.relations
        draft.syncs[name] = result.summary
        draft.readings += result.readings
