"""What does `tailrace gc` do? Collect old plans, pack the landing's small files, remove what killed processes left.

Nothing that HEAD, or a message that is not over, needs ever goes; see `planning.collection` and `landing.packing`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from tailrace import clock, crash, durable
from tailrace.campaigns.policy import Retention, load_policy
from tailrace.errors import JournalError
from tailrace.journal.journal import Journal
from tailrace.landing.erased import require_finished
from tailrace.landing.land import landing
from tailrace.landing.packing import Packed, Replaced, pack, remove_replaced
from tailrace.planning.collection import Collection, collect
from tailrace.planning.store import Store
from tailrace.settings import Settings

READERS = timedelta(hours=1)
"""So long a file stays whose place another one has taken: whoever began to read before has ended by then."""
LEFT_OVER = timedelta(days=1)
"""What nobody has written to in scratch for so long, nobody will."""


@dataclass(frozen=True)
class Leftovers:
    """Files and folders of scratch that killed processes left, and their size."""

    entries: int
    bytes: int


@dataclass(frozen=True)
class Collected:
    """What was collected, packed and removed, or with `is_dry` would be."""

    as_of: datetime
    is_dry: bool
    retention: Retention
    plans: Collection
    packed: Packed
    replaced: Replaced
    leftovers: Leftovers


def collect_garbage(settings: Settings, as_of: datetime, *, is_dry: bool = False) -> Collected:
    """Collect what the policy's `retention` says is too old at `as_of`, and pack the landing.

    Doing it again changes nothing, and finishes what one that was killed began. Delivery may go on meanwhile.

    Raises Busy when a run, a backtest or a landing is under way, DataError when an erasure is not finished,
    DefinitionError for a wrong policy.yml, JournalError when the journal cannot say what is still to be delivered.
    """
    retention = load_policy(settings.project_dir).retention
    with ExitStack() as held:
        held.enter_context(durable.exclusive(settings.run_lock, "a run"))
        held.enter_context(durable.exclusive(settings.data_dir / "backtest.lock", "a backtest"))
        lock = durable.exclusive(settings.data_dir / "landing.lock", "a landing") if is_dry else landing(settings)
        held.enter_context(lock)
        require_finished(settings)
        plans = collect(
            settings,
            as_of=as_of,
            plans=retention.plans,
            payloads=retention.payloads,
            open_plans=_open_plans(settings),
            is_dry=is_dry,
        )
        replaced = remove_replaced(settings, before=_unread_since(settings), is_dry=is_dry)
        packed = pack(settings, is_dry=is_dry)
        leftovers = _clear_scratch(settings, is_dry=is_dry)
    return Collected(as_of, is_dry, retention, plans, packed, replaced, leftovers)


def _open_plans(settings: Settings) -> Mapping[str, Mapping[str, int]]:
    store = Store(settings)
    head = store.head()
    if head is None:
        return {}
    with Journal.open(settings) as journal:
        problem = journal.copy_problem()
        if problem is not None:
            raise JournalError(
                f"{problem}. Until then nobody knows what is still to be delivered: nothing was collected"
            )
        if not journal.is_applied(head):
            raise JournalError(
                f"plan {head} is HEAD, but the journal does not have it yet; expected what a run that was killed began"
                " to be finished first: `tailrace run`, or `tailrace deliver`. Nothing was collected."
            )
        return journal.open_plans(store.read(head).inputs.journal_seq)


def _unread_since(settings: Settings) -> float:
    """Return the moment of the file system before which replaced files were last named to anybody.

    The warehouse shows the landing's files by name until the next build.
    """
    grace = (clock.now() - READERS).timestamp()
    return min(grace, settings.warehouse.stat().st_mtime) if settings.warehouse.exists() else grace


def _clear_scratch(settings: Settings, *, is_dry: bool) -> Leftovers:
    since = (clock.now() - LEFT_OVER).timestamp()
    found = {entry: _last_written(entry) for entry in _scratch(settings)}
    left = {entry: size for entry, (written, size) in found.items() if written < since}
    if not is_dry:
        for entry in left:
            durable.remove(entry)
            crash.here("gc.leftover_removed")
    return Leftovers(len(left), sum(left.values()))


def _scratch(settings: Settings) -> Iterator[Path]:
    """Yield what stands in scratch; of DuckDB's folders, which are used again and again, what stands in them."""
    for entry in sorted(settings.scratch.iterdir()) if settings.scratch.is_dir() else ():
        yield from sorted(entry.iterdir()) if entry.name in ("duckdb", "dbt") and entry.is_dir() else (entry,)


def _last_written(entry: Path) -> tuple[float, int]:
    """Return when the entry, or anything in it, was written last, and its size; one that is just going is not ours."""
    try:
        tree = [path.lstat() for path in (entry, *(entry.rglob("*") if entry.is_dir() else ()))]
    except FileNotFoundError:
        return math.inf, 0
    return max(about.st_mtime for about in tree), sum(about.st_size for about in tree)
