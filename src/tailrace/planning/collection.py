"""Which plans are too old to be kept, and how do they go so that none is ever half there?

In this order, each step durable before the next: what goes is recorded (`collected.json`); a plan goes with its
plan.json, which is one unlink; then the objects that no plan needs any more. So an object is never missing from a plan
that stands, but for what is personal in one that is recorded as bare of it. Whoever is killed leaves objects that no
plan names, and the next collection takes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from tailrace import crash, durable
from tailrace.planning import collected
from tailrace.planning.collected import Collected
from tailrace.planning.store import Piece, Plan, Store
from tailrace.settings import Settings

APPLIED_LAST = "is HEAD"
RECENT = "is not older than the retention"
CURRENT = "was current when the retention begins"
OPEN = "has something open"


@dataclass(frozen=True)
class Kept:
    """A plan that stays, and why; `open` counts what of it is not over yet, by state."""

    plan_id: str
    as_of: datetime
    why: str
    open: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Collection:
    """What a collection removes, or would: plans, what is personal in others (`bared`), and files of the store.

    `orphans` are those of `objects` that no plan named; `bytes` are of all objects.
    """

    plans: tuple[str, ...]
    bared: tuple[str, ...]
    objects: int
    orphans: int
    bytes: int
    kept: tuple[Kept, ...]


def collect(
    settings: Settings,
    *,
    as_of: datetime,
    plans: timedelta | None,
    payloads: timedelta | None,
    open_plans: Mapping[str, Mapping[str, int]],
    is_dry: bool,
) -> Collection:
    """Remove what is older than `plans` and `payloads` (None: nothing is) at `as_of`, and what no plan names.

    HEAD, and plans with something open, stay whole. Nobody may make or apply a plan meanwhile. Doing it again finishes
    what was begun, and changes nothing when it was done. Raises DataError, having removed nothing, when a plan of the
    store is damaged.
    """
    store = Store(settings)
    there = {path.parent.name: store.read(path.parent.name) for path in settings.plans.glob("*/plan.json")}
    kept = {
        entry.plan_id: entry for entry in _kept(store, there, as_of - plans if plans is not None else None, open_plans)
    }
    gone = sorted(there.keys() - kept.keys(), key=lambda plan_id: (there[plan_id].as_of, plan_id))
    bared = [] if payloads is None else [name for name in kept if _is_bared(kept[name], there[name], as_of - payloads)]
    needed = {path for name in kept for path in _needed(store, there[name], is_bare=name in bared)}
    named = {path for plan in there.values() for path in _needed(store, plan, is_bare=False)}
    objects = sorted(path for path in (settings.plans / "objects").glob("*.parquet") if path not in needed)
    fresh = [name for name in bared if _needed(store, there[name], is_bare=False) & {*objects}]
    done = Collection(
        plans=tuple(gone),
        bared=tuple(fresh),
        objects=len(objects),
        orphans=sum(path not in named for path in objects),
        bytes=sum(path.stat().st_size for path in objects),
        kept=tuple(sorted(kept.values(), key=lambda entry: (entry.as_of, entry.plan_id), reverse=True)),
    )
    if not is_dry:
        _record(settings, store, there, as_of, dict.fromkeys(gone, plans), dict.fromkeys(fresh, payloads))
        _remove(settings, gone, objects)
    return done


def _kept(
    store: Store, there: Mapping[str, Plan], since: datetime | None, open_plans: Mapping[str, Mapping[str, int]]
) -> Iterator[Kept]:
    """Yield the plans that stay, each with the first reason."""
    head = store.head()
    lineage = [name for name, _ in store.chain(head)] if head else []
    older = [name for name in lineage if since is not None and there[name].as_of <= since]
    for name, plan in there.items():
        if name == head:
            yield Kept(name, plan.as_of, APPLIED_LAST, open_plans.get(name, {}))
        elif name in open_plans:
            yield Kept(name, plan.as_of, OPEN, open_plans[name])
        elif since is None or plan.as_of >= since:
            yield Kept(name, plan.as_of, RECENT)
        elif older and name == older[0]:
            # Who asks of a moment just after the retention begins, or replays from there, is told by this one.
            yield Kept(name, plan.as_of, CURRENT)


def _is_bared(entry: Kept, plan: Plan, since: datetime) -> bool:
    """Return whether the personal relations of a plan that stays go."""
    return entry.why in (RECENT, CURRENT) and plan.as_of < since and any(map(collected.is_personal, plan.relations))


def _needed(store: Store, plan: Plan, *, is_bare: bool) -> set[Path]:
    """Return the objects that the plan needs; one without rows holds nothing personal, whatever it is called."""

    def stays(relation: str, piece: Piece) -> bool:
        return not (is_bare and collected.is_personal(relation) and piece.rows)

    return {store.path(piece) for name, pieces in plan.relations.items() for piece in pieces if stays(name, piece)}


def _record(
    settings: Settings,
    store: Store,
    there: Mapping[str, Plan],
    as_of: datetime,
    gone: Mapping[str, timedelta | None],
    bared: Mapping[str, timedelta | None],
) -> None:
    """Write down what goes, before it does, and forget what was written down of plans that stay after all."""
    before = store.collected()
    entries = {name: entry for name, entry in before.items() if name not in there or not entry.whole}
    for names, whole in ((bared, False), (gone, True)):
        for name, retention in names.items():
            entries[name] = Collected(there[name].as_of, as_of, _written(retention), whole)
    if entries != before:
        collected.write(settings.plans, entries)
    crash.here("gc.recorded")


def _written(retention: timedelta | None) -> str:
    """Return a duration as policy.yml has it, in the longest unit that fits: `90d`, `36h`."""
    units = (("d", timedelta(days=1)), ("h", timedelta(hours=1)), ("m", timedelta(minutes=1)))
    return next((f"{retention // unit}{name}" for name, unit in units if retention and not retention % unit), "")


def _remove(settings: Settings, gone: list[str], objects: list[Path]) -> None:
    for plan_id in gone:
        (settings.plans / plan_id / "plan.json").unlink()
        crash.here("gc.plan_removed")
    if not settings.plans.is_dir():
        return
    for folder in settings.plans.iterdir():
        # What saving a plan, or moving HEAD, left when it was killed; what the loop above has emptied.
        if (folder.is_dir() and folder.name != "objects" and not (folder / "plan.json").exists()) or (
            folder.name.startswith(".") and folder.name.endswith(".tmp")
        ):
            durable.remove(folder)
    # A plan that came back after the power failed would lack the objects that go now.
    durable.fsync_dir(settings.plans)
    crash.here("gc.plans_durable")
    for path in objects:
        path.unlink()
        crash.here("gc.object_removed")
