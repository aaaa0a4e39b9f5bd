"""Which backfills were there, and what did each do? Read from landing and the plans, which have it all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from tailrace import engine
from tailrace.errors import DataError, nearest
from tailrace.landing import backfills as records
from tailrace.landing.land import RETRY
from tailrace.landing.loads import Load, loads
from tailrace.planning import relations
from tailrace.planning.store import Plan, Store
from tailrace.planning.verdict import ENTRY
from tailrace.settings import Settings


@dataclass(frozen=True)
class SegmentEffect:
    """How a backfill moved a segment; `cause` says why (memberships.Cause), `parked` why it was left as it was."""

    segment: str
    before: int
    entered: int
    left: int
    after: int
    cause: str
    parked: str | None


@dataclass(frozen=True)
class Backfill:
    """One backfill; its id is that of its load. [since, until) is the range that was asked for, None is open.

    `who` and `at` are None of one that was made before they were kept. `as_of` is the instant that it was planned at.
    `plan_before` and `plan_after` are None while no run has planned it, or when the plan is gone; `together` are other
    backfills that the same plan was the first to see, so that the effects are theirs too. `refused` counts, by
    campaign, the people whom the plan kept out because what they did is history.
    """

    id: str
    at: datetime | None
    who: str | None
    source: str
    reason: str
    since: datetime | None
    until: datetime | None
    as_of: datetime
    files: tuple[str, ...]
    lines: int
    landed: int
    duplicate: int
    quarantined: int
    erased: int
    reasons: dict[str, int]
    first_event_at: datetime | None
    last_event_at: datetime | None
    plan_before: str | None
    plan_after: str | None
    together: tuple[str, ...]
    segments: tuple[SegmentEffect, ...]
    refused: dict[str, int]


def backfills(settings: Settings) -> list[Backfill]:
    """Return all backfills, the first one first."""
    return [_backfill(settings, load, planned) for load, planned in _planned(settings, _loads(settings))]


def backfill(settings: Settings, load_id: str) -> Backfill:
    """Return the backfill whose id starts with `load_id`. Raises DataError when there is none, or several."""
    load = find(settings, load_id)
    return next(_backfill(settings, load, planned) for _, planned in _planned(settings, [load]))


def find(settings: Settings, load_id: str) -> Load:
    """Return the load of the backfill whose id starts with `load_id`; raises DataError when it is not one."""
    known = _loads(settings)
    found = [load for load in known if load_id and load.load_id.startswith(load_id)]
    if len(found) != 1:
        many = "several start so" if found else "there is none"
        raise DataError(
            f"backfill `{load_id}`: {many}; expected the id of one that `tailrace backfills list` shows."
            f"{nearest(load_id, [load.load_id for load in known])}"
        )
    return found[0]


def kept_out(settings: Settings, plan_id: str) -> pa.Table:
    """Return whom the plan kept out of which campaign because what they did is history: campaign, person_id."""
    store = Store(settings)
    with engine.connect(settings) as connection:
        verdicts = store.source(store.read(plan_id), "verdicts", relations.VERDICTS)
        query = (
            f"select campaign, person_id from {verdicts} as judged"
            f" where step = '{ENTRY}' and reason = 'history' order by all"
        )
        return connection.sql(query).to_arrow_table()


@dataclass(frozen=True)
class _Planned:
    """The plan that was the first to see a load, and its parent. `together` are the history loads it saw first."""

    plan_id: str
    plan: Plan
    parent: Plan | None
    together: frozenset[str]


def _loads(settings: Settings) -> list[Load]:
    return [load for load in loads(settings) if load.is_history and load.reason != RETRY]


def _planned(settings: Settings, some: Sequence[Load]) -> Iterator[tuple[Load, _Planned | None]]:
    """Yield the loads, each with the first plan of HEAD's lineage that saw it; None when none did, or it is gone."""
    store = Store(settings)
    wanted = {load.load_id for load in some}
    found: dict[str, _Planned] = {}
    later: tuple[str, Plan, set[str]] | None = None
    for plan_id, plan in store.chain(store.head()):
        if not wanted - found.keys():
            break
        seen = _seen(store, plan)
        if later is not None:
            new = later[2] - seen
            found |= {name: _Planned(later[0], later[1], plan, frozenset(new)) for name in new & wanted}
        later = plan_id, plan, seen
    else:
        if later is not None and later[1].parent is None:
            first = later[2] & wanted
            found |= {name: _Planned(later[0], later[1], None, frozenset(first)) for name in first}
    for load in some:
        yield load, found.get(load.load_id)


def _seen(store: Store, plan: Plan) -> set[str]:
    table = store.table(plan, "loads")
    if table is None:
        return set()
    rows = zip(table.column("load_id").to_pylist(), table.column("is_history").to_pylist(), strict=True)
    return {load_id for load_id, is_history in rows if is_history}


def _backfill(settings: Settings, load: Load, planned: _Planned | None) -> Backfill:
    record = records.read(settings, load)
    return Backfill(
        id=load.load_id,
        at=record.at if record else None,
        who=record.who if record else None,
        source=load.source,
        reason=load.reason or "",
        since=record.since if record else None,
        until=record.until if record else None,
        as_of=load.landed_at,
        files=tuple(file.name for file in load.files),
        lines=load.lines,
        landed=load.landed,
        duplicate=load.duplicate,
        quarantined=load.quarantined,
        erased=load.erased,
        reasons=load.reasons,
        first_event_at=load.first_event_at,
        last_event_at=load.last_event_at,
        plan_before=planned.plan.parent if planned else None,
        plan_after=planned.plan_id if planned else None,
        together=tuple(sorted(planned.together - {load.load_id})) if planned else (),
        segments=tuple(_segments(planned)) if planned else (),
        refused=_refused(planned.plan) if planned else {},
    )


def _segments(planned: _Planned) -> Iterator[SegmentEffect]:
    before: dict[str, dict[str, Any]] = planned.parent.segments if planned.parent else {}
    for name, entry in sorted(planned.plan.segments.items()):
        if entry["status"] != "removed" and (entry["entered"] or entry["left"] or entry["parked"]):
            size = before.get(name, {"size": 0})["size"]
            yield SegmentEffect(
                name, size, entry["entered"], entry["left"], entry["size"], entry["cause"], entry["parked"]
            )


def _refused(plan: Plan) -> dict[str, int]:
    counts = {slug: facts["not_entered"].get("history", 0) for slug, facts in sorted(plan.campaigns.items())}
    return {slug: count for slug, count in counts.items() if count}
