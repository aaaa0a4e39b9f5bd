"""What would runs have decided at other instants, with today's definitions, over what was known then?

A branch is an installation of its own in a folder of `scratch`: a warehouse, a plan store, a mirror. It reads landing,
the plans and the journal of the real one and writes to none of them; its plans stand where no HEAD leads, and the
folder goes when it is closed. One branch at a time.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from tailrace import clock, durable, engine
from tailrace.errors import DataError
from tailrace.journal.journal import Journal
from tailrace.journal.records import Release
from tailrace.landing.loads import Load, loads
from tailrace.pipeline.hindsight import Hindsight
from tailrace.pipeline.on_time import in_parts
from tailrace.pipeline.request import Definitions, gather, load_files
from tailrace.planning.plan import make_plan
from tailrace.planning.store import Plan, Store
from tailrace.settings import Settings
from tailrace.warehouse import runner
from tailrace.warehouse.build import build
from tailrace.warehouse.catalog import read_catalog
from tailrace.warehouse.landed import LoadFiles


@dataclass
class Branch:
    """Plans on top of one another from `start` on (None: an empty baseline), as runs at `instants` would make them.

    `store` holds them and what they stand on.
    """

    store: Store
    start: tuple[str, Plan] | None
    hindsight: Hindsight
    _settings: Settings
    _here: Settings
    _definitions: Definitions
    _instants: Sequence[datetime]
    _loads: Sequence[Load]
    _releases: Sequence[tuple[datetime, Release]]
    _choices: Sequence[tuple[datetime, int]]
    _apart: Mapping[str, LoadFiles]

    def plans(self) -> Iterator[tuple[str, Plan]]:
        """Yield each instant's plan, in order of time. A backfill's own plan is made as a run would, not yielded.

        Raises what a run raises: BuildError, GuardStop.
        """
        parent = self.start
        seen = _seen(self.store, self.start)
        before = None
        for instant in self._instants:
            due = [release for at, release in self._releases if (before is None or at > before) and at <= instant]
            chosen = [number for at, number in self._choices if (before is None or at > before) and at <= instant]
            self.hindsight.settle(instant, due, chosen)
            known = [load for load in self._loads if _is_known(load, instant)]
            new = [load for load in known if load.load_id not in seen]
            if parent is not None and any(load.is_history for load in new):
                apart = {load.load_id for load in new if not load.is_history}
                history = [load for load in known if load.load_id not in apart]
                parent = self._plan(parent[1].as_of, "backfill", parent, history)
            parent = self._plan(instant, "scheduled", parent, known)
            seen |= {load.load_id for load in new}
            before = instant
            yield parent

    def attach(self, connection: engine.Connection) -> None:
        """Attach the warehouse of the plan made last as `wh`, to be read."""
        engine.attach(connection, self._here.warehouse, "wh")

    def _plan(
        self, as_of: datetime, cause: str, parent: tuple[str, Plan] | None, known: Sequence[Load]
    ) -> tuple[str, Plan]:
        generation = build(
            self._here,
            as_of,
            self._files(known),
            self.hindsight.mirror(),
            self._definitions.sources_by_attribute,
        )
        asked = gather(
            self._settings,
            as_of=as_of,
            cause=cause,
            parent_id=parent[0] if parent else None,
            parent=parent[1] if parent else None,
            landed=known,
            definitions=self._definitions,
            generation=generation,
            catalog=read_catalog(self._here),
            journal=self.hindsight,
        )
        # No segment and no campaign reads what a sync does.
        plan_id = make_plan(self._here, self.store, replace(asked, syncs=[]))
        plan = self.store.read(plan_id)
        self.hindsight.note(self.store, plan_id, plan)
        return plan_id, plan

    def _files(self, known: Sequence[Load]) -> list[LoadFiles]:
        landed = [load for load in known if load.load_id not in self._apart]
        return load_files(self._settings, landed) + [
            self._apart[load.load_id] for load in known if load.load_id in self._apart
        ]


@contextmanager
def branch(
    settings: Settings, definitions: Definitions, instants: Sequence[datetime], *, on_time: Collection[str] = ()
) -> Iterator[Branch]:
    """Open a branch that starts at the newest applied plan before the first of `instants` (ascending, not empty).

    The loads with the ids `on_time` are seen as if their events had come when they happened.

    Raises DataError when nothing had landed by then, Busy when another branch is open.
    """
    first = instants[0]
    landed = loads(settings)
    if not on_time and not any(_is_known(load, first) for load in landed):
        earliest = min((load.landed_at for load in landed), default=None)
        when = "nothing has landed at all" if earliest is None else f"the first load landed at {clock.iso(earliest)}"
        raise DataError(
            f"nothing had landed by {clock.iso(first)} ({when}); expected a later start: a backtest sees what was known"
            " at the time, however old the events are"
        )
    folder = settings.scratch / "backtest"
    with durable.exclusive(settings.data_dir / "backtest.lock", "a backtest"):
        durable.remove(folder)
        # Nobody else's journal is found here, should anything look for one.
        here = replace(settings, data_dir=folder, journal_url=None, journal_copy_dir=None)
        runner.warm_up()
        try:
            start = _stand_on(settings, here, first)
            with Journal.open(settings) as journal:
                hindsight = Hindsight(settings, journal, first, folder / "mirror")
            releases, choices = _releases(Store(settings), first), _choices(Store(settings), first)
            store = Store(here)
            apart: dict[str, LoadFiles] = {}
            for late in [load for load in landed if load.load_id in on_time]:
                since, seq = (start[1].as_of if start else None), max(load.load_seq for load in landed) + 1
                parts = in_parts(settings, late, since, instants, seq, folder / "on-time" / late.load_id)
                landed = [load for load in landed if load is not late] + [part.load for part in parts]
                apart |= {part.load.load_id: part.files for part in parts}
            try:
                yield Branch(
                    store, start, hindsight, settings, here, definitions, instants, landed, releases, choices, apart
                )
            finally:
                hindsight.close()
        finally:
            durable.remove(folder)


def _is_known(load: Load, instant: datetime) -> bool:
    """Return whether a run at the instant would see the load. A backfill lands at the as_of of a plan made before."""
    return load.landed_at < instant if load.is_history else load.landed_at <= instant


def _stand_on(settings: Settings, here: Settings, first: datetime) -> tuple[str, Plan] | None:
    """Link the newest plan of HEAD's lineage before `first` into the branch's store, with all that it names."""
    store = Store(settings)
    if (runner.directory(settings) / "target").is_dir():
        # What dbt knows of the project holds here too: reading it again costs seconds.
        shutil.copytree(runner.directory(settings), runner.directory(here))
    found = oldest = None
    for name, oldest in store.chain(store.head()):
        if oldest.as_of < first:
            found = name, oldest
            break
    if found is None:
        cut = store.cut(oldest) if oldest else None
        if oldest is not None and cut is not None:
            raise DataError(
                f"the plan that a run at {clock.iso(first)} stood on was {cut.in_words()}; expected a start after"
                f" {clock.iso(oldest.as_of)}: a longer `retention` in policy.yml keeps more plans from now on"
            )
        return None
    plan_id, plan = found
    mine = Store(here)
    is_bare = store.bare(plan_id, plan) is not None
    for piece in {piece for pieces in plan.relations.values() for piece in pieces}:
        if is_bare and not store.path(piece).exists():
            # Nobody reads payloads, and what else is personal, of a plan but to deliver it.
            continue
        target = mine.path(piece)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(store.path(piece), target)
    if mine.save(plan) != plan_id:
        raise DataError(f"plan {plan_id} is not what its id says; expected it as it was written")
    return plan_id, plan


def _releases(store: Store, first: datetime) -> list[tuple[datetime, Release]]:
    """Return the guard releases that applied plans have used since, each with the as_of of the plan that did."""
    found = []
    for plan_id, plan in store.chain(store.head()):
        if plan.as_of < first:
            break
        for reading in plan.guards:
            if reading["released"] is not None:
                guard, subject, measured = reading["guard"], reading["subject"], reading["measured"]
                release = Release(reading["released"], guard, subject, plan_id, measured, "", "", plan.as_of)
                found.append((plan.as_of, release))
    return found


def _choices(store: Store, first: datetime) -> list[tuple[datetime, int]]:
    """Return the choices of `send now` that applied plans have considered since, each with the as_of of the plan."""
    found = []
    for _, plan in store.chain(store.head()):
        if plan.as_of < first:
            break
        found += [(plan.as_of, number) for number in plan.inputs.choices]
    return found


def _seen(store: Store, start: tuple[str, Plan] | None) -> set[str]:
    table = None if start is None else store.table(start[1], "loads")
    return set() if table is None else set(table.column("load_id").to_pylist())
