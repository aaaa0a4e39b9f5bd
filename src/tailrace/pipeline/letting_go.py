"""Which destinations hold something of those who are erased, and which of them let go of it?

A receipt says it in words: what the next plan removes, and what somebody has to remove by hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tailrace import engine
from tailrace.journal.journal import Journal
from tailrace.landing.erased import Destination, Erasure, Listed
from tailrace.planning.store import Plan, Store
from tailrace.planning.syncs import LetGo, SyncPlanner
from tailrace.settings import Settings
from tailrace.warehouse.catalog import SyncModel, read_catalog

_REMOVES = "mirror"
_TO_BE_REMOVED = "the next plan removes them"
_GOES_ELSEWHERE = "the sync goes there no more: remove them there by hand"


def destinations(settings: Settings, journal: Journal, record: Erasure, listed: Listed) -> Iterator[Destination]:
    """Yield what destinations took over or hold of them, and what becomes of it."""
    for name, n in sorted(journal.accepted_by(record.persons).items()):
        words = "files of the outbox, which go" if name == "outbox" else "were accepted there and cannot be taken back"
        yield Destination(name=name, sync=None, n=n, words=words)
    syncs = read_catalog(settings).syncs
    head = head_of(settings)
    for sync, n in _held(settings, journal, listed).items():
        written, _, place = sync.partition("@")
        model, facts = syncs.get(written), head.syncs.get(sync, {}) if head else {}
        name = place.partition("/")[0] or facts.get("destination") or (model.destination if model else sync)
        if model is None:
            words = "the sync is gone from the project: remove them there by hand"
        elif place or not _goes_on(head, model):
            words = _GOES_ELSEWHERE
        elif model.mode != _REMOVES:
            words = _stays(model.mode)
        else:
            words = _TO_BE_REMOVED
        yield Destination(name=name, sync=sync, n=n, words=words)


def head_of(settings: Settings) -> Plan | None:
    """Return the plan applied last."""
    store = Store(settings)
    head = store.head()
    return store.read(head) if head else None


def _held(settings: Settings, journal: Journal, who: Listed) -> dict[str, int]:
    """Return by sync how many of their keys its destination holds or may hold, as far as it told us."""
    store, head = Store(settings), head_of(settings)
    if head is None:
        return {}
    answers = journal.acknowledged_rows(head.inputs.journal_seq)
    with engine.connect(settings) as connection:
        planner = SyncPlanner(connection, store, head, answers, LetGo(who.salt, who.keys))
        counts = {sync: planner.holds(sync) for sync in who.keys}
    return {sync: n for sync, n in counts.items() if n}


def waits(settings: Settings, journal: Journal, who: Listed) -> frozenset[str]:
    """Return the syncs whose keys must stay: the destination holds them, and a plan to come says to let them go."""
    syncs, head = read_catalog(settings).syncs, head_of(settings)
    removing = {name for name, model in syncs.items() if model.mode == _REMOVES and _goes_on(head, model)}
    return frozenset(_held(settings, journal, who).keys() & removing)


def _goes_on(head: Plan | None, model: SyncModel) -> bool:
    """Return whether the sync still goes to the place that HEAD knows."""
    facts = head.syncs.get(model.name, {}) if head else {}
    return all(
        facts.get(word, now) == now for word, now in (("destination", model.destination), ("target", model.target))
    )


def answered(one: Destination, syncs: Mapping[str, SyncModel], head: Plan | None) -> Destination:
    """Return what the record says of a destination once nothing is waited for."""
    if one.words != _TO_BE_REMOVED or one.sync is None or one.sync not in syncs:
        return one
    # Somebody may have given the sync another mode, or place, meanwhile.
    model = syncs[one.sync]
    removed = "removed there" if _goes_on(head, model) else _GOES_ELSEWHERE
    return one.model_copy(update={"words": removed if model.mode == _REMOVES else _stays(model.mode)})


def _stays(mode: str) -> str:
    return f"a sync of mode `{mode}` removes nothing: remove them there by hand"
