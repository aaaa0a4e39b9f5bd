"""In what order do things happen? land → mirror → build → plan → guard → apply → deliver → mirror → publish.

The command line and the flows call these functions and nothing else. Each step is safe to be killed in: what a step
leaves is complete or ignored, and the next run goes on from there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from pathlib import Path

from tailrace import clock, durable, engine
from tailrace.checks.health import require_baa
from tailrace.delivery.send import FanOut
from tailrace.errors import DataError, SenderBusy, StalePlan
from tailrace.journal.journal import Journal
from tailrace.journal.readings import MIRRORS
from tailrace.landing.backfills import Asked
from tailrace.landing.census import breaches
from tailrace.landing.inbox import land_inbox
from tailrace.landing.land import Landed, land
from tailrace.landing.loads import Load, loads
from tailrace.landing.mirror import mirror, mirrored
from tailrace.pipeline.applying import heal, move_head
from tailrace.pipeline.erasing import finish_begun
from tailrace.pipeline.refusals import tell
from tailrace.pipeline.request import Definitions, gather, load_definitions, load_files, loads_fingerprint
from tailrace.pipeline.result import Balance, Result, quiet
from tailrace.pipeline.sending import clock_from, elsewhere, hand_over
from tailrace.planning import relations
from tailrace.planning.plan import make_plan
from tailrace.planning.store import Plan, Store
from tailrace.settings import Settings
from tailrace.warehouse import runner
from tailrace.warehouse.build import build
from tailrace.warehouse.catalog import project_fingerprint, read_catalog
from tailrace.warehouse.ownership import violations
from tailrace.warehouse.publish import publish


def run(
    settings: Settings,
    as_of: datetime,
    *,
    budget_seconds: float | None = None,
    tell: Callable[[str], None] = quiet,
) -> Result:
    """Do everything once for `as_of`: afterwards what should have been said by then has been, or is listed.

    The run's clock starts at `as_of` and goes on from there. While another process delivers, what the run wants to
    leave waits for that delivery or the next one. Raises Busy when another run is under way, StalePlan when `as_of` is
    before HEAD's, and the rooms' errors. `tell` hears the name of each step as it begins.
    """
    result = Result(as_of, tell=tell)
    now = clock_from(as_of)
    with durable.exclusive(settings.run_lock, "a run"), Journal.open(settings) as journal:
        _prepare(settings, journal, result)
        with _timed(result, "apply"):
            _apply(settings, journal, result, as_of)
        with _timed(result, "deliver"):
            _deliver(settings, journal, result, now, budget_seconds, may_be_elsewhere=True)
        with _timed(result, "mirror"):
            _mirror_delivered(settings, journal, result)
        with _timed(result, "publish"):
            publish(settings)
    return result


def plan(settings: Settings, as_of: datetime, *, tell: Callable[[str], None] = quiet) -> Result:
    """Land what waits, build and plan, and stop there: HEAD does not move, nothing leaves."""
    result = Result(as_of, tell=tell)
    with durable.exclusive(settings.run_lock, "a run"), Journal.open(settings) as journal:
        _prepare(settings, journal, result)
    return result


def apply(settings: Settings, plan_id: str) -> Result:
    """Move HEAD to the plan and write its intents into the journal; applying it again changes nothing.

    Raises StalePlan when HEAD or an input moved since the plan was made, naming which.
    """
    store = Store(settings)
    plan_id = store.resolve(plan_id)
    found = store.read(plan_id)
    result = Result(found.as_of, plan_id=plan_id, parent=found.parent)
    with durable.exclusive(settings.run_lock, "a run"), Journal.open(settings) as journal:
        finish_begun(settings, journal, clock.now())
        if store.head() != plan_id:
            found = store.read(plan_id)
            _require_inputs(settings, journal, found)
            definitions = load_definitions(settings)
            require_baa(settings, definitions.campaigns.values(), definitions.connections)
        with _timed(result, "apply"):
            _apply(settings, journal, result, found.as_of)
    return result


def deliver(
    settings: Settings,
    as_of: datetime,
    *,
    budget_seconds: float | None = None,
    workers: int = 1,
    fan_out: FanOut | None = None,
    may_be_elsewhere: bool = False,
) -> Result:
    """Deliver what is pending, until it is done or the time budget is spent. Its clock starts at `as_of`.

    `workers` share it, in threads, or wherever `fan_out` has the shares done (`sending.deliver_share`). Raises
    SenderBusy when another process delivers; the result says so where it `may_be_elsewhere`.
    """
    result = Result(as_of)
    with Journal.open(settings) as journal:
        heal(settings, journal)
        with _timed(result, "deliver"):
            now = clock_from(as_of)
            _deliver(
                settings, journal, result, now, budget_seconds, workers, fan_out, may_be_elsewhere=may_be_elsewhere
            )
        with _timed(result, "mirror"):
            _mirror_delivered(settings, journal, result)
    return result


def backfill(
    settings: Settings, paths: Sequence[Path | str], source: str, reason: str, asked: Asked | None = None
) -> Result:
    """Land files as history and plan at HEAD's own `as_of`: every move has cause history, nothing leaves.

    Killed anywhere, the same again does what is missing, and so does the next run; `steps["backfill"]` says what was
    done before. `asked` is kept with the load, and may narrow it to a range.

    Raises DataError when there is no HEAD to backfill under, or when loads wait that no plan has seen: what they
    did would be taken for the backfill's doing.
    """
    store = Store(settings)
    with durable.exclusive(settings.run_lock, "a run"), Journal.open(settings) as journal:
        heal(settings, journal)
        finish_begun(settings, journal, clock.now())
        head = store.head()
        if head is None:
            raise DataError("there is no HEAD to backfill under; expected one run before: `tailrace run`")
        parent = store.read(head)
        result = Result(parent.as_of)
        waiting = [load for load in _unseen(settings, store, parent) if not load.is_history]
        if waiting:
            raise DataError(
                f"{len(waiting)} loads have landed that no plan has seen; expected none, so that what they did is not"
                " taken for the backfill's doing: `tailrace run` first, then backfill"
            )
        with _timed(result, "land"):
            landed = land(settings, paths, source, as_of=parent.as_of, history=True, reason=reason, asked=asked)
            _note_landing(result, [landed])
        waiting = [load for load in _unseen(settings, store, parent) if load.load_id == landed.known_load]
        result.steps["backfill"] = {
            "load": landed.load_id or landed.known_load,
            "landed_before": landed.known_load is not None,
            "planned_before": landed.known_load is not None and not waiting,
        }
        _plan_history(settings, journal, result)
        with _timed(result, "mirror"):
            _mirror(settings, journal)
        with _timed(result, "publish"):
            publish(settings)
    return result


def publish_copy(settings: Settings) -> Path:
    """Swap in the readers' copy of the warehouse and return its path."""
    with durable.exclusive(settings.run_lock, "a run"):
        return publish(settings)


def land_files(settings: Settings, paths: Sequence[Path | str], source: str, as_of: datetime) -> Landed:
    """Land files of one source: every line is landed, a duplicate, or quarantined."""
    return land(settings, paths, source, as_of=as_of)


def _prepare(settings: Settings, journal: Journal, result: Result) -> None:
    """Finish what a crash left, land the inbox, give waiting history a plan of its own, and plan."""
    heal(settings, journal)
    finish_begun(settings, journal, result.as_of)
    _require_time(settings, result.as_of)
    # dbt is imported while files are landed.
    runner.warm_up()
    with _timed(result, "land"):
        arrived = land_inbox(settings, as_of=result.as_of)
        _note_landing(result, arrived.landed)
        result.unread = arrived.unread
    _plan_history(settings, journal, Result(result.as_of))
    _make(settings, journal, result, loads(settings))


def _plan_history(settings: Settings, journal: Journal, result: Result) -> None:
    """Plan and apply the history loads that no plan has seen, at HEAD's own `as_of` and apart from all other loads.

    What they change is then their doing alone, and triggers nothing. Before the first plan there is nothing to keep
    apart: all of it is baseline.
    """
    store = Store(settings)
    head = store.head()
    if head is None:
        return
    parent = store.read(head)
    unseen = _unseen(settings, store, parent)
    history = [load for load in unseen if load.is_history]
    if not history:
        result.plan_id, result.parent = head, parent.parent
        return
    apart = {load.load_id for load in unseen if not load.is_history}
    result.as_of = parent.as_of
    _make(settings, journal, result, [load for load in loads(settings) if load.load_id not in apart], cause="backfill")
    with _timed(result, "apply"):
        _apply(settings, journal, result, parent.as_of)


@contextmanager
def _timed(result: Result, step: str) -> Iterator[None]:
    result.tell(step)
    started = clock.monotonic()
    yield
    result.seconds[step] = result.seconds.get(step, 0.0) + clock.monotonic() - started


@contextmanager
def _importing(module: str) -> Iterator[None]:
    """Import what planning needs beside what is done here, which is to wait for dbt."""
    thread = threading.Thread(target=import_module, args=(module,))
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _note_landing(result: Result, landings: Sequence[Landed]) -> None:
    counts = {
        "lines": sum(landed.lines for landed in landings),
        "landed": sum(landed.landed for landed in landings),
        "duplicate": sum(landed.duplicate for landed in landings),
        "quarantined": sum(landed.quarantined for landed in landings),
        "erased": sum(landed.erased for landed in landings),
    }
    notices = [f"{landed.source}: {notice}" for landed in landings for notice in landed.notices]
    result.steps["land"] = counts | {"loads": [landed.load_id for landed in landings if landed.load_id]}
    if notices:
        result.steps["land"]["notices"] = notices
    parts = {name: counts[name] for name in ("landed", "duplicate", "quarantined")}
    parts |= {"erased": counts["erased"]} if counts["erased"] else {}
    result.add(Balance("lines read", counts["lines"], parts))


def _make(
    settings: Settings, journal: Journal, result: Result, landed: Sequence[Load], *, cause: str = "scheduled"
) -> None:
    """Mirror, build and plan over the loads; when nothing is new since HEAD, HEAD stands."""
    store = Store(settings)
    head = store.head()
    parent = store.read(head) if head else None
    definitions = load_definitions(settings)
    require_baa(settings, definitions.campaigns.values(), definitions.connections)
    is_whole = head is None or store.erased_of(head) is None
    if (
        parent is not None
        and is_whole
        and not journal.releases()
        and not journal.chosen().num_rows
        and not journal.resyncs()
        and _stands(settings, parent, result.as_of, landed, definitions)
    ):
        result.plan_id, result.parent = head, parent.parent
        _note_plan(result, parent)
        _note_ignored(settings, result, definitions)
        _note_broken(settings, result, parent, landed)
        return
    with _timed(result, "mirror"):
        _mirror(settings, journal)
    with _timed(result, "build"), _importing("polars"):
        files = {table: mirrored(settings, table) for table in MIRRORS}
        owners = definitions.sources_by_attribute
        generation = build(settings, result.as_of, load_files(settings, landed), files, owners)
        catalog = read_catalog(settings)
    result.steps["build"] = {
        "models": generation.n_models,
        "tests": generation.n_tests,
        "failed": dict(generation.failed),
    }
    with _timed(result, "plan"):
        asked = gather(
            settings,
            as_of=result.as_of,
            cause=cause,
            parent_id=head,
            parent=parent,
            landed=landed,
            definitions=definitions,
            generation=generation,
            catalog=catalog,
            journal=journal,
        )
        result.plan_id = make_plan(settings, store, asked)
    result.is_new, result.parent = True, head
    _note_plan(result, store.read(result.plan_id))
    _note_ignored(settings, result, definitions)
    _note_broken(settings, result, parent, landed)


def _require_time(settings: Settings, as_of: datetime) -> None:
    store = Store(settings)
    head = store.head()
    if head is not None and as_of < store.read(head).as_of:
        raise StalePlan(
            f"as_of {clock.iso(as_of)} is before {clock.iso(store.read(head).as_of)}, the as_of of HEAD ({head});"
            " expected a later one: time only goes forward. Nothing was changed."
        )


def _stands(
    settings: Settings, parent: Plan, as_of: datetime, landed: Sequence[Load], definitions: Definitions
) -> bool:
    """Return whether HEAD is already the plan for this instant and these inputs."""
    inputs = parent.inputs
    return (
        parent.as_of == as_of
        and inputs.loads == loads_fingerprint(landed)
        and inputs.definitions == definitions.fingerprint
        and inputs.project == project_fingerprint(settings)
    )


def _note_plan(result: Result, made: Plan) -> None:
    counts = made.counts
    result.steps["plan"] = dict(counts)
    parts = {verdict: counts[verdict] for verdict in ("send", "defer", "skip")}
    result.add(Balance("people considered", counts["considered"], parts))
    result.tripped = [reading for reading in made.guards if reading["tripped"] and reading["released"] is None]


def _note_ignored(settings: Settings, result: Result, definitions: Definitions) -> None:
    if definitions.owners and settings.warehouse.is_file():
        result.ignored = [
            asdict(one) | {"last_event_at": clock.iso(one.last_event_at.replace(tzinfo=UTC))}
            for one in violations(settings)
        ]


def _note_broken(settings: Settings, result: Result, parent: Plan | None, landed: Sequence[Load]) -> None:
    """Note which contracts of events were broken in the loads that the parent had not seen."""
    if any(load.breaches for load in landed):
        seen = {load.load_id for load in landed} - {load.load_id for load in _unseen(settings, Store(settings), parent)}
        result.broken = [
            asdict(row) | {"last_landed_at": clock.iso(row.last_landed_at)}
            for row in breaches(load for load in landed if load.load_id not in seen)
        ]


def _require_inputs(settings: Settings, journal: Journal, found: Plan) -> None:
    """Raise StalePlan when something that the plan was made from has moved since."""
    now = {
        "loads": loads_fingerprint(loads(settings)),
        "definitions": load_definitions(settings).fingerprint,
        "project": project_fingerprint(settings),
    }
    words = {"loads": "the loads", "definitions": "campaigns, policy or destinations", "project": "the dbt project"}
    moved = [words[name] for name, value in now.items() if getattr(found.inputs, name) != value]
    if not journal.may_consider(found.inputs.choices):
        moved.append("what was chosen to be sent now")
    if moved:
        raise StalePlan(
            f"{' and '.join(moved)} changed since plan {found.plan_id} was made; expected them as they were: make the"
            " plan again with `tailrace plan`"
        )


def _apply(settings: Settings, journal: Journal, result: Result, at: datetime) -> None:
    assert result.plan_id is not None
    result.steps["apply"] = {"intents": move_head(settings, journal, result.plan_id, at)}


def _deliver(
    settings: Settings,
    journal: Journal,
    result: Result,
    now: Callable[[], datetime],
    budget_seconds: float | None,
    workers: int = 1,
    fan_out: FanOut | None = None,
    *,
    may_be_elsewhere: bool = False,
) -> None:
    try:
        delivered = hand_over(settings, journal, now, budget_seconds, workers, fan_out)
    except SenderBusy:
        if not may_be_elsewhere:
            raise
        result.elsewhere, result.is_silent = elsewhere(journal, now())
        return
    result.steps["deliver"] = asdict(delivered)
    for balance in delivered.balances():
        result.add(Balance(*balance))


def _mirror(settings: Settings, journal: Journal) -> None:
    mirror(settings, {table: partial(journal.mirror, table) for table in MIRRORS})


def _mirror_delivered(settings: Settings, journal: Journal, result: Result) -> None:
    """Mirror, and have the next run land what was refused because people left or their addresses are dead."""
    _mirror(settings, journal)
    if "deliver" not in result.steps:
        return
    problem = tell(settings)
    if problem is not None:
        result.steps["deliver"]["problems"].append(problem)


def _unseen(settings: Settings, store: Store, parent: Plan | None) -> list[Load]:
    """Return the loads that the parent plan has not seen."""
    if parent is None:
        return loads(settings)
    with engine.connect(settings) as connection:
        source = store.source(parent, "loads", relations.LOADS)
        seen = {row[0] for row in connection.execute(f"select load_id from {source}").fetchall()}
    return [load for load in loads(settings) if load.load_id not in seen]
